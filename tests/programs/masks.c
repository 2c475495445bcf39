/* SPDX-License-Identifier: Apache-2.0 */
/* Waits with a signal mask of their own: prints who is woken, with what mask handlers run, and what is left; the
 * test compares with a native run. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIGNALS = 3 };
static const int signals[SIGNALS] = {SIGUSR1, SIGUSR2, SIGWINCH};
static const char *const names[SIGNALS] = {"USR1", "USR2", "WINCH"};

static char noted[4096]; /* what handlers saw */
static int pipes[2], event, set;

static char *mask_text(const sigset_t *mask, char *out)
{
    *out = 0;
    for (int i = 0; i < SIGNALS; i++)
        if (sigismember(mask, signals[i]))
            strcat(strcat(out, " "), names[i]);
    return out;
}

static void handler(int signal)
{
    char text[64];
    sigset_t mask;
    int error = errno;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sprintf(noted + strlen(noted), " [%s, blocked:%s]", names[signal == SIGUSR1 ? 0 : signal == SIGUSR2 ? 1 : 2],
            mask_text(&mask, text));
    errno = error;
}

static sigset_t set_of(int first, int second)
{
    sigset_t s;
    sigemptyset(&s);
    if (first)
        sigaddset(&s, first);
    if (second)
        sigaddset(&s, second);
    return s;
}

/* ---- the waits: ms -1: for ever ---- */

static struct timespec *time_of(int ms, struct timespec *t)
{
    *t = (struct timespec){ms / 1000, ms % 1000 * 1000000};
    return ms < 0 ? NULL : t;
}

static int by_ppoll(int fd, int ms, const sigset_t *mask)
{
    struct timespec t;
    struct pollfd p = {fd, POLLIN, 0};
    return ppoll(&p, 1, time_of(ms, &t), mask);
}

static int by_pselect(int fd, int ms, const sigset_t *mask)
{
    struct timespec t;
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    return pselect(fd + 1, &in, NULL, NULL, time_of(ms, &t), mask);
}

static int in_set(int fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(set, EPOLL_CTL_DEL, pipes[0], NULL);
    epoll_ctl(set, EPOLL_CTL_DEL, event, NULL);
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
}

static int by_epoll(int fd, int ms, const sigset_t *mask)
{
    struct epoll_event e;
    in_set(fd);
    return epoll_pwait(set, &e, 1, ms, mask);
}

static int by_epoll2(int fd, int ms, const sigset_t *mask)
{
    struct epoll_event e;
    struct timespec t;
    in_set(fd);
    return epoll_pwait2(set, &e, 1, time_of(ms, &t), mask);
}

static int by_suspend(int fd, int ms, const sigset_t *mask)
{
    (void)fd, (void)ms;
    return sigsuspend(mask);
}

static const struct {
    const char *name;
    int (*wait)(int fd, int ms, const sigset_t *mask);
} waits[] = {{"ppoll", by_ppoll},
             {"pselect", by_pselect},
             {"epoll_pwait", by_epoll},
             {"epoll_pwait2", by_epoll2},
             {"sigsuspend", by_suspend}};
enum { WAITS = sizeof waits / sizeof *waits, TIMED = WAITS - 1 };

static void report(const char *wait, const char *what, int result)
{
    int error = result < 0 ? errno : 0;
    char blocked[64], pending[64];
    sigset_t mask, waiting;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigpending(&waiting);
    printf("%s, %s: %d%s%s; handlers:%s; blocked:%s; pending:%s\n", wait, what, result, error ? " " : "",
           error ? strerrorname_np(error) : "", noted, mask_text(&mask, blocked), mask_text(&waiting, pending));
    *noted = 0;
}

/* What is pending is handled before the next case. */
static void let_in(const char *wait)
{
    sigset_t none = set_of(0, 0), old;
    sigprocmask(SIG_SETMASK, &none, &old);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (*noted)
        printf("%s, let in after:%s\n", wait, noted);
    *noted = 0;
}

static pthread_t main_thread;
static int to_send, way;

static void *send_later(void *unused)
{
    (void)unused;
    usleep(30000);
    if (way == 't')
        pthread_kill(main_thread, to_send);
    else
        kill(getpid(), to_send);
    return NULL;
}

/* A thread that blocks everything sends, to the main thread or to the process; or another process does. */
static void during(int w, char by, int signal, int ms, const sigset_t *mask, const char *what)
{
    pthread_t thread;
    pid_t child = 0;
    to_send = signal;
    way = by;
    if (by == 'p') {
        fflush(stdout);
        child = fork();
        if (!child) {
            usleep(30000);
            kill(getppid(), signal);
            _exit(0);
        }
    } else {
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pthread_create(&thread, NULL, send_later, NULL);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    int result = waits[w].wait(pipes[0], ms, mask);
    report(waits[w].name, what, result);
    if (child)
        waitpid(child, NULL, 0);
    else
        pthread_join(thread, NULL);
    let_in(waits[w].name);
}

static void cases(int w)
{
    const char *name = waits[w].name;
    sigset_t usr1 = set_of(SIGUSR1, 0), usr2 = set_of(SIGUSR2, 0), winch = set_of(SIGWINCH, 0), none = set_of(0, 0),
             both = set_of(SIGUSR1, SIGUSR2);
    char byte;
    uint64_t one = 1;

    sigprocmask(SIG_SETMASK, &usr1, NULL);
    raise(SIGUSR1);
    report(name, "pending and let in", waits[w].wait(pipes[0], -1, &winch));

    sigprocmask(SIG_SETMASK, &both, NULL);
    raise(SIGUSR1);
    raise(SIGUSR2);
    report(name, "two pending, both let in", waits[w].wait(pipes[0], -1, &none));
    raise(SIGUSR1);
    raise(SIGUSR2);
    report(name, "two pending, one let in", waits[w].wait(pipes[0], -1, &usr1));
    let_in(name);

    sigprocmask(SIG_SETMASK, &usr1, NULL);
    during(w, 't', SIGUSR1, -1, &winch, "to the thread meanwhile");
    during(w, 'k', SIGUSR1, -1, &winch, "to the process meanwhile");
    during(w, 'p', SIGUSR1, -1, &none, "by another process meanwhile");

    if (w >= TIMED)
        return;
    raise(SIGUSR1);
    if (write(pipes[1], "x", 1) != 1)
        exit(1);
    report(name, "ready, with a signal pending that the mask lets in", waits[w].wait(pipes[0], -1, &none));
    if (read(pipes[0], &byte, 1) != 1 || write(event, &one, sizeof one) != sizeof one)
        exit(1);
    report(name, "an event ready, with such a signal", waits[w].wait(event, -1, &none));
    if (read(event, &one, sizeof one) != sizeof one)
        exit(1);
    report(name, "a look, with such a signal", waits[w].wait(pipes[0], 0, &none));
    report(name, "a look at an event, with such a signal", waits[w].wait(event, 0, &none));
    let_in(name);
    raise(SIGUSR1);
    report(name, "pending and not let in", waits[w].wait(pipes[0], 20, &usr1));
    report(name, "no mask", waits[w].wait(pipes[0], 20, NULL));
    let_in(name);
    during(w, 't', SIGUSR2, 80, &usr2, "blocked by the mask alone, handled after");
    during(w, 'p', SIGUSR2, 80, &usr2, "the same from another process");
    struct epoll_event e;
    report(name, "not a set", epoll_pwait(pipes[0], &e, 1, 0, &none));
}

/* A stop and its continuation end none of these waits. */
static void stopped(void)
{
    fflush(stdout);
    for (int w = 0; w < 2; w++) {
        pid_t child = fork();
        if (!child) {
            sigset_t usr1 = set_of(SIGUSR1, 0);
            report(waits[w].name, "stopped meanwhile", waits[w].wait(pipes[0], -1, &usr1));
            fflush(stdout);
            _exit(0);
        }
        int status;
        usleep(50000);
        kill(child, SIGTSTP);
        waitpid(child, &status, WUNTRACED);
        kill(child, SIGCONT);
        waitpid(child, NULL, WCONTINUED);
        usleep(50000);
        if (write(pipes[1], "x", 1) != 1)
            exit(1);
        waitpid(child, NULL, 0);
        char byte;
        printf("%s: stopped by %d, %zd byte left\n", waits[w].name, WIFSTOPPED(status) ? WSTOPSIG(status) : -1,
               read(pipes[0], &byte, 1));
        fflush(stdout);
    }
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaddset(&action.sa_mask, SIGWINCH);
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    setpgid(0, 0); /* a stop of an orphan's would be none */
    main_thread = pthread_self();
    event = eventfd(0, 0);
    set = epoll_create1(0);
    if (pipe(pipes) || event < 0 || set < 0)
        return 1;
    for (int w = 0; w < WAITS; w++)
        cases(w);
    stopped();
    return 0;
}

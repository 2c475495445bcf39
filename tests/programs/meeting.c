/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that meet in memory: POSIX's semaphores and shared memory. Prints what comes of it; the test compares with a
 * native run.
 *   meeting           all cases
 *   meeting NAME N    a process of another program: raises the counter there N times */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

struct meeting {
    pthread_mutex_t mutex, robust;
    pthread_cond_t changed;
    sem_t ping, pong;
    atomic_long atomic;
    long guarded;
    int turn;
    atomic_int flag;
    char text[100];
    char rest[3 * PAGE];
    char last[100]; /* some pages further on */
};

static struct meeting *open_meeting(const char *name, int flags)
{
    int fd = shm_open(name, O_RDWR | flags, 0600);
    if (fd < 0 || ((flags & O_CREAT) && ftruncate(fd, sizeof(struct meeting))))
        return NULL;
    struct meeting *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return m == MAP_FAILED ? NULL : m;
}

static void make(struct meeting *m)
{
    pthread_mutexattr_t ma;
    pthread_condattr_t ca;
    pthread_mutexattr_init(&ma);
    pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
    pthread_condattr_init(&ca);
    pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&m->mutex, &ma);
    pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m->robust, &ma);
    pthread_cond_init(&m->changed, &ca);
    sem_init(&m->ping, 1, 0);
    sem_init(&m->pong, 1, 0);
}

static void raise_all(struct meeting *m, int n)
{
    for (int i = 0; i < n; i++) {
        atomic_fetch_add(&m->atomic, 1);
        pthread_mutex_lock(&m->mutex);
        long was = m->guarded;
        if (i % 10 == 0)
            sched_yield();
        m->guarded = was + 1;
        pthread_mutex_unlock(&m->mutex);
    }
}

static struct meeting *the;

static void *in_thread(void *unused)
{
    (void)unused;
    raise_all(the, 100);
    return NULL;
}

static void in_child(void (*run)(struct meeting *m, int n), struct meeting *m, int n)
{
    fflush(stdout);
    if (!fork()) {
        run(m, n);
        fflush(stdout);
        _exit(0);
    }
}

static int wait_all(void)
{
    int status, n = 0;
    while (wait(&status) > 0)
        n += status == 0;
    return n;
}

static void pong(struct meeting *m, int n)
{
    for (int i = 0; i < n; i++) {
        sem_wait(&m->ping);
        m->text[0]++;
        sem_post(&m->pong);
    }
}

static void take_turns(struct meeting *m, int mine)
{
    for (int i = 0; i < 10; i++) {
        pthread_mutex_lock(&m->mutex);
        while (m->turn % 3 != mine)
            pthread_cond_wait(&m->changed, &m->mutex);
        m->text[m->turn++] = (char)('a' + mine);
        pthread_cond_broadcast(&m->changed);
        pthread_mutex_unlock(&m->mutex);
    }
}

/* Both compute, with no system call: each has to get its turn. */
static void spin(struct meeting *m, int odd)
{
    for (int i = 0; i < 20; i++) {
        while (atomic_load(&m->flag) % 2 != odd)
            ;
        atomic_fetch_add(&m->flag, 1);
    }
}

static void write_far(struct meeting *m, int n)
{
    sprintf(m->last, "by the child, %d", n);
    memset(m->rest, 7, sizeof m->rest);
}

/* Ends with the mutex held. */
static void abandon(struct meeting *m, int how)
{
    pthread_mutex_lock(&m->robust);
    if (how == 1)
        abort();
    if (how == 2)
        kill(getpid(), SIGTERM);
    if (how == 3)
        execl("/bin/true", "true", NULL);
    _exit(0);
}

static void abandoned(struct meeting *m)
{
    for (int how = 0; how < 4; how++) {
        in_child(abandon, m, how);
        int status, result;
        wait(&status);
        result = pthread_mutex_lock(&m->robust);
        printf("abandoned by way %d, signal %d: %s\n", how, status & 127, result ? strerrorname_np(result) : "nothing to see");
        if (result == EOWNERDEAD)
            pthread_mutex_consistent(&m->robust);
        pthread_mutex_unlock(&m->robust);
    }
}

static void named(struct meeting *m, int n)
{
    char name[64];
    (void)m;
    sprintf(name, "/rakis-sem-%d", getppid());
    sem_t *s = sem_open(name, 0);
    if (s == SEM_FAILED)
        printf("sem_open in the child: %s\n", strerrorname_np(errno));
    for (int i = 0; i < n; i++)
        sem_post(s);
    sem_close(s);
}

static void named_semaphore(void)
{
    char name[64];
    int value;
    struct timespec soon;
    sprintf(name, "/rakis-sem-%d", getpid());
    sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
    printf("again: %s\n", sem_open(name, O_CREAT | O_EXCL, 0600, 1) == SEM_FAILED ? strerrorname_np(errno) : "open");
    printf("try %d", sem_trywait(s));
    printf(" %d %s\n", sem_trywait(s), strerrorname_np(errno));
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 50000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    printf("until a time %d", sem_timedwait(s, &soon));
    printf(" %s\n", strerrorname_np(errno));
    in_child(named, NULL, 30);
    in_child(named, NULL, 30);
    for (int i = 0; i < 60; i++)
        sem_wait(s);
    sem_getvalue(s, &value);
    printf("after 60: %d, children %d\n", value, wait_all());
    sem_unlink(name);
    sem_close(s);
}

int main(int argc, char **argv)
{
    char name[64];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2) {
        struct meeting *m = open_meeting(argv[1], 0);
        if (!m)
            return 1;
        raise_all(m, atoi(argv[2]));
        return 0;
    }
    named_semaphore();
    sprintf(name, "/rakis-shm-%d", getpid());
    struct meeting *m = the = open_meeting(name, O_CREAT | O_EXCL);
    if (!m)
        return 1;
    make(m);

    in_child(pong, m, 50);
    for (int i = 0; i < 50; i++) {
        sem_post(&m->ping);
        sem_wait(&m->pong);
    }
    printf("a game of %d, children %d\n", m->text[0], wait_all());
    memset(m->text, 0, sizeof m->text);
    for (int i = 0; i < 3; i++)
        in_child(take_turns, m, i);
    int ended = wait_all();
    printf("turns %s, children %d\n", m->text, ended);

    in_child(spin, m, 1);
    spin(m, 0);
    ended = wait_all();
    printf("spun to %d, children %d\n", m->flag, ended);

    pthread_t thread;
    in_child(raise_all, m, 200);
    in_child(raise_all, m, 200);
    fflush(stdout);
    if (!fork()) {
        execl("/proc/self/exe", "meeting", name, "100", NULL);
        _exit(127);
    }
    pthread_create(&thread, NULL, in_thread, NULL);
    raise_all(m, 100);
    pthread_join(thread, NULL);
    ended = wait_all();
    printf("raised %ld and %ld, children %d\n", atomic_load(&m->atomic), m->guarded, ended);

    abandoned(m);

    in_child(write_far, m, 5);
    wait_all();
    printf("far: '%s' %d %d\n", m->last, m->rest[0], m->rest[2 * PAGE]);

    /* Other ways to the same bytes. */
    char copy[100] = "";
    int fd = shm_open(name, O_RDWR, 0), ends[2];
    pread(fd, copy, 99, (char *)m->last - (char *)m);
    printf("read: '%s'\n", copy);
    pwrite(fd, "written over", 13, (char *)m->last - (char *)m);
    printf("written: '%s'\n", m->last);
    if (pipe(ends) || write(ends[1], m->last, 13) != 13 || read(ends[0], m->text, 13) != 13)
        return 1;
    printf("by a pipe: '%s'\n", m->text);
    const struct meeting *again = mmap(NULL, sizeof *m, PROT_READ, MAP_SHARED, fd, 0);
    m->text[0] = 'W';
    printf("mapped again: '%s'\n", again->text);
    printf("protected %d, still '%s'\n", mprotect(m, sizeof *m, PROT_READ), m->text);
    printf("not any more %d\n", mprotect(m, sizeof *m, PROT_READ | PROT_WRITE));
    char *end = (char *)m + ((sizeof *m + PAGE - 1) & ~(PAGE - 1ul));
    printf("a part unmapped %d, the rest '%s'\n", munmap(end - PAGE, PAGE), m->text);
    munmap(m, sizeof *m);
    printf("the other '%s' '%s'\n", again->text, again->last);
    printf("unlink %d", shm_unlink(name));
    printf(", again %d %s\n", shm_unlink(name), strerrorname_np(errno));
    return 0;
}

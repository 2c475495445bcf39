/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what signals do; the test compares with a native run. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf jump;
static volatile sig_atomic_t seen;
static volatile uintptr_t fault_address;
static volatile int fault_code;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    seen = signal;
    fault_address = (uintptr_t)info->si_addr;
    fault_code = info->si_code;
    siglongjmp(jump, 1);
}

static void on_signal(int signal)
{
    seen = signal;
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigaction(signal, &action, NULL);
}

static void simple(int signal, int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    sigaction(signal, &action, NULL);
}

static void faults(void)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    handle(SIGSEGV, on_fault, 0);
    handle(SIGFPE, on_fault, 0);
    handle(SIGILL, on_fault, 0);
    handle(SIGTRAP, on_fault, 0);

    if (!sigsetjmp(jump, 1))
        *(volatile int *)8 = 1;
    printf("null write: signal %d at %#lx code %d\n", seen, fault_address, fault_code);
    if (!sigsetjmp(jump, 1))
        *page = 1;
    printf("read-only write: signal %d at page %d code %d\n", seen, fault_address == (uintptr_t)page, fault_code);
    munmap(page, 4096);
    if (!sigsetjmp(jump, 1))
        printf("%d\n", *(volatile char *)page);
    printf("unmapped read: signal %d at page %d code %d\n", seen, fault_address == (uintptr_t)page, fault_code);
    if (!sigsetjmp(jump, 1))
        __asm__ volatile("cltd; idivl %1" : : "a"(1), "r"(0) : "edx");
    printf("division: signal %d code %d\n", seen, fault_code);
    if (!sigsetjmp(jump, 1))
        __asm__ volatile("ud2");
    printf("ud2: signal %d code %d\n", seen, fault_code);
    if (!sigsetjmp(jump, 1))
        __asm__ volatile("int3");
    printf("int3: signal %d\n", seen);
    void (*volatile nowhere)(void) = (void (*)(void))16;
    if (!sigsetjmp(jump, 1))
        nowhere();
    printf("jump to nowhere: signal %d at %#lx code %d\n", seen, fault_address, fault_code);
    int ends[2];
    void *volatile bad = (void *)8;
    if (pipe(ends) || write(ends[1], "x", 1) != 1)
        exit(1);
    errno = 0;
    ssize_t n = read(ends[0], bad, 1);
    printf("bad buffer: %zd errno %d\n", n, errno);
}

static void on_stack(int signal)
{
    int here;
    stack_t stack;
    sigaltstack(NULL, &stack);
    seen = (char *)&here >= (char *)stack.ss_sp && (char *)&here < (char *)stack.ss_sp + stack.ss_size ? signal : -1;
}

static void alternate(void)
{
    static char space[65536];
    stack_t stack = {.ss_sp = space, .ss_size = sizeof space};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = on_stack, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    printf("alternate stack: %d\n", seen);
}

static int deep(int n)
{
    volatile char big[4096];
    big[0] = (char)n;
    return n ? deep(n - 1) + big[0] : 0;
}

static void overflow(void)
{
    handle(SIGSEGV, on_fault, SA_ONSTACK);
    if (!sigsetjmp(jump, 1))
        printf("%d\n", deep(1 << 20));
    printf("stack overflow: signal %d code %d\n", seen, fault_code);
}

static void masks(void)
{
    sigset_t set, old;
    simple(SIGUSR2, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    seen = 0;
    kill(getpid(), SIGUSR2);
    sigset_t pending;
    sigpending(&pending);
    printf("blocked: seen %d pending %d\n", seen, sigismember(&pending, SIGUSR2));
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("unblocked: seen %d\n", seen);

    sigprocmask(SIG_BLOCK, &set, &old);
    kill(getpid(), SIGUSR2);
    struct timespec soon = {.tv_sec = 1};
    siginfo_t info;
    printf("sigtimedwait: %d\n", sigtimedwait(&set, &info, &soon));
    struct timespec none = {0};
    errno = 0;
    int result = sigtimedwait(&set, &info, &none);
    printf("sigtimedwait of nothing: %d errno %d\n", result, errno);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void timers(void)
{
    struct itimerval timer = {.it_value.tv_usec = 20000};
    int ends[2];
    char byte;
    if (pipe(ends))
        exit(1);
    simple(SIGALRM, 0);
    seen = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    errno = 0;
    ssize_t n = read(ends[0], &byte, 1);
    printf("read without SA_RESTART: %zd errno %d seen %d\n", n, errno, seen);
    seen = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    sigset_t empty;
    sigemptyset(&empty);
    errno = 0;
    int result = sigsuspend(&empty);
    printf("sigsuspend: %d errno %d seen %d\n", result, errno, seen);
    /* While computing: nothing but the signal gets us out. */
    seen = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    while (!seen)
        ;
    printf("while computing: %d\n", seen);
    struct timespec long_time = {.tv_sec = 5}, left;
    setitimer(ITIMER_REAL, &timer, NULL);
    errno = 0;
    result = nanosleep(&long_time, &left);
    printf("nanosleep: %d errno %d left over four seconds %d\n", result, errno, left.tv_sec >= 4);
}

static void *write_later(void *end)
{
    usleep(60000);
    if (write(*(int *)end, "x", 1) != 1)
        exit(1);
    return NULL;
}

static void restart(void)
{
    struct itimerval timer = {.it_value.tv_usec = 20000};
    int ends[2];
    char byte = 0;
    pthread_t thread;
    if (pipe(ends))
        exit(1);
    simple(SIGALRM, SA_RESTART);
    seen = 0;
    pthread_create(&thread, NULL, write_later, &ends[1]);
    setitimer(ITIMER_REAL, &timer, NULL);
    ssize_t n = read(ends[0], &byte, 1);
    printf("read with SA_RESTART: %zd '%c'\n", n, byte);
    pthread_join(thread, NULL);
}

static void *open_later(void *name)
{
    usleep(60000);
    int fd = open(name, O_WRONLY);
    if (fd < 0 || write(fd, "y", 1) != 1)
        exit(1);
    close(fd);
    return NULL;
}

/* A pipe that is opened anew by its descriptor waits for the other side, and goes on waiting after a signal. */
static void open_restarts(void)
{
    struct itimerval timer = {.it_value.tv_usec = 20000};
    char folder[] = "/tmp/signals-XXXXXX", name[64], link[64], byte = 0;
    pthread_t thread;
    if (!mkdtemp(folder))
        exit(1);
    snprintf(name, sizeof name, "%s/pipe", folder);
    int holder = mkfifo(name, 0600) ? -1 : open(name, O_PATH);
    snprintf(link, sizeof link, "/proc/self/fd/%d", holder);
    seen = 0;
    pthread_create(&thread, NULL, open_later, name);
    setitimer(ITIMER_REAL, &timer, NULL);
    int fd = open(link, O_RDONLY);
    ssize_t n = read(fd, &byte, 1);
    printf("open with SA_RESTART: %d, %zd '%c' seen %d\n", fd >= 0, n, byte, seen);
    if (fd < 0)
        exit(1); /* or the other side waits for ever */
    pthread_join(thread, NULL);
    unlink(name);
    rmdir(folder);
}

static double vector[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static void spoil(int signal)
{
    volatile double sum = 0;
    for (int i = 0; i < 8; i++)
        sum += vector[i] * 1.5;
    (void)sum;
    __asm__ volatile("xorps %%xmm5, %%xmm5; xorps %%xmm6, %%xmm6" : : : "xmm5", "xmm6");
    seen = signal;
}

static void registers_kept(void)
{
    struct sigaction action = {.sa_handler = spoil};
    struct itimerval timer = {.it_value.tv_usec = 10000};
    uint64_t in = 0x123456789abcdef, out = 0;
    sigaction(SIGALRM, &action, NULL);
    seen = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    __asm__ volatile("movq %1, %%xmm5\n"
                     "1: cmpl $0, %2\n"
                     "je 1b\n"
                     "movq %%xmm5, %0"
                     : "=r"(out)
                     : "r"(in), "m"(seen)
                     : "xmm5");
    printf("vector register over a handler: %s\n", in == out ? "kept" : "lost");
    out = 0;
    __asm__ volatile("movq %1, %%xmm6\n"
                     "mov $39, %%eax\n"
                     "syscall\n"
                     "movq %%xmm6, %0"
                     : "=r"(out)
                     : "r"(in)
                     : "rax", "rcx", "r11", "xmm6", "memory");
    printf("vector register over a system call: %s\n", in == out ? "kept" : "lost");
}

static pthread_t main_thread;

static void *poke(void *unused)
{
    (void)unused;
    usleep(20000);
    pthread_kill(main_thread, SIGUSR1);
    return NULL;
}

static void between_threads(void)
{
    pthread_t thread;
    simple(SIGUSR1, 0);
    main_thread = pthread_self();
    seen = 0;
    pthread_create(&thread, NULL, poke, NULL);
    while (!seen)
        ;
    printf("pthread_kill to a computing thread: %d\n", seen);
    pthread_join(thread, NULL);
    seen = 0;
    pthread_create(&thread, NULL, poke, NULL);
    errno = 0;
    int result = pause();
    printf("pthread_kill to a sleeping thread: %d errno %d seen %d\n", result, errno, seen);
    pthread_join(thread, NULL);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    faults();
    alternate();
    overflow();
    masks();
    timers();
    restart();
    open_restarts();
    registers_kept();
    between_threads();
    return 0;
}

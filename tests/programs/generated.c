/* SPDX-License-Identifier: Apache-2.0 */
/* Code that a program makes itself, and system calls in it: prints what it does. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef long function(long, long, long, long);

/* mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx; syscall; ret */
static const uint8_t call_code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};

/* lea (%rdi, %rsi), %rax; ret */
static const uint8_t add_code[] = {0x48, 0x8d, 0x04, 0x37, 0xc3};

static void *place(const void *code, size_t size, int first, int then)
{
    void *p = mmap(NULL, 8192, first, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    memcpy(p, code, size);
    if (then != first && mprotect(p, 8192, then))
        return NULL;
    return p;
}

static volatile sig_atomic_t seen;

static void handler(int signal)
{
    seen = signal;
}

static void *in_thread(void *code)
{
    function *call = (function *)code;
    long sum = 0;
    for (int i = 0; i < 200; i++)
        sum += call(SYS_getpid, 0, 0, 0) == getpid();
    return (void *)sum;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    function *call = (function *)place(call_code, sizeof call_code, PROT_READ | PROT_WRITE | PROT_EXEC,
                                       PROT_READ | PROT_WRITE | PROT_EXEC);
    printf("writable and executable: %d\n", call && call(SYS_getpid, 0, 0, 0) == getpid());
    function *strict = (function *)place(call_code, sizeof call_code, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC);
    printf("written, then executable: %d\n", strict && strict(SYS_getppid, 0, 0, 0) == getppid());
    printf("an error: %ld\n", call(SYS_close, -1, 0, 0));
    static const char text[] = "written by generated code\n";
    printf("result %ld\n", call(SYS_write, 1, (long)text, sizeof text - 1));
    signal(SIGUSR1, handler);
    printf("a signal: %ld, seen %d\n", call(SYS_kill, getpid(), SIGUSR1, 0), seen);

    function *add = (function *)place(add_code, sizeof add_code, PROT_READ | PROT_WRITE | PROT_EXEC,
                                      PROT_READ | PROT_WRITE | PROT_EXEC);
    printf("before it is changed: %ld\n", add(40, 2, 0, 0));
    ((uint8_t *)add)[3] = 0x3f; /* lea (%rdi, %rdi) */
    printf("after: %ld\n", add(40, 2, 0, 0));
    printf("no longer executable: %d\n", mprotect((void *)add, 8192, PROT_READ | PROT_WRITE));

    pthread_t threads[4];
    long total = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, in_thread, (void *)(i % 2 ? call : strict));
    for (int i = 0; i < 4; i++) {
        void *sum;
        pthread_join(threads[i], &sum);
        total += (long)sum;
    }
    printf("in threads: %ld\n", total);
    fflush(stdout);
    if (!fork()) {
        printf("in a child: %d\n", call(SYS_getpid, 0, 0, 0) == getpid());
        fflush(stdout);
        call(SYS_exit_group, 7, 0, 0);
    }
    int status;
    wait(&status);
    printf("it ended with %d\n", status >> 8);
    fflush(stdout);
    call(SYS_exit_group, 3, 0, 0);
}

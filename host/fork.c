/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is made: fork(2), whose child comes up with an enclave of its own. What the two enclaves tell each
 * other goes through two pipes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "host/thread.h"

#define PIPE_ROOM (1 << 20)

/* Descriptors that are given up when a process is made: a program that has opened all that it may can fork. */
static int reserve[16];

void fork_reserve(void)
{
    for (size_t i = 0; i < sizeof reserve / sizeof *reserve; i++)
        if (reserve[i] <= 0)
            reserve[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void reserve_release(void)
{
    for (size_t i = 0; i < sizeof reserve / sizeof *reserve; i++) {
        if (reserve[i] > 0)
            close(reserve[i]);
        reserve[i] = 0;
    }
}

static int pipes_make(int down[2], int up[2])
{
    if (pipe2(down, O_CLOEXEC))
        return -errno;
    if (pipe2(up, O_CLOEXEC)) {
        int error = errno;
        close(down[0]);
        close(down[1]);
        return -error;
    }
    fcntl(down[1], F_SETPIPE_SZ, PIPE_ROOM); /* a wish */
    return 0;
}

int64_t host_fork(int fds[2])
{
    const struct platform *platform = host.options->platform;
    int down[2], up[2];
    reserve_release();
    int error = pipes_make(down, up);
    if (error) {
        fork_reserve();
        return error;
    }
    /* Signals wait until the child can hand them to its enclave. */
    sigset_t all, old;
    sigfillset(&all);
    platform->thread_settle(host.image.machine);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    platform->fork_begin(host.image.machine);
    pid_t pid = fork();
    if (!pid) {
        close(down[1]);
        close(up[0]);
        platform->thread_end(host.image.machine);
        platform->forked(host.image.machine);
        host_run_forked(down[0], up[1]);
    }
    error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(down[0]);
    close(up[1]);
    if (pid < 0) {
        close(down[1]);
        close(up[0]);
        fork_reserve();
        return -error;
    }
    fds[0] = up[0];
    fds[1] = down[1];
    fork_reserve();
    return pid;
}

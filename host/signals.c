/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals of the host become signals of the program: whichever thread gets one enters the enclave with
 * it, or hands it over with the answer to the exit that it is serving.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/thread.h"

static void retry_later(struct host_thread *t)
{
    struct itimerspec soon = {.it_value.tv_nsec = 200000};
    if (t->retry_made)
        timer_settime(t->retry, 0, &soon, NULL);
}

/* Inside: one entry a signal. The enclave answers 1 when it only took note, being about to do
 * something else: then a blocking exit must not block. */
static void deliver_inside(struct host_thread *t, int signal)
{
    uint64_t tcs = host.image.threads_offset + t->index * THREAD_AREA_SIZE + THREAD_TCS;
    struct machine_entry entry = {.rdi = EVENT_SIGNAL, .rsi = (uint64_t)signal};
    if (host.options->platform->enter(host.image.machine, tcs, &entry) == 0 && entry.rdi == 1)
        atomic_store(&t->kicked, 1);
}

/* What a signal brings along, for the enclave to read when it takes it. */
static void note(struct host_thread *t, int signal, const siginfo_t *info)
{
    volatile struct signal_note *n =
        (volatile struct signal_note *)((uintptr_t)t->slot + SIGNAL_NOTES_OFFSET) + signal - 1;
    bool child = signal == SIGCHLD && info->si_code > 0;
    n->code_and_pid = (uint32_t)info->si_code | (uint64_t)(uint32_t)info->si_pid << 32;
    n->uid_and_status = info->si_uid | (uint64_t)(child ? (uint32_t)info->si_status : 0) << 32;
    n->value = child || info->si_code >= 0 ? 0 : (uint64_t)info->si_value.sival_ptr;
}

/* One of them says nothing of how many came: the next one waits until the enclave has taken this. */
static bool counts(int signal)
{
    return signal >= 34;
}

static void handler(int signal, siginfo_t *info, ucontext_t *context, bool inside)
{
    struct host_thread *t = self;
    if (signal == SIGUSR2 && host.options->statistics_path) {
        statistics_request();
        return;
    }
    if (!t)
        return;
    /* Ours, to make a thread look: unless it is from a timer that the enclave made, or from another process that
     * wants a page of common memory. */
    bool mine = signal == SIGNAL_LOOK && info->si_code != SI_USER &&
                (info->si_code != SI_TIMER || info->si_value.sival_int != SIGNAL_LOOK_TIMER);
    if (!mine)
        note(t, signal, info);
    if (counts(signal) && signal != SIGNAL_LOOK)
        sigaddset(&context->uc_sigmask, signal);
    if (inside) {
        uint64_t pending = atomic_exchange(&t->pending, 0);
        if (!mine)
            pending |= 1ull << (signal - 1);
        if (!pending)
            deliver_inside(t, 0);
        for (; pending; pending &= pending - 1)
            deliver_inside(t, __builtin_ctzll(pending) + 1);
        return;
    }
    if (!mine)
        atomic_fetch_or(&t->pending, 1ull << (signal - 1));
    if (atomic_load(&t->phase) == PHASE_ENTERING) {
        retry_later(t);
        return;
    }
    atomic_store(&t->kicked, 1);
    greg_t *rip = &context->uc_mcontext.gregs[REG_RIP];
    if ((uint64_t)*rip >= (uint64_t)interruptible_begin && (uint64_t)*rip < (uint64_t)interruptible_end)
        *rip = (greg_t)interruptible_abort;
}

void signal_interrupt(struct host_thread *t)
{
    int tid = atomic_load(&t->tid);
    if (tid)
        syscall(SYS_tgkill, getpid(), tid, SIGNAL_LOOK);
}

/* Those of which the kernel asks what becomes of them before there is one: the terminal's, the children's. */
static bool asked_by_kernel(int signal)
{
    return signal == SIGCHLD || signal == SIGTTIN || signal == SIGTTOU || signal == SIGTSTP;
}

static bool ignored(int signal)
{
    struct sigaction action;
    return !sigaction(signal, NULL, &action) && action.sa_handler == SIG_IGN;
}

/* Whether it is let in to this thread, and what waits meanwhile. */
static int64_t flow(int signal, int way)
{
    const struct timespec now = {0};
    siginfo_t info;
    sigset_t only;
    sigemptyset(&only);
    if (signal == SIGNAL_LOOK || sigaddset(&only, signal))
        return -EINVAL;
    if (way != SIGNAL_FETCH)
        return -pthread_sigmask(way == SIGNAL_HOLD ? SIG_BLOCK : SIG_UNBLOCK, &only, NULL);
    if (sigtimedwait(&only, &info, &now) != signal)
        return 0;
    note(self, signal, &info);
    return 1;
}

int64_t signal_way(int signal, int way, int flags)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    if (way == SIGNAL_HOLD || way == SIGNAL_LET || way == SIGNAL_FETCH)
        return flow(signal, way);
    if (!asked_by_kernel(signal))
        return -EINVAL;
    if (way == SIGNAL_TAKE) {
        int error = host.options->platform->signal(signal, handler);
        if (error || sigaction(signal, NULL, &action))
            return error ? error : -errno;
    }
    action.sa_flags |= flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);
    return sigaction(signal, &action, NULL) ? -errno : 0;
}

/* Its default action, for which it must have that and be let in for a moment. Whether the process does stop is
 * the kernel's to say: one that nobody could continue does not. */
int signal_stop(int signal)
{
    struct sigaction taken, plain = {.sa_handler = SIG_DFL};
    sigset_t only;
    if (signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU)
        signal = SIGSTOP;
    else if (sigaction(signal, &plain, &taken))
        return -errno;
    sigemptyset(&only);
    sigaddset(&only, signal);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
    if (signal != SIGSTOP)
        sigaction(signal, &taken, NULL);
    return 0;
}

int signals_start(void)
{
    for (int signal = 1; signal <= 64; signal++) {
        switch (signal) {
        case SIGKILL:
        case SIGSTOP:
        case SIGPIPE: /* the LibOS raises it itself when a write says EPIPE */
        case 32:
        case 33: /* the C library's own */
            continue;
        }
        if (asked_by_kernel(signal) && ignored(signal))
            continue; /* as it is for the program */
        int error = host.options->platform->signal(signal, handler);
        if (error)
            return error;
    }
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    return 0;
}

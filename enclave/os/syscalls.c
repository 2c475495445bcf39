/* SPDX-License-Identifier: Apache-2.0 */
/* The table of system calls, and what happens around each. */
#include "enclave/os/syscalls.h"

#include <errno.h>
#include <stddef.h>

#include <asm/unistd_64.h>

#include "abi/arena.h"
#include "abi/syscall_names.h"
#include "enclave/boundary/arena.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/boundary/log.h"
#include "enclave/os/coherent.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream.h"
#include "enclave/io/flush.h"
#include "enclave/os/syscall_files.h"
#include "enclave/os/syscall_ipc.h"
#include "enclave/os/syscall_memory.h"
#include "enclave/os/syscall_time.h"
#include "enclave/os/thread.h"
#include "enclave/os/trace.h"
#include "enclave/os/world.h"

#define SYSCALLS_PROCESS(X)                                                                        \
    X(prlimit64) X(getrlimit) X(setrlimit) X(getpid) X(getppid) X(getuid) X(geteuid) X(getgid)     \
    X(getegid) X(uname) X(sysinfo) X(arch_prctl) X(prctl) X(getrandom) X(getgroups) X(getresuid)   \
    X(getresgid) X(capget) X(setitimer) X(getitimer) X(alarm) X(getpgid) X(getpgrp) X(getsid)      \
    X(setpgid) X(setsid) X(personality) X(setuid) X(setgid) X(setreuid) X(setregid) X(setresuid)   \
    X(setresgid)

#define SYSCALLS_THREAD(X)                                                                         \
    X(clone) X(clone3) X(fork) X(vfork) X(exit) X(exit_group) X(set_tid_address) X(gettid)         \
    X(set_robust_list) X(get_robust_list) X(futex) X(execve) X(execveat)   \
    X(wait4) X(waitid)

#define SYSCALLS_SIGNAL(X)                                                                         \
    X(rt_sigreturn) X(rt_sigaction) X(rt_sigprocmask) X(rt_sigpending) X(rt_sigsuspend) X(pause)   \
    X(rt_sigtimedwait) X(sigaltstack) X(kill) X(tgkill) X(tkill) X(rt_sigqueueinfo)         \
    X(rt_tgsigqueueinfo)

#define SYSCALLS_TIMER(X)                                                                          \
    X(timer_create) X(timer_settime) X(timer_gettime) X(timer_getoverrun) X(timer_delete)

#define SYSCALLS_CREDENTIALS(X)                                                                    \
    X(setgroups) X(setfsuid) X(setfsgid) X(capset) X(chroot)

#define SYSCALLS_SCHEDULE(X)                                                                       \
    X(sched_getaffinity) X(sched_setaffinity) X(sched_yield) X(sched_getscheduler)                 \
    X(sched_getparam) X(sched_setscheduler) X(sched_setparam) X(sched_getattr) X(sched_setattr)    \
    X(sched_rr_get_interval) X(sched_get_priority_max) X(sched_get_priority_min) X(getpriority)    \
    X(setpriority) X(ioprio_get) X(ioprio_set) X(getcpu) X(membarrier) X(rseq)

#define SYSCALLS_PIDFD(X)                                                                          \
    X(pidfd_open) X(pidfd_send_signal) X(pidfd_getfd)

#define SYSCALLS(X)                                                                                \
    SYSCALLS_FILES(X) SYSCALLS_MEMORY(X) SYSCALLS_TIME(X) SYSCALLS_PROCESS(X) SYSCALLS_THREAD(X)   \
    SYSCALLS_SIGNAL(X) SYSCALLS_TIMER(X) SYSCALLS_CREDENTIALS(X) SYSCALLS_SCHEDULE(X)              \
    SYSCALLS_PIDFD(X) SYSCALLS_IPC(X)

#define DECLARE(name) SYSCALL(name);
SYSCALLS(DECLARE)
#undef DECLARE

typedef int64_t handler(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static handler *const table[STATISTICS_SYSCALLS] = {
#define ENTRY(name) [__NR_##name] = sys_##name,
    SYSCALLS(ENTRY)
#undef ENTRY
};

/* What each thread counted; published word by word where --stats asks. */
static struct statistics_thread *counts[THREADS_MAX];

static void count(uint64_t number, bool trapped)
{
    struct thread_block *block = thread_block();
    if (!block->statistics_address || number >= STATISTICS_SYSCALLS)
        return;
    struct statistics_thread **mine = &counts[block->index];
    if (!*mine && !(*mine = alloc(sizeof **mine)))
        return;
    uint64_t *counter = trapped ? &(*mine)->trapped[number] : &(*mine)->rewritten[number];
    uint64_t offset = (uint64_t)((uint8_t *)counter - (uint8_t *)*mine);
    untrusted_store((struct untrusted){block->statistics_address + offset}, ++*counter);
}

void syscalls_count_anew(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        if (counts[i])
            memset(counts[i], 0, sizeof *counts[i]);
}

static const char *name_of(uint64_t number)
{
    return number < ARRAY_SIZE(syscall_names) && syscall_names[number] ? syscall_names[number] : "?";
}

static int64_t unknown(uint64_t number)
{
    static uint64_t said[STATISTICS_SYSCALLS / 64 + 1];
    uint64_t i = MIN(number, STATISTICS_SYSCALLS), bit = 1ull << (i % 64);
    if (!(__atomic_fetch_or(&said[i / 64], bit, __ATOMIC_RELAXED) & bit))
        log_info("system call %lu (%s) is not supported: ENOSYS", number, name_of(number));
    return -ENOSYS;
}

/* An interrupted call: again at once when no handler is to run, by way of the program's own registers
 * when one is and allows it. True: run the handler again now. */
static bool again(struct registers *r, int64_t *result)
{
    bool restart;
    if (*result != RESTART_SYS && *result != RESTART_NOHAND && *result != RESTART_ALWAYS)
        return false;
    streams_service(); /* another thread may have interrupted it for that */
    signal_collect();
    if (!signal_deliverable(&restart))
        return true;
    if ((*result == RESTART_SYS && restart) || *result == RESTART_ALWAYS) {
        /* After the handler the program comes to syscall_again with its registers as they were. */
        r->rax = r->number;
        r->rcx = r->rip;
        r->rip = (uint64_t)syscall_again;
        *result = (int64_t)r->number;
    } else {
        *result = -EINTR;
    }
    return false;
}

/* Calls that come back, if at all, with other registers than they were made with. */
static bool returns(uint64_t number)
{
    return number != __NR_exit && number != __NR_exit_group && number != __NR_rt_sigreturn;
}

void syscall_dispatch(struct registers *r, bool trapped)
{
    uint64_t number = r->number;
    int64_t result;
    count(number, trapped);
    if (log_threshold >= LOG_TRACE && !returns(number)) {
        const uint64_t argument[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
        trace_last_call(current()->tid, number, argument);
    }
    do {
        handler *h = number < STATISTICS_SYSCALLS ? table[number] : NULL;
        result = h ? h(r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9) : unknown(number);
    } while (again(r, &result));
    if (current()->restore_mask)
        signal_mask_settle(result == -EINTR);
    if (log_threshold >= LOG_TRACE) {
        const uint64_t argument[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
        bool restarts = r->rip == (uint64_t)syscall_again;
        trace_call(current()->tid, number, argument, restarts ? RESTART_SYS : result, trapped);
    }
    r->rax = (uint64_t)result;
}

void os_return(struct registers *r)
{
    io_flush(); /* the host reminds us so of what was put off */
    coherent_take_away();
    streams_service();
    signal_collect();
    world_point();
    signal_deliver(r);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A thread of the program, on one TCS. */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "enclave/entry/thread_block.h"
#include "enclave/lib/list.h"
#include "enclave/lib/lock.h"
#include "enclave/os/signal_queue.h"

enum sleep_kind {
    SLEEP_NOT,
    SLEEP_PARKED, /* in EXIT_PARK */
    SLEEP_HOST,   /* in another exit that waits */
};

struct thread {
    struct thread_block *block;
    uint32_t index; /* of the TCS */
    int tid;        /* as the program sees it; the first thread's is the pid */
    bool live;
    bool ending;    /* atomic: another thread executes a program: this one ends at the next point */
    char name[16];

    /* signals: guarded by process.signal_lock but for the thread's own mask */
    uint64_t mask;         /* bit n-1: signal n is blocked */
    struct signal_queue signals; /* directed at this thread */
    uint64_t held;               /* signals that its host thread is not sent for the time being */
    uint64_t saved_mask;   /* to restore after sigsuspend, ppoll, pselect, epoll_pwait */
    bool restore_mask;
    uint64_t waiting_for; /* in sigtimedwait */
    stack_t alternate_stack;

    uint64_t clear_child_tid; /* user address, 0: none */
    uint64_t robust_list;
    uint64_t robust_list_size;

    uint64_t fault_address; /* of the last page fault that was to be tried again, */
    uint64_t fault_changes; /* after so many changes of pages */
    uint32_t fault_repeats;

    /* sleeping: see wait.h */
    uint32_t woken;
    uint32_t asleep; /* enum sleep_kind */
};

static inline struct thread *current(void)
{
    return thread_block()->thread;
}

void threads_start(void); /* makes the table; the caller is the first thread */
struct thread *thread_find(int tid); /* NULL: no such thread */
struct thread *thread_first(void);   /* whose tid is the pid; it may have ended */
/* The calling thread, the only one, is the first from now on, as it is after execve. */
void thread_become_first(void);
/* A thread that is none of the program's: it runs main(argument), which never returns, and has no part in anything
 * that is done to or by all threads. Before there are others of the program's. 0 or -errno. */
int thread_start_background(void (*main)(uint64_t argument), uint64_t argument);
/* Ends the calling thread without a word to the program. */
_Noreturn void thread_vanish(void);

/*
 * Sleep until thread_wake(this), a signal that this thread would take, or the timeout.
 * `timeout_ns`: relative, UINT64_MAX: none. A wake that came since thread_sleep_prepare() is not lost.
 * Returns 0 (woken), -ETIMEDOUT, -EINTR. One exit.
 */
void thread_sleep_prepare(void);
int thread_sleep(uint64_t timeout_ns);
/* Wake it: an exit only if it sleeps. */
void thread_wake(struct thread *t);
/*
 * Around an exit that waits for the host and is EXIT_INTERRUPTIBLE: a wake ends it. begin: true: one came since
 * thread_sleep_prepare(): there is nothing to wait for.
 */
bool thread_wait_begin(void);
void thread_wait_end(void);

/* Is there a signal that the current thread must act on before it goes on? No exit. */
bool signal_pending(void);

/* The process or its program ends: robust mutexes that its threads hold are abandoned, for other processes to see. */
void threads_abandon(void);

/* The name of a thread of ours has changed: others may see it, in a development configuration. */
void thread_named(const struct thread *t);

#endif

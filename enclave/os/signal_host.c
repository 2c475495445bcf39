/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals that come from the host. It knows nothing of the program's masks, so each one interrupts a thread here, which
 * takes note of it. Where many come of one that all threads block, they would do nothing else any more: so from some
 * number on the host keeps them back, as the kernel itself does, and they are fetched one by one when those that wait
 * here have been taken.
 *
 * Of real-time signals each counts. So the host lets no other one in to a thread that has got one (on its way here it
 * is but a bit) until the thread has taken note of it and says so.
 */
#include "enclave/os/signal.h"

#include <errno.h>
#include <signal.h>

#include "abi/exits.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/order.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/os/common.h"
#include "enclave/os/process.h"
#include "enclave/os/timer.h"
#include "enclave/os/wait.h"

#define CROWD 64 /* signals that wait, or came for nothing */

/* What the host tells of a signal, as far as it can be: none that only an exception has, no child that is
 * none. */
static struct signal_cause noted_cause(int signal)
{
    struct signal_note note = exit_signal_note(signal);
    struct signal_cause cause = {.code = (int32_t)note.code_and_pid,
                                 .pid = (int32_t)(note.code_and_pid >> 32),
                                 .uid = (uint32_t)note.uid_and_status,
                                 .status = (int32_t)(note.uid_and_status >> 32),
                                 .value = note.value};
    bool child = signal == SIGCHLD && cause.code >= CLD_EXITED && cause.code <= CLD_CONTINUED;
    if (cause.pid < 0 || (cause.code > 0 && cause.code != SI_KERNEL && !child) ||
        (child && !children_have(cause.pid)))
        cause = (struct signal_cause){.code = SI_USER};
    return cause;
}

static int64_t tell_host(int signal, enum signal_way way)
{
    return exit_checked(EXIT_SIGNAL, 0, way == SIGNAL_FETCH, (uint64_t)signal, way, 0, 0, 0, 0);
}

static bool counted(int signal)
{
    return signal >= SIGNAL_COUNTED_FIRST;
}

/* A signal for the process is here. Is the host to keep others back? */
static void queue(int signal)
{
    struct signal_cause cause = noted_cause(signal);
    struct signal_queue *q = &process.signals;
    lock_take(&process.signal_lock);
    int error = signal_queue_add(q, signal, &cause);
    struct thread *t = error ? NULL : signal_receiver(signal);
    if (!t && q->entries + q->spare >= CROWD)
        process.signals_held |= SIGNAL_BIT(signal);
    lock_release(&process.signal_lock);
    if (t)
        signal_nudge(t);
}

/* This thread's host thread holds what is held, and nothing else. */
static void hold_and_let(void)
{
    struct thread *me = current();
    lock_take(&process.signal_lock);
    uint64_t let = me->held & ~process.signals_held;
    me->held &= ~let;
    lock_release(&process.signal_lock);
    for (; let; let &= let - 1)
        tell_host(__builtin_ctzll(let) + 1, SIGNAL_LET);
}

static void arrived(int signal)
{
    struct thread *me = current();
    queue(signal);
    lock_take(&process.signal_lock);
    bool hold = !counted(signal) && process.signals_held & ~me->held & SIGNAL_BIT(signal);
    if (hold || counted(signal))
        me->held |= SIGNAL_BIT(signal);
    lock_release(&process.signal_lock);
    if (hold)
        tell_host(signal, SIGNAL_HOLD);
}

void signal_collect(void)
{
    struct thread_block *block = thread_block();
    block->pending = 0;
    uint64_t host = __atomic_exchange_n(&block->host_signals, 0, __ATOMIC_RELAXED);
    if (host & SIGNAL_BIT(SIGNAL_LOOK)) {
        timers_look();
        order_before();
        common_serve();
    }
    host &= ~SIGNAL_BIT(SIGNAL_LOOK);
    if (host)
        order_after();
    for (; host; host &= host - 1)
        arrived(__builtin_ctzll(host) + 1);
    if (current()->held)
        hold_and_let();
}

/* With signal_lock held: the host keeps it back, and nothing of it waits here. */
static bool held_for_nothing(int signal)
{
    return process.signals_held & ~process.signals.pending & SIGNAL_BIT(signal);
}

/* It comes by itself again, to all threads. */
static void let_all(int signal)
{
    lock_take(&process.signal_lock);
    bool over = held_for_nothing(signal);
    if (over)
        process.signals_held &= ~SIGNAL_BIT(signal);
    for (uint32_t i = 0; over && i < process.thread_count; i++) {
        struct thread *t = &process.threads[i];
        if (t->live && t != current() && t->held & SIGNAL_BIT(signal))
            signal_nudge(t);
    }
    lock_release(&process.signal_lock);
    if (over)
        hold_and_let();
}

void signal_taken(int signal)
{
    lock_take(&process.signal_lock);
    bool fetch = held_for_nothing(signal);
    lock_release(&process.signal_lock);
    if (!fetch)
        return;
    /* Of one that is not counted, what waits there came before this was taken. */
    if (tell_host(signal, SIGNAL_FETCH) && counted(signal))
        queue(signal);
    else
        let_all(signal);
}

void signal_dropped(int signal)
{
    lock_take(&process.signal_lock);
    bool fetch = held_for_nothing(signal);
    lock_release(&process.signal_lock);
    while (fetch && tell_host(signal, SIGNAL_FETCH) == 1)
        ;
    if (fetch)
        let_all(signal);
}

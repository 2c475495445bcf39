/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/world.h"

#include "abi/exits.h"
#include "enclave/boundary/exit.h"
#include "enclave/io/flush.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream.h"
#include "enclave/os/thread.h"

static struct {
    struct lock lock;       /* guards what follows */
    struct thread *stopper; /* who has it stopped, NULL: it runs */
    bool copying;           /* to copy it; set with stopper */
    uint32_t paused;        /* threads at a point that stay there while it is stopped */
} world;

/* Until somebody unparks this thread; or for no reason. The caller looks again. */
static void park(void)
{
    exit_checked(EXIT_PARK, 0, 0, UINT64_MAX, 0, 0, 0, 0, 0);
}

static void unpark(const struct thread *t)
{
    exit_checked(EXIT_UNPARK, 0, 0, t->index, 0, 0, 0, 0, 0);
}

static bool asked(const struct thread *me)
{
    /* After the caller has taken note of what was pending: who stops the world says so, then nudges. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    const struct thread *stopper = __atomic_load_n(&world.stopper, __ATOMIC_RELAXED);
    return (stopper && stopper != me) || __atomic_load_n(&me->ending, __ATOMIC_RELAXED);
}

/* With the lock held; it stays counted until the world runs. */
static void wait_for_resume(void)
{
    while (world.stopper) {
        lock_release(&world.lock);
        park();
        lock_take(&world.lock);
    }
}

void world_pause_begin(void)
{
    lock_take(&world.lock);
    world.paused++;
    struct thread *stopper = world.stopper;
    lock_release(&world.lock);
    if (stopper)
        unpark(stopper);
}

void world_pause_end(void)
{
    lock_take(&world.lock);
    wait_for_resume();
    world.paused--;
    lock_release(&world.lock);
    if (__atomic_load_n(&current()->ending, __ATOMIC_RELAXED))
        thread_vanish();
}

void world_left(void)
{
    /* The count was changed before, and who stops the world looks at it after it has said that it does. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    const struct thread *stopper = __atomic_load_n(&world.stopper, __ATOMIC_RELAXED);
    if (stopper && stopper != current())
        unpark(stopper);
}

void world_point(void)
{
    if (!asked(current()))
        return;
    /* Who stops it has said why before; it may have gone on since, to no harm. */
    bool suspend = __atomic_load_n(&world.copying, __ATOMIC_RELAXED);
    if (suspend)
        world_suspend();
    world_pause_begin();
    world_pause_end();
    if (suspend)
        streams_resume();
}

void world_suspend(void)
{
    io_flush();
    streams_suspend();
}

static bool still(void)
{
    lock_take(&process.threads_lock);
    lock_take(&world.lock);
    bool result = world.paused == process.threads_live - 1;
    lock_release(&world.lock);
    lock_release(&process.threads_lock);
    return result;
}

void world_stop(bool copy)
{
    for (;;) {
        lock_take(&world.lock);
        bool mine = !world.stopper;
        if (mine) {
            __atomic_store_n(&world.copying, copy, __ATOMIC_RELAXED);
            __atomic_store_n(&world.stopper, current(), __ATOMIC_SEQ_CST);
        }
        lock_release(&world.lock);
        if (mine)
            break;
        world_point();
    }
    if (still())
        return;
    signal_nudge_others();
    while (!still())
        park();
}

void world_resume(void)
{
    lock_take(&world.lock);
    __atomic_store_n(&world.stopper, NULL, __ATOMIC_SEQ_CST);
    uint32_t paused = world.paused;
    lock_release(&world.lock);
    for (uint32_t i = 0; i < process.thread_count && paused; i++) {
        struct thread *t = &process.threads[i];
        if (t != current() && __atomic_load_n(&t->live, __ATOMIC_ACQUIRE))
            unpark(t);
    }
}

void world_restart(void)
{
    world.stopper = NULL;
    world.paused = 0;
}

void world_end_others(void)
{
    world_stop(false);
    for (uint32_t i = 0; i < process.thread_count; i++)
        if (&process.threads[i] != current())
            __atomic_store_n(&process.threads[i].ending, true, __ATOMIC_RELAXED);
    __atomic_store_n(&process.last, current(), __ATOMIC_SEQ_CST);
    world_resume();
    while (__atomic_load_n(&process.threads_live, __ATOMIC_SEQ_CST) > 1)
        park();
    __atomic_store_n(&process.last, NULL, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < process.thread_count; i++)
        process.threads[i].ending = false;
}

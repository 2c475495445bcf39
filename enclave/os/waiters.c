/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/waiters.h"

#include "enclave/lib/lib.h"
#include "enclave/os/thread.h"

void waiters_add(struct waiters *l, struct waiter *w, uint32_t events, bool one)
{
    w->in = l;
    w->thread = current();
    w->events = events;
    w->one = one;
    lock_take(&l->lock);
    if (!l->list.next)
        list_init(&l->list);
    list_append(&l->list, &w->list);
    /* Before the caller looks at what it waits for. */
    __atomic_add_fetch(&l->count, 1, __ATOMIC_SEQ_CST);
    lock_release(&l->lock);
}

void waiter_remove(struct waiter *w)
{
    if (!w->in)
        return;
    lock_take(&w->in->lock);
    list_remove(&w->list);
    __atomic_sub_fetch(&w->in->count, 1, __ATOMIC_RELAXED);
    lock_release(&w->in->lock);
    w->in = NULL;
}

void waiters_wake_noted(struct woken *w)
{
    while (w->count)
        thread_wake(w->threads[--w->count]);
}

static void note(struct waiters *l, uint32_t events, bool every, struct woken *w)
{
    bool one = false;
    /* The change was made before: either we see who waits, or it sees the change. */
    if (!__atomic_fetch_add(&l->count, 0, __ATOMIC_SEQ_CST)) /* a barrier, as a load is not */
        return;
    lock_take(&l->lock);
    list_for_each(i, &l->list)
    {
        const struct waiter *waiter = container_of(i, struct waiter, list);
        if (!(waiter->events & events) || (waiter->one && one && !every) || waiter->thread == current())
            continue;
        one |= waiter->one;
        if (w->count == WOKEN_MAX)
            waiters_wake_noted(w); /* a crowd */
        w->threads[w->count++] = waiter->thread;
    }
    lock_release(&l->lock);
}

void waiters_note_all(struct waiters *l, struct woken *w)
{
    note(l, UINT32_MAX, true, w);
}

void waiters_wake(struct waiters *l, uint32_t events)
{
    struct woken w = {.count = 0};
    note(l, events, false, &w);
    waiters_wake_noted(&w);
}

void waiters_wake_all(struct waiters *l)
{
    struct woken w = {.count = 0};
    note(l, UINT32_MAX, true, &w);
    waiters_wake_noted(&w);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/ring_watch.h"

#include <poll.h>
#include <stdbool.h>

#include "enclave/lib/lib.h"

/* In the place of what is reported: nobody watches any more. */
#define ORPHAN UINT32_MAX

struct ring_watch {
    struct uring_op op;
    struct uring *ring;
    uint32_t reported; /* atomic: who is last of the two that end it frees it */
};

/* The last that the ring's thread does with it. */
static void done(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct ring_watch *w = container_of(op, struct ring_watch, op);
    uint32_t reported = result <= 0 ? POLLERR : (uint32_t)result;
    (void)buffer;
    if (more) /* which the kernel does not say of such an operation */
        return;
    if (__atomic_exchange_n(&w->reported, reported, __ATOMIC_ACQ_REL) == ORPHAN)
        alloc_free(w);
}

struct ring_watch *ring_watch_start(struct uring *u, int host_fd, uint32_t events)
{
    struct ring_watch *w = alloc(sizeof *w);
    if (!w)
        return NULL;
    w->op.done = done;
    w->ring = u;
    if (!uring_poll(u, &w->op, host_fd, events))
        return w;
    alloc_free(w);
    return NULL;
}

bool ring_watch_mine(const struct ring_watch *w)
{
    return w->ring == uring_existing();
}

uint32_t ring_watch_reported(const struct ring_watch *w)
{
    return __atomic_load_n(&w->reported, __ATOMIC_ACQUIRE);
}

void ring_watch_forget(struct ring_watch *w)
{
    alloc_free(w);
}

uint32_t ring_watch_end(struct ring_watch *w)
{
    bool mine = ring_watch_mine(w);
    uint32_t reported = __atomic_exchange_n(&w->reported, ORPHAN, __ATOMIC_ACQ_REL);
    if (reported)
        alloc_free(w);
    else if (mine) /* only its thread can cancel it; else it goes with the ring */
        uring_cancel(w->ring, &w->op);
    return reported;
}

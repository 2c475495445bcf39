/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/ring_watch.h"

#include <poll.h>
#include <stdbool.h>

#include "enclave/lib/lib.h"

struct ring_watch {
    struct uring_op op;
    struct uring *ring;
    uint32_t reported;
    bool orphan; /* nobody waits for it any more */
};

static void done(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct ring_watch *w = container_of(op, struct ring_watch, op);
    (void)buffer, (void)more;
    if (w->orphan)
        alloc_free(w);
    else
        w->reported = result < 0 ? POLLERR : (uint32_t)result;
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

uint32_t ring_watch_end(struct ring_watch *w)
{
    uint32_t reported = w->reported;
    if (!w->op.slot) {
        alloc_free(w);
        return reported;
    }
    w->orphan = true;
    uring_cancel(w->ring, &w->op);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of the host by which much arrives: all that is there is read at once, into a buffer in the arena. */
#include <errno.h>
#include <fcntl.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/enclave.h"
#include "enclave/io/moderate.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream_parts.h"
#include "enclave/os/time.h"
#include "enclave/os/wait.h"

#define AHEAD_BYTES 0x40000u /* more would not stay in the cache of a core, by which it is copied */
#define AHEAD_MOST 16u        /* streams that have such a buffer at once */
#define AHEAD_LITTLE 0x4000u  /* less than this, AHEAD_PATIENCE times in a row, is not much any more */
#define AHEAD_PATIENCE 8u
#define UNIT_SHIFT 14         /* what counts as a packet for io/moderate.h: 16 KiB */

struct ahead {
    uint64_t place; /* in the arena, AHEAD_BYTES long */
    bool busy;      /* a thread reads into it */
    bool full;      /* the last time there was as much as it takes */
    uint32_t little; /* so often in a row there was little */
    uint64_t bytes; /* in all */
    uint64_t drained; /* TSC when there was nothing more, */
    uint64_t exits;   /* and order.exits before */
    struct moderation naps;
};

static uint32_t buffers; /* of those that there are; atomic */

static struct ahead *ahead_new(void)
{
    bool room = __atomic_add_fetch(&buffers, 1, __ATOMIC_RELAXED) <= AHEAD_MOST;
    struct ahead *a = room ? alloc(sizeof *a) : NULL;
    if (a && (a->place = arena_pool_take(AHEAD_BYTES)))
        return a;
    alloc_free(a);
    __atomic_sub_fetch(&buffers, 1, __ATOMIC_RELAXED);
    return NULL;
}

void stream_ahead_free(struct stream *s)
{
    if (!s->ahead)
        return;
    arena_pool_free(s->ahead->place, AHEAD_BYTES);
    alloc_free(s->ahead);
    s->ahead = NULL;
    __atomic_sub_fetch(&buffers, 1, __ATOMIC_RELAXED);
}

struct untrusted stream_ahead_data(const struct stream *s)
{
    return arena_at(s->ahead->place);
}

void stream_offer_ahead(struct file *f)
{
    struct stream *s = !enclave.rings || f->inherited || children_any() || epoll_watched(f) ? NULL : stream_of(f);
    if (!s || s->local)
        return;
    lock_take(&s->lock);
    if (!s->ahead && !s->crowded && s->state == STREAM_OFF)
        s->ahead = ahead_new();
    lock_release(&s->lock);
}

void stream_never_ahead(struct file *f)
{
    struct stream *s = stream_of(f);
    if (!s)
        return;
    lock_take(&s->lock);
    s->crowded = true;
    lock_release(&s->lock);
}

/* With the lock held. Who waits by epoll is told by the host, and what several read, threads at once or a child, is not to
 * be theirs who asked first. */
static bool usable(const struct file *f, const struct stream *s)
{
    return s->ahead && !s->ahead->busy && !s->crowded && s->state == STREAM_OFF && !s->first && !s->receive_error &&
           !epoll_watched(f) && !children_any();
}

bool stream_reads_ahead(const struct file *f)
{
    const struct stream *s = __atomic_load_n(&f->stream, __ATOMIC_ACQUIRE);
    return s && __atomic_load_n(&s->ahead, __ATOMIC_RELAXED);
}

/* A thread alone reads into the buffer. others: so many threads may be receiving that are not this one. */
static bool begin(struct file *f, uint32_t others)
{
    struct stream *s = f->stream;
    lock_take(&s->lock);
    s->crowded |= s->ahead && (s->ahead->busy || __atomic_load_n(&f->receivers, __ATOMIC_SEQ_CST) > others);
    if (s->ahead && !s->ahead->busy && !s->first && (s->ahead->little >= AHEAD_PATIENCE || s->crowded))
        stream_ahead_free(s);
    bool good = usable(f, s);
    if (good)
        s->ahead->busy = true;
    lock_release(&s->lock);
    return good;
}

/* The buffer is free again, and nothing was read. */
static void leave(struct stream *s)
{
    lock_take(&s->lock);
    s->ahead->busy = false;
    lock_release(&s->lock);
}

static void end(struct stream *s, int64_t result, uint64_t exits)
{
    struct ahead *a = s->ahead;
    struct piece *p = result > 0 ? alloc(sizeof *p) : NULL;
    lock_take(&s->lock);
    a->busy = false;
    a->full = result == AHEAD_BYTES;
    a->drained = __builtin_ia32_rdtsc();
    a->exits = exits;
    if (p) {
        *p = (struct piece){.buffer = STREAM_AHEAD, .length = (uint32_t)result, .charge = (uint32_t)result};
        stream_piece_push(s, p);
        a->bytes += (uint64_t)result;
        a->little = result < AHEAD_LITTLE ? a->little + 1 : 0;
    } else if (result > 0) {
        s->receive_error = ENOMEM; /* what is lost must not go unnoticed */
    }
    bool others = s->crowded;
    lock_release(&s->lock);
    if (p && others)
        signal_nudge_others();
}

static uint64_t exits_now(void)
{
    return __atomic_load_n(&order.exits, __ATOMIC_RELAXED);
}

/* With a->busy. Nothing was left a moment ago, who waits for more naps, and no news has come since. */
static bool empty(const struct ahead *a, uint64_t exits)
{
    return !a->full && a->naps.phase != NAP_PLAIN && a->exits + 1 == exits &&
           __builtin_ia32_rdtsc() - a->drained < NAP_US * time_tsc_per_ms() / 1000;
}

/* With a->busy, or the lock held. */
static bool naps(struct ahead *a)
{
    uint64_t units = a->bytes >> UNIT_SHIFT;
    return !a->full && moderate(&a->naps, units, units, __builtin_ia32_rdtsc(), time_tsc_per_ms());
}

enum stream_look stream_ahead_look(struct file *f)
{
    struct stream *s = f->stream;
    lock_take(&s->lock);
    enum stream_look look = STREAM_WAIT;
    if (usable(f, s))
        look = s->ahead->full ? STREAM_LOOK : naps(s->ahead) ? STREAM_NAP : STREAM_WAIT;
    lock_release(&s->lock);
    return look;
}

bool stream_ahead_fill(struct file *f)
{
    struct stream *s = f->stream;
    if (!begin(f, 0))
        return false;
    uint64_t exits = exits_now();
    int64_t n = host_recv_arena(f->host_fd, stream_ahead_data(s), AHEAD_BYTES, MSG_DONTWAIT, 0);
    if (n < 0 && n != -EAGAIN && n != -EINTR) {
        lock_take(&s->lock);
        s->receive_error = (int)-n; /* the host does not tell it again */
        lock_release(&s->lock);
    }
    end(s, n, exits);
    return n > 0;
}

int64_t stream_ahead_receive(struct file *f, const struct iovec *v, int count, int flags)
{
    struct stream *s = f->stream;
    if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL) || !begin(f, 1))
        return STREAM_NOT;
    bool wait = !(f->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT);
    uint64_t exits = exits_now();
    if (!wait && empty(s->ahead, exits)) {
        leave(s);
        return -EAGAIN;
    }
    if (wait && naps(s->ahead))
        host_nap(NAP_NS);
    int64_t n = host_recv_arena(f->host_fd, stream_ahead_data(s), AHEAD_BYTES, flags & ~MSG_WAITALL, EXIT_INTERRUPTIBLE);
    end(s, n, exits);
    return n > 0 ? stream_receive(f, v, count, flags | MSG_DONTWAIT) : n;
}

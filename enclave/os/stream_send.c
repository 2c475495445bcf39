/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream is to send: gathered in the arena, sent with the next enter. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream_parts.h"

#define CHUNK_SIZE 16384u
#define SEND_DIRECT 32768u    /* so much at once goes by an exit, when nothing is ahead of it */
#define CHUNKS_KEPT 256u

/* Bytes to be sent, in the arena. */
struct chunk {
    struct chunk *next;
    struct untrusted data;
    uint32_t start, length; /* from start on it is not sent yet, as far as is known */
};

static struct {
    struct lock lock; /* guards the free ones */
    struct chunk *free;
    uint32_t free_count;
} all;

/* ---- chunks ---- */

static struct chunk *chunk_take(void)
{
    lock_take(&all.lock);
    struct chunk *c = all.free;
    if (c) {
        all.free = c->next;
        all.free_count--;
    }
    lock_release(&all.lock);
    if (!c && (c = alloc(sizeof *c))) {
        uint64_t offset = arena_pool_take(CHUNK_SIZE);
        if (!offset) {
            alloc_free(c);
            return NULL;
        }
        c->data = arena_at(offset);
    }
    if (c) {
        c->next = NULL;
        c->start = c->length = 0;
    }
    return c;
}

static void chunk_give(struct chunk *c)
{
    lock_take(&all.lock);
    bool keep = all.free_count < CHUNKS_KEPT;
    if (keep) {
        c->next = all.free;
        all.free = c;
        all.free_count++;
    }
    lock_release(&all.lock);
    if (!keep) {
        arena_pool_free(c->data.address - arena_at(0).address, CHUNK_SIZE);
        alloc_free(c);
    }
}

/* Appends bytes of the program, which there is room for: 0 or -EFAULT. */
static int chunk_append(struct chunk *c, const uint8_t *from, uint32_t n)
{
    if (user_range(from, n) || untrusted_insert(untrusted_at(c->data, c->length), from, n))
        return -EFAULT;
    c->length += n;
    return 0;
}

/* ---- completions: by the stream's thread ---- */

void stream_chunks_drop(struct stream *s)
{
    while (s->chunk) {
        struct chunk *c = s->chunk;
        s->chunk = c->next;
        chunk_give(c);
    }
    s->chunk_last = &s->chunk;
    s->pending = 0;
}

void stream_sent(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct stream *s = container_of(op, struct stream, sending);
    (void)buffer, (void)more;
    lock_take(&s->lock);
    struct chunk *c = s->chunk;
    uint32_t length = c->length - c->start;
    if (s->suspended && (result == -ECANCELED || (result >= 0 && (uint32_t)result < length))) {
        /* Taken back: the rest is sent later. */
        c->start += result > 0 ? (uint32_t)result : 0;
        s->pending -= result > 0 ? (uint32_t)result : 0;
    } else if (result < 0 || (uint32_t)result < length) {
        /* With MSG_WAITALL less than all means that there was an error, and the next would tell it. */
        s->send_error = result < 0 && result != -ECANCELED ? -result : EPIPE;
        s->dead = s->send_error != ENOMEM && s->send_error != ENOBUFS;
        stream_chunks_drop(s);
    } else {
        s->pending -= length;
        s->chunk = c->next;
        if (!s->chunk)
            s->chunk_last = &s->chunk;
        chunk_give(c);
    }
    bool next = s->chunk != NULL && !s->suspended;
    bool tell = s->send_error || (s->was_full && s->pending <= SEND_WRITABLE);
    if (tell) {
        s->was_full = false;
        s->arrivals++;
    }
    struct file *f = s->file;
    struct uring *u = s->ring;
    if (!stream_completed(s))
        return;
    if (next)
        uring_defer(u, &s->push);
    if (f && tell)
        epoll_changed(f, UINT32_MAX);
}

void stream_push(struct uring_deferred *d)
{
    struct stream *s = container_of(d, struct stream, push);
    lock_take(&s->lock);
    if (s->chunk && !s->sending.slot &&
        uring_send(s->ring, &s->sending, s->host_fd, untrusted_at(s->chunk->data, s->chunk->start),
                   s->chunk->length - s->chunk->start)) {
        s->send_error = ENOBUFS;
        stream_chunks_drop(s);
    }
    lock_release(&s->lock);
}

/* ---- sending ---- */

/* Takes what there is room for, `done` bytes into the buffers. 0 or -EFAULT, -ENOBUFS. The lock is held. */
static int gather(struct stream *s, const struct iovec *v, int count, uint64_t *done)
{
    uint64_t before = 0;
    for (int i = 0; i < count; i++) {
        uint64_t n = v[i].iov_len, at = *done > before ? MIN(*done - before, n) : 0;
        before += n;
        while (at < n && s->pending < SEND_LIMIT) {
            /* What is in flight is the kernel's to read. */
            struct chunk *c = s->chunk ? container_of(s->chunk_last, struct chunk, next) : NULL;
            if (!c || c->length == CHUNK_SIZE || (c == s->chunk && s->sending.slot)) {
                if (!(c = chunk_take()))
                    return -ENOBUFS;
                *s->chunk_last = c;
                s->chunk_last = &c->next;
            }
            uint32_t part = (uint32_t)MIN(n - at, (uint64_t)(CHUNK_SIZE - c->length));
            part = MIN(part, SEND_LIMIT - s->pending);
            if (chunk_append(c, (const uint8_t *)v[i].iov_base + at, part))
                return -EFAULT;
            s->pending += part;
            at += part;
            *done += part;
        }
    }
    return 0;
}

static int64_t broken(struct stream *s, int flags)
{
    int error = s->send_error <= 0 ? EPIPE : s->send_error;
    if (s->receive_error) {
        error = s->receive_error;
        s->receive_error = 0;
        s->end = true;
        return -error;
    }
    s->send_error = -1; /* told; from now on the pipe is broken */
    if (error == EPIPE && !(flags & MSG_NOSIGNAL))
        signal_raise_self(SIGPIPE);
    return -error;
}

int64_t stream_send(struct file *f, const struct msghdr *m, int flags, bool direct)
{
    struct stream *s = f->stream;
    uint64_t tried = UINT64_MAX;
    uint64_t total = iovec_length(m->msg_iov, (int)m->msg_iovlen), done = 0;
    bool wait = !(f->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT);
    if ((flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)) || m->msg_controllen || s->listening ||
        (s->local && s->end)) {
        stream_leave(f);
        return STREAM_NOT;
    }
    if (!stream_home(s)) {
        /* One thread reads and another writes: the writer needs no ring, if nothing is ahead of it. */
        lock_take(&s->lock);
        bool free = s->state != STREAM_ACTIVE || !s->chunk;
        lock_release(&s->lock);
        if (!free)
            stream_leave(f);
        return STREAM_NOT;
    }
    for (;;) {
        lock_take(&s->lock);
        bool over = s->send_error || s->dead;
        if (!over && (s->state != STREAM_ACTIVE || (direct && total - done >= SEND_DIRECT && !s->chunk && !done))) {
            lock_release(&s->lock);
            return STREAM_NOT;
        }
        int64_t result = over ? broken(s, flags) : gather(s, m->msg_iov, (int)m->msg_iovlen, &done);
        s->was_full |= s->pending > SEND_WRITABLE;
        bool start = s->chunk && !s->sending.slot;
        lock_release(&s->lock);
        if (start)
            uring_defer(s->ring, &s->push);
        if (done == total || (result && done))
            return (int64_t)done;
        if (result && result != -ENOBUFS)
            return result;
        if (!wait) {
            /* As much as the kernel takes is taken. */
            if (done == tried)
                return done ? (int64_t)done : -EAGAIN;
            tried = done;
            uring_enter(s->ring, 0);
            continue;
        }
        result = stream_wait(s->ring);
        if (result)
            return done ? (int64_t)done : result;
    }
}

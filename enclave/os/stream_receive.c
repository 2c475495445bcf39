/* SPDX-License-Identifier: Apache-2.0 */
/* What has arrived for a stream, in buffers of its ring or inside. */
#include <errno.h>
#include <fcntl.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/stream_parts.h"

#define RECEIVE_RESUME 16384u
#define BUFFERS_SCARCE 64u    /* so few are left for the kernel: what waits moves inside */
#define SPLICE_CHUNK 4096u    /* what a pipe takes as a whole or not at all */
#define BULK_RUN 32u          /* full buffers in a row: such a stream is better off with large reads */

/* ---- pieces ---- */

void stream_piece_push(struct stream *s, struct piece *p)
{
    p->next = NULL;
    *s->last = p;
    s->last = &p->next;
    s->queued += p->charge;
}

/* A buffer of the ring, if it is one: the others are the stream's, or the piece's own. */
static void give_back(const struct stream *s, uint32_t buffer)
{
    if (buffer == URING_NO_BUFFER || buffer == STREAM_AHEAD)
        return;
    if (s->datagrams)
        uring_datagram_give(s->ring, buffer);
    else
        uring_buffer_give(s->ring, buffer);
}

void stream_piece_pop(struct stream *s)
{
    struct piece *p = s->first;
    s->first = p->next;
    if (!s->first)
        s->last = &s->first;
    s->queued -= p->charge;
    give_back(s, p->buffer);
    alloc_free(p);
}

/* Bytes of the first piece have been received. */
static void advance(struct stream *s, uint32_t n)
{
    struct piece *p = s->first;
    p->offset += n;
    p->length -= n;
    p->charge -= n;
    s->queued -= n;
    if (!p->length)
        stream_piece_pop(s);
}

int stream_descriptor_push(struct stream *s, int fd)
{
    struct piece *p = alloc(sizeof *p + sizeof fd);
    if (!p)
        return -ENOMEM;
    *p = (struct piece){.buffer = URING_NO_BUFFER, .length = sizeof fd, .charge = sizeof fd};
    memcpy(p->bytes, &fd, sizeof fd);
    stream_piece_push(s, p);
    return 0;
}

int stream_descriptor_pop(struct stream *s)
{
    int fd;
    memcpy(&fd, s->first->bytes, sizeof fd);
    stream_piece_pop(s);
    return fd;
}

void stream_pieces_drop(struct stream *s)
{
    while (s->first && s->listening)
        stream_turn_away(stream_descriptor_pop(s));
    while (s->first)
        stream_piece_pop(s);
}

void stream_pieces_forget(struct stream *s)
{
    while (s->first && s->listening)
        host_close(stream_descriptor_pop(s));
    for (struct piece *p = s->first, *next; p; p = next) {
        next = p->next;
        alloc_free(p);
    }
}

/* Where the bytes of a piece are that are not inside. */
static struct untrusted data_of(const struct stream *s, uint32_t buffer)
{
    return buffer == STREAM_AHEAD ? stream_ahead_data(s) : uring_buffer(s->ring, buffer);
}

/* A piece with its bytes inside, NULL: no memory. */
static struct piece *piece_inside(const struct stream *s, uint32_t buffer, uint32_t offset, uint32_t length)
{
    struct piece *p = alloc(sizeof *p + length);
    if (!p)
        return NULL;
    *p = (struct piece){.buffer = URING_NO_BUFFER, .length = length, .charge = length};
    (void)untrusted_read(p->bytes, untrusted_at(data_of(s, buffer), offset), length);
    return p;
}

/* What is looked at twice lies inside. */
int stream_move_inside(struct stream *s)
{
    if (s->datagrams)
        return datagrams_move_inside(s);
    for (struct piece **at = &s->first; *at; at = &(*at)->next) {
        struct piece *p = *at, *q;
        if (p->buffer == URING_NO_BUFFER)
            continue;
        if (!(q = piece_inside(s, p->buffer, p->offset, p->length)))
            return -ENOMEM;
        q->next = p->next;
        *at = q;
        if (s->last == &p->next)
            s->last = &q->next;
        give_back(s, p->buffer);
        alloc_free(p);
    }
    return 0;
}

static int piece_copy(const struct stream *s, const struct piece *p, uint32_t skip, uint8_t *to, uint32_t n)
{
    if (p->buffer == URING_NO_BUFFER)
        return user_write(to, p->bytes + p->offset + skip, n);
    if (user_range(to, n))
        return -EFAULT;
    return untrusted_read(to, untrusted_at(data_of(s, p->buffer), p->offset + skip), n);
}

/* ---- completions: by the stream's thread ---- */

static void take_arrived(struct stream *s, uint32_t length, uint32_t buffer)
{
    struct piece *p;
    bool scarce = uring_buffers_left(s->ring) < BUFFERS_SCARCE;
    if (s->file && scarce && (p = piece_inside(s, buffer, 0, length))) {
        uring_buffer_give(s->ring, buffer);
    } else if (s->file && (p = alloc(sizeof *p))) {
        *p = (struct piece){.buffer = buffer, .length = length, .charge = length};
    } else {
        uring_buffer_give(s->ring, buffer);
        s->unread = true;
        if (s->file)
            s->receive_error = ENOMEM; /* what is lost must not go unnoticed */
        return;
    }
    stream_piece_push(s, p);
    s->bulk = length == URING_BUFFER_SIZE ? s->bulk + 1 : 0;
}

void stream_received(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct stream *s = container_of(op, struct stream, receiving);
    lock_take(&s->lock);
    if (buffer != URING_NO_BUFFER && result <= 0)
        uring_buffer_give(s->ring, buffer);
    if (s->listening) {
        stream_accepted(s, result);
    } else if (result > 0 && buffer != URING_NO_BUFFER) {
        take_arrived(s, (uint32_t)result, buffer);
    } else if (result == 0) {
        s->end = true;
        if (s->local && s->file)
            stream_leave_soon(s); /* the kernel knows what kind of end it is */
    } else if (result > 0) {
        s->receive_error = EIO; /* bytes that are nowhere: the host's doing */
    } else if (result != -ECANCELED && result != -ENOBUFS && result != -EINTR && result != -EAGAIN) {
        s->receive_error = -result;
        s->dead = result != -ENOMEM;
    }
    if (result != -ECANCELED && result != -ENOBUFS)
        s->arrivals++;
    if (stream_full(s) && s->receiving.slot && !s->paused) {
        s->paused = true;
        uring_cancel(s->ring, &s->receiving);
    }
    bool again = !more && !s->suspended && s->state == STREAM_ACTIVE && s->file && !s->end &&
                 !s->receive_error && !stream_full(s);
    struct file *f = s->file;
    struct uring *u = s->ring;
    if (!stream_completed(s))
        return;
    if (again)
        uring_defer(u, &s->arm);
    if (f)
        epoll_changed(f, UINT32_MAX);
}

static int start(struct stream *s)
{
    if (s->datagrams)
        return uring_receive_datagrams(s->ring, &s->receiving, s->host_fd);
    if (s->listening)
        return uring_accept_multishot(s->ring, &s->receiving, s->host_fd, s->accept_flags);
    return uring_receive_multishot(s->ring, &s->receiving, s->host_fd);
}

void stream_arm(struct uring_deferred *d)
{
    struct stream *s = container_of(d, struct stream, arm);
    lock_take(&s->lock);
    bool wanted = s->state == STREAM_ACTIVE && s->file && !s->receiving.slot && !s->end &&
                  !s->receive_error && !stream_full(s);
    s->paused = false;
    if (wanted && start(s)) {
        s->receive_error = ENOMEM;
        s->arrivals++;
    }
    lock_release(&s->lock);
}

/* ---- receiving ---- */

#define RECEIVE_FLAGS                                                                              \
    (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_WAITALL | MSG_TRUNC | MSG_CMSG_CLOEXEC)

/* From the pieces into the buffers, `done` bytes into them. Bytes in all, or -EFAULT. The lock is held. */
static int64_t take_pieces(struct stream *s, const struct iovec *v, int count, uint64_t done, int flags)
{
    bool peek = flags & MSG_PEEK;
    struct piece *p = s->first;
    uint32_t skip = 0;
    uint64_t before = 0, total = done;
    if (peek && stream_move_inside(s))
        return -ENOMEM;
    p = s->first;
    for (int i = 0; i < count && p; i++) {
        uint64_t n = v[i].iov_len, at = done > before ? MIN(done - before, n) : 0;
        before += n;
        while (at < n && p) {
            uint32_t part = (uint32_t)MIN(n - at, (uint64_t)(p->length - skip));
            if ((!(flags & MSG_TRUNC) || s->local) && piece_copy(s, p, skip, (uint8_t *)v[i].iov_base + at, part))
                return total ? (int64_t)total : -EFAULT;
            at += part;
            total += part;
            skip += part;
            if (!peek) {
                advance(s, part);
                p = s->first;
                skip = 0;
            } else if (skip == p->length) {
                p = p->next;
                skip = 0;
            }
        }
    }
    return (int64_t)total;
}

/* With the lock held: what the call returns now; -EAGAIN: wait; STREAM_NOT. */
static int64_t receive_now(struct stream *s, const struct iovec *v, int count, uint64_t *done, int flags)
{
    uint64_t total = iovec_length(v, count);
    int64_t n = take_pieces(s, v, count, flags & MSG_PEEK ? 0 : *done, flags);
    if (n < 0)
        return n;
    *done = (uint64_t)n;
    /* To ask for nothing is to ask whether there is something. */
    if (*done == total && (total || s->first))
        return n;
    if (*done && (!(flags & MSG_WAITALL) || ((flags & MSG_PEEK) && s->queued >= RECEIVE_PAUSE)))
        return n;
    /* What the ring has met with the host does not tell again. */
    if (s->receive_error) {
        if (*done)
            return n;
        int error = s->receive_error;
        s->receive_error = 0;
        s->end = true;
        return -error;
    }
    if (s->state == STREAM_OFF && !s->first)
        return *done ? n : STREAM_NOT;
    return s->end ? n : -EAGAIN;
}

static bool resume(const struct stream *s)
{
    return s->state == STREAM_ACTIVE && !s->receiving.slot && !s->end && !s->receive_error &&
           s->queued < RECEIVE_RESUME;
}

void stream_looked(struct file *f, bool again)
{
    struct stream *s = f->stream;
    bool drained = s->lingering && s->state == STREAM_OFF && !stream_holds(s);
    if (drained)
        s->lingering = false;
    lock_release(&s->lock);
    if (drained)
        epoll_answers_by_host(f);
    if (again)
        uring_defer(s->ring, &s->arm);
}

int64_t stream_look_later(struct file *f, bool wait, bool *asked)
{
    struct stream *s = f->stream;
    if (!stream_home(s)) {
        stream_leave(f);
        return 0;
    }
    if (wait)
        return stream_wait(s->ring);
    if (*asked)
        return -EAGAIN;
    *asked = true;
    /* Nothing can come by itself where it is still to be asked for. */
    if (s->state == STREAM_ACTIVE && !s->receiving.slot)
        uring_enter(s->ring, 0);
    else if (!uring_enter_if_news(s->ring))
        return -EAGAIN;
    return 0;
}

int64_t stream_receive(struct file *f, const struct iovec *v, int count, int flags)
{
    struct stream *s = f->stream;
    bool wait = !(f->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT), asked = false;
    uint64_t done = 0;
    if (flags & ~RECEIVE_FLAGS || s->listening) {
        stream_leave(f);
        return STREAM_NOT;
    }
    for (;;) {
        lock_take(&s->lock);
        int64_t result = receive_now(s, v, count, &done, flags);
        bool again = stream_home(s) && resume(s), bulk = s->state == STREAM_ACTIVE && s->bulk >= BULK_RUN;
        stream_looked(f, again);
        if (bulk) {
            stream_leave(f);
            stream_offer_ahead(f);
        }
        if (result != -EAGAIN)
            return result;
        result = stream_look_later(f, wait, &asked);
        if (result)
            return done ? (int64_t)done : result;
    }
}

/* Copies from the first piece: how many bytes. The lock is held. */
static uint32_t look_at_first(const struct stream *s, void *to, uint64_t most)
{
    const struct piece *p = s->listening || s->datagrams ? NULL : s->first;
    uint32_t n = p ? (uint32_t)MIN(most, (uint64_t)p->length) : 0;
    if (n && p->buffer == URING_NO_BUFFER)
        memcpy(to, p->bytes + p->offset, n);
    else if (n)
        (void)untrusted_read(to, untrusted_at(data_of(s, p->buffer), p->offset), n);
    return n;
}

/* One piece of it, by way of `bytes`: SPLICE_CHUNK of room. */
static int64_t splice_some(struct file *f, int to, uint8_t *bytes, uint64_t most, bool wait)
{
    struct stream *s = f->stream;
    uint64_t asked;
    lock_take(&s->lock);
    struct iovec v = {bytes, look_at_first(s, bytes, MIN(most, (uint64_t)SPLICE_CHUNK))};
    lock_release(&s->lock);
    if (!v.iov_len)
        return STREAM_NOT;
    int64_t n = host_writev(to, &v, 1, 0, -1, wait ? 0 : RWF_NOWAIT, EXIT_INTERRUPTIBLE, &asked);
    if (n <= 0)
        return n == -EOPNOTSUPP ? -EAGAIN : n;
    lock_take(&s->lock);
    if (s->first) /* unless another thread receives at the same time */
        advance(s, MIN((uint32_t)n, s->first->length));
    stream_looked(f, false);
    return n;
}

int64_t stream_splice(struct file *f, int to, uint64_t count, bool wait)
{
    uint64_t done = 0;
    int64_t n = STREAM_NOT;
    if (!stream_queued(f))
        return STREAM_NOT;
    uint8_t *bytes = alloc(SPLICE_CHUNK);
    if (!bytes)
        return -ENOMEM;
    while (done < count && (n = splice_some(f, to, bytes, count - done, wait && !done)) > 0)
        done += (uint64_t)n;
    alloc_free(bytes);
    return done ? (int64_t)done : n;
}

uint64_t stream_queued(struct file *f)
{
    return __atomic_load_n(&f->stream->queued, __ATOMIC_RELAXED);
}

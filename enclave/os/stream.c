/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>

#include <asm/unistd_64.h>

#include "abi/exits.h"
#include "abi/start.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/io/flush.h"
#include "enclave/io/uring.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/list.h"
#include "enclave/os/files.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"

#define CHUNK_SIZE 16384u
#define SEND_LIMIT 65536u     /* bytes that were taken and are not sent */
#define SEND_WRITABLE 43690u  /* of them, when there is room again: a third is free, as Linux has it */
#define SEND_DIRECT 32768u    /* so much at once goes by an exit, when nothing is ahead of it */
#define RECEIVE_PAUSE 65536u  /* bytes that wait inside: the peer is to slow down */
#define RECEIVE_RESUME 16384u
#define BUFFERS_SCARCE 64u    /* so few are left for the kernel: what waits moves inside */
#define BULK_RUN 32u          /* full buffers in a row: such a stream is better off with large reads */
#define CHUNKS_KEPT 256u

/* A piece of what has arrived. */
struct piece {
    struct piece *next;
    uint32_t buffer; /* of the ring; URING_NO_BUFFER: the bytes follow */
    uint32_t offset, length;
    uint8_t bytes[];
};

/* Bytes to be sent, in the arena. */
struct chunk {
    struct chunk *next;
    struct untrusted data;
    uint32_t start, length; /* from start on it is not sent yet, as far as is known */
};

enum stream_state {
    STREAM_ACTIVE,
    STREAM_LEAVING, /* its operations are being ended by its thread */
    STREAM_OFF,     /* the host's; pieces may still be here */
};

struct stream {
    struct lock lock;
    struct file *file; /* NULL: closed, and to be freed when nothing is in flight */
    int host_fd;
    enum stream_state state;
    struct uring *ring;
    uint32_t thread; /* whose ring it is */
    struct list of_thread;
    bool leave_wanted; /* another thread asks its thread */
    bool suspended;    /* nothing is to be started: the process forks */
    bool contested;    /* that happened: several threads use it, and a ring is one thread's */
    bool lingering;    /* off, but what is still here is reported from here */

    struct uring_op receiving, sending;
    struct uring_deferred arm, push;
    bool paused; /* receiving was cancelled: too much waits */
    bool end;    /* the peer has shut down */
    int receive_error, send_error;
    struct piece *first, **last;
    uint64_t queued, arrivals;
    uint32_t bulk;

    struct chunk *chunk, **chunk_last; /* the first is what is in flight, if something is */
    uint32_t pending;
    bool was_full;
};

static struct {
    struct lock lock; /* guards the free ones */
    struct chunk *free;
    uint32_t free_count;
    struct list of_thread[THREADS_MAX]; /* each its thread's own */
    bool requested[THREADS_MAX];        /* a thread is asked for something */
    bool deaf[THREADS_MAX];             /* its streams do not receive since a fork */
} all;

static struct list *mine(void)
{
    struct list *l = &all.of_thread[thread_block()->index];
    if (!l->next)
        list_init(l);
    return l;
}

static bool home(const struct stream *s)
{
    return s->thread == thread_block()->index;
}

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

/* ---- pieces ---- */

static void piece_push(struct stream *s, struct piece *p)
{
    p->next = NULL;
    *s->last = p;
    s->last = &p->next;
    s->queued += p->length;
}

static void piece_pop(struct stream *s)
{
    struct piece *p = s->first;
    s->first = p->next;
    if (!s->first)
        s->last = &s->first;
    if (p->buffer != URING_NO_BUFFER)
        uring_buffer_give(s->ring, p->buffer);
    alloc_free(p);
}

static void pieces_drop(struct stream *s)
{
    while (s->first) {
        s->queued -= s->first->length;
        piece_pop(s);
    }
}

/* A piece with its bytes inside, NULL: no memory. */
static struct piece *piece_inside(const struct stream *s, uint32_t buffer, uint32_t offset, uint32_t length)
{
    struct piece *p = alloc(sizeof *p + length);
    if (!p)
        return NULL;
    *p = (struct piece){.buffer = URING_NO_BUFFER, .length = length};
    (void)untrusted_read(p->bytes, untrusted_at(uring_buffer(s->ring, buffer), offset), length);
    return p;
}

/* What is looked at twice lies inside. All pieces; the lock is held. */
static int move_inside(struct stream *s)
{
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
        uring_buffer_give(s->ring, p->buffer);
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
    return untrusted_read(to, untrusted_at(uring_buffer(s->ring, p->buffer), p->offset + skip), n);
}

/* ---- completions: by the stream's thread ---- */

static void finish_if_done(struct stream *s)
{
    if (s->receiving.slot || s->sending.slot || s->chunk)
        return;
    if (s->state == STREAM_LEAVING)
        s->state = STREAM_OFF;
}

/* The lock is held; true: the stream is closed and done with, and no more. */
static bool drop_if_closed(struct stream *s)
{
    if (s->file || s->receiving.slot || s->sending.slot || s->chunk)
        return false;
    uring_defer_not(&s->arm);
    uring_defer_not(&s->push);
    list_remove(&s->of_thread);
    pieces_drop(s);
    host_close(s->host_fd);
    alloc_free(s);
    return true;
}

/* The end of a completion, with the lock, which is released. False: the stream is gone. */
static bool completed(struct stream *s)
{
    finish_if_done(s);
    if (drop_if_closed(s))
        return false;
    lock_release(&s->lock);
    return true;
}

static void take_arrived(struct stream *s, uint32_t length, uint32_t buffer)
{
    struct piece *p;
    bool scarce = uring_buffers_left(s->ring) < BUFFERS_SCARCE;
    if (s->file && scarce && (p = piece_inside(s, buffer, 0, length))) {
        uring_buffer_give(s->ring, buffer);
    } else if (s->file && (p = alloc(sizeof *p))) {
        *p = (struct piece){.buffer = buffer, .length = length};
    } else {
        uring_buffer_give(s->ring, buffer);
        if (s->file)
            s->receive_error = ENOMEM; /* what is lost must not go unnoticed */
        return;
    }
    piece_push(s, p);
    s->bulk = length == URING_BUFFER_SIZE ? s->bulk + 1 : 0;
    if (s->queued >= RECEIVE_PAUSE && s->receiving.slot && !s->paused) {
        s->paused = true;
        uring_cancel(s->ring, &s->receiving);
    }
}

static void received(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct stream *s = container_of(op, struct stream, receiving);
    lock_take(&s->lock);
    if (buffer != URING_NO_BUFFER && result <= 0)
        uring_buffer_give(s->ring, buffer);
    if (result > 0 && buffer != URING_NO_BUFFER)
        take_arrived(s, (uint32_t)result, buffer);
    else if (result == 0)
        s->end = true;
    else if (result > 0)
        s->receive_error = EIO; /* bytes that are nowhere: the host's doing */
    else if (result != -ECANCELED && result != -ENOBUFS && result != -EINTR && result != -EAGAIN)
        s->receive_error = -result;
    if (result != -ECANCELED && result != -ENOBUFS)
        s->arrivals++;
    bool again = !more && !s->suspended && s->state == STREAM_ACTIVE && s->file && !s->end &&
                 !s->receive_error && s->queued < RECEIVE_PAUSE;
    struct file *f = s->file;
    struct uring *u = s->ring;
    if (!completed(s))
        return;
    if (again)
        uring_defer(u, &s->arm);
    if (f)
        epoll_changed(f);
}

static void arm(struct uring_deferred *d)
{
    struct stream *s = container_of(d, struct stream, arm);
    lock_take(&s->lock);
    bool wanted = s->state == STREAM_ACTIVE && s->file && !s->receiving.slot && !s->end &&
                  !s->receive_error && s->queued < RECEIVE_PAUSE;
    s->paused = false;
    if (wanted && uring_receive_multishot(s->ring, &s->receiving, s->host_fd)) {
        s->receive_error = ENOMEM;
        s->arrivals++;
    }
    lock_release(&s->lock);
}

static void chunks_drop(struct stream *s)
{
    while (s->chunk) {
        struct chunk *c = s->chunk;
        s->chunk = c->next;
        chunk_give(c);
    }
    s->chunk_last = &s->chunk;
    s->pending = 0;
}

static void sent(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
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
        chunks_drop(s);
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
    if (!completed(s))
        return;
    if (next)
        uring_defer(u, &s->push);
    if (f && tell)
        epoll_changed(f);
}

static void push(struct uring_deferred *d)
{
    struct stream *s = container_of(d, struct stream, push);
    lock_take(&s->lock);
    if (s->chunk && !s->sending.slot &&
        uring_send(s->ring, &s->sending, s->host_fd, untrusted_at(s->chunk->data, s->chunk->start),
                   s->chunk->length - s->chunk->start)) {
        s->send_error = ENOBUFS;
        chunks_drop(s);
    }
    lock_release(&s->lock);
}

/* ---- taking over, giving back ---- */

static bool suits(struct file *f)
{
    int domain = 0, low = 0, error;
    socklen_t n = sizeof domain;
    error = host_getsockopt(f->host_fd, SOL_SOCKET, SO_DOMAIN, &domain, &n);
    if (error || (domain != AF_INET && domain != AF_INET6))
        return false;
    n = sizeof low;
    error = host_getsockopt(f->host_fd, SOL_SOCKET, SO_RCVLOWAT, &low, &n);
    return !error && low <= 1;
}

void stream_offer(struct file *f)
{
    struct stream *s = f->stream;
    if (f->inherited || !epoll_watched(f) || (s && (s->state != STREAM_OFF || s->contested)))
        return;
    struct uring *u = uring_mine();
    if (!u || (!s && !suits(f)))
        return;
    if (!s) {
        if (!(s = alloc(sizeof *s)))
            return;
        s->state = STREAM_OFF;
        list_init(&s->of_thread);
        list_init(&s->arm.in_ring);
        list_init(&s->push.in_ring);
    }
    lock_take(&s->lock);
    if (s->state != STREAM_OFF || s->first || s->file) {
        lock_release(&s->lock);
        return;
    }
    s->file = f;
    s->host_fd = f->host_fd;
    s->ring = u;
    s->thread = (uint32_t)thread_block()->index;
    s->receiving.done = received;
    s->sending.done = sent;
    s->arm.submit = arm;
    s->push.submit = push;
    s->last = &s->first;
    s->chunk_last = &s->chunk;
    s->end = s->paused = s->leave_wanted = s->was_full = s->suspended = false;
    s->bulk = 0;
    s->state = STREAM_ACTIVE;
    list_append(mine(), &s->of_thread);
    lock_release(&s->lock);
    __atomic_store_n(&f->stream, s, __ATOMIC_RELEASE);
    if (epoll_answers_inside(f)) {
        stream_leave(f);
        return;
    }
    uring_defer(u, &s->arm);
}

/* What is still to be received outlives the ring, which ends with its thread. The lock is held. */
static void leave_ring(struct stream *s)
{
    if (!move_inside(s))
        return;
    pieces_drop(s);
    s->receive_error = ENOMEM; /* what is lost must not go unnoticed */
}

/* By the stream's thread: ends its operations and waits for their ends. */
static void leave_here(struct stream *s)
{
    struct file *f = s->file;
    struct uring *u = s->ring;
    lock_take(&s->lock);
    s->leave_wanted = false;
    if (s->state != STREAM_ACTIVE) {
        lock_release(&s->lock);
        return;
    }
    s->state = STREAM_LEAVING;
    uring_defer_not(&s->arm);
    uring_cancel(u, &s->receiving);
    finish_if_done(s);
    for (;;) {
        bool off = s->state == STREAM_OFF;
        lock_release(&s->lock);
        if (off)
            break;
        /* Sending waits for the peer. A signal waits for that: what was taken must not be lost. So does whoever
         * asks us to leave, again and again: with that pending no exit would be made, nor anything end. */
        thread_block()->pending = 0;
        uring_enter(u, 10000000);
        lock_take(&s->lock);
    }
    thread_block()->pending = TB_PENDING_SIGNAL;
    list_remove(&s->of_thread);
    lock_take(&s->lock);
    leave_ring(s);
    bool lingering = s->lingering = s->first != NULL;
    lock_release(&s->lock);
    /* The host knows nothing of what has arrived here: it answers when that has been read. */
    if (lingering)
        epoll_answers_by_both(f);
    else
        epoll_answers_by_host(f);
    lock_take(&s->lock);
    s->file = NULL; /* it may be taken over again */
    lock_release(&s->lock);
}

static void ask_to_leave(struct stream *s)
{
    __atomic_store_n(&s->contested, true, __ATOMIC_RELAXED);
    __atomic_store_n(&s->leave_wanted, true, __ATOMIC_RELEASE);
    __atomic_store_n(&all.requested[s->thread], true, __ATOMIC_RELEASE);
    exit_checked(EXIT_INTERRUPT, 0, 0, s->thread, 0, 0, 0, 0, 0);
}

static bool is_off(struct stream *s)
{
    lock_take(&s->lock);
    bool off = s->state == STREAM_OFF && !s->file;
    lock_release(&s->lock);
    return off;
}

void stream_leave(struct file *f)
{
    struct stream *s = f->stream;
    bool waited = false;
    if (!s)
        return;
    while (!is_off(s)) {
        if (home(s)) {
            leave_here(s);
            continue;
        }
        waited = true;
        ask_to_leave(s);
        thread_sleep_prepare();
        /* Two threads may want of each other what the other has. */
        thread_block()->pending = 0;
        streams_service();
        thread_sleep(200000);
    }
    if (waited)
        thread_block()->pending = TB_PENDING_SIGNAL; /* whatever came meanwhile is looked at later */
}

void streams_service(void)
{
    bool *requested = &all.requested[thread_block()->index];
    if (!__atomic_load_n(requested, __ATOMIC_ACQUIRE))
        return;
    __atomic_store_n(requested, false, __ATOMIC_SEQ_CST);
    struct list *head = mine();
    for (struct list *l = head->next; l != head;) {
        struct stream *s = container_of(l, struct stream, of_thread);
        if (!__atomic_load_n(&s->leave_wanted, __ATOMIC_ACQUIRE) || !s->file) {
            l = l->next;
            continue;
        }
        leave_here(s);
        l = head->next; /* others may have gone meanwhile */
    }
}

void streams_end(void)
{
    struct uring *u = uring_existing();
    if (!u)
        return;
    struct list *head = mine();
    while (!list_empty(head)) {
        struct stream *s = container_of(head->next, struct stream, of_thread);
        if (s->file)
            leave_here(s);
        else
            uring_enter(u, 10000000); /* closed, and not all is sent */
    }
    uring_end();
}

/* ---- around fork ---- */

/* Asks for the end of all that is in flight: was there something? */
static bool cancel_all(struct uring *u)
{
    bool any = false;
    struct list *head = mine();
    list_for_each(l, head)
    {
        struct stream *s = container_of(l, struct stream, of_thread);
        lock_take(&s->lock);
        s->suspended = true;
        uring_defer_not(&s->arm);
        uring_defer_not(&s->push);
        any |= s->receiving.slot || s->sending.slot;
        uring_cancel(u, &s->receiving);
        uring_cancel(u, &s->sending);
        lock_release(&s->lock);
    }
    return any;
}

void streams_suspend(void)
{
    struct uring *u = uring_existing();
    if (!u || list_empty(mine()))
        return;
    while (cancel_all(u))
        uring_enter(u, 1000000);
    all.deaf[thread_block()->index] = true;
}

void streams_resume(void)
{
    struct uring *u = uring_existing();
    if (!u)
        return;
    list_for_each(l, mine())
    {
        struct stream *s = container_of(l, struct stream, of_thread);
        lock_take(&s->lock);
        s->suspended = false;
        bool start = s->chunk && !s->sending.slot;
        lock_release(&s->lock);
        if (start)
            uring_defer(u, &s->push);
    }
}

void streams_listen(void)
{
    bool *deaf = &all.deaf[thread_block()->index];
    struct uring *u = uring_existing();
    if (!*deaf || !u)
        return;
    *deaf = false;
    list_for_each(l, mine())
    {
        struct stream *s = container_of(l, struct stream, of_thread);
        if (s->file && s->state == STREAM_ACTIVE)
            uring_defer(u, &s->arm);
    }
}

/* Of another process now, what it holds too. */
static void forget(struct stream *s)
{
    chunks_drop(s);
    for (struct piece *p = s->first, *next; p; p = next) {
        next = p->next;
        alloc_free(p);
    }
    if (s->file)
        s->file->stream = NULL;
    else
        host_close(s->host_fd);
    alloc_free(s);
}

static void forget_rest(struct file *f)
{
    struct stream *s = f->stream;
    f->inherited = true;
    if (!s)
        return;
    s->file = f;
    forget(s);
}

void streams_forked(void)
{
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        struct list *head = &all.of_thread[i];
        while (head->next && !list_empty(head)) {
            struct stream *s = container_of(head->next, struct stream, of_thread);
            list_remove(&s->of_thread);
            forget(s);
        }
        all.requested[i] = all.deaf[i] = false;
    }
    files_visit(forget_rest);
}

void stream_release(struct file *f)
{
    struct stream *s = f->stream;
    if (!home(s))
        stream_leave(f);
    lock_take(&s->lock);
    s->file = NULL;
    if (s->state == STREAM_OFF) {
        pieces_drop(s);
        host_close(f->host_fd);
        alloc_free(s);
        return;
    }
    s->state = STREAM_LEAVING;
    struct uring *u = s->ring;
    uring_defer_not(&s->arm);
    uring_cancel(u, &s->receiving);
    bool dropped = drop_if_closed(s);
    if (dropped)
        return;
    lock_release(&s->lock);
    uring_enter(u, 0); /* as a rule that was all, and s is gone */
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
    if (peek && move_inside(s))
        return -ENOMEM;
    p = s->first;
    for (int i = 0; i < count && p; i++) {
        uint64_t n = v[i].iov_len, at = done > before ? MIN(done - before, n) : 0;
        before += n;
        while (at < n && p) {
            uint32_t part = (uint32_t)MIN(n - at, (uint64_t)(p->length - skip));
            if (!(flags & MSG_TRUNC) && piece_copy(s, p, skip, (uint8_t *)v[i].iov_base + at, part))
                return total ? (int64_t)total : -EFAULT;
            at += part;
            total += part;
            skip += part;
            if (!peek) {
                p->offset += part;
                p->length -= part;
                s->queued -= part;
                skip = 0;
                if (!p->length) {
                    piece_pop(s);
                    p = s->first;
                }
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
    int64_t n = take_pieces(s, v, count, *done, flags);
    if (n < 0)
        return n;
    *done = (uint64_t)n;
    if (*done == total || (*done && !(flags & MSG_WAITALL)) || (*done && (flags & MSG_PEEK)))
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

/* Waits for the ring: 0, or what an interrupted call returns. */
static int64_t wait_ring(struct uring *u)
{
    io_flush_for_ring();
    if (signal_pending())
        return RESTART_SYS;
    streams_listen();
    int error = uring_enter(u, NO_TIMEOUT);
    streams_service();
    return error && signal_pending() ? RESTART_SYS : 0;
}

int64_t stream_receive(struct file *f, const struct iovec *v, int count, int flags)
{
    struct stream *s = f->stream;
    bool wait = !(f->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT), asked = false;
    uint64_t done = 0;
    if (flags & ~RECEIVE_FLAGS) {
        stream_leave(f);
        return STREAM_NOT;
    }
    for (;;) {
        lock_take(&s->lock);
        int64_t result = receive_now(s, v, count, &done, flags);
        bool again = home(s) && resume(s), bulk = s->bulk >= BULK_RUN;
        bool drained = s->lingering && s->state == STREAM_OFF && !s->first;
        if (drained)
            s->lingering = false;
        lock_release(&s->lock);
        if (drained)
            epoll_answers_by_host(f);
        if (again)
            uring_defer(s->ring, &s->arm);
        if (bulk)
            stream_leave(f);
        if (result != -EAGAIN)
            return result;
        if (!home(s)) {
            stream_leave(f);
            continue;
        }
        if (!wait) {
            if (asked || done)
                return done ? (int64_t)done : -EAGAIN;
            asked = true;
            if (uring_enter_if_stale(s->ring))
                continue;
            return -EAGAIN;
        }
        result = wait_ring(s->ring);
        if (result)
            return done ? (int64_t)done : result;
    }
}

uint64_t stream_queued(struct file *f)
{
    return __atomic_load_n(&f->stream->queued, __ATOMIC_RELAXED);
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
    int error = s->send_error == EPIPE || s->send_error == -1 ? EPIPE : s->send_error;
    s->send_error = -1; /* told; from now on the pipe is broken */
    if (error == EPIPE && !(flags & MSG_NOSIGNAL))
        signal_raise_self(SIGPIPE);
    return -error;
}

int64_t stream_send(struct file *f, const struct msghdr *m, int flags)
{
    struct stream *s = f->stream;
    uint64_t total = iovec_length(m->msg_iov, (int)m->msg_iovlen), done = 0;
    bool wait = !(f->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT);
    if ((flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)) || m->msg_controllen || !home(s)) {
        stream_leave(f);
        return STREAM_NOT;
    }
    for (;;) {
        lock_take(&s->lock);
        if (!s->send_error &&
            (s->state != STREAM_ACTIVE || (total - done >= SEND_DIRECT && !s->chunk && !done))) {
            lock_release(&s->lock);
            return STREAM_NOT;
        }
        int64_t result = s->send_error ? broken(s, flags) : gather(s, m->msg_iov, (int)m->msg_iovlen, &done);
        s->was_full |= s->pending > SEND_WRITABLE;
        bool start = s->chunk && !s->sending.slot;
        lock_release(&s->lock);
        if (start)
            uring_defer(s->ring, &s->push);
        if (done == total || (result && done))
            return (int64_t)done;
        if (result && result != -ENOBUFS)
            return result;
        if (!wait)
            return done ? (int64_t)done : -EAGAIN;
        result = wait_ring(s->ring);
        if (result)
            return done ? (int64_t)done : result;
    }
}

/* ---- its state ---- */

bool stream_poll(struct file *f, uint32_t events, struct poll_wait *wait, uint32_t *ready)
{
    struct stream *s = f->stream;
    if (home(s))
        streams_listen();
    if (s->state == STREAM_ACTIVE && (!wait->ring || !home(s))) {
        /* Another way of waiting than by the ring of its thread. */
        if (home(s) && !wait->ring)
            stream_leave(f);
        else if (!s->leave_wanted)
            ask_to_leave(s);
    }
    lock_take(&s->lock);
    uint32_t now = 0;
    if (s->first || s->end || s->receive_error)
        now |= POLLIN | POLLRDNORM;
    if (s->end)
        now |= POLLRDHUP;
    if (s->receive_error || s->send_error)
        now |= POLLERR;
    if (s->send_error)
        now |= POLLHUP;
    if (!s->was_full)
        now |= POLLOUT | POLLWRNORM;
    bool off = s->state == STREAM_OFF;
    bool readable = s->first;
    lock_release(&s->lock);
    if (off && readable) {
        /* The host answers for all but what has arrived here. */
        struct pollfd host = {f->host_fd, (short)(events & ~(uint32_t)(POLLIN | POLLRDNORM)), 0};
        uint64_t at_once = 0;
        wait->host_fd = f->host_fd;
        wait->events = events;
        wait->answer = wait->net = false;
        *ready = events & (POLLIN | POLLRDNORM);
        if (host.events && host_ppoll(&host, 1, &at_once, 0) > 0)
            *ready |= (uint16_t)host.revents;
        return true;
    }
    if (off)
        return false;
    wait->host_fd = -1;
    wait->events = 0;
    wait->answer = wait->net = false;
    *ready = now;
    return true;
}

uint64_t stream_arrivals(struct file *f)
{
    return __atomic_load_n(&f->stream->arrivals, __ATOMIC_RELAXED);
}

int stream_error(struct file *f)
{
    struct stream *s = f->stream;
    lock_take(&s->lock);
    int error = s->receive_error ? s->receive_error : s->send_error > 0 ? s->send_error : 0;
    if (s->receive_error)
        s->end = true;
    s->receive_error = 0;
    if (s->send_error > 0)
        s->send_error = -1;
    lock_release(&s->lock);
    return error;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/stream_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>


#include "abi/exits.h"
#include "abi/start.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/io/flush.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"
#include "enclave/os/wait.h"

static struct {
    struct list of_thread[THREADS_MAX]; /* each its thread's own */
    bool requested[THREADS_MAX];        /* a thread is asked for something */
    uint32_t left[THREADS_MAX]; /* how many streams have: each its thread's own */
    bool deaf[THREADS_MAX];             /* its streams do not receive since a fork */
} all;

struct list *streams_mine(void)
{
    struct list *l = &all.of_thread[thread_block()->index];
    if (!l->next)
        list_init(l);
    return l;
}

bool stream_home(const struct stream *s)
{
    return s->thread == thread_block()->index;
}

/* ---- completions: by the stream's thread ---- */

bool stream_in_flight(const struct stream *s)
{
    return s->receiving.slot || s->sending.slot || s->chunk || s->outgoing;
}

bool stream_holds(const struct stream *s)
{
    return s->first || (s->datagrams && (s->receive_error || s->send_error));
}

static void finish_if_done(struct stream *s)
{
    if (!stream_in_flight(s) && s->state == STREAM_LEAVING)
        s->state = STREAM_OFF;
}

static void close_host(const struct stream *s)
{
    if (s->unread && !s->datagrams)
        stream_turn_away(s->host_fd);
    else
        host_close(s->host_fd);
}

static void stream_free(struct stream *s)
{
    datagrams_free(s->datagrams);
    stream_ahead_free(s);
    alloc_free(s);
}

/* The lock is held; true: the stream is closed and done with, and no more. */
static bool drop_if_closed(struct stream *s)
{
    if (s->file || stream_in_flight(s))
        return false;
    uring_defer_not(&s->arm);
    uring_defer_not(&s->push);
    list_remove(&s->of_thread);
    s->unread |= s->first != NULL;
    stream_pieces_drop(s);
    close_host(s);
    stream_free(s);
    return true;
}

bool stream_completed(struct stream *s)
{
    finish_if_done(s);
    if (drop_if_closed(s))
        return false;
    lock_release(&s->lock);
    return true;
}

/* ---- taking over, giving back ---- */

/* What is waited for by epoll, or by a thread that sleeps in recv. */
static bool suits(struct file *f, bool *local)
{
    int domain = 0, low = 0, error;
    socklen_t n = sizeof domain;
    error = host_getsockopt(f->host_fd, SOL_SOCKET, SO_DOMAIN, &domain, &n);
    if (error || (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX))
        return false;
    *local = domain == AF_UNIX;
    n = sizeof low;
    error = host_getsockopt(f->host_fd, SOL_SOCKET, SO_RCVLOWAT, &low, &n);
    return !error && low <= 1;
}

/* What a socket that is offered for the first time gets; NULL: it does not suit, no memory, or another thread was first. */
static struct stream *make(struct file *f, bool datagrams)
{
    bool local = false;
    struct stream *s = datagrams || suits(f, &local) ? alloc(sizeof *s) : NULL, *none = NULL;
    if (s && datagrams && !(s->datagrams = datagrams_new(f))) {
        alloc_free(s);
        return NULL;
    }
    if (!s)
        return NULL;
    s->state = STREAM_OFF;
    s->local = local;
    s->last = &s->first;
    s->chunk_last = &s->chunk;
    list_init(&s->of_thread);
    list_init(&s->arm.in_ring);
    list_init(&s->push.in_ring);
    if (__atomic_compare_exchange_n(&f->stream, &none, s, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return s;
    stream_free(s);
    return NULL;
}

struct stream *stream_of(struct file *f)
{
    struct stream *s = __atomic_load_n(&f->stream, __ATOMIC_ACQUIRE);
    return s ? s : make(f, false);
}

/* Do other threads receive by the host, asleep there perhaps? They get what is the ring's to take apart. */
static bool shared_by_threads(const struct file *f)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* who begins to says so, then looks whether it is a ring's */
    return __atomic_load_n(&f->receivers, __ATOMIC_RELAXED);
}

static void offer(struct file *f, bool datagrams, bool listening, int accept_flags)
{
    struct stream *s = f->stream;
    bool watched = epoll_watched(f);
    if (f->inherited || (s && (s->state != STREAM_OFF || s->contested)) || (datagrams && shared_by_threads(f)))
        return;
    struct uring *u = uring_mine();
    if (!u || (datagrams && !uring_datagrams(u)))
        return;
    if (!s && !(s = make(f, datagrams)))
        return;
    lock_take(&s->lock);
    if (s->state != STREAM_OFF || s->first || s->file || s->ahead) {
        lock_release(&s->lock);
        return;
    }
    s->file = f;
    s->host_fd = f->host_fd;
    s->ring = u;
    s->thread = (uint32_t)thread_block()->index;
    s->receiving.done = s->datagrams ? datagrams_received : stream_received;
    s->sending.done = stream_sent;
    s->arm.submit = stream_arm;
    s->push.submit = stream_push;
    s->last = &s->first;
    s->chunk_last = &s->chunk;
    s->end = s->dead = s->unread = s->paused = s->leave_wanted = s->was_full = s->suspended = false;
    s->bulk = 0;
    s->listening = listening;
    s->accept_flags = accept_flags;
    s->state = STREAM_ACTIVE;
    list_append(streams_mine(), &s->of_thread);
    lock_release(&s->lock);
    if ((watched && epoll_answers_inside(f)) || (datagrams && shared_by_threads(f))) {
        stream_leave(f);
        s->contested = datagrams; /* several have it: so it stays, as a rule, and nobody is to try again and again */
        return;
    }
    if (datagrams) {
        bool joined = datagrams_join(s);
        datagrams_learn_timeouts(s);
        datagrams_learn_names(s);
        lock_take(&s->lock);
        s->joined = joined;
        lock_release(&s->lock);
    }
    uring_defer(u, &s->arm);
}

/* Who waits for it by neither epoll nor recv asks too seldom, or too often. */
static bool waited_for(const struct file *f)
{
    return epoll_watched(f) || !(f->flags & O_NONBLOCK);
}

void stream_offer(struct file *f)
{
    if (waited_for(f))
        offer(f, false, false, 0);
}

void stream_offer_listening(struct file *f, int flags)
{
    if (waited_for(f))
        offer(f, false, true, flags & SOCK_NONBLOCK);
}

/* While there are children datagrams are whoever's that asks for them. */
void stream_offer_datagrams(struct file *f, bool sends)
{
    if (children_any())
        return;
    offer(f, true, false, 0);
    if (f->stream)
        f->stream->by_sending = sends;
}

bool stream_datagrams(const struct file *f)
{
    return f->stream->datagrams;
}

/* What is still to be received outlives the ring, which ends with its thread. The lock is held. */
static void leave_ring(struct stream *s)
{
    if (!stream_move_inside(s))
        return;
    stream_pieces_drop(s);
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
        uring_enter_for_ends(u, 10000000);
        lock_take(&s->lock);
    }
    thread_block()->pending = TB_PENDING_SIGNAL;
    all.left[thread_block()->index]++;
    list_remove(&s->of_thread);
    lock_take(&s->lock);
    leave_ring(s);
    bool joined = s->joined;
    lock_release(&s->lock);
    if (joined)
        datagrams_part(s);
    lock_take(&s->lock);
    s->joined = false;
    bool lingering = s->lingering = stream_holds(s);
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

void stream_leave_soon(struct stream *s)
{
    __atomic_store_n(&s->leave_wanted, true, __ATOMIC_RELEASE);
    __atomic_store_n(&all.requested[s->thread], true, __ATOMIC_RELEASE);
}

static void ask_to_leave(struct stream *s)
{
    /* Who sends much by one thread may receive much by another, whose ring it is to be on then. */
    if (!s->by_sending)
        __atomic_store_n(&s->contested, true, __ATOMIC_RELAXED);
    stream_leave_soon(s);
    exit_checked(EXIT_INTERRUPT, 0, 0, s->thread, 0, 0, 0, 0, 0);
}

static bool is_off(struct stream *s)
{
    lock_take(&s->lock);
    bool off = s->state == STREAM_OFF && !s->file;
    lock_release(&s->lock);
    return off;
}

bool stream_by_ring(const struct file *f)
{
    struct stream *s = __atomic_load_n(&f->stream, __ATOMIC_ACQUIRE);
    return s && !is_off(s);
}

/* What is used in a way that only the host knows (sendfile, descriptors in messages) will be so again. */
#define LEFT_MOST 3

void stream_leave(struct file *f)
{
    struct stream *s = f->stream;
    bool waited = false;
    if (!s || is_off(s))
        return;
    if (__atomic_add_fetch(&s->left, 1, __ATOMIC_RELAXED) >= LEFT_MOST)
        __atomic_store_n(&s->contested, true, __ATOMIC_RELAXED);
    while (!is_off(s)) {
        if (stream_home(s)) {
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
    struct list *head = streams_mine();
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
    struct list *head = streams_mine();
    while (!list_empty(head)) {
        struct stream *s = container_of(head->next, struct stream, of_thread);
        if (s->file)
            leave_here(s);
        else
            uring_enter_for_ends(u, 10000000); /* closed, and not all is sent */
    }
    datagrams_end();
    uring_end();
}

void streams_quit(void)
{
    struct uring *u = uring_existing();
    if (!u)
        return;
    list_for_each(l, streams_mine())
    {
        struct stream *s = container_of(l, struct stream, of_thread);
        if (s->datagrams || s->listening)
            uring_cancel(u, &s->receiving);
    }
}

/* ---- around fork ---- */

/* Datagrams are for whichever process asks first, and a socket is the host's while two may. */
static void datagrams_suspend(void)
{
    struct list *head = streams_mine();
    for (struct list *l = head->next; l != head;) {
        struct stream *s = container_of(l, struct stream, of_thread);
        bool leave = s->datagrams && s->file;
        if (leave)
            leave_here(s);
        l = leave ? head->next : l->next;
    }
}

/* Asks for the end of all that is in flight: was there something? */
static bool cancel_all(struct uring *u)
{
    bool any = false;
    struct list *head = streams_mine();
    list_for_each(l, head)
    {
        struct stream *s = container_of(l, struct stream, of_thread);
        lock_take(&s->lock);
        s->suspended = true;
        uring_defer_not(&s->arm);
        uring_defer_not(&s->push);
        any |= s->receiving.slot || s->sending.slot || s->outgoing;
        uring_cancel(u, &s->receiving);
        uring_cancel(u, &s->sending);
        lock_release(&s->lock);
    }
    return any;
}

void streams_suspend(void)
{
    struct uring *u = uring_existing();
    if (!u || list_empty(streams_mine()))
        return;
    datagrams_suspend();
    while (cancel_all(u))
        uring_enter_for_ends(u, 1000000);
    all.deaf[thread_block()->index] = true;
}

void streams_resume(void)
{
    struct uring *u = uring_existing();
    if (!u)
        return;
    list_for_each(l, streams_mine())
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
    list_for_each(l, streams_mine())
    {
        struct stream *s = container_of(l, struct stream, of_thread);
        if (s->file && s->state == STREAM_ACTIVE)
            uring_defer(u, &s->arm);
    }
}

/* Of another process now, what it holds too. */
static void forget(struct stream *s)
{
    stream_chunks_drop(s);
    stream_pieces_forget(s);
    if (s->file)
        s->file->stream = NULL;
    else
        host_close(s->host_fd);
    stream_free(s);
}

static void forget_rest(struct file *f)
{
    struct stream *s = f->stream;
    f->inherited = true;
    f->receivers = 0;
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
    datagrams_forked();
    files_visit(forget_rest);
}

void stream_release(struct file *f)
{
    struct stream *s = f->stream;
    if (!stream_home(s))
        stream_leave(f);
    lock_take(&s->lock);
    s->file = NULL;
    if (s->state == STREAM_OFF) {
        s->host_fd = f->host_fd;
        s->unread = s->first != NULL;
        stream_pieces_drop(s);
        close_host(s);
        stream_free(s);
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

int64_t stream_wait_until(struct uring *u, uint64_t deadline)
{
    const uint32_t *left = &all.left[thread_block()->index], before = *left;
    bool limited = deadline != NO_TIMEOUT;
    uint64_t now = limited ? time_monotonic_ns() : 0;
    int64_t interrupted = limited ? -EINTR : RESTART_SYS;
    if (limited && now >= deadline)
        return -EAGAIN;
    io_flush_along_for_ring();
    if (signal_pending())
        return interrupted;
    if (*left != before)
        return 0; /* it may be what is waited for: nothing comes by the ring then */
    streams_listen();
    int error = uring_enter(u, limited ? deadline - now : NO_TIMEOUT);
    streams_service();
    return error && signal_pending() ? interrupted : 0;
}

int64_t stream_wait(struct uring *u)
{
    return stream_wait_until(u, NO_TIMEOUT);
}

/* ---- its state ---- */

static uint32_t state(const struct stream *s)
{
    uint32_t now = 0;
    if (s->first || s->end || s->receive_error)
        now |= POLLIN | POLLRDNORM;
    if (s->end)
        now |= POLLRDHUP;
    if (s->dead)
        now |= POLLIN | POLLRDNORM | POLLRDHUP | POLLHUP;
    if ((s->receive_error || s->send_error > 0) && !s->listening)
        now |= POLLERR;
    if ((!s->was_full || s->dead) && !s->listening)
        now |= POLLOUT | POLLWRNORM;
    return now;
}

bool stream_poll(struct file *f, uint32_t events, struct poll_wait *wait, uint32_t *ready)
{
    struct stream *s = f->stream;
    if (stream_home(s))
        streams_listen();
    if (s->state == STREAM_ACTIVE && (!wait->ring || !stream_home(s))) {
        /* Another way of waiting than by the ring of its thread. */
        if (stream_home(s) && !wait->ring)
            stream_leave(f);
        else if (!s->leave_wanted)
            ask_to_leave(s);
    }
    lock_take(&s->lock);
    uint32_t now = s->datagrams ? datagrams_state(s) : state(s);
    bool off = s->state == STREAM_OFF;
    bool holds = stream_holds(s), ahead = s->ahead;
    lock_release(&s->lock);
    if (off) {
        wait->ahead = ahead && events & (POLLIN | POLLRDNORM);
        now &= POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | (s->datagrams ? POLLERR : 0);
        *ready = holds ? (events | POLLERR) & now : 0;
        return holds;
    }
    wait->host_fd = -1;
    wait->events = 0;
    wait->answer = false;
    wait->on_ring = true;
    wait->thick = s->datagrams;
    wait->xsks = 0;
    *ready = now;
    return true;
}

uint64_t stream_arrivals(struct file *f)
{
    return __atomic_load_n(&f->stream->arrivals, __ATOMIC_RELAXED);
}

void stream_watched(struct file *f)
{
    struct stream *s = f->stream;
    lock_take(&s->lock);
    bool lingering = s->state == STREAM_OFF && s->file == NULL && stream_holds(s);
    s->lingering |= lingering;
    lock_release(&s->lock);
    if (lingering)
        epoll_answers_by_both(f);
}

int stream_error(struct file *f)
{
    struct stream *s = f->stream;
    lock_take(&s->lock);
    int error = s->receive_error ? s->receive_error : s->send_error > 0 ? s->send_error : 0;
    if (s->receive_error && !s->datagrams)
        s->end = true;
    s->receive_error = 0;
    if (s->send_error > 0)
        s->send_error = s->datagrams ? 0 : -1;
    lock_release(&s->lock);
    if (error && s->datagrams)
        datagrams_resume(f);
    return error;
}


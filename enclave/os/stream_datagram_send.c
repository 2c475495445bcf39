/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a UDP socket over a ring sends. A datagram is copied into the arena and leaves with the thread's next enter, if
 * nothing can be wrong with it that the program would want to be told at once: it goes to where something came from,
 * or where one as long has been sent. All others go by an exit, after those that wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>

#include "abi/start.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/stream_parts.h"
#include "enclave/os/thread.h"

#define SENDS 64u
#define SPACE 4096u
/* A place in the arena: header, iovec, address, control data, payload. */
#define AT_IOVEC 64u
#define AT_NAME 80u
#define AT_CONTROL 112u
#define AT_PAYLOAD 192u
#define NAME_MOST 28u
#define CONTROL_MOST (AT_PAYLOAD - AT_CONTROL)
#define PAYLOAD_MOST (SPACE - AT_PAYLOAD)

struct send {
    struct uring_op op;
    struct stream *stream;
    struct send *next; /* of the free ones */
    struct untrusted at;
};

/* A thread's: nobody else sends by its ring. */
struct sends {
    uint64_t offset;
    struct send *free;
    struct send send[SENDS];
};

static struct sends *of_thread[THREADS_MAX];

static void sends_free(struct sends **all)
{
    if (*all)
        arena_pool_free((*all)->offset, SENDS * SPACE);
    alloc_free(*all);
    *all = NULL;
}

void datagrams_end(void)
{
    sends_free(&of_thread[thread_block()->index]);
}

void datagrams_forked(void)
{
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        sends_free(&of_thread[i]);
}

static void give(struct send *p)
{
    struct sends *all = of_thread[thread_block()->index];
    p->next = all->free;
    all->free = p;
}

static void sent(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct send *p = container_of(op, struct send, op);
    struct stream *s = p->stream;
    (void)buffer, (void)more;
    give(p);
    lock_take(&s->lock);
    s->outgoing--;
    bool failed = result < 0 && result != -ECANCELED, room = s->was_full && !s->outgoing;
    if (failed)
        s->send_error = -result;
    if (room)
        s->was_full = false;
    s->arrivals += failed || room;
    struct file *f = s->file;
    if (stream_completed(s) && f && (failed || room))
        epoll_changed(f, POLLERR | POLLOUT | POLLWRNORM | POLLWRBAND);
}

static struct sends *sends_make(void)
{
    struct sends *all = alloc(sizeof *all);
    if (!all)
        return NULL;
    if (!(all->offset = arena_pool_take(SENDS * SPACE))) {
        alloc_free(all);
        return NULL;
    }
    for (uint32_t i = SENDS; i-- > 0;) {
        struct send *p = &all->send[i];
        *p = (struct send){.op.done = sent, .next = all->free, .at = arena_at(all->offset + i * SPACE)};
        all->free = p;
    }
    return all;
}

/* NULL: none is free, even after those that could have been sent were. */
static struct send *take(struct uring *u)
{
    struct sends **all = &of_thread[thread_block()->index];
    if (!*all && !(*all = sends_make()))
        return NULL;
    if (!(*all)->free)
        uring_enter(u, 0);
    struct send *p = (*all)->free;
    if (p)
        (*all)->free = p->next;
    return p;
}

/* Control data that only says from which of its addresses a host sends. */
static bool control_suits(const struct msghdr *m)
{
    const struct cmsghdr *c = m->msg_control;
    if (!m->msg_controllen)
        return true;
    if (m->msg_controllen < sizeof *c || m->msg_controllen > CONTROL_MOST)
        return false;
    bool four = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO;
    bool six = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO;
    size_t length = four ? CMSG_LEN(sizeof(struct in_pktinfo)) : CMSG_LEN(sizeof(struct in6_pktinfo));
    return (four || six) && c->cmsg_len == length && m->msg_controllen >= length &&
           m->msg_controllen <= CMSG_ALIGN(length);
}

static int fill(const struct send *p, const struct msghdr *m, uint64_t length)
{
    const struct iovec one = {(void *)(p->at.address + AT_PAYLOAD), length};
    const struct msghdr header = {
        .msg_name = m->msg_namelen ? (void *)(p->at.address + AT_NAME) : NULL,
        .msg_namelen = m->msg_namelen,
        .msg_iov = (struct iovec *)(p->at.address + AT_IOVEC),
        .msg_iovlen = 1,
        .msg_control = m->msg_controllen ? (void *)(p->at.address + AT_CONTROL) : NULL,
        .msg_controllen = m->msg_controllen,
    };
    uint64_t at = AT_PAYLOAD;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        const struct iovec *v = &m->msg_iov[i];
        if (v->iov_len && (user_range(v->iov_base, v->iov_len) ||
                           untrusted_insert(untrusted_at(p->at, at), v->iov_base, v->iov_len)))
            return -EFAULT;
        at += v->iov_len;
    }
    (void)untrusted_write(p->at, &header, sizeof header);
    (void)untrusted_write(untrusted_at(p->at, AT_IOVEC), &one, sizeof one);
    (void)untrusted_write(untrusted_at(p->at, AT_NAME), m->msg_name, m->msg_namelen);
    (void)untrusted_write(untrusted_at(p->at, AT_CONTROL), m->msg_control, m->msg_controllen);
    return 0;
}

/* 0: by the ring; STREAM_NOT; or an error that has been met with since the last call. */
static int64_t admit(struct stream *s, const struct msghdr *m, int flags, uint64_t length)
{
    lock_take(&s->lock);
    int error = s->receive_error ? s->receive_error : s->send_error;
    if (s->receive_error)
        s->receive_error = 0;
    else
        s->send_error = 0;
    bool good = s->state == STREAM_ACTIVE && !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM)) &&
                m->msg_namelen <= NAME_MOST && length <= PAYLOAD_MOST && control_suits(m) &&
                datagrams_known(s->datagrams, m->msg_name, m->msg_namelen, length);
    lock_release(&s->lock);
    return error ? -error : good ? 0 : STREAM_NOT;
}

/* While some wait for room in the socket no others go, or they might overtake those. 0, or what the call returns. */
static int64_t wait_for_room(struct file *f, int flags)
{
    struct stream *s = f->stream;
    bool wait = !(f->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT), looked = false;
    while (s->outgoing && uring_submitted(s->ring)) {
        int64_t result = 0;
        if (!looked)
            uring_enter(s->ring, 0);
        else if (!wait)
            result = -EAGAIN;
        else
            result = stream_wait(s->ring);
        looked = true;
        s->was_full |= result == -EAGAIN;
        if (result)
            return result;
    }
    return 0;
}

int64_t datagrams_send(struct file *f, const struct msghdr *m, int flags)
{
    struct stream *s = f->stream;
    struct send *p = NULL;
    uint64_t length = iovec_length(m->msg_iov, (int)m->msg_iovlen);
    int64_t result = admit(s, m, flags, length);
    if (result && result != STREAM_NOT) {
        datagrams_resume(f);
        return result;
    }
    if (!stream_home(s))
        return STREAM_NOT;
    int64_t full = wait_for_room(f, flags);
    if (full)
        return full;
    if (s->state != STREAM_ACTIVE)
        return STREAM_NOT; /* it has left meanwhile */
    if (result || !(p = take(s->ring))) {
        uring_submit(); /* what is ahead of it */
        return STREAM_NOT;
    }
    if (fill(p, m, length)) {
        give(p);
        return -EFAULT;
    }
    order_before();
    p->stream = s;
    if (uring_send_message(s->ring, &p->op, s->host_fd, p->at, (uint32_t)length, flags & MSG_CONFIRM)) {
        give(p);
        return STREAM_NOT;
    }
    s->outgoing++;
    uring_soon(s->ring);
    return (int64_t)length;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets of the host over the ring of the thread that receives by them: datagrams lie in buffers of the ring
 * before they are asked for. What the kernel knows and the ring cannot (options, connecting, shutting down) is done
 * as with other sockets on a ring: see stream.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/time.h>

#include "enclave/boundary/datagram.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/stream_parts.h"
#include "enclave/os/time.h"

#define CHARGE 512u          /* what a datagram counts for beyond its bytes */
#define PAUSE (256u << 10)   /* so much waits inside: the rest is the kernel's to keep, or to drop */
#define RESUME (64u << 10)
#define SCARCE 16u           /* so few buffers are left for the kernel: what comes moves inside */
#define PLACES 64u           /* that are known: a power of two */
#define ALWAYS_SENT 1232u    /* bytes that a way takes by which something came: IPv6's least MTU without headers */

/* A place that datagrams have come from, or were sent to. */
struct place {
    uint8_t name[28];
    uint16_t name_length, longest;
};

struct datagrams {
    struct place places[PLACES];
};

/* ---- where datagrams go ---- */

/* A pair of places, of which the second was noted last. */
static const struct place *pair_of(const struct datagrams *d, const void *name, socklen_t n)
{
    uint32_t h = 2166136261u;
    for (socklen_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)name)[i]) * 16777619u;
    return &d->places[(h ^ h >> 16) % (PLACES / 2) * 2];
}

static bool same_place(const struct place *p, const void *name, socklen_t n)
{
    return p->longest && n == p->name_length && (!n || !memcmp(p->name, name, n));
}

bool datagrams_known(const struct datagrams *d, const void *name, socklen_t n, uint64_t length)
{
    const struct place *p = pair_of(d, name, n);
    p += !same_place(p, name, n);
    return same_place(p, name, n) && length <= p->longest;
}

void datagrams_note(struct datagrams *d, const void *name, socklen_t n, uint64_t length)
{
    struct place *p = (struct place *)pair_of(d, name, n), new = {.name_length = (uint16_t)n};
    if (n > sizeof new.name || length > UINT16_MAX)
        return;
    if (!same_place(&p[1], name, n)) {
        if (same_place(p, name, n))
            new = p[0];
        if (n)
            __builtin_memcpy(new.name, name, n);
        p[0] = p[1];
        p[1] = new;
    }
    p[1].longest = MAX(p[1].longest, (uint16_t)length);
}

void datagrams_sent(struct file *f, const struct msghdr *m, uint64_t length)
{
    struct stream *s = f->stream;
    lock_take(&s->lock);
    if (!m->msg_controllen)
        datagrams_note(s->datagrams, m->msg_name, m->msg_namelen, MAX(length, 1u));
    lock_release(&s->lock);
}

void datagrams_forget(struct file *f)
{
    struct stream *s = f->stream;
    lock_take(&s->lock);
    *s->datagrams = (struct datagrams){0};
    lock_release(&s->lock);
}

struct datagrams *datagrams_new(struct file *f)
{
    int protocol = 0, domain = 0;
    socklen_t n = sizeof domain;
    if (host_getsockopt(f->host_fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) || (domain != AF_INET && domain != AF_INET6))
        return NULL;
    n = sizeof protocol;
    if (host_getsockopt(f->host_fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) || protocol != IPPROTO_UDP)
        return NULL;
    return alloc(sizeof(struct datagrams));
}

static uint64_t timeout_of(const struct stream *s, int name)
{
    struct timeval time = {0, 0};
    socklen_t n = sizeof time;
    if (host_getsockopt(s->host_fd, SOL_SOCKET, name, &time, &n) || n != sizeof time || time.tv_sec < 0 ||
        time.tv_sec > INT32_MAX || (!time.tv_sec && !time.tv_usec))
        return NO_TIMEOUT;
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec % 1000000 * 1000;
}

void datagrams_learn_timeouts(struct stream *s)
{
    s->receive_timeout = timeout_of(s, SO_RCVTIMEO);
    s->send_timeout = timeout_of(s, SO_SNDTIMEO);
}

void datagrams_free(struct datagrams *d)
{
    alloc_free(d);
}

/* ---- what has come ---- */

bool datagrams_full(const struct stream *s)
{
    return s->queued >= PAUSE;
}

/* The head of a piece: what goes with the datagram, then its control data, then the payload if that is inside. */
#define HEAD sizeof(struct datagram)

static struct datagram head_of(const struct piece *p)
{
    struct datagram d;
    memcpy(&d, p->bytes, sizeof d);
    return d;
}

static struct piece *piece_make(const struct datagram *d, uint32_t inside)
{
    uint32_t head = (uint32_t)HEAD + d->control_length;
    struct piece *p = alloc(sizeof *p + head + inside);
    if (!p)
        return NULL;
    *p = (struct piece){.buffer = URING_NO_BUFFER, .offset = head, .length = d->length, .charge = d->length + CHARGE};
    return p;
}

/* With the control data there: is it a row? */
static void piece_finish(struct piece *p, const struct datagram *d, bool joined)
{
    struct datagram known = *d;
    uint16_t row = joined && d->control_length ? datagram_row(p->bytes + HEAD, &known.control_length) : 0;
    p->row = row;
    memcpy(p->bytes, &known, HEAD);
}

/* What is in a buffer: its payload too if it is to be inside. NULL: no memory. */
static struct piece *piece_of(const struct stream *s, uint32_t buffer, const struct datagram *d, bool inside)
{
    struct untrusted from = uring_datagram(s->ring, buffer);
    struct piece *p = piece_make(d, inside ? d->length : 0);
    if (!p)
        return NULL;
    if (d->control_length)
        (void)untrusted_read(p->bytes + HEAD, untrusted_at(from, DATAGRAM_HEAD + DATAGRAM_NAME), d->control_length);
    if (inside) {
        (void)untrusted_read(p->bytes + p->offset, untrusted_at(from, DATAGRAM_PAYLOAD), d->length);
    } else {
        p->buffer = buffer;
        p->offset = DATAGRAM_PAYLOAD;
    }
    piece_finish(p, d, s->joined);
    return p;
}

struct piece *datagrams_piece(const struct datagram *d, const uint8_t *control, const uint8_t *payload)
{
    struct piece *p = piece_make(d, d->length);
    if (!p)
        return NULL;
    __builtin_memcpy(p->bytes + HEAD, control, d->control_length);
    __builtin_memcpy(p->bytes + p->offset, payload, d->length);
    piece_finish(p, d, true);
    return p;
}

/* Of the datagram that is first in a piece. */
static uint32_t length_of(const struct piece *p)
{
    return p->row ? MIN(p->row, p->length) : p->length;
}

int datagrams_move_inside(struct stream *s)
{
    for (struct piece **at = &s->first; *at; at = &(*at)->next) {
        struct piece *p = *at, *q;
        if (p->buffer == URING_NO_BUFFER)
            continue;
        struct datagram d = head_of(p);
        uint32_t head = (uint32_t)HEAD + d.control_length;
        if (!(q = alloc(sizeof *q + head + p->length)))
            return -ENOMEM;
        *q = *p;
        q->buffer = URING_NO_BUFFER;
        q->offset = head;
        __builtin_memcpy(q->bytes, p->bytes, head);
        (void)untrusted_read(q->bytes + head, untrusted_at(uring_datagram(s->ring, p->buffer), p->offset), p->length);
        *at = q;
        if (s->last == &p->next)
            s->last = &q->next;
        uring_datagram_give(s->ring, p->buffer);
        alloc_free(p);
    }
    return 0;
}

static void take_arrived(struct stream *s, uint32_t filled, uint32_t buffer)
{
    struct datagram d;
    bool inside = uring_datagrams_left(s->ring) < SCARCE;
    struct piece *p = NULL;
    if (!datagram_take(uring_datagram(s->ring, buffer), filled, &d))
        violation_count();
    else if (s->file)
        p = piece_of(s, buffer, &d, inside); /* none: it is dropped, as the kernel does without memory */
    if (!p || p->buffer == URING_NO_BUFFER)
        uring_datagram_give(s->ring, buffer);
    if (!p)
        return;
    stream_piece_push(s, p);
}

void datagrams_received(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct stream *s = container_of(op, struct stream, receiving);
    lock_take(&s->lock);
    bool news = result != -ECANCELED && result != -ENOBUFS && result != -EINTR && result != -EAGAIN;
    if (buffer != URING_NO_BUFFER && result < 0)
        uring_datagram_give(s->ring, buffer);
    else if (buffer != URING_NO_BUFFER)
        take_arrived(s, (uint32_t)result, buffer);
    if (result < 0 && news)
        s->receive_error = -result;
    if (result >= 0 && buffer == URING_NO_BUFFER)
        s->receive_error = EIO; /* a datagram that is nowhere: the host's doing */
    s->arrivals += news;
    if (datagrams_full(s) && s->receiving.slot && !s->paused) {
        s->paused = true;
        uring_cancel(s->ring, &s->receiving);
    }
    bool again = !more && !s->suspended && s->state == STREAM_ACTIVE && s->file && !s->receive_error &&
                 !datagrams_full(s);
    struct file *f = s->file;
    struct uring *u = s->ring;
    if (!stream_completed(s))
        return;
    if (again)
        uring_defer(u, &s->arm);
    if (f && news)
        epoll_changed(f, POLLIN | POLLRDNORM | POLLERR);
}

/* ---- receiving ---- */

#define RECEIVE_FLAGS                                                                              \
    (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_WAITALL | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_CONFIRM)

static int copy_part(const struct stream *s, const struct piece *p, uint32_t skip, void *to, uint32_t n)
{
    if (p->buffer == URING_NO_BUFFER)
        return user_write(to, p->bytes + p->offset + skip, n);
    if (user_range(to, n))
        return -EFAULT;
    return untrusted_read(to, untrusted_at(uring_datagram(s->ring, p->buffer), p->offset + skip), n);
}

/* How much of it there was room for, or -EFAULT. */
static int64_t copy_payload(const struct stream *s, const struct piece *p, const struct msghdr *m)
{
    uint32_t done = 0, length = length_of(p);
    for (size_t i = 0; i < m->msg_iovlen && done < length; i++) {
        uint32_t n = (uint32_t)MIN(m->msg_iov[i].iov_len, (size_t)(length - done));
        if (n && copy_part(s, p, done, m->msg_iov[i].iov_base, n))
            return -EFAULT;
        done += n;
    }
    return done;
}

/* As much of the control data as there is room for, cut as the kernel cuts it. */
static void give_control(struct msghdr *m, const uint8_t *control, uint32_t length)
{
    size_t room = m->msg_control ? m->msg_controllen : 0, at = 0;
    m->msg_controllen = 0;
    while (length - at >= sizeof(struct cmsghdr)) {
        struct cmsghdr c;
        memcpy(&c, control + at, sizeof c);
        size_t left = room - m->msg_controllen, n = c.cmsg_len;
        if (n < sizeof c || n > length - at) {
            violation_count();
            return;
        }
        if (left < n)
            m->msg_flags |= MSG_CTRUNC;
        if (left < sizeof c)
            return;
        c.cmsg_len = MIN(n, left);
        uint8_t *to = (uint8_t *)m->msg_control + m->msg_controllen;
        memcpy(to, &c, sizeof c);
        __builtin_memcpy(to + sizeof c, control + at + sizeof c, c.cmsg_len - sizeof c);
        m->msg_controllen += MIN(CMSG_ALIGN(n), left);
        at += MIN(CMSG_ALIGN(n), length - at);
    }
}

/* It has been received, and is no more. */
static void take_first(struct stream *s, struct piece *p)
{
    uint32_t length = length_of(p);
    p->offset += length;
    p->length -= length;
    if (!p->row || !p->length)
        stream_piece_pop(s);
}

/* With the lock held: what the call returns now; -EAGAIN: wait; STREAM_NOT. Errors come first, as in the kernel. */
static int64_t receive_now(struct stream *s, struct msghdr *m, int flags)
{
    int *error = s->receive_error ? &s->receive_error : &s->send_error;
    if (*error) {
        int told = *error;
        *error = 0;
        return -told;
    }
    if (!s->first)
        return s->state == STREAM_OFF && !s->joined ? STREAM_NOT : -EAGAIN;
    if ((flags & MSG_PEEK) && datagrams_move_inside(s)) /* what is looked at twice lies inside */
        return -ENOMEM;
    struct piece *p = s->first;
    struct datagram d = head_of(p);
    int64_t result = copy_payload(s, p, m), length = length_of(p);
    m->msg_flags = (flags & MSG_CMSG_CLOEXEC) | (d.cut ? MSG_CTRUNC : 0);
    if (result >= 0 && result < length)
        m->msg_flags |= MSG_TRUNC;
    if (result >= 0 && (flags & MSG_TRUNC))
        result = length;
    if (m->msg_name)
        __builtin_memcpy(m->msg_name, d.name, MIN(d.name_length, m->msg_namelen));
    m->msg_namelen = m->msg_name ? d.name_length : 0;
    give_control(m, p->bytes + HEAD, d.control_length);
    if (!(flags & MSG_PEEK))
        take_first(s, p);
    datagrams_note(s->datagrams, d.name, d.name_length, ALWAYS_SENT);
    return result;
}

static bool resumes(const struct stream *s)
{
    return s->state == STREAM_ACTIVE && !s->receiving.slot && !s->receive_error && s->queued < RESUME;
}

void datagrams_resume(struct file *f)
{
    struct stream *s = f->stream;
    if (stream_home(s)) {
        lock_take(&s->lock);
        stream_looked(f, resumes(s));
    } else {
        stream_leave(f); /* another thread cannot ask for it */
    }
}

int64_t datagrams_receive(struct file *f, struct msghdr *m, int flags)
{
    struct stream *s = f->stream;
    bool wait = !(f->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT), asked = false;
    bool limited = wait && s->receive_timeout != NO_TIMEOUT;
    uint64_t deadline = limited ? time_monotonic_ns() + s->receive_timeout : NO_TIMEOUT;
    if (flags & MSG_ERRQUEUE)
        return STREAM_NOT;
    if (flags & ~RECEIVE_FLAGS) {
        stream_leave(f);
        return STREAM_NOT;
    }
    for (;;) {
        lock_take(&s->lock);
        int64_t result = receive_now(s, m, flags);
        stream_looked(f, stream_home(s) && resumes(s));
        if (result != -EAGAIN)
            return result;
        result = limited && stream_home(s) ? stream_wait_until(s->ring, deadline) : stream_look_later(f, wait, &asked);
        if (result)
            return result;
    }
}

uint32_t datagrams_state(const struct stream *s)
{
    uint32_t now = s->was_full ? 0 : POLLOUT | POLLWRNORM | POLLWRBAND;
    if (s->first)
        now |= POLLIN | POLLRDNORM;
    if (s->receive_error || s->send_error)
        now |= POLLERR;
    return now;
}

int datagrams_first_length(struct file *f)
{
    struct stream *s = f->stream;
    lock_take(&s->lock);
    int length = s->first ? (int)length_of(s->first) : -1;
    lock_release(&s->lock);
    return length;
}

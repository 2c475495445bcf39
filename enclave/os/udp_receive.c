/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving: from the queue that XSKs fill, and from the host socket. */
#include <errno.h>
#include <poll.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/io/flush.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/net/route.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/udp_socket.h"

static int copy_piece(const struct udp_packet *p, uint32_t done, void *to, size_t n)
{
    if (!p->xsk)
        return user_write(to, (const uint8_t *)p->inside + done, n);
    if (user_range(to, n))
        return -EFAULT;
    return untrusted_read(to, xsk_frame_at(p->xsk, p->frame, p->offset + done), n);
}

/* The payload to the program's buffers, from byte `skip` of them on: how much of it there was room for, or
 * -EFAULT. */
static int64_t copy_payload(const struct udp_packet *p, const struct msghdr *m, size_t skip)
{
    uint32_t done = 0;
    for (size_t i = 0; i < m->msg_iovlen && done < p->length; i++) {
        const struct iovec *v = &m->msg_iov[i];
        if (skip >= v->iov_len) {
            skip -= v->iov_len;
            continue;
        }
        size_t n = MIN(v->iov_len - skip, (size_t)(p->length - done));
        if (copy_piece(p, done, (uint8_t *)v->iov_base + skip, n))
            return -EFAULT;
        done += (uint32_t)n;
        skip = 0;
    }
    return done;
}

/* The datagram to the program: bytes (with MSG_TRUNC: its length) or -EFAULT. */
static int64_t copy_out(const struct udp_socket *s, const struct udp_packet *p, struct msghdr *m, int flags)
{
    int64_t done = copy_payload(p, m, 0);
    if (done < 0)
        return done;
    m->msg_flags = done < p->length ? MSG_TRUNC : 0;
    udp_fill_header(s, p, 0, m);
    return flags & MSG_TRUNC ? p->length : done;
}

/* Of a row of datagrams that is received as one, as the kernel has it. */
#define ROW_COUNT 64
#define ROW_BYTES 65000u

static size_t room_of(const struct msghdr *m)
{
    size_t room = 0;
    for (size_t i = 0; i < m->msg_iovlen && room < ROW_BYTES; i++)
        room += MIN(m->msg_iov[i].iov_len, (size_t)ROW_BYTES);
    return MIN(room, (size_t)ROW_BYTES);
}

/* UDP_GRO: the datagram, and those that continue it as far as there is room for them. */
static int64_t copy_row(struct udp_socket *s, const struct udp_packet *first, struct msghdr *m, int flags)
{
    size_t room = room_of(m), total = first->length;
    uint16_t last = first->length;
    struct udp_packet next;
    int64_t result = total < room && total ? copy_payload(first, m, 0) : 0;
    if (result <= 0)
        return result ? result : copy_out(s, first, m, flags);
    for (int count = 1; count < ROW_COUNT && last == first->length && total < room; count++) {
        if (!udp_endpoint_take_more(&s->endpoint, first, room - total, &next))
            break;
        last = next.length;
        result = copy_payload(&next, m, total);
        total += last;
        udp_packet_release(&next);
        if (result < 0)
            return result;
    }
    m->msg_flags = 0;
    udp_fill_header(s, first, total > first->length ? first->length : 0, m);
    return (int64_t)total;
}

/* -EAGAIN: the queue is empty. */
static int64_t queue_receive(struct udp_socket *s, struct msghdr *m, int flags)
{
    struct udp_packet p;
    int64_t result;
    if (flags & MSG_PEEK) {
        int found = udp_endpoint_look(&s->endpoint, &p);
        if (found <= 0)
            return found ? found : -EAGAIN;
        result = copy_out(s, &p, m, flags);
        hint_set(s->looked_at, (uint64_t)s->endpoint.head + 1);
        lock_release(&s->endpoint.lock);
        return result;
    }
    if (!udp_endpoint_take(&s->endpoint, &p))
        return -EAGAIN;
    result = s->coalesces ? copy_row(s, &p, m, flags) : copy_out(s, &p, m, flags);
    hint_set(s->last_arrived, p.arrived);
    udp_packet_release(&p);
    return result;
}

static int64_t host_receive(struct file *f, struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    uint64_t asked;
    uint32_t sends = udp_host_sends();
    int64_t result = host_recvmsg(f->host_fd, m, 0, flags | MSG_DONTWAIT, 0, &asked);
    if (result >= 0 ? flags & MSG_ERRQUEUE : result != -EAGAIN)
        routes_forget(); /* the error may have been about a way */
    hint_set(s->host_reported, 0);
    hint_set(s->host_likely, result >= 0 && !(flags & MSG_PEEK));
    if (!(flags & MSG_ERRQUEUE))
        hint_set(s->host_peeked, result >= 0 && (flags & MSG_PEEK));
    hint_set(s->host_looked, result == -EAGAIN ? udp_ticks() : 0);
    hint_set(s->sends_seen, sends);
    if (result >= 0 && !(flags & MSG_PEEK)) {
        hint_set(s->last_arrived, 0);
        lock_take(&s->endpoint.lock); /* others receive too */
        udp_count(&s->endpoint, host_in, 1);
        lock_release(&s->endpoint.lock);
    }
    return result;
}

/* Has the program seen what is first in the queue? It is what comes next then, whatever else has come. */
static bool first_is_looked_at(const struct udp_socket *s)
{
    return hint(s->looked_at) == (uint64_t)__atomic_load_n(&s->endpoint.head, __ATOMIC_RELAXED) + 1;
}

/* -EAGAIN: nothing yet. Else a result. */
static int64_t receive_now(struct file *f, struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    int64_t result;
    if (udp_endpoint_empty(&s->endpoint) && udp_xsks(s))
        net_poll(udp_xsks(s));
    bool queued = !udp_endpoint_empty(&s->endpoint);
    if (hint(s->host_peeked)) { /* what the host has shown comes next, too */
        result = host_receive(f, m, flags);
        if (result != -EAGAIN)
            return result;
    }
    if (queued && first_is_looked_at(s)) {
        int error = hint(s->host_reported) & POLLERR ? udp_pending_error(f) : 0;
        return error ? error : queue_receive(s, m, flags);
    }
    if (hint(s->host_reported) || (queued && !udp_looked_within(s, UDP_LOOK_PART))) {
        result = host_receive(f, m, flags);
        if (result != -EAGAIN)
            return result;
    }
    return queue_receive(s, m, flags);
}

/* Sleep until there may be something: 0, or what the call returns. */
static int64_t receive_sleep(struct file *f, const struct udp_deadline *limit)
{
    struct udp_socket *s = socket_of(f);
    uint32_t reported = 0;
    uint64_t left = udp_deadline_left(limit);
    bool looked = false;
    int result = 0;
    if (!left)
        return -EAGAIN;
    uint32_t xsks = net_unserved(udp_xsks(s));
    if (!signal_pending() && net_watch(xsks))
        return 0;
    io_flush_along();
    if (xsks && !signal_pending() && net_nap(xsks, left))
        return 0;
    hint_set(s->sends_seen, udp_host_sends());
    udp_endpoint_wait(&s->endpoint);
    /* From here on it is woken when there is something, or it is to wait for other XSKs. */
    xsks = net_unserved(udp_xsks(s));
    if (udp_endpoint_empty(&s->endpoint)) {
        result = net_sleep(f->host_fd, POLLIN, xsks, &reported, &left);
        looked = result != -EINTR;
    }
    udp_endpoint_wait_end(&s->endpoint);
    if (looked) { /* at the host socket too */
        hint_set(s->host_looked, udp_ticks());
        hint_set(s->host_reported, reported);
    }
    if (result == -ETIMEDOUT)
        return udp_deadline_left(limit) ? 0 : -EAGAIN;
    if (result == -EINTR && signal_pending())
        return s->receive_timeout == NO_TIMEOUT ? RESTART_SYS : -EINTR;
    return result == -EINTR ? 0 : result;
}

int64_t udp_recvmsg(struct file *f, struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    struct udp_deadline limit = udp_deadline_after(s->receive_timeout);
    if ((flags & MSG_ERRQUEUE) && !udp_zerocopy_told(s))
        return udp_zerocopy_receive(s, m);
    if (flags & MSG_ERRQUEUE)
        return host_receive(f, m, flags);
    int error = udp_stream_error(s);
    if (error)
        return error;
    for (;;) {
        int64_t result = receive_now(f, m, flags);
        order_after();
        if (result != -EAGAIN)
            return result;
        if (udp_nonblocking(f, flags)) {
            if (udp_believed_empty(s))
                return -EAGAIN;
            return host_receive(f, m, flags);
        }
        if (s->shut_read)
            break;
        if (hint(s->host_likely)) {
            result = host_receive(f, m, flags);
            if (result != -EAGAIN)
                return result;
        }
        result = receive_sleep(f, &limit);
        if (result)
            return result;
    }
    m->msg_namelen = 0;
    m->msg_controllen = 0;
    m->msg_flags = 0;
    return 0;
}

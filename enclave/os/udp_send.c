/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: over an XSK where that can say what is to be said, else by the host socket. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/io/flush.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/reference.h"
#include "enclave/net/bytes.h"
#include "enclave/net/transmit.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/udp_socket.h"

static uint32_t host_sends; /* counted as references are; wraps */

uint32_t udp_host_sends(void)
{
    return __atomic_load_n(&host_sends, __ATOMIC_RELAXED);
}

/* Bytes of a message, cut to UINT16_MAX + 1: too long in any case. */
static uint32_t length_of(const struct msghdr *m)
{
    uint64_t total = 0;
    for (size_t i = 0; i < m->msg_iovlen && total <= UINT16_MAX; i++)
        total += MIN(m->msg_iov[i].iov_len, (size_t)UINT16_MAX + 1);
    return (uint32_t)MIN(total, (uint64_t)UINT16_MAX + 1);
}

/* The program's buffers, one after the other. */
static int gather(uint8_t *to, const struct msghdr *m)
{
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        size_t n = m->msg_iov[i].iov_len;
        if (n && user_read(to, m->msg_iov[i].iov_base, n))
            return -EFAULT;
        to += n;
    }
    return 0;
}

#define BY_HOST 1

/* What sendto(2) says of an IPv4 socket's address. */
static int destination_four(const struct sockaddr_in *in, size_t n, struct udp_sending *d)
{
    if (n < sizeof *in)
        return -EINVAL;
    if (in->sin_family != AF_INET && in->sin_family != AF_UNSPEC)
        return -EAFNOSUPPORT;
    d->address = ip_four(load_be32((const uint8_t *)&in->sin_addr));
    d->port = load_be16((const uint8_t *)&in->sin_port);
    return d->port ? 0 : -EINVAL;
}

/* Every corner of IPv6's rules is the host's; what is plain is ours. */
static int destination_six(const struct udp_socket *s, const struct sockaddr_in6 *in6, size_t n,
                           struct udp_sending *d)
{
    if (n < sizeof *in6 || in6->sin6_family != AF_INET6 ||
        !udp_address_of(s, in6, n, &d->address, &d->port) || !d->port || ip_is_any(d->address) ||
        ip_is_multicast(d->address))
        return BY_HOST;
    const struct udp_name *name = &s->endpoint.name;
    if (!(ip_is_four(d->address) ? name->four : name->six))
        return BY_HOST;
    if (!ip_is_link_local(d->address))
        return 0;
    if (!d->device)
        d->device = in6->sin6_scope_id;
    return d->device && (!in6->sin6_scope_id || in6->sin6_scope_id == d->device) ? 0 : BY_HOST;
}

/* 0, BY_HOST, or what is wrong with the address. */
static int destination_of(const struct udp_socket *s, const struct msghdr *m, struct udp_sending *d)
{
    const struct udp_name *name = &s->endpoint.name;
    *d = (struct udp_sending){.address = name->peer,
                              .device = name->device,
                              .port = name->peer_port,
                              .segment = s->segment};
    if (m->msg_namelen)
        return s->six ? destination_six(s, m->msg_name, m->msg_namelen, d)
                      : destination_four(m->msg_name, m->msg_namelen, d);
    if (s->odd_peer || s->send_by_host)
        return BY_HOST;
    return name->peer_port ? 0 : -EDESTADDRREQ;
}

void udp_host_sent(void)
{
    net_count_sent();
    reference_take(&host_sends);
}

/* Until the host's socket takes something: 0: try again; else what the call returns. */
static int host_send_wait(struct file *f, int flags, const struct udp_deadline *limit)
{
    struct udp_socket *s = socket_of(f);
    struct pollfd p = {.fd = f->host_fd, .events = POLLOUT};
    uint64_t left = udp_deadline_left(limit);
    if (udp_nonblocking(f, flags))
        return -EAGAIN;
    io_flush_along();
    int ready = left ? host_ppoll(&p, 1, &left, EXIT_INTERRUPTIBLE) : 0;
    if (ready == 0)
        return -EAGAIN;
    if (ready == -EINTR && signal_pending())
        return s->send_timeout == NO_TIMEOUT ? RESTART_SYS : -EINTR;
    return 0;
}

static int64_t host_send(struct file *f, const struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    struct udp_deadline limit = udp_deadline_after(s->send_timeout);
    for (;;) {
        uint64_t asked;
        int64_t result =
            host_sendmsg(f->host_fd, m, 0, flags | MSG_DONTWAIT | MSG_NOSIGNAL, 0, &asked);
        if (result >= 0)
            udp_host_sent();
        lock_take(&s->lock);
        if (result >= 0)
            udp_count(&s->endpoint, host_out, 1);
        if (!s->endpoint.name.port)
            udp_learn_name(f); /* sending bound it, whatever became of the datagram */
        lock_release(&s->lock);
        if (result != -EAGAIN)
            return result;
        int error = host_send_wait(f, flags, &limit);
        if (error)
            return error;
    }
}

int udp_pending_error(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    uint64_t now = udp_ticks();
    bool known = hint(s->host_reported) & POLLERR;
    if (!known && (udp_looked_within(s, UDP_BELIEF_PART) ||
                   (hint(s->error_looked) && now - hint(s->error_looked) < net_second() / UDP_BELIEF_PART)))
        return 0;
    int error = 0;
    socklen_t n = sizeof error;
    hint_set(s->error_looked, now);
    hint_set(s->host_reported, hint(s->host_reported) & ~(uint32_t)POLLERR);
    if (host_getsockopt(f->host_fd, SOL_SOCKET, SO_ERROR, &error, &n) || n != sizeof error)
        return 0;
    if (error <= 0 || error >= 4096)
        return 0;
    routes_forget(); /* it may have been about the way there */
    return -error;
}

/* More in one row only the kernel cuts up. */
#define ROW_COUNT 64

/* Where an XSK copies, the kernel itself cuts a row up in a fifth of the time (io/segments.h). */
static bool row_for_ring(const struct udp_sending *d, uint32_t length)
{
    return xsk_zerocopy(xsk_at(0)) && length <= d->segment * ROW_COUNT;
}

/* Fills in *t when the message can go over an XSK. The lock is held. */
static bool direct(struct udp_socket *s, const struct msghdr *m, int flags, struct udp_sending *d,
                   uint32_t length, struct transmission *t)
{
    const struct udp_name *name = &s->endpoint.name;
    bool four = ip_is_four(d->address);
    if (!name->port || s->send_by_host || s->shut_write || !xsk_count() ||
        (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM)))
        return false;
    d->ttl = four ? s->ttl : s->hop_limit;
    d->tos = four ? s->tos : s->class;
    if (m->msg_controllen && !udp_take_control(m, d))
        return false;
    bool row = d->segment && length > d->segment;
    if (row && !row_for_ring(d, length))
        return false;
    struct route_key key = {.destination = d->address, .bound = d->source, .device = d->device};
    if (ip_is_none(d->source))
        key.bound = ip_is_any(name->address) ? ip_any_of(d->address) : name->address;
    route_lookup(&key, &t->route);
    if (!four && s->longest_six)
        t->route.mtu = MIN(t->route.mtu, s->longest_six);
    if (!t->route.direct || !transmit_fits(&t->route, row ? d->segment : length))
        return false;
    t->source_port = name->port;
    t->destination_port = d->port;
    t->ttl = d->ttl;
    t->tos = d->tos;
    t->may_fragment = s->may_fragment;
    t->no_flow_label = s->no_flow_label;
    return true;
}

static int staging_make(struct udp_socket *s, size_t length)
{
    size_t size = MAX(length, (size_t)TRANSMIT_MAX);
    if (s->staging_size >= size)
        return 0;
    alloc_free(s->staging);
    s->staging = alloc(size);
    s->staging_size = s->staging ? size : 0;
    return s->staging ? 0 : -ENOMEM;
}

int udp_payload(struct udp_socket *s, const struct msghdr *m, bool unseen, size_t length,
                const void **out)
{
    if (m->msg_iovlen == 1 && unseen) {
        *out = m->msg_iov[0].iov_base;
        return length ? user_range(*out, length) : 0;
    }
    int error = staging_make(s, length);
    if (error)
        return error;
    *out = s->staging;
    return gather(s->staging, m);
}

/* As udp_stream_send, waiting where the program would. */
static int send_stream(struct file *f, const struct msghdr *m, int flags, uint32_t length,
                       const struct udp_deadline *limit)
{
    struct udp_socket *s = socket_of(f);
    for (;;) {
        lock_take(&s->lock);
        int result = udp_stream_send(f, m, flags, length);
        hint_set(s->stream.blocked, result == -EAGAIN);
        lock_release(&s->lock);
        if (result != -EAGAIN)
            return result;
        result = host_send_wait(f, flags, limit);
        if (result)
            return result;
    }
}

/* The datagrams of a message from byte *done on: 0: all are sent; else why not, and *done tells how far. */
static int transmit_rest(struct udp_socket *s, const struct transmission *t, uint16_t segment,
                         const uint8_t *payload, uint32_t length, uint32_t *done)
{
    do {
        uint32_t n = segment ? MIN(segment, length - *done) : length;
        int error = transmit(t, payload + *done, n);
        if (error)
            return error;
        net_count_sent();
        udp_count(&s->endpoint, packets_out, 1);
        udp_count(&s->endpoint, bytes_out, n);
        *done += n;
    } while (*done < length);
    return 0;
}

/* 0: sent. BY_HOST: it is not for an XSK. -EAGAIN: no room; *route tells where, *done how much was sent. */
static int send_direct(struct file *f, const struct msghdr *m, int flags, uint32_t length,
                       struct route *route, uint32_t *done)
{
    struct udp_socket *s = socket_of(f);
    struct transmission t;
    struct udp_sending d;
    const void *payload = NULL;
    lock_take(&s->lock);
    int result = destination_of(s, m, &d);
    if (!result && length > UINT16_MAX)
        result = -EMSGSIZE;
    if (!result && !direct(s, m, flags, &d, length, &t))
        result = BY_HOST;
    if (!result && (s->endpoint.name.peer_port || s->queues_errors))
        result = udp_pending_error(f);
    if (!result)
        result = udp_payload(s, m, transmit_unseen(&t.route), length, &payload);
    if (!result) {
        *route = t.route;
        result = transmit_rest(s, &t, d.segment, payload, length, done);
    }
    lock_release(&s->lock);
    return result;
}

/* What there is no room for in the end. A row that has begun is sent, whatever becomes of its rest: so is one
 * that a queue in the kernel has no room for. */
static int64_t no_room(struct file *f, int64_t error, uint32_t length, uint32_t done)
{
    struct udp_socket *s = socket_of(f);
    if (!done)
        return error;
    udp_count(&s->endpoint, drops[DROP_no_frame], 1);
    return length;
}

static int64_t send_message(struct file *f, const struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    struct udp_deadline limit = udp_deadline_after(s->send_timeout);
    uint32_t length = length_of(m);
    if (!s->six && length > UINT16_MAX)
        return -EMSGSIZE;
    if (!s->six && (flags & MSG_OOB))
        return -EOPNOTSUPP;
    order_before();
    if (flags & MSG_MORE)
        s->send_by_host = s->no_stream = true; /* what follows belongs to the same datagram */
    int stream = send_stream(f, m, flags, length, &limit);
    if (stream != UDP_NO_STREAM)
        return stream ? stream : (int64_t)length;
    uint32_t done = 0;
    for (int attempt = 0;; attempt++) {
        struct route route;
        int result = send_direct(f, m, flags, length, &route, &done);
        if (done && result && result != -EAGAIN)
            return no_room(f, result, length, done);
        if (result == BY_HOST)
            return length > UINT16_MAX ? -EMSGSIZE : host_send(f, m, flags);
        if (result != -EAGAIN)
            return result ? result : (int64_t)length;
        if (udp_nonblocking(f, flags)) {
            if (attempt > 0)
                return no_room(f, -EAGAIN, length, done);
            io_flush();
            continue;
        }
        uint64_t left = udp_deadline_left(&limit);
        result = left ? transmit_wait(&route, attempt, &left) : -ETIMEDOUT;
        if (result == -ETIMEDOUT)
            return no_room(f, -EAGAIN, length, done);
        if (result == -EINTR && signal_pending())
            return no_room(f, s->send_timeout == NO_TIMEOUT ? RESTART_SYS : -EINTR, length, done);
    }
}

int64_t udp_sendmsg(struct file *f, const struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    int64_t result = send_message(f, m, flags & ~MSG_ZEROCOPY);
    if (result > 0 && (flags & MSG_ZEROCOPY) && s->zerocopy.on)
        udp_zerocopy_sent(s);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets whose IPv4 datagrams go over XSKs, those of IPv6 sockets with mapped addresses too. Behind each stands a socket of the host, bound to the same port: it reserves
 * the port, tells errors, receives what does not come by an XSK (loopback, other interfaces, fragments,
 * multicast) and sends what cannot go by one.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/boundary/log.h"
#include "enclave/net/bytes.h"
#include "enclave/net/endpoint.h"
#include "enclave/net/interface.h"
#include "enclave/net/net.h"
#include "enclave/net/transmit.h"
#include "enclave/os/files.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/udp_socket.h"

/* While datagrams keep coming by an XSK, the host socket is looked at this often, in parts of a second. */
#define LOOK_PART 100
/* After a look at the host socket that found nothing, -EAGAIN is believed for so long. */
#define BELIEF_PART 1000

/* Any datagram that the enclave sent by the host may have come back to one of its own sockets. */
static uint64_t host_sends;

/* Does anything come to it by XSKs? */
static bool attached(const struct udp_socket *s)
{
    return __atomic_load_n(&s->endpoint.attached, __ATOMIC_RELAXED);
}

static uint64_t ticks(void)
{
    return __builtin_ia32_rdtsc();
}

static bool nonblocking(const struct file *f, int flags)
{
    return (f->flags & O_NONBLOCK) || (flags & MSG_DONTWAIT);
}

/* ---- a time limit ---- */

struct deadline {
    uint64_t timeout_ns; /* NO_TIMEOUT: none */
    uint64_t started;    /* TSC */
};

static struct deadline deadline_after(uint64_t timeout_ns)
{
    return (struct deadline){timeout_ns, timeout_ns == NO_TIMEOUT ? 0 : ticks()};
}

static uint64_t deadline_left(const struct deadline *d)
{
    if (d->timeout_ns == NO_TIMEOUT)
        return NO_TIMEOUT;
    uint64_t passed = (ticks() - d->started) / (net_second() / 1000000) * 1000;
    return passed < d->timeout_ns ? d->timeout_ns - passed : 0;
}

/* ---- binding and steering ---- */

/* An address of an interface with XSKs? They may have changed since they were asked for. */
static bool address_here(uint32_t address)
{
    if (address >> 24 == IN_LOOPBACKNET)
        return false;
    return interface_owns(0, address) || (!interfaces_load() && interface_owns(0, address));
}

void udp_steer(struct udp_socket *s)
{
    struct udp_endpoint *e = &s->endpoint;
    bool wanted = s->port && !s->receive_by_host && !s->shared && !s->bound_six && !s->peer_six &&
                  (!s->address || address_here(s->address));
    if (e->attached && (!wanted || e->address != s->address || e->port != s->port))
        udp_endpoint_detach(e);
    if (!wanted || e->attached)
        return;
    int error = udp_endpoint_attach(e, s->address, s->port);
    if (error)
        log_debug("port %u is received by the host socket: it cannot be steered (error %d)", s->port,
                  -error);
    else
        udp_endpoint_wake(e); /* who sleeps does so for the host socket alone */
}

enum address_kind { ADDRESS_NONE, ADDRESS_FOUR, ADDRESS_SIX };

/* What an address of the socket's family says: IPv4, as itself or mapped, in host order; or IPv6. The
 * unspecified address of IPv6 is IPv4's too. ADDRESS_NONE: of another family, or not whole. */
static enum address_kind address_of(const struct udp_socket *s, const void *sockaddr, size_t n,
                                    uint32_t *address, uint16_t *port)
{
    const struct sockaddr_in *in = sockaddr;
    const struct sockaddr_in6 *in6 = sockaddr;
    if (n >= sizeof *in && in->sin_family == AF_INET) {
        *address = load_be32((const uint8_t *)&in->sin_addr);
        *port = load_be16((const uint8_t *)&in->sin_port);
        return ADDRESS_FOUR;
    }
    if (!s->six || n < sizeof *in6 || in6->sin6_family != AF_INET6)
        return ADDRESS_NONE;
    const uint8_t *bytes = in6->sin6_addr.s6_addr;
    *port = load_be16((const uint8_t *)&in6->sin6_port);
    *address = load_be32(bytes + 12);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
        return ADDRESS_FOUR;
    return ADDRESS_SIX;
}

/* IPV6_V6ONLY: no IPv4 at all. The host knows. */
static bool only_six(struct file *f)
{
    int value = 0;
    socklen_t n = sizeof value;
    return socket_of(f)->six && !host_getsockopt(f->host_fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &n) && value;
}

/* The host has bound the socket, or bound it anew: to what? */
static void learn_name(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;
    uint32_t address;
    uint16_t port;
    if (host_getsockname(f->host_fd, &a, &n))
        return;
    enum address_kind kind = address_of(s, &a, n, &address, &port);
    if (kind == ADDRESS_NONE)
        return;
    s->bound_six = kind == ADDRESS_SIX || only_six(f);
    s->address = s->bound_six ? 0 : address;
    s->port = port;
    udp_steer(s);
}

static int udp_bind(struct file *f, const struct sockaddr *a, socklen_t n)
{
    struct udp_socket *s = socket_of(f);
    lock_take(&s->lock);
    int result = host_bind(f->host_fd, a, n);
    if (!result)
        learn_name(f);
    lock_release(&s->lock);
    return result;
}

static int udp_connect(struct file *f, const struct sockaddr *a, socklen_t n)
{
    struct udp_socket *s = socket_of(f);
    lock_take(&s->lock);
    int result = host_connect(f->host_fd, a, n, 0);
    if (!result) {
        uint32_t address;
        uint16_t port;
        enum address_kind kind = address_of(s, a, n, &address, &port);
        bool peer = kind == ADDRESS_FOUR;
        s->peer_six = kind == ADDRESS_SIX;
        s->peer = peer ? address : 0;
        s->peer_port = peer ? port : 0;
        if (peer && (!s->peer || !s->peer_port)) /* "this host"; or no port: rarities */
            s->receive_by_host = s->send_by_host = true;
        udp_endpoint_connect(&s->endpoint, s->peer, s->peer_port);
        learn_name(f);
    }
    lock_release(&s->lock);
    return result;
}

static int udp_getsockname(struct file *f, struct sockaddr_storage *a, socklen_t *n)
{
    return host_getsockname(f->host_fd, a, n);
}

static int udp_getpeername(struct file *f, struct sockaddr_storage *a, socklen_t *n)
{
    return host_getpeername(f->host_fd, a, n);
}

static int udp_shutdown(struct file *f, int how)
{
    struct udp_socket *s = socket_of(f);
    int result = (int)host_plain(__NR_shutdown, 0, 0, (uint32_t)f->host_fd, (uint32_t)how, 0, 0, 0);
    if (!result || result == -ENOTCONN) { /* Linux shuts it down either way */
        s->shut_read |= how == SHUT_RD || how == SHUT_RDWR;
        s->shut_write |= how == SHUT_WR || how == SHUT_RDWR;
    }
    return result;
}

/* ---- sending ---- */

static int64_t length_of(const struct msghdr *m)
{
    uint64_t total = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        if (m->msg_iov[i].iov_len > UDP_PAYLOAD_MAX - total)
            return -EMSGSIZE;
        total += m->msg_iov[i].iov_len;
    }
    return (int64_t)total;
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

/* Where this message goes: 0, BY_HOST, or what is wrong with its address. */
static int destination_of(const struct udp_socket *s, const struct msghdr *m, uint32_t *address,
                          uint16_t *port)
{
    *address = s->peer;
    *port = s->peer_port;
    if (!m->msg_namelen) {
        if (s->peer_six || s->send_by_host)
            return BY_HOST;
        return s->peer_port ? 0 : -EDESTADDRREQ;
    }
    if (s->six) {
        /* Every corner of IPv6's rules is the host's; what is plainly IPv4 is ours. */
        const struct sockaddr_in6 *in6 = m->msg_name;
        bool mapped = m->msg_namelen >= sizeof *in6 && in6->sin6_family == AF_INET6 &&
                      IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        if (!mapped || s->bound_six)
            return BY_HOST;
        address_of(s, in6, sizeof *in6, address, port);
        return *port ? 0 : BY_HOST;
    }
    const struct sockaddr_in *in = m->msg_name;
    if (m->msg_namelen < sizeof *in)
        return -EINVAL;
    if (in->sin_family != AF_INET && in->sin_family != AF_UNSPEC)
        return -EAFNOSUPPORT;
    *address = load_be32((const uint8_t *)&in->sin_addr);
    *port = load_be16((const uint8_t *)&in->sin_port);
    return *port ? 0 : -EINVAL;
}

static int64_t host_send(struct file *f, const struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    struct deadline limit = deadline_after(s->send_timeout);
    for (;;) {
        uint64_t asked;
        int64_t result =
            host_sendmsg(f->host_fd, m, 0, flags | MSG_DONTWAIT | MSG_NOSIGNAL, 0, &asked);
        if (result >= 0) {
            __atomic_add_fetch(&host_sends, 1, __ATOMIC_RELAXED);
            lock_take(&s->lock);
            udp_count(&s->endpoint, host_out, 1);
            if (!s->port)
                learn_name(f); /* sending bound it */
            lock_release(&s->lock);
            return result;
        }
        if (result != -EAGAIN || nonblocking(f, flags))
            return result;
        struct pollfd p = {.fd = f->host_fd, .events = POLLOUT};
        uint64_t left = deadline_left(&limit);
        xsk_flush();
        int ready = left ? host_ppoll(&p, 1, &left, EXIT_INTERRUPTIBLE) : 0;
        if (ready == 0)
            return -EAGAIN;
        if (ready == -EINTR && signal_pending())
            return s->send_timeout == NO_TIMEOUT ? RESTART_SYS : -EINTR;
    }
}

/* Fills in *t when the message can go over an XSK. The lock is held. */
static bool direct(struct udp_socket *s, const struct msghdr *m, int flags, uint32_t address,
                   uint16_t port, int64_t length, struct transmission *t)
{
    if (!net_active() || !s->port || s->send_by_host || s->shut_write || m->msg_controllen ||
        (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM)))
        return false;
    route_lookup(address, s->address, &t->route);
    if (!t->route.direct || !transmit_fits(&t->route, (uint64_t)length))
        return false;
    if (!s->staging && !(s->staging = alloc(TRANSMIT_MAX)))
        return false;
    t->source_port = s->port;
    t->destination_port = port;
    t->ttl = s->ttl;
    t->tos = s->tos;
    t->may_fragment = s->may_fragment;
    return true;
}

/* 0: sent. BY_HOST: it is not for an XSK. -EAGAIN: no room; *route tells where. */
static int send_direct(struct udp_socket *s, const struct msghdr *m, int flags, int64_t length,
                       struct route *route)
{
    struct transmission t;
    uint32_t address;
    uint16_t port;
    lock_take(&s->lock);
    int result = destination_of(s, m, &address, &port);
    if (!result && !direct(s, m, flags, address, port, length, &t))
        result = BY_HOST;
    if (!result)
        result = gather(s->staging, m);
    if (!result) {
        *route = t.route;
        result = transmit(&t, s->staging, (uint32_t)length);
        if (!result) {
            udp_count(&s->endpoint, packets_out, 1);
            udp_count(&s->endpoint, bytes_out, (uint64_t)length);
        }
    }
    lock_release(&s->lock);
    return result;
}

static int64_t udp_sendmsg(struct file *f, const struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    struct deadline limit = deadline_after(s->send_timeout);
    int64_t length = length_of(m);
    if (length < 0)
        return length;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (flags & MSG_MORE)
        s->send_by_host = true; /* what follows belongs to the same datagram */
    for (int attempt = 0;; attempt++) {
        struct route route;
        int result = send_direct(s, m, flags, length, &route);
        if (result == BY_HOST)
            return host_send(f, m, flags);
        if (result != -EAGAIN)
            return result ? result : length;
        if (nonblocking(f, flags)) {
            if (attempt > 0)
                return -EAGAIN;
            xsk_flush();
            continue;
        }
        uint64_t left = deadline_left(&limit);
        result = left ? transmit_wait(&route, attempt, &left) : -ETIMEDOUT;
        if (result == -ETIMEDOUT)
            return -EAGAIN;
        if (result == -EINTR && signal_pending())
            return s->send_timeout == NO_TIMEOUT ? RESTART_SYS : -EINTR;
    }
}

/* ---- receiving ---- */

static void put_control(struct msghdr *m, size_t room, int type, const void *data, size_t n)
{
    struct cmsghdr c = {.cmsg_len = CMSG_LEN(n), .cmsg_level = IPPROTO_IP, .cmsg_type = type};
    uint8_t *at = (uint8_t *)m->msg_control + m->msg_controllen;
    if (room - m->msg_controllen < CMSG_LEN(n)) {
        m->msg_flags |= MSG_CTRUNC;
        return;
    }
    memcpy(at, &c, sizeof c);
    memcpy(at + CMSG_LEN(0), data, n);
    m->msg_controllen += MIN(CMSG_SPACE(n), room - m->msg_controllen);
}

/* The sender's address in the socket's family; its size. */
static socklen_t source_address(const struct udp_socket *s, const struct udp_packet *p, void *to, size_t room)
{
    if (s->six) {
        struct sockaddr_in6 from = {.sin6_family = AF_INET6};
        from.sin6_addr.s6_addr[10] = from.sin6_addr.s6_addr[11] = 0xff;
        store_be32(from.sin6_addr.s6_addr + 12, p->source);
        store_be16((uint8_t *)&from.sin6_port, p->source_port);
        memcpy(to, &from, MIN(sizeof from, room));
        return sizeof from;
    }
    struct sockaddr_in from = {.sin_family = AF_INET};
    store_be32((uint8_t *)&from.sin_addr, p->source);
    store_be16((uint8_t *)&from.sin_port, p->source_port);
    memcpy(to, &from, MIN(sizeof from, room));
    return sizeof from;
}

static void fill_header(const struct udp_socket *s, const struct udp_packet *p, struct msghdr *m)
{
    size_t room = m->msg_controllen;
    m->msg_flags = 0;
    m->msg_controllen = 0;
    if (m->msg_name)
        m->msg_namelen = source_address(s, p, m->msg_name, m->msg_namelen);
    if (s->report_interface) {
        struct in_pktinfo info = {.ipi_ifindex = (int)xsk_interface(xsk_at(p->interface))};
        store_be32((uint8_t *)&info.ipi_addr, p->destination);
        store_be32((uint8_t *)&info.ipi_spec_dst, s->address ? s->address : p->destination);
        put_control(m, room, IP_PKTINFO, &info, sizeof info);
    }
    if (s->report_ttl) {
        int ttl = p->ttl;
        put_control(m, room, IP_TTL, &ttl, sizeof ttl);
    }
    if (s->report_tos)
        put_control(m, room, IP_TOS, &p->tos, sizeof p->tos);
}

static int copy_piece(const struct udp_packet *p, uint32_t done, void *to, size_t n)
{
    if (!p->xsk)
        return user_write(to, (const uint8_t *)p->inside + done, n);
    if (user_range(to, n))
        return -EFAULT;
    return untrusted_read(to, xsk_frame_at(p->xsk, p->frame, p->offset + done), n);
}

/* The datagram to the program's buffers: bytes (with MSG_TRUNC: its length) or -EFAULT. */
static int64_t copy_out(const struct udp_socket *s, const struct udp_packet *p, struct msghdr *m, int flags)
{
    uint32_t done = 0;
    for (size_t i = 0; i < m->msg_iovlen && done < p->length; i++) {
        size_t n = MIN(m->msg_iov[i].iov_len, (size_t)(p->length - done));
        if (n && copy_piece(p, done, m->msg_iov[i].iov_base, n))
            return -EFAULT;
        done += (uint32_t)n;
    }
    fill_header(s, p, m);
    if (done == p->length)
        return done;
    m->msg_flags |= MSG_TRUNC;
    return flags & MSG_TRUNC ? p->length : done;
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
        lock_release(&s->endpoint.lock);
        return result;
    }
    if (!udp_endpoint_take(&s->endpoint, &p))
        return -EAGAIN;
    result = copy_out(s, &p, m, flags);
    udp_packet_release(&p);
    return result;
}

static int64_t host_receive(struct file *f, struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    uint64_t asked, sends = __atomic_load_n(&host_sends, __ATOMIC_RELAXED);
    int64_t result = host_recvmsg(f->host_fd, m, 0, flags | MSG_DONTWAIT, 0, &asked);
    s->host_reported = 0;
    s->host_likely = result >= 0 && !(flags & MSG_PEEK);
    s->host_looked = result == -EAGAIN ? ticks() : 0;
    s->sends_seen = sends;
    if (result >= 0 && !(flags & MSG_PEEK))
        udp_count(&s->endpoint, host_in, 1);
    return result;
}

/* Was the host socket found empty less than this part of a second ago? */
static bool looked_within(const struct udp_socket *s, uint64_t part)
{
    return s->host_looked && ticks() - s->host_looked < net_second() / part;
}

/* Can it only be empty still? */
static bool believed_empty(const struct udp_socket *s)
{
    return attached(s) && looked_within(s, BELIEF_PART) &&
           s->sends_seen == __atomic_load_n(&host_sends, __ATOMIC_RELAXED);
}

/* -EAGAIN: nothing yet. Else a result. */
static int64_t receive_now(struct file *f, struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    int64_t result;
    if (udp_endpoint_empty(&s->endpoint) && attached(s))
        net_poll();
    bool queued = !udp_endpoint_empty(&s->endpoint);
    if (s->host_reported || (queued && !looked_within(s, LOOK_PART))) {
        result = host_receive(f, m, flags);
        if (result != -EAGAIN)
            return result;
    }
    return queue_receive(s, m, flags);
}

/* Sleep until there may be something: 0, or what the call returns. */
static int64_t receive_sleep(struct file *f, const struct deadline *limit)
{
    struct udp_socket *s = socket_of(f);
    uint32_t reported;
    uint64_t left = deadline_left(limit);
    int result = 0;
    if (!left)
        return -EAGAIN;
    xsk_flush();
    if (attached(s) && !signal_pending() && net_nap(left))
        return 0;
    s->sends_seen = __atomic_load_n(&host_sends, __ATOMIC_RELAXED);
    udp_endpoint_wait(&s->endpoint);
    if (udp_endpoint_empty(&s->endpoint))
        result = net_sleep(f->host_fd, POLLIN, attached(s), &reported, &left);
    else
        reported = 0;
    udp_endpoint_wait_end(&s->endpoint);
    s->host_looked = ticks();
    s->host_reported = reported;
    if (result == -ETIMEDOUT)
        return deadline_left(limit) ? 0 : -EAGAIN;
    if (result == -EINTR && signal_pending())
        return s->receive_timeout == NO_TIMEOUT ? RESTART_SYS : -EINTR;
    return result == -EINTR ? 0 : result;
}

static int64_t udp_recvmsg(struct file *f, struct msghdr *m, int flags)
{
    struct udp_socket *s = socket_of(f);
    struct deadline limit = deadline_after(s->receive_timeout);
    if (flags & MSG_ERRQUEUE)
        return host_receive(f, m, flags);
    for (;;) {
        int64_t result = receive_now(f, m, flags);
        if (result != -EAGAIN)
            return result;
        if (s->shut_read)
            break;
        if (nonblocking(f, flags)) {
            if (believed_empty(s))
                return -EAGAIN;
            return host_receive(f, m, flags);
        }
        if (s->host_likely) {
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

/* ---- as a file ---- */

static int64_t udp_read(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)count};
    if (offset >= 0)
        return -ESPIPE;
    return udp_recvmsg(f, &m, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

static int64_t udp_write(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)count};
    if (offset >= 0)
        return -ESPIPE;
    return udp_sendmsg(f, &m, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

static int udp_stat(struct file *f, struct stat *out)
{
    return host_fstat(f->host_fd, out);
}

static int64_t udp_ioctl(struct file *f, uint64_t command, uint64_t argument)
{
    if (command == FIONREAD) {
        struct udp_endpoint *e = &socket_of(f)->endpoint;
        if (udp_endpoint_empty(e))
            net_poll();
        int length = udp_endpoint_first_length(e);
        if (length >= 0)
            return user_put((void *)argument, &length);
    }
    return host_file_ioctl(f, command, argument);
}

static int udp_set_flags(struct file *f, int flags)
{
    (void)f, (void)flags; /* the host socket is only ever used without waiting */
    return 0;
}

/* What the host said of its socket since the last look, from the sleep that the caller has made. */
static void take_report(struct udp_socket *s, uint32_t reported)
{
    if (s->found_empty && s->sleeps_seen != net_sleeps() && !(reported & POLLIN))
        s->host_looked = ticks();
    if (reported & ~s->host_reported & POLLIN)
        s->host_arrivals++;
    s->host_reported |= reported;
    s->found_empty = false;
}

static uint32_t state(const struct udp_socket *s)
{
    uint32_t state = POLLOUT | POLLWRNORM | POLLWRBAND;
    if (!udp_endpoint_empty(&s->endpoint) || (s->host_reported & POLLIN))
        state |= POLLIN | POLLRDNORM;
    state |= s->host_reported & (POLLERR | POLLHUP);
    if (s->shut_read)
        state |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (s->shut_read && s->shut_write)
        state |= POLLHUP;
    return state;
}

static uint32_t udp_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    struct udp_socket *s = socket_of(f);
    uint32_t wanted = events | POLLERR | POLLHUP;
    take_report(s, wait->reported);
    udp_endpoint_wait_end(&s->endpoint);
    if (udp_endpoint_empty(&s->endpoint) && attached(s))
        net_poll();
    wait->host_fd = f->host_fd;
    wait->events = events & (POLLIN | POLLRDNORM | POLLRDHUP | POLLPRI);
    if (wait->events & POLLRDNORM)
        wait->events |= POLLIN;
    wait->answer = false;
    wait->net = attached(s);
    uint32_t ready = state(s) & wanted;
    if (ready)
        return ready;
    udp_endpoint_wait(&s->endpoint);
    s->found_empty = wait->events & POLLIN;
    s->sleeps_seen = net_sleeps();
    s->sends_seen = __atomic_load_n(&host_sends, __ATOMIC_RELAXED);
    return state(s) & wanted; /* something may have come before the wait was noted */
}

static uint64_t udp_arrivals(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    return __atomic_load_n(&s->endpoint.arrivals, __ATOMIC_RELAXED) + s->host_arrivals;
}

static void udp_release(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    udp_endpoint_finish(&s->endpoint);
    host_close(f->host_fd);
    alloc_free(s->staging);
    alloc_free(s);
}

static const struct socket_ops udp_calls = {
    .bind = udp_bind,
    .connect = udp_connect,
    .getsockname = udp_getsockname,
    .getpeername = udp_getpeername,
    .setsockopt = udp_setsockopt,
    .getsockopt = udp_getsockopt,
    .sendmsg = udp_sendmsg,
    .recvmsg = udp_recvmsg,
    .shutdown = udp_shutdown,
};

static const struct file_ops udp_ops = {
    .name = "udp",
    .read = udp_read,
    .write = udp_write,
    .stat = udp_stat,
    .ioctl = udp_ioctl,
    .set_flags = udp_set_flags,
    .poll = udp_poll,
    .arrivals = udp_arrivals,
    .release = udp_release,
    .socket = &udp_calls,
};

/* ---- fork ---- */

static void set_shared(struct file *f, bool shared)
{
    if (f->ops != &udp_ops)
        return;
    struct udp_socket *s = socket_of(f);
    lock_take(&s->lock);
    s->shared = shared;
    udp_steer(s);
    lock_release(&s->lock);
}

static void share(struct file *f)
{
    set_shared(f, true);
}

static void reclaim(struct file *f)
{
    set_shared(f, false);
}

static void leave(struct file *f)
{
    if (f->ops == &udp_ops)
        udp_endpoint_leave(&socket_of(f)->endpoint);
}

void udp_sockets_share(void)
{
    if (!net_active())
        return;
    net_poll(); /* what has come is the parent's */
    files_visit(share);
}

void udp_sockets_reclaim(void)
{
    if (net_active())
        files_visit(reclaim);
}

void udp_sockets_leave(void)
{
    files_visit(leave);
}

struct file *udp_socket_file(int host_fd, int family, int flags)
{
    if (family != AF_INET && family != AF_INET6)
        return host_socket_new(host_fd, SOCK_DGRAM, flags);
    struct udp_socket *s = alloc(sizeof *s);
    if (!s || udp_endpoint_prepare(&s->endpoint))
        goto no_memory;
    s->six = family == AF_INET6;
    s->ttl = UDP_TTL_DEFAULT;
    s->receive_timeout = s->send_timeout = NO_TIMEOUT;
    struct file *f = file_new(&udp_ops, host_fd, flags);
    if (!f) {
        udp_endpoint_finish(&s->endpoint);
        goto no_memory;
    }
    f->data = s;
    f->mode = S_IFSOCK;
    return f;

no_memory:
    alloc_free(s);
    host_close(host_fd);
    return NULL;
}

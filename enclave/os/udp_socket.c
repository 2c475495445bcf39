/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets: their names, what is steered to them, and what they are as files. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/net/bytes.h"
#include "enclave/net/interface.h"
#include "enclave/os/files.h"
#include "enclave/os/interface_name.h"
#include "enclave/os/time.h"
#include "enclave/os/udp_socket.h"

bool udp_nonblocking(const struct file *f, int flags)
{
    return (f->flags & O_NONBLOCK) || (flags & MSG_DONTWAIT);
}

struct udp_deadline udp_deadline_after(uint64_t timeout_ns)
{
    return (struct udp_deadline){timeout_ns, timeout_ns == NO_TIMEOUT ? 0 : udp_ticks()};
}

uint64_t udp_deadline_left(const struct udp_deadline *d)
{
    if (d->timeout_ns == NO_TIMEOUT)
        return NO_TIMEOUT;
    uint64_t passed = (udp_ticks() - d->started) / (net_second() / 1000000) * 1000;
    return passed < d->timeout_ns ? d->timeout_ns - passed : 0;
}

/* ---- the host socket ---- */

bool udp_looked_within(const struct udp_socket *s, uint64_t part)
{
    return hint(s->host_looked) && udp_ticks() - hint(s->host_looked) < net_second() / part;
}

bool udp_believed_empty(const struct udp_socket *s)
{
    return udp_xsks(s) && udp_looked_within(s, UDP_BELIEF_PART) && hint(s->sends_seen) == udp_host_sends();
}

void udp_host_look(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    struct pollfd p = {.fd = f->host_fd, .events = POLLIN};
    uint64_t now = 0;
    uint32_t sends = udp_host_sends();
    int ready = host_ppoll(&p, 1, &now, 0);
    if (ready < 0)
        return;
    hint_set(s->host_reported, hint(s->host_reported) | (uint16_t)p.revents);
    if (p.revents & POLLIN)
        return;
    hint_set(s->host_looked, udp_ticks());
    hint_set(s->sends_seen, sends);
}

/* ---- names and steering ---- */

bool udp_address_of(const struct udp_socket *s, const void *sockaddr, size_t n,
                    struct ip_address *address, uint16_t *port)
{
    const struct sockaddr_in *in = sockaddr;
    const struct sockaddr_in6 *in6 = sockaddr;
    if (!s->six) {
        if (n < sizeof *in || in->sin_family != AF_INET)
            return false;
        *address = ip_four(load_be32((const uint8_t *)&in->sin_addr));
        *port = load_be16((const uint8_t *)&in->sin_port);
        return true;
    }
    if (n < sizeof *in6 || in6->sin6_family != AF_INET6)
        return false;
    *address = load_ip(in6->sin6_addr.s6_addr);
    *port = load_be16((const uint8_t *)&in6->sin6_port);
    return true;
}

/* An address of an interface with XSKs? They may have changed since they were asked for. */
static bool address_here(struct ip_address address)
{
    if (ip_is_loopback(address))
        return false;
    return interface_owns(0, address) || (!interfaces_load() && interface_owns(0, address));
}

/* Can anything for this name come by an XSK, and may it? */
static bool can_be_served(const struct udp_socket *s, const struct udp_name *n)
{
    return n->port && !s->receive_by_host && !s->shared && !s->odd_peer &&
           (!n->device || interface_exists(n->device)) &&
           (ip_is_any(n->address) || address_here(n->address));
}

static bool names_equal(const struct udp_name *a, const struct udp_name *b)
{
    return ip_equal(a->address, b->address) && ip_equal(a->peer, b->peer) && a->device == b->device &&
           a->port == b->port && a->peer_port == b->peer_port && a->four == b->four &&
           a->six == b->six && a->served == b->served && a->shares == b->shares;
}

static void rename(struct file *f, struct udp_name *n)
{
    struct udp_socket *s = socket_of(f);
    /* What stays on this machine never comes by an XSK: such a name takes nothing from others. */
    bool here = ip_is_loopback(n->address);
    n->served = can_be_served(s, n);
    n->host = f->host_fd;
    n->shares = s->shares;
    if (here)
        n->four = n->six = false;
    if (names_equal(n, &s->endpoint.name))
        return;
    if (n->served && !s->limit_known) {
        udp_learn_limit(f);
        udp_learn_defaults(f);
    }
    int error = udp_endpoint_rename(&s->endpoint, n);
    if (error)
        log_debug("port %u is received by the host socket: it cannot be steered (error %d)", n->port,
                  -error);
}

void udp_steer(struct file *f)
{
    struct udp_name n = socket_of(f)->endpoint.name;
    rename(f, &n);
}

static int host_option(struct file *f, int level, int name)
{
    int value = 0;
    socklen_t n = sizeof value;
    return host_getsockopt(f->host_fd, level, name, &value, &n) || n != sizeof value ? 0 : value;
}

/* The families of what comes to a socket with this address. */
static void families_of(struct file *f, struct udp_name *n)
{
    bool six = socket_of(f)->six;
    if (ip_is_any(n->address) && six && !ip_is_four(n->address)) {
        n->six = true;
        n->four = !host_option(f, IPPROTO_IPV6, IPV6_V6ONLY);
        return;
    }
    n->four = ip_is_four(n->address);
    n->six = !n->four;
}

/* Only the host knows what its call did to the binding, to a device above all. */
static uint64_t device_of(struct file *f, const struct udp_name *n)
{
    struct udp_socket *s = socket_of(f);
    if (ip_is_link_local(n->address) || ip_is_link_local(n->peer))
        s->bound_to_device = true;
    if (!s->bound_to_device)
        return 0;
    int device = host_option(f, SOL_SOCKET, SO_BINDTOIFINDEX);
    return device > 0 ? (uint64_t)device : 0;
}

void udp_learn_name(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    struct sockaddr_storage a = {0};
    socklen_t length = sizeof a;
    struct udp_name n = s->endpoint.name;
    if (host_getsockname(f->host_fd, &a, &length) ||
        !udp_address_of(s, &a, length, &n.address, &n.port))
        return;
    families_of(f, &n);
    n.device = device_of(f, &n);
    rename(f, &n);
}

static int udp_bind(struct file *f, const struct sockaddr *a, socklen_t n)
{
    struct udp_socket *s = socket_of(f);
    lock_take(&s->lock);
    udp_stream_end(&s->stream);
    int result = host_bind(f->host_fd, a, n);
    if (!result)
        udp_learn_name(f);
    lock_release(&s->lock);
    return result;
}

/* Whom the host has connected the socket to: nobody (port 0), or what the program asked for. */
static void learn_peer(struct file *f, const struct sockaddr *a, socklen_t n, struct udp_name *name)
{
    struct udp_socket *s = socket_of(f);
    name->peer = ip_none;
    name->peer_port = 0;
    s->odd_peer = false;
    if (a->sa_family == AF_UNSPEC)
        return;
    bool plain = udp_address_of(s, a, n, &name->peer, &name->peer_port);
    s->odd_peer = !plain || !name->peer_port || ip_is_any(name->peer);
    if (s->odd_peer)
        name->peer_port = 0;
}

static int udp_connect(struct file *f, const struct sockaddr *a, socklen_t n)
{
    struct udp_socket *s = socket_of(f);
    lock_take(&s->lock);
    udp_stream_end(&s->stream);
    int result = host_connect(f->host_fd, a, n, 0);
    if (result && !s->endpoint.name.port)
        udp_learn_name(f); /* it may be bound to a port nevertheless */
    if (!result) {
        struct udp_name name = s->endpoint.name;
        struct sockaddr_storage local = {0};
        socklen_t length = sizeof local;
        learn_peer(f, a, n, &name);
        if (!host_getsockname(f->host_fd, &local, &length) &&
            udp_address_of(s, &local, length, &name.address, &name.port)) {
            families_of(f, &name);
            name.device = device_of(f, &name);
        }
        rename(f, &name);
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
    lock_take(&s->lock);
    udp_stream_end(&s->stream);
    lock_release(&s->lock);
    int result = (int)host_plain(__NR_shutdown, 0, 0, (uint32_t)f->host_fd, (uint32_t)how, 0, 0, 0);
    if (!result || result == -ENOTCONN) { /* Linux shuts it down either way */
        s->shut_read |= how == SHUT_RD || how == SHUT_RDWR;
        s->shut_write |= how == SHUT_WR || how == SHUT_RDWR;
    }
    return result;
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

/* SIOCGSTAMP and its kin: when the last datagram came. */
static int64_t stamp(const struct udp_socket *s, bool fine, uint64_t argument)
{
    uint64_t ns = time_realtime_at(hint(s->last_arrived));
    const int64_t time[2] = {(int64_t)(ns / 1000000000),
                             (int64_t)(fine ? ns % 1000000000 : ns % 1000000000 / 1000)};
    return user_put((void *)argument, &time);
}

static int64_t udp_ioctl(struct file *f, uint64_t command, uint64_t argument)
{
    if (command == FIOASYNC)
        udp_by_kernel(f);
    bool fine = command == SIOCGSTAMPNS_OLD || command == SIOCGSTAMPNS_NEW;
    if ((fine || command == SIOCGSTAMP_OLD || command == SIOCGSTAMP_NEW) && socket_of(f)->last_arrived)
        return stamp(socket_of(f), fine, argument);
    if (command == SIOCGIFNAME)
        return interface_name(f, argument);
    if (command == FIONREAD) {
        struct udp_endpoint *e = &socket_of(f)->endpoint;
        if (udp_endpoint_empty(e))
            net_poll(udp_xsks(socket_of(f)));
        int length = udp_endpoint_first_length(e);
        if (length >= 0)
            return user_put((void *)argument, &length);
    }
    return host_file_ioctl(f, command, argument);
}

static int udp_set_flags(struct file *f, int flags)
{
    /* The host socket is only ever used without waiting; signals of what has come are the kernel's to send. */
    if (!(flags & O_ASYNC) && !(f->flags & O_ASYNC))
        return 0;
    udp_by_kernel(f);
    return host_file_ops.set_flags(f, flags);
}

/* What the host said of its socket since the last look, from the sleep that the caller has made. */
static void take_report(struct udp_socket *s, uint32_t reported, bool fresh)
{
    if (hint(s->found_empty) && hint(s->sleeps_seen) != net_sleeps() && !(reported & POLLIN))
        hint_set(s->host_looked, udp_ticks());
    if (reported & (fresh ? POLLIN : ~hint(s->host_reported) & POLLIN))
        hint_set(s->host_arrivals, hint(s->host_arrivals) + 1);
    hint_set(s->host_reported, hint(s->host_reported) | (reported & ~(uint32_t)POLLOUT));
    if (reported & (POLLOUT | POLLERR | POLLHUP))
        hint_set(s->stream.blocked, false);
    hint_set(s->found_empty, false);
}

static uint32_t state(const struct udp_socket *s)
{
    uint32_t state = hint(s->stream.blocked) ? 0 : POLLOUT | POLLWRNORM | POLLWRBAND;
    if (!udp_endpoint_empty(&s->endpoint) || (hint(s->host_reported) & POLLIN))
        state |= POLLIN | POLLRDNORM;
    state |= hint(s->host_reported) & (POLLERR | POLLHUP);
    if (!udp_zerocopy_told(s))
        state |= POLLERR;
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
    take_report(s, wait->reported, wait->fresh);
    udp_endpoint_wait_end(&s->endpoint);
    wait->xsks = net_unserved(udp_xsks(s));
    if (udp_endpoint_empty(&s->endpoint) && udp_xsks(s))
        net_poll(udp_xsks(s));
    wait->host_fd = f->host_fd;
    wait->events = events & (POLLIN | POLLRDNORM | POLLRDHUP | POLLPRI);
    if (wait->events & POLLRDNORM)
        wait->events |= POLLIN;
    if (hint(s->stream.blocked) && (events & (POLLOUT | POLLWRNORM | POLLWRBAND)))
        wait->events |= POLLOUT;
    wait->answer = false;
    uint32_t ready = state(s) & wanted;
    /* What is ready inside must not hide what the host has to tell: it is looked at now and then. */
    if (ready && !udp_looked_within(s, ready & POLLIN ? UDP_LOOK_PART : UDP_BELIEF_PART)) {
        udp_host_look(f);
        ready = state(s) & wanted;
    }
    if (ready)
        return ready;
    udp_endpoint_wait(&s->endpoint);
    wait->xsks = net_unserved(udp_xsks(s)); /* whenever others are to be waited for, it is woken */
    hint_set(s->found_empty, wait->events & POLLIN);
    hint_set(s->sleeps_seen, net_sleeps());
    hint_set(s->sends_seen, udp_host_sends());
    return state(s) & wanted; /* something may have come before the wait was noted */
}

static uint64_t udp_arrivals(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    return __atomic_load_n(&s->endpoint.arrivals, __ATOMIC_RELAXED) + hint(s->host_arrivals);
}

static void udp_release(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    udp_stream_end(&s->stream);
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
    .by_kernel = udp_by_kernel,
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
    struct udp_socket *s = hint(f->data);
    if (!s)
        return; /* it is being made */
    lock_take(&s->lock);
    udp_stream_end(&s->stream);
    s->shared = shared;
    /* What was known of the host socket was known to one process alone. */
    hint_set(s->host_looked, 0);
    hint_set(s->host_reported, 0);
    hint_set(s->host_likely, false);
    udp_steer(f);
    lock_release(&s->lock);
}

static void share(struct file *f)
{
    if (f->ops == &udp_ops)
        set_shared(f, true);
}

static void reclaim(struct file *f)
{
    if (f->ops == &udp_ops)
        set_shared(f, false);
}

static void leave(struct file *f)
{
    if (f->ops == &udp_ops)
        udp_endpoint_leave(&socket_of(f)->endpoint);
}

void udp_sockets_share(void)
{
    if (net_active())
        net_poll(NET_ALL); /* what has come is the parent's */
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
    s->receive_timeout = s->send_timeout = NO_TIMEOUT;
    struct file *f = file_new(&udp_ops, host_fd, flags);
    if (!f) {
        udp_endpoint_finish(&s->endpoint);
        goto no_memory;
    }
    f->mode = S_IFSOCK;
    __atomic_store_n(&f->data, s, __ATOMIC_RELEASE); /* from here on others see it that visit all files */
    return f;

no_memory:
    alloc_free(s);
    host_close(host_fd);
    return NULL;
}

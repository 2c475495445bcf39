/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, and waiting. */
#include <asm/unistd_64.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_room.h"
#include "enclave/lib/lib.h"

#define ADDRESS_MAX sizeof(struct sockaddr_storage)
#define VALUE_MAX 32768
#define NANOSECONDS 1000000000ull

int host_socket(int family, int type, int protocol)
{
    return host_plain_fd(__NR_socket, 0, (uint32_t)family, (uint32_t)(type | SOCK_CLOEXEC),
                         (uint32_t)protocol);
}

static int address_call(uint64_t number, int fd, const struct sockaddr *a, socklen_t n,
                        uint64_t exit_flags)
{
    if (n > ADDRESS_MAX)
        return -EINVAL;
    room_put(0, a, n);
    return (int)room_call(number, exit_flags, 0, (uint32_t)fd, room_address(0), n, 0, 0, 0);
}

int host_bind(int fd, const struct sockaddr *a, socklen_t n)
{
    return address_call(__NR_bind, fd, a, n, 0);
}

int host_connect(int fd, const struct sockaddr *a, socklen_t n, uint64_t exit_flags)
{
    return address_call(__NR_connect, fd, a, n, exit_flags);
}

/* An address that comes back: the room is a length, then the address. */
#define ADDRESS_LENGTH 0
#define ADDRESS 8

/* Copies the address in; the host's length may exceed the room that was given for it (it was cut
 * then), but not what any address takes. */
static void address_get(struct sockaddr_storage *a, socklen_t *n)
{
    uint32_t length = (uint32_t)room_load(ADDRESS_LENGTH);
    if (length > ADDRESS_MAX)
        violation("an address of %u bytes", length);
    room_get(a, ADDRESS, MIN(length, *n));
    *n = length;
}

int host_accept(int fd, struct sockaddr_storage *a, socklen_t *n, int flags, uint64_t exit_flags)
{
    uint64_t address = 0, length = 0;
    if (a) {
        *n = ADDRESS_MAX;
        room_store(ADDRESS_LENGTH, *n);
        address = room_address(ADDRESS);
        length = room_address(ADDRESS_LENGTH);
    }
    int64_t result = room_call(__NR_accept4, exit_flags, INT_MAX, (uint32_t)fd, address, length,
                               (uint32_t)(flags | SOCK_CLOEXEC), 0, 0);
    if (result >= 0 && a)
        address_get(a, n);
    return host_fd_adopt(result);
}

static int name_call(uint64_t number, int fd, struct sockaddr_storage *a, socklen_t *n)
{
    *n = ADDRESS_MAX;
    room_store(ADDRESS_LENGTH, *n);
    int result = (int)room_call(number, 0, 0, (uint32_t)fd, room_address(ADDRESS),
                                room_address(ADDRESS_LENGTH), 0, 0, 0);
    if (!result)
        address_get(a, n);
    return result;
}

int host_getsockname(int fd, struct sockaddr_storage *a, socklen_t *n)
{
    return name_call(__NR_getsockname, fd, a, n);
}

int host_getpeername(int fd, struct sockaddr_storage *a, socklen_t *n)
{
    return name_call(__NR_getpeername, fd, a, n);
}

int host_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    if (n > VALUE_MAX)
        return -EINVAL;
    room_put(0, value, n);
    return (int)room_call(__NR_setsockopt, 0, 0, (uint32_t)fd, (uint32_t)level, (uint32_t)name,
                          room_address(0), n, 0);
}

int host_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    if (*n > VALUE_MAX)
        *n = VALUE_MAX;
    room_store(0, *n);
    room_put(8, value, *n); /* some options read it first */
    int result = (int)room_call(__NR_getsockopt, 0, 0, (uint32_t)fd, (uint32_t)level,
                                (uint32_t)name, room_address(8), room_address(0), 0);
    if (result)
        return result;
    uint32_t length = (uint32_t)room_load(0);
    if (length > *n)
        violation("a socket option of %u bytes where there is room for %u", length, *n);
    room_get(value, 8, length);
    *n = length;
    return 0;
}

int host_attach_filter(int fd, int name, const void *instructions, uint16_t count)
{
    struct sock_fprog program = {.len = count};
    uint64_t at = room_align(sizeof program);
    program.filter = (struct sock_filter *)room_address(at);
    room_put(0, &program, sizeof program);
    room_put(at, instructions, count * sizeof(struct sock_filter));
    return (int)room_call(__NR_setsockopt, 0, 0, (uint32_t)fd, SOL_SOCKET, (uint32_t)name,
                          room_address(0), sizeof program, 0);
}

int64_t host_ifconf(int fd, void *buffer, uint64_t room)
{
    const uint64_t at = 64;
    uint64_t size = MIN(room, (uint64_t)VALUE_MAX);
    struct ifconf c = {.ifc_len = (int)size, .ifc_buf = buffer ? (char *)room_address(at) : NULL};
    room_put(0, &c, sizeof c);
    int64_t result =
        room_call(__NR_ioctl, 0, 0, (uint32_t)fd, SIOCGIFCONF, room_address(0), 0, 0, 0);
    if (result)
        return result;
    room_get(&c, 0, sizeof c);
    if (c.ifc_len < 0 || (buffer && (uint64_t)c.ifc_len > size))
        violation("a list of interfaces of %d bytes where there is room for %lu", c.ifc_len, size);
    if (buffer && room_get_user(buffer, at, (uint64_t)c.ifc_len))
        return -EFAULT;
    return c.ifc_len;
}

/* The room of sendmsg and recvmsg: the header, the address, control data, iovecs, data. */
#define MESSAGE_NAME 64
#define MESSAGE_CONTROL (MESSAGE_NAME + ADDRESS_MAX)
#define CONTROL_MAX 65536

struct message_room {
    uint64_t table, slots, data;
};

static struct message_room message_layout(const struct msghdr *m)
{
    struct message_room r;
    r.table = MESSAGE_CONTROL + room_align(MIN(m->msg_controllen, (size_t)CONTROL_MAX));
    r.slots = MIN(m->msg_iovlen, (size_t)HOST_IOV_MAX);
    r.data = r.table + r.slots * 16;
    return r;
}

uint64_t host_message_room(const struct msghdr *m)
{
    struct message_room r = message_layout(m);
    return bounce_size() - r.data - r.slots * 8; /* each buffer begins on 8 bytes */
}

static void message_header(const struct msghdr *m, const struct message_room *r, uint64_t iovecs)
{
    struct msghdr h = {
        .msg_name = m->msg_namelen ? (void *)room_address(MESSAGE_NAME) : NULL,
        .msg_namelen = m->msg_namelen,
        .msg_iov = (struct iovec *)room_address(r->table),
        .msg_iovlen = iovecs,
        .msg_control = m->msg_controllen ? (void *)room_address(MESSAGE_CONTROL) : NULL,
        .msg_controllen = m->msg_controllen,
    };
    room_put(0, &h, sizeof h);
}

int64_t host_sendmsg(int fd, const struct msghdr *m, uint64_t skip, int flags, uint64_t exit_flags,
                     uint64_t *asked)
{
    if (m->msg_namelen > ADDRESS_MAX)
        return -EINVAL;
    if (m->msg_controllen > CONTROL_MAX)
        return -ENOBUFS;
    struct message_room r = message_layout(m);
    uint64_t used;
    int64_t n =
        room_gather(m->msg_iov, (int)r.slots, skip, r.table, r.slots, r.data, bounce_size(), &used);
    if (n < 0)
        return n;
    *asked = (uint64_t)n;
    room_put(MESSAGE_NAME, m->msg_name, m->msg_namelen);
    if (used <= 1 && !m->msg_controllen)
        return room_call(__NR_sendto, exit_flags, (uint64_t)n, (uint32_t)fd, room_address(r.data),
                         (uint64_t)n, (uint32_t)flags,
                         m->msg_namelen ? room_address(MESSAGE_NAME) : 0, m->msg_namelen);
    room_put(MESSAGE_CONTROL, m->msg_control, m->msg_controllen);
    message_header(m, &r, used);
    return room_call(__NR_sendmsg, exit_flags, (uint64_t)n, (uint32_t)fd, room_address(0),
                     (uint32_t)flags, 0, 0, 0);
}

int64_t host_recvmsg(int fd, struct msghdr *m, uint64_t skip, int flags, uint64_t exit_flags,
                     uint64_t *asked)
{
    if (m->msg_namelen > ADDRESS_MAX)
        m->msg_namelen = ADDRESS_MAX;
    if (m->msg_controllen > CONTROL_MAX)
        m->msg_controllen = CONTROL_MAX;
    struct message_room r = message_layout(m);
    uint64_t total = iovec_length(m->msg_iov, (int)r.slots);
    uint64_t n = MIN(total - MIN(skip, total), bounce_size() - r.data);
    *asked = n;
    uint64_t limit = flags & MSG_TRUNC ? INT_MAX : n;
    room_store(r.table, room_address(r.data));
    room_store(r.table + 8, n);
    message_header(m, &r, 1);
    int64_t result = room_call(__NR_recvmsg, exit_flags, limit, (uint32_t)fd, room_address(0),
                               (uint32_t)flags, 0, 0, 0);
    if (result < 0)
        return result;

    struct msghdr h;
    room_get(&h, 0, sizeof h);
    if (h.msg_namelen > ADDRESS_MAX || h.msg_controllen > m->msg_controllen)
        violation("a message with %u bytes of address and %lu of control data", h.msg_namelen,
                  h.msg_controllen);
    if (m->msg_namelen)
        room_get(m->msg_name, MESSAGE_NAME, MIN(h.msg_namelen, m->msg_namelen));
    room_get(m->msg_control, MESSAGE_CONTROL, h.msg_controllen);
    m->msg_namelen = h.msg_namelen;
    m->msg_controllen = h.msg_controllen;
    m->msg_flags = h.msg_flags;
    int64_t got = MIN(result, (int64_t)n);
    if (got && room_scatter(m->msg_iov, (int)r.slots, skip, r.data, (uint64_t)got) < got)
        return -EFAULT;
    return result;
}

int64_t host_recv(int fd, const struct iovec *v, int count, uint64_t skip, int flags,
                  uint64_t exit_flags, uint64_t *asked)
{
    uint64_t total = iovec_length(v, count);
    uint64_t n = MIN(total - MIN(skip, total), bounce_size());
    *asked = n;
    int64_t result = room_call(__NR_recvfrom, exit_flags, flags & MSG_TRUNC ? INT_MAX : n,
                               (uint32_t)fd, room_address(0), n, (uint32_t)flags, 0, 0);
    int64_t got = MIN(result, (int64_t)n);
    if (got > 0 && room_scatter(v, count, skip, 0, (uint64_t)got) < got)
        return -EFAULT;
    return result;
}

int host_ppoll(struct pollfd *p, unsigned count, uint64_t *timeout_ns, uint64_t exit_flags)
{
    uint64_t time = 0, at = sizeof(struct timespec);
    if (count > HOST_POLL_MAX)
        return -EINVAL;
    if (*timeout_ns != NO_TIMEOUT) {
        room_store(0, *timeout_ns / NANOSECONDS);
        room_store(8, *timeout_ns % NANOSECONDS);
        time = room_address(0);
    }
    for (unsigned i = 0; i < count; i++)
        room_store(at + i * 8, (uint32_t)p[i].fd | (uint64_t)(uint16_t)p[i].events << 32);
    int64_t result =
        room_call(__NR_ppoll, exit_flags, count, room_address(at), count, time, 0, 0, 0);
    if (result < 0)
        return (int)result;
    if (time) {
        uint64_t seconds = room_load(0), rest = room_load(8);
        if (seconds <= *timeout_ns / NANOSECONDS && rest < NANOSECONDS)
            *timeout_ns = MIN(seconds * NANOSECONDS + rest, *timeout_ns);
        if (!result)
            *timeout_ns = 0;
    }
    int ready = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t allowed = (uint16_t)p[i].events | POLLERR | POLLHUP | POLLNVAL;
        uint64_t events = result ? (room_load(at + i * 8) >> 48) & allowed : 0;
        p[i].revents = (short)events;
        ready += events != 0;
    }
    return ready;
}

int host_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    room_put(0, &e, sizeof e);
    return (int)room_call(__NR_epoll_ctl, 0, 0, (uint32_t)epoll, (uint32_t)operation, (uint32_t)fd,
                          room_address(0), 0, 0);
}

#define MILLISECOND 1000000ull

int host_epoll_wait(int epoll, struct epoll_event *out, int maximum, uint64_t timeout_ns,
                    uint64_t exit_flags)
{
    uint64_t events = sizeof(struct timespec), limit = (uint64_t)MIN(maximum, HOST_EPOLL_MAX);
    int64_t result;
    if (timeout_ns == NO_TIMEOUT ||
        (timeout_ns % MILLISECOND == 0 && timeout_ns / MILLISECOND <= INT_MAX)) {
        int ms = timeout_ns == NO_TIMEOUT ? -1 : (int)(timeout_ns / MILLISECOND);
        result = room_call(__NR_epoll_wait, exit_flags, limit, (uint32_t)epoll,
                           room_address(events), limit, (uint64_t)(int64_t)ms, 0, 0);
    } else {
        room_store(0, timeout_ns / NANOSECONDS);
        room_store(8, timeout_ns % NANOSECONDS);
        result = room_call(__NR_epoll_pwait2, exit_flags, limit, (uint32_t)epoll,
                           room_address(events), limit, room_address(0), 0, 8);
    }
    if (result > 0)
        room_get(out, events, (uint64_t)result * sizeof *out);
    return (int)result;
}

int host_timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
    room_put(0, value, sizeof *value);
    int result = (int)room_call(__NR_timerfd_settime, 0, 0, (uint32_t)fd, (uint32_t)flags,
                                room_address(0), room_address(sizeof *value), 0, 0);
    if (!result && old)
        room_get(old, sizeof *value, sizeof *old);
    return result;
}

int host_timerfd_gettime(int fd, struct itimerspec *out)
{
    int result =
        (int)room_call(__NR_timerfd_gettime, 0, 0, (uint32_t)fd, room_address(0), 0, 0, 0, 0);
    if (!result)
        room_get(out, 0, sizeof *out);
    return result;
}

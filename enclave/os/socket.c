/* SPDX-License-Identifier: Apache-2.0 */
/* System calls on sockets. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/net/net.h"
#include "enclave/os/control.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/time.h"

/* A reference to the socket; 0, or -errno and NULL. */
static int socket_get(int fd, struct file **out)
{
    *out = file_get(fd);
    if (!*out)
        return -EBADF;
    if ((*out)->ops->socket)
        return 0;
    file_put(*out);
    *out = NULL;
    return -ENOTSOCK;
}

static int64_t socket_install(struct file *f, int type)
{
    return f ? file_install_or_put(f, type & SOCK_CLOEXEC ? O_CLOEXEC : 0) : -ENOMEM;
}

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

SYSCALL(socket)
{
    int family = (int)a0, type = (int)a1, protocol = (int)a2;
    int flags = O_RDWR | (type & SOCK_NONBLOCK ? O_NONBLOCK : 0);
    int fd = host_socket(family, type, protocol);
    if (fd < 0)
        return fd;
    bool udp = (family == AF_INET || family == AF_INET6) && (type & ~TYPE_FLAGS) == SOCK_DGRAM &&
               (protocol == 0 || protocol == IPPROTO_UDP);
    struct file *f = udp && net_active() ? udp_socket_file(fd, family, flags)
                                         : host_socket_new(fd, type & ~TYPE_FLAGS, flags);
    return socket_install(f, type);
}

SYSCALL(socketpair)
{
    int host[2], fds[2], type = (int)a1, flags = O_RDWR | (type & SOCK_NONBLOCK ? O_NONBLOCK : 0);
    int kind = type & ~TYPE_FLAGS;
    if (local_wanted() && (int)a0 == AF_UNIX && !(int)a2 &&
        (kind == SOCK_STREAM || kind == SOCK_DGRAM || kind == SOCK_SEQPACKET)) {
        struct file *ends[2] = {NULL, NULL};
        int failed = local_pair(kind, flags & O_NONBLOCK, ends);
        return failed ? failed
                      : files_install_pair(ends[0], ends[1], type & SOCK_CLOEXEC ? O_CLOEXEC : 0, fds, a3);
    }
    int error = host_socketpair(host, (int)a0, type | SOCK_CLOEXEC, (int)a2);
    if (error)
        return error;
    struct file *a = host_socket_new(host[0], type & ~TYPE_FLAGS, flags);
    struct file *b = host_socket_new(host[1], type & ~TYPE_FLAGS, flags);
    return files_install_pair(a, b, type & SOCK_CLOEXEC ? O_CLOEXEC : 0, fds, a3);
}

static int address_read(struct sockaddr_storage *a, uint64_t user, socklen_t n)
{
    if (n > sizeof *a)
        return -EINVAL;
    return user_read(a, (const void *)user, n);
}

/* The address of `n` bytes to the program, cut to the room of which *user_length tells. */
static int address_write(const struct sockaddr_storage *a, socklen_t n, uint64_t user,
                         uint64_t user_length)
{
    int32_t room;
    if (user_get(&room, (const void *)user_length))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    if (user_write((void *)user, a, MIN(MIN((socklen_t)room, n), (socklen_t)sizeof *a)))
        return -EFAULT;
    return user_put((void *)user_length, &n);
}

SYSCALL(bind)
{
    struct sockaddr_storage a;
    struct file *f;
    int result = address_read(&a, a1, (socklen_t)a2);
    if (!result)
        result = socket_get((int)a0, &f);
    if (result)
        return result;
    result = f->ops->socket->bind(f, (struct sockaddr *)&a, (socklen_t)a2);
    file_put(f);
    return result;
}

SYSCALL(connect)
{
    struct sockaddr_storage a;
    struct file *f;
    int result = address_read(&a, a1, (socklen_t)a2);
    if (!result)
        result = socket_get((int)a0, &f);
    if (result)
        return result;
    result = f->ops->socket->connect(f, (struct sockaddr *)&a, (socklen_t)a2);
    file_put(f);
    return result;
}

SYSCALL(listen)
{
    struct file *f;
    int result = socket_get((int)a0, &f);
    if (result)
        return result;
    result = f->ops->socket->listen ? f->ops->socket->listen(f, (int)a1) : -EOPNOTSUPP;
    file_put(f);
    return result;
}

static int64_t accept_call(int fd, uint64_t address, uint64_t length, int flags)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    struct file *f, *new = NULL;
    if (flags & ~TYPE_FLAGS)
        return -EINVAL;
    int64_t result = socket_get(fd, &f);
    if (result)
        return result;
    result = f->ops->socket->accept
                 ? f->ops->socket->accept(f, flags, address ? &a : NULL, &n, &new)
                 : -EOPNOTSUPP;
    file_put(f);
    if (result < 0)
        return result;
    if (address && (result = address_write(&a, n, address, length))) {
        file_put(new);
        return result;
    }
    return socket_install(new, flags);
}

SYSCALL(accept)
{
    return accept_call((int)a0, a1, a2, 0);
}

SYSCALL(accept4)
{
    return accept_call((int)a0, a1, a2, (int)a3);
}

static int64_t name_of(int fd, bool peer, uint64_t user, uint64_t length)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    struct file *f;
    int result = socket_get(fd, &f);
    if (result)
        return result;
    result = peer ? f->ops->socket->getpeername(f, &a, &n) : f->ops->socket->getsockname(f, &a, &n);
    file_put(f);
    return result ? result : address_write(&a, n, user, length);
}

SYSCALL(getsockname)
{
    return name_of((int)a0, false, a1, a2);
}

SYSCALL(getpeername)
{
    return name_of((int)a0, true, a1, a2);
}

#define VALUE_SMALL 128
#define IPT_SO_SET_REPLACE_ 64 /* linux/netfilter_ipv4/ip_tables.h, which does not stand alone */
#define VALUE_MAX 32768

static int64_t attach_filter(struct file *f, int name, const void *value, socklen_t n)
{
    struct sock_fprog program;
    if (n != sizeof program || f->host_fd < 0)
        return -EINVAL;
    memcpy(&program, value, sizeof program);
    if (!program.len || program.len > BPF_MAXINSNS)
        return -EINVAL;
    size_t size = program.len * sizeof(struct sock_filter);
    struct sock_filter *copy = alloc(size);
    if (!copy)
        return -ENOMEM;
    int64_t result = user_read(copy, program.filter, size);
    if (!result)
        result = host_attach_filter(f->host_fd, name, copy, program.len);
    if (!result && f->ops->socket->by_kernel)
        f->ops->socket->by_kernel(f);
    alloc_free(copy);
    return result;
}

/* Options whose value holds an address or a descriptor of the program's: it means nothing to the
 * host. */
static bool not_passed(int level, int name)
{
    return (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE) ||
           (level == SOL_SOCKET && (name == SO_ATTACH_BPF || name == SO_ATTACH_REUSEPORT_EBPF)) ||
           ((level == IPPROTO_IP || level == IPPROTO_IPV6) && name == IPT_SO_SET_REPLACE_);
}

SYSCALL(setsockopt)
{
    uint8_t small[VALUE_SMALL], *value = small;
    socklen_t n = (socklen_t)a4;
    int level = (int)a1, name = (int)a2;
    struct file *f;
    if (n > VALUE_MAX)
        return -EINVAL;
    int64_t result = socket_get((int)a0, &f);
    if (result)
        return result;
    if (n > VALUE_SMALL && !(value = alloc(n))) {
        result = -ENOMEM;
    } else if (n && user_read(value, (const void *)a3, n)) {
        result = -EFAULT;
    } else if (level == SOL_SOCKET &&
               (name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF)) {
        result = attach_filter(f, name, value, n);
    } else if (not_passed(level, name)) {
        result = -ENOPROTOOPT;
    } else {
        result = f->ops->socket->setsockopt(f, level, name, value, n);
    }
    if (value != small)
        alloc_free(value);
    file_put(f);
    return result;
}

SYSCALL(getsockopt)
{
    uint8_t small[VALUE_SMALL], *value = small;
    int32_t room;
    socklen_t n;
    struct file *f;
    if (user_get(&room, (const void *)a4))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    n = MIN((socklen_t)room, (socklen_t)VALUE_MAX);
    int64_t result = socket_get((int)a0, &f);
    if (result)
        return result;
    if (n > VALUE_SMALL && !(value = alloc(n))) {
        result = -ENOMEM;
    } else if (n && user_read(value, (const void *)a3, n)) {
        result = -EFAULT;
    } else if (not_passed((int)a1, (int)a2)) {
        result = -ENOPROTOOPT;
    } else {
        result = f->ops->socket->getsockopt(f, (int)a1, (int)a2, value, &n);
        if (!result && (user_write((void *)a3, value, n) || user_put((void *)a4, &n)))
            result = -EFAULT;
    }
    if (value != small)
        alloc_free(value);
    file_put(f);
    return result;
}

SYSCALL(shutdown)
{
    struct file *f;
    int result = socket_get((int)a0, &f);
    if (result)
        return result;
    result = f->ops->socket->shutdown(f, (int)a1);
    file_put(f);
    return result;
}

SYSCALL(sendto)
{
    struct sockaddr_storage a;
    struct iovecs v;
    struct file *f;
    int64_t result = iovecs_one(&v, a1, a2);
    socklen_t n = a4 ? (socklen_t)a5 : 0;
    if (result < 0)
        return result;
    if (n && (result = address_read(&a, a4, n)))
        return result;
    if ((result = socket_get((int)a0, &f)))
        return result;
    struct msghdr m = {
        .msg_name = n ? &a : NULL, .msg_namelen = n, .msg_iov = v.v, .msg_iovlen = 1};
    result = f->ops->socket->sendmsg(f, &m, (int)a3);
    file_put(f);
    return result;
}

/* Whoever wants no bytes of TCP need not have a place for them. */
static int64_t discard(int fd, uint64_t length, int flags)
{
    struct file *f;
    int64_t result = socket_get(fd, &f);
    if (result)
        return result;
    result = f->ops == &host_socket_ops ? host_socket_discard(f, length, flags) : -EFAULT;
    file_put(f);
    return result;
}

SYSCALL(recvfrom)
{
    struct sockaddr_storage a;
    struct iovecs v;
    struct file *f;
    if (!a1 && a2 && a3 & MSG_TRUNC && !a4)
        return discard((int)a0, a2, (int)a3);
    int64_t result = iovecs_one(&v, a1, a2);
    if (result < 0 || (result = socket_get((int)a0, &f)))
        return result;
    struct msghdr m = {.msg_name = a4 ? &a : NULL,
                       .msg_namelen = a4 ? sizeof a : 0,
                       .msg_iov = v.v,
                       .msg_iovlen = 1};
    if (!a4 && f->ops == &host_socket_ops)
        result = host_socket_receive(f, v.v, 1, (int)a3);
    else
        result = f->ops->socket->recvmsg(f, &m, (int)a3);
    file_put(f);
    if (result >= 0 && a4) {
        int error = address_write(&a, m.msg_namelen, a4, a5);
        return error ? error : result;
    }
    return result;
}

/* The program's header taken in: iovecs, address and control data are copies. */
struct message {
    struct msghdr user; /* as the program gave it */
    struct msghdr m;
    struct sockaddr_storage address;
    struct iovecs v;
    struct file_references sent; /* that the control data refers to, until it is sent */
};

#define CONTROL_MAX 65536

static int message_take(struct message *g, uint64_t user)
{
    memset(&g->m, 0, sizeof g->m);
    g->sent = (struct file_references){0};
    if (user_get(&g->user, (const void *)user))
        return -EFAULT;
    if (g->user.msg_iovlen > HOST_IOV_MAX)
        return -EMSGSIZE;
    int64_t total = iovecs_take(&g->v, (uint64_t)g->user.msg_iov, g->user.msg_iovlen);
    if (total < 0)
        return (int)total;
    g->m.msg_iov = g->v.v;
    g->m.msg_iovlen = (size_t)g->v.count;
    return 0;
}

static void message_drop(struct message *g)
{
    references_drop(&g->sent);
    alloc_free(g->m.msg_control);
    iovecs_drop(&g->v);
}

static int message_take_out(struct message *g, uint64_t user, bool own_control)
{
    int error = message_take(g, user);
    if (error)
        return error;
    if (g->user.msg_name && g->user.msg_namelen) {
        g->m.msg_namelen = MIN(g->user.msg_namelen, (socklen_t)sizeof g->address);
        g->m.msg_name = &g->address;
        error = user_read(&g->address, g->user.msg_name, g->m.msg_namelen);
    }
    size_t n = g->user.msg_controllen;
    if (!error && n > CONTROL_MAX)
        error = -ENOBUFS;
    if (!error && g->user.msg_control && n) {
        if (!(g->m.msg_control = alloc(n)))
            error = -ENOMEM;
        else if (user_read(g->m.msg_control, g->user.msg_control, n))
            error = -EFAULT;
        g->m.msg_controllen = n;
        if (!error && !own_control)
            error = control_to_host(&g->m, &g->sent);
    }
    if (error)
        message_drop(g);
    return error;
}

static int64_t send_one(struct file *f, uint64_t user, int flags)
{
    struct message g;
    const struct socket_ops *ops = f->ops->socket; /* which may change at any time */
    int64_t result = message_take_out(&g, user, ops->own_control);
    if (result)
        return result;
    result = ops->sendmsg(f, &g.m, flags);
    message_drop(&g);
    return result;
}

static int message_give(struct message *g, uint64_t user, int flags, bool own_control)
{
    struct msghdr *m = &g->m;
    struct msghdr *to = (struct msghdr *)user;
    if (g->user.msg_name) {
        socklen_t n = MIN(MIN(m->msg_namelen, g->user.msg_namelen), (socklen_t)sizeof g->address);
        if (user_write(g->user.msg_name, &g->address, n) ||
            user_put(&to->msg_namelen, &m->msg_namelen))
            return -EFAULT;
    }
    if (!own_control)
        control_from_host(m, flags & MSG_CMSG_CLOEXEC);
    if (m->msg_controllen && user_write(g->user.msg_control, m->msg_control, m->msg_controllen))
        return -EFAULT;
    if (user_put(&to->msg_controllen, &m->msg_controllen) ||
        user_put(&to->msg_flags, &m->msg_flags))
        return -EFAULT;
    return 0;
}

static int64_t receive_one(struct file *f, uint64_t user, int flags)
{
    struct message g;
    const struct socket_ops *ops = f->ops->socket; /* which may change at any time */
    int64_t result = message_take(&g, user);
    if (result)
        return result;
    if (g.user.msg_name) {
        g.m.msg_name = &g.address;
        g.m.msg_namelen = sizeof g.address;
    }
    size_t n = MIN(g.user.msg_controllen, (size_t)CONTROL_MAX);
    if (g.user.msg_control && n) {
        g.m.msg_control = alloc(n);
        g.m.msg_controllen = n;
        if (!g.m.msg_control)
            result = -ENOMEM;
    }
    if (!result)
        result = ops->recvmsg(f, &g.m, flags);
    if (result >= 0) {
        int error = message_give(&g, user, flags, ops->own_control);
        if (error)
            result = error;
    }
    message_drop(&g);
    return result;
}

SYSCALL(sendmsg)
{
    struct file *f;
    int64_t result = socket_get((int)a0, &f);
    if (result)
        return result;
    result = send_one(f, a1, (int)a2);
    file_put(f);
    return result;
}

SYSCALL(recvmsg)
{
    struct file *f;
    int64_t result = socket_get((int)a0, &f);
    if (result)
        return result;
    result = receive_one(f, a1, (int)a2);
    file_put(f);
    return result;
}

/* struct mmsghdr of the program, one after the other. */
SYSCALL(sendmmsg)
{
    struct file *f;
    struct mmsghdr *v = (struct mmsghdr *)a1;
    uint32_t count = MIN((uint32_t)a2, HOST_IOV_MAX), done = 0;
    int64_t result = socket_get((int)a0, &f);
    if (result)
        return result;
    while (done < count) {
        result = send_one(f, (uint64_t)&v[done].msg_hdr, (int)a3);
        if (result < 0)
            break;
        uint32_t n = (uint32_t)result;
        if (user_put(&v[done].msg_len, &n)) {
            result = -EFAULT;
            break;
        }
        done++;
    }
    file_put(f);
    return done ? (int64_t)done : result;
}

static int64_t receive_many(struct file *f, struct mmsghdr *v, uint32_t count, int flags,
                            uint64_t deadline)
{
    uint32_t done = 0;
    int64_t result = 0;
    while (done < count) {
        result = receive_one(f, (uint64_t)&v[done].msg_hdr, flags & ~MSG_WAITFORONE);
        if (result < 0)
            break;
        uint32_t n = (uint32_t)result;
        if (user_put(&v[done].msg_len, &n)) {
            result = -EFAULT;
            break;
        }
        done++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        /* As Linux has it, the time is looked at after each datagram only. */
        if (deadline != UINT64_MAX && time_monotonic_ns() >= deadline)
            break;
    }
    return done ? (int64_t)done : result;
}

SYSCALL(recvmmsg)
{
    struct file *f;
    uint64_t deadline = UINT64_MAX;
    struct timespec timeout;
    if (a4) {
        if (user_get(&timeout, (const void *)a4))
            return -EFAULT;
        if (timeout.tv_sec < 0 || (uint64_t)timeout.tv_nsec >= 1000000000)
            return -EINVAL;
        deadline =
            time_monotonic_ns() + (uint64_t)timeout.tv_sec * 1000000000 + (uint64_t)timeout.tv_nsec;
    }
    int64_t result = socket_get((int)a0, &f);
    if (result)
        return result;
    result =
        receive_many(f, (struct mmsghdr *)a1, MIN((uint32_t)a2, HOST_IOV_MAX), (int)a3, deadline);
    file_put(f);
    return result;
}

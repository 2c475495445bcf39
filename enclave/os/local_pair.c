/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket pairs (AF_UNIX) within the enclave: streams, datagrams and packets in sequence; their state, and how they
 * become the kernel's. What is seldom asked of a pair makes it that: see local_leave.
 */
#include "enclave/os/local_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/process.h"

static int64_t pair_read(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)count};
    if (offset >= 0)
        return -ESPIPE;
    if (!iovec_length(v, count))
        return 0;
    return pair_recvmsg(f, &m, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

static int64_t pair_write(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)count};
    if (offset >= 0)
        return -ESPIPE;
    return pair_sendmsg(f, &m, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

/* ---- its state ---- */

static uint32_t pair_state(const struct local *l, int side)
{
    const struct pair *p = (const struct pair *)l;
    const struct half *h = &p->half[side];
    uint32_t ready = h->error ? (uint32_t)POLLERR : 0;
    ready |= h->shut == (SHUT_IN | SHUT_OUT) ? (uint32_t)POLLHUP : 0;
    ready |= h->shut & SHUT_IN ? (uint32_t)(POLLRDHUP | POLLIN | POLLRDNORM) : 0;
    ready |= h->first ? (uint32_t)(POLLIN | POLLRDNORM) : 0;
    return ready | (writable(p, side) ? OUT : 0);
}

static int64_t pair_ioctl(struct file *f, uint64_t command, uint64_t argument)
{
    struct pair *p = pair_of(f);
    if ((command != FIONREAD && command != TIOCOUTQ) || !local_on(f))
        return local_ioctl_other(f, command, argument);
    lock_take(&p->local.lock);
    int side = local_side(f);
    const struct half *h = &p->half[side];
    int n = (int)p->half[!side].charged;
    if (command == FIONREAD)
        n = p->type == SOCK_DGRAM ? h->first ? (int)h->first->length : 0 : (int)h->bytes;
    local_unlock(&p->local);
    return user_put((int *)argument, &n);
}

static int pair_shutdown(struct file *f, int how)
{
    struct pair *p = pair_of(f);
    struct local *l = &p->local;
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    uint32_t mine = (uint32_t)how + 1;
    lock_take(&l->lock);
    if (l->outside) {
        local_unlock(l);
        return f->ops->socket->shutdown(f, how);
    }
    int side = local_side(f);
    p->half[side].shut |= mine;
    if (p->type != SOCK_DGRAM)
        p->half[!side].shut |= (mine & SHUT_IN ? SHUT_OUT : 0) | (mine & SHUT_OUT ? SHUT_IN : 0);
    local_unlock_tell(l, side, LOCAL_ANY);
    lock_take(&l->lock);
    local_unlock_tell(l, !side, LOCAL_ANY);
    return 0;
}

static int pair_getsockname(struct file *f, struct sockaddr_storage *a, socklen_t *n)
{
    (void)f;
    memset(a, 0, sizeof *a);
    a->ss_family = AF_UNIX;
    *n = sizeof a->ss_family;
    return 0;
}

static int pair_getpeername(struct file *f, struct sockaddr_storage *a, socklen_t *n)
{
    struct pair *p = pair_of(f);
    lock_take(&p->local.lock);
    bool disconnected = p->half[local_side(f)].disconnected;
    local_unlock(&p->local);
    return disconnected ? -ENOTCONN : pair_getsockname(f, a, n);
}

/* Answered here: 0, with the number in *out; -ENOENT: the kernel is to be asked. */
static int option(struct file *f, int name, int *out)
{
    struct pair *p = pair_of(f);
    switch (name) {
    case SO_TYPE:
        *out = p->type;
        return 0;
    case SO_DOMAIN:
        *out = AF_UNIX;
        return 0;
    case SO_PROTOCOL:
    case SO_ACCEPTCONN:
    case SO_PASSCRED:
        *out = 0;
        return 0;
    case SO_SNDBUF:
    case SO_RCVBUF:
        *out = SEND_BUFFER;
        return 0;
    case SO_ERROR: {
        lock_take(&p->local.lock);
        struct half *h = &p->half[local_side(f)];
        bool outside = p->local.outside;
        if (!outside) {
            *out = h->error;
            h->error = 0;
        }
        local_unlock(&p->local);
        return outside ? -ENOENT : 0;
    }
    }
    return -ENOENT;
}

static int pair_getsockopt(struct file *f, int level, int name, void *value, socklen_t *n)
{
    int number;
    if (level == SOL_SOCKET && name == SO_PEERCRED && local_on(f)) {
        struct ucred c = {process.pid, (uid_t)enclave.start.euid, (gid_t)enclave.start.egid};
        *n = MIN(*n, (socklen_t)sizeof c);
        memcpy(value, &c, *n);
        return 0;
    }
    if (level == SOL_SOCKET && local_on(f) && !option(f, name, &number)) {
        *n = MIN(*n, (socklen_t)sizeof number);
        memcpy(value, &number, *n);
        return 0;
    }
    int error = local_leave(f);
    return error ? error : f->ops->socket->getsockopt(f, level, name, value, n);
}

/* ---- what the kernel does ---- */

static int pair_setsockopt(struct file *f, int level, int name, const void *value, socklen_t n)
{
    int error = local_leave(f);
    return error ? error : f->ops->socket->setsockopt(f, level, name, value, n);
}

static int pair_bind(struct file *f, const struct sockaddr *a, socklen_t n)
{
    int error = local_leave(f);
    return error ? error : f->ops->socket->bind(f, a, n);
}

static int pair_connect(struct file *f, const struct sockaddr *a, socklen_t n)
{
    int error = local_leave(f);
    return error ? error : f->ops->socket->connect(f, a, n);
}

static int pair_listen(struct file *f, int backlog)
{
    int error = local_leave(f);
    return error ? error : f->ops->socket->listen(f, backlog);
}

static int pair_accept(struct file *f, int flags, struct sockaddr_storage *a, socklen_t *n, struct file **out)
{
    int error = local_leave(f);
    return error ? error : f->ops->socket->accept(f, flags, a, n, out);
}

static const struct socket_ops pair_calls = {
    .bind = pair_bind,
    .connect = pair_connect,
    .listen = pair_listen,
    .accept = pair_accept,
    .getsockname = pair_getsockname,
    .getpeername = pair_getpeername,
    .setsockopt = pair_setsockopt,
    .getsockopt = pair_getsockopt,
    .sendmsg = pair_sendmsg,
    .recvmsg = pair_recvmsg,
    .shutdown = pair_shutdown,
    .own_control = true,
};

static const struct file_ops pair_ops = {
    .name = "socket",
    .read = pair_read,
    .write = pair_write,
    .stat = local_stat,
    .ioctl = pair_ioctl,
    .set_flags = local_set_flags,
    .poll = local_poll,
    .waiters = local_waiters,
    .socket = &pair_calls,
};

/* ---- to the outside, and the end ---- */

static int pair_within(struct local *l, int (*visit)(struct file *f, void *context), void *context)
{
    struct pair *p = (struct pair *)l;
    int result = 0;
    for (int side = 0; side < 2; side++)
        for (struct message *g = p->half[side].first; g && !result; g = g->next)
            for (int i = 0; i < g->files.count && !result; i++)
                result = visit(g->files.files[i], context);
    return result;
}

static int pair_make(const struct local *l, int fds[2])
{
    const struct pair *p = (const struct pair *)l;
    return host_socketpair(fds, AF_UNIX, p->type | SOCK_CLOEXEC, 0);
}

static int host_buffer(int fd, bool large, int *before)
{
    socklen_t n = sizeof *before;
    int size = large ? INT32_MAX / 2 : *before / 2; /* the kernel doubles what it is told */
    if (large && host_getsockopt(fd, SOL_SOCKET, SO_SNDBUF, before, &n))
        return -EIO;
    return host_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* The host's descriptor of a file that a message carries; -EAGAIN: it is still inside; another error: it has none. */
static int descriptor_of(const struct file *f)
{
    if (!local_on(f))
        return f->host_fd >= 0 ? f->host_fd : -EBADF;
    return f->local->leaving ? f->local->host[local_side(f)] : -EAGAIN;
}

static int still_inside(struct file *f, void *context)
{
    (void)context;
    return descriptor_of(f) == -EAGAIN;
}

/* By the host's socket `from`. What was read of it is read at `to`. */
static int message_out(struct message *g, int from, int to)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(FILES_MOST * sizeof(int))];
    } control;
    struct iovec v = {g->bytes, g->length};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    uint64_t done = 0, asked;
    size_t count = 0;
    for (int i = 0; i < g->files.count; i++) {
        int host = descriptor_of(g->files.files[i]);
        if (host < 0) {
            log_warning("a file that only the enclave has cannot be passed on to another process: it is left out");
            continue;
        }
        memcpy(control.bytes + sizeof control.header + count++ * sizeof host, &host, sizeof host);
    }
    if (count) {
        control.header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    do {
        int64_t n = host_sendmsg(from, &m, done, MSG_DONTWAIT | MSG_NOSIGNAL, 0, &asked);
        if (n < 0)
            return n == -EAGAIN ? -ENOBUFS : (int)n;
        m.msg_controllen = 0;
        done += (uint64_t)n;
    } while (done < v.iov_len);
    v.iov_len = g->offset;
    for (done = 0; done < v.iov_len;) {
        int64_t n = host_recv(to, &v, 1, done, MSG_DONTWAIT, 0, &asked);
        if (n <= 0)
            return n < 0 && n != -EAGAIN ? (int)n : -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

static int pair_fill(struct local *l)
{
    struct pair *p = (struct pair *)l;
    int error = pair_within(l, still_inside, NULL) ? -EAGAIN : 0;
    for (int to = 0; to < 2 && !error; to++) {
        int before, from = l->host[!to];
        if (!p->half[to].first)
            continue;
        error = host_buffer(from, true, &before);
        for (struct message *g = p->half[to].first; g && !error; g = g->next)
            error = message_out(g, from, l->host[to]);
        host_buffer(from, false, &before);
    }
    for (int side = 0; side < 2 && !error; side++) {
        uint32_t shut = l->end[side] ? p->half[side].shut : 0;
        uint64_t asked;
        struct iovec byte = {&shut, 1};
        struct msghdr m = {.msg_iov = &byte, .msg_iovlen = 1};
        /* Closed with something unread, as the other end is to be told. */
        if (p->half[side].error)
            host_sendmsg(l->host[side], &m, 0, MSG_DONTWAIT | MSG_NOSIGNAL, 0, &asked);
        if (shut && !error)
            error = (int)host_plain(__NR_shutdown, 0, 0, (uint32_t)l->host[side], shut - 1, 0, 0, 0);
        if (p->half[side].disconnected && !error) { /* it is to have been told there as well */
            host_close(l->host[!side]);
            l->host[!side] = -1;
            host_sendmsg(l->host[side], &m, 0, MSG_DONTWAIT | MSG_NOSIGNAL, 0, &asked);
        }
    }
    return error;
}

static void *pair_close(struct local *l, int side)
{
    struct pair *p = (struct pair *)l;
    struct half *other = &p->half[!side];
    struct message *left = purge(&p->half[side]);
    if (p->type != SOCK_DGRAM) {
        other->shut = SHUT_IN | SHUT_OUT;
        if (left)
            other->error = ECONNRESET;
    }
    return left;
}

static void *pair_empty(struct local *l)
{
    struct pair *p = (struct pair *)l;
    struct message *one = purge(&p->half[0]), *other = purge(&p->half[1]), **end = &one;
    while (*end)
        end = &(*end)->next;
    *end = other;
    return one;
}

static const struct local_kind pair_kind = {
    .link = "socket:[%lu]",
    .host_ops = &host_socket_ops,
    .device = 8,
    .mode = S_IFSOCK | 0777,
    .state = pair_state,
    .make = pair_make,
    .fill = pair_fill,
    .close = pair_close,
    .discard = messages_drop,
    .empty = pair_empty,
    .within = pair_within,
};

int local_pair(int type, int flags, struct file *files[2])
{
    struct pair *p = alloc(sizeof *p);
    const int both[2] = {O_RDWR | flags, O_RDWR | flags};
    if (p)
        p->type = type;
    return local_new(p ? &p->local : NULL, &pair_kind, &pair_ops, both, 2, files);
}

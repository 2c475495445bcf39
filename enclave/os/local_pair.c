/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket pairs (AF_UNIX) within the enclave: streams, datagrams and packets in sequence. Bytes are moved by
 * messages, as in the kernel, and a message is charged to its sender as there, so that a pair is full when it
 * would be. What is seldom asked of a pair makes it the kernel's: see local_leave.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/control.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"

#define SEND_BUFFER 212992u /* as the kernel has it unless told otherwise */
#define DATAGRAM_MAX (SEND_BUFFER - 32)
#define CHUNK_MAX 36544u /* of a stream in one message */
#define HEAD_STREAM 3776u
#define HEAD_DATAGRAM 16064u
#define PAGED_MAX (17u * (uint32_t)PAGE_SIZE)
#define OVERHEAD 320u
#define DESCRIPTION 256u
#define IN ((uint32_t)(POLLIN | POLLRDNORM | POLLRDBAND | POLLPRI))
#define OUT ((uint32_t)(POLLOUT | POLLWRNORM | POLLWRBAND))
#define ANY UINT32_MAX
#define SHUT_IN 1u
#define SHUT_OUT 2u
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)
#define RECEIVE_FLAGS                                                                              \
    (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_TRUNC | MSG_WAITALL | MSG_CMSG_CLOEXEC)

struct message {
    struct message *next;
    uint32_t length, offset, charge;
    struct file_references files;
    uint8_t bytes[];
};

/* What has arrived at an end, and its state. */
struct half {
    struct message *first, **last;
    uint32_t bytes;   /* that wait */
    uint32_t charged; /* for them, to the other end */
    uint32_t shut;
    int error;         /* that is to be told once */
    bool disconnected; /* it was told that its peer is gone (datagrams) */
};

struct pair {
    struct local local;
    int type;
    struct half half[2];
};

static struct pair *pair_of(const struct file *f)
{
    return (struct pair *)f->local;
}

/* ---- messages ---- */

static uint32_t charge_of(int type, uint32_t length)
{
    uint32_t head = type == SOCK_STREAM ? HEAD_STREAM : HEAD_DATAGRAM;
    uint32_t paged = length > head ? (length - head + PAGE_SIZE - 1) & ~(uint32_t)(PAGE_SIZE - 1) : 0;
    paged = MIN(paged, PAGED_MAX);
    uint32_t linear = 512;
    while (linear < (length > paged ? length - paged : 0) + OVERHEAD)
        linear *= 2;
    return linear + DESCRIPTION + paged;
}

static void message_drop(struct message *g)
{
    references_drop(&g->files);
    alloc_free(g);
}

static void messages_drop(void *first)
{
    for (struct message *g = first, *next; g; g = next) {
        next = g->next;
        message_drop(g);
    }
}

/* `length` bytes of the buffers, `skip` into them: NULL and *error. */
static struct message *message_new(int type, const struct iovec *v, int count, uint64_t skip, uint32_t length,
                                   int *error)
{
    struct message *g = alloc(sizeof *g + length);
    uint32_t at = 0;
    *error = -ENOMEM;
    if (!g)
        return NULL;
    for (int i = 0; i < count && at < length; i++) {
        if (skip >= v[i].iov_len) {
            skip -= v[i].iov_len;
            continue;
        }
        uint32_t n = (uint32_t)MIN(v[i].iov_len - skip, (uint64_t)(length - at));
        if (user_read(g->bytes + at, (const uint8_t *)v[i].iov_base + skip, n)) {
            *error = -EFAULT;
            alloc_free(g);
            return NULL;
        }
        at += n;
        skip = 0;
    }
    g->length = length;
    g->charge = charge_of(type, length);
    return g;
}

static void append(struct half *h, struct message *g)
{
    if (!h->first)
        h->last = &h->first;
    *h->last = g;
    h->last = &g->next;
    h->bytes += g->length;
    h->charged += g->charge;
}

static struct message *unlink_first(struct half *h)
{
    struct message *g = h->first;
    h->first = g->next;
    h->charged -= g->charge;
    g->next = NULL;
    return g;
}

/* All of them, no longer here: for messages_drop, without the lock. */
static struct message *purge(struct half *h)
{
    struct message *left = h->first;
    h->first = NULL;
    h->bytes = h->charged = 0;
    return left;
}

static bool writable(const struct pair *p, int side)
{
    return p->half[!side].charged <= SEND_BUFFER / 4;
}

/* ---- sending ---- */

/* Nothing can be sent any more, or not yet: 0, or -errno, -EAGAIN: there is no room. The lock is held. */
static int may_send(struct pair *p, int side)
{
    struct half *mine = &p->half[side];
    bool gone = !p->local.end[!side];
    if (p->type != SOCK_STREAM && mine->error) {
        int error = mine->error;
        mine->error = 0;
        return -error;
    }
    if (mine->shut & SHUT_OUT)
        return -EPIPE;
    if (p->half[!side].charged >= SEND_BUFFER)
        return -EAGAIN;
    if (mine->disconnected)
        return -ENOTCONN;
    if (gone) { /* of datagrams: else it is shut */
        mine->disconnected = true;
        return -ECONNREFUSED;
    }
    return p->half[!side].shut & SHUT_IN ? -EPIPE : 0;
}

/* Appends the message, waiting for room where the call may. 0: done; 1: the pair is outside; or -errno. */
static int send_message(struct file *f, struct message *g, int flags)
{
    struct pair *p = pair_of(f);
    struct local *l = &p->local;
    int interrupted = 0, error;
    lock_take(&l->lock);
    int side = local_side(f);
    for (;;) {
        error = l->outside ? 1 : may_send(p, side);
        if (error != -EAGAIN || interrupted || (flags & MSG_DONTWAIT) || (f->flags & O_NONBLOCK))
            break;
        interrupted = local_wait(l, side, OUT);
        /* A stream that was broken meanwhile says how, as one that was broken before does not. */
        if (!l->outside && p->half[side].error) {
            error = -p->half[side].error;
            p->half[side].error = 0;
            break;
        }
    }
    if (error) {
        struct message *left = error == -ECONNREFUSED ? purge(&p->half[side]) : NULL; /* as the kernel has it */
        local_unlock(l);
        messages_drop(left);
        return error == -EAGAIN && interrupted ? interrupted : error;
    }
    append(&p->half[!side], g);
    bool room = p->half[!side].charged < SEND_BUFFER;
    local_unlock_tell(l, !side, IN);
    if (room)
        waiters_wake(&l->waiters[side], OUT);
    return 0;
}

static int may_send_locked(struct pair *p, int side)
{
    lock_take(&p->local.lock);
    int error = p->local.outside ? 0 : may_send(p, side);
    local_unlock(&p->local);
    return error;
}

/* By the host's socket: with what is left after `done` bytes. */
static int64_t send_outside(struct file *f, const struct msghdr *m, uint64_t done, int flags)
{
    struct iovec v[IOVECS_SMALL], *to = v;
    struct msghdr rest = *m;
    struct file_references held = {0};
    int64_t result = 0;
    if (m->msg_iovlen > IOVECS_SMALL && !(to = alloc(m->msg_iovlen * sizeof *to)))
        return done ? (int64_t)done : -ENOMEM;
    uint64_t skip = done;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        uint64_t n = MIN(skip, m->msg_iov[i].iov_len);
        to[i] = (struct iovec){(uint8_t *)m->msg_iov[i].iov_base + n, m->msg_iov[i].iov_len - n};
        skip -= n;
    }
    rest.msg_iov = to;
    if (done)
        rest.msg_controllen = 0;
    if (rest.msg_controllen)
        result = control_to_host(&rest, &held);
    if (!result)
        result = f->ops->socket->sendmsg(f, &rest, flags);
    references_drop(&held);
    if (to != v)
        alloc_free(to);
    if (!done)
        return result;
    return result > 0 ? (int64_t)done + result : (int64_t)done;
}

static int64_t send_stream(struct file *f, const struct msghdr *m, int flags, struct file_references *files)
{
    struct pair *p = pair_of(f);
    uint64_t total = iovec_length(m->msg_iov, (int)m->msg_iovlen), done = 0;
    int error = 0;
    if (!total && may_send_locked(p, local_side(f)) == -EPIPE)
        error = -EPIPE;
    while (done < total && !error) {
        uint32_t n = (uint32_t)MIN(total - done, (uint64_t)CHUNK_MAX);
        struct message *g = message_new(p->type, m->msg_iov, (int)m->msg_iovlen, done, n, &error);
        if (!g)
            break;
        g->files = *files;
        error = send_message(f, g, flags);
        if (error) {
            g->files = (struct file_references){0};
            message_drop(g);
            break;
        }
        *files = (struct file_references){0};
        done += n;
    }
    if (error == 1)
        return send_outside(f, m, done, flags);
    if (error == -EPIPE && !done && !(flags & MSG_NOSIGNAL))
        signal_raise_self(SIGPIPE);
    return done ? (int64_t)done : error;
}

/* Why a message that is too long is not sent: an error of the socket comes first. 1: it is outside. */
static int too_long(struct pair *p, int side)
{
    lock_take(&p->local.lock);
    struct half *mine = &p->half[side];
    int error = p->local.outside ? 1 : mine->error ? -mine->error : -EMSGSIZE;
    if (!p->local.outside)
        mine->error = 0;
    local_unlock(&p->local);
    return error;
}

static int64_t send_packet(struct file *f, const struct msghdr *m, int flags, struct file_references *files)
{
    struct pair *p = pair_of(f);
    uint64_t total = iovec_length(m->msg_iov, (int)m->msg_iovlen);
    int error = total > DATAGRAM_MAX ? too_long(p, local_side(f)) : 0;
    if (error)
        return error == 1 ? send_outside(f, m, 0, flags) : error;
    struct message *g = message_new(p->type, m->msg_iov, (int)m->msg_iovlen, 0, (uint32_t)total, &error);
    if (!g)
        return error;
    g->files = *files;
    error = send_message(f, g, flags);
    if (error) {
        g->files = (struct file_references){0};
        message_drop(g);
        return error == 1 ? send_outside(f, m, 0, flags) : error;
    }
    *files = (struct file_references){0};
    return (int64_t)total;
}

static int64_t pair_sendmsg(struct file *f, const struct msghdr *m, int flags)
{
    struct pair *p = pair_of(f);
    struct file_references files = {0};
    bool kernels = (flags & ~SEND_FLAGS) || (m->msg_name && p->type == SOCK_DGRAM);
    if (!kernels && m->msg_controllen) {
        int understood = control_take(m, &files);
        if (understood < 0)
            return understood;
        kernels = understood;
    }
    int64_t result = 0;
    if (kernels) {
        references_drop(&files);
        result = local_leave(f);
        return result ? result : send_outside(f, m, 0, flags);
    }
    if (m->msg_name && p->type == SOCK_STREAM)
        result = -EISCONN;
    else if (p->type == SOCK_STREAM)
        result = send_stream(f, m, flags, &files);
    else
        result = send_packet(f, m, flags, &files);
    references_drop(&files);
    return result;
}

/* ---- receiving ---- */

/* What goes to the program by one call. */
struct delivery {
    const struct iovec *v;
    int count;
    uint64_t at;   /* in v[0] */
    uint64_t done; /* bytes */
    struct file_references files;
};

static int deliver(struct delivery *d, const uint8_t *bytes, uint64_t n)
{
    while (n) {
        while (d->at == d->v->iov_len) {
            d->v++;
            d->at = 0;
        }
        uint64_t part = MIN(d->v->iov_len - d->at, n);
        if (user_write((uint8_t *)d->v->iov_base + d->at, bytes, part))
            return -EFAULT;
        bytes += part;
        n -= part;
        d->at += part;
        d->done += part;
    }
    return 0;
}

/* The files of a message: its references, or, to look only, more of them. */
static int deliver_files(struct delivery *d, struct message *g, bool peek)
{
    if (!peek) {
        d->files = g->files;
        g->files = (struct file_references){0};
        return 0;
    }
    return references_copy(&d->files, &g->files);
}

/* Of a stream, what is there. True: the call is to end with it. The lock is held; messages that are used up go
 * to *used. */
static bool take_stream(struct half *h, struct delivery *d, uint64_t total, bool peek, struct message **used,
                        int *error)
{
    struct message *g = h->first;
    while (g) {
        struct message *next = g->next;
        uint64_t n = MIN((uint64_t)(g->length - g->offset), total - d->done);
        *error = deliver(d, g->bytes + g->offset, n);
        if (*error)
            return true;
        bool files = g->files.count;
        if (files && (*error = deliver_files(d, g, peek)))
            return true;
        if (!peek) {
            g->offset += (uint32_t)n;
            h->bytes -= (uint32_t)n;
            if (g->offset < g->length)
                return true;
            unlink_first(h);
            g->next = *used;
            *used = g;
        }
        if (files || d->done == total)
            return true;
        g = next;
    }
    return false;
}

/* A whole message, or what the buffers take of it: the length that it has. */
static int64_t take_packet(struct half *h, struct delivery *d, uint64_t total, bool peek, struct message **used)
{
    struct message *g = h->first;
    int64_t length = g->length;
    int error = deliver(d, g->bytes, MIN((uint64_t)g->length, total));
    if (!error && g->files.count)
        error = deliver_files(d, g, peek);
    if (!peek) {
        h->bytes -= g->length;
        *used = unlink_first(h);
    }
    return error ? error : length;
}

/* Nothing has come: 0: the end; 1: it may still; or -errno. The lock is held. */
static int end_of(struct pair *p, struct half *h, bool wait)
{
    if (h->error) {
        int error = h->error;
        h->error = 0;
        return -error;
    }
    if (h->shut & SHUT_IN && (p->type != SOCK_DGRAM || wait))
        return 0;
    return 1;
}

/* Bytes of a stream or the length of a message; msg_flags to *flags_out. 1ll << 32: the pair is outside. */
#define OUTSIDE (1ll << 32)

static int64_t receive(struct file *f, struct delivery *d, int flags, int *flags_out)
{
    struct pair *p = pair_of(f);
    struct local *l = &p->local;
    struct message *used = NULL;
    uint64_t total = iovec_length(d->v, d->count);
    bool wait = !(flags & MSG_DONTWAIT) && !(f->flags & O_NONBLOCK), peek = flags & MSG_PEEK;
    uint64_t target = flags & MSG_WAITALL && !peek && total ? total : 1;
    int interrupted = 0, error = 0;
    int64_t result;
    if (!wait && local_empty(f))
        return -EAGAIN;
    lock_take(&l->lock);
    int side = local_side(f);
    struct half *h = &p->half[side];
    for (;;) {
        if (l->outside) {
            result = d->done ? (int64_t)d->done : OUTSIDE;
            break;
        }
        if (h->first && p->type == SOCK_STREAM) {
            bool over = take_stream(h, d, total, peek, &used, &error);
            result = d->done ? (int64_t)d->done : error;
            if (over || d->done >= target)
                break;
        } else if (h->first && !h->error) {
            result = take_packet(h, d, total, peek, &used);
            if (result > (int64_t)total) {
                *flags_out |= MSG_TRUNC;
                result = flags & MSG_TRUNC ? result : (int64_t)total;
            }
            break;
        }
        result = end_of(p, h, wait); /* an error that comes after bytes is lost, as the kernel has it */
        if (result <= 0 || interrupted || !wait) {
            result = d->done ? (int64_t)d->done : result <= 0 ? result : interrupted ? interrupted : -EAGAIN;
            break;
        }
        interrupted = local_wait(l, side, IN);
    }
    bool more = h->first;
    if (used && writable(p, !side))
        local_unlock_tell(l, !side, OUT);
    else
        local_unlock(l);
    if (more && used)
        waiters_wake(&l->waiters[side], IN);
    messages_drop(used);
    return result;
}

static int64_t pair_recvmsg(struct file *f, struct msghdr *m, int flags)
{
    struct delivery d = {.v = m->msg_iov, .count = (int)m->msg_iovlen};
    int out = flags & MSG_CMSG_CLOEXEC;
    int64_t result = flags & ~RECEIVE_FLAGS ? local_leave(f) : 0;
    if (!result)
        result = flags & ~RECEIVE_FLAGS ? OUTSIDE : receive(f, &d, flags, &out);
    if (result == OUTSIDE) {
        result = f->ops->socket->recvmsg(f, m, flags);
        if (result >= 0)
            control_from_host(m, flags & MSG_CMSG_CLOEXEC);
        return result;
    }
    m->msg_namelen = 0;
    m->msg_flags = out;
    if (result >= 0)
        control_give(m, &d.files, flags & MSG_CMSG_CLOEXEC);
    references_drop(&d.files);
    return result;
}

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

static uint32_t pair_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    struct pair *p = pair_of(f);
    struct local *l = &p->local;
    uint32_t ready = 0;
    lock_take(&l->lock);
    if (l->outside) {
        local_unlock(l);
        return f->ops->poll(f, events, wait);
    }
    int side = local_side(f);
    const struct half *h = &p->half[side];
    ready |= h->error ? (uint32_t)POLLERR : 0;
    ready |= h->shut == (SHUT_IN | SHUT_OUT) ? (uint32_t)POLLHUP : 0;
    ready |= h->shut & SHUT_IN ? (uint32_t)(POLLRDHUP | POLLIN | POLLRDNORM) : 0;
    ready |= h->first ? (uint32_t)(POLLIN | POLLRDNORM) : 0;
    ready |= writable(p, side) ? OUT : 0;
    local_unlock(l);
    wait->host_fd = -1;
    wait->xsks = 0;
    wait->answer = false;
    wait->tells = true;
    return ready & (events | POLLERR | POLLHUP);
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
    local_unlock_tell(l, side, ANY);
    waiters_wake_all(&l->waiters[side]);
    lock_take(&l->lock);
    local_unlock_tell(l, !side, ANY);
    waiters_wake_all(&l->waiters[!side]);
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
    .poll = pair_poll,
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

static bool pair_readable(const struct local *l, int side)
{
    const struct half *h = &((const struct pair *)l)->half[side];
    return h->first || h->error || h->shut & SHUT_IN;
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
    .readable = pair_readable,
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

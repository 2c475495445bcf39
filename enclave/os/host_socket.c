/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the host: an exit each call. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/io/uring.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream.h"
#include "enclave/os/syscalls.h"

/* What is known of a host socket: kept in the file's `data`, as a number. */
#define KNOWN_TYPE 0xful       /* SOCK_STREAM, ...; 0: not asked yet */
#define RECEIVE_TIMEOUT 0x10ul /* SO_RCVTIMEO is set: an interrupted receive is not made again */
#define SEND_TIMEOUT 0x20ul
/* How many small receives in a row there were: from OFFER_FROM on the socket is one for a ring. */
#define SMALL_ONE 0x100ul
#define SMALL_RUN 0xff00ul
#define OFFER_FROM 4
#define NO_RING 0x10000ul /* more than bytes comes by it: descriptors, credentials */
#define SMALL_MOST 8192 /* bytes */

static uintptr_t known(const struct file *f)
{
    return (uintptr_t)f->data;
}

static void know(struct file *f, uintptr_t clear, uintptr_t set)
{
    f->data = (void *)((known(f) & ~clear) | set);
}

static int type_of(struct file *f)
{
    int type = 0;
    socklen_t n = sizeof type;
    if (!(known(f) & KNOWN_TYPE) && !host_getsockopt(f->host_fd, SOL_SOCKET, SO_TYPE, &type, &n) &&
        type > 0 && (uintptr_t)type <= KNOWN_TYPE)
        know(f, 0, (uintptr_t)type);
    return (int)(known(f) & KNOWN_TYPE);
}

/* Receives as servers do: many, and small. */
static void note_receive(struct file *f, int64_t received)
{
    if (received <= 0 || received > SMALL_MOST) {
        if (received > 0)
            know(f, SMALL_RUN, 0);
        return;
    }
    if ((known(f) & SMALL_RUN) / SMALL_ONE < OFFER_FROM) {
        know(f, SMALL_RUN, (known(f) & SMALL_RUN) + SMALL_ONE);
        return;
    }
    if (known(f) & (RECEIVE_TIMEOUT | SEND_TIMEOUT | NO_RING) || type_of(f) != SOCK_STREAM)
        return;
    know(f, SMALL_RUN, 0);
    stream_offer(f);
}

/* Accepts as servers do: many. */
static void note_accept(struct file *f, int flags)
{
    if ((known(f) & SMALL_RUN) / SMALL_ONE < OFFER_FROM) {
        know(f, SMALL_RUN, (known(f) & SMALL_RUN) + SMALL_ONE);
        return;
    }
    if (known(f) & RECEIVE_TIMEOUT || type_of(f) != SOCK_STREAM)
        return;
    know(f, SMALL_RUN, 0);
    stream_offer_listening(f, flags);
}

static int64_t interrupted_unless(struct file *f, uintptr_t timeout, int64_t result)
{
    return result == -EINTR && !(known(f) & timeout) ? RESTART_SYS : result;
}

static void may_sleep(const struct file *f, int flags)
{
    if (flags & MSG_DONTWAIT)
        uring_submit();
    else
        file_may_sleep(f);
}

/* What cannot be stored is not taken from the stream: the first byte's place is tried. 0: it is good. */
static int64_t place_refused(struct file *f, const struct iovec *v, int count, int flags)
{
    uint32_t none = 0;
    uint8_t byte;
    uint64_t asked;
    struct iovec one = {&byte, 1};
    while (count && !v->iov_len)
        v++, count--;
    if (!count || user_exchange((uint32_t *)((uintptr_t)v->iov_base & ~3ul), &none, 0) != -EFAULT ||
        type_of(f) != SOCK_STREAM)
        return 0;
    int64_t r = host_recv(f->host_fd, &one, 1, 0, (flags & MSG_DONTWAIT) | MSG_PEEK, EXIT_INTERRUPTIBLE, &asked);
    return r > 0 ? -EFAULT : r < 0 ? interrupted_unless(f, RECEIVE_TIMEOUT, r) : 0;
}

static int host_socket_bind(struct file *f, const struct sockaddr *a, socklen_t n)
{
    return host_bind(f->host_fd, a, n);
}

static int host_socket_connect(struct file *f, const struct sockaddr *a, socklen_t n)
{
    file_may_sleep(f);
    int result = host_connect(f->host_fd, a, n, EXIT_INTERRUPTIBLE);
    return (int)interrupted_unless(f, SEND_TIMEOUT, result);
}

static int host_socket_listen(struct file *f, int backlog)
{
    return (int)host_plain(__NR_listen, 0, 0, (uint32_t)f->host_fd, (uint32_t)backlog, 0, 0, 0);
}

static int host_socket_accept(struct file *f, int flags, struct sockaddr_storage *a, socklen_t *n,
                              struct file **out)
{
    int64_t fd = stream_on(f) ? stream_accept(f, flags, a, n) : STREAM_NOT;
    if (fd == STREAM_NOT) {
        file_may_sleep(f);
        fd = host_accept(f->host_fd, a, n, flags & SOCK_NONBLOCK, EXIT_INTERRUPTIBLE);
        if (fd < 0)
            return (int)interrupted_unless(f, RECEIVE_TIMEOUT, fd);
        note_accept(f, flags);
    }
    if (fd < 0)
        return (int)fd;
    *out = host_socket_new((int)fd, (int)(known(f) & KNOWN_TYPE),
                           O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0));
    return *out ? 0 : -ENOMEM;
}

static int host_socket_getsockname(struct file *f, struct sockaddr_storage *a, socklen_t *n)
{
    return host_getsockname(f->host_fd, a, n);
}

static int host_socket_getpeername(struct file *f, struct sockaddr_storage *a, socklen_t *n)
{
    return host_getpeername(f->host_fd, a, n);
}

/* Of a Unix socket, whose messages carry more than bytes. */
static void no_ring(struct file *f)
{
    int domain = 0;
    socklen_t n = sizeof domain;
    if (known(f) & NO_RING || host_getsockopt(f->host_fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) || domain != AF_UNIX)
        return;
    know(f, 0, NO_RING);
    if (stream_on(f))
        stream_leave(f);
}

static bool zero(const void *value, socklen_t n)
{
    const uint8_t *p = value;
    for (socklen_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static int host_socket_setsockopt(struct file *f, int level, int name, const void *value,
                                  socklen_t n)
{
    if (level == SOL_SOCKET && (name == SO_PASSCRED || name == SO_PASSSEC))
        no_ring(f);
    if (stream_on(f) && level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO || name == SO_PEEK_OFF ||
                                                name == SO_RCVLOWAT || name == SO_LINGER))
        stream_leave(f);
    int result = host_setsockopt(f->host_fd, level, name, value, n);
    if (!result && level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
        uintptr_t bit = name == SO_RCVTIMEO ? RECEIVE_TIMEOUT : SEND_TIMEOUT;
        know(f, bit, zero(value, n) ? 0 : bit);
    }
    return result;
}

static int host_socket_getsockopt(struct file *f, int level, int name, void *value, socklen_t *n)
{
    int error = host_getsockopt(f->host_fd, level, name, value, n);
    if (!error && stream_on(f) && level == SOL_SOCKET && name == SO_ERROR && *n == sizeof(int)) {
        int own = stream_error(f);
        if (own)
            memcpy(value, &own, sizeof own);
    }
    return error;
}

static int64_t host_socket_sendmsg(struct file *f, const struct msghdr *m, int flags)
{
    struct msghdr message = *m;
    uint64_t total = iovec_length(m->msg_iov, (int)m->msg_iovlen), done = 0, asked;
    if (stream_on(f)) {
        int64_t result = stream_send(f, m, flags, true);
        if (result != STREAM_NOT)
            return result;
    }
    /* What is one message cannot be sent in pieces. */
    if (total > host_message_room(m) && type_of(f) != SOCK_STREAM)
        return -EMSGSIZE;
    may_sleep(f, flags);
    for (;;) {
        int64_t r = host_sendmsg(f->host_fd, &message, done, flags | MSG_NOSIGNAL,
                                 EXIT_INTERRUPTIBLE, &asked);
        if (r < 0 && done)
            return (int64_t)done;
        if (r == -EAGAIN && stream_on(f)) {
            int64_t result = stream_send(f, m, flags, false);
            return result == STREAM_NOT ? -EAGAIN : result;
        }
        if (r == -EPIPE && !(flags & MSG_NOSIGNAL) && type_of(f) == SOCK_STREAM)
            signal_raise_self(SIGPIPE);
        if (r < 0)
            return interrupted_unless(f, SEND_TIMEOUT, r);
        done += (uint64_t)r;
        if (done >= total || (uint64_t)r < asked)
            return (int64_t)done;
        message.msg_controllen = 0; /* goes with the first byte */
    }
}

/* What is left to receive, where MSG_WAITALL asks for more than one exit carried. `done` so far,
 * the last of them as many as could be. */
static int64_t receive_rest(struct file *f, const struct iovec *v, int count, uint64_t done,
                            int flags)
{
    uint64_t total = iovec_length(v, count), asked;
    while ((flags & (MSG_WAITALL | MSG_PEEK | MSG_TRUNC)) == MSG_WAITALL && done < total &&
           type_of(f) == SOCK_STREAM) {
        int64_t r = host_recv(f->host_fd, v, count, done, flags, EXIT_INTERRUPTIBLE, &asked);
        if (r > 0)
            done += (uint64_t)r;
        if (r <= 0 || (uint64_t)r < asked)
            break;
    }
    return (int64_t)done;
}

static int64_t host_socket_recvmsg(struct file *f, struct msghdr *m, int flags)
{
    uint64_t asked;
    if (m->msg_controllen && type_of(f) == SOCK_STREAM)
        no_ring(f);
    if (stream_on(f)) {
        int64_t result = stream_receive(f, m->msg_iov, (int)m->msg_iovlen, flags);
        if (result != STREAM_NOT) {
            m->msg_namelen = 0;
            m->msg_controllen = 0;
            m->msg_flags = flags & MSG_CMSG_CLOEXEC;
            return result;
        }
    }
    may_sleep(f, flags);
    int64_t refused = place_refused(f, m->msg_iov, (int)m->msg_iovlen, flags);
    if (refused)
        return refused;
    int64_t r =
        host_recvmsg(f->host_fd, m, 0, flags | MSG_CMSG_CLOEXEC, EXIT_INTERRUPTIBLE, &asked);
    if (r < 0)
        return interrupted_unless(f, RECEIVE_TIMEOUT, r);
    m->msg_flags = (m->msg_flags & ~MSG_CMSG_CLOEXEC) | (flags & MSG_CMSG_CLOEXEC);
    return (uint64_t)r == asked ? receive_rest(f, m->msg_iov, (int)m->msg_iovlen, asked, flags) : r;
}

int64_t host_socket_receive(struct file *f, const struct iovec *v, int count, int flags)
{
    uint64_t asked;
    if (stream_on(f)) {
        int64_t result = stream_receive(f, v, count, flags);
        if (result != STREAM_NOT)
            return result;
    }
    may_sleep(f, flags);
    int64_t refused = place_refused(f, v, count, flags);
    if (refused)
        return refused;
    int64_t r = host_recv(f->host_fd, v, count, 0, flags, EXIT_INTERRUPTIBLE, &asked);
    if (r < 0)
        return interrupted_unless(f, RECEIVE_TIMEOUT, r);
    if (!(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)))
        note_receive(f, r);
    return (uint64_t)r == asked ? receive_rest(f, v, count, asked, flags) : r;
}

static int host_socket_shutdown(struct file *f, int how)
{
    if (stream_on(f))
        stream_leave(f); /* what was sent goes first */
    return (int)host_plain(__NR_shutdown, 0, 0, (uint32_t)f->host_fd, (uint32_t)how, 0, 0, 0);
}

static int64_t host_socket_read(struct file *f, const struct iovec *v, int count, int64_t offset,
                                int flags)
{
    if (offset >= 0)
        return -ESPIPE;
    if (!iovec_length(v, count))
        return 0;
    return host_socket_receive(f, v, count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

static int64_t host_socket_write(struct file *f, const struct iovec *v, int count, int64_t offset,
                                 int flags)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)count};
    if (offset >= 0)
        return -ESPIPE;
    return host_socket_sendmsg(f, &m, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

static int host_socket_stat(struct file *f, struct stat *out)
{
    return f->local ? local_stat(f, out) : host_fstat(f->host_fd, out);
}

static int host_socket_set_flags(struct file *f, int flags)
{
    return host_file_ops.set_flags(f, flags);
}

static uint32_t host_socket_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    uint32_t ready;
    if (stream_on(f) && stream_poll(f, events, wait, &ready))
        return ready;
    return host_file_ops.poll(f, events, wait);
}

static uint64_t host_socket_arrivals(struct file *f)
{
    return stream_on(f) ? stream_arrivals(f) : 0;
}

static int64_t host_socket_ioctl(struct file *f, uint64_t command, uint64_t argument)
{
    if (stream_on(f)) {
        stream_leave(f);
        int inside = (int)stream_queued(f), outside = 0;
        if (command == FIONREAD && inside) {
            int64_t result = host_file_ioctl(f, command, argument);
            if (result || user_get(&outside, (const int *)argument))
                return result ? result : -EFAULT;
            outside += inside;
            return user_put((int *)argument, &outside);
        }
    }
    return host_file_ioctl(f, command, argument);
}

static void host_socket_release(struct file *f)
{
    if (stream_on(f)) {
        stream_release(f);
        return;
    }
    uring_submit(); /* what holds on to it is to let go */
    host_close(f->host_fd);
}

static const struct socket_ops host_socket_calls = {
    .bind = host_socket_bind,
    .connect = host_socket_connect,
    .listen = host_socket_listen,
    .accept = host_socket_accept,
    .getsockname = host_socket_getsockname,
    .getpeername = host_socket_getpeername,
    .setsockopt = host_socket_setsockopt,
    .getsockopt = host_socket_getsockopt,
    .sendmsg = host_socket_sendmsg,
    .recvmsg = host_socket_recvmsg,
    .shutdown = host_socket_shutdown,
};

const struct file_ops host_socket_ops = {
    .name = "socket",
    .read = host_socket_read,
    .write = host_socket_write,
    .stat = host_socket_stat,
    .ioctl = host_socket_ioctl,
    .set_flags = host_socket_set_flags,
    .poll = host_socket_poll,
    .arrivals = host_socket_arrivals,
    .release = host_socket_release,
    .socket = &host_socket_calls,
};

struct file *host_socket_new(int host_fd, int type, int flags)
{
    struct file *f = file_new(&host_socket_ops, host_fd, flags);
    if (!f) {
        host_close(host_fd);
        return NULL;
    }
    f->mode = S_IFSOCK;
    know(f, 0, (uintptr_t)type & KNOWN_TYPE);
    return f;
}

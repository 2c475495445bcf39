/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the host: an exit each call. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
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
/* How many were large, or all that was asked for, with no little one between: from AHEAD_FROM on it is read ahead. */
#define MUCH_ONE 0x40000ul
#define MUCH_RUN 0x3c0000ul
#define AHEAD_FROM 8
#define MUCH_LEAST 4096   /* bytes, of all that was asked for; less than that is little */
#define LARGE_LEAST 16384 /* bytes, of more */
#define MADE_HERE 0x20000ul /* by socket(2): nobody else has it, and its options are known */
/* Datagrams: so many in a row, with pauses no longer than two of the ticks that the upper half counts. */
#define DATAGRAMS_FROM 16
#define TICK_SHIFT 24 /* of the TSC: a few milliseconds */
#define TICK_AT 32

static uintptr_t known(const struct file *f)
{
    return (uintptr_t)__atomic_load_n(&f->data, __ATOMIC_RELAXED);
}

static void know(struct file *f, uintptr_t clear, uintptr_t set)
{
    void *before = __atomic_load_n(&f->data, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&f->data, &before, (void *)(((uintptr_t)before & ~clear) | set), false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ; /* other threads use the socket too */
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

/* Receives all that there is, and that is much. */
static void note_much(struct file *f, int64_t received, uint64_t asked)
{
    uintptr_t run = (known(f) & MUCH_RUN) / MUCH_ONE;
    bool much = received >= LARGE_LEAST || (uint64_t)received == asked;
    run = received < MUCH_LEAST ? 0 : MIN(run + much, (uintptr_t)AHEAD_FROM);
    if (run != (known(f) & MUCH_RUN) / MUCH_ONE)
        know(f, MUCH_RUN, run * MUCH_ONE);
    if (run < AHEAD_FROM || stream_reads_ahead(f) || known(f) & NO_RING || type_of(f) != SOCK_STREAM)
        return;
    know(f, MUCH_RUN, 0);
    stream_offer_ahead(f);
}

/* Receives as servers do: many, and small. */
static void note_receive(struct file *f, int64_t received, uint64_t asked)
{
    note_much(f, received, asked);
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

/* Datagrams come, or go, as with servers: many in a short time. */
static void note_datagram(struct file *f, bool sent)
{
    uintptr_t now = (uint32_t)(__builtin_ia32_rdtsc() >> TICK_SHIFT), before = known(f) >> TICK_AT;
    uintptr_t run = (uint32_t)(now - before) <= 2 ? (known(f) & SMALL_RUN) / SMALL_ONE + 1 : 0;
    know(f, SMALL_RUN | ~0ul << TICK_AT, MIN(run, (uintptr_t)DATAGRAMS_FROM) * SMALL_ONE | now << TICK_AT);
    if (run < DATAGRAMS_FROM || !(known(f) & MADE_HERE) || known(f) & NO_RING)
        return;
    know(f, SMALL_RUN, 0);
    stream_offer_datagrams(f, sent);
}

/* Options that a ring needs to know nothing of: they change how the kernel sends, whom it lets in, or what comes as
 * control data with each datagram. All others make the socket one for exits. */
static bool ring_knows(int level, int name)
{
    static const struct {
        int level, name;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR},     {SOL_SOCKET, SO_REUSEPORT},      {SOL_SOCKET, SO_SNDBUF},
        {SOL_SOCKET, SO_SNDBUFFORCE},   {SOL_SOCKET, SO_RCVBUF},         {SOL_SOCKET, SO_RCVBUFFORCE},
        {SOL_SOCKET, SO_BROADCAST},     {SOL_SOCKET, SO_PRIORITY},       {SOL_SOCKET, SO_KEEPALIVE},
        {SOL_SOCKET, SO_BINDTODEVICE},  {SOL_SOCKET, SO_INCOMING_CPU},   {SOL_SOCKET, SO_TIMESTAMP},
        {SOL_SOCKET, SO_TIMESTAMPNS},   {SOL_SOCKET, SO_RCVTIMEO},       {SOL_SOCKET, SO_SNDTIMEO},
        {SOL_SOCKET, SO_MARK},          {IPPROTO_IP, IP_PKTINFO},        {IPPROTO_IP, IP_RECVTTL},
        {IPPROTO_IP, IP_RECVTOS},       {IPPROTO_IP, IP_TTL},            {IPPROTO_IP, IP_TOS},
        {IPPROTO_IP, IP_MTU_DISCOVER},  {IPPROTO_IP, IP_FREEBIND},       {IPPROTO_IP, IP_TRANSPARENT},
        {IPPROTO_IP, IP_MULTICAST_TTL}, {IPPROTO_IP, IP_MULTICAST_LOOP}, {IPPROTO_IP, IP_MULTICAST_IF},
        {IPPROTO_IP, IP_MULTICAST_ALL}, {IPPROTO_IP, IP_ADD_MEMBERSHIP}, {IPPROTO_IP, IP_DROP_MEMBERSHIP},
        {IPPROTO_IPV6, IPV6_V6ONLY},    {IPPROTO_IPV6, IPV6_RECVPKTINFO}, {IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
        {IPPROTO_IPV6, IPV6_TCLASS},    {IPPROTO_IPV6, IPV6_RECVTCLASS}, {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
        {IPPROTO_IPV6, IPV6_MTU},       {IPPROTO_IPV6, IPV6_DONTFRAG},   {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
        {IPPROTO_IPV6, IPV6_MULTICAST_HOPS}, {IPPROTO_IPV6, IPV6_MULTICAST_LOOP}, {IPPROTO_IPV6, IPV6_MULTICAST_IF},
        {IPPROTO_IPV6, IPV6_JOIN_GROUP}, {IPPROTO_IPV6, IPV6_LEAVE_GROUP}, {IPPROTO_IPV6, IPV6_FREEBIND},
        {IPPROTO_UDP, UDP_SEGMENT},     {IPPROTO_UDP, UDP_GRO},
    };
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (options[i].level == level && options[i].name == name)
            return true;
    return false;
}

/* Nothing that a ring must know is ahead of, or after, this call on a socket of datagrams. forever: nor ever will be. */
static void datagrams_leave(struct file *f, bool forever)
{
    if (type_of(f) != SOCK_DGRAM)
        return;
    if (forever)
        know(f, 0, NO_RING);
    if (stream_on(f))
        stream_leave(f);
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

/* With a timeout any handler ends it; but what interrupted it may have been the host's reminder of what the thread's
 * io_uring has to do. */
static int64_t interrupted_unless(struct file *f, uintptr_t timeout, int64_t result)
{
    return result != -EINTR ? result : known(f) & timeout ? RESTART_NOHAND : RESTART_SYS;
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
    datagrams_leave(f, false); /* what was sent goes to whom it was connected to before */
    if (stream_on(f) && stream_datagrams(f))
        datagrams_forget(f);
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

/* AF_...; -1: the host does not say. An exit. */
static int domain_of(const struct file *f)
{
    int domain = 0;
    socklen_t n = sizeof domain;
    return host_getsockopt(f->host_fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) ? -1 : domain;
}

/* Of a Unix socket, whose messages carry more than bytes. */
static void no_ring(struct file *f)
{
    if (known(f) & NO_RING || domain_of(f) != AF_UNIX)
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
    if (level == SOL_SOCKET && (name == SO_RCVLOWAT || name == SO_PEEK_OFF) && stream_on(f))
        stream_never_ahead(f);
    datagrams_leave(f, !ring_knows(level, name));
    int result = host_setsockopt(f->host_fd, level, name, value, n);
    if (!result && level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
        uintptr_t bit = name == SO_RCVTIMEO ? RECEIVE_TIMEOUT : SEND_TIMEOUT;
        know(f, bit, zero(value, n) ? 0 : bit);
    }
    return result;
}

static int host_socket_getsockopt(struct file *f, int level, int name, void *value, socklen_t *n)
{
    if (stream_on(f) && level == IPPROTO_UDP && name == UDP_GRO)
        datagrams_leave(f, false); /* the ring has set it for itself */
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
    bool datagrams = stream_on(f) && stream_datagrams(f);
    if (stream_on(f)) {
        int64_t result = datagrams ? datagrams_send(f, m, flags) : stream_send(f, m, flags, true);
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
        if (datagrams && r == -EAGAIN)
            stream_leave(f); /* only the host knows when there is room again */
        if (datagrams && r >= 0)
            datagrams_sent(f, m, total);
        else if (r >= 0 && type_of(f) == SOCK_DGRAM)
            note_datagram(f, true);
        if (r == -EAGAIN && stream_on(f) && !datagrams) {
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

/* TCP throws bytes away that are received with MSG_TRUNC, and writes them nowhere. STREAM_NOT: it is not TCP. */
static int64_t discard(struct file *f, uint64_t total, int flags)
{
    int domain = flags & MSG_TRUNC && type_of(f) == SOCK_STREAM ? domain_of(f) : -1;
    if (domain != AF_INET && domain != AF_INET6)
        return STREAM_NOT;
    int64_t r = host_plain(__NR_recvfrom, EXIT_INTERRUPTIBLE, MIN(total, (uint64_t)INT32_MAX), (uint32_t)f->host_fd, 0,
                           MIN(total, (uint64_t)INT32_MAX), (uint32_t)flags, 0);
    return r < 0 ? interrupted_unless(f, RECEIVE_TIMEOUT, r) : r;
}

/* Before and after the host is asked for what has come. False: a ring receives datagrams, which it did not before. */
static bool receive_begin(struct file *f, int flags)
{
    if (flags & MSG_ERRQUEUE)
        return true;
    __atomic_add_fetch(&f->receivers, 1, __ATOMIC_SEQ_CST);
    if (type_of(f) != SOCK_DGRAM || !stream_by_ring(f))
        return true;
    __atomic_sub_fetch(&f->receivers, 1, __ATOMIC_SEQ_CST);
    return false;
}

static void receive_end(struct file *f, int flags)
{
    if (!(flags & MSG_ERRQUEUE))
        __atomic_sub_fetch(&f->receivers, 1, __ATOMIC_SEQ_CST);
}

/* By what is inside, a ring, or what is read ahead; or STREAM_NOT. */
static int64_t receive_stream(struct file *f, const struct iovec *v, int count, int flags)
{
    int64_t n = stream_receive(f, v, count, flags);
    return n > 0 && flags & MSG_WAITALL && !stream_by_ring(f) ? receive_rest(f, v, count, (uint64_t)n, flags) : n;
}

static int64_t receive_ahead(struct file *f, const struct iovec *v, int count, int flags)
{
    if (!stream_reads_ahead(f))
        return STREAM_NOT;
    int64_t n = stream_ahead_receive(f, v, count, flags);
    return n > 0 ? receive_rest(f, v, count, (uint64_t)n, flags) : n;
}

static int64_t host_socket_recvmsg(struct file *f, struct msghdr *m, int flags)
{
    uint64_t asked;
    bool bytes_alone = !m->msg_controllen;
    if (!bytes_alone && type_of(f) == SOCK_STREAM)
        no_ring(f);
    do {
        if (stream_on(f) && stream_datagrams(f)) {
            int64_t result = datagrams_receive(f, m, flags);
            if (result != STREAM_NOT)
                return result;
        } else if (stream_on(f)) {
            int64_t result = receive_stream(f, m->msg_iov, (int)m->msg_iovlen, flags);
            if (result != STREAM_NOT) {
                m->msg_namelen = 0;
                m->msg_controllen = 0;
                m->msg_flags = flags & MSG_CMSG_CLOEXEC;
                return result;
            }
        }
        may_sleep(f, flags);
        int64_t over = discard(f, iovec_length(m->msg_iov, (int)m->msg_iovlen), flags);
        if (over != STREAM_NOT) {
            m->msg_namelen = 0;
            m->msg_controllen = 0;
            m->msg_flags = flags & MSG_CMSG_CLOEXEC;
            return over;
        }
        int64_t refused = place_refused(f, m->msg_iov, (int)m->msg_iovlen, flags);
        if (refused)
            return refused;
    } while (!receive_begin(f, flags));
    int64_t r =
        host_recvmsg(f->host_fd, m, 0, flags | MSG_CMSG_CLOEXEC, EXIT_INTERRUPTIBLE, &asked);
    receive_end(f, flags);
    if (r < 0)
        return interrupted_unless(f, RECEIVE_TIMEOUT, r);
    m->msg_flags = (m->msg_flags & ~MSG_CMSG_CLOEXEC) | (flags & MSG_CMSG_CLOEXEC);
    if (type_of(f) == SOCK_DGRAM && !(flags & (MSG_PEEK | MSG_ERRQUEUE)))
        note_datagram(f, false);
    else if (bytes_alone && !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)))
        note_receive(f, r, asked);
    return (uint64_t)r == asked ? receive_rest(f, m->msg_iov, (int)m->msg_iovlen, asked, flags) : r;
}

int64_t host_socket_discard(struct file *f, uint64_t length, int flags)
{
    struct iovec nowhere = {NULL, length};
    int64_t over = type_of(f) != SOCK_STREAM || !stream_on(f) ? STREAM_NOT : stream_receive(f, &nowhere, 1, flags);
    may_sleep(f, flags);
    if (over == STREAM_NOT)
        over = discard(f, length, flags);
    return over == STREAM_NOT ? -EFAULT : over;
}

int64_t host_socket_receive(struct file *f, const struct iovec *v, int count, int flags)
{
    uint64_t asked;
    do {
        if (stream_on(f)) {
            struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)count};
            int64_t result = stream_datagrams(f) ? datagrams_receive(f, &m, flags) : receive_stream(f, v, count, flags);
            if (result != STREAM_NOT)
                return result;
        }
        may_sleep(f, flags);
        int64_t over = discard(f, iovec_length(v, count), flags);
        if (over != STREAM_NOT)
            return over;
        int64_t refused = place_refused(f, v, count, flags);
        if (refused)
            return refused;
    } while (!receive_begin(f, flags));
    int64_t r = receive_ahead(f, v, count, flags);
    bool ahead = r != STREAM_NOT;
    if (!ahead)
        r = host_recv(f->host_fd, v, count, 0, flags, EXIT_INTERRUPTIBLE, &asked);
    receive_end(f, flags);
    if (r < 0)
        return interrupted_unless(f, RECEIVE_TIMEOUT, r);
    if (ahead)
        return r;
    if (type_of(f) == SOCK_DGRAM && !(flags & (MSG_PEEK | MSG_ERRQUEUE)))
        note_datagram(f, false);
    else if (!(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)))
        note_receive(f, r, asked);
    return (uint64_t)r == asked ? receive_rest(f, v, count, asked, flags) : r;
}

static int host_socket_shutdown(struct file *f, int how)
{
    datagrams_leave(f, true); /* nothing would come again and again */
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
    int first = command == FIONREAD && stream_on(f) && stream_datagrams(f) ? datagrams_first_length(f) : -1;
    if (first >= 0)
        return user_put((int *)argument, &first);
    if (command != FIONREAD)
        datagrams_leave(f, command != FIONBIO);
    if (stream_on(f)) {
        stream_leave(f);
        first = command == FIONREAD && stream_datagrams(f) ? datagrams_first_length(f) : -1;
        if (first >= 0) /* it has come meanwhile */
            return user_put((int *)argument, &first);
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
    know(f, 0, ((uintptr_t)type & KNOWN_TYPE) | (type ? MADE_HERE : 0));
    return f;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of datagrams. While a socket goes over a ring the kernel may join datagrams of one flow and one size (UDP_GRO),
 * which saves it, and a buffer, one passage for each; the program gets them one by one. That is between the
 * ring and the kernel: when the socket leaves, nothing that is joined may stay in the kernel's queue, where
 * nobody could tell it from one long datagram any more.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include "enclave/boundary/datagram.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/stream_parts.h"

/* While much comes, most of them fail. */
#define ATTEMPTS 400
#define MOST_AT_LEAVING (32u << 20) /* bytes: whatever the host says is there */

static int set(const struct stream *s, int on)
{
    return host_setsockopt(s->host_fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
}

bool datagrams_join(const struct stream *s)
{
    int own = 0;
    socklen_t n = sizeof own;
    /* Another thread may want to receive by the same socket, which then has to leave while rows are on their way. */
    if (!lock_alone)
        return false;
    /* Where the program wants rows it gets them as they are. */
    return !host_getsockopt(s->host_fd, IPPROTO_UDP, UDP_GRO, &own, &n) && n == sizeof own && !own && !set(s, 1);
}

/* One datagram, or a row of them, out of the kernel's queue. 0, or -EAGAIN, -ENOMEM: there is nothing more. */
static int take_one(struct stream *s, uint8_t *payload, uint8_t *control)
{
    struct datagram d = {.length = 0};
    struct iovec v = {payload, DATAGRAM_LONGEST};
    struct msghdr m = {.msg_name = d.name, .msg_namelen = sizeof d.name, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = control, .msg_controllen = DATAGRAM_CONTROL};
    uint64_t asked;
    int64_t result = host_recvmsg(s->host_fd, &m, 0, MSG_DONTWAIT, 0, &asked);
    lock_take(&s->lock);
    if (result < 0 && result != -EAGAIN && result != -EINTR)
        s->receive_error = (int)-result;
    if (result >= 0) {
        d.name_length = MIN(m.msg_namelen, (socklen_t)sizeof d.name);
        d.control_length = (uint32_t)m.msg_controllen;
        d.length = (uint32_t)result;
        d.cut = m.msg_flags & MSG_CTRUNC;
        struct piece *p = datagrams_piece(&d, control, payload);
        if (p)
            stream_piece_push(s, p);
    }
    lock_release(&s->lock);
    return result < 0 && result != -ECONNREFUSED ? -EAGAIN : 0;
}

static bool empty(const struct stream *s)
{
    struct pollfd p = {.fd = s->host_fd, .events = POLLIN};
    uint64_t now = 0;
    return host_ppoll(&p, 1, &now, 0) <= 0 || !(p.revents & POLLIN);
}

void datagrams_part(struct stream *s)
{
    uint8_t *room = alloc(DATAGRAM_LONGEST + 1 + DATAGRAM_CONTROL);
    uint64_t before = s->queued;
    for (int i = 0; i < ATTEMPTS; i++) {
        while (room && s->queued - before < MOST_AT_LEAVING && !take_one(s, room, room + DATAGRAM_LONGEST + 1))
            ;
        set(s, 0);
        if (empty(s))
            break;
        /* What has come between the two may be a row. */
        if (i + 1 < ATTEMPTS)
            set(s, 1);
    }
    alloc_free(room);
}

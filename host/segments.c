/* SPDX-License-Identifier: Apache-2.0 */
#include "host/segments.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <x86intrin.h>

#include "abi/net.h"
#include "host/host.h"
#include "host/xsk.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define ROW_COUNT 64u    /* UDP_MAX_SEGMENTS of older kernels */
#define RINGFUL (SEGMENTS_COUNT / ROW_COUNT) /* rows */
#define ALL UINT32_MAX
#define ROW_BYTES 65000u /* the whole is one IP datagram until it is segmented */
#define WAIT_MOST_MS 10000

struct set {
    pthread_mutex_t lock; /* one sends at a time, in order */
    struct segments_shared *shared;
    _Atomic bool sent; /* by the enclave, since the monitor last looked */
};

static struct {
    pthread_mutex_t lock; /* of opening */
    struct set set[SEGMENTS_MAX];
    _Atomic uint32_t count; /* sets below it do not change */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

int64_t segments_open(uint64_t number, uint64_t offset)
{
    if (offset % 8 || !arena_place(offset, SEGMENTS_SIZE))
        return -EINVAL;
    pthread_mutex_lock(&all.lock);
    int error = number < SEGMENTS_MAX && number == atomic_load(&all.count) ? monitor_start() : -EINVAL;
    if (!error) {
        pthread_mutex_init(&all.set[number].lock, NULL);
        all.set[number].shared = (struct segments_shared *)(host.arena + offset);
        atomic_store(&all.count, (uint32_t)number + 1);
    }
    pthread_mutex_unlock(&all.lock);
    return error;
}

/* A row of datagrams of one size that one call sends; the last may be shorter. */
struct row {
    int fd;
    uint32_t segment, count;
    struct sockaddr_storage name;
    socklen_t name_length;
    struct iovec part[ROW_COUNT];
};

static void row_to(struct row *r, const struct segments_shared *s)
{
    r->fd = (int)s->socket;
    r->name_length = s->name_length <= sizeof s->name ? (socklen_t)s->name_length : 0;
    memcpy(&r->name, s->name, r->name_length);
}

/* The datagrams from index `from` on, up to `to`, that go by one call: r->count of them. */
static void row_fill(struct row *r, struct segments_shared *s, uint32_t from, uint32_t to)
{
    uint32_t bytes = 0;
    for (r->count = 0; from != to && r->count < ROW_COUNT; from++) {
        uint64_t datagram = s->datagram[from % SEGMENTS_COUNT];
        uint32_t offset = (uint32_t)(datagram >> 32), length = (uint32_t)datagram;
        if (offset > SEGMENTS_BYTES || length > SEGMENTS_BYTES - offset)
            length = 0; /* the enclave writes none such */
        if (!r->count)
            r->segment = length;
        if (length > r->segment || bytes + length > ROW_BYTES)
            break;
        r->part[r->count].iov_base = s->payload + offset;
        r->part[r->count++].iov_len = length;
        bytes += length;
        if (length < r->segment || !length)
            break;
    }
}

static int send_parts(const struct row *r, uint32_t first, uint32_t count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(uint16_t)),
                            .cmsg_level = IPPROTO_UDP,
                            .cmsg_type = UDP_SEGMENT}};
    struct msghdr m = {.msg_name = r->name_length ? (void *)&r->name : NULL,
                       .msg_namelen = r->name_length,
                       .msg_iov = (struct iovec *)&r->part[first],
                       .msg_iovlen = count};
    if (count > 1) {
        uint16_t segment = (uint16_t)r->segment;
        memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
        m.msg_control = &control;
        m.msg_controllen = sizeof control.bytes;
    }
    return sendmsg(r->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static bool socket_full(int error)
{
    return error == -EAGAIN || error == -EINTR || error == -ENOBUFS || error == -ENOMEM;
}

/* What an earlier datagram met with is told once by the kernel, and says nothing of these. */
static int send_again(const struct row *r, uint32_t first, uint32_t count, uint64_t *told)
{
    int error = send_parts(r, first, count);
    if (!error || socket_full(error))
        return error;
    if (!*told)
        *told = (uint64_t)-error;
    return send_parts(r, first, count);
}

/* The kernel cannot segment here (a large one, a device without checksums, a route with transforms): one
 * by one. A socket that is full in the middle loses the rest, as a full queue does. */
static void send_singly(const struct row *r, uint64_t *told)
{
    *told = 0;
    for (uint32_t i = 0; i < r->count; i++)
        send_again(r, i, 1, told);
}

static bool cannot_segment(int error)
{
    return error == -EINVAL || error == -EIO || error == -EMSGSIZE || error == -EOPNOTSUPP;
}

static bool waiting(const struct segments_shared *s)
{
    return (uint32_t)__atomic_load_n(&s->producer, __ATOMIC_ACQUIRE) != (uint32_t)s->consumer;
}

/* With the set's lock: all that is there, but no more than so many rows. 0 or -EAGAIN. */
static int send_set(struct segments_shared *s, unsigned rows)
{
    uint32_t consumer = (uint32_t)s->consumer;
    struct row r;
    if (!waiting(s))
        return 0;
    row_to(&r, s);
    for (uint32_t to; rows-- && (to = (uint32_t)__atomic_load_n(&s->producer, __ATOMIC_ACQUIRE)) != consumer;) {
        uint64_t told = 0;
        row_fill(&r, s, consumer, to);
        int error = send_again(&r, 0, r.count, &told);
        if (socket_full(error))
            return -EAGAIN;
        if (r.count > 1 && cannot_segment(error))
            send_singly(&r, &told);
        if (told)
            __atomic_store_n(&s->error, told, __ATOMIC_RELAXED);
        consumer += r.count;
        __atomic_store_n(&s->consumer, (uint64_t)consumer, __ATOMIC_RELEASE);
    }
    return 0;
}

int64_t segments_send(uint64_t number, uint64_t wait_ms)
{
    if (number >= atomic_load(&all.count))
        return -EINVAL;
    struct set *set = &all.set[number];
    struct segments_shared *s = set->shared;
    uint64_t began = __rdtsc();
    atomic_store(&set->sent, true);
    pthread_mutex_lock(&set->lock);
    int error = send_set(s, ALL);
    if (error == -EAGAIN && wait_ms) {
        struct pollfd p = {.fd = (int)s->socket, .events = POLLOUT};
        poll(&p, 1, wait_ms > WAIT_MOST_MS ? WAIT_MOST_MS : (int)wait_ms);
        if (send_set(s, ALL))
            __atomic_store_n(&s->consumer, s->producer, __ATOMIC_RELEASE);
        error = 0;
    }
    pthread_mutex_unlock(&set->lock);
    monitor_armed(__rdtsc() - began);
    return error;
}

void segments_send_all(void)
{
    for (uint32_t i = 0; i < atomic_load(&all.count); i++)
        if (waiting(all.set[i].shared))
            segments_send(i, 0);
}

bool segments_serve(void)
{
    bool any = false;
    for (uint32_t i = 0; i < atomic_load(&all.count); i++) {
        struct set *set = &all.set[i];
        if (!waiting(set->shared))
            continue;
        pthread_mutex_lock(&set->lock);
        uint64_t before = set->shared->consumer;
        (void)send_set(set->shared, RINGFUL);
        any |= set->shared->consumer != before;
        pthread_mutex_unlock(&set->lock);
    }
    return any;
}

uint32_t segments_sent(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < atomic_load(&all.count); i++)
        sum += (uint32_t)__atomic_load_n(&all.set[i].shared->consumer, __ATOMIC_RELAXED);
    return sum;
}

bool segments_flush(void)
{
    bool whole = true;
    for (uint32_t i = 0; i < atomic_load(&all.count); i++) {
        struct set *set = &all.set[i];
        if (atomic_exchange(&set->sent, false) || !waiting(set->shared))
            continue; /* where it goes on, what comes next takes all with it */
        pthread_mutex_lock(&set->lock);
        whole = !send_set(set->shared, ALL) && whole;
        pthread_mutex_unlock(&set->lock);
    }
    return whole;
}

void segments_forked(void)
{
    atomic_store(&all.count, 0);
    pthread_mutex_init(&all.lock, NULL);
}

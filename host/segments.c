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

#include "abi/net.h"
#include "host/host.h"
#include "host/xsk.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

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

/* As the enclave left it, copied: it does not change while the state is ours. */
struct job {
    int fd;
    uint32_t segment, count;
    struct sockaddr_storage name;
    socklen_t name_length;
    struct iovec part[SEGMENTS_COUNT];
};

static bool job_of(const struct segments_shared *s, struct job *j)
{
    uint64_t left = s->length;
    if (!s->segment || s->segment > SEGMENT_LONGEST || !left || left > SEGMENTS_BYTES ||
        s->name_length > sizeof s->name || (left + s->segment - 1) / s->segment > SEGMENTS_COUNT)
        return false;
    j->fd = (int)s->socket;
    j->segment = (uint32_t)s->segment;
    j->name_length = (socklen_t)s->name_length;
    memcpy(&j->name, s->name, s->name_length);
    for (j->count = 0; left; j->count++) {
        uint64_t n = left < j->segment ? left : j->segment;
        j->part[j->count].iov_base = (uint8_t *)s->payload + j->count * SEGMENT_STRIDE(j->segment);
        j->part[j->count].iov_len = n;
        left -= n;
    }
    return true;
}

static int send_parts(const struct job *j, uint32_t first, uint32_t count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(uint16_t)),
                            .cmsg_level = IPPROTO_UDP,
                            .cmsg_type = UDP_SEGMENT}};
    struct msghdr m = {.msg_name = j->name_length ? (void *)&j->name : NULL,
                       .msg_namelen = j->name_length,
                       .msg_iov = (struct iovec *)&j->part[first],
                       .msg_iovlen = count};
    if (count > 1) {
        uint16_t segment = (uint16_t)j->segment;
        memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
        m.msg_control = &control;
        m.msg_controllen = sizeof control.bytes;
    }
    return sendmsg(j->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static bool socket_full(int error)
{
    return error == -EAGAIN || error == -EINTR || error == -ENOBUFS || error == -ENOMEM;
}

/* What an earlier datagram met with is told once by the kernel, and says nothing of these. */
static int send_again(const struct job *j, uint32_t first, uint32_t count, uint64_t *told)
{
    int error = send_parts(j, first, count);
    if (!error || socket_full(error))
        return error;
    if (!*told)
        *told = (uint64_t)-error;
    return send_parts(j, first, count);
}

/* The kernel cannot segment here (a large one, a device without checksums, a route with transforms): one
 * by one. A socket that is full in the middle loses the rest, as a full queue does. */
static void send_singly(const struct job *j, uint64_t *told)
{
    *told = 0;
    for (uint32_t i = 0; i < j->count; i++)
        send_again(j, i, 1, told);
}

/* With the set's lock: 0 or -EAGAIN. */
static int send_set(struct segments_shared *s)
{
    uint64_t ready = SEGMENTS_READY, told = 0;
    struct job j;
    if (!__atomic_compare_exchange_n(&s->state, &ready, (uint64_t)SEGMENTS_SENDING, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return 0;
    int error = job_of(s, &j) ? send_again(&j, 0, j.count, &told) : 0;
    if (error == -EINVAL || error == -EIO || error == -EMSGSIZE || error == -EOPNOTSUPP)
        send_singly(&j, &told);
    if (told)
        __atomic_store_n(&s->error, told, __ATOMIC_RELAXED);
    bool again = socket_full(error);
    __atomic_store_n(&s->state, again ? SEGMENTS_READY : SEGMENTS_EMPTY, __ATOMIC_SEQ_CST);
    return again ? -EAGAIN : 0;
}

int64_t segments_send(uint64_t number, uint64_t wait_ms)
{
    if (number >= atomic_load(&all.count))
        return -EINVAL;
    struct set *set = &all.set[number];
    atomic_store(&set->sent, true);
    pthread_mutex_lock(&set->lock);
    int error = send_set(set->shared);
    if (error == -EAGAIN && wait_ms) {
        struct pollfd p = {.fd = (int)set->shared->socket, .events = POLLOUT};
        poll(&p, 1, wait_ms > 10000 ? 10000 : (int)wait_ms);
        error = send_set(set->shared);
    }
    pthread_mutex_unlock(&set->lock);
    monitor_armed();
    return error;
}

bool segments_flush(void)
{
    bool whole = true;
    for (uint32_t i = 0; i < atomic_load(&all.count); i++) {
        struct set *set = &all.set[i];
        if (atomic_exchange(&set->sent, false))
            continue; /* so may the next be */
        if (__atomic_load_n(&set->shared->state, __ATOMIC_RELAXED) != SEGMENTS_READY)
            continue;
        pthread_mutex_lock(&set->lock);
        whole = !send_set(set->shared) && whole;
        pthread_mutex_unlock(&set->lock);
    }
    return whole;
}

void segments_forked(void)
{
    atomic_store(&all.count, 0);
    pthread_mutex_init(&all.lock, NULL);
}

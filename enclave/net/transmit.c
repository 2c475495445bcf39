/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/transmit.h"

#include <errno.h>
#include <poll.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/sum.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/flush.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/net/udp.h"

#define ETHERNET_PAYLOAD_MIN 46u /* IEEE 802.3: shorter frames are padded */
/* Where a frame begins, so that its payload begins on a word. */
#define START_FOUR XSK_TX_OFFSET
#define START_SIX (XSK_TX_OFFSET + 4u)
#define PAYLOAD_AT_MAX (START_SIX + UDP_OVERHEAD_SIX)

_Static_assert((START_FOUR + UDP_OVERHEAD) % 8 == 0, "the payload begins on a word");
_Static_assert(PAYLOAD_AT_MAX % 8 == 0, "the payload begins on a word");

/* The thread's XSK of the interface, so that threads share none while there are enough. NULL: none. */
static struct xsk *xsk_of(uint64_t interface)
{
    int count = xsk_count(), own = 0, nth;
    for (int i = 0; i < count; i++)
        own += xsk_interface(xsk_at(i)) == interface;
    if (!own)
        return NULL;
    nth = (int)(thread_block()->index % (uint64_t)own);
    for (int i = 0; i < count; i++)
        if (xsk_interface(xsk_at(i)) == interface && nth-- == 0)
            return xsk_at(i);
    return NULL;
}

bool transmit_fits(const struct route *r, uint64_t length)
{
    struct xsk *x = xsk_of(r->interface);
    uint32_t overhead = udp_overhead(r->key.destination);
    return x && length <= TRANSMIT_MAX && length + overhead - ETHERNET_HEADER <= r->mtu &&
           length + PAYLOAD_AT_MAX <= xsk_frame_size(x);
}

/* Of datagrams that may be fragmented on their way it must differ; of others nobody looks at it. */
static uint16_t identification(void)
{
    static uint16_t last;
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

bool transmit_unseen(const struct route *r)
{
    struct xsk *x = xsk_of(r->interface);
    return x && xsk_checksums(x);
}

/* The same for all datagrams of a flow: networks spread flows by it (RFC 6437). */
static uint32_t flow_label(const struct transmission *t)
{
    const struct ip_address *a = &t->route.source, *b = &t->route.key.destination;
    uint64_t mixed = a->low ^ a->high * 3 ^ b->low * 5 ^ b->high * 7 ^
                     ((uint64_t)t->source_port << 16 | t->destination_port) * 11;
    return (uint32_t)(mixed * 0x9e3779b97f4a7c15ull >> 44);
}

int transmit(const struct transmission *t, const void *payload, uint32_t length)
{
    uint64_t head[PAYLOAD_AT_MAX / 8] = {0};
    struct xsk *x = xsk_of(t->route.interface);
    int frame = x ? xsk_frame_take(x) : -ENOBUFS;
    if (frame < 0)
        return -EAGAIN;
    struct untrusted at = xsk_frame_at(x, (uint32_t)frame, 0);
    bool six = !ip_is_four(t->route.key.destination);
    uint32_t start = six ? START_SIX : START_FOUR, overhead = udp_overhead(t->route.key.destination);
    uint32_t payload_at = start + overhead, shortest = ETHERNET_HEADER + ETHERNET_PAYLOAD_MIN - overhead;
    uint32_t padded = length;
    if (overhead < ETHERNET_HEADER + ETHERNET_PAYLOAD_MIN && length < shortest) {
        padded = shortest;
        for (uint32_t i = 0; i < shortest; i += 8)
            untrusted_store(untrusted_at(at, payload_at + i), 0);
    }
    struct untrusted to = untrusted_at(at, payload_at);
    bool half_sum = xsk_checksums(x);
    uint32_t sum = 0;
    if (!half_sum) {
        sum = untrusted_write_sum(to, payload, length);
    } else if (untrusted_write(to, payload, length)) {
        xsk_frame_give(x, frame);
        return -EFAULT;
    }
    const struct udp_fields fields = {
        .source_mac = t->route.source_mac,
        .destination_mac = t->route.destination_mac,
        .source = t->route.source,
        .destination = t->route.key.destination,
        .source_port = t->source_port,
        .destination_port = t->destination_port,
        .length = (uint16_t)length,
        .payload_sum = (uint16_t)sum,
        .identification = t->may_fragment ? identification() : 0,
        .ttl = t->ttl ? t->ttl : t->route.hop_limit,
        .tos = t->tos,
        .flow_label = six && !t->no_flow_label ? flow_label(t) : 0,
        .may_fragment = t->may_fragment,
        .half_sum = half_sum,
    };
    if (half_sum) {
        const struct xsk_metadata metadata = {
            .flags = XSK_METADATA_CHECKSUM,
            .checksum_start = (uint16_t)(overhead - UDP_HEADER),
            .checksum_offset = 6,
        };
        memcpy((uint8_t *)head + start - sizeof metadata, &metadata, sizeof metadata);
    }
    udp_build((uint8_t *)head + start, &fields);
    untrusted_write(at, head, payload_at);
    if (xsk_send(x, frame, start, overhead + padded, half_sum)) {
        xsk_frame_give(x, frame);
        return -EAGAIN;
    }
    return 0;
}

/* A place in the ring is what the kernel tells of. When that does not help, frames are still with the
 * receiver, and only time does. */
#define ATTEMPTS_BY_RING 3
#define FRAMES_WAIT_NS 200000ull

int transmit_wait(const struct route *r, int attempt, uint64_t *timeout_ns)
{
    struct xsk *x = xsk_of(r->interface);
    bool by_ring = x && attempt < ATTEMPTS_BY_RING;
    struct pollfd p = {.fd = by_ring ? xsk_descriptor(x) : -1, .events = POLLOUT};
    uint64_t slice = by_ring ? *timeout_ns : MIN(*timeout_ns, FRAMES_WAIT_NS), left = slice;
    io_flush_along();
    int ready = host_ppoll(&p, 1, &left, EXIT_INTERRUPTIBLE);
    if (ready < 0)
        return ready;
    if (*timeout_ns != NO_TIMEOUT)
        *timeout_ns -= slice - left;
    return ready || *timeout_ns ? 0 : -ETIMEDOUT;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/xsk.h"

#include <errno.h>

#include "abi/start.h"
#include "abi/stats.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/kick.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define HEADROOM 6u /* puts the payload of an IPv4/UDP datagram on 8 bytes */
#define ETHERNET_HEADER 14u
#define REFILL_BATCH 32u
#define SENDERS UINT64_MAX

struct xsk {
    struct untrusted umem;
    uint64_t interface, queue, index;
    int descriptor;
    uint32_t frame_size;
    bool checksums, zerocopy;

    struct lock rx_lock; /* guards the next */
    struct xsk_rx rx;

    struct lock tx_lock; /* guards the rest */
    struct xsk_tx tx;
    struct kick kick;
    uint64_t sender; /* index of the thread that what waits for a kick is from, SENDERS: of several */
    uint64_t kicks;
};

static struct {
    struct xsk *xsk[XSK_MAX];
    int count;
} all;

static void publish(const struct xsk *x, size_t offset, uint64_t value)
{
    struct untrusted s = arena_statistics();
    if (s.address)
        untrusted_store(untrusted_at(s, offsetof(struct statistics, xsk) +
                                            x->index * sizeof(struct statistics_xsk) + offset),
                        value);
}

#define PUBLISH(x, field, value) publish((x), offsetof(struct statistics_xsk, field), (value))

/* ---- set-up ---- */

static void setup_free(const struct xsk_setup *s)
{
    if (s->umem_offset)
        arena_pool_free(s->umem_offset, s->umem_size);
    for (int i = 0; i < XSK_RINGS; i++)
        if (s->ring_offset[i])
            arena_pool_free(s->ring_offset[i], s->ring_space[i]);
}

static int setup_make(struct xsk_setup *s, const struct interface_info *interface, uint64_t queue,
                      uint32_t frame_size)
{
    memset(s, 0, sizeof *s);
    s->interface_index = interface->index;
    s->queue = queue;
    s->frame_size = frame_size;
    s->headroom = HEADROOM;
    s->umem_size = XSK_UMEM_BYTES;
    s->umem_offset = arena_pool_take(s->umem_size);
    bool whole = s->umem_offset != 0;
    for (int i = 0; i < XSK_RINGS; i++) {
        s->entries[i] = xsk_ring_entries(i);
        s->ring_space[i] = xsk_ring_space(i);
        s->ring_offset[i] = arena_pool_take(s->ring_space[i]);
        whole = whole && s->ring_offset[i];
    }
    if (!whole)
        setup_free(s);
    return whole ? 0 : -ENOMEM;
}

/* Everything else than the layout is as we asked. */
static void rings_start(struct xsk *x, const struct xsk_setup *asked, const struct xsk_setup *answer)
{
    struct ring *const rings[XSK_RINGS] = {&x->rx.fill, &x->tx.completion, &x->rx.rx, &x->tx.tx};
    for (int i = 0; i < XSK_RINGS; i++)
        xsk_ring_start(rings[i], i, arena_at(asked->ring_offset[i]), &answer->layout[i]);
    xsk_rx_start(&x->rx, x->frame_size);
    xsk_tx_start(&x->tx, x->frame_size);
}

int xsk_open(const struct interface_info *interface, uint64_t queue, struct xsk **out)
{
    const uint64_t around = ETHERNET_HEADER + XSK_HEADROOM_KERNEL + HEADROOM;
    if (interface->mtu > 4096 - around)
        return -EMSGSIZE;
    if (all.count == XSK_MAX)
        return -ENFILE;
    struct xsk *x = alloc(sizeof *x);
    if (!x)
        return -ENOMEM;
    struct xsk_setup setup, answer;
    uint32_t frame_size = interface->mtu <= 2048 - around ? 2048 : 4096;
    int error = setup_make(&setup, interface, queue, frame_size);
    if (error)
        goto no_setup;
    untrusted_write(bounce(), &setup, sizeof setup);
    uint64_t offset = bounce().address - arena_at(0).address;
    int64_t fd = exit_checked(EXIT_XSK_OPEN, 0, INT32_MAX, offset, 0, 0, 0, 0, 0);
    if (fd < 0) {
        error = (int)fd;
        goto no_socket;
    }
    untrusted_read(&answer, bounce(), sizeof answer);
    if (answer.index != (uint64_t)all.count)
        violation("XSK number %lu given, it is the %d", answer.index, all.count);

    x->umem = arena_at(setup.umem_offset);
    x->frame_size = frame_size;
    x->interface = interface->index;
    x->queue = queue;
    x->index = answer.index;
    x->descriptor = (int)fd;
    x->checksums = answer.checksums == 1;
    x->zerocopy = answer.zerocopy == 1 || answer.alone == 1;
    rings_start(x, &setup, &answer);
    xsk_rx_refill(&x->rx);
    PUBLISH(x, interface_index, x->interface);
    PUBLISH(x, queue, queue);
    all.xsk[all.count++] = x;
    *out = x;
    return 0;

no_socket:
    setup_free(&setup);
no_setup:
    alloc_free(x);
    return error;
}

/* ---- receiving ---- */

int xsk_receive(struct xsk *x, struct xsk_packet *out, int count)
{
    if (!lock_try(&x->rx_lock))
        return 0;
    uint64_t bad = x->rx.bad;
    uint32_t seen = x->rx.rx.own, taken = xsk_rx_take(&x->rx, out, (uint32_t)MAX(MIN(count, XSK_BATCH), 0));
    if (x->rx.rx.own != seen) {
        PUBLISH(x, packets_in, x->rx.packets);
        PUBLISH(x, bytes_in, x->rx.bytes);
    }
    if (x->rx.bad != bad)
        PUBLISH(x, drops[DROP_bad_descriptor], x->rx.bad);
    if (x->rx.frames.free_count >= REFILL_BATCH)
        xsk_rx_refill(&x->rx);
    lock_release(&x->rx_lock);
    return (int)taken;
}

void xsk_release(struct xsk *x, uint32_t frame)
{
    lock_take(&x->rx_lock);
    xsk_rx_give(&x->rx, frame);
    if (x->rx.frames.free_count >= REFILL_BATCH)
        xsk_rx_refill(&x->rx);
    lock_release(&x->rx_lock);
}

uint32_t xsk_frames_low(const struct xsk *x)
{
    /* A reading without the lock, good enough to decide to copy. */
    return x->rx.frames.count - __atomic_load_n(&x->rx.held, __ATOMIC_RELAXED);
}

bool xsk_readable(const struct xsk *x)
{
    return (uint32_t)untrusted_load(x->rx.rx.other_index) != __atomic_load_n(&x->rx.rx.own, __ATOMIC_RELAXED);
}

uint32_t xsk_waiting(const struct xsk *x)
{
    uint32_t own = __atomic_load_n(&x->rx.rx.own, __ATOMIC_RELAXED);
    uint32_t n = (uint32_t)untrusted_load(x->rx.rx.other_index) - own;
    return MIN(n, XSK_RX_ENTRIES); /* with an index that is none the drain ends the enclave */
}

uint64_t xsk_received(const struct xsk *x)
{
    return __atomic_load_n(&x->rx.packets, __ATOMIC_RELAXED);
}

/* ---- sending ---- */

/* With tx_lock held. */
static void reap(struct xsk *x)
{
    uint64_t bad = x->tx.bad;
    xsk_tx_reap(&x->tx);
    if (x->tx.bad != bad)
        PUBLISH(x, drops[DROP_bad_completion], x->tx.bad);
}

/* With tx_lock held. */
static void publish_sent(struct xsk *x)
{
    PUBLISH(x, packets_out, x->tx.packets);
    PUBLISH(x, bytes_out, x->tx.bytes);
}

static void publish_kick(struct xsk *x)
{
    x->kicks++;
    PUBLISH(x, kicks, x->kicks);
    publish_sent(x);
}

/* With tx_lock held. What has been sent comes back at once: the stack then hands out frames that are
 * still in the cache. */
static void transmit(struct xsk *x)
{
    kick_now(&x->kick, x->index);
    reap(x);
    publish_kick(x);
}

/* With tx_lock held: nobody need kick for what waits. */
static void leave_to_host(struct xsk *x)
{
    kick_put_off(&x->kick);
    publish_sent(x);
}

int xsk_frame_take(struct xsk *x)
{
    lock_take(&x->tx_lock);
    int32_t frame = xsk_tx_take(&x->tx);
    if (frame < 0) {
        reap(x);
        frame = xsk_tx_take(&x->tx);
    }
    if (frame < 0 && x->kick.waiting) {
        transmit(x);
        frame = xsk_tx_take(&x->tx);
    }
    lock_release(&x->tx_lock);
    return frame < 0 ? -ENOBUFS : frame;
}

void xsk_frame_give(struct xsk *x, int frame)
{
    lock_take(&x->tx_lock);
    xsk_tx_give(&x->tx, (uint32_t)frame);
    lock_release(&x->tx_lock);
}

int xsk_send(struct xsk *x, int frame, uint32_t start, uint32_t length, bool metadata)
{
    lock_take(&x->tx_lock);
    int result = xsk_tx_put(&x->tx, (uint32_t)frame, start, length, metadata);
    if (result == -EAGAIN && x->kick.waiting) {
        transmit(x);
        result = xsk_tx_put(&x->tx, (uint32_t)frame, start, length, metadata);
    }
    if (!result) {
        uint64_t me = thread_block()->index;
        __atomic_store_n(&x->sender, x->kick.waiting && x->sender != me ? SENDERS : me, __ATOMIC_RELAXED);
        if (kick_due(&x->kick))
            transmit(x);
        else if (x->tx.packets % KICK_BATCH == 0)
            publish_sent(x);
    }
    lock_release(&x->tx_lock);
    return result;
}

static void flush(struct xsk *x)
{
    if (!x->kick.waiting)
        return;
    lock_take(&x->tx_lock);
    if (exit_served())
        leave_to_host(x);
    else if (x->kick.waiting)
        transmit(x);
    lock_release(&x->tx_lock);
}

/* May the current thread have put something into its ring that waits? */
static bool is_mine(const struct xsk *x)
{
    uint64_t sender = __atomic_load_n(&x->sender, __ATOMIC_RELAXED);
    return x->kick.waiting && (sender == thread_block()->index || sender == SENDERS);
}

void xsk_flush(void)
{
    for (int i = 0; i < all.count; i++)
        if (is_mine(all.xsk[i]))
            flush(all.xsk[i]);
}

bool xsk_put_off(void)
{
    bool some = false;
    for (int i = 0; i < all.count; i++) {
        struct xsk *x = all.xsk[i];
        if (!is_mine(x))
            continue;
        lock_take(&x->tx_lock);
        if (x->kick.waiting && exit_served()) {
            leave_to_host(x);
        } else if (x->kick.waiting) {
            kick_put_off(&x->kick);
            some = true;
            publish_kick(x);
        }
        lock_release(&x->tx_lock);
    }
    return some;
}

void xsk_flush_all(void)
{
    for (int i = 0; i < all.count; i++)
        flush(all.xsk[i]);
}

void xsk_leave(void)
{
    all.count = 0;
}

/* ---- what they are ---- */

struct untrusted xsk_frame_at(const struct xsk *x, uint32_t frame, uint32_t offset)
{
    return untrusted_at(x->umem, (uint64_t)frame * x->frame_size + offset);
}

uint32_t xsk_frame_size(const struct xsk *x)
{
    return x->frame_size;
}

bool xsk_zerocopy(const struct xsk *x)
{
    return x->zerocopy;
}

bool xsk_checksums(const struct xsk *x)
{
    return x->checksums;
}

uint64_t xsk_interface(const struct xsk *x)
{
    return x->interface;
}

int xsk_count(void)
{
    return all.count;
}

struct xsk *xsk_at(int i)
{
    return all.xsk[i];
}

int xsk_descriptor(const struct xsk *x)
{
    return x->descriptor;
}

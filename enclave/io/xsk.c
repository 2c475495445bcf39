/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/xsk.h"

#include <errno.h>

#include "abi/start.h"
#include "abi/stats.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/ring.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/frames.h"
#include "enclave/io/kick.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

/*
 * The first frames of the UMEM are received into, the rest are sent from: the two sides share nothing
 * and have a lock each. 4 and 2 MiB, whatever the size of a frame: within the usual RLIMIT_MEMLOCK of 8.
 */
#define RX_BYTES 0x400000u
#define TX_BYTES 0x200000u
#define RX_ENTRIES 2048u
#define TX_ENTRIES 1024u
#define HEADROOM 6u /* puts the payload of an IPv4/UDP datagram on 8 bytes */
#define ETHERNET_HEADER 14u
#define RING_SPACE(entries, size) (4096ul + (uint64_t)(entries) * (size))
#define REFILL_BATCH 32u
#define SENDERS UINT64_MAX

struct xsk {
    struct untrusted umem;
    uint64_t interface, queue, index;
    int descriptor;
    uint32_t frame_size;
    bool checksums, zerocopy;

    struct lock rx_lock; /* guards the next five */
    struct ring fill, rx;
    struct frames rx_frames;
    uint32_t rx_held; /* received and not yet released */
    uint64_t packets_in, bytes_in;

    struct lock tx_lock; /* guards the next seven */
    struct ring tx, completion;
    struct frames tx_frames;
    struct kick kick;
    uint64_t sender; /* index of the thread that what waits for a kick is from, SENDERS: of several */
    uint64_t packets_out, bytes_out, kicks;

    uint64_t drops[DROP_COUNT];
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

static void drop(struct xsk *x, enum drop_cause cause)
{
    uint64_t count = __atomic_add_fetch(&x->drops[cause], 1, __ATOMIC_RELAXED);
    publish(x, offsetof(struct statistics_xsk, drops) + cause * sizeof(uint64_t), count);
}

/* ---- set-up ---- */

static const uint32_t ring_entries[XSK_RINGS] = {RX_ENTRIES, TX_ENTRIES, RX_ENTRIES, TX_ENTRIES};
static const uint32_t entry_size[XSK_RINGS] = {RING_ADDRESS, RING_ADDRESS, RING_DESCRIPTOR,
                                               RING_DESCRIPTOR};
static const char *const ring_names[XSK_RINGS] = {"XSK fill", "XSK completion", "XSK rx", "XSK tx"};

static uint64_t ring_space_of(int kind)
{
    return (RING_SPACE(ring_entries[kind], entry_size[kind]) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

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
    s->umem_size = RX_BYTES + TX_BYTES;
    s->umem_offset = arena_pool_take(s->umem_size);
    bool whole = s->umem_offset != 0;
    for (int i = 0; i < XSK_RINGS; i++) {
        s->entries[i] = ring_entries[i];
        s->ring_space[i] = ring_space_of(i);
        s->ring_offset[i] = arena_pool_take(s->ring_space[i]);
        whole = whole && s->ring_offset[i];
    }
    if (!whole)
        setup_free(s);
    return whole ? 0 : -ENOMEM;
}

/* The kernel's layout, checked; everything else is as we asked. */
static void ring_open(struct ring *r, const struct xsk_setup *asked, const struct xsk_setup *answer,
                      int kind)
{
    const struct xsk_ring_layout *l = &answer->layout[kind];
    bool produces = kind == XSK_RING_FILL || kind == XSK_RING_TX;
    if (!ring_start(r, produces, arena_at(asked->ring_offset[kind]), asked->ring_space[kind], l,
                    ring_entries[kind], entry_size[kind]))
        violation("%s ring: producer at %lu, consumer at %lu, descriptors at %lu of %lu bytes",
                  ring_names[kind], l->producer, l->consumer, l->descriptors,
                  asked->ring_space[kind]);
    r->name = ring_names[kind];
}

/* With rx_lock held: free frames into the fill ring, as many as fit. */
static void refill(struct xsk *x)
{
    uint32_t wanted = x->rx_frames.free_count, space = ring_space(&x->fill, wanted);
    uint32_t n = MIN(wanted, space);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t frame = (uint32_t)frames_take(&x->rx_frames);
        frames_lend(&x->rx_frames, frame);
        untrusted_store(ring_entry(&x->fill, i), (uint64_t)frame * x->frame_size);
    }
    if (n)
        ring_advance(&x->fill, n);
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
    ring_open(&x->fill, &setup, &answer, XSK_RING_FILL);
    ring_open(&x->completion, &setup, &answer, XSK_RING_COMPLETION);
    ring_open(&x->rx, &setup, &answer, XSK_RING_RX);
    ring_open(&x->tx, &setup, &answer, XSK_RING_TX);
    frames_start(&x->rx_frames, RX_BYTES / frame_size);
    frames_start(&x->tx_frames, TX_BYTES / frame_size);
    refill(x);
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

/* One descriptor of the rx ring, i beyond our index. */
static bool take_packet(struct xsk *x, uint32_t i, struct xsk_packet *out)
{
    struct untrusted at = ring_entry(&x->rx, i);
    uint64_t address = untrusted_load(at);
    uint32_t length = (uint32_t)untrusted_load(untrusted_at(at, 8));
    if (!frames_accept(&x->rx_frames, address, length, x->frame_size, 0, &out->frame,
                       &out->offset)) {
        violation_count();
        drop(x, DROP_bad_descriptor);
        return false;
    }
    out->length = length;
    x->rx_held++;
    return true;
}

int xsk_receive(struct xsk *x, struct xsk_packet *out, int count)
{
    int taken = 0;
    if (!lock_try(&x->rx_lock))
        return 0;
    uint32_t ready = ring_ready(&x->rx, 1);
    uint32_t n = MIN(ready, (uint32_t)MIN(count, XSK_BATCH));
    for (uint32_t i = 0; i < n; i++) {
        if (!take_packet(x, i, &out[taken]))
            continue;
        x->bytes_in += out[taken].length;
        taken++;
    }
    if (n) {
        ring_advance(&x->rx, n);
        x->packets_in += (uint64_t)taken;
        PUBLISH(x, packets_in, x->packets_in);
        PUBLISH(x, bytes_in, x->bytes_in);
    }
    if (x->rx_frames.free_count >= REFILL_BATCH)
        refill(x);
    lock_release(&x->rx_lock);
    return taken;
}

void xsk_release(struct xsk *x, uint32_t frame)
{
    lock_take(&x->rx_lock);
    if (frames_give(&x->rx_frames, frame))
        x->rx_held--;
    if (x->rx_frames.free_count >= REFILL_BATCH)
        refill(x);
    lock_release(&x->rx_lock);
}

uint32_t xsk_frames_low(const struct xsk *x)
{
    /* A reading without the lock, good enough to decide to copy. */
    return x->rx_frames.count - __atomic_load_n(&x->rx_held, __ATOMIC_RELAXED);
}

bool xsk_readable(const struct xsk *x)
{
    return (uint32_t)untrusted_load(x->rx.other_index) != __atomic_load_n(&x->rx.own, __ATOMIC_RELAXED);
}

uint32_t xsk_waiting(const struct xsk *x)
{
    uint32_t n = (uint32_t)untrusted_load(x->rx.other_index) - __atomic_load_n(&x->rx.own, __ATOMIC_RELAXED);
    return MIN(n, RX_ENTRIES); /* with an index that is none the drain ends the enclave */
}

uint64_t xsk_received(const struct xsk *x)
{
    return __atomic_load_n(&x->packets_in, __ATOMIC_RELAXED);
}

/* ---- sending ---- */

/* With tx_lock held: what the kernel has sent is free again. */
static void reap(struct xsk *x)
{
    uint32_t n = ring_ready(&x->completion, TX_ENTRIES);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t frame, offset;
        uint64_t address = untrusted_load(ring_entry(&x->completion, i));
        if (!frames_accept(&x->tx_frames, address, 0, x->frame_size, x->rx_frames.count, &frame,
                           &offset)) {
            violation_count();
            drop(x, DROP_bad_completion);
            continue;
        }
        frames_give(&x->tx_frames, frame);
    }
    if (n)
        ring_advance(&x->completion, n);
}

/* With tx_lock held, once for each kick. */
static void publish_sent(struct xsk *x)
{
    x->kicks++;
    PUBLISH(x, kicks, x->kicks);
    PUBLISH(x, packets_out, x->packets_out);
    PUBLISH(x, bytes_out, x->bytes_out);
}

/* With tx_lock held. What has been sent comes back at once: the stack then hands out frames that are
 * still in the cache. */
static void transmit(struct xsk *x)
{
    kick_now(&x->kick, x->index);
    reap(x);
    publish_sent(x);
}

int xsk_frame_take(struct xsk *x)
{
    lock_take(&x->tx_lock);
    int32_t frame = frames_take(&x->tx_frames);
    if (frame < 0) {
        reap(x);
        frame = frames_take(&x->tx_frames);
    }
    if (frame < 0 && x->kick.waiting) {
        transmit(x);
        frame = frames_take(&x->tx_frames);
    }
    lock_release(&x->tx_lock);
    return frame < 0 ? -ENOBUFS : (int)(x->rx_frames.count + (uint32_t)frame);
}

void xsk_frame_give(struct xsk *x, int frame)
{
    lock_take(&x->tx_lock);
    frames_give(&x->tx_frames, (uint32_t)frame - x->rx_frames.count);
    lock_release(&x->tx_lock);
}

int xsk_send(struct xsk *x, int frame, uint32_t start, uint32_t length, bool metadata)
{
    int result = -EAGAIN;
    if (start < XSK_TX_OFFSET || start > x->frame_size || length > x->frame_size - start)
        return -EMSGSIZE;
    lock_take(&x->tx_lock);
    if (!ring_space(&x->tx, 1) && x->kick.waiting)
        transmit(x);
    if (ring_space(&x->tx, 1) &&
        frames_lend(&x->tx_frames, (uint32_t)frame - x->rx_frames.count)) {
        struct untrusted at = ring_entry(&x->tx, 0);
        untrusted_store(at, (uint64_t)frame * x->frame_size + start);
        untrusted_store(untrusted_at(at, 8),
                        length | (uint64_t)(metadata ? XSK_OPTION_METADATA : 0) << 32);
        ring_advance(&x->tx, 1);
        uint64_t me = thread_block()->index;
        __atomic_store_n(&x->sender, x->kick.waiting && x->sender != me ? SENDERS : me, __ATOMIC_RELAXED);
        x->packets_out++;
        x->bytes_out += length;
        if (kick_due(&x->kick))
            transmit(x);
        result = 0;
    }
    lock_release(&x->tx_lock);
    return result;
}

static void flush(struct xsk *x)
{
    if (!x->kick.waiting)
        return;
    lock_take(&x->tx_lock);
    if (x->kick.waiting)
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
        if (x->kick.waiting) {
            x->kick.waiting = 0; /* but not kick.last: it may come later than is thought */
            some = true;
            publish_sent(x);
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

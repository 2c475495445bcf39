/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/xsk_rings.h"

#include <errno.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/shared.h"

/* ---- rings ---- */

static const char *const ring_names[XSK_RINGS] = {"XSK fill", "XSK completion", "XSK rx", "XSK tx"};

/*@ requires 0 <= kind < XSK_RINGS;
    assigns \nothing;
    ensures \result == (kind == XSK_RING_FILL || kind == XSK_RING_COMPLETION ? RING_ADDRESS : RING_DESCRIPTOR); */
static uint32_t entry_size(int kind)
{
    return kind == XSK_RING_FILL || kind == XSK_RING_COMPLETION ? RING_ADDRESS : RING_DESCRIPTOR;
}

uint32_t xsk_ring_entries(int kind)
{
    return kind == XSK_RING_FILL || kind == XSK_RING_RX ? XSK_RX_ENTRIES : XSK_TX_ENTRIES;
}

uint64_t xsk_ring_space(int kind)
{
    return 4096 + (uint64_t)xsk_ring_entries(kind) * entry_size(kind); /* the indices take less than a page */
}

void xsk_ring_start(struct ring *r, int kind, struct untrusted map, const struct xsk_ring_layout *layout)
{
    bool produces = kind == XSK_RING_FILL || kind == XSK_RING_TX;
    uint64_t space = xsk_ring_space(kind);
    if (!ring_start(r, produces, map, space, layout, xsk_ring_entries(kind), entry_size(kind)))
        violation("%s ring: producer at %lu, consumer at %lu, descriptors at %lu of %lu bytes", ring_names[kind],
                  layout->producer, layout->consumer, layout->descriptors, space);
    r->name = ring_names[kind];
}

/* What is written and read of the rings, and nothing else: within their entries. */

/* A frame, whole, that the kernel may receive into. */
/*@ requires \valid_read(fill) && ring_is_valid(fill) && fill->produces && fill->entry_size == RING_ADDRESS;
    requires i < fill->entries - index_distance(fill->other, fill->own);
    requires xsk_rx_frame(size, frame);
    assigns \nothing; */
static inline void write_address(const struct ring *fill, uint32_t i, uint32_t frame, uint32_t size)
{
    struct untrusted at = ring_entry(fill, i);
    //@ assert at.address + 8 <= fill->entries_at.address + 8 * fill->entries;
    //@ assert frame * size + size <= XSK_RX_BYTES;
    shared_word_store_inline(at, (uint64_t)frame * size);
}

/* A stretch of the UMEM, of the frames that are sent from, with room for metadata before it. */
/*@ requires \valid_read(tx) && ring_is_valid(tx) && tx->produces && tx->entry_size == RING_DESCRIPTOR;
    requires index_distance(tx->other, tx->own) < tx->entries;
    requires xsk_tx_frame(size, frame) && XSK_TX_OFFSET <= start && start + length <= size;
    assigns \nothing; */
static inline void write_descriptor(const struct ring *tx, uint32_t frame, uint32_t size, uint32_t start,
                                    uint32_t length, bool metadata)
{
    uint64_t address = (uint64_t)frame * size + start;
    //@ assert XSK_RX_BYTES + XSK_TX_OFFSET <= address && address + length <= XSK_UMEM_BYTES;
    struct untrusted at = ring_entry(tx, 0);
    //@ assert at.address + 16 <= tx->entries_at.address + 16 * tx->entries;
    shared_word_store_inline(at, address);
    shared_word_store_inline(untrusted_at(at, 8), length + (metadata ? (uint64_t)XSK_OPTION_METADATA << 32 : 0));
}

/*@ requires \valid_read(completion) && ring_is_valid(completion) && !completion->produces;
    requires completion->entry_size == RING_ADDRESS && i < index_distance(completion->own, completion->other);
    assigns \result \from \nothing; */
static inline uint64_t read_address(const struct ring *completion, uint32_t i)
{
    struct untrusted at = ring_entry(completion, i);
    //@ assert at.address + 8 <= completion->entries_at.address + 8 * completion->entries;
    return shared_word_inline(at);
}

/*@ requires \valid_read(rx) && ring_is_valid(rx) && !rx->produces && rx->entry_size == RING_DESCRIPTOR;
    requires i < index_distance(rx->own, rx->other);
    requires \valid(address) && \valid(length) && \separated(rx, address, length);
    assigns *address, *length; */
static inline void read_descriptor(const struct ring *rx, uint32_t i, uint64_t *address, uint32_t *length)
{
    struct untrusted at = ring_entry(rx, i);
    //@ assert at.address + 16 <= rx->entries_at.address + 16 * rx->entries;
    *address = shared_word_inline(at);
    *length = (uint32_t)(shared_word_inline(untrusted_at(at, 8)) & UINT32_MAX); /* options follow */
}

/* ---- receiving ---- */

void xsk_rx_start(struct xsk_rx *x, uint32_t frame_size)
{
    //@ assert xsk_rx_frames(frame_size, XSK_RX_BYTES / frame_size);
    x->frame_size = frame_size;
    x->held = 0;
    frames_start(&x->frames, XSK_RX_BYTES / frame_size);
}

void xsk_rx_refill(struct xsk_rx *x)
{
    uint32_t wanted = x->frames.free_count, space = ring_space(&x->fill, wanted);
    uint32_t n = wanted < space ? wanted : space;
    /*@ loop invariant 0 <= i <= n;
        loop invariant xsk_rx_is_valid(x) && x->frames.free_count == \at(x->frames.free_count, Pre) - i;
        loop invariant \forall integer k; 0 <= k < FRAMES_MAX && \at(x->frames.owner[k], Pre) == FRAME_HELD ==>
                       x->frames.owner[k] == FRAME_HELD;
        loop assigns i, x->frames.free_count, x->frames.owner[0 .. FRAMES_MAX - 1];
        loop variant n - i; */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t frame = (uint32_t)frames_take(&x->frames);
        frames_lend(&x->frames, frame);
        write_address(&x->fill, i, frame, x->frame_size);
    }
    if (n)
        ring_advance(&x->fill, n);
}

/* What a descriptor names, if the kernel has it. */
/*@ requires \valid(x) && xsk_rx_is_valid(x) && \valid(out) && \separated(x, out);
    assigns x->frames.owner[0 .. FRAMES_MAX - 1], *out;
    ensures xsk_rx_is_valid(x);
    ensures \result != 0 ==> xsk_packet_is_held(x, out) && \old(x->frames.owner)[out->frame] == FRAME_KERNEL &&
            frames_others_keep{Pre, Post}(&x->frames, out->frame);
    ensures \result != 0 ==> out->length == length && address == out->frame * x->frame_size + out->offset;
    ensures \result == 0 ==> frames_others_keep{Pre, Post}(&x->frames, -1); */
static inline bool accept_packet(struct xsk_rx *x, uint64_t address, uint32_t length, struct xsk_packet *out)
{
    out->length = length;
    return frames_accept(&x->frames, address, length, x->frame_size, 0, &out->frame, &out->offset);
}

/* The i-th packet from our index on. */
/*@ requires \valid(x) && xsk_rx_is_valid(x) && \valid(out) && \separated(x, out);
    requires i < index_distance(x->rx.own, x->rx.other);
    assigns x->frames.owner[0 .. FRAMES_MAX - 1], *out;
    ensures xsk_rx_is_valid(x);
    ensures \result != 0 ==> xsk_packet_is_held(x, out) && \old(x->frames.owner)[out->frame] == FRAME_KERNEL &&
            frames_others_keep{Pre, Post}(&x->frames, out->frame);
    ensures \result == 0 ==> frames_others_keep{Pre, Post}(&x->frames, -1); */
static inline bool take_packet(struct xsk_rx *x, uint32_t i, struct xsk_packet *out)
{
    uint64_t address;
    uint32_t length;
    read_descriptor(&x->rx, i, &address, &length);
    return accept_packet(x, address, length, out);
}

uint32_t xsk_rx_take(struct xsk_rx *x, struct xsk_packet *out, uint32_t count)
{
    uint32_t ready = ring_ready(&x->rx, 1);
    uint32_t n = ready < count ? ready : count, taken = 0;
    uint64_t bytes = 0;
    /*@ loop invariant taken <= i <= n && xsk_rx_is_valid(x) && bytes <= taken * 4096;
        loop invariant \forall integer k; 0 <= k < taken ==> xsk_packet_is_held(x, out + k);
        loop invariant \forall integer k; 0 <= k < taken ==>
                       \at(x->frames.owner, Pre)[out[k].frame] == FRAME_KERNEL;
        loop invariant \forall integer j, k; 0 <= j < k < taken ==> out[j].frame != out[k].frame;
        loop invariant \forall integer k; 0 <= k < FRAMES_MAX && \at(x->frames.owner[k], Pre) != FRAME_KERNEL ==>
                       x->frames.owner[k] == \at(x->frames.owner[k], Pre);
        loop invariant \forall integer k; 0 <= k < FRAMES_MAX && x->frames.owner[k] == FRAME_KERNEL ==>
                       \at(x->frames.owner[k], Pre) == FRAME_KERNEL;
        loop assigns i, taken, bytes, x->frames.owner[0 .. FRAMES_MAX - 1], out[0 .. count - 1];
        loop variant n - i; */
    for (uint32_t i = 0; i < n; i++) {
        if (take_packet(x, i, &out[taken])) {
            //@ assert \forall integer k; 0 <= k < taken ==> out[k].frame != out[taken].frame;
            bytes += out[taken].length;
            taken++;
        } else {
            violation_count();
        }
    }
    if (n)
        ring_advance(&x->rx, n);
    x->held += taken;
    x->packets += taken;
    x->bytes += bytes;
    x->bad += n - taken;
    //@ assert grown(\at(x->bytes, Pre), x->bytes, bytes);
    //@ assert n == index_distance(\at(x->rx.own, Pre), x->rx.own);
    return taken;
}

/* ---- sending ---- */

void xsk_tx_start(struct xsk_tx *x, uint32_t frame_size)
{
    //@ assert xsk_tx_frames(frame_size, XSK_RX_BYTES / frame_size, XSK_TX_BYTES / frame_size);
    x->frame_size = frame_size;
    x->first = XSK_RX_BYTES / frame_size;
    frames_start(&x->frames, XSK_TX_BYTES / frame_size);
}

/* The frame that a completion names, if the kernel has it: it is free. -1: it has not. */
/*@ requires \valid(x) && xsk_tx_is_valid(x);
    assigns x->frames.free_count, x->frames.free[0 .. FRAMES_MAX - 1], x->frames.owner[0 .. FRAMES_MAX - 1];
    ensures xsk_tx_is_valid(x);
    ensures \result == -1 || (x->first <= \result < x->first + x->frames.count &&
            \old(x->frames.owner)[\result - x->first] == FRAME_KERNEL &&
            frames_others_keep{Pre, Post}(&x->frames, \result - x->first));
    ensures \result != -1 && x->frame_size == 2048 ==> 0 <= address - \result * 2048 <= 2048;
    ensures \result != -1 && x->frame_size == 4096 ==> 0 <= address - \result * 4096 <= 4096;
    ensures \result == -1 ==> frames_others_keep{Pre, Post}(&x->frames, -1); */
static inline int32_t accept_completion(struct xsk_tx *x, uint64_t address)
{
    uint32_t frame, offset;
    if (!frames_accept(&x->frames, address, 0, x->frame_size, x->first, &frame, &offset))
        return -1;
    frames_give(&x->frames, frame);
    return (int32_t)(x->first + frame);
}

void xsk_tx_reap(struct xsk_tx *x)
{
    uint32_t n = ring_ready(&x->completion, x->completion.entries), bad = 0;
    /*@ loop invariant bad <= i <= n && xsk_tx_is_valid(x);
        loop invariant \forall integer k; 0 <= k < FRAMES_MAX && \at(x->frames.owner[k], Pre) == FRAME_HELD ==>
                       x->frames.owner[k] == FRAME_HELD;
        loop assigns i, bad, x->frames.free_count, x->frames.free[0 .. FRAMES_MAX - 1],
                     x->frames.owner[0 .. FRAMES_MAX - 1];
        loop variant n - i; */
    for (uint32_t i = 0; i < n; i++) {
        if (accept_completion(x, read_address(&x->completion, i)) < 0) {
            violation_count();
            bad++;
        }
    }
    if (n)
        ring_advance(&x->completion, n);
    x->bad += bad;
    //@ assert grown(\at(x->bad, Pre), x->bad, bad);
    //@ assert n == index_distance(\at(x->completion.own, Pre), x->completion.own);
}

int xsk_tx_put(struct xsk_tx *x, uint32_t frame, uint32_t start, uint32_t length, bool metadata)
{
    if (start < XSK_TX_OFFSET || start > x->frame_size || length > x->frame_size - start)
        return -EMSGSIZE;
    if (!ring_space(&x->tx, 1))
        return -EAGAIN;
    if (!frames_lend(&x->frames, xsk_tx_number(x, frame)))
        return -EINVAL;
    write_descriptor(&x->tx, frame, x->frame_size, start, length, metadata);
    ring_advance(&x->tx, 1);
    x->packets++;
    x->bytes += length;
    return 0;
}

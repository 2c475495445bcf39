/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings and frames of an AF_XDP socket put together: all that is taken from the kernel and all that it is
 * given. The first frames of the UMEM are received into, the rest are sent from; the two sides share nothing.
 * Locks, kicks and statistics are xsk.c's: who calls holds the lock of the direction.
 */
#ifndef IO_XSK_RINGS_H
#define IO_XSK_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/net.h"
#include "enclave/boundary/ring.h"
#include "enclave/io/frames.h"

/* 4 and 2 MiB, whatever the size of a frame: within the usual RLIMIT_MEMLOCK of 8. */
#define XSK_RX_BYTES 0x400000u
#define XSK_TX_BYTES 0x200000u
#define XSK_UMEM_BYTES (XSK_RX_BYTES + XSK_TX_BYTES)
#define XSK_BATCH 64
#define XSK_RX_ENTRIES 2048u
#define XSK_TX_ENTRIES 1024u

/* Room for the metadata before it; the payload of an IPv4/UDP frame sent from here begins 8-aligned. */
#define XSK_METADATA_OFFSET 6
#define XSK_TX_OFFSET (XSK_METADATA_OFFSET + (uint32_t)sizeof(struct xsk_metadata))

/* A received packet: the caller owns the frame until it is given back. */
struct xsk_packet {
    uint32_t frame;
    uint32_t offset; /* of the first byte (Ethernet header) within the frame */
    uint32_t length; /* checked: offset + length within the frame */
};

struct xsk_rx {
    struct ring fill, rx;
    struct frames frames;
    uint32_t frame_size;
    uint32_t held;                /* received and not yet given back */
    uint64_t packets, bytes, bad; /* received; descriptors that did not hold up */
};

struct xsk_tx {
    struct ring tx, completion;
    struct frames frames; /* numbered from `first` on in the UMEM */
    uint32_t frame_size;
    uint32_t first;
    uint64_t packets, bytes, bad; /* put into the ring; completions that did not hold up */
};

/* Frames of one size fill their part of the UMEM. */
/*@ predicate xsk_rx_frames(integer size, integer count) =
      (size == 2048 && count == 2048) || (size == 4096 && count == 1024);
    predicate xsk_tx_frames(integer size, integer first, integer count) =
      (size == 2048 && first == 2048 && count == 1024) || (size == 4096 && first == 1024 && count == 512);
    predicate xsk_rx_frame(integer size, integer frame) =
      0 <= frame && ((size == 2048 && frame < 2048) || (size == 4096 && frame < 1024));
    predicate xsk_tx_frame(integer size, integer frame) =
      (size == 2048 && 2048 <= frame < 3072) || (size == 4096 && 1024 <= frame < 1536);
    lemma rx_frame_within: \forall integer s, f; xsk_rx_frame(s, f) ==> 0 <= f * s && f * s + s <= XSK_RX_BYTES;
    lemma tx_frame_within: \forall integer s, f; xsk_tx_frame(s, f) ==>
      XSK_RX_BYTES <= f * s && f * s + s <= XSK_UMEM_BYTES;
*/
/* A counter has gone on; it wraps at 2^64. */
/*@ predicate grown(integer from, integer to, integer by) = to == (uint64_t)(from + by); */
/*@ predicate xsk_rx_is_valid(struct xsk_rx *x) =
      ring_is_valid(&x->fill) && x->fill.produces && x->fill.entry_size == RING_ADDRESS &&
      ring_is_valid(&x->rx) && !x->rx.produces && x->rx.entry_size == RING_DESCRIPTOR &&
      frames_are_valid(&x->frames) && xsk_rx_frames(x->frame_size, x->frames.count);
    predicate xsk_tx_is_valid(struct xsk_tx *x) =
      ring_is_valid(&x->tx) && x->tx.produces && x->tx.entry_size == RING_DESCRIPTOR &&
      ring_is_valid(&x->completion) && !x->completion.produces && x->completion.entry_size == RING_ADDRESS &&
      frames_are_valid(&x->frames) && xsk_tx_frames(x->frame_size, x->first, x->frames.count);
*/
/* A packet of a frame that its receiver holds. */
/*@ predicate xsk_packet_is_held(struct xsk_rx *x, struct xsk_packet *p) =
      p->frame < x->frames.count && x->frames.owner[p->frame] == FRAME_HELD &&
      p->offset + p->length <= x->frame_size;
*/

/* What a ring of this kind is made with: entries, and bytes for its map. */
/*@ requires 0 <= kind < XSK_RINGS;
    assigns \nothing;
    ensures \result == (kind == XSK_RING_FILL || kind == XSK_RING_RX ? XSK_RX_ENTRIES : XSK_TX_ENTRIES); */
uint32_t xsk_ring_entries(int kind);
/*@ requires 0 <= kind < XSK_RINGS;
    assigns \nothing;
    ensures 0 < \result <= 0x10000; */
uint64_t xsk_ring_space(int kind);

/* The ring whose map is at `map`, laid out as the kernel says: stops the enclave if that does not hold up. */
/*@ requires \valid(r) && \valid_read(layout) && \separated(r, layout) && 0 <= kind < XSK_RINGS;
    requires map.address + 0x10000 <= UINT64_MAX;
    assigns *r;
    ensures ring_is_valid(r) && (r->produces <==> (kind == XSK_RING_FILL || kind == XSK_RING_TX));
    ensures r->entry_size == (kind == XSK_RING_FILL || kind == XSK_RING_COMPLETION ? RING_ADDRESS : RING_DESCRIPTOR);
    ensures map.address <= r->entries_at.address &&
            r->entries_at.address + ring_bytes(r->entries, r->entry_size) <= map.address + 0x10000; */
void xsk_ring_start(struct ring *r, int kind, struct untrusted map, const struct xsk_ring_layout *layout);

/* The rings have been started: all frames are free. */
/*@ requires \valid(x) && (frame_size == 2048 || frame_size == 4096);
    requires ring_is_valid(&x->fill) && x->fill.produces && x->fill.entry_size == RING_ADDRESS;
    requires ring_is_valid(&x->rx) && !x->rx.produces && x->rx.entry_size == RING_DESCRIPTOR;
    assigns x->frames, x->frame_size, x->held;
    ensures xsk_rx_is_valid(x) && x->held == 0; */
void xsk_rx_start(struct xsk_rx *x, uint32_t frame_size);
/*@ requires \valid(x) && (frame_size == 2048 || frame_size == 4096);
    requires ring_is_valid(&x->tx) && x->tx.produces && x->tx.entry_size == RING_DESCRIPTOR;
    requires ring_is_valid(&x->completion) && !x->completion.produces && x->completion.entry_size == RING_ADDRESS;
    assigns x->frames, x->frame_size, x->first;
    ensures xsk_tx_is_valid(x); */
void xsk_tx_start(struct xsk_tx *x, uint32_t frame_size);

/* Free frames into the fill ring, as many as fit. */
/*@ requires \valid(x) && xsk_rx_is_valid(x);
    assigns x->fill.own, x->fill.other, x->frames.free_count, x->frames.owner[0 .. FRAMES_MAX - 1];
    ensures xsk_rx_is_valid(x);
    ensures x->frames.free_count <= \old(x->frames.free_count);
    ensures \forall integer i; 0 <= i < FRAMES_MAX && \old(x->frames.owner[i]) == FRAME_HELD ==>
            x->frames.owner[i] == FRAME_HELD; */
void xsk_rx_refill(struct xsk_rx *x);

/* Up to `count` packets, each of another frame, which nobody had. What does not hold up is dropped and counted. */
/*@ requires \valid(x) && xsk_rx_is_valid(x);
    requires count <= XSK_BATCH && \valid(out + (0 .. count - 1)) && \separated(x, out + (0 .. count - 1));
    assigns x->rx.own, x->rx.other, x->frames.owner[0 .. FRAMES_MAX - 1], x->held, x->packets, x->bytes, x->bad,
            out[0 .. count - 1];
    ensures xsk_rx_is_valid(x);
    ensures \result <= count;
    ensures \forall integer i; 0 <= i < \result ==> xsk_packet_is_held(x, out + i);
    ensures \forall integer i; 0 <= i < \result ==> \old(x->frames.owner)[out[i].frame] == FRAME_KERNEL;
    ensures \forall integer i, j; 0 <= i < j < \result ==> out[i].frame != out[j].frame;
    ensures \forall integer i; 0 <= i < FRAMES_MAX && \old(x->frames.owner[i]) != FRAME_KERNEL ==>
            x->frames.owner[i] == \old(x->frames.owner[i]);
    ensures x->held == (uint32_t)(\old(x->held) + \result);
    ensures grown(\old(x->packets), x->packets, \result);
    ensures grown(\old(x->bad), x->bad, index_distance(\old(x->rx.own), x->rx.own) - \result);
    ensures \exists integer n; grown(\old(x->bytes), x->bytes, n) && 0 <= n <= \result * 4096; */
uint32_t xsk_rx_take(struct xsk_rx *x, struct xsk_packet *out, uint32_t count);

/* A frame that was received is free again. False, and nothing changes: nobody holds it. */
/*@ requires \valid(x) && xsk_rx_is_valid(x);
    assigns x->frames.free_count, x->frames.free[0 .. FRAMES_MAX - 1], x->frames.owner[0 .. FRAMES_MAX - 1], x->held;
    ensures xsk_rx_is_valid(x);
    ensures \result != 0 ==> frame < x->frames.count && \old(x->frames.owner[frame]) == FRAME_HELD &&
            frames_others_keep{Pre, Post}(&x->frames, frame) && x->held == (uint32_t)(\old(x->held) - 1);
    ensures \result == 0 ==> frames_others_keep{Pre, Post}(&x->frames, -1) && x->held == \old(x->held); */
static inline bool xsk_rx_give(struct xsk_rx *x, uint32_t frame)
{
    if (!frames_give(&x->frames, frame))
        return false;
    x->held--;
    return true;
}

/* What the kernel has sent is free again. */
/*@ requires \valid(x) && xsk_tx_is_valid(x);
    assigns x->completion.own, x->completion.other, x->frames.free_count, x->frames.free[0 .. FRAMES_MAX - 1],
            x->frames.owner[0 .. FRAMES_MAX - 1], x->bad;
    ensures xsk_tx_is_valid(x);
    ensures \forall integer i; 0 <= i < FRAMES_MAX && \old(x->frames.owner[i]) == FRAME_HELD ==>
            x->frames.owner[i] == FRAME_HELD;
    ensures \exists integer n; grown(\old(x->bad), x->bad, n) &&
            0 <= n <= index_distance(\old(x->completion.own), x->completion.own); */
void xsk_tx_reap(struct xsk_tx *x);

/* A frame to send from, which its taker holds: its number in the UMEM. -1: none is free. */
/*@ requires \valid(x) && xsk_tx_is_valid(x);
    assigns x->frames.free_count, x->frames.owner[0 .. FRAMES_MAX - 1];
    ensures xsk_tx_is_valid(x);
    ensures \result == -1 || (xsk_tx_frame(x->frame_size, \result) &&
            \old(x->frames.owner)[\result - x->first] == FRAME_FREE &&
            x->frames.owner[\result - x->first] == FRAME_HELD &&
            frames_others_keep{Pre, Post}(&x->frames, \result - x->first));
    ensures \result == -1 ==> frames_others_keep{Pre, Post}(&x->frames, -1); */
static inline int32_t xsk_tx_take(struct xsk_tx *x)
{
    int32_t frame = frames_take(&x->frames);
    return frame < 0 ? -1 : (int32_t)(x->first + (uint32_t)frame);
}

/* Number of a frame among those that are sent from; none that there is for others. */
/*@ requires \valid_read(x);
    assigns \nothing;
    ensures frame >= x->first ==> \result == frame - x->first;
    ensures frame < x->first ==> \result == UINT32_MAX; */
static inline uint32_t xsk_tx_number(const struct xsk_tx *x, uint32_t frame)
{
    return frame >= x->first ? frame - x->first : UINT32_MAX;
}

/* One that is not sent from is free again. False, and nothing changes: nobody holds it. */
/*@ requires \valid(x) && xsk_tx_is_valid(x);
    assigns x->frames.free_count, x->frames.free[0 .. FRAMES_MAX - 1], x->frames.owner[0 .. FRAMES_MAX - 1];
    ensures xsk_tx_is_valid(x);
    ensures \result != 0 ==> \old(x->frames.owner)[frame - x->first] == FRAME_HELD &&
            frames_others_keep{Pre, Post}(&x->frames, frame - x->first);
    ensures \result == 0 ==> frames_others_keep{Pre, Post}(&x->frames, -1); */
static inline bool xsk_tx_give(struct xsk_tx *x, uint32_t frame)
{
    return frames_give(&x->frames, xsk_tx_number(x, frame));
}

/*
 * `length` bytes, `start` into the frame, into the TX ring; with `metadata` there is a struct xsk_metadata right
 * before them. 0; -EAGAIN: the ring is full; -EINVAL: nobody holds the frame; -EMSGSIZE: not within it.
 */
/*@ requires \valid(x) && xsk_tx_is_valid(x);
    assigns x->tx.own, x->tx.other, x->frames.owner[0 .. FRAMES_MAX - 1], x->packets, x->bytes;
    ensures xsk_tx_is_valid(x);
    ensures \result <= 0;
    ensures \result == 0 ==>
            XSK_TX_OFFSET <= start && start + length <= x->frame_size && xsk_tx_frame(x->frame_size, frame) &&
            \old(x->frames.owner)[frame - x->first] == FRAME_HELD &&
            x->frames.owner[frame - x->first] == FRAME_KERNEL &&
            frames_others_keep{Pre, Post}(&x->frames, frame - x->first) &&
            x->tx.own == index_sum(\old(x->tx.own), 1) &&
            grown(\old(x->packets), x->packets, 1) && grown(\old(x->bytes), x->bytes, length);
    ensures \result != 0 ==> frames_others_keep{Pre, Post}(&x->frames, -1) && x->tx.own == \old(x->tx.own) &&
            x->packets == \old(x->packets) && x->bytes == \old(x->bytes); */
int xsk_tx_put(struct xsk_tx *x, uint32_t frame, uint32_t start, uint32_t length, bool metadata);

#endif

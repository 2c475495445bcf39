/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of a single-producer single-consumer ring of an AF_XDP socket, whose other side is the
 * kernel's. Indices run freely and wrap at 2^32; the enclave keeps its own copies of both and accepts
 * a shared one only if it lies where the protocol allows it (law 5). An index that does not stops the
 * enclave. Who calls holds the lock of the ring's direction.
 */
#ifndef BOUNDARY_RING_H
#define BOUNDARY_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/net.h"
#include "enclave/boundary/index.h"
#include "enclave/boundary/untrusted.h"

#define RING_ADDRESS 8u     /* bytes of an entry of a fill or completion ring: a UMEM address */
#define RING_DESCRIPTOR 16u /* of an rx or tx ring: struct xdp_desc */

struct ring {
    struct untrusted own_index;   /* the index that we write */
    struct untrusted other_index; /* the one that the kernel writes */
    struct untrusted entries_at;
    const char *name;
    uint32_t entries; /* a power of two: the slots go on where an index wraps */
    uint32_t entry_size;
    uint32_t own;   /* our index: entries produced, or consumed */
    uint32_t other; /* the kernel's, as last accepted */
    bool produces;
};

/*@ logic integer ring_bytes(integer entries, integer entry_size) =
      entry_size == RING_ADDRESS ? 8 * entries : 16 * entries;
*/
/*
 * The invariant. A producer's index is ahead of the kernel's by at most `entries`, a consumer's is
 * behind it by at most as many; differences are modulo 2^32. The entries do not wrap around memory.
 */
/*@ predicate ring_is_valid(struct ring *r) =
      power_of_two(r->entries) &&
      (r->entry_size == RING_ADDRESS || r->entry_size == RING_DESCRIPTOR) &&
      r->entries_at.address + ring_bytes(r->entries, r->entry_size) <= UINT64_MAX &&
      (r->produces ? index_distance(r->other, r->own) <= r->entries
                   : index_distance(r->own, r->other) <= r->entries);
*/
/*@ requires \valid_read(r);
    assigns \nothing;
    ensures (\result != 0) <==> ring_is_valid(r);
*/
bool ring_valid(const struct ring *r);

/*
 * A ring whose map is the `space` bytes at `base`, laid out as the kernel says; both indices are 0.
 * False: the layout does not hold up: not inside the map, not aligned, or parts overlap.
 */
/*@ requires \valid(r) && \valid_read(l) && \separated(r, l);
    requires base.address + space <= UINT64_MAX;
    assigns *r;
    ensures \result != 0 ==> ring_is_valid(r) && r->own == 0 && r->other == 0 &&
            r->entries == entries && r->entry_size == entry_size && (r->produces <==> produces);
    ensures \result != 0 ==>
            base.address <= r->own_index.address && r->own_index.address + 8 <= base.address + space &&
            base.address <= r->other_index.address && r->other_index.address + 8 <= base.address + space &&
            base.address <= r->entries_at.address &&
            r->entries_at.address + ring_bytes(entries, entry_size) <= base.address + space;
    ensures \result != 0 ==> l->producer % 8 == 0 && l->consumer % 8 == 0 && l->descriptors % 8 == 0;
    ensures \result != 0 ==>
            r->own_index.address == base.address + (produces ? l->producer : l->consumer) &&
            r->other_index.address == base.address + (produces ? l->consumer : l->producer) &&
            r->entries_at.address == base.address + l->descriptors;
    ensures \result != 0 ==> r->own_index.address != r->other_index.address &&
            r->own_index.address + 8 <= r->entries_at.address &&
            r->other_index.address + 8 <= r->entries_at.address;
*/
bool ring_start(struct ring *r, bool produces, struct untrusted base, uint64_t space,
                const struct xsk_ring_layout *l, uint32_t entries, uint32_t entry_size);

/* Entries that a producer may still write: never fewer than before. Reads the kernel's index, once,
 * when `wanted` are not known to be free. */
/*@ requires \valid(r) && ring_is_valid(r) && r->produces;
    assigns r->other;
    ensures ring_is_valid(r);
    ensures \result <= r->entries;
    ensures \result == r->entries - index_distance(r->other, r->own);
    ensures \result >= r->entries - \old(index_distance(r->other, r->own));
*/
uint32_t ring_space(struct ring *r, uint32_t wanted);

/* Entries that a consumer may read: never fewer than before. Reads the kernel's index, once, when
 * `wanted` are not known. */
/*@ requires \valid(r) && ring_is_valid(r) && !r->produces;
    assigns r->other;
    ensures ring_is_valid(r);
    ensures \result <= r->entries;
    ensures \result == index_distance(r->own, r->other);
    ensures \result >= \old(index_distance(r->own, r->other));
*/
uint32_t ring_ready(struct ring *r, uint32_t wanted);

/* Slot of the i-th entry from our index on. */
/*@ requires \valid_read(r) && ring_is_valid(r);
    assigns \nothing;
    ensures \result < r->entries;
    ensures \result == (r->own + i) % r->entries;
*/
static inline uint32_t ring_slot(const struct ring *r, uint32_t i)
{
    return index_add(r->own, i) % r->entries;
}

/* The i-th entry from our index on, i below what ring_space or ring_ready said. */
/*@ requires \valid_read(r) && ring_is_valid(r);
    assigns \nothing;
    ensures r->entries_at.address <= \result.address &&
            \result.address + r->entry_size <= r->entries_at.address + ring_bytes(r->entries, r->entry_size);
    ensures \result.address == r->entries_at.address + ring_bytes((r->own + i) % r->entries, r->entry_size);
*/
static inline struct untrusted ring_entry(const struct ring *r, uint32_t i)
{
    uint64_t offset = (uint64_t)ring_slot(r, i) * r->entry_size;
    //@ assert offset == ring_bytes((r->own + i) % r->entries, r->entry_size);
    //@ assert offset + r->entry_size <= ring_bytes(r->entries, r->entry_size);
    return untrusted_at(r->entries_at, offset);
}

/* Moves our index on by n, which ring_space or ring_ready allowed, and shows it to the kernel: what was
 * written before is visible to it, or what was read before is done with. */
/*@ requires \valid(r) && ring_is_valid(r);
    requires r->produces ==> n <= r->entries - index_distance(r->other, r->own);
    requires !r->produces ==> n <= index_distance(r->own, r->other);
    assigns r->own;
    ensures ring_is_valid(r);
    ensures r->own == index_sum(\old(r->own), n);
*/
void ring_advance(struct ring *r, uint32_t n);

#endif

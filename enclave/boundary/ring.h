/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of a single-producer single-consumer ring of an AF_XDP socket, whose other side is the
 * kernel's. Indices run freely and wrap at 2^32; the enclave keeps its own copies of both and accepts
 * a shared one only if it lies where the protocol allows it (law 5). A word that does not stops the
 * enclave. Where the ring lies is the arena's business; offsets are checked by ring_layout_check.
 */
#ifndef BOUNDARY_RING_H
#define BOUNDARY_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/net.h"
#include "enclave/boundary/untrusted.h"

#define RING_ENTRIES_MAX 65536u

struct ring {
    struct untrusted own_index;   /* the index that we write */
    struct untrusted other_index; /* the one that the kernel writes */
    struct untrusted descriptors;
    const char *name;
    uint32_t entries; /* power of two */
    uint32_t own;     /* our index: entries produced, or consumed */
    uint32_t other;   /* the kernel's, as last accepted */
    bool produces;
};

/*
 * The invariant. For a producer own is ahead of other by at most `entries`; for a consumer other is
 * ahead of own by at most `entries`; differences are modulo 2^32.
 */
/*@ predicate ring_is_valid(struct ring *r) =
      0 < r->entries <= RING_ENTRIES_MAX &&
      (r->produces ? (unsigned int)(r->own - r->other) <= r->entries
                   : (unsigned int)(r->other - r->own) <= r->entries);
*/
static inline bool ring_valid(const struct ring *r)
{
    uint32_t ahead = r->produces ? r->own - r->other : r->other - r->own;
    return r->entries > 0 && r->entries <= RING_ENTRIES_MAX && ahead <= r->entries;
}

/* Entries that a producer may still write. Reads the kernel's index once when `wanted` are not known to
 * be free. */
/*@ requires \valid(r) && ring_is_valid(r) && r->produces;
    assigns r->other;
    ensures ring_is_valid(r);
    ensures 0 <= \result <= r->entries;
    ensures \result == r->entries - (unsigned int)(r->own - r->other);
*/
uint32_t ring_space(struct ring *r, uint32_t wanted);

/* Entries that a consumer may read. Reads the kernel's index once when `wanted` are not known. */
/*@ requires \valid(r) && ring_is_valid(r) && !r->produces;
    assigns r->other;
    ensures ring_is_valid(r);
    ensures 0 <= \result <= r->entries;
    ensures \result == (unsigned int)(r->other - r->own);
*/
uint32_t ring_ready(struct ring *r, uint32_t wanted);

/* Slot of the i-th entry from our index on, i below what ring_space or ring_ready said. */
/*@ requires \valid_read(r) && 0 < r->entries <= RING_ENTRIES_MAX;
    assigns \nothing;
    ensures 0 <= \result < r->entries;
*/
uint32_t ring_slot(const struct ring *r, uint32_t i);

/* Moves our index on by n, which ring_space or ring_ready allowed, and shows it to the kernel: what was
 * written before is visible to it, or what was read before is done with. */
/*@ requires \valid(r) && ring_is_valid(r);
    requires r->produces ==> n <= r->entries - (unsigned int)(r->own - r->other);
    requires !r->produces ==> n <= (unsigned int)(r->other - r->own);
    assigns r->own;
    ensures ring_is_valid(r);
    ensures r->own == (unsigned int)(\old(r->own) + n);
*/
void ring_advance(struct ring *r, uint32_t n);

/* Does the kernel's layout of a ring fit into `space` bytes, its parts on words of their own? */
/*@ requires \valid_read(l) && 0 < entries <= RING_ENTRIES_MAX && (descriptor_size == 8 || descriptor_size == 16);
    assigns \nothing;
    ensures \result != 0 ==>
      l->producer <= space - 8 && l->consumer <= space - 8 && l->producer % 8 == 0 &&
      l->consumer % 8 == 0 && l->producer != l->consumer && l->descriptors % 8 == 0 &&
      l->descriptors <= space && (\let size = entries * descriptor_size; size <= space - l->descriptors);
*/
bool ring_layout_fits(const struct xsk_ring_layout *l, uint64_t space, uint32_t entries,
                      uint32_t descriptor_size);

#endif

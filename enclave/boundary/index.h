/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indices that run freely and wrap at 2^32. The arithmetic is written so that nothing in it wraps by
 * itself, which is what the prover follows; the compiler makes one addition or subtraction of it.
 */
#ifndef BOUNDARY_INDEX_H
#define BOUNDARY_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#define INDEX_SPAN 0x100000000ull
#define RING_ENTRIES_MAX 65536u

/*@ logic integer index_sum(integer a, integer b) = a + b < INDEX_SPAN ? a + b : a + b - INDEX_SPAN;
    logic integer index_distance(integer from, integer to) =
      from <= to ? to - from : to - from + INDEX_SPAN;
    predicate power_of_two(integer e) =
      e == 1 || e == 2 || e == 4 || e == 8 || e == 16 || e == 32 || e == 64 || e == 128 || e == 256 ||
      e == 512 || e == 1024 || e == 2048 || e == 4096 || e == 8192 || e == 16384 || e == 32768 ||
      e == RING_ENTRIES_MAX;
*/

/* An index beyond the wrap has the slot that it would have had without it. */
/*@ lemma multiple_drops: \forall integer z, k, e; 0 <= z && 0 <= k && 0 < e ==> (e * k + z) % e == z % e;
    lemma divides_span: \forall integer e; power_of_two(e) ==> e * (INDEX_SPAN / e) == INDEX_SPAN;
    lemma span_drops: \forall integer z, e; 0 <= z < INDEX_SPAN && power_of_two(e) ==>
      (e * (INDEX_SPAN / e) + z) % e == z % e;
    lemma slot_goes_on: \forall integer z, e; 0 <= z < INDEX_SPAN && power_of_two(e) ==>
      (INDEX_SPAN + z) % e == z % e;
*/

/*@ assigns \nothing;
    ensures \result == index_sum(a, b);
*/
static inline uint32_t index_add(uint32_t a, uint32_t b)
{
    return (uint32_t)(((uint64_t)a + b) % INDEX_SPAN);
}

/* How far `to` is ahead of `from`. */
/*@ assigns \nothing;
    ensures \result == index_distance(from, to);
*/
static inline uint32_t index_ahead(uint32_t from, uint32_t to)
{
    return (uint32_t)((INDEX_SPAN + to - from) % INDEX_SPAN);
}

/* A power of two up to RING_ENTRIES_MAX? */
/*@ assigns \nothing;
    ensures (\result != 0) <==> power_of_two(entries);
*/
static inline bool index_entries(uint32_t entries)
{
    uint32_t size = 1;
    /*@ loop invariant power_of_two(size);
        loop invariant power_of_two(entries) ==> size <= entries;
        loop assigns size;
        loop variant RING_ENTRIES_MAX - size;
    */
    while (size < entries && size < RING_ENTRIES_MAX)
        size *= 2;
    return size == entries;
}

#endif

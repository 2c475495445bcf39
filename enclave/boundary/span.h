/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a stretch of memory lies. Numbers may be anybody's, so all compare before they add: what is
 * proved of them is said in integers that do not wrap.
 */
#ifndef BOUNDARY_SPAN_H
#define BOUNDARY_SPAN_H

#include <stdbool.h>
#include <stdint.h>

/* offset..offset+length within 0..size? */
/*@ assigns \nothing;
    ensures (\result != 0) <==> offset + length <= size;
*/
static inline bool span_within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

/* address..address+length within base..base+size, which itself does not wrap? */
/*@ requires base + size <= UINT64_MAX;
    assigns \nothing;
    ensures (\result != 0) <==> (base <= address && address + length <= base + size);
*/
static inline bool span_inside(uint64_t address, uint64_t length, uint64_t base, uint64_t size)
{
    return address >= base && span_within(address - base, length, size);
}

/* address..address+length does not wrap and has no byte of base..base+size? */
/*@ requires base + size <= UINT64_MAX;
    assigns \nothing;
    ensures (\result != 0) <==> (address + length <= UINT64_MAX &&
                                 (address + length <= base || base + size <= address));
*/
static inline bool span_outside(uint64_t address, uint64_t length, uint64_t base, uint64_t size)
{
    return length <= UINT64_MAX - address && (address + length <= base || address >= base + size);
}

#endif

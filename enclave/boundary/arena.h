/* SPDX-License-Identifier: Apache-2.0 */
/* The arena as the enclave sees it: base and size, checked once at start-up; its pool in pages. */
#ifndef BOUNDARY_ARENA_H
#define BOUNDARY_ARENA_H

#include <stdint.h>

#include "enclave/boundary/untrusted.h"

/* Copies the start parameters in and checks them; stops the enclave if they do not hold up. */
struct start_parameters;
void arena_start(uint64_t parameters_address, struct start_parameters *out);

/* What the arena has for a thread area: its block gets the addresses. */
struct thread_block;
void arena_thread(struct thread_block *block, uint64_t index);

/* Page-aligned space of the pool; never given back but by arena_pool_free of the same size.
 * Returns the offset within the arena, or 0 when the pool is exhausted. */
uint64_t arena_pool_take(uint64_t size);
void arena_pool_free(uint64_t offset, uint64_t size);

/* Where window n is, WINDOW_BYTES long (abi/file.h). */
uint64_t arena_window(uint64_t n);

/* Address of arena offset. */
/*@ assigns \result \from \nothing; */
struct untrusted arena_at(uint64_t offset);

/* Counters for --stats: where in the arena `struct statistics` is, or address 0 when nobody asked. */
struct untrusted arena_statistics(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The accesses that ring.c is built from. For the prover each read may give any value. */
#ifndef BOUNDARY_SHARED_H
#define BOUNDARY_SHARED_H

#include "enclave/boundary/ring.h"
#include "enclave/boundary/untrusted.h"

#ifdef __FRAMAC__
/*@ assigns \result \from \nothing; */
uint32_t shared_index(struct untrusted u);
/*@ assigns \nothing; */
void shared_index_store(struct untrusted u, uint32_t value);
/*@ assigns \nothing; */
void shared_release(void);
/*@ assigns \nothing; ensures \false; */
void ring_violation(const struct ring *r, uint32_t value);
#else
#include "enclave/boundary/exit.h"

/* The index and the padding beside it: a whole word. What the kernel wrote before it is read after it
 * (x86 orders loads; the compiler must not). */
static inline uint32_t shared_index(struct untrusted u)
{
    uint32_t value = (uint32_t)untrusted_load(u);
    __asm__ volatile("" : : : "memory");
    return value;
}

static inline void shared_index_store(struct untrusted u, uint32_t value)
{
    untrusted_store(u, value);
}

static inline void shared_release(void)
{
    __asm__ volatile("" : : : "memory"); /* x86 orders stores */
}

_Noreturn static inline void ring_violation(const struct ring *r, uint32_t value)
{
    violation("%s ring: index %u from the kernel, ours is %u, its last %u, entries %u", r->name, value,
              r->own, r->other, r->entries);
}
#endif
#endif

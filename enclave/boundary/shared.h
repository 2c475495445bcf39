/* SPDX-License-Identifier: Apache-2.0 */
/* The accesses that rings and sums are built from. For the prover each read may give any value. */
#ifndef BOUNDARY_SHARED_H
#define BOUNDARY_SHARED_H

#include <stdint.h>

#include "enclave/boundary/untrusted.h"

#ifdef __FRAMAC__
/*@ assigns \result \from \nothing; */
uint32_t shared_index(struct untrusted u);
/*@ assigns \nothing; */
void shared_index_store(struct untrusted u, uint32_t value);
/*@ assigns \nothing; */
void shared_release(void);
/*@ assigns \result \from \nothing; */
uint64_t shared_word(struct untrusted u);
/*@ assigns \nothing; */
void shared_word_store(struct untrusted u, uint64_t value);
/*@ assigns \result \from \nothing; */
uint64_t shared_word_inline(struct untrusted u);
/*@ assigns \nothing; */
void shared_word_store_inline(struct untrusted u, uint64_t value);
/*@ assigns \result \from \nothing; */
uint32_t shared_half(struct untrusted u);
/*@ assigns \nothing; */
void shared_half_store(struct untrusted u, uint32_t value);
/*@ assigns \nothing; ensures \false; */
void uring_violation(const char *what, uint32_t value, uint32_t own, uint32_t other);
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

static inline uint64_t shared_word(struct untrusted u)
{
    return untrusted_load(u);
}

static inline void shared_word_store(struct untrusted u, uint64_t value)
{
    untrusted_store(u, value);
}

/* The same without a call, for long runs of them. */
static inline uint64_t shared_word_inline(struct untrusted u)
{
    return *(const volatile uint64_t *)u.address;
}

static inline void shared_word_store_inline(struct untrusted u, uint64_t value)
{
    *(volatile uint64_t *)u.address = value;
}

/* Half a word: read as the whole that it is in. */
static inline uint32_t shared_half(struct untrusted u)
{
    uint64_t word = untrusted_load((struct untrusted){u.address & ~7ull});
    __asm__ volatile("" : : : "memory");
    return (uint32_t)(word >> (u.address & 4 ? 32 : 0));
}

/* Half a word is written, the other half is the kernel's: the sequence that Intel documents for stores
 * to untrusted memory that are no whole aligned words. */
static inline void shared_half_store(struct untrusted u, uint32_t value)
{
    uint16_t selector;
    __asm__ volatile("mov %%ds, %0\n\t"
                     "verw %0\n\t"
                     "movl %1, (%2)\n\t"
                     "mfence\n\t"
                     "lfence"
                     : "=m"(selector)
                     : "r"(value), "r"(u.address)
                     : "memory", "cc");
}

_Noreturn static inline void uring_violation(const char *what, uint32_t value, uint32_t own,
                                             uint32_t other)
{
    violation("io_uring: %s %u from the kernel, ours is %u, its last %u", what, value, own, other);
}

static inline void shared_release(void)
{
    __asm__ volatile("" : : : "memory"); /* x86 orders stores */
}
#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutual exclusion inside the enclave: try, spin a little, then give the processor away by an exit
 * until the lock is free (a holder may have been descheduled by the host). Not recursive. Held for
 * short, bounded sections; a thread may make an exit while it holds one.
 */
#ifndef LIB_LOCK_H
#define LIB_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct lock {
    uint32_t held;
};

#define LOCK_INIT                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }

#ifdef __FRAMAC__
/* Proofs are of one thread: what a lock guards changes in no other way. */
/*@ requires \valid(l);
    assigns *l; */
void lock_take(struct lock *l);
/*@ requires \valid(l);
    assigns *l; */
void lock_release(struct lock *l);
#else
/* Provided by boundary/: it leaves the enclave to wait. */
void lock_slow(struct lock *l);

/* No second thread was ever made: nobody to exclude, and a locked instruction costs more than what most locks
 * guard. What is held when the second one comes is marked as held all the same. */
extern __attribute__((weak)) bool lock_alone;
__attribute__((weak)) bool lock_alone;

static inline bool lock_try(struct lock *l)
{
    if (lock_alone) {
        bool free = !l->held;
        l->held = 1;
        __atomic_signal_fence(__ATOMIC_ACQUIRE);
        return free;
    }
    return !__atomic_load_n(&l->held, __ATOMIC_RELAXED) &&
           !__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE);
}

static inline void lock_take(struct lock *l)
{
    if (!lock_try(l))
        lock_slow(l);
}

static inline void lock_release(struct lock *l)
{
    __atomic_store_n(&l->held, 0, __ATOMIC_RELEASE);
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Futexes, wholly inside: waiters queue by address, only sleeping leaves the enclave. */
#ifndef OS_FUTEX_H
#define OS_FUTEX_H

#include <stdint.h>

/* Wake up to `count` waiters on a user address: how many. */
int futex_wake(uint64_t address, int count);

/* All other threads are gone: nobody waits. */
void futex_reset(void);

/* The owner of a robust mutex dies: FUTEX_OWNER_DIED, and a waiter wakes. */
void futex_abandon(uint64_t address, int tid);

/* Who waits for a futex in [start, end) looks again. */
void futex_wake_range(uint64_t start, uint64_t end);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of references, which need no locked instruction while there is one thread (lib/lock.h). */
#ifndef LIB_REFERENCE_H
#define LIB_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/lib/lock.h"

static inline void reference_take(uint32_t *count)
{
    if (lock_alone)
        __atomic_store_n(count, *count + 1, __ATOMIC_RELAXED);
    else
        __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

/* Was it the last one? */
static inline bool reference_drop(uint32_t *count)
{
    if (!lock_alone)
        return !__atomic_sub_fetch(count, 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(count, *count - 1, __ATOMIC_RELAXED);
    return !*count;
}

#endif

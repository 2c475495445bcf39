/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/lib/lock.h"

#include <asm/unistd_64.h>

#include "enclave/boundary/exit.h"

#define SPINS 200

void lock_slow(struct lock *l)
{
    for (;;) {
        for (int i = 0; i < SPINS; i++) {
            if (lock_try(l))
                return;
            __builtin_ia32_pause();
        }
        exit_call(__NR_sched_yield, 0, 0, 0, 0, 0, 0, 0);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/kick.h"

#include <errno.h>

#include "enclave/boundary/exit.h"

#define REPEATS 64 /* the monitor goes on where the kernel is out of buffers for longer */

static uint64_t per_ms = 2000000;

void kick_start(uint64_t tsc_per_ms)
{
    per_ms = tsc_per_ms;
}

#ifdef __FRAMAC__
/*@ assigns \result \from \nothing; */
uint64_t tsc(void);
#else
static uint64_t tsc(void)
{
    return __builtin_ia32_rdtsc();
}
#endif

bool kick_due(struct kick *k)
{
    if (exit_served()) {
        k->waiting = k->waiting < KICK_BATCH - 1 ? k->waiting + 1 : KICK_BATCH - 1;
        return false;
    }
    k->waiting++;
    uint64_t passed = tsc() - k->last;
    if (k->waiting >= KICK_BATCH || passed > per_ms)
        return true;
    if (k->alone < KICK_ALONE_FROM)
        return false;
    if (passed < per_ms / KICK_ALONE_PART)
        k->alone = 0; /* and this kick has the monitor look after what follows */
    return true;
}

void kick_now(struct kick *k, uint64_t xsk_index)
{
    uint64_t alone = k->alone >= KICK_ALONE_FROM;
    /*@ loop invariant 0 <= i <= REPEATS;
        loop assigns i;
        loop variant REPEATS - i; */
    for (int i = 0; i < REPEATS; i++)
        if (exit_checked(EXIT_XSK_KICK, 0, 0, xsk_index, alone, 0, 0, 0, 0) != -EAGAIN)
            break;
    k->alone = k->waiting != 1 ? 0 : alone ? KICK_ALONE_FROM : k->alone + 1;
    k->waiting = 0;
    k->last = tsc();
}

void kick_put_off(struct kick *k)
{
    k->waiting = 0; /* but not k->last: the exit may come later than is thought */
    k->alone = 0;
}

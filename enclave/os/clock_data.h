/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What time it is, as a line through the TSC: shared by the LibOS and the vDSO, whose code runs in the
 * program. Written under a sequence lock: odd while it changes.
 */
#ifndef OS_CLOCK_DATA_H
#define OS_CLOCK_DATA_H

#include <stdint.h>

struct clock_data {
    uint32_t sequence;
    uint32_t shift;
    uint64_t tsc;       /* at this count ... */
    uint64_t monotonic; /* ... the monotonic clock stood here, ns */
    uint64_t mult;      /* ns = (tsc difference × mult) >> shift */
    uint64_t stale;     /* difference from which on a new sample is wanted */
    int64_t realtime;   /* distance of the other clocks from the monotonic one */
    int64_t boottime;
    int64_t raw;
};

static inline uint64_t clock_tsc(void)
{
    uint32_t low, high;
    /* Not before what comes before it: a clock read must not run backwards across threads. */
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* The monotonic clock, ns, and a snapshot of the distances. 0: stale, ask for a sample. */
static inline uint64_t clock_read(const volatile struct clock_data *d, struct clock_data *copy)
{
    for (;;) {
        uint32_t sequence = __atomic_load_n(&d->sequence, __ATOMIC_ACQUIRE);
        copy->tsc = d->tsc;
        copy->monotonic = d->monotonic;
        copy->mult = d->mult;
        copy->shift = d->shift;
        copy->stale = d->stale;
        copy->realtime = d->realtime;
        copy->boottime = d->boottime;
        copy->raw = d->raw;
        uint64_t now = clock_tsc();
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (sequence & 1 || sequence != __atomic_load_n(&d->sequence, __ATOMIC_RELAXED))
            continue;
        /* Another processor's counter may lag by a few counts. */
        uint64_t passed = now > copy->tsc ? now - copy->tsc : 0;
        if (passed >= copy->stale)
            return 0;
        return copy->monotonic + (uint64_t)(((unsigned __int128)passed * copy->mult) >> copy->shift);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/ways.h"

#define LEAST 4096u /* below, an exit is always dearer */
#define CLASSES 8   /* of size: from LEAST on, each twice the one before */
#define ROUND 1024u /* decisions of a class, of which ... */
#define TRIAL 16u   /* ... so many are for what is dearer: a window's worth of large reads */
#define UNIT 1024u  /* costs are cycles for so many bytes */
#define FAR 8       /* times what is usual: something else was in the way, as a disk */
#define SLOWLY 8    /* what gets dearer may be chance */

static struct {
    uint64_t window, exit[CLASSES]; /* 0: not known */
    uint32_t decisions[CLASSES];
} all; /* without a lock: an update that is lost comes again */

static unsigned class_of(uint64_t bytes)
{
    unsigned c = 0;
    while (c < CLASSES - 1 && bytes >= (uint64_t)LEAST << (c + 1))
        c++;
    return c;
}

bool ways_window(uint64_t bytes)
{
    if (bytes < LEAST)
        return true;
    unsigned c = class_of(bytes);
    uint64_t window = __atomic_load_n(&all.window, __ATOMIC_RELAXED);
    uint64_t exit = __atomic_load_n(&all.exit[c], __ATOMIC_RELAXED);
    if (!window || !exit)
        return exit;
    uint32_t n = __atomic_fetch_add(&all.decisions[c], 1, __ATOMIC_RELAXED) % ROUND;
    return (window <= exit) != (n >= ROUND - TRIAL);
}

static void note(uint64_t *cost, uint64_t bytes, uint64_t cycles)
{
    if (!bytes || cycles > UINT64_MAX / UNIT)
        return;
    uint64_t now = cycles * UNIT / bytes + 1, before = __atomic_load_n(cost, __ATOMIC_RELAXED);
    if (before && now / FAR > before)
        return;
    if (before && now > before)
        now = before + (now - before) / SLOWLY;
    __atomic_store_n(cost, now, __ATOMIC_RELAXED);
}

void ways_note_window(uint64_t bytes, uint64_t cycles)
{
    note(&all.window, bytes, cycles);
}

void ways_note_exit(uint64_t bytes, uint64_t cycles)
{
    if (bytes >= LEAST)
        note(&all.exit[class_of(bytes)], bytes, cycles);
}

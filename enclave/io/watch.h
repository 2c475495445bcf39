/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching rings instead of sleeping. Who answers what it receives, and whose next packet has come soon each time, looks
 * at its rings for as long as a sleep and a wake would take, before it sleeps: an answer is on its way earlier by that much. It
 * does so only while it pays: watching in vain, as when whom it waits for needs this core, is not tried again for a
 * while, twice as long each time. Who is asked by several at once does better by a sleep, in which more comes together, so it
 * is tried only after a number of packets that came one by one; who only receives, or is asked seldom, or is idle never watches.
 */
#ifndef IO_WATCH_H
#define IO_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define WATCH_US 100u         /* at most */
#define WATCH_PERIOD_US 300u  /* between packets, as far as watching is thought of */
#define WATCH_FROM 16u          /* packets in a row that came alone, soon, and were answered */
#define WATCH_SKIP_MOST 4096u /* sleeps without, after watching in vain again and again */

struct watch {
    uint64_t packets, sent; /* in all, at the last decision */
    uint64_t decided;       /* TSC then */
    uint32_t alone;         /* packets in a row */
    uint32_t skip;          /* sleeps to come without */
    uint32_t penalty;       /* of the next time in vain */
};

/* A thread has found the rings empty, with `packets` received and `sent` sent in all so far: watch before it sleeps? */
/*@ requires \valid(w); assigns *w; */
bool watch_pays(struct watch *w, uint64_t packets, uint64_t sent, uint64_t now, uint64_t tsc_per_ms);

/* It has: did something come? */
/*@ requires \valid(w); assigns w->skip, w->penalty; */
void watch_note(struct watch *w, bool came);

#endif

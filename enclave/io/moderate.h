/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive moderation, as network cards do it for their interrupts. Where packets come faster than a
 * thread is woken, each wake finds a few, handles them in less time than the waking took, and sleeps
 * again. So when the last sleep ended with several packets, the next one is a nap of fixed length: no
 * wake per packet, and a ringful at its end. Where a wake finds one or two (a ping-pong, a slow stream)
 * every packet wakes at once, as ever. A nap that ends with few packets ends the napping. Who answers what it
 * receives never naps: the packets of a nap may be what its own answers bring, and wait for them.
 */
#ifndef IO_MODERATE_H
#define IO_MODERATE_H

#include <stdbool.h>
#include <stdint.h>

#define NAP_NS 60000u       /* and what the kernel's timer slack adds, 50 µs by default */
#define NAP_PACKETS 3u      /* of one wake, from which on it is worth it */
#define NAP_MEMORY_MS 2u    /* longer ago than this is no rate */

struct moderation {
    uint64_t packets; /* received in all, at the last decision */
    uint64_t sent;    /* in all, then */
    uint64_t decided; /* TSC then */
};

/* A thread has found the rings empty, with `packets` received and `sent` sent in all so far: nap rather than
 * sleep? */
/*@ requires \valid(m); assigns *m; */
bool moderate(struct moderation *m, uint64_t packets, uint64_t sent, uint64_t now, uint64_t tsc_per_ms);

#endif

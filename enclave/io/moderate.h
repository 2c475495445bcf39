/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive moderation, as network cards do it for their interrupts. Where packets come faster than a
 * thread is woken, each wake finds a few, handles them in less time than the waking took, and sleeps
 * again. So when the last sleep ended with several packets, the next one is a nap of fixed length: no
 * wake per packet, and a ringful at its end. Where a wake finds one or two (a ping-pong, a slow stream)
 * every packet wakes at once, as ever. A nap that ends with few packets ends the napping.
 *
 * Who answers what it receives may wait for what its own answers bring: then a nap costs packets. That is tried:
 *
 *   plain    sleeps, and counts what so many sleeps bring, and in what time. Where that is more than one packet each, and a nap
 *            would bring several:
 *   trial    naps, and counts the same. Are there fewer packets a second: plain again, for some time, for twice as long
 *            after each trial that failed.
 *   napping  for a while, or until several naps have brought little, then it is tried anew.
 */
#ifndef IO_MODERATE_H
#define IO_MODERATE_H

#include <stdbool.h>
#include <stdint.h>

#define NAP_NS 60000u       /* and what the kernel's timer slack adds, 50 µs by default */
#define NAP_US (NAP_NS / 1000 + 50) /* in all */
#define NAP_PACKETS 3u      /* of one wake, from which on it is worth it */
#define NAP_MEMORY_MS 2u    /* longer ago than this is no rate */
#define NAP_MEASURE 64u     /* sleeps or naps, by which they are compared */
#define NAP_HOPELESS 8u     /* naps after which half as many packets are too few */
#define NAP_COSTS 12u       /* a twelfth fewer packets is a loss, less is noise */
#define NAP_WHILE_MS 100u
#define NAP_POOR 8u         /* more than that, of what `poor` counts, ends it */
#define NAP_PATIENCE 7u     /* the longest pause between trials is 2 to this of that */

enum nap_phase { NAP_PLAIN, NAP_TRIAL, NAP_NAPPING };

struct moderation {
    uint64_t packets; /* received in all, at the last decision */
    uint64_t sent;    /* in all, then */
    uint64_t decided; /* TSC then */
    /* Of who answers: */
    enum nap_phase phase;
    uint32_t decisions; /* in this measurement */
    uint64_t began, began_packets;
    uint64_t plain, plain_packets; /* TSC counts, and packets that came in them without naps */
    uint64_t until; /* TSC: nothing is tried before */
    uint32_t failed; /* trials, in a row */
    uint32_t poor;   /* twice the naps with few packets, less the others; at least 0 */
};

/* A thread has found the rings empty, with `packets` received and `sent` sent in all so far: nap rather than
 * sleep? */
/*@ requires \valid(m) && m->failed <= NAP_PATIENCE && m->poor <= NAP_POOR && tsc_per_ms <= 0xffffffff;
    assigns *m;
    ensures m->failed <= NAP_PATIENCE && m->poor <= NAP_POOR; */
bool moderate(struct moderation *m, uint64_t packets, uint64_t sent, uint64_t now, uint64_t tsc_per_ms);

#endif

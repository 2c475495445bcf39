/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the kernel is told that a ring has work.
 *
 * An io_uring (uring.c) is its thread's, which alone can enter it:
 *
 *   idle       nothing waits to be submitted, nothing is being sent.
 *   submission something waits: it goes with the next enter that sleeps, before any other exit that may block, at once
 *              if the last enter was a while ago, and when the ring is full. Before it has waited for a
 *              millisecond, the host's monitor interrupts the thread.
 *   completion a send is in flight that the socket had no room for. Nothing is to be done where the thread sleeps in the
 *              ring; before it waits elsewhere it enters once, and the monitor interrupts it when the ring has work.
 *   polled     (--sqpoll) a thread of the kernel looks at the ring, and is woken by an exit if it sleeps.
 *
 * A TX ring of an XSK, of which all of the policy is here:
 *
 *   quiet    no kick for a millisecond: the next packet is kicked at once, by an exit. Latency counts.
 *   batching kicks are frequent: the next one comes when KICK_BATCH packets wait (the kernel takes 32
 *            at a time in copy mode, the host calls it as often as it takes), or with the next exit
 *            that sleeps (xsk_flush), or from the host's monitor, which transmits what is left when
 *            half a millisecond has passed without a kick.
 *   served   the host says that a thread of its own looks at the ring all the time (host/poller.h): nobody kicks,
 *            until there is no room. When it stops it looks once more, and then the monitor does.
 *   alone    kicks are frequent, but the last ones took one packet each: who is asked and answers, and sleeps in no exit
 *            that takes the packet along (io/watch.h). Then each packet is kicked at once. Nothing is ever left, so the
 *            monitor is not woken, which would be in the way of one answer in twenty. Two packets that follow each
 *            other closely end it.
 *
 * So no packet waits longer than a millisecond or two, whatever the program does next.
 */
#ifndef IO_KICK_H
#define IO_KICK_H

#include <stdbool.h>
#include <stdint.h>

#define KICK_BATCH 64u
#define KICK_ALONE_FROM 16u
#define KICK_ALONE_PART 100u /* of a millisecond: what comes sooner after a kick follows closely */

struct kick {
    uint32_t waiting; /* packets in the ring that the kernel has not been told of */
    uint64_t last;    /* TSC of the last kick */
    uint32_t alone;   /* kicks in a row for one packet each, at most KICK_ALONE_FROM */
};

/* TSC counts in a millisecond; before it is known a usual value. */
void kick_start(uint64_t tsc_per_ms);

/* One more packet waits: kick now? Whatever the clock says, a batch is not waited beyond. */
/*@ requires \valid(k) && k->waiting < UINT32_MAX;
    assigns k->waiting, k->alone;
    ensures 1 <= k->waiting <= \old(k->waiting) + 1;
    ensures k->waiting >= KICK_BATCH ==> \result != 0; */
bool kick_due(struct kick *k);

/* Tells the host; repeats for as long as the kernel says that it has not taken all. */
/*@ requires \valid(k);
    assigns *k;
    ensures k->waiting == 0; */
void kick_now(struct kick *k, uint64_t xsk_index);

/* What waits goes with the thread's next exit. */
/*@ requires \valid(k);
    assigns k->waiting, k->alone;
    ensures k->waiting == 0 && k->alone == 0; */
void kick_put_off(struct kick *k);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that wait for a thread or for the process: as signal(7) has it, one each of the standard ones,
 * as many as are sent of the real-time ones, in order. Guarded by process.signal_lock. */
#ifndef OS_SIGNAL_QUEUE_H
#define OS_SIGNAL_QUEUE_H

#include "enclave/os/signal.h"

#define SIGNAL_COUNTED_FIRST 32 /* the real-time ones, as the kernel counts: the C library keeps two of them */

struct signal_entry;

struct signal_queue {
    uint64_t pending; /* bit n-1: there is at least one signal n */
    struct signal_entry *first, **end;
    uint32_t entries; /* that wait */
    uint32_t spare;   /* came, since one was last taken, while the same signal waited already */
};

/* 0; -EAGAIN: a real-time signal, of which too many wait. A standard one that waits already is dropped;
 * one for which there is no memory comes without its cause. */
int signal_queue_add(struct signal_queue *q, int signal, const struct signal_cause *cause);
/* Takes out the lowest signal of the mask, those that an instruction raises first. 0: none. */
int signal_queue_take(struct signal_queue *q, uint64_t mask, struct signal_cause *cause);
/* Drops all of the mask. */
void signal_queue_drop(struct signal_queue *q, uint64_t mask);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor of the host that a thread sleeps on in its io_uring, until it has something to report. What outlives
 * its watch in the ring frees itself when it has ended.
 */
#ifndef OS_RING_WATCH_H
#define OS_RING_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/io/uring.h"

struct ring_watch;

/* With the next enter, for events as in poll(2). NULL: no room. */
struct ring_watch *ring_watch_start(struct uring *u, int host_fd, uint32_t events);
/* Is it among what the calling thread's ring waits for? */
bool ring_watch_mine(const struct ring_watch *w);
/* What was reported, 0: nothing yet. By any thread, as the next. */
uint32_t ring_watch_reported(const struct ring_watch *w);
/* The same, and the watch is no more. */
uint32_t ring_watch_end(struct ring_watch *w);
/* In a forked child, which has not got the ring: the watch is no more. */
void ring_watch_forget(struct ring_watch *w);

#endif

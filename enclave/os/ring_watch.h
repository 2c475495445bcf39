/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor of the host that a thread sleeps on in its io_uring, for one sleep. What outlives that sleep in the
 * ring frees itself when it has ended.
 */
#ifndef OS_RING_WATCH_H
#define OS_RING_WATCH_H

#include <stdint.h>

#include "enclave/io/uring.h"

struct ring_watch;

/* With the next enter, for events as in poll(2). NULL: no room. */
struct ring_watch *ring_watch_start(struct uring *u, int host_fd, uint32_t events);
/* After it: what was reported, 0: nothing. The watch is no more. */
uint32_t ring_watch_end(struct ring_watch *w);

#endif

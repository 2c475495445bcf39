/* SPDX-License-Identifier: Apache-2.0 */
/* The open XSKs, as the monitor sees them. */
#ifndef HOST_XSK_H
#define HOST_XSK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Packets that never came to an XSK's ring, as the kernel counts them. */
struct xsk_losses {
    uint64_t no_frame;  /* it had no frame to put them into, or they were too long for one */
    uint64_t ring_full; /* nobody had taken what was in the ring */
    uint64_t invalid;   /* descriptors of ours that the kernel did not like */
};
bool xsk_host_losses(uint64_t index, struct xsk_losses *out);

/* Transmit what is left in the TX rings of all XSKs. Thread-safe, does not block. */
void xsk_host_flush(void);
/* Packets that the kernel has taken from those in all, modulo 2^32. */
uint32_t xsk_host_sent(void);
/* For a thread that polls: transmits what is there. Did anything go? */
bool xsk_host_serve(void);

/* What to poll(2) for these XSKs, a bit each by number, to have received something: how many. */
size_t xsk_host_pollfds(uint64_t xsks, struct pollfd out[64]);

/* monitor.c: before the first kick. 0 or -errno; more than once does nothing. */
int monitor_start(void);
/* After this no XSK is looked at any more. */
void monitor_stop(void);
void monitor_forked(void); /* in the child of a fork, which has no such thread */

#endif

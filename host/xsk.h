/* SPDX-License-Identifier: Apache-2.0 */
/* The open XSKs, as the monitor sees them. */
#ifndef HOST_XSK_H
#define HOST_XSK_H

#include <stdint.h>

/* Transmit what is left in the TX rings of all XSKs. Thread-safe, does not block. */
void xsk_host_flush(void);

/* monitor.c: before the first kick. 0 or -errno; more than once does nothing. */
int monitor_start(void);
/* After this no XSK is looked at any more. */
void monitor_stop(void);
void monitor_forked(void); /* in the child of a fork, which has no such thread */

#endif

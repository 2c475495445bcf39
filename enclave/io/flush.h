/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that was sent may wait for a thread that sleeps. */
#ifndef IO_FLUSH_H
#define IO_FLUSH_H

/* Now: all that the thread has put into rings and not yet told the kernel of. */
void io_flush(void);

/* The same for a thread that is about to sleep in an exit, which takes along what it can: one exit, not two. Where it
 * comes not to sleep, its next exit does, or the host's monitor within a millisecond. */
void io_flush_along(void);
/* Where it sleeps in its io_uring, which submits what is in it. */
void io_flush_along_for_ring(void);

/* Before the process ends: what all threads have; waits a while for sockets that take nothing. */
void io_flush_all(void);

#endif

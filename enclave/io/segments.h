/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of datagrams to one place leaves by the kernel's own segmentation: they are put into a ring in the
 * arena, and the host sends them by calls on its socket of up to 64 each (UDP_SEGMENT). Where AF_XDP copies,
 * that takes the kernel a fifth of what a packet by itself does.
 *
 *   quiet    nothing was sent for a millisecond: the next datagram is sent at once, by an exit
 *   gathering   an exit when the ring is full, or the next one goes elsewhere; before the thread that filled it
 *            sleeps; or the host's monitor sends it when half a millisecond passed without an exit
 *   served   a thread of the host's looks at the ring all the time (host/poller.h): no exit, but if it does not get on
 *
 * The caller keeps a ring to one thread at a time.
 */
#ifndef IO_SEGMENTS_H
#define IO_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segments;

/* A ring of one's own, NULL: there is none left. One exit. */
struct segments *segments_take(void);
/* Given back; what it holds is sent, waiting for the socket a while, then given up. */
void segments_give(struct segments *s);

/*
 * One more datagram, 1 to SEGMENT_LONGEST bytes. `name` (up to 32 bytes): where to, none when
 * name_length is 0. `payload` may be the program's memory. 0; -EAGAIN: the socket takes nothing now;
 * -EFAULT.
 */
int segments_add(struct segments *s, int host_fd, const void *name, size_t name_length,
                 const void *payload, uint32_t length);
/* Sends what is there. 0 or -EAGAIN. */
int segments_send(struct segments *s);
/* The error of a send before, as a negative errno; told once. 0: none. */
int segments_error(struct segments *s);

/* Those that the current thread has filled; those of all. */
void segments_flush(void);
/* Are there any of those? An exit with EXIT_FLUSH sends them. */
bool segments_put_off(void);
void segments_flush_all(void);

/* In a process that has the memory of another: the host knows of none. No ring is taken. */
void segments_forked(void);

/* TSC counts in a millisecond. */
void segments_start(uint64_t tsc_per_ms);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AF_XDP socket: UMEM frames with owners and four rings. One lock for the receive side, one for the
 * transmit side; whoever needs packets drains the ring, there is no thread of its own.
 */
#ifndef IO_XSK_H
#define IO_XSK_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/net.h"
#include "abi/stats.h"
#include "enclave/boundary/untrusted.h"
#include "enclave/io/xsk_rings.h"

#define XSK_MAX STATISTICS_XSKS

struct xsk;

/* Open one on each queue of the interface; the rings lie in the arena. 0 or -errno. */
int xsk_open(const struct interface_info *interface, uint64_t queue, struct xsk **out);

/* Up to `count` packets, XSK_BATCH at most. 0: none, or another thread is draining (try-lock). */
int xsk_receive(struct xsk *x, struct xsk_packet *out, int count);
/* Give a received frame back; it goes to the fill ring. */
void xsk_release(struct xsk *x, uint32_t frame);
/* Frames that are free or in the fill ring: when low, queues copy payloads in and release. */
uint32_t xsk_frames_low(const struct xsk *x);

/* A frame to send from, or -ENOBUFS. Takes completions first. */
int xsk_frame_take(struct xsk *x);
void xsk_frame_give(struct xsk *x, int frame); /* unsent */
/* Queue `length` bytes, `start` bytes into the frame (XSK_TX_OFFSET at least); kicks when io/kick says so.
 * With `metadata` there is a struct xsk_metadata right before them (only where xsk_checksums). 0,
 * -EAGAIN: the ring is full, -EINVAL: nobody holds the frame, or -EMSGSIZE: beyond it. */
int xsk_send(struct xsk *x, int frame, uint32_t start, uint32_t length, bool metadata);
/* Is it the better way for all that it can carry: does the kernel send from the frames themselves, or may host
 * sockets know no neighbours? */
bool xsk_zerocopy(const struct xsk *x);
/* Does the kernel fill in checksums of frames sent? */
bool xsk_checksums(const struct xsk *x);

/* Untrusted address of a byte of a frame. */
struct untrusted xsk_frame_at(const struct xsk *x, uint32_t frame, uint32_t offset);
uint32_t xsk_frame_size(const struct xsk *x);
uint64_t xsk_interface(const struct xsk *x);

/* All XSKs that are open, in order; their host descriptors for poll(2). */
int xsk_count(void);
struct xsk *xsk_at(int i);
int xsk_descriptor(const struct xsk *x);
/* Anything in the rx ring right now? One read of the producer, no lock. */
bool xsk_readable(const struct xsk *x);
/* How many packets are there, as far as the kernel says: a hint, 0 to the ring's size. */
uint32_t xsk_waiting(const struct xsk *x);
/* Packets received in all. */
uint64_t xsk_received(const struct xsk *x);

/* Those there are belong to another process: there are none. */
void xsk_leave(void);

/* Before a thread sleeps or returns from a blocking exit: transmit what waits for a kick, of what it sent or
 * shares a ring with. What others have in rings of their own is theirs to see to. */
void xsk_flush(void);
/* Is there any of that? An exit with EXIT_FLUSH transmits it, and is taken to come. */
bool xsk_put_off(void);
/* Whoever sent it. */
void xsk_flush_all(void);

#endif

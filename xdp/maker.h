/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that makes maps of XSKs, and has the kernel's busy polling serve an XSK. Each client gets a fresh map. Only who
 * has CAP_NET_ADMIN can do either: so this process keeps that, and does nothing else, and the one that listens to strangers
 * drops it.
 */
#ifndef XDP_MAKER_H
#define XDP_MAKER_H

#include <stdint.h>

/* A socket to it, or -errno. It ends when the socket closes, and has no other descriptor of the daemon's. */
int maker_start(void);
/* A map from it: the file descriptor, or -errno. */
int map_request(int maker);
/* From now on who sends and receives by this XSK polls its queue's NAPI for up to so many microseconds, by preference
 * over interrupts. 0 or -errno. */
int busy_poll_request(int maker, int xsk, uint32_t us);

#endif

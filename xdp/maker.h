/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that makes maps of XSKs. Each client gets a fresh one, and only who has CAP_NET_ADMIN can make
 * them: so this process keeps that, and does nothing else, and the one that listens to strangers drops it.
 */
#ifndef XDP_MAKER_H
#define XDP_MAKER_H

/* A socket to it, or -errno. It ends when the socket closes, and has no other descriptor of the daemon's. */
int maker_start(void);
/* A map from it: the file descriptor, or -errno. */
int map_request(int maker);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Our side of the conversation with the rakis-xdpd of one interface: docs/xdpd-protocol.md. */
#ifndef HOST_XDPD_CLIENT_H
#define HOST_XDPD_CLIENT_H

#include <net/if.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/net.h"

struct xdpd {
    char interface[IF_NAMESIZE];
    unsigned index; /* of the interface */
    int child;      /* pidfd of the one that we started; -1: it was there */
    int xsks;       /* opened by way of it, atomic */

    pthread_mutex_t lock; /* of a question and its answer */
    int socket;           /* -1: gone, or never there */
};

/* Find the daemon of d->interface or start one. 0, or -1 with the reason in `why`. */
int xdpd_start(struct xdpd *d, char *why, size_t size);
/* The same, but start none: 0; -ENOENT, there is none; -errno with the reason in `why`. */
int xdpd_find(struct xdpd *d, char *why, size_t size);
/* Where the daemon's program is, beside this one. False: it is not. */
bool xdpd_program(char *path, size_t size);
/* Say goodbye; one that we started has ended, or a second has passed, when this returns. */
void xdpd_stop(struct xdpd *d);

/* Thread-safe; 0 or -errno: what the daemon answered, -EPIPE when it is gone. */
int xdpd_xsk(struct xdpd *d, uint64_t queue, int *fd); /* the caller closes it */
int xdpd_bound(struct xdpd *d, uint64_t queue);
int xdpd_port(struct xdpd *d, int operation, const struct port_key *key);

#endif

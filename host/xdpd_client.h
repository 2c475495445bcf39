/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our side of the conversation with who makes AF_XDP possible on one interface: its rakis-xdpd, or an
 * AF_XDP device plugin of Kubernetes. docs/xdpd-protocol.md.
 */
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
    uint64_t first_queue, queues; /* that are to be used; none: all */
    int child;      /* pidfd of the one that we started; -1: it was there */
    int map;        /* a device plugin's map, whose XSKs get all that comes; -1: rakis-xdpd serves */
    int xsks;       /* opened by way of it, atomic */

    pthread_mutex_t lock; /* of a question and its answer */
    int socket;           /* -1: gone, or never there */
    bool lost;            /* gone, and may come back */
    char path[108];       /* where it listens, as far as we know */
};

/* Find who serves d->interface, or start a rakis-xdpd. 0, or -1 with the reason in `why`. */
int xdpd_start(struct xdpd *d, char *why, size_t size);
/* The same, but start none: 0; -ENOENT, there is none; -errno with the reason in `why`. */
int xdpd_find(struct xdpd *d, char *why, size_t size);
/* For each of the interfaces, who listens at this path: 0, or -1 with the reason in `why`. */
int xdpd_find_at(struct xdpd *const *d, size_t count, const char *path, char *why, size_t size);
/* Where a device plugin listens for that interface. False: none is there to be believed. */
bool xdpd_plugin(const char *interface, char *path, size_t size);
/* Where the daemon's program is, beside this one. False: it is not. */
bool xdpd_program(char *path, size_t size);
/* Say goodbye. One that we started has detached its program, if no other client has come, when this returns. */
void xdpd_stop(struct xdpd *d);

/* Thread-safe; 0 or -errno: what the daemon answered, -EPIPE when it is gone. */
int xdpd_xsk(struct xdpd *d, uint64_t queue, int *fd); /* the caller closes it */
/* `room`: bytes of the longest frame that it takes. */
int xdpd_bound(struct xdpd *d, uint64_t queue, uint64_t room, int fd);
/* The same for an XSK that an earlier daemon entered. */
int xdpd_bound_again(struct xdpd *d, uint64_t queue, uint64_t room, int fd);
int xdpd_port(struct xdpd *d, int operation, const struct port_key *key);

/* Connect to one that was lost, if there is another at its place. */
bool xdpd_return(struct xdpd *d);

/* xdpd_watch.c: say so when one of them goes, at once; and when `returned` has made of another one at its place what
 * it was. More than once does nothing. 0 or -errno. */
int xdpd_watch_start(struct xdpd *daemons, size_t count, int returned(struct xdpd *));
void xdpd_watch_stop(void);
void xdpd_watch_forked(void); /* in the child of a fork, which has no such thread */
/* Its socket is closed from the other end: nobody asks it any more. */
void xdpd_look(struct xdpd *d);

#endif

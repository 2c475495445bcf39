/* SPDX-License-Identifier: Apache-2.0 */
/* One connected client: what it asked for, and what is undone when it goes. */
#ifndef XDP_CLIENT_H
#define XDP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "xdp/steering.h"
#include "xdp/steering_maps.h"

struct client {
    int socket;
    uid_t user;
    unsigned number; /* below STEERING_CLIENTS, no other's */
    bool connected;  /* has sent /connect */
    bool attached;   /* it may have an XSK in its map */
    int map;         /* of its XSKs, -1: none yet */
    uint32_t room;   /* the longest frame that its XSKs take */
    int xsks[STEERING_QUEUES]; /* our copies of those not yet in the map, -1: none */
    uint64_t entered[STEERING_QUEUES / 64]; /* queues that are in the map */
    struct client_port {
        struct steering_port key;
        int proof; /* our copy of the socket that has the port, -1: none was needed */
    } *ports;
    size_t port_count, port_space;
};

/* Takes the socket. NULL: no memory. */
struct client *client_new(int socket, uid_t user, unsigned number);
/* Undo all that it asked for. */
void client_free(struct client *c, struct steering *s);
enum client_state {
    CLIENT_STAYS,
    CLIENT_FINISHES, /* it waits for the answer of client_finish */
    CLIENT_GONE,
};

/* Its socket is readable: answer one message. `interface` is the name of the one that is served. */
enum client_state client_serve(struct client *c, struct steering *s, const char *interface);
/* Undo all that it asked for, and say so. */
void client_finish(struct client *c, struct steering *s);

#endif

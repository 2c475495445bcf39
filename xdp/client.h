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
    bool connected; /* has sent /connect */
    bool attached;  /* a queue of its own is in the steering map */
    struct client_queue {
        int xsk;      /* our copy of the file descriptor, -1: none */
        bool entered; /* in the steering map */
    } queues[STEERING_QUEUES];
    struct steering_port *ports;
    size_t port_count, port_space;
};

/* Takes the socket. NULL: no memory. */
struct client *client_new(int socket, uid_t user, unsigned number);
/* Undo all that it asked for. */
void client_free(struct client *c, struct steering *s);
/* Its socket is readable: answer one message. False: it is gone, or has finished. */
bool client_serve(struct client *c, struct steering *s);

#endif

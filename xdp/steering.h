/* SPDX-License-Identifier: Apache-2.0 */
/* The steering program on one interface, and its maps. */
#ifndef XDP_STEERING_H
#define XDP_STEERING_H

#include <stddef.h>
#include <stdint.h>

#include "xdp/steering_maps.h"

enum xdp_mode { XDP_MODE_AUTO, XDP_MODE_NATIVE, XDP_MODE_SKB };

struct steering {
    struct steer *program; /* the skeleton's */
    int link;              /* the kernel detaches the program when this closes */
    unsigned interface_index;
    enum xdp_mode mode; /* that it is attached in */
    int maker;             /* socket to the process that makes maps, -1: none */
    uint32_t busy_poll;    /* microseconds, for XSKs; 0: not */
};

/* Load and attach. 0, or -1 after a message on stderr. */
int steering_start(struct steering *s, const char *interface, unsigned index, enum xdp_mode mode);
/* An XSK of a client's, before it is bound: as busy_poll says. 0 or -errno. */
int steering_xsk(struct steering *s, int xsk);
/* Nothing is steered any more; the maps are still there. */
void steering_detach(struct steering *s);
void steering_stop(struct steering *s);

/* Make the interface's own addresses exactly these. 0 or -errno. */
int steering_addresses(struct steering *s, const struct steering_address *addresses, size_t count);
/* The interface's MAC address, NULL: it has none. */
void steering_mac(struct steering *s, const uint8_t mac[6]);

/* Steer a port to this client, or no more. 0 or -errno. */
int steering_port_add(struct steering *s, const struct steering_port *port, unsigned client);
int steering_port_remove(struct steering *s, const struct steering_port *port, unsigned client);

/*
 * A client's own map of XSKs by queue. Fresh: who had that number before it has no way into it. The file
 * descriptor, the caller's to close, or -errno. Until steering_client_remove; it takes any frame until told.
 */
int steering_client_add(struct steering *s, unsigned client);
void steering_client_remove(struct steering *s, unsigned client);
/* Enter an XSK into a client's map. 0 or -errno. */
int steering_xsk_add(int map, uint32_t queue, int xsk);
/* The longest frame, from its first byte, that the client's XSKs take. */
void steering_room(struct steering *s, unsigned client, uint32_t bytes);

#endif

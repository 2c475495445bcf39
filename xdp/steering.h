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
};

/* Load and attach. 0, or -1 after a message on stderr. */
int steering_start(struct steering *s, const char *interface, unsigned index, enum xdp_mode mode);
void steering_stop(struct steering *s);

/* Make the interface's own addresses exactly these. 0 or -errno. */
int steering_addresses(struct steering *s, const struct steering_address *addresses, size_t count);
/* The interface's MAC address, NULL: it has none. */
void steering_mac(struct steering *s, const uint8_t mac[6]);

/* Steer a port to this client, or no more. 0 or -errno. */
int steering_port_add(struct steering *s, const struct steering_port *port, unsigned client);
int steering_port_remove(struct steering *s, const struct steering_port *port, unsigned client);

/* The client's XSK on a queue. 0 or -errno: -EBUSY, the queue has one. */
int steering_xsk_add(struct steering *s, uint32_t queue, int fd, unsigned client);
void steering_xsk_remove(struct steering *s, uint32_t queue);

#endif

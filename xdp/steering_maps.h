/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the steering program and the daemon agree on. */
#ifndef XDP_STEERING_MAPS_H
#define XDP_STEERING_MAPS_H

#include <linux/types.h>

#define STEERING_ADDRESSES 1024
#define STEERING_PORTS 131072
#define STEERING_QUEUES 256 /* of a client's map of XSKs */
#define STEERING_CLIENTS 64 /* entries of the map of such maps */
#define STEERING_SHARERS 8  /* of one port of one address */

/* Network order; IPv4 as ::ffff:a.b.c.d. All zero: any of IPv6; ::ffff:0.0.0.0: any of IPv4. */
struct steering_address {
    __u8 byte[16];
};

struct steering_port {
    struct steering_address address; /* of the interface, or any */
    __u16 port;                      /* network order */
    __u16 zero;
};

/* Who has asked for a port: numbers of clients plus 1, then zeros. */
struct steering_sharers {
    __u8 client[STEERING_SHARERS];
};

#endif

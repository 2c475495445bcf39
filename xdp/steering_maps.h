/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the steering program and the daemon agree on. */
#ifndef XDP_STEERING_MAPS_H
#define XDP_STEERING_MAPS_H

#include <linux/types.h>

#define STEERING_ADDRESSES 1024
#define STEERING_PORTS 131072
#define STEERING_QUEUES 256

struct steering_port {
    __u32 address; /* network order; 0: any of the interface's */
    __u16 port;    /* network order */
    __u16 zero;
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The interface that the daemon serves: its carrier, and its addresses as they change. */
#ifndef XDP_INTERFACE_H
#define XDP_INTERFACE_H

#include <stdbool.h>

#include "xdp/steering.h"

bool interface_has_carrier(const char *name);
/* An attach can bounce the link: wait until it carries again, two seconds at most. */
void interface_wait_carrier(const char *name);

/* Tell the steering program the interface's MAC address. */
void interface_mac(const char *name, struct steering *s);

/* A netlink socket that becomes readable when addresses or links change, or -errno. */
int interface_watch(void);
/* Ask for all addresses: the answer comes as events. */
int interface_ask(int netlink, unsigned index);

/* What the events add up to. */
struct interface_addresses {
    struct steering_address *address;
    size_t count, space;
    bool asked; /* a listing is under way */
    bool again; /* and another is due, since something changed meanwhile */
};

/* The socket is readable. Keeps the steering program at the interface's addresses. False: the interface
 * is gone. */
bool interface_follow(int netlink, struct interface_addresses *known, struct steering *s);

#endif

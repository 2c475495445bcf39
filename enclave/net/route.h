/* SPDX-License-Identifier: Apache-2.0 */
/* Where datagrams go: the host's answers, kept for a while. */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/net.h"

/* What a route depends on. */
struct route_key {
    struct ip_address destination;
    struct ip_address bound; /* source address that the socket is bound to, or any */
    uint64_t device;         /* the interface that it must leave by, 0: whichever */
};

struct route {
    struct route_key key;
    bool direct; /* over an XSK, by what follows; else over the host socket */
    uint8_t hop_limit; /* of datagrams whose socket sets none */
    uint32_t mtu;      /* longest IP datagram */
    struct ip_address source;
    uint64_t interface; /* its index */
    uint64_t source_mac, destination_mac;
    uint64_t expires; /* TSC */
    uint32_t generation; /* of the table when it was asked for */
};

/* The TSC's ticks a second; before any lookup. Nothing is known after it. 0 or -ENOMEM. */
int route_start(uint64_t tick_rate);

/*
 * The route of a datagram. Asks the host by an exit when it does not know or knew it too long ago (which
 * overwrites the bounce buffer).
 */
void route_lookup(const struct route_key *key, struct route *out);
/* Something has been heard about a way, by an error that a network reported: ask anew. */
void routes_forget(void);

#endif

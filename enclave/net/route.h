/* SPDX-License-Identifier: Apache-2.0 */
/* Where datagrams go: the host's answers, kept for a while. */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

struct xsk;

struct route {
    uint32_t destination; /* the question: host order */
    uint32_t bound;       /* source address that the socket is bound to, 0: none */
    bool direct;          /* over an XSK, by what follows; else over the host socket */
    uint32_t source;
    uint32_t mtu;         /* longest IP datagram */
    uint64_t interface;   /* its index */
    uint64_t source_mac, destination_mac;
    uint64_t expires; /* TSC */
};

/* The TSC's ticks a second; before any lookup. Nothing is known after it. */
void route_start(uint64_t tick_rate);

/*
 * The route of a datagram for `destination` from a socket bound to `bound`. Asks the host by an exit when
 * it does not know or knew it too long ago (which overwrites the bounce buffer).
 */
void route_lookup(uint32_t destination, uint32_t bound, struct route *out);

#endif

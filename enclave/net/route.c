/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/route.h"

#include "enclave/boundary/network.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/net/interface.h"

#define ROUTES 256 /* power of two */

/* How long an answer is believed, as parts of a second. */
#define DIRECT_PART 1
#define HOST_PART 10      /* local, multicast, unreachable, another interface */
#define NEIGHBOUR_PART 1000 /* the kernel is asking for the neighbour's address */

static struct {
    struct lock lock; /* guards table */
    uint64_t second;  /* in ticks */
    struct route table[ROUTES];
} routes;

void route_start(uint64_t tick_rate)
{
    routes.second = tick_rate;
    memset(routes.table, 0, sizeof routes.table);
}

static struct route *slot(uint32_t destination, uint32_t bound)
{
    uint32_t hash = (destination ^ bound * 31) * 0x9e3779b1u;
    return &routes.table[hash >> 24 & (ROUTES - 1)];
}

/* What the host says becomes a route. Everything but a known neighbour on an interface with XSKs, from
 * an address of that interface, goes over the host socket. */
static void ask(uint32_t destination, uint32_t bound, uint64_t now, struct route *out)
{
    struct route_query q = {.destination = destination, .source = bound};
    struct interface_info interface;
    *out = (struct route){.destination = destination, .bound = bound};
    out->expires = now + routes.second / HOST_PART;
    if (network_route(&q) || q.kind != ROUTE_UNICAST || !interface_find(q.interface_index, &interface))
        return;
    out->source = bound ? bound : (uint32_t)q.source;
    if (!interface_owns(interface.index, out->source))
        return;
    if (q.neighbour_known == 0) {
        out->expires = now + routes.second / NEIGHBOUR_PART;
        return;
    }
    /* A stale neighbour is to be used once by the kernel, which then probes whether it is still there. */
    if (q.neighbour_known == 2) {
        out->expires = now;
        return;
    }
    out->direct = true;
    out->mtu = (uint32_t)MIN(q.mtu ? q.mtu : interface.mtu, interface.mtu);
    out->interface = interface.index;
    out->source_mac = interface.mac;
    out->destination_mac = q.mac;
    out->expires = now + routes.second / DIRECT_PART;
}

void route_lookup(uint32_t destination, uint32_t bound, struct route *out)
{
    struct route *r = slot(destination, bound);
    uint64_t now = __builtin_ia32_rdtsc();
    lock_take(&routes.lock);
    bool hit = r->destination == destination && r->bound == bound && r->expires > now;
    if (hit)
        *out = *r;
    lock_release(&routes.lock);
    if (hit)
        return;
    ask(destination, bound, now, out);
    lock_take(&routes.lock);
    *r = *out;
    lock_release(&routes.lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/route.h"

#include <errno.h>

#include "enclave/boundary/network.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/lib/address.h"
#include "enclave/net/interface.h"

#define ROUTES 4096 /* power of two; untouched ones cost nothing */

/* How long an answer is believed, as parts of a second: whatever changes on the host, it is heeded within
 * half of one. */
#define DIRECT_PART 2
#define HOST_PART 10        /* local, multicast, unreachable, another interface */
#define NEIGHBOUR_PART 1000 /* the kernel is asking for the neighbour's address */
#define INTERFACES_PART 2   /* the interfaces themselves: address, MTU, MAC */

#define ROUTE_WORDS (sizeof(struct route) / sizeof(uint64_t))

_Static_assert(sizeof(struct route) % sizeof(uint64_t) == 0, "routes are copied by words");

/* Read by everybody for each datagram, without a lock: what was read is good if `version` was even, and is the
 * same after. */
struct route_slot {
    uint64_t version;
    uint64_t words[ROUTE_WORDS]; /* struct route */
};

static struct {
    struct lock lock; /* guards table against other writers */
    uint64_t second;  /* in ticks */
    uint64_t reload;  /* TSC: the interfaces are to be asked for again from then on; racy, once too often */
    uint32_t generation; /* routes of another are not to be believed */
    struct route_slot *table;
} routes;

int route_start(uint64_t tick_rate)
{
    if (!routes.table && !(routes.table = alloc(ROUTES * sizeof *routes.table)))
        return -ENOMEM;
    routes.second = tick_rate;
    routes.reload = __builtin_ia32_rdtsc() + tick_rate / INTERFACES_PART;
    routes_forget();
    return 0;
}

static struct route_slot *slot(const struct route_key *k)
{
    uint64_t mixed = k->destination.low ^ k->destination.high * 3 ^ k->bound.low * 5 ^
                     k->bound.high * 7 ^ k->device * 31;
    mixed *= 0x9e3779b97f4a7c15ull;
    return &routes.table[mixed >> 48 & (ROUTES - 1)];
}

static bool same(const struct route_key *a, const struct route_key *b)
{
    return ip_equal(a->destination, b->destination) && ip_equal(a->bound, b->bound) &&
           a->device == b->device;
}

static void interfaces_refresh(uint64_t now)
{
    if (now < __atomic_load_n(&routes.reload, __ATOMIC_RELAXED))
        return;
    __atomic_store_n(&routes.reload, now + routes.second / INTERFACES_PART, __ATOMIC_RELAXED);
    interfaces_load();
}

/* What the host says becomes a route. Everything but a known neighbour on an interface with XSKs, from
 * an address of that interface, goes over the host socket. */
static void ask(const struct route_key *key, uint64_t now, struct route *out)
{
    struct route_query q = {.destination = key->destination, .source = key->bound, .device = key->device};
    struct interface_link link;
    *out = (struct route){.key = *key,
                          .expires = now + routes.second / HOST_PART,
                          .generation = __atomic_load_n(&routes.generation, __ATOMIC_RELAXED)};
    interfaces_refresh(now);
    if (network_route(&q) || q.kind != ROUTE_UNICAST)
        return;
    out->source = ip_is_any(key->bound) ? q.source : key->bound;
    if (ip_is_four(out->source) != ip_is_four(key->destination) ||
        !interface_link(q.interface_index, out->source, &link) || !link.owns || !link.mtu)
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
    out->hop_limit = (uint8_t)q.hop_limit;
    out->mtu = (uint32_t)MIN(q.mtu ? q.mtu : link.mtu, link.mtu);
    out->interface = q.interface_index;
    out->source_mac = link.mac;
    out->destination_mac = q.mac;
    out->expires = now + routes.second / DIRECT_PART;
}

/* False: somebody is writing there. */
static bool slot_read(const struct route_slot *s, struct route *out)
{
    uint64_t words[ROUTE_WORDS], before = __atomic_load_n(&s->version, __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < ROUTE_WORDS; i++)
        words[i] = __atomic_load_n(&s->words[i], __ATOMIC_ACQUIRE);
    memcpy(out, words, sizeof *out);
    return !(before & 1) && __atomic_load_n(&s->version, __ATOMIC_RELAXED) == before;
}

static void slot_write(struct route_slot *s, const struct route *r)
{
    uint64_t words[ROUTE_WORDS];
    memcpy(words, r, sizeof words);
    lock_take(&routes.lock);
    uint64_t version = s->version;
    __atomic_store_n(&s->version, version + 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < ROUTE_WORDS; i++)
        __atomic_store_n(&s->words[i], words[i], __ATOMIC_RELEASE);
    __atomic_store_n(&s->version, version + 2, __ATOMIC_RELEASE);
    lock_release(&routes.lock);
}

void route_lookup(const struct route_key *key, struct route *out)
{
    struct route_slot *s = slot(key);
    uint64_t now = __builtin_ia32_rdtsc();
    if (slot_read(s, out) && out->expires > now &&
        out->generation == __atomic_load_n(&routes.generation, __ATOMIC_RELAXED) && same(&out->key, key))
        return;
    ask(key, now, out);
    slot_write(s, out);
}

void routes_forget(void)
{
    __atomic_add_fetch(&routes.generation, 1, __ATOMIC_RELAXED);
}

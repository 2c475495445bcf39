/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/interface.h"

#include "enclave/boundary/network.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/lib/address.h"

#define BROADCAST 0xffffffffu

static struct {
    struct lock lock; /* guards list; held to change version, which is read without it */
    struct lock loading; /* guards fresh */
    uint64_t version; /* of list */
    struct interface_list list, fresh;
} interfaces;

int interfaces_load(void)
{
    lock_take(&interfaces.loading);
    int error = network_interfaces(&interfaces.fresh);
    if (!error) {
        lock_take(&interfaces.lock);
        memcpy(&interfaces.list, &interfaces.fresh, sizeof interfaces.list);
        __atomic_store_n(&interfaces.version, interfaces.version + 1, __ATOMIC_RELAXED);
        lock_release(&interfaces.lock);
    }
    lock_release(&interfaces.loading);
    return error;
}

uint64_t interface_count(void)
{
    return interfaces.list.count;
}

void interface_at(uint64_t i, struct interface_info *out)
{
    lock_take(&interfaces.lock);
    memcpy(out, &interfaces.list.interface[i], sizeof *out);
    lock_release(&interfaces.lock);
}

/* The last address of a network, of 4 addresses or more (RFC 3021), or of all. IPv6 has none. */
static bool is_broadcast(const struct interface_address *a, struct ip_address address)
{
    if (!ip_is_four(address) || !ip_is_four(a->address) || a->prefix > 30)
        return false;
    return (ip_to_four(a->address) | (BROADCAST >> a->prefix)) == ip_to_four(address);
}

static bool owns(const struct interface_info *i, struct ip_address address, bool broadcast)
{
    for (uint64_t a = 0; a < i->address_count; a++)
        if (ip_equal(i->address[a].address, address) ||
            (broadcast && is_broadcast(&i->address[a], address)))
            return true;
    return broadcast && ip_equal(address, ip_four(BROADCAST));
}

/* The list has room for so many: there may be more, and only the host knows. */
static bool list_full(const struct interface_info *i)
{
    return i->address_count == INTERFACE_ADDRESSES_MAX;
}

static const struct interface_info *find(const struct interface_list *list, uint64_t index)
{
    for (uint64_t i = 0; i < list->count; i++)
        if (list->interface[i].index == index)
            return &list->interface[i];
    return NULL;
}

bool interface_list_accepts(const struct interface_list *list, uint64_t index, struct ip_address address)
{
    const struct interface_info *i = find(list, index);
    return i && (owns(i, address, true) || (list_full(i) && !ip_is_multicast(address)));
}

bool interface_list_owns(const struct interface_list *list, uint64_t index, struct ip_address address)
{
    for (uint64_t i = 0; i < list->count; i++)
        if ((!index || list->interface[i].index == index) && owns(&list->interface[i], address, false))
            return true;
    return false;
}

bool interface_accepts(uint64_t index, struct ip_address address)
{
    lock_take(&interfaces.lock);
    bool found = interface_list_accepts(&interfaces.list, index, address);
    lock_release(&interfaces.lock);
    return found;
}

bool interface_owns(uint64_t index, struct ip_address address)
{
    lock_take(&interfaces.lock);
    bool found = interface_list_owns(&interfaces.list, index, address);
    lock_release(&interfaces.lock);
    return found;
}

struct interface_copy {
    uint64_t version;
    struct interface_list list;
};

struct interface_copy *interface_copy_new(void)
{
    return alloc(sizeof(struct interface_copy));
}

const struct interface_list *interface_copy_list(struct interface_copy *c)
{
    if (c->version != __atomic_load_n(&interfaces.version, __ATOMIC_RELAXED)) {
        lock_take(&interfaces.lock);
        c->version = interfaces.version;
        memcpy(&c->list, &interfaces.list, sizeof c->list);
        lock_release(&interfaces.lock);
    }
    return &c->list;
}

bool interface_exists(uint64_t index)
{
    lock_take(&interfaces.lock);
    bool found = find(&interfaces.list, index);
    lock_release(&interfaces.lock);
    return found;
}

bool interface_link(uint64_t index, struct ip_address source, struct interface_link *out)
{
    lock_take(&interfaces.lock);
    const struct interface_info *i = find(&interfaces.list, index);
    if (i)
        *out = (struct interface_link){.mac = i->mac,
                                       .mtu = ip_is_four(source) ? i->mtu : i->mtu_six,
                                       .owns = owns(i, source, false)};
    lock_release(&interfaces.lock);
    return i;
}

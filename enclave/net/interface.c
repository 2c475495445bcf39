/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/interface.h"

#include "enclave/boundary/network.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define BROADCAST 0xffffffffu

static struct {
    struct lock lock; /* guards list */
    struct lock loading; /* guards fresh */
    struct interface_list list, fresh;
} interfaces;

int interfaces_load(void)
{
    lock_take(&interfaces.loading);
    int error = network_interfaces(&interfaces.fresh);
    if (!error) {
        lock_take(&interfaces.lock);
        memcpy(&interfaces.list, &interfaces.fresh, sizeof interfaces.list);
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

static bool owns(const struct interface_info *i, uint32_t address, bool broadcast)
{
    for (uint64_t a = 0; a < i->address_count; a++) {
        uint32_t own = (uint32_t)i->address[a], prefix = (uint32_t)(i->address[a] >> 32);
        if (own == address)
            return true;
        /* The last address of a network, of 4 addresses or more (RFC 3021). */
        if (broadcast && prefix <= 30 && (own | (BROADCAST >> prefix)) == address)
            return true;
    }
    return broadcast && address == BROADCAST;
}

static bool owned(uint64_t index, uint32_t address, bool broadcast)
{
    bool found = false;
    lock_take(&interfaces.lock);
    for (uint64_t i = 0; i < interfaces.list.count && !found; i++)
        if (!index || interfaces.list.interface[i].index == index)
            found = owns(&interfaces.list.interface[i], address, broadcast);
    lock_release(&interfaces.lock);
    return found;
}

bool interface_accepts(uint64_t index, uint32_t address)
{
    return owned(index, address, true);
}

bool interface_owns(uint64_t index, uint32_t address)
{
    return owned(index, address, false);
}

bool interface_find(uint64_t index, struct interface_info *out)
{
    bool found = false;
    lock_take(&interfaces.lock);
    for (uint64_t i = 0; i < interfaces.list.count && !found; i++) {
        if (interfaces.list.interface[i].index != index)
            continue;
        memcpy(out, &interfaces.list.interface[i], sizeof *out);
        found = true;
    }
    lock_release(&interfaces.lock);
    return found;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/network.h"

#include <errno.h>
#include <stdbool.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/untrusted.h"
#include "enclave/lib/address.h"

static uint64_t bounce_offset(void)
{
    return bounce().address - arena_at(0).address;
}

static bool address_possible(const struct interface_address *a)
{
    return a->prefix <= (ip_is_four(a->address) ? 32 : 128) && !ip_is_any(a->address);
}

static bool interface_possible(const struct interface_info *i)
{
    if (i->index < 1 || i->index > INT32_MAX || i->mac >> 48 || i->mtu > 0xffff ||
        i->mtu < INTERFACE_MTU_MIN || i->queues < 1 || i->queues > INTERFACE_QUEUES_MAX ||
        i->up > 1 || i->address_count > INTERFACE_ADDRESSES_MAX)
        return false;
    if (i->mtu_six && (i->mtu_six > 0xffff || i->mtu_six < INTERFACE_MTU_SIX_MIN))
        return false;
    for (uint64_t a = 0; a < i->address_count; a++)
        if (!address_possible(&i->address[a]))
            return false;
    return true;
}

static int impossible(void)
{
    violation_count();
    return -EPROTO;
}

int network_interfaces(struct interface_list *out)
{
    int64_t error = exit_checked(EXIT_INTERFACES, 0, 0, bounce_offset(), sizeof *out, 0, 0, 0, 0);
    if (error)
        return (int)error;
    untrusted_read(out, bounce(), sizeof *out);
    if (out->count > INTERFACES_MAX)
        return impossible();
    for (uint64_t i = 0; i < out->count; i++)
        if (!interface_possible(&out->interface[i]))
            return impossible();
    return 0;
}

/* Of the destination's family, or none. */
static bool family_possible(const struct route_query *q, struct ip_address a)
{
    return ip_is_none(a) || ip_is_four(a) == ip_is_four(q->destination);
}

static bool route_possible(const struct route_query *q)
{
    return family_possible(q, q->source) && family_possible(q, q->next_hop) &&
           q->interface_index <= INT32_MAX && q->kind <= ROUTE_MULTICAST && !(q->mac >> 48) &&
           q->hop_limit <= 255 && (q->hop_limit || q->kind != ROUTE_UNICAST) &&
           q->neighbour_known <= 2;
}

int network_route(struct route_query *q)
{
    const struct ip_address destination = q->destination;
    untrusted_write(bounce(), q, sizeof *q);
    int64_t error = exit_checked(EXIT_ROUTE, 0, 0, bounce_offset(), 0, 0, 0, 0, 0);
    if (error)
        return (int)error;
    untrusted_read(q, bounce(), sizeof *q);
    q->destination = destination;
    return route_possible(q) ? 0 : impossible();
}

int network_port(enum port_operation operation, struct ip_address address, uint16_t port, int socket)
{
    const struct port_key key = {
        .address = address, .port = port, .socket = (uint64_t)(int64_t)socket};
    untrusted_write(bounce(), &key, sizeof key);
    return (int)exit_checked(EXIT_PORT, 0, 0, operation, bounce_offset(), 0, 0, 0, 0);
}

void network_neighbour(uint64_t interface, struct untrusted frame, uint32_t length)
{
    exit_call(EXIT_NEIGHBOUR, 0, interface, frame.address - arena_at(0).address, length, 0, 0, 0);
}

void network_interrupt(uint64_t thread)
{
    exit_call(EXIT_INTERRUPT, 0, thread, 0, 0, 0, 0, 0);
}

#define TICK_RATE_MIN 100000000ull
#define TICK_RATE_MAX 10000000000ull
#define TICK_RATE_USUAL 2500000000ull

uint64_t network_tick_rate(void)
{
    struct clock_sample sample;
    if (exit_checked(EXIT_CLOCK, 0, 0, bounce_offset(), 0, 0, 0, 0, 0))
        return TICK_RATE_USUAL;
    untrusted_read(&sample, bounce(), sizeof sample);
    if (sample.tsc_hz < TICK_RATE_MIN || sample.tsc_hz > TICK_RATE_MAX)
        return TICK_RATE_USUAL;
    return sample.tsc_hz;
}

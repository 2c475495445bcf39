/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of both families in one form: struct ip_address of abi/net.h. */
#ifndef LIB_ADDRESS_H
#define LIB_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/net.h"

#define IP_MAPPED 0xffffull /* the first 32 bits of `low` of an IPv4 address */

static const struct ip_address ip_none = {0, 0};

/*@ assigns \nothing;
    ensures \result.high == 0; */
static inline struct ip_address ip_four(uint32_t address)
{
    return (struct ip_address){0, IP_MAPPED << 32 | address};
}

/*@ assigns \nothing;
    ensures \result <==> (a.high == 0 && a.low / 0x100000000 == IP_MAPPED); */
static inline bool ip_is_four(struct ip_address a)
{
    return a.high == 0 && a.low / 0x100000000 == IP_MAPPED;
}

/* The IPv4 address itself. */
/*@ assigns \nothing; */
static inline uint32_t ip_to_four(struct ip_address a)
{
    return (uint32_t)(a.low & 0xffffffff);
}

/*@ assigns \nothing; */
static inline bool ip_equal(struct ip_address a, struct ip_address b)
{
    return a.high == b.high && a.low == b.low;
}

/* All zero: of IPv6, "none" too. */
/*@ assigns \nothing; */
static inline bool ip_is_none(struct ip_address a)
{
    return (a.high | a.low) == 0;
}

/* The unspecified address of either family. */
/*@ assigns \nothing; */
static inline bool ip_is_any(struct ip_address a)
{
    return a.high == 0 && (a.low == 0 || a.low == IP_MAPPED << 32);
}

/* The unspecified address of a's family. */
/*@ assigns \nothing; */
static inline struct ip_address ip_any_of(struct ip_address a)
{
    return ip_is_four(a) ? ip_four(0) : ip_none;
}

/* 127.0.0.0/8, ::1. */
/*@ assigns \nothing; */
static inline bool ip_is_loopback(struct ip_address a)
{
    return ip_is_four(a) ? ip_to_four(a) >> 24 == 127 : a.high == 0 && a.low == 1;
}

/* 224.0.0.0/4, ff00::/8. */
/*@ assigns \nothing; */
static inline bool ip_is_multicast(struct ip_address a)
{
    return ip_is_four(a) ? ip_to_four(a) >> 28 == 14 : a.high >> 56 == 0xff;
}

/* fe80::/10: means something on one link only. IPv4's are ordinary to Linux. */
/*@ assigns \nothing; */
static inline bool ip_is_link_local(struct ip_address a)
{
    return a.high >> 54 == 0x3fa;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and addresses of packets: big-endian, at any alignment. */
#ifndef NET_BYTES_H
#define NET_BYTES_H

#include <stdint.h>

#include "abi/net.h"

#define IP_BYTES 16

/*@ requires \valid_read(p + (0 .. 1));
    assigns \nothing;
    ensures \result == p[0] * 256 + p[1]; */
static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] * 256 + p[1]);
}

/*@ requires \valid_read(p + (0 .. 3));
    assigns \nothing;
    ensures \result == p[0] * 0x1000000 + p[1] * 0x10000 + p[2] * 256 + p[3]; */
static inline uint32_t load_be32(const uint8_t *p)
{
    return p[0] * 0x1000000u + p[1] * 0x10000u + p[2] * 256u + p[3];
}

/*@ requires \valid(p + (0 .. 1));
    assigns p[0 .. 1];
    ensures p[0] == value / 256 && p[1] == value % 256; */
static inline void store_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value / 256);
    p[1] = (uint8_t)(value % 256);
}

/*@ requires \valid(p + (0 .. 3));
    assigns p[0 .. 3]; */
static inline void store_be32(uint8_t *p, uint32_t value)
{
    store_be16(p, (uint16_t)(value / 0x10000));
    store_be16(p + 2, (uint16_t)(value % 0x10000));
}

/*@ requires \valid_read(p + (0 .. 7));
    assigns \nothing; */
static inline uint64_t load_be64(const uint8_t *p)
{
    return (uint64_t)load_be32(p) << 32 | load_be32(p + 4);
}

/*@ requires \valid(p + (0 .. 7));
    assigns p[0 .. 7]; */
static inline void store_be64(uint8_t *p, uint64_t value)
{
    store_be32(p, (uint32_t)(value / 0x100000000));
    store_be32(p + 4, (uint32_t)(value % 0x100000000));
}

/* The 16 bytes of a packet or a struct in6_addr. */
/*@ requires \valid_read(p + (0 .. IP_BYTES - 1));
    assigns \nothing; */
static inline struct ip_address load_ip(const uint8_t *p)
{
    return (struct ip_address){load_be64(p), load_be64(p + 8)};
}

/*@ requires \valid(p + (0 .. IP_BYTES - 1));
    assigns p[0 .. IP_BYTES - 1]; */
static inline void store_ip(uint8_t *p, struct ip_address a)
{
    store_be64(p, a.high);
    store_be64(p + 8, a.low);
}

#endif

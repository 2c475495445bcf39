/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as abi/net.h has them, and as bytes in network order. */
#ifndef HOST_ADDRESS_H
#define HOST_ADDRESS_H

#include <arpa/inet.h>
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "abi/net.h"

#define ADDRESS_MAPPED (0xffffull << 32) /* IPv4 */

static inline bool address_is_four(struct ip_address a)
{
    return a.high == 0 && a.low >> 32 == 0xffff;
}

static inline bool address_is_any(struct ip_address a)
{
    return a.high == 0 && (a.low == 0 || a.low == ADDRESS_MAPPED);
}

static inline bool address_equal(struct ip_address a, struct ip_address b)
{
    return a.high == b.high && a.low == b.low;
}

/* 4 or 16 bytes; of another size it is any. */
static inline struct ip_address address_load(const void *bytes, size_t size)
{
    uint64_t word[2] = {0, 0};
    uint32_t four = 0;
    if (size == sizeof four) {
        memcpy(&four, bytes, sizeof four);
        return (struct ip_address){0, ADDRESS_MAPPED | ntohl(four)};
    }
    if (size == sizeof word)
        memcpy(word, bytes, sizeof word);
    return (struct ip_address){be64toh(word[0]), be64toh(word[1])};
}

/* Its size in its own family. */
static inline size_t address_store(uint8_t bytes[16], struct ip_address a)
{
    const uint64_t word[2] = {htobe64(a.high), htobe64(a.low)};
    memcpy(bytes, word, sizeof word);
    if (!address_is_four(a))
        return 16;
    memmove(bytes, bytes + 12, 4);
    return 4;
}

#define MAC_BYTES 6

static inline uint64_t mac_load(const uint8_t *p)
{
    uint64_t mac = 0;
    for (int i = 0; i < MAC_BYTES; i++)
        mac = mac << 8 | p[i];
    return mac;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/checksum.h"

#define PROTOCOL_UDP 17u

uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/*@ assigns \nothing; */
static inline uint64_t address_sum(struct ip_address a)
{
    return (a.high >> 32) + (a.high & 0xffffffff) + (a.low >> 32) + (a.low & 0xffffffff);
}

uint32_t checksum_pseudo(struct ip_address source, struct ip_address destination, uint32_t length)
{
    return checksum_fold(address_sum(source) + address_sum(destination) + PROTOCOL_UDP + length);
}

/*@ requires \valid_read(p + (0 .. 3));
    assigns \nothing; */
static inline uint64_t word(const uint8_t *p)
{
    return (uint32_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/*
 * The order of bytes within the words does not matter to a ones' complement sum but for swapping the
 * result (RFC 1071, 2 (B)): words as the CPU loads them, two sums so that neither add waits.
 */
uint32_t checksum_sum(const uint8_t *p, size_t length)
{
    uint64_t even = 0, odd = 0;
    size_t i = 0;
    /*@ loop invariant 0 <= i <= length;
        loop assigns i, even, odd;
        loop variant length - i; */
    while (length - i >= 16) {
        even += word(p + i) + word(p + i + 8);
        odd += word(p + i + 4) + word(p + i + 12);
        i += 16;
    }
    /*@ loop invariant 0 <= i <= length;
        loop assigns i, even;
        loop variant length - i; */
    while (length - i >= 4) {
        even += word(p + i);
        i += 4;
    }
    /*@ loop invariant 0 <= i <= length;
        loop assigns i, even;
        loop variant length - i; */
    while (length - i >= 2) {
        even += (uint64_t)(p[i] + p[i + 1] * 256);
        i += 2;
    }
    if (i < length)
        even += p[i];
    uint32_t little = checksum_fold(even + odd);
    return (little % 256) * 256 + little / 256;
}

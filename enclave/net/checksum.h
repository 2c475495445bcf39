/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Internet checksum (RFC 1071). A sum is a number whose ones' complement fold is that of the bytes
 * taken as big-endian 16-bit words; sums of pieces that begin at even offsets may be added.
 */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "abi/net.h"

/* No piece of a packet is longer: keeps every sum far from overflow. */
#define CHECKSUM_LENGTH_MAX 0x10000u

/*@ requires length <= CHECKSUM_LENGTH_MAX;
    requires \valid_read(p + (0 .. length - 1));
    assigns \nothing;
    ensures \result <= 0xffff; */
uint32_t checksum_sum(const uint8_t *p, size_t length);

/*@ assigns \nothing;
    ensures \result <= 0xffff; */
uint16_t checksum_fold(uint64_t sum);

/*
 * Of the pseudo-header of a UDP datagram in either family (RFC 768; RFC 8200, 8.1); `length` is that of UDP
 * header and payload. The ::ffff: before an IPv4 address does not count: 0xffff is a ones' complement zero.
 */
/*@ assigns \nothing;
    ensures \result <= 0xffff; */
uint32_t checksum_pseudo(struct ip_address source, struct ip_address destination, uint32_t length);

#endif

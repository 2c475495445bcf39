/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_ETHERNET_H
#define NET_ETHERNET_H

#include <stdbool.h>
#include <stdint.h>

#define ETHERNET_HEADER 14u
#define ETHERNET_TYPE_IPV4 0x0800u
#define ETHERNET_TYPE_IPV6 0x86ddu
#define ETHERNET_TYPE_ARP 0x0806u
#define MAC_BYTES 6

/* Type of the frame's contents (IEEE 802.3). */
/*@ requires \valid_read(p + (0 .. ETHERNET_HEADER - 1));
    assigns \nothing; */
uint16_t ethernet_type(const uint8_t *p);

/* Is it about neighbours: ARP (RFC 826), or neighbour discovery of IPv6 (RFC 4861)? The first `n` bytes of the
 * frame are at p. */
/*@ requires \valid_read(p + (0 .. n - 1));
    assigns \nothing;
    ensures n < ETHERNET_HEADER ==> !\result; */
bool ethernet_is_neighbour(const uint8_t *p, uint32_t n);

/* Addresses are the low 48 bits, the first byte on the wire highest. */
/*@ requires \valid(p + (0 .. ETHERNET_HEADER - 1));
    assigns p[0 .. ETHERNET_HEADER - 1]; */
void ethernet_build(uint8_t *p, uint64_t destination, uint64_t source, uint16_t type);

#endif

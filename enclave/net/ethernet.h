/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_ETHERNET_H
#define NET_ETHERNET_H

#include <stdint.h>

#define ETHERNET_HEADER 14u
#define ETHERNET_TYPE_IPV4 0x0800u
#define ETHERNET_TYPE_IPV6 0x86ddu
#define MAC_BYTES 6

/* Type of the frame's contents (IEEE 802.3). */
/*@ requires \valid_read(p + (0 .. ETHERNET_HEADER - 1));
    assigns \nothing; */
uint16_t ethernet_type(const uint8_t *p);

/* Addresses are the low 48 bits, the first byte on the wire highest. */
/*@ requires \valid(p + (0 .. ETHERNET_HEADER - 1));
    assigns p[0 .. ETHERNET_HEADER - 1]; */
void ethernet_build(uint8_t *p, uint64_t destination, uint64_t source, uint16_t type);

#endif

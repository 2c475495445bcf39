/* SPDX-License-Identifier: Apache-2.0 */
/* UDP datagrams in IPv4 and IPv6 packets in Ethernet frames. */
#ifndef NET_UDP_H
#define NET_UDP_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/lib/address.h"
#include "enclave/net/ethernet.h"
#include "enclave/net/ipv4.h"
#include "enclave/net/ipv6.h"

#define UDP_HEADER 8u
/* In front of the payload when there are no options and no extension headers. */
#define UDP_OVERHEAD (ETHERNET_HEADER + IPV4_HEADER + UDP_HEADER)
#define UDP_OVERHEAD_SIX (ETHERNET_HEADER + IPV6_HEADER + UDP_HEADER)
#define UDP_OVERHEAD_MAX (ETHERNET_HEADER + IPV6_HEADER_MAX + UDP_HEADER)
/* Of the payload. IPv6 could carry more only in jumbograms. */
#define UDP_PAYLOAD_MAX (0xffffu - IPV4_HEADER - UDP_HEADER)
#define UDP_PAYLOAD_MAX_SIX (0xffffu - UDP_HEADER)

/*@ assigns \nothing;
    ensures \result == UDP_OVERHEAD || \result == UDP_OVERHEAD_SIX; */
static inline uint32_t udp_overhead(struct ip_address destination)
{
    return ip_is_four(destination) ? UDP_OVERHEAD : UDP_OVERHEAD_SIX;
}

enum udp_checksum {
    UDP_CHECKSUM_GOOD,     /* nothing to check: the sender sent none, or left it to hardware that is not
                              there (the field holds the pseudo-header's sum) */
    UDP_CHECKSUM_PAYLOAD,  /* the payload's sum and `sum` must fold to 0xffff */
};

/* A datagram that was received. Ports in host order. */
struct udp_datagram {
    struct ip_address source, destination;
    uint16_t source_port, destination_port;
    uint32_t offset; /* of the payload, from the first byte of the frame */
    uint32_t length; /* of the payload */
    uint32_t sum;    /* of pseudo-header and UDP header */
    uint32_t flow;   /* IPv6: traffic class and flow label, as in the first word of its header */
    enum udp_checksum checksum;
    uint8_t ttl, tos; /* of IPv6: hop limit, traffic class */
};

/*@ predicate udp_datagram_valid(struct udp_datagram *d, integer length) =
      UDP_OVERHEAD <= d->offset <= UDP_OVERHEAD_MAX &&
      d->length <= length - d->offset && d->length <= UDP_PAYLOAD_MAX_SIX; */

/*
 * Reads the headers of a frame of `length` bytes, the first `n` of which are at `p`. 0; -EINVAL: it is
 * not one whole UDP datagram; -EBADMSG: the IPv4 header's checksum is wrong, or there is none where IPv6
 * asks for one.
 */
/*@ requires n <= length;
    requires \valid_read(p + (0 .. n - 1));
    requires \valid(out);
    requires \separated(out, p + (0 .. n - 1));
    assigns *out;
    ensures \result == 0 ==> udp_datagram_valid(out, length); */
int udp_parse(const uint8_t *p, uint32_t n, uint32_t length, struct udp_datagram *out);

/* A datagram that is to be sent. */
struct udp_fields {
    uint64_t source_mac, destination_mac;
    struct ip_address source, destination; /* of one family */
    uint16_t source_port, destination_port;
    uint16_t length;      /* of the payload, at most UDP_PAYLOAD_MAX */
    uint16_t payload_sum; /* checksum_sum of it */
    uint16_t identification;
    uint8_t ttl, tos;
    uint32_t flow_label; /* IPv6: 20 bits */
    bool may_fragment;   /* IPv4 */
    bool half_sum; /* only the pseudo-header's sum into the checksum field: the kernel adds the rest */
};

/* Writes the headers that go before the payload: udp_overhead(f->destination) bytes. */
/*@ requires \valid(p + (0 .. UDP_OVERHEAD_SIX - 1));
    requires \valid_read(f) && f->length <= UDP_PAYLOAD_MAX && f->flow_label <= 0xfffff;
    requires \separated(f, p + (0 .. UDP_OVERHEAD_SIX - 1));
    assigns p[0 .. UDP_OVERHEAD_SIX - 1]; */
void udp_build(uint8_t *p, const struct udp_fields *f);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_IPV6_H
#define NET_IPV6_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/lib/address.h"

#define IPV6_HEADER 40u      /* without extension headers */
#define IPV6_HEADER_MAX 104u /* with as many of them as are taken */
#define IPV6_PROTOCOL_UDP 17u

struct ipv6_header {
    struct ip_address source, destination;
    uint32_t header_length; /* with extension headers */
    uint32_t total_length;  /* headers and payload */
    uint32_t flow_label;
    uint8_t protocol, hop_limit, traffic_class;
};

/*@ predicate ipv6_header_valid(struct ipv6_header *h, integer length) =
      IPV6_HEADER <= h->header_length <= IPV6_HEADER_MAX &&
      h->header_length <= h->total_length <= length &&
      h->total_length <= 0xffff + IPV6_HEADER && h->flow_label <= 0xfffff; */

/*
 * Reads the headers (RFC 8200) of a packet of `length` bytes, the first `n` of which are at `p`. Of extension
 * headers those are walked over that ask nothing of whoever does not know what is in them. 0; -EINVAL: not
 * one whole IPv6 packet, or one that only the kernel deals with: fragments, jumbograms, other extensions;
 * or an address that would be taken for one of IPv4.
 */
/*@ requires n <= length;
    requires \valid_read(p + (0 .. n - 1));
    requires \valid(out);
    requires \separated(out, p + (0 .. n - 1));
    assigns *out;
    ensures \result == 0 ==> ipv6_header_valid(out, length) && out->header_length <= n; */
int ipv6_parse(const uint8_t *p, uint32_t n, uint32_t length, struct ipv6_header *out);

struct ipv6_fields {
    struct ip_address source, destination;
    uint32_t flow_label; /* 20 bits */
    uint16_t payload_length;
    uint8_t protocol, hop_limit, traffic_class;
};

/* Writes a header without extension headers. */
/*@ requires \valid(p + (0 .. IPV6_HEADER - 1));
    requires \valid_read(f) && f->flow_label <= 0xfffff;
    requires \separated(f, p + (0 .. IPV6_HEADER - 1));
    assigns p[0 .. IPV6_HEADER - 1]; */
void ipv6_build(uint8_t *p, const struct ipv6_fields *f);

#endif

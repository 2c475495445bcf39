/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_IPV4_H
#define NET_IPV4_H

#include <stdbool.h>
#include <stdint.h>

#define IPV4_HEADER 20u     /* without options */
#define IPV4_HEADER_MAX 60u
#define IPV4_PROTOCOL_UDP 17u

/* Addresses in host order. */
struct ipv4_header {
    uint32_t source, destination;
    uint32_t header_length; /* with options */
    uint32_t total_length;  /* header and payload */
    uint8_t protocol, ttl, tos;
};

/*@ predicate ipv4_header_valid(struct ipv4_header *h, integer length) =
      IPV4_HEADER <= h->header_length <= IPV4_HEADER_MAX &&
      h->header_length <= h->total_length <= length &&
      h->total_length <= 0xffff; */

/*
 * Reads the header (RFC 791) of a packet of `length` bytes, the first `n` of which are at `p`. 0;
 * -EINVAL: not one whole IPv4 packet (fragments included); -EBADMSG: the header's checksum is wrong.
 */
/*@ requires n <= length;
    requires \valid_read(p + (0 .. n - 1));
    requires \valid(out);
    requires \separated(out, p + (0 .. n - 1));
    assigns *out;
    ensures \result == 0 ==> ipv4_header_valid(out, length) && out->header_length <= n; */
int ipv4_parse(const uint8_t *p, uint32_t n, uint32_t length, struct ipv4_header *out);

struct ipv4_fields {
    uint32_t source, destination;
    uint16_t total_length, identification;
    uint8_t protocol, ttl, tos;
    bool may_fragment;
};

/* Writes a header without options, its checksum included. */
/*@ requires \valid(p + (0 .. IPV4_HEADER - 1));
    requires \valid_read(f);
    requires \separated(f, p + (0 .. IPV4_HEADER - 1));
    assigns p[0 .. IPV4_HEADER - 1]; */
void ipv4_build(uint8_t *p, const struct ipv4_fields *f);

#endif

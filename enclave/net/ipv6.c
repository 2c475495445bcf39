/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/ipv6.h"

#include <errno.h>

#include "enclave/net/bytes.h"

/* Next header values (IANA, protocol numbers). */
#define HOP_BY_HOP 0u
#define ROUTING 43u
#define DESTINATION_OPTIONS 60u

#define OPTION_PAD1 0u
/* The two highest bits of an option's type: zero, skip it if it is not known (RFC 8200, 4.2). */
#define OPTION_SKIP_MAX 0x3fu

/* Are the options in bytes `at` to `end` all of the kind that may be skipped? */
/*@ requires at <= end;
    requires \valid_read(p + (0 .. end - 1));
    assigns \nothing; */
static bool options_skippable(const uint8_t *p, uint32_t at, uint32_t end)
{
    /*@ loop invariant at <= end;
        loop assigns at;
        loop variant end - at; */
    while (at < end) {
        if (p[at] == OPTION_PAD1) {
            at++;
            continue;
        }
        if (p[at] > OPTION_SKIP_MAX || end - at < 2 || p[at + 1] > end - at - 2)
            return false;
        at += 2u + p[at + 1];
    }
    return true;
}

/* Of an extension header of `size` bytes at `at`: may it be walked over? */
/*@ requires size >= 8 && at <= 0xffff && size <= 0xffff;
    requires \valid_read(p + (0 .. at + size - 1));
    assigns \nothing; */
static bool extension_acceptable(const uint8_t *p, uint32_t at, uint32_t size, uint8_t kind)
{
    switch (kind) {
    case HOP_BY_HOP:
        return at == IPV6_HEADER && options_skippable(p, at + 2, at + size); /* only the first */
    case DESTINATION_OPTIONS:
        return options_skippable(p, at + 2, at + size);
    case ROUTING:
        return p[at + 3] == 0; /* segments left: it has arrived */
    }
    return false;
}

/*@ assigns \nothing; */
static bool is_extension(uint8_t kind)
{
    return kind == HOP_BY_HOP || kind == ROUTING || kind == DESTINATION_OPTIONS;
}

/*
 * Where the headers end, 0: they are not to be walked. `known` bytes are at p. *kind: of what follows.
 */
/*@ requires IPV6_HEADER <= known <= IPV6_HEADER_MAX;
    requires \valid_read(p + (0 .. known - 1));
    requires \valid(kind) && \separated(kind, p + (0 .. known - 1));
    assigns *kind;
    ensures \result == 0 || IPV6_HEADER <= \result <= known; */
static uint32_t headers_end(const uint8_t *p, uint32_t known, uint8_t *kind)
{
    uint32_t at = IPV6_HEADER;
    uint8_t next = p[6];
    /*@ loop invariant IPV6_HEADER <= at <= known;
        loop assigns at, next;
        loop variant known - at; */
    while (is_extension(next)) {
        if (known - at < 8)
            return 0;
        uint32_t size = (p[at + 1] + 1u) * 8u;
        if (size > known - at || !extension_acceptable(p, at, size, next))
            return 0;
        next = p[at];
        at += size;
    }
    *kind = next;
    return at;
}

int ipv6_parse(const uint8_t *p, uint32_t n, uint32_t length, struct ipv6_header *out)
{
    uint8_t protocol = 0;
    if (n < IPV6_HEADER || p[0] / 16 != 6)
        return -EINVAL;
    uint32_t total = IPV6_HEADER + load_be16(p + 4);
    if (total > length)
        return -EINVAL;
    uint32_t known = n < total ? n : total;
    uint32_t end = headers_end(p, known < IPV6_HEADER_MAX ? known : IPV6_HEADER_MAX, &protocol);
    if (!end)
        return -EINVAL;
    struct ip_address source = load_ip(p + 8), destination = load_ip(p + 24);
    if (ip_is_four(source) || ip_is_four(destination))
        return -EINVAL;
    out->source = source;
    out->destination = destination;
    out->header_length = end;
    out->total_length = total;
    out->flow_label = (p[1] % 16) * 0x10000u + load_be16(p + 2);
    out->protocol = protocol;
    out->hop_limit = p[7];
    out->traffic_class = (uint8_t)((p[0] % 16) * 16 + p[1] / 16);
    return 0;
}

void ipv6_build(uint8_t *p, const struct ipv6_fields *f)
{
    p[0] = (uint8_t)(0x60 + f->traffic_class / 16);
    p[1] = (uint8_t)((f->traffic_class % 16) * 16 + f->flow_label / 0x10000);
    store_be16(p + 2, (uint16_t)(f->flow_label % 0x10000));
    store_be16(p + 4, f->payload_length);
    p[6] = f->protocol;
    p[7] = f->hop_limit;
    store_ip(p + 8, f->source);
    store_ip(p + 24, f->destination);
}

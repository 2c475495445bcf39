/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/ipv4.h"

#include <errno.h>

#include "enclave/net/bytes.h"
#include "enclave/net/checksum.h"

#define DONT_FRAGMENT 0x4000u
#define FRAGMENT_BITS 0x3fffu /* more fragments, offset */

int ipv4_parse(const uint8_t *p, uint32_t n, uint32_t length, struct ipv4_header *out)
{
    if (n < IPV4_HEADER || p[0] / 16 != 4)
        return -EINVAL;
    uint32_t header = (p[0] % 16) * 4u;
    uint32_t total = load_be16(p + 2);
    if (header < IPV4_HEADER || header > n || total < header || total > length)
        return -EINVAL;
    if (load_be16(p + 6) & FRAGMENT_BITS)
        return -EINVAL;
    if (checksum_sum(p, header) != 0xffff)
        return -EBADMSG;
    out->header_length = header;
    out->total_length = total;
    out->tos = p[1];
    out->ttl = p[8];
    out->protocol = p[9];
    out->source = load_be32(p + 12);
    out->destination = load_be32(p + 16);
    return 0;
}

void ipv4_build(uint8_t *p, const struct ipv4_fields *f)
{
    p[0] = 0x45;
    p[1] = f->tos;
    store_be16(p + 2, f->total_length);
    store_be16(p + 4, f->identification);
    store_be16(p + 6, f->may_fragment ? 0 : DONT_FRAGMENT);
    p[8] = f->ttl;
    p[9] = f->protocol;
    store_be16(p + 10, 0);
    store_be32(p + 12, f->source);
    store_be32(p + 16, f->destination);
    store_be16(p + 10, (uint16_t)(0xffffu - checksum_sum(p, IPV4_HEADER)));
}

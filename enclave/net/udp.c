/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/udp.h"

#include <errno.h>

#include "enclave/net/bytes.h"
#include "enclave/net/checksum.h"

int udp_parse(const uint8_t *p, uint32_t n, uint32_t length, struct udp_datagram *out)
{
    struct ipv4_header ip;
    if (n < ETHERNET_HEADER || ethernet_type(p) != ETHERNET_TYPE_IPV4)
        return -EINVAL;
    int error = ipv4_parse(p + ETHERNET_HEADER, n - ETHERNET_HEADER, length - ETHERNET_HEADER, &ip);
    if (error)
        return error;
    uint32_t at = ETHERNET_HEADER + ip.header_length;
    if (ip.protocol != IPV4_PROTOCOL_UDP || n - at < UDP_HEADER)
        return -EINVAL;
    uint32_t udp_length = load_be16(p + at + 4);
    if (udp_length < UDP_HEADER || udp_length > ip.total_length - ip.header_length)
        return -EINVAL;
    out->source = ip.source;
    out->destination = ip.destination;
    out->ttl = ip.ttl;
    out->tos = ip.tos;
    out->source_port = load_be16(p + at);
    out->destination_port = load_be16(p + at + 2);
    out->offset = at + UDP_HEADER;
    out->length = udp_length - UDP_HEADER;

    uint32_t pseudo = checksum_pseudo(ip.source, ip.destination, (uint16_t)udp_length);
    uint16_t field = load_be16(p + at + 6);
    out->sum = pseudo + checksum_sum(p + at, UDP_HEADER);
    out->checksum = field == 0 || field == checksum_fold(pseudo) ? UDP_CHECKSUM_GOOD
                                                                  : UDP_CHECKSUM_PAYLOAD;
    return 0;
}

void udp_build(uint8_t *p, const struct udp_fields *f)
{
    uint8_t *ip = p + ETHERNET_HEADER, *udp = ip + IPV4_HEADER;
    uint16_t udp_length = (uint16_t)(f->length + UDP_HEADER);
    const struct ipv4_fields fields = {
        .source = f->source,
        .destination = f->destination,
        .total_length = (uint16_t)(udp_length + IPV4_HEADER),
        .identification = f->identification,
        .protocol = IPV4_PROTOCOL_UDP,
        .ttl = f->ttl,
        .tos = f->tos,
        .may_fragment = f->may_fragment,
    };
    ethernet_build(p, f->destination_mac, f->source_mac, ETHERNET_TYPE_IPV4);
    ipv4_build(ip, &fields);
    store_be16(udp, f->source_port);
    store_be16(udp + 2, f->destination_port);
    store_be16(udp + 4, udp_length);
    uint32_t pseudo = checksum_pseudo(f->source, f->destination, udp_length);
    if (f->half_sum) {
        store_be16(udp + 6, checksum_fold(pseudo));
        return;
    }
    uint64_t sum = (uint64_t)pseudo + f->source_port + f->destination_port + udp_length + f->payload_sum;
    uint16_t checksum = (uint16_t)(0xffffu - checksum_fold(sum));
    store_be16(udp + 6, checksum ? checksum : 0xffff); /* 0 means none (RFC 768) */
}

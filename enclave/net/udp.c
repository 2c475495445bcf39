/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/udp.h"

#include <errno.h>

#include "enclave/net/bytes.h"
#include "enclave/net/checksum.h"

/* What both families tell of a packet. */
struct ip_header {
    struct ip_address source, destination;
    uint32_t header_length, total_length, flow;
    uint8_t protocol, ttl, tos;
};

/*@ predicate ip_header_valid(struct ip_header *h, integer length) =
      IPV4_HEADER <= h->header_length <= IPV6_HEADER_MAX &&
      h->header_length <= h->total_length <= length &&
      h->total_length <= 0xffff + IPV6_HEADER; */

/*@ requires n <= length;
    requires \valid_read(p + (0 .. n - 1));
    requires \valid(out);
    requires \separated(out, p + (0 .. n - 1));
    assigns *out;
    ensures \result == 0 ==> ip_header_valid(out, length) && out->header_length <= n; */
static int parse_four(const uint8_t *p, uint32_t n, uint32_t length, struct ip_header *out)
{
    struct ipv4_header ip;
    int error = ipv4_parse(p, n, length, &ip);
    if (error)
        return error;
    out->source = ip_four(ip.source);
    out->destination = ip_four(ip.destination);
    out->header_length = ip.header_length;
    out->total_length = ip.total_length;
    out->flow = 0;
    out->protocol = ip.protocol;
    out->ttl = ip.ttl;
    out->tos = ip.tos;
    return 0;
}

/*@ requires n <= length;
    requires \valid_read(p + (0 .. n - 1));
    requires \valid(out);
    requires \separated(out, p + (0 .. n - 1));
    assigns *out;
    ensures \result == 0 ==> ip_header_valid(out, length) && out->header_length <= n &&
                             out->header_length >= IPV6_HEADER; */
static int parse_six(const uint8_t *p, uint32_t n, uint32_t length, struct ip_header *out)
{
    struct ipv6_header ip;
    int error = ipv6_parse(p, n, length, &ip);
    if (error)
        return error;
    out->source = ip.source;
    out->destination = ip.destination;
    out->header_length = ip.header_length;
    out->total_length = ip.total_length;
    out->flow = ip.traffic_class * 0x100000u + ip.flow_label;
    out->protocol = ip.protocol;
    out->ttl = ip.hop_limit;
    out->tos = ip.traffic_class;
    return 0;
}

int udp_parse(const uint8_t *p, uint32_t n, uint32_t length, struct udp_datagram *out)
{
    struct ip_header ip;
    if (n < ETHERNET_HEADER)
        return -EINVAL;
    uint16_t type = ethernet_type(p);
    if (type != ETHERNET_TYPE_IPV4 && type != ETHERNET_TYPE_IPV6)
        return -EINVAL;
    bool six = type == ETHERNET_TYPE_IPV6;
    const uint8_t *packet = p + ETHERNET_HEADER;
    uint32_t known = n - ETHERNET_HEADER, whole = length - ETHERNET_HEADER;
    int error = six ? parse_six(packet, known, whole, &ip) : parse_four(packet, known, whole, &ip);
    if (error)
        return error;
    uint32_t at = ETHERNET_HEADER + ip.header_length, room = ip.total_length - ip.header_length;
    if (ip.protocol != IPV4_PROTOCOL_UDP || n - at < UDP_HEADER)
        return -EINVAL;
    uint32_t udp_length = load_be16(p + at + 4);
    if (six && udp_length == 0 && room <= 0xffff)
        udp_length = room; /* RFC 2675, 4: all there is. Linux takes it without a jumbo option too */
    if (udp_length < UDP_HEADER || udp_length > room)
        return -EINVAL;
    out->source = ip.source;
    out->destination = ip.destination;
    out->ttl = ip.ttl;
    out->tos = ip.tos;
    out->flow = ip.flow;
    out->source_port = load_be16(p + at);
    out->destination_port = load_be16(p + at + 2);
    out->offset = at + UDP_HEADER;
    out->length = udp_length - UDP_HEADER;

    uint32_t pseudo = checksum_pseudo(ip.source, ip.destination, udp_length);
    uint16_t field = load_be16(p + at + 6);
    if (six && field == 0)
        return -EBADMSG; /* RFC 8200, 8.1 */
    out->sum = pseudo + checksum_sum(p + at, UDP_HEADER);
    out->checksum = field == 0 || field == pseudo ? UDP_CHECKSUM_GOOD : UDP_CHECKSUM_PAYLOAD;
    return 0;
}

/*@ requires \valid(p + (0 .. IPV6_HEADER - 1));
    requires \valid_read(f) && f->length <= UDP_PAYLOAD_MAX && f->flow_label <= 0xfffff;
    requires \separated(f, p + (0 .. IPV6_HEADER - 1));
    assigns p[0 .. IPV6_HEADER - 1]; */
static void build_ip(uint8_t *p, const struct udp_fields *f)
{
    uint16_t udp_length = (uint16_t)(f->length + UDP_HEADER);
    if (!ip_is_four(f->destination)) {
        const struct ipv6_fields six = {
            .source = f->source,
            .destination = f->destination,
            .flow_label = f->flow_label,
            .payload_length = udp_length,
            .protocol = IPV6_PROTOCOL_UDP,
            .hop_limit = f->ttl,
            .traffic_class = f->tos,
        };
        ipv6_build(p, &six);
        return;
    }
    const struct ipv4_fields four = {
        .source = ip_to_four(f->source),
        .destination = ip_to_four(f->destination),
        .total_length = (uint16_t)(udp_length + IPV4_HEADER),
        .identification = f->identification,
        .protocol = IPV4_PROTOCOL_UDP,
        .ttl = f->ttl,
        .tos = f->tos,
        .may_fragment = f->may_fragment,
    };
    ipv4_build(p, &four);
}

void udp_build(uint8_t *p, const struct udp_fields *f)
{
    bool four = ip_is_four(f->destination);
    uint8_t *ip = p + ETHERNET_HEADER, *udp = ip + (four ? IPV4_HEADER : IPV6_HEADER);
    uint16_t udp_length = (uint16_t)(f->length + UDP_HEADER);
    ethernet_build(p, f->destination_mac, f->source_mac,
                   four ? ETHERNET_TYPE_IPV4 : ETHERNET_TYPE_IPV6);
    build_ip(ip, f);
    store_be16(udp, f->source_port);
    store_be16(udp + 2, f->destination_port);
    store_be16(udp + 4, udp_length);
    uint32_t pseudo = checksum_pseudo(f->source, f->destination, udp_length);
    if (f->half_sum) {
        store_be16(udp + 6, (uint16_t)pseudo);
        return;
    }
    uint64_t sum = (uint64_t)pseudo + f->source_port + f->destination_port + udp_length + f->payload_sum;
    uint16_t checksum = (uint16_t)(0xffffu - checksum_fold(sum));
    store_be16(udp + 6, checksum ? checksum : 0xffff); /* 0 means none (RFC 768) */
}

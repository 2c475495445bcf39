/* SPDX-License-Identifier: Apache-2.0 */
/* What goes with a datagram besides its payload, in the order and to the last byte as the kernel has it. */
#include <netinet/in.h>

#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/net/bytes.h"
#include "enclave/os/udp_socket.h"

#define FLOW_MASK 0x0fffffffu

static int interface_of(const struct udp_packet *p)
{
    return (int)xsk_interface(xsk_at(p->interface));
}

/* A program's buffer that is filled from its beginning. */
struct control {
    struct msghdr *m;
    size_t room;
};

/* As put_cmsg() of the kernel: what does not fit is cut, header and all only when not even that fits. */
static void put(struct control *c, int level, int type, const void *data, size_t n)
{
    struct msghdr *m = c->m;
    size_t left = c->room - m->msg_controllen, length = CMSG_LEN(n);
    if (left < sizeof(struct cmsghdr)) {
        m->msg_flags |= MSG_CTRUNC;
        return;
    }
    if (left < length) {
        m->msg_flags |= MSG_CTRUNC;
        length = left;
    }
    const struct cmsghdr header = {.cmsg_len = length, .cmsg_level = level, .cmsg_type = type};
    uint8_t *at = (uint8_t *)m->msg_control + m->msg_controllen;
    memcpy(at, &header, sizeof header);
    memcpy(at + sizeof header, data, length - sizeof header);
    m->msg_controllen += MIN(CMSG_SPACE(n), left);
}

static void put_int(struct control *c, int level, int type, int value)
{
    put(c, level, type, &value, sizeof value);
}

static void put_interface(struct control *c, const struct udp_packet *p)
{
    struct in_pktinfo info = {.ipi_ifindex = interface_of(p)};
    store_be32((uint8_t *)&info.ipi_addr, ip_to_four(p->destination));
    store_be32((uint8_t *)&info.ipi_spec_dst, ip_to_four(p->destination));
    put(c, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
}

static void put_interface_six(struct control *c, const struct udp_packet *p)
{
    struct in6_pktinfo info = {.ipi6_ifindex = (unsigned)interface_of(p)};
    store_ip(info.ipi6_addr.s6_addr, p->destination);
    put(c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

static void put_flow(struct control *c, const struct udp_packet *p)
{
    uint8_t flow[4];
    if (!(p->flow & FLOW_MASK))
        return;
    store_be32(flow, p->flow & FLOW_MASK);
    put(c, IPPROTO_IPV6, IPV6_FLOWINFO, flow, sizeof flow);
}

/* The sender's address in the socket's family; its size. */
static socklen_t source_address(const struct udp_socket *s, const struct udp_packet *p, void *to,
                                size_t room)
{
    if (s->six) {
        struct sockaddr_in6 from = {.sin6_family = AF_INET6};
        store_ip(from.sin6_addr.s6_addr, p->source);
        store_be16((uint8_t *)&from.sin6_port, p->source_port);
        if (ip_is_link_local(p->source))
            from.sin6_scope_id = (uint32_t)interface_of(p);
        memcpy(to, &from, MIN(sizeof from, room));
        return sizeof from;
    }
    struct sockaddr_in from = {.sin_family = AF_INET};
    store_be32((uint8_t *)&from.sin_addr, ip_to_four(p->source));
    store_be16((uint8_t *)&from.sin_port, p->source_port);
    memcpy(to, &from, MIN(sizeof from, room));
    return sizeof from;
}

void udp_fill_header(const struct udp_socket *s, const struct udp_packet *p, struct msghdr *m)
{
    const struct udp_reports *r = &s->reports;
    struct control c = {.m = m, .room = m->msg_control ? m->msg_controllen : 0};
    bool four = ip_is_four(p->source);
    m->msg_controllen = 0;
    if (m->msg_name)
        m->msg_namelen = source_address(s, p, m->msg_name, m->msg_namelen);
    if (s->six && r->interface_six)
        put_interface_six(&c, p);
    if (four && r->interface)
        put_interface(&c, p);
    if (four && r->ttl)
        put_int(&c, IPPROTO_IP, IP_TTL, p->ttl);
    if (four && r->tos)
        put(&c, IPPROTO_IP, IP_TOS, &p->tos, sizeof p->tos);
    if (!four && r->hop_limit)
        put_int(&c, IPPROTO_IPV6, IPV6_HOPLIMIT, p->ttl);
    if (!four && r->class)
        put_int(&c, IPPROTO_IPV6, IPV6_TCLASS, p->tos);
    if (!four && r->flow)
        put_flow(&c, p);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What goes with a datagram besides its payload, in the order and to the last byte as the kernel has it. */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/time.h>

#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/net/bytes.h"
#include "enclave/net/interface.h"
#include "enclave/os/time.h"
#include "enclave/os/udp_socket.h"

#define FLOW_MASK 0x0fffffffu
#define SECOND 1000000000ull

static int interface_of(const struct udp_packet *p)
{
    return (int)xsk_interface(xsk_at(p->interface));
}

void udp_put_control(struct msghdr *m, size_t room, int level, int type, const void *data, size_t n)
{
    size_t left = room - m->msg_controllen, length = CMSG_LEN(n);
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

/* A program's buffer that is filled from its beginning. */
struct control {
    struct msghdr *m;
    size_t room;
};

static void put(struct control *c, int level, int type, const void *data, size_t n)
{
    udp_put_control(c->m, c->room, level, type, data, n);
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

static void put_timestamp(struct control *c, int name, const struct udp_packet *p)
{
    uint64_t ns = time_realtime_at(p->arrived);
    bool fine = name == SO_TIMESTAMPNS || name == SO_TIMESTAMPNS_NEW;
    /* struct timeval or struct timespec; the newer forms are the same here. */
    const int64_t time[2] = {(int64_t)(ns / SECOND), (int64_t)(fine ? ns % SECOND : ns % SECOND / 1000)};
    put(c, SOL_SOCKET, name, time, sizeof time);
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

void udp_fill_header(const struct udp_socket *s, const struct udp_packet *p, uint16_t row_of,
                     struct msghdr *m)
{
    const struct udp_reports *r = &s->reports;
    struct control c = {.m = m, .room = m->msg_control ? m->msg_controllen : 0};
    bool four = ip_is_four(p->source);
    m->msg_controllen = 0;
    if (m->msg_name)
        m->msg_namelen = source_address(s, p, m->msg_name, m->msg_namelen);
    if (r->timestamp)
        put_timestamp(&c, r->timestamp, p);
    if (row_of)
        put_int(&c, IPPROTO_UDP, UDP_GRO, row_of);
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

/* ---- sending ---- */

/* What stands in an element, if it has that size. */
static bool data_of(const struct cmsghdr *c, void *out, size_t n)
{
    if (c->cmsg_len != CMSG_LEN(n))
        return false;
    memcpy(out, (const uint8_t *)c + CMSG_LEN(0), n);
    return true;
}

static bool take_device(struct udp_sending *out, int index)
{
    if (index < 0 || (index && out->device && (uint64_t)index != out->device))
        return false;
    if (index)
        out->device = (uint64_t)index;
    return true;
}

/* An address of ours: others the kernel takes under conditions that only it knows. */
static bool take_source(struct udp_sending *out, struct ip_address source)
{
    if (ip_is_any(source))
        return true;
    out->source = source;
    return ip_is_four(source) == ip_is_four(out->address) && interface_owns(0, source);
}

static bool take_interface(const struct cmsghdr *c, struct udp_sending *out)
{
    struct in_pktinfo info;
    return data_of(c, &info, sizeof info) && take_device(out, info.ipi_ifindex) &&
           take_source(out, ip_four(load_be32((const uint8_t *)&info.ipi_spec_dst)));
}

/* With an IPv4 destination it must tell a mapped address, and none is not one. */
static bool take_interface_six(const struct cmsghdr *c, struct udp_sending *out)
{
    struct in6_pktinfo info;
    if (!data_of(c, &info, sizeof info))
        return false;
    struct ip_address source = load_ip(info.ipi6_addr.s6_addr);
    return ip_is_four(out->address) <= ip_is_four(source) &&
           take_device(out, (int)info.ipi6_ifindex) && take_source(out, source);
}

static bool take_number(const struct cmsghdr *c, int least, uint8_t *out)
{
    int value;
    if (!data_of(c, &value, sizeof value) || value < least || value > 255)
        return false;
    *out = (uint8_t)value;
    return true;
}

static bool take_four(const struct cmsghdr *c, struct udp_sending *out)
{
    switch (c->cmsg_type) {
    case IP_PKTINFO:
        return take_interface(c, out);
    case IP_TTL:
        return take_number(c, 1, &out->ttl);
    case IP_TOS:
        return data_of(c, &out->tos, sizeof out->tos) || take_number(c, 0, &out->tos);
    }
    return false;
}

static bool take_six(const struct cmsghdr *c, struct udp_sending *out)
{
    uint8_t unused;
    switch (c->cmsg_type) {
    case IPV6_PKTINFO:
        return take_interface_six(c, out);
    case IPV6_HOPLIMIT:
        return take_number(c, 1, &out->ttl);
    case IPV6_TCLASS:
        return take_number(c, 0, &out->tos);
    case IPV6_DONTFRAG:
        return take_number(c, 0, &unused) && unused <= 1; /* what goes by an XSK is never in pieces */
    }
    return false;
}

static bool take_element(const struct cmsghdr *c, struct udp_sending *out)
{
    bool four = ip_is_four(out->address);
    if (c->cmsg_level == IPPROTO_IP)
        return four && take_four(c, out);
    if (c->cmsg_level == IPPROTO_IPV6)
        return four ? c->cmsg_type == IPV6_PKTINFO && take_interface_six(c, out) : take_six(c, out);
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
        return data_of(c, &out->segment, sizeof out->segment);
    return false;
}

bool udp_take_control(const struct msghdr *m, struct udp_sending *out)
{
    size_t at = 0;
    while (m->msg_controllen - at >= sizeof(struct cmsghdr)) {
        const struct cmsghdr *c = (const struct cmsghdr *)((const uint8_t *)m->msg_control + at);
        size_t left = m->msg_controllen - at;
        if (c->cmsg_len < sizeof *c || c->cmsg_len > left || !take_element(c, out))
            return false;
        at += MIN(CMSG_ALIGN(c->cmsg_len), left);
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Options of UDP sockets: the host socket takes them; what they mean for datagrams by XSKs is noted. */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/lib/lib.h"
#include "enclave/os/udp_socket.h"

/* However much the host says may wait. */
#define RECEIVE_BUFFER_MAX (256 << 20)

enum option_effect {
    OPTION_NONE,
    OPTION_SEND_BY_HOST,
    OPTION_NO_STREAM, /* and datagrams that are not what they seem */
    OPTION_RECEIVE_BY_HOST,
    OPTION_BY_HOST,
};

/* Options whose effect on datagrams only the kernel can have. Once set, the host's way it is. */
static enum option_effect effect_of(int level, int name)
{
    if (level == SOL_SOCKET) {
        switch (name) {
        case SO_DONTROUTE:
        case SO_MARK:
        case SO_NO_CHECK:
        case SO_TXTIME:
            return OPTION_SEND_BY_HOST;
        case SO_TIMESTAMPING:
        case SO_TIMESTAMPING_NEW:
        case SO_RCVMARK:
        case SO_RXQ_OVFL:
        case SO_PEEK_OFF:
            return OPTION_RECEIVE_BY_HOST;
        }
    } else if (level == IPPROTO_IP) {
        switch (name) {
        case IP_OPTIONS:
        case IP_UNICAST_IF:
            return OPTION_SEND_BY_HOST;
        case IP_RECVOPTS:
        case IP_RETOPTS:
        case IP_RECVORIGDSTADDR:
        case IP_PASSSEC:
        case IP_CHECKSUM:
        case IP_MINTTL:
            return OPTION_RECEIVE_BY_HOST;
        case IP_TRANSPARENT:
            return OPTION_BY_HOST;
        }
    } else if (level == IPPROTO_IPV6) {
        switch (name) {
        case IPV6_PKTINFO:
        case IPV6_2292PKTOPTIONS:
        case IPV6_HOPOPTS:
        case IPV6_RTHDR:
        case IPV6_RTHDRDSTOPTS:
        case IPV6_DSTOPTS:
        case IPV6_NEXTHOP:
        case IPV6_FLOWINFO_SEND:
        case IPV6_FLOWLABEL_MGR:
        case IPV6_UNICAST_IF:
        case IPV6_ADDR_PREFERENCES:
            return OPTION_SEND_BY_HOST;
        case IPV6_RECVORIGDSTADDR:
        case IPV6_RECVHOPOPTS:
        case IPV6_RECVDSTOPTS:
        case IPV6_RECVRTHDR:
        case IPV6_2292PKTINFO:
        case IPV6_2292HOPOPTS:
        case IPV6_2292DSTOPTS:
        case IPV6_2292RTHDR:
        case IPV6_2292HOPLIMIT:
        case IPV6_MINHOPCOUNT:
            return OPTION_RECEIVE_BY_HOST;
        case IPV6_ADDRFORM:
        case IPV6_TRANSPARENT:
            return OPTION_BY_HOST;
        }
    } else if (level == IPPROTO_UDP) {
        switch (name) {
        case UDP_CORK:
            return OPTION_NO_STREAM;
        case UDP_NO_CHECK6_TX:
            return OPTION_SEND_BY_HOST;
        case UDP_NO_CHECK6_RX:
            return OPTION_RECEIVE_BY_HOST;
        case UDP_ENCAP:
            return OPTION_BY_HOST;
        }
    }
    return OPTION_NONE;
}

static uint64_t timeout_of(const void *value, socklen_t n)
{
    int64_t time[2] = {0, 0}; /* struct timeval */
    if (n >= sizeof time)
        memcpy(time, value, sizeof time);
    if ((!time[0] && !time[1]) || time[0] >= INT64_MAX / 2000000000)
        return NO_TIMEOUT;
    return time[0] < 0 ? 0 : (uint64_t)time[0] * 1000000000 + (uint64_t)time[1] * 1000;
}

/* An option as the kernel took it. */
static int option_read(const struct file *f, int level, int name, int otherwise)
{
    int value = 0;
    socklen_t n = sizeof value;
    return host_getsockopt(f->host_fd, level, name, &value, &n) || n != sizeof value ? otherwise : value;
}

static int int_of(const void *value, socklen_t n)
{
    int out = 0;
    memcpy(&out, value, MIN(n, (socklen_t)sizeof out));
    return out;
}

static bool set(const void *value, socklen_t n)
{
    for (socklen_t i = 0; i < n; i++)
        if (((const uint8_t *)value)[i])
            return true;
    return false;
}

/* Does the value ask for what the option is about? Zero does not, but for an offset. */
static bool turned_on(int level, int name, const void *value, socklen_t n)
{
    if (level == SOL_SOCKET && name == SO_PEEK_OFF)
        return int_of(value, n) >= 0;
    return set(value, n);
}

static void note_socket_option(struct file *f, int name, const void *value, socklen_t n)
{
    struct udp_socket *s = socket_of(f);
    switch (name) {
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW:
        s->receive_timeout = timeout_of(value, n);
        break;
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW:
        s->send_timeout = timeout_of(value, n);
        break;
    case SO_BINDTODEVICE:
    case SO_BINDTOIFINDEX:
        s->bound_to_device = true;
        udp_learn_name(f);
        break;
    case SO_REUSEPORT:
        s->shares = set(value, n);
        udp_steer(f);
        break;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
        udp_learn_limit(f);
        break;
    case SO_ZEROCOPY:
        s->zerocopy.on = set(value, n);
        break;
    case SO_TIMESTAMP:
    case SO_TIMESTAMPNS:
    case SO_TIMESTAMP_NEW:
    case SO_TIMESTAMPNS_NEW:
        s->reports.timestamp = set(value, n) ? name : 0; /* one of them, or none */
        break;
    }
}

static bool may_fragment(int discover)
{
    return discover != IP_PMTUDISC_WANT && discover != IP_PMTUDISC_DO && discover != IP_PMTUDISC_PROBE;
}

static void note_ip_option(struct file *f, int name, const void *value, socklen_t n)
{
    struct udp_socket *s = socket_of(f);
    switch (name) {
    case IP_TTL:
        s->ttl = int_of(value, n) < 0 ? 0 : (uint8_t)option_read(f, IPPROTO_IP, IP_TTL, 0);
        break;
    case IP_TOS:
        s->tos = (uint8_t)option_read(f, IPPROTO_IP, IP_TOS, 0);
        break;
    case IP_MTU_DISCOVER:
        s->may_fragment = may_fragment(option_read(f, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT));
        s->discover_set = true;
        break;
    case IP_RECVERR:
        s->queues_errors = set(value, n);
        break;
    case IP_PKTINFO:
        s->reports.interface = set(value, n);
        break;
    case IP_RECVTTL:
        s->reports.ttl = set(value, n);
        break;
    case IP_RECVTOS:
        s->reports.tos = set(value, n);
        break;
    }
}

static void note_ipv6_option(struct file *f, int name, const void *value, socklen_t n)
{
    struct udp_socket *s = socket_of(f);
    switch (name) {
    case IPV6_UNICAST_HOPS:
        s->hop_limit = int_of(value, n) < 0 ? 0 : (uint8_t)int_of(value, n);
        if (int_of(value, n) == 0)
            s->send_by_host = true; /* for nobody but the next hop */
        break;
    case IPV6_TCLASS:
        s->class = (uint8_t)option_read(f, IPPROTO_IPV6, IPV6_TCLASS, 0);
        break;
    case IPV6_AUTOFLOWLABEL:
        s->no_flow_label = !set(value, n);
        s->flow_label_set = true;
        break;
    case IPV6_MTU:
        s->longest_six = (uint32_t)int_of(value, n);
        break;
    case IPV6_RECVERR:
        s->queues_errors = set(value, n);
        break;
    case IPV6_RECVPKTINFO:
        s->reports.interface_six = set(value, n);
        break;
    case IPV6_RECVHOPLIMIT:
        s->reports.hop_limit = set(value, n);
        break;
    case IPV6_RECVTCLASS:
        s->reports.class = set(value, n);
        break;
    case IPV6_FLOWINFO:
        s->reports.flow = set(value, n);
        break;
    }
}

static void note_udp_option(struct udp_socket *s, int name, const void *value, socklen_t n)
{
    if (name == UDP_SEGMENT)
        s->segment = (uint16_t)int_of(value, n);
    if (name == UDP_GRO)
        s->coalesces = set(value, n);
}

int udp_setsockopt(struct file *f, int level, int name, const void *value, socklen_t n)
{
    struct udp_socket *s = socket_of(f);
    lock_take(&s->lock);
    udp_stream_end(&s->stream);
    int result = host_setsockopt(f->host_fd, level, name, value, n);
    if (result) {
        lock_release(&s->lock);
        return result;
    }
    enum option_effect effect = turned_on(level, name, value, n) ? effect_of(level, name) : OPTION_NONE;
    if (effect == OPTION_SEND_BY_HOST || effect == OPTION_NO_STREAM || effect == OPTION_BY_HOST)
        s->send_by_host = true;
    if (effect == OPTION_NO_STREAM)
        s->no_stream = true;
    if (effect == OPTION_RECEIVE_BY_HOST || effect == OPTION_BY_HOST) {
        s->receive_by_host = true;
        udp_steer(f);
    }
    if (level == SOL_SOCKET)
        note_socket_option(f, name, value, n);
    if (level == IPPROTO_IP)
        note_ip_option(f, name, value, n);
    if (level == IPPROTO_IPV6)
        note_ipv6_option(f, name, value, n);
    if (level == IPPROTO_UDP)
        note_udp_option(s, name, value, n);
    lock_release(&s->lock);
    return 0;
}

void udp_learn_limit(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    int limit = option_read(f, SOL_SOCKET, SO_RCVBUF, UDP_RECEIVE_BUFFER);
    s->endpoint.limit = (uint64_t)MIN(MAX(limit, 0), RECEIVE_BUFFER_MAX);
    s->limit_known = true;
}

/* Racing threads at worst ask twice. */
static struct {
    uint64_t until[2]; /* TSC: of IPv4's, of IPv6's */
    bool may_fragment, no_flow_label;
} defaults;

void udp_learn_defaults(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    uint64_t now = udp_ticks(), until = now + net_second();
    if (now > defaults.until[0]) {
        if (!s->discover_set)
            defaults.may_fragment =
                may_fragment(option_read(f, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT));
        defaults.until[0] = s->discover_set ? 0 : until;
    }
    if (s->six && now > defaults.until[1]) {
        if (!s->flow_label_set)
            defaults.no_flow_label = !option_read(f, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1);
        defaults.until[1] = s->flow_label_set ? 0 : until;
    }
    if (!s->discover_set)
        s->may_fragment = defaults.may_fragment;
    if (!s->flow_label_set)
        s->no_flow_label = defaults.no_flow_label;
}

void udp_by_kernel(struct file *f)
{
    struct udp_socket *s = socket_of(f);
    lock_take(&s->lock);
    s->receive_by_host = true;
    udp_steer(f);
    lock_release(&s->lock);
}

/* The stream's error, as the kernel would tell it. */
static int error_give(int error, void *value, socklen_t *n)
{
    error = -error;
    *n = MIN(*n, (socklen_t)sizeof error);
    memcpy(value, &error, *n);
    return 0;
}

int udp_getsockopt(struct file *f, int level, int name, void *value, socklen_t *n)
{
    struct udp_socket *s = socket_of(f);
    if (level == SOL_SOCKET && name == SO_ERROR) {
        int error = udp_stream_error(s);
        if (error)
            return error_give(error, value, n);
        hint_set(s->host_reported, hint(s->host_reported) & ~(uint32_t)POLLERR); /* reading it clears it */
    }
    return host_getsockopt(f->host_fd, level, name, value, n);
}

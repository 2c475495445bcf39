/* SPDX-License-Identifier: Apache-2.0 */
/* The host's interfaces, routes and neighbours, asked by rtnetlink(7). */
#include <arpa/inet.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/address.h"
#include "host/host.h"
#include "host/neighbours.h"
#include "host/netlink.h"

static struct {
    pthread_mutex_t lock; /* of a question and its answer */
    int socket;           /* 0: not made yet */
    uint32_t sequence;
    _Alignas(struct nlmsghdr) uint8_t answer[32768];
} netlink = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void address_add(struct question *q, uint16_t type, struct ip_address a)
{
    uint8_t bytes[16];
    size_t size = address_store(bytes, a);
    attribute_add(q, type, bytes, size);
}

static int socket_make(void)
{
    const struct sockaddr_nl us = {.nl_family = AF_NETLINK};
    const int on = 1;
    if (netlink.socket > 0)
        return 0;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&us, sizeof us)) {
        int error = -errno;
        close(fd);
        return error;
    }
    netlink.socket = fd;
    return 0;
}

typedef void take_message(const struct nlmsghdr *message, void *into);

/* The fixed part of a message, NULL: it is of another type, or not whole. */
static const void *body_of(const struct nlmsghdr *message, uint16_t type, size_t size)
{
    bool whole = message->nlmsg_type == type && message->nlmsg_len >= NLMSG_LENGTH(size);
    return whole ? NLMSG_DATA(message) : NULL;
}

/* One datagram of the answer: 1, more comes; 0, that was all; -errno. */
static int answer_take(uint32_t sequence, bool listing, take_message *take, void *into)
{
    ssize_t length = recv(netlink.socket, netlink.answer, sizeof netlink.answer, 0);
    if (length < 0)
        return errno == EINTR ? 1 : -errno;
    for (struct nlmsghdr *m = (void *)netlink.answer; NLMSG_OK(m, length);
         m = NLMSG_NEXT(m, length)) {
        if (m->nlmsg_seq != sequence)
            continue; /* what is left of a question that failed */
        if (m->nlmsg_type == NLMSG_DONE)
            return 0;
        const struct nlmsgerr *error = body_of(m, NLMSG_ERROR, sizeof *error);
        if (error)
            return error->error;
        take(m, into);
        if (!listing)
            return 0;
    }
    return 1;
}

static int ask(struct question *q, take_message *take, void *into)
{
    pthread_mutex_lock(&netlink.lock);
    int error = socket_make();
    q->header.nlmsg_seq = ++netlink.sequence;
    if (!error && send(netlink.socket, q, q->header.nlmsg_len, MSG_NOSIGNAL) < 0)
        error = -errno;
    if (!error) {
        bool listing = (q->header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
        do
            error = answer_take(netlink.sequence, listing, take, into);
        while (error > 0);
    }
    pthread_mutex_unlock(&netlink.lock);
    return error;
}

static struct ip_address address_of(const struct rtattr *a)
{
    return address_load(RTA_DATA(a), RTA_PAYLOAD(a));
}

static uint32_t word_of(const struct rtattr *a)
{
    uint32_t value = 0;
    if (RTA_PAYLOAD(a) >= sizeof value)
        memcpy(&value, RTA_DATA(a), sizeof value);
    return value;
}

static uint64_t mac_of(const struct rtattr *a)
{
    return RTA_PAYLOAD(a) == MAC_BYTES ? mac_load(RTA_DATA(a)) : 0;
}

/* Walks the attributes after a header of that type. */
#define FOR_ATTRIBUTES(a, message, header_type)                                                    \
    for (int left_ = (int)NLMSG_PAYLOAD(message, sizeof(header_type)),                             \
             once_ = 1; once_; once_ = 0)                                                          \
        for (const struct rtattr *a = (const void *)((const uint8_t *)NLMSG_DATA(message) +        \
                                                     NLMSG_ALIGN(sizeof(header_type)));            \
             RTA_OK(a, left_); a = RTA_NEXT(a, left_))

/* ---- interfaces ---- */

#define IPV6_MIN_MTU 1280 /* RFC 8200, 5 */

/* What is asked of a link. */
struct link {
    struct interface_info *info;
    uint64_t hop_limit; /* of IPv6 */
};

static void six_take(const struct rtattr *protocol, struct link *out)
{
    int left = (int)RTA_PAYLOAD(protocol);
    for (const struct rtattr *a = RTA_DATA(protocol); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        const int32_t *settings = RTA_DATA(a);
        if (a->rta_type != IFLA_INET6_CONF || RTA_PAYLOAD(a) <= DEVCONF_DISABLE_IPV6 * sizeof *settings)
            continue;
        if (settings[DEVCONF_HOPLIMIT] > 0)
            out->hop_limit = (uint64_t)settings[DEVCONF_HOPLIMIT];
        if (settings[DEVCONF_MTU6] > 0 && !settings[DEVCONF_DISABLE_IPV6])
            out->info->mtu_six = (uint64_t)settings[DEVCONF_MTU6];
    }
}

static void families_take(const struct rtattr *families, struct link *out)
{
    int left = (int)RTA_PAYLOAD(families);
    for (const struct rtattr *a = RTA_DATA(families); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if ((a->rta_type & NLA_TYPE_MASK) == AF_INET6)
            six_take(a, out);
}

static void link_take(const struct nlmsghdr *message, void *into)
{
    struct link *out = into;
    const struct ifinfomsg *link = body_of(message, RTM_NEWLINK, sizeof *link);
    if (!link)
        return;
    out->info->index = (uint64_t)link->ifi_index;
    out->info->up = link->ifi_flags & IFF_UP && link->ifi_flags & IFF_RUNNING ? 1 : 0;
    FOR_ATTRIBUTES(a, message, struct ifinfomsg)
    {
        if (a->rta_type == IFLA_MTU)
            out->info->mtu = word_of(a);
        else if (a->rta_type == IFLA_ADDRESS)
            out->info->mac = mac_of(a);
        else if (a->rta_type == IFLA_AF_SPEC)
            families_take(a, out);
    }
    if (out->info->mtu_six > out->info->mtu)
        out->info->mtu_six = out->info->mtu;
    if (out->info->mtu_six < IPV6_MIN_MTU)
        out->info->mtu_six = 0;
}

static int link_ask(unsigned index, struct link *out)
{
    struct question q = question(RTM_GETLINK, 0, sizeof q.link);
    q.link.ifi_index = (int)index;
    return ask(&q, link_take, out);
}

static void address_take(const struct nlmsghdr *message, void *into)
{
    struct interface_info *out = into;
    const struct ifaddrmsg *header = body_of(message, RTM_NEWADDR, sizeof *header);
    struct ip_address address = {0, 0}, local = {0, 0};
    if (!header || header->ifa_index != out->index ||
        (header->ifa_family != AF_INET && header->ifa_family != AF_INET6) ||
        out->address_count == INTERFACE_ADDRESSES_MAX)
        return;
    FOR_ATTRIBUTES(a, message, struct ifaddrmsg)
    {
        if (a->rta_type == IFA_LOCAL)
            local = address_of(a);
        else if (a->rta_type == IFA_ADDRESS)
            address = address_of(a);
    }
    if (!address_is_any(local))
        address = local;
    if (!address_is_any(address))
        out->address[out->address_count++] =
            (struct interface_address){address, header->ifa_prefixlen};
}

static int addresses_ask(struct interface_info *out)
{
    struct question q = question(RTM_GETADDR, NLM_F_DUMP, sizeof q.address);
    q.address.ifa_family = AF_UNSPEC;
    q.address.ifa_index = (uint32_t)out->index;
    out->address_count = 0;
    return ask(&q, address_take, out);
}

static uint64_t queues_listed(const char *name)
{
    char path[64];
    uint64_t count = 0;
    snprintf(path, sizeof path, "/sys/class/net/%s/queues", name);
    DIR *directory = opendir(path);
    if (!directory)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        count += !strncmp(entry->d_name, "rx-", 3);
    closedir(directory);
    return count;
}

/* sysfs shows the interfaces of the namespace that it was mounted in: the driver knows too. */
static uint64_t queues_of(const char *name, unsigned index)
{
    char path[64], text[16] = "";
    snprintf(path, sizeof path, "/sys/class/net/%s/ifindex", name);
    FILE *file = fopen(path, "re");
    bool ours = file && fgets(text, sizeof text, file) && (unsigned)atoi(text) == index;
    if (file)
        fclose(file);
    uint64_t count = ours ? queues_listed(name) : 0;
    if (count)
        return count;
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    struct ifreq request = {.ifr_data = (void *)&channels};
    strcpy(request.ifr_name, name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !ioctl(fd, SIOCETHTOOL, &request))
        count = channels.rx_count + channels.combined_count;
    if (fd >= 0)
        close(fd);
    return count ? count : 1;
}

int netinfo_interfaces(const char *const *names, size_t count, struct interface_list *out)
{
    *out = (struct interface_list){0};
    if (count > INTERFACES_MAX)
        return -E2BIG;
    for (size_t i = 0; i < count; i++) {
        struct interface_info *interface = &out->interface[i];
        unsigned index = strlen(names[i]) < IF_NAMESIZE ? if_nametoindex(names[i]) : 0;
        if (!index)
            return -ENODEV;
        int error = link_ask(index, &(struct link){.info = interface});
        if (!error)
            error = addresses_ask(interface);
        if (error)
            return error;
        interface->queues = queues_of(names[i], index);
        out->count++;
    }
    return 0;
}

/* ---- routes ---- */

static uint64_t kind_of(uint8_t type)
{
    switch (type) {
    case RTN_UNICAST:
        return ROUTE_UNICAST;
    case RTN_LOCAL:
        return ROUTE_LOCAL;
    case RTN_BROADCAST:
        return ROUTE_BROADCAST;
    case RTN_MULTICAST:
        return ROUTE_MULTICAST;
    }
    return ROUTE_UNREACHABLE;
}

static void metrics_take(const struct rtattr *metrics, struct route_query *out)
{
    int left = (int)RTA_PAYLOAD(metrics);
    for (const struct rtattr *a = RTA_DATA(metrics); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTAX_MTU)
            out->mtu = word_of(a);
        else if (a->rta_type == RTAX_HOPLIMIT)
            out->hop_limit = word_of(a);
    }
}

static void via_take(const struct rtattr *a, struct route_query *out)
{
    const struct rtvia *via = RTA_DATA(a);
    if (RTA_PAYLOAD(a) > sizeof *via)
        out->next_hop = address_load(via->rtvia_addr, RTA_PAYLOAD(a) - sizeof *via);
}

static void route_take(const struct nlmsghdr *message, void *into)
{
    struct route_query *out = into;
    const struct rtmsg *route = body_of(message, RTM_NEWROUTE, sizeof *route);
    if (!route)
        return;
    out->kind = kind_of(route->rtm_type);
    FOR_ATTRIBUTES(a, message, struct rtmsg)
    {
        if (a->rta_type == RTA_OIF)
            out->interface_index = word_of(a);
        else if (a->rta_type == RTA_GATEWAY)
            out->next_hop = address_of(a);
        else if (a->rta_type == RTA_VIA)
            via_take(a, out);
        else if (a->rta_type == RTA_PREFSRC && address_is_any(out->source))
            out->source = address_of(a);
        else if (a->rta_type == RTA_METRICS)
            metrics_take(a, out);
    }
}

static void answer_ignore(const struct nlmsghdr *message, void *into)
{
    (void)message, (void)into;
}

static void neighbour_take(const struct nlmsghdr *message, void *into)
{
    struct route_query *out = into;
    const struct ndmsg *neighbour = body_of(message, RTM_NEWNEIGH, sizeof *neighbour);
    const uint16_t usable = NUD_REACHABLE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
    uint64_t mac = 0;
    if (!neighbour)
        return;
    FOR_ATTRIBUTES(a, message, struct ndmsg)
    {
        if (a->rta_type == NDA_LLADDR)
            mac = mac_of(a);
    }
    if (!mac)
        return;
    out->mac = mac;
    out->neighbour_known = neighbour->ndm_state & usable      ? 1
                           : neighbour->ndm_state & NUD_STALE ? 2
                                                              : 0;
}

/* Of the next hop. That none is known is no error. */
static void neighbour_ask(struct route_query *query)
{
    struct question q = question(RTM_GETNEIGH, 0, sizeof q.neighbour);
    q.neighbour.ndm_family = address_is_four(query->next_hop) ? AF_INET : AF_INET6;
    q.neighbour.ndm_ifindex = (int)query->interface_index;
    address_add(&q, NDA_DST, query->next_hop);
    ask(&q, neighbour_take, query);
    if (query->neighbour_known != 1 && xsk_host_takes_all(query->interface_index))
        neighbours_find(query);
}

int netinfo_neighbour_set(unsigned interface_index, struct ip_address address, uint64_t mac)
{
    struct question q =
        question(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, sizeof q.neighbour);
    const uint64_t bytes = htobe64(mac << 16);
    q.neighbour.ndm_family = address_is_four(address) ? AF_INET : AF_INET6;
    q.neighbour.ndm_ifindex = (int)interface_index;
    q.neighbour.ndm_state = NUD_REACHABLE;
    address_add(&q, NDA_DST, address);
    attribute_add(&q, NDA_LLADDR, &bytes, 6);
    return ask(&q, answer_ignore, NULL);
}

/* Of a socket that sets none: net.ipv4.ip_default_ttl of our namespace. */
static uint64_t default_ttl(void)
{
    int ttl = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof ttl;
    if (fd >= 0) {
        if (getsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, &size))
            ttl = 0;
        close(fd);
    }
    return ttl > 0 ? (uint64_t)ttl : IPDEFTTL;
}

/* What a route does not say itself its interface does, the same for all routes by it: asked for once in a
 * tenth of a second. */
#define DEFAULTS_NS 100000000

struct defaults {
    uint64_t interface, until; /* ns of the monotonic clock */
    uint64_t mtu[2], hop_limit[2]; /* of IPv4, of IPv6 */
};

static struct {
    pthread_mutex_t lock;
    struct defaults known;
} defaults = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct defaults defaults_of(uint64_t interface)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    pthread_mutex_lock(&defaults.lock);
    struct defaults d = defaults.known;
    pthread_mutex_unlock(&defaults.lock);
    if (d.interface == interface && now < d.until)
        return d;
    struct interface_info info = {0};
    struct link link = {.info = &info, .hop_limit = IPDEFTTL};
    if (interface)
        link_ask((unsigned)interface, &link);
    d = (struct defaults){.interface = interface,
                          .until = now + DEFAULTS_NS,
                          .mtu = {info.mtu, info.mtu_six},
                          .hop_limit = {default_ttl(), link.hop_limit}};
    pthread_mutex_lock(&defaults.lock);
    defaults.known = d;
    pthread_mutex_unlock(&defaults.lock);
    return d;
}

static void complete(struct route_query *query)
{
    if (query->mtu && query->hop_limit)
        return;
    struct defaults d = defaults_of(query->interface_index);
    int family = address_is_four(query->destination) ? 0 : 1;
    if (!query->mtu)
        query->mtu = d.mtu[family];
    if (!query->hop_limit)
        query->hop_limit = d.hop_limit[family];
}

int netinfo_route(struct route_query *query)
{
    struct question q = question(RTM_GETROUTE, 0, sizeof q.route);
    *query = (struct route_query){.destination = query->destination,
                                  .source = query->source,
                                  .device = query->device,
                                  .next_hop = query->destination};
    bool four = address_is_four(query->destination);
    q.route.rtm_family = four ? AF_INET : AF_INET6;
    q.route.rtm_dst_len = four ? 32 : 128;
    address_add(&q, RTA_DST, query->destination);
    if (address_is_any(query->source)) {
        query->source = (struct ip_address){0, 0};
    } else {
        q.route.rtm_src_len = q.route.rtm_dst_len;
        address_add(&q, RTA_SRC, query->source);
    }
    if (query->device) {
        const uint32_t device = (uint32_t)query->device;
        attribute_add(&q, RTA_OIF, &device, sizeof device);
    }
    int error = ask(&q, route_take, query);
    if (error) {
        /* No way there is an answer too: these are the kernel's words for it. */
        query->kind = ROUTE_UNREACHABLE;
        return error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EACCES ||
                       error == -EINVAL || error == -ENODEV || error == -EADDRNOTAVAIL ||
                       error == -ENETDOWN
                   ? 0
                   : error;
    }
    complete(query);
    if (query->kind == ROUTE_UNICAST)
        neighbour_ask(query);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The host's interfaces, routes and neighbours, asked by rtnetlink(7). */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/host.h"

static struct {
    pthread_mutex_t lock; /* of a question and its answer */
    int socket;           /* 0: not made yet */
    uint32_t sequence;
    _Alignas(struct nlmsghdr) uint8_t answer[32768];
} netlink = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A question with room for its attributes. */
struct question {
    struct nlmsghdr header;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
        struct rtmsg route;
        struct ndmsg neighbour;
        uint8_t room[128];
    };
};

static struct question question(uint16_t type, uint16_t flags, size_t size)
{
    return (struct question){.header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
                                        .nlmsg_type = type,
                                        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)}};
}

static void attribute_add(struct question *q, uint16_t type, uint32_t value)
{
    struct rtattr *a = (void *)((uint8_t *)q + NLMSG_ALIGN(q->header.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(sizeof value);
    memcpy(RTA_DATA(a), &value, sizeof value);
    q->header.nlmsg_len = NLMSG_ALIGN(q->header.nlmsg_len) + RTA_LENGTH(sizeof value);
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

/* One datagram of the answer: 1, more comes; 0, that was all; -errno. */
static int answer_take(uint32_t sequence, bool listing, take_message *take, void *into)
{
    ssize_t length = recv(netlink.socket, netlink.answer, sizeof netlink.answer, 0);
    if (length < 0)
        return errno == EINTR ? 1 : -errno;
    for (struct nlmsghdr *m = (void *)netlink.answer; NLMSG_OK(m, (size_t)length);
         m = NLMSG_NEXT(m, length)) {
        if (m->nlmsg_seq != sequence)
            continue; /* what is left of a question that failed */
        if (m->nlmsg_type == NLMSG_DONE)
            return 0;
        if (m->nlmsg_type == NLMSG_ERROR)
            return ((const struct nlmsgerr *)NLMSG_DATA(m))->error;
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

static uint32_t word_of(const struct rtattr *a)
{
    uint32_t value = 0;
    if (RTA_PAYLOAD(a) >= sizeof value)
        memcpy(&value, RTA_DATA(a), sizeof value);
    return value;
}

static uint64_t mac_of(const struct rtattr *a)
{
    const uint8_t *byte = RTA_DATA(a);
    uint64_t mac = 0;
    if (RTA_PAYLOAD(a) != 6)
        return 0;
    for (int i = 0; i < 6; i++)
        mac = mac << 8 | byte[i];
    return mac;
}

/* Walks the attributes after a header of that type. */
#define FOR_ATTRIBUTES(a, message, header_type)                                                    \
    for (int left_ = (int)NLMSG_PAYLOAD(message, sizeof(header_type)),                             \
             once_ = 1; once_; once_ = 0)                                                          \
        for (const struct rtattr *a = (const void *)((const uint8_t *)NLMSG_DATA(message) +        \
                                                     NLMSG_ALIGN(sizeof(header_type)));            \
             RTA_OK(a, left_); a = RTA_NEXT(a, left_))

/* ---- interfaces ---- */

static void link_take(const struct nlmsghdr *message, void *into)
{
    struct interface_info *out = into;
    const struct ifinfomsg *link = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWLINK)
        return;
    out->index = (uint64_t)link->ifi_index;
    out->up = link->ifi_flags & IFF_UP && link->ifi_flags & IFF_RUNNING ? 1 : 0;
    FOR_ATTRIBUTES(a, message, struct ifinfomsg)
    {
        if (a->rta_type == IFLA_MTU)
            out->mtu = word_of(a);
        else if (a->rta_type == IFLA_ADDRESS)
            out->mac = mac_of(a);
    }
}

static int link_ask(unsigned index, struct interface_info *out)
{
    struct question q = question(RTM_GETLINK, 0, sizeof q.link);
    q.link.ifi_index = (int)index;
    return ask(&q, link_take, out);
}

static void address_take(const struct nlmsghdr *message, void *into)
{
    struct interface_info *out = into;
    const struct ifaddrmsg *header = NLMSG_DATA(message);
    uint32_t address = 0;
    if (message->nlmsg_type != RTM_NEWADDR || header->ifa_index != out->index ||
        header->ifa_family != AF_INET || out->address_count == INTERFACE_ADDRESSES_MAX)
        return;
    FOR_ATTRIBUTES(a, message, struct ifaddrmsg)
    {
        if (a->rta_type == IFA_LOCAL || (a->rta_type == IFA_ADDRESS && !address))
            address = ntohl(word_of(a));
    }
    out->address[out->address_count++] = address | (uint64_t)header->ifa_prefixlen << 32;
}

static int addresses_ask(struct interface_info *out)
{
    struct question q = question(RTM_GETADDR, NLM_F_DUMP, sizeof q.address);
    q.address.ifa_family = AF_INET;
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
        int error = link_ask(index, interface);
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

static uint64_t mtu_of(const struct rtattr *metrics)
{
    int left = (int)RTA_PAYLOAD(metrics);
    for (const struct rtattr *a = RTA_DATA(metrics); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == RTAX_MTU)
            return word_of(a);
    return 0;
}

static void route_take(const struct nlmsghdr *message, void *into)
{
    struct route_query *out = into;
    if (message->nlmsg_type != RTM_NEWROUTE)
        return;
    out->kind = kind_of(((const struct rtmsg *)NLMSG_DATA(message))->rtm_type);
    FOR_ATTRIBUTES(a, message, struct rtmsg)
    {
        if (a->rta_type == RTA_OIF)
            out->interface_index = word_of(a);
        else if (a->rta_type == RTA_GATEWAY)
            out->next_hop = ntohl(word_of(a));
        else if (a->rta_type == RTA_PREFSRC && !out->source)
            out->source = ntohl(word_of(a));
        else if (a->rta_type == RTA_METRICS)
            out->mtu = mtu_of(a);
    }
}

static void neighbour_take(const struct nlmsghdr *message, void *into)
{
    struct route_query *out = into;
    const struct ndmsg *neighbour = NLMSG_DATA(message);
    const uint16_t usable = NUD_REACHABLE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
    uint64_t mac = 0;
    if (message->nlmsg_type != RTM_NEWNEIGH)
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
    q.neighbour.ndm_family = AF_INET;
    q.neighbour.ndm_ifindex = (int)query->interface_index;
    attribute_add(&q, NDA_DST, htonl((uint32_t)query->next_hop));
    ask(&q, neighbour_take, query);
}

int netinfo_route(struct route_query *query)
{
    struct question q = question(RTM_GETROUTE, 0, sizeof q.route);
    *query = (struct route_query){.destination = query->destination,
                                  .source = query->source,
                                  .next_hop = query->destination};
    q.route.rtm_family = AF_INET;
    q.route.rtm_dst_len = 32;
    attribute_add(&q, RTA_DST, htonl((uint32_t)query->destination));
    if (query->source) {
        q.route.rtm_src_len = 32;
        attribute_add(&q, RTA_SRC, htonl((uint32_t)query->source));
    }
    int error = ask(&q, route_take, query);
    if (error) {
        /* No way there is an answer too: these are the kernel's words for it. */
        query->kind = ROUTE_UNREACHABLE;
        return error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EACCES ||
                       error == -EINVAL
                   ? 0
                   : error;
    }
    if (!query->mtu && query->interface_index) {
        struct interface_info link = {0};
        if (!link_ask((unsigned)query->interface_index, &link))
            query->mtu = link.mtu;
    }
    if (query->kind == ROUTE_UNICAST)
        neighbour_ask(query);
    return 0;
}

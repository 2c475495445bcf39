/* SPDX-License-Identifier: Apache-2.0 */
/* The interface that the daemon serves: its carrier, and its addresses as they change. */
#include "xdp/interface.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

bool interface_has_carrier(const char *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    bool carrier = !ioctl(fd, SIOCGIFFLAGS, &request) && request.ifr_flags & IFF_UP &&
                   request.ifr_flags & IFF_RUNNING;
    /* The flag lags behind the driver: a link that has just gone still counts as running. */
    struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
    request.ifr_data = (void *)&link;
    if (carrier && !ioctl(fd, SIOCETHTOOL, &request))
        carrier = link.data;
    close(fd);
    return carrier;
}

void interface_wait_carrier(const char *name)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < 200 && !interface_has_carrier(name); i++)
        nanosleep(&pause, NULL);
}

void interface_mac(const char *name, struct steering *s)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known = fd >= 0 && !ioctl(fd, SIOCGIFHWADDR, &request) &&
                 request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
    steering_mac(s, known ? (const uint8_t *)request.ifr_hwaddr.sa_data : NULL);
    if (fd >= 0)
        close(fd);
}

int interface_watch(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    const struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                       .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                                    RTMGRP_LINK};
    const int on = 1;
    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&groups, sizeof groups)) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int interface_ask(int netlink, unsigned index)
{
    const struct {
        struct nlmsghdr header;
        struct ifaddrmsg address;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_GETADDR,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                   .nlmsg_seq = 1},
        .address = {.ifa_family = AF_UNSPEC, .ifa_index = index},
    };
    return send(netlink, &request, sizeof request, 0) < 0 ? -errno : 0;
}

/* False: there is none that the kernel receives for. */
static bool address_of(struct nlmsghdr *message, struct steering_address *out)
{
    struct ifaddrmsg *header = NLMSG_DATA(message);
    size_t size = header->ifa_family == AF_INET ? 4 : 16;
    uint32_t flags = header->ifa_flags;
    bool local = false, any = false;
    *out = (struct steering_address){0};
    if (size == 4)
        out->byte[10] = out->byte[11] = 0xff;
    int left = (int)IFA_PAYLOAD(message);
    for (struct rtattr *a = IFA_RTA(header); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFA_FLAGS && RTA_PAYLOAD(a) == sizeof flags)
            memcpy(&flags, RTA_DATA(a), sizeof flags);
        if (RTA_PAYLOAD(a) != size || (a->rta_type != IFA_LOCAL && (a->rta_type != IFA_ADDRESS || local)))
            continue;
        local = a->rta_type == IFA_LOCAL;
        any = true;
        memcpy(out->byte + 16 - size, RTA_DATA(a), size);
    }
    /* An address that is still being probed, or turned out another's, receives nothing (RFC 4862, 5.4). */
    return any && !(flags & IFA_F_DADFAILED) &&
           (!(flags & IFA_F_TENTATIVE) || flags & IFA_F_OPTIMISTIC);
}

static void address_note(struct interface_addresses *known, struct nlmsghdr *message)
{
    struct steering_address address;
    if (!address_of(message, &address))
        return;
    if (known->count == known->space) {
        size_t space = known->space ? 2 * known->space : 16;
        struct steering_address *more = reallocarray(known->address, space, sizeof *more);
        if (!more)
            return;
        known->address = more;
        known->space = space;
    }
    known->address[known->count++] = address;
}

static void change(int netlink, struct interface_addresses *known, unsigned index)
{
    if (known->asked) {
        known->again = true;
        return;
    }
    known->count = 0;
    known->again = false;
    known->asked = !interface_ask(netlink, index);
}

/* The listing is complete. Also if it was disturbed: another is on its way then. */
static void complete(int netlink, struct interface_addresses *known, struct steering *s)
{
    known->asked = false;
    int error = steering_addresses(s, known->address, known->count);
    if (error)
        fprintf(stderr, "rakis-xdpd: cannot follow the addresses of the interface: %s\n",
                strerror(-error));
    if (known->again)
        change(netlink, known, s->interface_index);
}

static bool event(int netlink, struct interface_addresses *known, struct steering *s,
                  struct nlmsghdr *message)
{
    bool listed = known->asked && message->nlmsg_seq == 1;
    if (message->nlmsg_type == RTM_DELLINK) {
        const struct ifinfomsg *link = NLMSG_DATA(message);
        /* A bridge tells with AF_BRIDGE that a port left it. */
        return link->ifi_index != (int)s->interface_index || link->ifi_family != AF_UNSPEC;
    }
    if (message->nlmsg_type == RTM_NEWLINK) {
        const struct ifinfomsg *link = NLMSG_DATA(message);
        char name[IF_NAMESIZE];
        if (link->ifi_index == (int)s->interface_index && if_indextoname(s->interface_index, name))
            interface_mac(name, s);
        return true;
    }
    if (listed && (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)) {
        complete(netlink, known, s);
    } else if (message->nlmsg_type == RTM_NEWADDR || message->nlmsg_type == RTM_DELADDR) {
        const struct ifaddrmsg *header = NLMSG_DATA(message);
        if (header->ifa_index != s->interface_index)
            return true;
        if (listed && message->nlmsg_type == RTM_NEWADDR)
            address_note(known, message);
        else
            change(netlink, known, s->interface_index);
    }
    return true;
}

bool interface_follow(int netlink, struct interface_addresses *known, struct steering *s)
{
    _Alignas(struct nlmsghdr) char buffer[32768];
    for (;;) {
        struct sockaddr_nl sender = {0};
        socklen_t size = sizeof sender;
        ssize_t length = recvfrom(netlink, buffer, sizeof buffer, 0, (struct sockaddr *)&sender,
                                  &size);
        if (length < 0 && errno == ENOBUFS) {
            /* Events were lost, perhaps the end of a listing: begin again. */
            known->asked = false;
            change(netlink, known, s->interface_index);
            continue;
        }
        if (length < 0)
            return true;
        if (sender.nl_pid)
            continue;
        for (struct nlmsghdr *m = (void *)buffer; NLMSG_OK(m, length);
             m = NLMSG_NEXT(m, length))
            if (!event(netlink, known, s, m))
                return false;
    }
}

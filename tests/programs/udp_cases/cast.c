/* SPDX-License-Identifier: Apache-2.0 */
/* To many: multicast and broadcast. */
#include "cases.h"

static bool is_four(void)
{
    return way->family == AF_INET;
}

static const char *group(void)
{
    return is_four() ? "239.78.0.5" : "ff05::7805";
}

static int membership(int fd, bool join)
{
    int index = (int)if_nametoindex(way->interface);
    if (is_four()) {
        struct ip_mreqn m = {.imr_ifindex = index};
        inet_pton(AF_INET, group(), &m.imr_multiaddr);
        return setsockopt(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &m, sizeof m);
    }
    struct ipv6_mreq m = {.ipv6mr_interface = (unsigned)index};
    inet_pton(AF_INET6, group(), &m.ipv6mr_multiaddr);
    return setsockopt(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &m, sizeof m);
}

static void to_group(void)
{
    tell("cast %s %d", group(), PORT_OWN);
}

static void multicast(void)
{
    int fd = open_bound(PORT_OWN), other = open_socket();
    set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    say_result("join", membership(fd, true));
    say_result("join twice", membership(fd, true));
    to_group();
    say_control("to the group", fd, 500);
    burst(PORT_OWN, 1, 4, 64, 0);
    say_received("beside it, to us alone", fd);
    say_result("leave", membership(fd, false));
    say_result("leave twice", membership(fd, false));
    to_group();
    say_silence("after leaving", fd);
    close(fd);
    fd = open_socket();
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(other, SOL_SOCKET, SO_REUSEADDR, 1);
    bind_to(fd, any_address(PORT_OWN));
    bind_to(other, address_of(group(), PORT_OWN));
    membership(fd, true);
    membership(other, true);
    to_group();
    say_received("both that joined", fd);
    say_received("get it", other);
    burst(PORT_OWN, 1, 4, 64, 0);
    say_received("but one only what is ours", fd);
    say_silence("which is not the group's", other);
    close(fd);
    close(other);
}

static void sending(void)
{
    int fd = open_bound(PORT_OWN), index = (int)if_nametoindex(way->interface);
    struct ip_mreqn by = {.imr_ifindex = index};
    membership(fd, true);
    if (is_four())
        say_result("IP_MULTICAST_IF", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by));
    else
        say_result("IPV6_MULTICAST_IF", set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index));
    say_result("to the group we are in", send_to(fd, address_of(group(), PORT_OWN), "loop", 4, 0));
    say_received("comes back", fd);
    if (is_four())
        set_int(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    else
        set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
    send_to(fd, address_of(group(), PORT_OWN), "loop", 4, 0);
    say_silence("but not without IP_MULTICAST_LOOP", fd);
    close(fd);
}

static void broadcast(void)
{
    if (!is_four())
        return;
    const char *all = way->loopback ? "127.255.255.255" : "10.78.0.255";
    int fd = open_bound(PORT_OWN);
    say_result("broadcast", send_to(fd, address_of(all, PORT_ECHO), "all", 3, 0));
    say_result("connect to it", connect_to(fd, address_of(all, PORT_ECHO)));
    set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
    say_result("with SO_BROADCAST", send_to(fd, address_of(all, PORT_ECHO), "all", 3, 0));
    say_received("answered", fd);
    tell("cast %s %d", all, PORT_OWN);
    say_received("received", fd);
    if (!way->loopback) {
        tell("cast 255.255.255.255 %d", PORT_OWN);
        say_received("of the link", fd);
    }
    close(fd);
    fd = open_socket();
    bind_to(fd, own_address(PORT_OWN));
    tell("cast %s %d", all, PORT_OWN);
    say_silence("not by a socket of our own address", fd);
    close(fd);
}

void cases_cast(void)
{
    if (way->mapped)
        return;
    if (!way->loopback) {
        multicast();
        sending();
    }
    broadcast();
}

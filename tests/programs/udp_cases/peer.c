/* SPDX-License-Identifier: Apache-2.0 */
/* The other side: sockets of both families that echo, tell what they saw, and do what they are told. */
#include "cases.h"

#define IPV6_FLOWINFO_ 11

static int peer_socket(int port)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20);
    set_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
    set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
    set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_FLOWINFO_, 1);
    if (bind(fd, (struct sockaddr *)&a, sizeof a)) {
        perror("peer");
        exit(1);
    }
    return fd;
}

static int sender(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    set_int(fd, SOL_SOCKET, SO_SNDBUF, 1 << 20);
    return fd;
}

/* What came with a datagram. */
struct seen {
    int ttl, tos;
    bool flow;
};

static ssize_t take(int fd, char *bytes, size_t n, struct sockaddr_in6 *from, struct seen *seen)
{
    _Alignas(8) char control[512];
    struct iovec v = {bytes, n};
    struct msghdr m = {.msg_name = from, .msg_namelen = sizeof *from, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(fd, &m, 0);
    *seen = (struct seen){-1, -1, false};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        bool six = c->cmsg_level == IPPROTO_IPV6;
        if (c->cmsg_type == (six ? IPV6_HOPLIMIT : IP_TTL))
            memcpy(&seen->ttl, CMSG_DATA(c), sizeof(int));
        else if (c->cmsg_type == (six ? IPV6_TCLASS : IP_TOS))
            seen->tos = *CMSG_DATA(c);
        else if (six && c->cmsg_type == IPV6_FLOWINFO_)
            seen->flow = CMSG_DATA(c)[1] & 15 || CMSG_DATA(c)[2] || CMSG_DATA(c)[3];
    }
    return length;
}

static void echo(int fd)
{
    static char bytes[70000];
    struct sockaddr_in6 from;
    struct seen seen;
    ssize_t n = take(fd, bytes, sizeof bytes, &from, &seen);
    if (n >= 0)
        sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, sizeof from);
}

static void see(int fd)
{
    static char bytes[70000];
    char text[100];
    struct sockaddr_in6 from;
    struct seen seen;
    ssize_t n = take(fd, bytes, sizeof bytes, &from, &seen);
    int length = snprintf(text, sizeof text, "%zd bytes, ttl %d, tos %d%s", n, seen.ttl, seen.tos,
                          seen.flow ? ", flow" : "");
    sendto(fd, text, (size_t)length, 0, (struct sockaddr *)&from, sizeof from);
}

static void send_burst(struct sockaddr_in6 to, int count, int size, int ttl, int tos)
{
    static char bytes[70000];
    int fd = sender();
    set_int(fd, IPPROTO_IP, IP_TTL, ttl);
    set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
    set_int(fd, IPPROTO_IP, IP_TOS, tos);
    set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, tos);
    for (int i = 0; i < count; i++) {
        memset(bytes, 'a' + i % 26, (size_t)size);
        sendto(fd, bytes, (size_t)size, 0, (struct sockaddr *)&to, sizeof to);
    }
    close(fd);
}

/* From many ports, one datagram each. */
static void send_many(struct sockaddr_in6 to, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = sender();
        sendto(fd, "many", 4, 0, (struct sockaddr *)&to, sizeof to);
        close(fd);
    }
}

static void send_extended(struct sockaddr_in6 to)
{
    static const uint8_t header[8] = {0, 0, 5, 2, 0, 0, 1, 0}; /* a router alert */
    int fd = sender();
    setsockopt(fd, IPPROTO_IPV6, IPV6_HOPOPTS, header, sizeof header);
    sendto(fd, "extended", 8, 0, (struct sockaddr *)&to, sizeof to);
    close(fd);
}

static void send_with_options(struct sockaddr_in6 to)
{
    static const uint8_t options[8] = {1, 1, 7, 4, 5, 0, 0, 0}; /* a record of the route that has no room left */
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = to.sin6_port};
    memcpy(&four.sin_addr, to.sin6_addr.s6_addr + 12, sizeof four.sin_addr);
    setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, sizeof options);
    sendto(fd, "optional", 8, 0, (struct sockaddr *)&four, sizeof four);
    close(fd);
}

static void send_cast(const char *address, int port, const char *interface)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_six = strchr(address, ':');
    int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    inet_pton(AF_INET, address, &four.sin_addr);
    inet_pton(AF_INET6, address, &six.sin6_addr);
    struct ip_mreqn by = {.imr_ifindex = (int)if_nametoindex(interface)};
    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by);
    set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, by.imr_ifindex);
    set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
    if (is_six)
        sendto(fd, "cast", 4, 0, (struct sockaddr *)&six, sizeof six);
    else
        sendto(fd, "cast", 4, 0, (struct sockaddr *)&four, sizeof four);
    close(fd);
}

static void obey(int fd, const char *interface)
{
    char text[300] = "", address[100];
    struct sockaddr_in6 from, to;
    struct seen seen;
    int port, count, size, ttl, tos;
    ssize_t n = take(fd, text, sizeof text - 1, &from, &seen);
    if (n < 0)
        return;
    text[n] = 0;
    to = from;
    if (sscanf(text, "burst %d %d %d %d %d", &port, &count, &size, &ttl, &tos) == 5) {
        to.sin6_port = htons((uint16_t)port);
        send_burst(to, count, size, ttl, tos);
    } else if (sscanf(text, "many %d %d", &port, &count) == 2) {
        to.sin6_port = htons((uint16_t)port);
        send_many(to, count);
    } else if (sscanf(text, "extended %d", &port) == 1) {
        to.sin6_port = htons((uint16_t)port);
        send_extended(to);
    } else if (sscanf(text, "options %d", &port) == 1) {
        to.sin6_port = htons((uint16_t)port);
        send_with_options(to);
    } else if (sscanf(text, "cast %99s %d", address, &port) == 2) {
        send_cast(address, port, interface);
    }
    sendto(fd, "done", 4, 0, (struct sockaddr *)&from, sizeof from);
}

int peer_main(const char *interface)
{
    struct pollfd p[3] = {{.fd = peer_socket(PORT_ECHO), .events = POLLIN},
                          {.fd = peer_socket(PORT_SEE), .events = POLLIN},
                          {.fd = peer_socket(PORT_TELL), .events = POLLIN}};
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        poll(p, 3, -1);
        if (p[0].revents)
            echo(p[0].fd);
        if (p[1].revents)
            see(p[1].fd);
        if (p[2].revents)
            obey(p[2].fd, interface);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Control data, both ways. */
#include "cases.h"

#define IPV6_FLOWINFO_ 11

static const char *number_text(const struct cmsghdr *c)
{
    static char text[40];
    int value;
    if (c->cmsg_len < CMSG_LEN(sizeof value))
        return "too short";
    memcpy(&value, CMSG_DATA(c), sizeof value);
    snprintf(text, sizeof text, "%d", value);
    return text;
}

static const char *interface_text(unsigned index)
{
    static char name[IF_NAMESIZE];
    return index && if_indextoname(index, name) ? name : "none";
}

static void element_four(const struct cmsghdr *c, char *text, size_t n)
{
    struct in_pktinfo info;
    char to[32], here[32];
    switch (c->cmsg_type) {
    case IP_PKTINFO:
        if (c->cmsg_len < CMSG_LEN(sizeof info)) {
            snprintf(text, n, "IP_PKTINFO, cut");
            break;
        }
        memcpy(&info, CMSG_DATA(c), sizeof info);
        inet_ntop(AF_INET, &info.ipi_addr, to, sizeof to);
        inet_ntop(AF_INET, &info.ipi_spec_dst, here, sizeof here);
        snprintf(text, n, "IP_PKTINFO %s %s %s", interface_text((unsigned)info.ipi_ifindex), to, here);
        break;
    case IP_TTL:
        snprintf(text, n, "IP_TTL %s", number_text(c));
        break;
    case IP_TOS:
        snprintf(text, n, "IP_TOS %d", *CMSG_DATA(c));
        break;
    default:
        snprintf(text, n, "IP %d", c->cmsg_type);
    }
}

static void element_six(const struct cmsghdr *c, char *text, size_t n)
{
    struct in6_pktinfo info;
    char to[64];
    switch (c->cmsg_type) {
    case IPV6_PKTINFO:
        if (c->cmsg_len < CMSG_LEN(sizeof info)) {
            snprintf(text, n, "IPV6_PKTINFO, cut");
            break;
        }
        memcpy(&info, CMSG_DATA(c), sizeof info);
        inet_ntop(AF_INET6, &info.ipi6_addr, to, sizeof to);
        snprintf(text, n, "IPV6_PKTINFO %s %s", interface_text(info.ipi6_ifindex), to);
        break;
    case IPV6_HOPLIMIT:
        snprintf(text, n, "IPV6_HOPLIMIT %s", number_text(c));
        break;
    case IPV6_TCLASS:
        snprintf(text, n, "IPV6_TCLASS %s", number_text(c));
        break;
    case IPV6_FLOWINFO_:
        snprintf(text, n, "IPV6_FLOWINFO");
        break;
    default:
        snprintf(text, n, "IPV6 %d", c->cmsg_type);
    }
}

static void element_socket(const struct cmsghdr *c, char *text, size_t n)
{
    int64_t t[2] = {0, 0};
    if (c->cmsg_len >= CMSG_LEN(sizeof t))
        memcpy(t, CMSG_DATA(c), sizeof t);
    bool now = t[0] >= time(NULL) - 10 && t[0] <= time(NULL) + 1;
    snprintf(text, n, "SOCKET %d%s%s", c->cmsg_type, now ? " now" : "", t[1] > 999999 ? " fine" : "");
}

static void element(const struct cmsghdr *c, char *text, size_t n)
{
    if (c->cmsg_level == IPPROTO_IP)
        element_four(c, text, n);
    else if (c->cmsg_level == IPPROTO_IPV6)
        element_six(c, text, n);
    else if (c->cmsg_level == SOL_SOCKET)
        element_socket(c, text, n);
    else
        snprintf(text, n, "level %d type %d %s", c->cmsg_level, c->cmsg_type, number_text(c));
}

void say_control(const char *name, int fd, size_t room)
{
    _Alignas(8) char control[1000];
    char bytes[200], text[1000] = "";
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room ? control : NULL,
                       .msg_controllen = room};
    arrives(fd);
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
        char one[200];
        element(c, one, sizeof one);
        snprintf(text + strlen(text), sizeof text - strlen(text), " [%d: %s]", (int)c->cmsg_len, one);
    }
    say(name, "%zd flags %x, %d bytes%s", n, (unsigned)m.msg_flags, (int)m.msg_controllen, text);
}

static const struct {
    const char *text;
    int level, name;
} wanted[] = {
    {"IP_PKTINFO", IPPROTO_IP, IP_PKTINFO},
    {"IP_RECVTTL", IPPROTO_IP, IP_RECVTTL},
    {"IP_RECVTOS", IPPROTO_IP, IP_RECVTOS},
    {"IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {"IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    {"IPV6_RECVTCLASS", IPPROTO_IPV6, IPV6_RECVTCLASS},
    {"IPV6_FLOWINFO", IPPROTO_IPV6, IPV6_FLOWINFO_},
    {"SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP},
    {"SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS},
    {"IP_RECVORIGDSTADDR", IPPROTO_IP, IP_RECVORIGDSTADDR},
    {"IPV6_RECVORIGDSTADDR", IPPROTO_IPV6, IPV6_RECVORIGDSTADDR},
};

static void received(void)
{
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        int fd = open_bound(PORT_OWN);
        set_int(fd, wanted[i].level, wanted[i].name, 1);
        burst(PORT_OWN, 2, 10, 33, 0x2d);
        say_control(wanted[i].text, fd, 500);
        set_int(fd, wanted[i].level, wanted[i].name, 0);
        say_control("no longer", fd, 500);
        close(fd);
    }
    static const int rooms[] = {0, 1, 15, 16, 20, 24, 28, 32, 40, 56, 64, 72, 1000};
    int fd = open_bound(PORT_OWN);
    for (size_t i = 0; i < 8; i++)
        set_int(fd, wanted[i].level, wanted[i].name, 1);
    burst(PORT_OWN, sizeof rooms / sizeof *rooms, 10, 33, 0x2d);
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        char text[40];
        snprintf(text, sizeof text, "all, with room for %d", rooms[i]);
        say_control(text, fd, (size_t)rooms[i]);
    }
    close(fd);
    /* By way of a bound address, by way of a connection. */
    fd = open_socket();
    set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    bind_to(fd, own_address(PORT_OWN));
    burst(PORT_OWN, 1, 10, 33, 0);
    say_control("bound to an address", fd, 500);
    connect_to(fd, peer_address(PORT_ECHO));
    send(fd, "x", 1, 0);
    say_control("connected", fd, 500);
    close(fd);
    if (way->loopback)
        return;
    fd = open_bound(PORT_OWN);
    set_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
    set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    burst(PORT_OWN, 1, 4000, 33, 0);
    say_control("in fragments", fd, 500);
    close(fd);
}

static void extension_headers(void)
{
    if (way->family == AF_INET || way->mapped)
        return;
    int fd = open_bound(PORT_OWN);
    tell("extended %d", PORT_OWN);
    say_received("with an extension header", fd);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1);
    tell("extended %d", PORT_OWN);
    say_control("IPV6_RECVHOPOPTS", fd, 500);
    close(fd);
}

struct outgoing {
    _Alignas(8) char bytes[300];
    size_t length;
};

static void add(struct outgoing *o, int level, int type, const void *data, size_t n)
{
    struct cmsghdr *c = (struct cmsghdr *)(o->bytes + o->length);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type};
    memcpy(CMSG_DATA(c), data, n);
    o->length += CMSG_SPACE(n);
}

static void say_sent(const char *name, int fd, const struct outgoing *o)
{
    struct address peer = peer_address(PORT_SEE);
    struct iovec v = {(void *)"control", 7};
    struct msghdr m = {.msg_name = &peer.any, .msg_namelen = peer.length, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = (void *)o->bytes, .msg_controllen = o->length};
    if (sendmsg(fd, &m, 0) < 0)
        say(name, "%s", error_name(errno));
    else
        say_received(name, fd);
}

static void one(const char *name, int level, int type, const void *data, size_t n)
{
    struct outgoing o = {.length = 0};
    int fd = open_bound(PORT_OWN);
    add(&o, level, type, data, n);
    say_sent(name, fd, &o);
    close(fd);
}

static struct in_pktinfo info_four(unsigned interface, const char *address)
{
    struct in_pktinfo info = {.ipi_ifindex = (int)interface};
    inet_pton(AF_INET, strncmp(address, "::ffff:", 7) ? address : address + 7, &info.ipi_spec_dst);
    return info;
}

static struct in6_pktinfo info_six(unsigned interface, const char *address)
{
    struct in6_pktinfo info = {.ipi6_ifindex = interface};
    inet_pton(AF_INET6, address, &info.ipi6_addr);
    return info;
}

static void sent(void)
{
    const int zero = 0, seven = 7, many = 256, minus = -1, class = 0xb9;
    const uint8_t byte = 2;
    unsigned index = if_nametoindex(way->interface);
    one("IP_TTL", IPPROTO_IP, IP_TTL, &seven, sizeof seven);
    one("IP_TTL of 0", IPPROTO_IP, IP_TTL, &zero, sizeof zero);
    one("IP_TTL of 256", IPPROTO_IP, IP_TTL, &many, sizeof many);
    one("IP_TTL of a byte", IPPROTO_IP, IP_TTL, &byte, 1);
    one("IP_TOS", IPPROTO_IP, IP_TOS, &class, sizeof class);
    one("IP_TOS of a byte", IPPROTO_IP, IP_TOS, &byte, 1);
    one("IP_TOS of -1", IPPROTO_IP, IP_TOS, &minus, sizeof minus);
    one("IPV6_HOPLIMIT", IPPROTO_IPV6, IPV6_HOPLIMIT, &seven, sizeof seven);
    one("IPV6_HOPLIMIT of -1", IPPROTO_IPV6, IPV6_HOPLIMIT, &minus, sizeof minus);
    one("IPV6_HOPLIMIT of 256", IPPROTO_IPV6, IPV6_HOPLIMIT, &many, sizeof many);
    one("IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
    one("IPV6_TCLASS of 256", IPPROTO_IPV6, IPV6_TCLASS, &many, sizeof many);
    one("IPV6_TCLASS of a byte", IPPROTO_IPV6, IPV6_TCLASS, &byte, 1);
    one("IPV6_DONTFRAG", IPPROTO_IPV6, IPV6_DONTFRAG, &seven, sizeof seven);
    one("what is none", IPPROTO_IP, 99, &seven, sizeof seven);
    one("what is none of IPv6", IPPROTO_IPV6, 99, &seven, sizeof seven);
    one("of no level", 4711, 1, &seven, sizeof seven);
    struct in_pktinfo four = info_four(index, way->own);
    struct in6_pktinfo six = info_six(index, way->own);
    if (way->family == AF_INET || way->mapped) {
        one("IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, &four, sizeof four);
        one("IP_PKTINFO, cut", IPPROTO_IP, IP_PKTINFO, &four, 8);
        four = info_four(0, way->own);
        one("IP_PKTINFO of an address", IPPROTO_IP, IP_PKTINFO, &four, sizeof four);
        four = info_four(index, "0.0.0.0");
        one("IP_PKTINFO of an interface", IPPROTO_IP, IP_PKTINFO, &four, sizeof four);
        four = info_four(9999, "0.0.0.0");
        one("IP_PKTINFO of no interface", IPPROTO_IP, IP_PKTINFO, &four, sizeof four);
        four = info_four(0, "192.0.2.1");
        one("IP_PKTINFO of another's address", IPPROTO_IP, IP_PKTINFO, &four, sizeof four);
    }
    if (way->family == AF_INET6) {
        one("IPV6_PKTINFO", IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
        one("IPV6_PKTINFO, cut", IPPROTO_IPV6, IPV6_PKTINFO, &six, 8);
        six = info_six(0, way->own);
        one("IPV6_PKTINFO of an address", IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
        six = info_six(index, "::");
        one("IPV6_PKTINFO of an interface", IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
        six = info_six(9999, "::");
        one("IPV6_PKTINFO of no interface", IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
        six = info_six(0, "2001:db8::77");
        one("IPV6_PKTINFO of another's address", IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
    }
    struct outgoing o = {.length = 0};
    int fd = open_bound(PORT_OWN);
    if (way->family == AF_INET || way->mapped) {
        add(&o, IPPROTO_IP, IP_TTL, &seven, sizeof seven);
        add(&o, IPPROTO_IP, IP_TOS, &class, sizeof class);
    } else {
        add(&o, IPPROTO_IPV6, IPV6_HOPLIMIT, &seven, sizeof seven);
        add(&o, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
    }
    say_sent("two elements", fd, &o);
    o.length -= 4; /* the padding need not be there */
    say_sent("two elements without padding", fd, &o);
    ((struct cmsghdr *)o.bytes)->cmsg_len = 3;
    say_sent("an element shorter than its head", fd, &o);
    ((struct cmsghdr *)o.bytes)->cmsg_len = 1000;
    say_sent("an element beyond the end", fd, &o);
    o.length = 10;
    say_sent("less than an element", fd, &o);
    close(fd);
}

void cases_control(void)
{
    received();
    extension_headers();
    sent();
}

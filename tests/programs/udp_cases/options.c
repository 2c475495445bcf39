/* SPDX-License-Identifier: Apache-2.0 */
/* Options: what they are, what they may be, and what filters and buffers do. */
#include "cases.h"

#include <linux/filter.h>
#include <linux/sockios.h>

struct option {
    const char *text;
    int level, name;
};

#define O(level, name) {#name, level, name}

static const struct option all[] = {
    O(SOL_SOCKET, SO_TYPE), O(SOL_SOCKET, SO_PROTOCOL), O(SOL_SOCKET, SO_DOMAIN),
    O(SOL_SOCKET, SO_ERROR), O(SOL_SOCKET, SO_BROADCAST), O(SOL_SOCKET, SO_REUSEADDR),
    O(SOL_SOCKET, SO_REUSEPORT), O(SOL_SOCKET, SO_RCVBUF), O(SOL_SOCKET, SO_SNDBUF),
    O(SOL_SOCKET, SO_KEEPALIVE), O(SOL_SOCKET, SO_TIMESTAMP), O(SOL_SOCKET, SO_TIMESTAMPNS),
    O(SOL_SOCKET, SO_RXQ_OVFL), O(SOL_SOCKET, SO_PRIORITY), O(SOL_SOCKET, SO_ACCEPTCONN),
    O(SOL_SOCKET, SO_PEEK_OFF), O(SOL_SOCKET, SO_NO_CHECK), O(SOL_SOCKET, SO_RCVLOWAT),
    O(IPPROTO_UDP, UDP_CORK), O(IPPROTO_UDP, UDP_SEGMENT), O(IPPROTO_UDP, UDP_GRO),
    O(IPPROTO_UDP, UDP_NO_CHECK6_RX),
    O(IPPROTO_IP, IP_TTL), O(IPPROTO_IP, IP_TOS), O(IPPROTO_IP, IP_MTU_DISCOVER), O(IPPROTO_IP, IP_MTU),
    O(IPPROTO_IP, IP_PKTINFO), O(IPPROTO_IP, IP_RECVTTL), O(IPPROTO_IP, IP_RECVTOS),
    O(IPPROTO_IP, IP_RECVERR), O(IPPROTO_IP, IP_MULTICAST_TTL), O(IPPROTO_IP, IP_MULTICAST_LOOP),
    O(IPPROTO_IP, IP_FREEBIND), O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), O(IPPROTO_IP, IP_MINTTL),
    O(IPPROTO_IPV6, IPV6_V6ONLY), O(IPPROTO_IPV6, IPV6_UNICAST_HOPS), O(IPPROTO_IPV6, IPV6_TCLASS),
    O(IPPROTO_IPV6, IPV6_MTU_DISCOVER), O(IPPROTO_IPV6, IPV6_MTU), O(IPPROTO_IPV6, IPV6_RECVPKTINFO),
    O(IPPROTO_IPV6, IPV6_RECVHOPLIMIT), O(IPPROTO_IPV6, IPV6_RECVTCLASS), O(IPPROTO_IPV6, IPV6_RECVERR),
    O(IPPROTO_IPV6, IPV6_DONTFRAG), O(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL),
};

static void get(const char *when, int fd, const struct option *o)
{
    int value = 0x55555555;
    socklen_t n = sizeof value;
    char text[100];
    snprintf(text, sizeof text, "%s %s", o->text, when);
    if (getsockopt(fd, o->level, o->name, &value, &n))
        say(text, "%s", error_name(errno));
    else
        say(text, "%d, %d bytes", n == 1 ? value & 255 : value, (int)n);
}

static void defaults(void)
{
    int fd = open_socket();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        get("by default", fd, &all[i]);
    connect_to(fd, peer_address(PORT_ECHO));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].name == IP_MTU || all[i].name == IPV6_MTU || all[i].name == IPV6_UNICAST_HOPS)
            get("when connected", fd, &all[i]);
    close(fd);
}

static const struct {
    struct option option;
    int value;
} settings[] = {
    {O(SOL_SOCKET, SO_RCVBUF), 100000}, {O(SOL_SOCKET, SO_RCVBUF), 1}, {O(SOL_SOCKET, SO_RCVBUF), -1},
    {O(SOL_SOCKET, SO_SNDBUF), 50000}, {O(SOL_SOCKET, SO_BROADCAST), 7}, {O(SOL_SOCKET, SO_TYPE), 1},
    {O(SOL_SOCKET, SO_PEEK_OFF), 5}, {O(SOL_SOCKET, SO_PEEK_OFF), -1}, {O(SOL_SOCKET, SO_TIMESTAMP), 1},
    {O(SOL_SOCKET, SO_TIMESTAMPNS), 1}, {O(SOL_SOCKET, SO_TIMESTAMPNS), 0},
    {O(IPPROTO_IP, IP_TTL), 17}, {O(IPPROTO_IP, IP_TTL), 0}, {O(IPPROTO_IP, IP_TTL), 256},
    {O(IPPROTO_IP, IP_TTL), -1}, {O(IPPROTO_IP, IP_TOS), 0xb9}, {O(IPPROTO_IP, IP_TOS), 300},
    {O(IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DO}, {O(IPPROTO_IP, IP_MTU_DISCOVER), 9},
    {O(IPPROTO_IP, IP_MINTTL), 300}, {O(IPPROTO_IP, IP_MTU), 1400},
    {O(IPPROTO_IPV6, IPV6_UNICAST_HOPS), 21}, {O(IPPROTO_IPV6, IPV6_UNICAST_HOPS), -1},
    {O(IPPROTO_IPV6, IPV6_UNICAST_HOPS), 256}, {O(IPPROTO_IPV6, IPV6_TCLASS), 0xb9},
    {O(IPPROTO_IPV6, IPV6_TCLASS), -1}, {O(IPPROTO_IPV6, IPV6_TCLASS), 256},
    {O(IPPROTO_IPV6, IPV6_MTU), 1279}, {O(IPPROTO_IPV6, IPV6_MTU), 1300},
    {O(IPPROTO_UDP, UDP_SEGMENT), 1000}, {O(IPPROTO_UDP, UDP_SEGMENT), 65536},
    {O(IPPROTO_UDP, UDP_SEGMENT), -1}, {O(IPPROTO_UDP, UDP_GRO), 1}, {O(IPPROTO_UDP, UDP_GRO), 0},
    {O(SOL_SOCKET, SO_ZEROCOPY), 2},
};

static void setting(void)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct option *o = &settings[i].option;
        int fd = open_socket();
        char text[100];
        snprintf(text, sizeof text, "%s set to %d", o->text, settings[i].value);
        say_result(text, set_int(fd, o->level, o->name, settings[i].value));
        get("then", fd, o);
        close(fd);
    }
    int fd = open_socket(), value = 1;
    say_result("an option of no length", setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &value, 0));
    say_result("an option of three bytes", setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &value, 3));
    say_result("an option from nowhere", setsockopt(fd, SOL_SOCKET, SO_BROADCAST, (void *)8, 4));
    say_result("an option of a byte", setsockopt(fd, IPPROTO_IP, IP_TTL, &value, 1));
    say_result("an option of no level", setsockopt(fd, 4711, 1, &value, 4));
    say_result("an option of no name", setsockopt(fd, SOL_SOCKET, 4711, &value, 4));
    say_result("an option of TCP", setsockopt(fd, IPPROTO_TCP, 1, &value, 4));
    socklen_t n = 2;
    value = -1;
    int result = getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &n);
    say("half an option", "%d %x %d", result, (unsigned)value, (int)n);
    n = (socklen_t)-1;
    say_result("an option of negative length", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &n));
    close(fd);
}

static void see(const char *name, int fd)
{
    send_to(fd, peer_address(PORT_SEE), "seen", 4, 0);
    say_received(name, fd);
}

/* Does the peer see what was set? */
static void on_the_wire(void)
{
    bool six = way->family == AF_INET6 && !way->mapped;
    int fd = open_socket();
    see("seen by default", fd);
    if (six) {
        set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
        set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, 0x2e << 2 | 1);
    } else {
        set_int(fd, IPPROTO_IP, IP_TTL, 9);
        set_int(fd, IPPROTO_IP, IP_TOS, 0x2e << 2 | 1);
    }
    see("seen with TTL and TOS", fd);
    if (six) {
        set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
        set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, -1);
        set_int(fd, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0);
    } else {
        set_int(fd, IPPROTO_IP, IP_TTL, -1);
        set_int(fd, IPPROTO_IP, IP_TOS, 0);
    }
    see("seen as at first", fd);
    connect_to(fd, peer_address(PORT_SEE));
    send(fd, "connected", 9, 0);
    say_received("seen of a connected one", fd);
    set_int(fd, SOL_SOCKET, SO_NO_CHECK, 1);
    send(fd, "unchecked", 9, 0);
    say_received("seen without a checksum", fd);
    close(fd);
}

static int attach(int fd, struct sock_filter *code, unsigned short count)
{
    struct sock_fprog program = {count, code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static void filters(void)
{
    /* What begins with 'b' passes, the UDP header is before it. */
    struct sock_filter begins[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8), BPF_JUMP(BPF_JMP | BPF_JEQ, 'b', 0, 1),
                                   BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_filter cuts[] = {BPF_STMT(BPF_RET | BPF_K, 8 + 3)}, wrong[] = {BPF_STMT(BPF_LD, 0)};
    int fd = open_bound(PORT_OWN), value;
    say_result("a filter", attach(fd, begins, 4));
    burst(PORT_OWN, 3, 10, 64, 0);
    say_received("passes what begins with b", fd);
    say_silence("and nothing else", fd);
    say_result("a filter that cuts", attach(fd, cuts, 1));
    burst(PORT_OWN, 1, 10, 64, 0);
    say_received("cut", fd);
    say_result("a filter that is wrong", attach(fd, wrong, 1));
    say_result("a filter of no length", attach(fd, wrong, 0));
    say_result("detach", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &value, sizeof value));
    say_result("detach again", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &value, sizeof value));
    burst(PORT_OWN, 1, 10, 64, 0);
    say_received("whole again", fd);
    close(fd);
}

static void buffers(void)
{
    static char bytes[2000];
    int fd = open_socket(), received = 0;
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 8192);
    bind_to(fd, any_address(PORT_OWN));
    burst(PORT_OWN, 100, 1000, 64, 0);
    usleep(50000);
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == 1000)
        received++;
    say("a small SO_RCVBUF", "%s", received > 3 && received < 30 ? "keeps a few" : "keeps none or all");
    burst(PORT_OWN, 1, 5, 64, 0);
    say_received("there is room again", fd);
    close(fd);
    fd = open_socket();
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 200000);
    set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    bind_to(fd, any_address(PORT_OWN));
    burst(PORT_OWN, 100, 1000, 64, 0);
    for (received = 0; received < 100 && receive(fd, bytes, sizeof bytes) == 1000;)
        received++;
    say("a large SO_RCVBUF", "%d", received);
    close(fd);
}

static void stamps(void)
{
    struct timeval t;
    int fd = open_bound(PORT_OWN);
    say_result("SIOCGSTAMP before anything came", ioctl(fd, SIOCGSTAMP, &t));
    burst(PORT_OWN, 2, 5, 64, 0);
    say_received("something", fd);
    int result = ioctl(fd, SIOCGSTAMP, &t);
    time_t now = time(NULL);
    say("SIOCGSTAMP", "%d %s", result, t.tv_sec >= now - 10 && t.tv_sec <= now + 1 ? "now" : "not now");
    close(fd);
}

void cases_options(void)
{
    defaults();
    setting();
    on_the_wire();
    filters();
    buffers();
    stamps();
}

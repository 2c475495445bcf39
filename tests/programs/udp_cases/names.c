/* SPDX-License-Identifier: Apache-2.0 */
/* Binding, connecting, sharing ports, both families. */
#include "cases.h"

static void binding(void)
{
    int fd = open_socket(), other = open_socket();
    say_names("a fresh socket", fd);
    say_result("bind to any", bind_to(fd, any_address(PORT_OWN)));
    say_names("bound to any", fd);
    say_result("bind twice", bind_to(fd, any_address(PORT_OTHER)));
    say_result("bind what is taken", bind_to(other, any_address(PORT_OWN)));
    say_result("bind a part of what is taken", bind_to(other, own_address(PORT_OWN)));
    struct address foreign = address_of(way->family == AF_INET ? "192.0.2.1"
                                        : way->mapped          ? "::ffff:192.0.2.1"
                                                               : "2001:db8::1", PORT_OWN);
    say_result("bind another's address", bind_to(other, foreign));
    struct address a = own_address(PORT_OTHER);
    a.length = 8;
    say_result("bind a short address", bind_to(other, a));
    a = own_address(PORT_OTHER);
    a.any.sa_family = AF_UNIX;
    say_result("bind another family", bind_to(other, a));
    a = own_address(PORT_OTHER);
    a.any.sa_family = AF_UNSPEC;
    say_result("bind no family", bind_to(other, a));
    close(other);
    close(fd);

    fd = open_socket();
    say_result("bind to our address", bind_to(fd, own_address(PORT_OWN)));
    say_names("bound to our address", fd);
    burst(PORT_OWN, 1, 6, 64, 0);
    say_received("received there", fd);
    close(fd);
    fd = open_socket();
    say_result("bind to no port", bind_to(fd, own_address(0)));
    say_names("bound to a port of its own", fd);
    close(fd);
    fd = open_socket();
    send_to(fd, peer_address(PORT_ECHO), "bind me", 7, 0);
    say_names("bound by sending", fd);
    say_received("the echo", fd);
    close(fd);
    fd = open_socket();
    char byte;
    say_result("receiving unbound", recv(fd, &byte, 1, MSG_DONTWAIT));
    say_names("not bound by receiving", fd);
    close(fd);
}

static void connecting(void)
{
    int fd = open_socket();
    say_result("connect", connect_to(fd, peer_address(PORT_ECHO)));
    say_names("connected", fd);
    say_result("send", send(fd, "to the peer", 11, 0));
    say_received("from the peer", fd);
    say_result("sendto another while connected", send_to(fd, peer_address(PORT_SEE), "xy", 2, 0));
    say_silence("whose answer is not for us", fd);
    say_names("still connected", fd);
    say_result("connect again", connect_to(fd, peer_address(PORT_SEE)));
    say_names("connected to another", fd);
    send(fd, "xyz", 3, 0);
    say_received("from that one", fd);
    struct address none = {.any.sa_family = AF_UNSPEC, .length = sizeof none.four};
    say_result("disconnect", connect_to(fd, none));
    say_names("disconnected", fd);
    say_result("send then", send(fd, "x", 1, 0));
    send_to(fd, peer_address(PORT_ECHO), "anew", 4, 0);
    say_received("sendto then", fd);
    close(fd);

    fd = open_bound(PORT_OWN);
    connect_to(fd, peer_address(PORT_ECHO));
    say_names("bound and connected", fd);
    burst(PORT_OWN, 1, 5, 64, 0);
    say_silence("others are not heard", fd);
    send(fd, "me", 2, 0);
    say_received("the peer is", fd);
    connect_to(fd, none);
    say_names("bound and disconnected", fd);
    burst(PORT_OWN, 1, 5, 64, 0);
    say_received("others are heard again", fd);
    close(fd);

    /* What came before it was connected stays. */
    fd = open_bound(PORT_OWN);
    burst(PORT_OWN, 1, 7, 64, 0);
    arrives(fd);
    connect_to(fd, peer_address(PORT_ECHO));
    say_received("from before the connection", fd);
    close(fd);

    fd = open_socket();
    struct address a = peer_address(PORT_ECHO);
    a.length = 8;
    say_result("connect to a short address", connect_to(fd, a));
    a.length = 1;
    say_result("connect to a byte", connect_to(fd, a));
    a = peer_address(PORT_ECHO);
    a.any.sa_family = AF_UNIX;
    say_result("connect to another family", connect_to(fd, a));
    say_result("connect to no port", connect_to(fd, peer_address(0)));
    say_names("connected to no port", fd);
    say_result("send to no port", send(fd, "x", 1, 0));
    close(fd);

    fd = open_socket();
    say_result("connect to any", connect_to(fd, any_address(PORT_ECHO)));
    struct address peer = {.length = sizeof peer.room};
    getpeername(fd, &peer.any, &peer.length);
    say("connected to any", "%s", address_text(&peer));
    close(fd);
    fd = open_socket();
    struct address nowhere = address_of(way->family == AF_INET ? "198.51.100.1"
                                        : way->mapped          ? "::ffff:198.51.100.1"
                                                               : "2001:db8:1::1", PORT_ECHO);
    say_result("connect to nowhere", connect_to(fd, nowhere));
    say_names("after that", fd);
    say_result("send to nowhere", send_to(fd, nowhere, "x", 1, 0));
    close(fd);
}

/* Sockets that share a port: who gets what. */
static void sharing(void)
{
    int a = open_socket(), b = open_socket();
    set_int(a, SOL_SOCKET, SO_REUSEADDR, 1);
    say_result("SO_REUSEADDR on one", bind_to(a, any_address(PORT_OWN)));
    say_result("not on the other", bind_to(b, any_address(PORT_OWN)));
    set_int(b, SOL_SOCKET, SO_REUSEADDR, 1);
    say_result("on both", bind_to(b, any_address(PORT_OWN)));
    burst(PORT_OWN, 1, 3, 64, 0);
    say_received("the newer one gets it", b);
    say_silence("the older one does not", a);
    int particular = open_socket();
    set_int(particular, SOL_SOCKET, SO_REUSEADDR, 1);
    say_result("a more particular one", bind_to(particular, own_address(PORT_OWN)));
    burst(PORT_OWN, 1, 3, 64, 0);
    say_received("gets it before both", particular);
    say_silence("and the newer one does not", b);
    close(particular);
    close(b);
    burst(PORT_OWN, 1, 3, 64, 0);
    say_received("the older one when it is alone", a);
    close(a);

    int fd[4], got[4] = {0}, total = 0;
    char byte;
    for (int i = 0; i < 4; i++) {
        fd[i] = open_socket();
        set_int(fd[i], SOL_SOCKET, SO_REUSEPORT, 1);
        if (bind_to(fd[i], any_address(PORT_OWN)))
            say_result("SO_REUSEPORT", -1);
    }
    tell("many %d 200", PORT_OWN);
    for (int silent = 0; total < 200 && silent < 20; silent++) {
        for (int i = 0; i < 4; i++)
            while (recv(fd[i], &byte, 1, MSG_DONTWAIT) >= 0) {
                got[i]++;
                total++;
                silent = 0;
            }
        if (total < 200)
            usleep(5000);
    }
    say("SO_REUSEPORT", "%d in all, %s", total,
        got[0] > 10 && got[1] > 10 && got[2] > 10 && got[3] > 10 ? "spread" : "not spread");
    for (int i = 0; i < 4; i++)
        close(fd[i]);
    a = open_socket();
    b = open_socket();
    set_int(a, SOL_SOCKET, SO_REUSEPORT, 1);
    bind_to(a, any_address(PORT_OWN));
    say_result("a port that is not shared by all", bind_to(b, any_address(PORT_OWN)));
    close(a);
    close(b);
}

/* One address each, as name servers do. */
static void by_address(void)
{
    int a = open_socket(), b = open_socket();
    bind_to(a, own_address(PORT_OWN));
    struct address loopback = address_of(way->family == AF_INET ? "127.0.0.2"
                                         : way->mapped          ? "::ffff:127.0.0.2"
                                                                : "::1", PORT_OWN);
    say_result("the same port of another address", bind_to(b, loopback));
    burst(PORT_OWN, 1, 3, 64, 0);
    say_received("each gets its own", a);
    send_to(a, loopback, "local", 5, 0);
    if (!way->loopback)
        say_result("from a network address to loopback",
                   recv(b, &(char){0}, 1, MSG_DONTWAIT) >= 0 ? 1 : 0);
    close(a);
    close(b);
}

static void devices(void)
{
    int fd = open_bound(PORT_OWN);
    char name[32] = "";
    socklen_t n = sizeof name;
    int result = getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n);
    say("no device", "%d '%s' %d", result, name, (int)n);
    say_result("SO_BINDTODEVICE", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, way->interface,
                                             (socklen_t)strlen(way->interface)));
    n = sizeof name;
    result = getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n);
    say("a device", "%d %s %d", result, strcmp(name, way->interface) ? "another" : "it", (int)n);
    burst(PORT_OWN, 1, 3, 64, 0);
    say_received("received by it", fd);
    send_to(fd, peer_address(PORT_ECHO), "by it", 5, 0);
    say_received("sent by it", fd);
    say_result("a device that is none", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 7));
    const char *other = strcmp(way->interface, "lo") ? "lo" : "v0";
    if (!setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, other, (socklen_t)strlen(other))) {
        burst(PORT_OWN, 1, 3, 64, 0);
        say_silence("nothing of ours by another", fd);
    }
    say_result("no device again", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    burst(PORT_OWN, 1, 3, 64, 0);
    say_received("received then", fd);
    close(fd);
}

static struct address mapped_or_not(const char *four, int port)
{
    char text[100];
    snprintf(text, sizeof text, "%s%s", strncmp(four, "::ffff:", 7) ? "::ffff:" : "", four);
    struct address a = {.length = sizeof a.six};
    a.six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, text, &a.six.sin6_addr);
    return a;
}

/* Of IPv4, by an AF_INET6 socket and beside one. */
static void families(void)
{
    if (way->family == AF_INET6 && !way->mapped) {
        int fd = open_socket(), value = -1;
        socklen_t n = sizeof value;
        getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &n);
        say("IPV6_V6ONLY by default", "%d", value);
        say_result("IPV6_V6ONLY", set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
        bind_to(fd, any_address(PORT_OWN));
        say_result("IPV6_V6ONLY once bound", set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
        say_result("a mapped address then", send_to(fd, mapped_or_not("127.0.0.1", PORT_CLOSED), "x", 1, 0));
        say_result("connecting to one", connect_to(fd, mapped_or_not("127.0.0.1", PORT_CLOSED)));
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(PORT_CLOSED),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        say_result("an IPv4 address then", sendto(fd, "x", 1, 0, (struct sockaddr *)&four, sizeof four));
        int beside = socket(AF_INET, SOCK_DGRAM, 0);
        four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT_OWN)};
        say_result("IPv4 beside it", bind(beside, (struct sockaddr *)&four, sizeof four));
        close(beside);
        close(fd);
        fd = open_bound(PORT_OWN);
        beside = socket(AF_INET, SOCK_DGRAM, 0);
        say_result("IPv4 beside a socket of both", bind(beside, (struct sockaddr *)&four, sizeof four));
        close(beside);
        four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        four.sin_port = htons(PORT_OWN);
        int from = socket(AF_INET, SOCK_DGRAM, 0);
        sendto(from, "four", 4, 0, (struct sockaddr *)&four, sizeof four);
        say_received("IPv4 by a socket of both", fd);
        close(from);
        say_result("an IPv4 address by a socket of both", sendto(fd, "self", 4, 0, (struct sockaddr *)&four,
                                                                 sizeof four));
        say_received("which has come", fd);
        close(fd);
        struct address local = address_of("fe80::1234", PORT_OWN);
        local.six.sin6_scope_id = 0;
        fd = open_socket();
        say_result("binding link-local without a scope", bind_to(fd, local));
        say_result("sending link-local without a scope", send_to(fd, local, "x", 1, 0));
        say_result("connecting link-local without a scope", connect_to(fd, local));
        struct address old = peer_address(PORT_ECHO);
        old.length = 24; /* without the scope, as RFC 2133 had it */
        say_result("an address of RFC 2133", send_to(fd, old, "old", 3, 0));
        say_received("answered", fd);
        close(fd);
    }
    if (way->family == AF_INET) {
        int fd = open_socket();
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(PORT_ECHO),
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        say_result("IPv6 by an IPv4 socket", sendto(fd, "x", 1, 0, (struct sockaddr *)&six, sizeof six));
        say_result("connecting to it", connect(fd, (struct sockaddr *)&six, sizeof six));
        say_result("binding to it", bind(fd, (struct sockaddr *)&six, sizeof six));
        close(fd);
    }
}

void cases_names(void)
{
    binding();
    connecting();
    sharing();
    by_address();
    devices();
    families();
}

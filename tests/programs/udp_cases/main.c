/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   udp_cases peer INTERFACE                     the other side: natively, until it is killed
 *   udp_cases WAY OWN PEER INTERFACE [busy]      WAY: four, six, mapped; busy: each socket has received much before
 */
#include <stdarg.h>

#include "cases.h"

const struct way *way;

/* ---- addresses ---- */

struct address address_of(const char *text, int port)
{
    struct address a = {.length = 0};
    if (way->family == AF_INET) {
        a.four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        inet_pton(AF_INET, text, &a.four.sin_addr);
        a.length = sizeof a.four;
    } else {
        a.six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        inet_pton(AF_INET6, text, &a.six.sin6_addr);
        if (IN6_IS_ADDR_LINKLOCAL(&a.six.sin6_addr))
            a.six.sin6_scope_id = if_nametoindex(way->interface);
        a.length = sizeof a.six;
    }
    return a;
}

struct address own_address(int port)
{
    return address_of(way->own, port);
}

struct address peer_address(int port)
{
    return address_of(way->peer, port);
}

struct address any_address(int port)
{
    return address_of(way->family == AF_INET ? "0.0.0.0" : "::", port);
}

const char *address_text(const struct address *a)
{
    static char text[200];
    char ip[64] = "?", port[16] = "auto", scope[IF_NAMESIZE + 1] = "";
    if (a->length == 0)
        return "none";
    int family = a->any.sa_family;
    if (family != AF_INET && family != AF_INET6)
        return "of no family";
    inet_ntop(family, family == AF_INET ? (const void *)&a->four.sin_addr : &a->six.sin6_addr, ip,
              sizeof ip);
    const char *word = !strcmp(ip, way->own)                          ? "own"
                       : !strcmp(ip, way->peer)                       ? "peer"
                       : !strcmp(ip, "0.0.0.0") || !strcmp(ip, "::") ? "any"
                                                                      : ip;
    if (ntohs(a->four.sin_port) < 32768)
        snprintf(port, sizeof port, "%d", ntohs(a->four.sin_port));
    if (family == AF_INET6 && a->six.sin6_scope_id) {
        scope[0] = '%';
        if_indextoname(a->six.sin6_scope_id, scope + 1);
    }
    snprintf(text, sizeof text, "%d bytes %s%s port %s%s", (int)a->length, word, scope, port,
             family == AF_INET6 && a->six.sin6_flowinfo ? " with flow" : "");
    return text;
}

/* ---- sockets ---- */

int open_socket(void)
{
    int fd = socket(way->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        perror("socket");
        exit(1);
    }
    return fd;
}

/* Many datagrams in a short time, and none is left. Not where others may get what is sent. */
static void make_busy(int fd)
{
    struct address a = {.length = sizeof a.room};
    int shares = 0, from = socket(way->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof shares;
    getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, &n);
    getsockname(fd, &a.any, &a.length);
    struct address to = own_address(ntohs(a.four.sin_port));
    for (int i = 0; i < 60 && !shares; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char byte;
        if (send_to(from, to, "x", 1, 0) != 1 || poll(&p, 1, 100) != 1 || recv(fd, &byte, 1, MSG_DONTWAIT) != 1)
            break;
    }
    close(from);
}

static bool busy;

int bind_to(int fd, struct address a)
{
    int result = bind(fd, &a.any, a.length);
    if (!result && busy)
        make_busy(fd);
    return result;
}

int connect_to(int fd, struct address a)
{
    return connect(fd, &a.any, a.length);
}

int open_bound(int port)
{
    int fd = open_socket();
    if (bind_to(fd, any_address(port))) {
        perror("bind");
        exit(1);
    }
    return fd;
}

ssize_t send_to(int fd, struct address a, const void *bytes, size_t n, int flags)
{
    return sendto(fd, bytes, n, flags, &a.any, a.length);
}

int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

void say_names(const char *name, int fd)
{
    struct address own = {.length = sizeof own.room}, peer = {.length = sizeof peer.room};
    char text[250];
    if (getsockname(fd, &own.any, &own.length))
        snprintf(text, sizeof text, "%s", error_name(errno));
    else
        snprintf(text, sizeof text, "%s", address_text(&own));
    if (getpeername(fd, &peer.any, &peer.length))
        say(name, "%s; peer %s", text, error_name(errno));
    else
        say(name, "%s; peer %s", text, address_text(&peer));
}

bool arrives(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 2000) == 1;
}

ssize_t receive(int fd, void *bytes, size_t n)
{
    arrives(fd);
    return recv(fd, bytes, n, MSG_DONTWAIT);
}

void say_received(const char *name, int fd)
{
    static char bytes[70000];
    struct address from = {.length = sizeof from.room};
    arrives(fd);
    ssize_t n = recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, &from.any, &from.length);
    if (n < 0)
        say(name, "%s", error_name(errno));
    else
        say(name, "%zd '%.*s' from %s", n, n < 20 ? (int)n : 20, bytes, address_text(&from));
}

void say_silence(const char *name, int fd)
{
    char byte;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready = poll(&p, 1, 100);
    say(name, "%d ready, recv %zd %s", ready, recv(fd, &byte, 1, MSG_DONTWAIT), error_name(errno));
}

void greet(void)
{
    int fd = open_socket();
    char byte;
    for (int i = 0; i < 3; i++) {
        send_to(fd, peer_address(PORT_ECHO), "hello", 5, 0);
        receive(fd, &byte, 1);
    }
    close(fd);
}

void tell(const char *format, ...)
{
    char text[200], answer[200];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int fd = open_socket();
    send_to(fd, peer_address(PORT_TELL), text, (size_t)n, 0);
    if (receive(fd, answer, sizeof answer) < 0)
        say("the peer does not answer", "%s", text);
    close(fd);
}

void burst(int port, int count, int size, int ttl, int tos)
{
    tell("burst %d %d %d %d %d", port, count, size, ttl, tos);
}

int main(int count, char **arguments)
{
    static struct way here;
    if (count == 3 && !strcmp(arguments[1], "peer"))
        return peer_main(arguments[2]);
    busy = count == 6 && !strcmp(arguments[5], "busy");
    if (count != 5 + busy)
        return 2;
    here = (struct way){
        .name = arguments[1],
        .family = strcmp(arguments[1], "four") ? AF_INET6 : AF_INET,
        .own = arguments[2],
        .peer = arguments[3],
        .interface = arguments[4],
        .mapped = !strcmp(arguments[1], "mapped"),
        .loopback = !strcmp(arguments[2], arguments[3]),
    };
    way = &here;
    greet();
    cases_basic();
    cases_names();
    cases_options();
    cases_control();
    cases_errors();
    cases_waiting();
    cases_rows();
    cases_cast();
    cases_odd();
    return 0;
}

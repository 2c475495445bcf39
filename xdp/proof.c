/* SPDX-License-Identifier: Apache-2.0 */
#include "xdp/proof.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) || size != sizeof value ? -1 : value;
}

/* 0: unknown. */
static uint64_t namespace_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) ? 0 : cookie;
}

static bool same_namespace(int fd)
{
    int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint64_t ours = own < 0 ? 0 : namespace_of(own);
    if (own >= 0)
        close(own);
    return ours && namespace_of(fd) == ours;
}

static bool is_any(const struct steering_address *a, bool four)
{
    static const struct steering_address none;
    return !memcmp(a->byte + (four ? 12 : 0), none.byte, four ? 4 : 16);
}

static bool is_four(const struct steering_address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return !memcmp(a->byte, mapped, sizeof mapped);
}

/* The name that it is bound to. */
static bool name_of(int fd, struct steering_port *out)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } name = {0};
    socklen_t size = sizeof name;
    *out = (struct steering_port){0};
    if (getsockname(fd, &name.any, &size))
        return false;
    if (name.any.sa_family == AF_INET) {
        out->port = name.four.sin_port;
        out->address.byte[10] = out->address.byte[11] = 0xff;
        memcpy(out->address.byte + 12, &name.four.sin_addr, 4);
        return true;
    }
    out->port = name.six.sin6_port;
    memcpy(out->address.byte, &name.six.sin6_addr, 16);
    return name.any.sa_family == AF_INET6;
}

int proof_check(int fd, const struct steering_port *port)
{
    struct steering_port name;
    if (fd < 0 || option(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM ||
        option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_UDP || !name_of(fd, &name) ||
        name.port != port->port || !same_namespace(fd))
        return -EACCES;
    if (!memcmp(&name.address, &port->address, sizeof name.address))
        return 0;
    bool four = is_four(&port->address);
    if (is_four(&name.address))
        return four && is_any(&name.address, true) ? 0 : -EACCES;
    if (!is_any(&name.address, false))
        return -EACCES;
    /* One of IPv6 that is bound to any address gets IPv4 too, unless it does not want to. */
    return !four || option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0 ? 0 : -EACCES;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One connected client: its messages are data of a stranger, checked before anything is done. */
#include "xdp/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xdp/pass.h"
#include "xdp/proof.h"
#include "xdp/protocol.h"

#define PORTS_MAX 65536

struct client *client_new(int socket, uid_t user, unsigned number)
{
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->socket = socket;
    c->user = user;
    c->number = number;
    c->map = -1;
    for (size_t i = 0; i < STEERING_QUEUES; i++)
        c->xsks[i] = -1;
    return c;
}

static void close_if(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Undo all that it asked for. */
static void forget(struct client *c, struct steering *s)
{
    while (c->port_count) {
        struct client_port *port = &c->ports[--c->port_count];
        steering_port_remove(s, &port->key, c->number);
        close_if(port->proof);
    }
    if (c->map >= 0) {
        steering_client_remove(s, c->number);
        close(c->map);
    }
    c->map = -1;
    for (uint32_t i = 0; i < STEERING_QUEUES; i++) {
        close_if(c->xsks[i]);
        c->xsks[i] = -1;
    }
    memset(c->entered, 0, sizeof c->entered);
    c->attached = false;
}

void client_free(struct client *c, struct steering *s)
{
    forget(c, s);
    close(c->socket);
    free(c->ports);
    free(c);
}

/* A client that does not read its answers loses them: nobody else waits for it. */
static void answer(struct client *c, const char *message, int fd)
{
    char refusal[XDPD_MESSAGE_MAX + 1];
    int error = pass_send(c->socket, message, strlen(message), fd);
    if (fd < 0 || error != -ETOOMANYREFS)
        return;
    snprintf(refusal, sizeof refusal, "%s,%d", XDPD_FD_NAK, -error);
    pass_send(c->socket, refusal, strlen(refusal), -1);
}

static void answer_result(struct client *c, const char *good, const char *bad, int error)
{
    char message[XDPD_MESSAGE_MAX + 1];
    if (error)
        snprintf(message, sizeof message, "%s,%d", bad, -error);
    else
        snprintf(message, sizeof message, "%s", good);
    answer(c, message, -1);
}

/* A decimal number and nothing else, at most `most`: -1 if it is not. */
static long number(const char *text, long most)
{
    long value = 0;
    if (!*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        value = value * 10 + (*text - '0');
        if (value > most)
            return -1;
    }
    return value;
}

/* Its map, made when it is first needed. 0 or -errno. */
static int map_make(struct client *c, struct steering *s)
{
    if (c->map >= 0)
        return 0;
    int map = steering_client_add(s, c->number);
    if (map < 0)
        return map;
    c->map = map;
    c->room = UINT32_MAX;
    return 0;
}

/* As the AF_XDP device plugin does it: the client makes its XSKs and enters them into the map itself. */
static void serve_map(struct client *c, struct steering *s, const char *argument,
                      const char *interface)
{
    while (*argument == ' ')
        argument++;
    if (strcmp(argument, interface) || map_make(c, s)) {
        answer(c, XDPD_FD_NAK, -1);
        return;
    }
    c->attached = true;
    answer(c, XDPD_FD_ACK, c->map);
}

static bool entered(const struct client *c, long queue)
{
    return c->entered[queue / 64] >> (queue % 64) & 1;
}

static void serve_xsk(struct client *c, struct steering *s, const char *argument)
{
    long queue = number(argument, STEERING_QUEUES - 1);
    int error = queue < 0 ? -EINVAL : 0, fd = -1;
    if (!error && entered(c, queue))
        error = -EBUSY;
    if (!error) {
        fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
        error = fd < 0 ? -errno : steering_xsk(s, fd);
    }
    if (error) {
        close_if(fd);
        answer_result(c, NULL, XDPD_FD_NAK, error);
        return;
    }
    /* A second request replaces a socket that was never entered. */
    close_if(c->xsks[queue]);
    c->xsks[queue] = fd;
    answer(c, XDPD_FD_ACK, fd);
}

/* Before it is bound the kernel looks at the size of a ring, and zero is none; then at nothing more. */
static bool is_bound(int xsk)
{
    const uint32_t none = 0;
    return setsockopt(xsk, SOL_XDP, XDP_RX_RING, &none, sizeof none) && errno == EBUSY;
}

static bool is_xsk(int fd)
{
    int domain = -1;
    socklen_t size = sizeof domain;
    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_XDP;
}

/* "queue" or "queue,room". The map keeps no file open: an XSK that its client closes is out of it. One that came along
 * (-1: none) is what the client has from an earlier daemon; it is taken, whatever comes of it. */
static int bound(struct client *c, struct steering *s, char *argument, int own)
{
    long room = UINT32_MAX;
    char *comma = strchr(argument, ',');
    if (comma) {
        *comma = '\0';
        room = number(comma + 1, UINT32_MAX);
    }
    long queue = number(argument, STEERING_QUEUES - 1);
    int wrong = queue < 0 || room < 0 || (own >= 0 && !is_xsk(own)) ? -EINVAL
                : entered(c, queue)                                 ? -EALREADY
                                                                    : 0;
    if (wrong) {
        close_if(own);
        return wrong;
    }
    if (own >= 0) {
        close_if(c->xsks[queue]);
        c->xsks[queue] = own;
    }
    if (c->xsks[queue] < 0)
        return -EINVAL;
    if (!is_bound(c->xsks[queue]))
        return -ENOTCONN;
    int error = map_make(c, s);
    if (!error)
        error = steering_xsk_add(c->map, (uint32_t)queue, c->xsks[queue]);
    if (error)
        return error;
    close(c->xsks[queue]);
    c->xsks[queue] = -1;
    c->entered[queue / 64] |= 1ull << (queue % 64);
    c->attached = true;
    if ((uint32_t)room < c->room)
        c->room = (uint32_t)room;
    steering_room(s, c->number, c->room);
    return 0;
}

/* "address,port": 0 or -EINVAL. */
static int port_parse(char *argument, struct steering_port *out)
{
    char *comma = strchr(argument, ',');
    struct in_addr four;
    if (!comma)
        return -EINVAL;
    *comma = '\0';
    long port = number(comma + 1, 65535);
    if (port <= 0)
        return -EINVAL;
    *out = (struct steering_port){.port = htons((uint16_t)port)};
    if (inet_pton(AF_INET6, argument, &out->address) == 1)
        return 0;
    if (inet_pton(AF_INET, argument, &four) != 1)
        return -EINVAL;
    out->address = (struct steering_address){.byte[10] = 0xff, .byte[11] = 0xff};
    memcpy(out->address.byte + 12, &four, sizeof four);
    return 0;
}

/* Takes the proof, whatever comes of it. */
static int port_add(struct client *c, struct steering *s, char *argument, int proof)
{
    struct client_port port = {.proof = -1};
    int error = port_parse(argument, &port.key);
    if (!error && c->user)
        error = proof_check(proof, &port.key);
    /* Without an XSK of its own it would get nothing. */
    if (!error && !c->attached)
        error = -ENOTCONN;
    if (!error && c->port_count >= PORTS_MAX)
        error = -ENOSPC;
    if (!error && c->port_count == c->port_space) {
        size_t space = c->port_space ? 2 * c->port_space : 64;
        struct client_port *ports = reallocarray(c->ports, space, sizeof *ports);
        if (ports) {
            c->ports = ports;
            c->port_space = space;
        }
        error = ports ? 0 : -ENOMEM;
    }
    if (!error)
        error = steering_port_add(s, &port.key, c->number);
    /* While it is steered to one user's socket the port is to be nobody else's: kept open. */
    if (!error && c->user) {
        port.proof = proof;
        proof = -1;
    }
    if (!error)
        c->ports[c->port_count++] = port;
    close_if(proof);
    return error;
}

/* The last of the first `count` ports that is this one, -1: none. From the newest: most sockets are
 * short-lived. */
static long port_find(const struct client *c, const struct steering_port *key, size_t count)
{
    while (count-- > 0)
        if (!memcmp(&c->ports[count].key, key, sizeof *key))
            return (long)count;
    return -1;
}

static int port_remove(struct client *c, struct steering *s, char *argument)
{
    struct steering_port key;
    if (port_parse(argument, &key))
        return -EINVAL;
    long at = port_find(c, &key, c->port_count);
    if (at < 0)
        return -ENOENT;
    bool again = port_find(c, &key, (size_t)at) >= 0;
    int proof = c->ports[at].proof;
    c->ports[at] = c->ports[--c->port_count];
    int error = again ? 0 : steering_port_remove(s, &key, c->number);
    close_if(proof);
    return error;
}

/* The message is `word` or `word,argument`; where the argument starts, NULL: another word. */
static char *argument_of(char *message, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(message, word, length))
        return NULL;
    return message[length] == ',' ? message + length + 1 : NULL;
}

/* With what came along, which it takes. */
static enum client_state serve(struct client *c, struct steering *s, const char *interface,
                               char *message, int fd)
{
    char *argument;
    if ((argument = argument_of(message, XDPD_PORT_ADD)) && c->connected) {
        answer_result(c, XDPD_PORT_OK, XDPD_PORT_NAK, port_add(c, s, argument, fd));
        return CLIENT_STAYS;
    }
    if ((argument = argument_of(message, XDPD_BOUND)) && c->connected) {
        answer_result(c, XDPD_BOUND_OK, XDPD_BOUND_NAK, bound(c, s, argument, fd));
        return CLIENT_STAYS;
    }
    close_if(fd);
    if ((argument = argument_of(message, XDPD_CONNECT)) && *argument) {
        c->connected = true;
        answer(c, XDPD_HOST_OK, -1);
    } else if (!c->connected) {
        answer(c, XDPD_NAK, -1);
    } else if (!strcmp(message, XDPD_VERSION_REQUEST)) {
        answer(c, XDPD_VERSION, -1);
    } else if (!strcmp(message, XDPD_PORTS_REQUEST)) {
        answer(c, XDPD_PORTS, -1);
    } else if ((argument = argument_of(message, XDPD_MAP))) {
        serve_map(c, s, argument, interface);
    } else if ((argument = argument_of(message, XDPD_XSK))) {
        serve_xsk(c, s, argument);
    } else if ((argument = argument_of(message, XDPD_PORT_DEL))) {
        answer_result(c, XDPD_PORT_OK, XDPD_PORT_NAK, port_remove(c, s, argument));
    } else if (!strcmp(message, XDPD_FIN)) {
        return CLIENT_FINISHES;
    } else {
        answer(c, XDPD_NAK, -1);
    }
    return CLIENT_STAYS;
}

void client_finish(struct client *c, struct steering *s)
{
    forget(c, s);
    answer(c, XDPD_FIN_ACK, -1);
}

enum client_state client_serve(struct client *c, struct steering *s, const char *interface)
{
    /* One more than fits, so that too long a message shows. */
    char message[XDPD_MESSAGE_MAX + 2];
    int fd;
    ssize_t length = pass_receive(c->socket, message, XDPD_MESSAGE_MAX + 1, &fd, MSG_DONTWAIT);
    if (length == -EAGAIN)
        return CLIENT_STAYS;
    if (length <= 0)
        return CLIENT_GONE;
    message[length] = '\0';
    if (length > XDPD_MESSAGE_MAX || strlen(message) != (size_t)length) {
        close_if(fd);
        answer(c, XDPD_NAK, -1);
        return CLIENT_STAYS;
    }
    return serve(c, s, interface, message, fd);
}

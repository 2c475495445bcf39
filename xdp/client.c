/* SPDX-License-Identifier: Apache-2.0 */
/* One connected client: its messages are data of a stranger, checked before anything is done. */
#include "xdp/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
    for (size_t i = 0; i < STEERING_QUEUES; i++)
        c->queues[i].xsk = -1;
    return c;
}

/* Undo all that it asked for. */
static void forget(struct client *c, struct steering *s)
{
    while (c->port_count)
        steering_port_remove(s, &c->ports[--c->port_count], c->number);
    for (uint32_t i = 0; i < STEERING_QUEUES; i++) {
        struct client_queue *queue = &c->queues[i];
        if (queue->entered)
            steering_xsk_remove(s, i);
        if (queue->xsk >= 0)
            close(queue->xsk);
        *queue = (struct client_queue){.xsk = -1};
    }
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
    struct iovec part = {.iov_base = (void *)message, .iov_len = strlen(message)};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        packet.msg_control = &control;
        packet.msg_controllen = sizeof control.space;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    sendmsg(c->socket, &packet, MSG_DONTWAIT | MSG_NOSIGNAL);
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

static void serve_xsk(struct client *c, const char *argument)
{
    long queue = number(argument, STEERING_QUEUES - 1);
    int error = queue < 0 ? -EINVAL : 0, fd = -1;
    if (!error && c->queues[queue].entered)
        error = -EBUSY;
    if (!error) {
        fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
        error = fd < 0 ? -errno : 0;
    }
    if (error) {
        answer_result(c, NULL, XDPD_FD_NAK, error);
        return;
    }
    /* A second request replaces a socket that was never entered. */
    if (c->queues[queue].xsk >= 0)
        close(c->queues[queue].xsk);
    c->queues[queue].xsk = fd;
    answer(c, XDPD_FD_ACK, fd);
}

/* Before it is bound the kernel looks at the size of a ring, and zero is none; then at nothing more. */
static bool is_bound(int xsk)
{
    const uint32_t none = 0;
    return setsockopt(xsk, SOL_XDP, XDP_RX_RING, &none, sizeof none) && errno == EBUSY;
}

static int bound(struct client *c, struct steering *s, const char *argument)
{
    long queue = number(argument, STEERING_QUEUES - 1);
    if (queue < 0 || c->queues[queue].xsk < 0)
        return -EINVAL;
    if (c->queues[queue].entered)
        return -EALREADY;
    if (!is_bound(c->queues[queue].xsk))
        return -ENOTCONN;
    int error = steering_xsk_add(s, (uint32_t)queue, c->queues[queue].xsk, c->number);
    if (error)
        return error;
    c->attached = c->queues[queue].entered = true;
    return 0;
}

static long first_unprivileged_port(void)
{
    char text[16] = "";
    int fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 1024;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 ? strtol(text, NULL, 10) : 1024;
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

static int port_add(struct client *c, struct steering *s, char *argument)
{
    struct steering_port port;
    if (port_parse(argument, &port))
        return -EINVAL;
    if (c->user && ntohs(port.port) < first_unprivileged_port())
        return -EACCES;
    /* Without a queue of its own it would hand the port's datagrams to somebody else. */
    if (!c->attached)
        return -ENOTCONN;
    if (c->port_count >= PORTS_MAX)
        return -ENOSPC;
    if (c->port_count == c->port_space) {
        size_t space = c->port_space ? 2 * c->port_space : 64;
        struct steering_port *ports = reallocarray(c->ports, space, sizeof *ports);
        if (!ports)
            return -ENOMEM;
        c->ports = ports;
        c->port_space = space;
    }
    int error = steering_port_add(s, &port, c->number);
    if (!error)
        c->ports[c->port_count++] = port;
    return error;
}

/* The last of the first `count` ports that is this one, -1: none. From the newest: most sockets are
 * short-lived. */
static long port_find(const struct client *c, const struct steering_port *port, size_t count)
{
    while (count-- > 0)
        if (!memcmp(&c->ports[count], port, sizeof *port))
            return (long)count;
    return -1;
}

static int port_remove(struct client *c, struct steering *s, char *argument)
{
    struct steering_port port;
    if (port_parse(argument, &port))
        return -EINVAL;
    long at = port_find(c, &port, c->port_count);
    if (at < 0)
        return -ENOENT;
    bool again = port_find(c, &port, (size_t)at) >= 0;
    c->ports[at] = c->ports[--c->port_count];
    return again ? 0 : steering_port_remove(s, &port, c->number);
}

/* The message is `word` or `word,argument`; where the argument starts, NULL: another word. */
static char *argument_of(char *message, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(message, word, length))
        return NULL;
    return message[length] == ',' ? message + length + 1 : NULL;
}

static bool serve(struct client *c, struct steering *s, char *message)
{
    char *argument;
    if ((argument = argument_of(message, XDPD_CONNECT)) && *argument) {
        c->connected = true;
        answer(c, XDPD_HOST_OK, -1);
    } else if (!c->connected) {
        answer(c, XDPD_NAK, -1);
    } else if (!strcmp(message, XDPD_VERSION_REQUEST)) {
        answer(c, XDPD_VERSION, -1);
    } else if ((argument = argument_of(message, XDPD_XSK))) {
        serve_xsk(c, argument);
    } else if ((argument = argument_of(message, XDPD_BOUND))) {
        answer_result(c, XDPD_BOUND_OK, XDPD_BOUND_NAK, bound(c, s, argument));
    } else if ((argument = argument_of(message, XDPD_PORT_ADD))) {
        answer_result(c, XDPD_PORT_OK, XDPD_PORT_NAK, port_add(c, s, argument));
    } else if ((argument = argument_of(message, XDPD_PORT_DEL))) {
        answer_result(c, XDPD_PORT_OK, XDPD_PORT_NAK, port_remove(c, s, argument));
    } else if (!strcmp(message, XDPD_FIN)) {
        forget(c, s);
        answer(c, XDPD_FIN_ACK, -1);
        return false;
    } else {
        answer(c, XDPD_NAK, -1);
    }
    return true;
}

bool client_serve(struct client *c, struct steering *s)
{
    /* One more than fits, so that too long a message shows; without room for control data the
     * kernel drops file descriptors that a client sends along. */
    char message[XDPD_MESSAGE_MAX + 2];
    ssize_t length = recv(c->socket, message, XDPD_MESSAGE_MAX + 1, MSG_DONTWAIT);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    if (length == 0)
        return false;
    message[length] = '\0';
    if (length > XDPD_MESSAGE_MAX || strlen(message) != (size_t)length) {
        answer(c, XDPD_NAK, -1);
        return true;
    }
    return serve(c, s, message);
}

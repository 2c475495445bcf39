/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases of UDP sockets: each prints what a program sees, in words that are the same in each run. The
 * output of a native run is what a run in the enclave is held against.
 */
#ifndef UDP_CASES_H
#define UDP_CASES_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../say.h"

/* The peer's ports. On PORT_CLOSED nobody listens. */
#define PORT_ECHO 9001
#define PORT_SEE 9002   /* answers with what it saw of a datagram */
#define PORT_TELL 9003  /* does what it is told */
#define PORT_CLOSED 9004
/* Ours: below those that are given out by themselves, so that they are printed. */
#define PORT_OWN 9100
#define PORT_OTHER 9101

/* A way to the peer, which each case is run on. */
struct way {
    const char *name;
    int family; /* of the sockets */
    const char *own, *peer; /* as sockets of the family write them */
    const char *interface;
    bool mapped; /* IPv4 by an AF_INET6 socket */
    bool loopback;
};

extern const struct way *way;

/* ---- addresses ---- */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_storage room;
    };
    socklen_t length;
};

struct address address_of(const char *text, int port); /* in the way's family */
struct address own_address(int port);
struct address peer_address(int port);
struct address any_address(int port);
/* In words: own, peer, any, or as it is; the port, or "auto". */
const char *address_text(const struct address *a);

/* ---- sockets ---- */

int open_socket(void);
int open_bound(int port); /* to any address */
int bind_to(int fd, struct address a);
int connect_to(int fd, struct address a);
ssize_t send_to(int fd, struct address a, const void *bytes, size_t n, int flags);
int set_int(int fd, int level, int name, int value);
void say_names(const char *name, int fd);

/* Is there something within two seconds? */
bool arrives(int fd);
/* Wait until there is, then receive what has been sent: the length, or -1. */
ssize_t receive(int fd, void *bytes, size_t n);
/* And say it: length, sender, first bytes. */
void say_received(const char *name, int fd);
/* Nothing has come and nothing comes within a tenth of a second. */
void say_silence(const char *name, int fd);

/* Whatever kind of neighbour the peer is, it is known after this. */
void greet(void);
/* Tell the peer to do something, and wait until it says that it has. */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The peer sends so many datagrams of that many bytes ('a', 'b', ...) to our port. */
void burst(int port, int count, int size, int ttl, int tos);

/* The whole of a received message's control data, in order. */
void say_control(const char *name, int fd, size_t room);

/* ---- the areas ---- */

void cases_basic(void);
void cases_names(void);
void cases_options(void);
void cases_control(void);
void cases_errors(void);
void cases_waiting(void);
void cases_rows(void);
void cases_cast(void);
void cases_odd(void);

int peer_main(const char *interface);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases of calls on TCP sockets, epoll and files: each prints what a program sees, in words that are the same
 * in each run. The output of a native run is what a run in the enclave is held against.
 */
#ifndef CALL_CASES_H
#define CALL_CASES_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../say.h"

/* A result of a call, with the bytes that it received. */
void say_bytes(const char *name, long result, const char *bytes);

/* Memory that there is none of, and that may not be written. */
extern char *nowhere, *read_only;

/* How the connection under test came about. */
enum way {
    WAY_FRESH,    /* nothing was done with it yet */
    WAY_SERVED,   /* a thread served messages by epoll */
    WAY_BLOCKING, /* a thread received and sent, waiting in recv */
    WAY_LOCAL,    /* a Unix socket, connected by a path, served by epoll */
    WAYS
};
extern const char *const way_names[WAYS];

/* A connection: `s` is under test and does not block, `c` is its peer and does. */
struct pair {
    int s, c, set; /* set: `s` is in this epoll set, -1: in none */
    enum way way;
};

int listening(int *port); /* on loopback */
int connected_to(int port);
struct pair pair_make(enum way way);
void pair_drop(struct pair *p);
/* Until something can be received on p->s, two seconds at most. */
bool arrives(const struct pair *p);
/* Until one of the events is there on a descriptor, two seconds at most. */
bool happens(int fd, short events);
void put(int fd, const char *text);          /* all of it, or the end of the test */
void expect(const char *name, int fd, size_t n); /* receives so many, and says them */
int set_int(int fd, int level, int name, int value);
void say_poll(const char *name, int fd, short events);
void say_epoll(const char *name, int set, int most);
int pipe_signals(void); /* SIGPIPE that came since it was last asked */

void cases_receive(enum way way);
void cases_send(enum way way);
void cases_ends(enum way way);
void cases_state(enum way way);
void cases_ahead(enum way way);
void cases_names(void);
void cases_epoll(void);
void cases_files(void);
void cases_places(void);

#endif

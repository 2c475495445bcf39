/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many TCP connections, over loopback.
 *
 *     connections serve PORT           a server by epoll: what comes is sent back, until a connection says "stop"
 *     connections threads PORT         the same by a thread for each connection, which waits in recv
 *     connections polls PORT           the same, each thread waits in poll
 *     connections names PORT           the same, each thread waits in recvfrom, and asks who sent it
 *     connections hold PORT COUNT      so many at once, all served twice; they stay until a line comes on standard input
 *     connections pass PORT COUNT      so many, sixteen at a time: each is served once and closed, one way or another
 *     connections ping PORT COUNT      so many requests, one at a time
 *     connections stop PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) < 0) {                                                                          \
            printf("line %d: %s: %s\n", __LINE__, #call, strerror(errno));                         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static int port;

static void many_descriptors(void)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit));
}

static struct sockaddr_in loopback(int nth)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + ((uint32_t)nth << 8))};
    return a;
}

/* ---- the server ---- */

static int set, most;

static void watch(int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
}

/* False: it is to stop. */
static int readable(int fd, long *open_now)
{
    char bytes[64];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n == 4 && !memcmp(bytes, "stop", 4))
        return 0;
    if (n > 0 && send(fd, bytes, (size_t)n, MSG_NOSIGNAL) == n && memcmp(bytes, "end", 3))
        return 1;
    if (n < 0 && errno == EAGAIN)
        return 1;
    CHECK(close(fd));
    --*open_now;
    return 1;
}

static void serve(void)
{
    struct sockaddr_in a = loopback(0);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    long accepted = 0, open_now = 0;
    a.sin_port = htons((uint16_t)port);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof a));
    CHECK(listen(fd, 4096));
    CHECK(set = epoll_create1(0));
    watch(fd);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct epoll_event e[128];
        int n = epoll_wait(set, e, 128, -1);
        CHECK(n);
        for (int i = 0; i < n; i++) {
            if (e[i].data.fd == fd) {
                int c;
                while ((c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    watch(c);
                    accepted++;
                    most = ++open_now > most ? (int)open_now : most;
                }
                if (errno != EAGAIN)
                    CHECK(c);
            } else if (!readable(e[i].data.fd, &open_now)) {
                printf("%ld connections, %d at once\n", accepted, most);
                return;
            }
        }
    }
}

static int by_poll, by_name;

static void *serve_one(void *context)
{
    int fd = (int)(intptr_t)context;
    char bytes[64];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (;;) {
        if (by_poll)
            CHECK(poll(&p, 1, -1));
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t n = by_name ? recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &length)
                            : recv(fd, bytes, sizeof bytes, 0);
        if (by_name && n > 0 && length) /* TCP does not say */
            break;
        if (n == 4 && !memcmp(bytes, "stop", 4))
            exit(0);
        if (n <= 0 || send(fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
            break;
    }
    close(fd);
    return NULL;
}

static void serve_by_threads(void)
{
    struct sockaddr_in a = loopback(0);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_port = htons((uint16_t)port);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof a));
    CHECK(listen(fd, 4096));
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int c = accept(fd, NULL, NULL);
        CHECK(c);
        CHECK(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
        pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)c);
        pthread_detach(thread);
    }
}

/* ---- the client ---- */

static int connected(int nth)
{
    struct sockaddr_in from = loopback(1 + nth % 200), to = loopback(0);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd);
    to.sin_port = htons((uint16_t)port);
    CHECK(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one));
    CHECK(bind(fd, (struct sockaddr *)&from, sizeof from));
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to));
    return fd;
}

static void ask(int fd, const char *text)
{
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL));
}

static void hear(int fd, const char *text)
{
    char bytes[64] = "";
    ssize_t n = recv(fd, bytes, strlen(text), MSG_WAITALL);
    if (n != (ssize_t)strlen(text) || memcmp(bytes, text, (size_t)n)) {
        printf("got %zd bytes, %.*s for %s\n", n, (int)(n > 0 ? n : 0), bytes, text);
        exit(1);
    }
}

static void hold(int count)
{
    int *fds = calloc((size_t)count, sizeof *fds);
    char text[32];
    for (int i = 0; i < count; i++)
        fds[i] = connected(i);
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < count; i++) {
            snprintf(text, sizeof text, "message %d %d", round, i);
            ask(fds[i], text);
            if (i % 64 == 63 || i == count - 1)
                for (int k = i - i % 64; k <= i; k++) {
                    snprintf(text, sizeof text, "message %d %d", round, k);
                    hear(fds[k], text);
                }
        }
    }
    printf("held\n");
    fflush(stdout);
    getchar();
}

static void pass(int count)
{
    enum { AT_ONCE = 16 };
    int fds[AT_ONCE];
    char byte;
    struct linger reset = {1, 0};
    for (int done = 0; done < count; done += AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++)
            fds[i] = connected(done + i);
        for (int i = 0; i < AT_ONCE; i++)
            ask(fds[i], i % 4 == 0 ? "end of it" : "go on");
        for (int i = 0; i < AT_ONCE; i++) {
            hear(fds[i], i % 4 == 0 ? "end of it" : "go on");
            if (i % 4 == 0) {
                CHECK(recv(fds[i], &byte, 1, 0));
            } else if (i % 4 == 1) {
                for (int k = 0; k < 12; k++) {
                    ask(fds[i], "more");
                    hear(fds[i], "more");
                }
            }
            if (i % 2)
                CHECK(setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
            if (i == 6)
                ask(fds[i], "not waited for");
            CHECK(close(fds[i]));
        }
    }
    printf("passed\n");
}

static void ping(int count)
{
    char text[32];
    int one = 1, fd = connected(0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "request %d", i);
        ask(fd, text);
        hear(fd, text);
    }
    close(fd);
    printf("heard all\n");
}

int main(int argc, char **words)
{
    const char *what = argc > 2 ? words[1] : "";
    int count = argc > 3 ? atoi(words[3]) : 0;
    port = argc > 2 ? atoi(words[2]) : 0;
    many_descriptors();
    if (!strcmp(what, "serve"))
        serve();
    else if (!strcmp(what, "threads") || (by_poll = !strcmp(what, "polls")) ||
             (by_name = !strcmp(what, "names")))
        serve_by_threads();
    else if (!strcmp(what, "ping"))
        ping(count);
    else if (!strcmp(what, "hold"))
        hold(count);
    else if (!strcmp(what, "pass"))
        pass(count);
    else if (!strcmp(what, "stop"))
        ask(connected(0), "stop");
    else
        return 2;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Much that arrives by a stream: what was read before it was asked for is there, in order, by each way to ask for it. */
#include "cases.h"

#include <sys/select.h>
#include <sys/wait.h>

/* What byte n of all that is sent to a connection is. */
static char byte_at(size_t n)
{
    return (char)(n * 7 + n / 251);
}

/* A connection by which much comes: how far each side has got. */
struct flow {
    struct pair p;
    size_t sent, taken;
};

static void send_much(struct flow *f, size_t n)
{
    char b[4096];
    while (n) {
        size_t part = n < sizeof b ? n : sizeof b;
        for (size_t i = 0; i < part; i++)
            b[i] = byte_at(f->sent + i);
        if (send(f->p.c, b, part, 0) != (ssize_t)part) {
            perror("send");
            exit(1);
        }
        f->sent += part;
        n -= part;
    }
}

/* Until `n` bytes wait that were not taken. */
static void wait_for(const struct flow *f, int n)
{
    for (int i = 0, there = 0; i < 2000 && there < n; i++) {
        if (ioctl(f->p.s, FIONREAD, &there))
            return;
        if (there < n)
            usleep(1000);
    }
}

static bool good(const struct flow *f, const char *b, ssize_t n)
{
    for (ssize_t i = 0; i < n; i++)
        if (b[i] != byte_at(f->taken + (size_t)i))
            return false;
    return true;
}

static void say_taken(struct flow *f, const char *name, ssize_t n, const char *b, int flags)
{
    say(name, "%zd %s %s", n, n < 0 ? strerror(errno) : "", good(f, b, n) ? "good" : "BAD");
    if (n > 0 && !(flags & MSG_PEEK))
        f->taken += (size_t)n;
}

static void take(struct flow *f, const char *name, size_t n, int flags)
{
    static char b[1 << 19];
    ssize_t got = recv(f->p.s, b, n, flags);
    say_taken(f, name, got, b, flags);
}

/* Reads all that was asked for, again and again. */
static struct flow flow_make(enum way way)
{
    struct flow f = {.p = pair_make(way)};
    char b[4096];
    bool all = true;
    for (int i = 0; i < 12; i++) {
        send_much(&f, sizeof b);
        wait_for(&f, sizeof b);
        all &= read(f.p.s, b, sizeof b) == sizeof b && good(&f, b, sizeof b);
        f.taken += sizeof b;
    }
    say("twelve reads", all ? "good" : "BAD");
    return f;
}

/* Bytes were read ahead, and so many wait still. */
static void more(struct flow *f, size_t n)
{
    send_much(f, n + 4096);
    wait_for(f, (int)n + 4096);
    take(f, "the first of more", 4096, 0);
}

static void asked_for(enum way way)
{
    struct flow f = flow_make(way);
    static char b[65536];
    int there = -1;
    more(&f, 30000);
    say_poll("poll", f.p.s, POLLIN | POLLOUT | POLLRDHUP);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(f.p.s, &in);
    struct timeval none = {0};
    say_result("select", select(f.p.s + 1, &in, NULL, NULL, &none));
    int result = ioctl(f.p.s, FIONREAD, &there);
    say("FIONREAD", "%d %d", result, there);
    take(&f, "peek", 10000, MSG_PEEK);
    take(&f, "peek at all", sizeof b, MSG_PEEK);
    take(&f, "a little", 5, 0);
    struct iovec v[2] = {{b, 100}, {b + 100, 900}};
    ssize_t n = readv(f.p.s, v, 2);
    say_taken(&f, "readv", n, b, 0);
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    n = recvmsg(f.p.s, &m, 0);
    say_taken(&f, "recvmsg", n, b, 0);
    say("its flags", "%x", (unsigned)m.msg_flags);
    take(&f, "recv to nothing", 0, 0);
    say_result("recv to nowhere", recv(f.p.s, nowhere, 100, 0));
    n = recv(f.p.s, NULL, 1000, MSG_TRUNC);
    say("recv with MSG_TRUNC", "%zd", n);
    f.taken += n > 0 ? (size_t)n : 0;
    send_much(&f, 5000);
    wait_for(&f, (int)(f.sent - f.taken));
    take(&f, "all of it", sizeof b, MSG_WAITALL | MSG_DONTWAIT);
    take(&f, "nothing is left", 100, 0);
    say_poll("poll", f.p.s, POLLIN | POLLOUT);
    say_result("SO_RCVLOWAT", set_int(f.p.s, SOL_SOCKET, SO_RCVLOWAT, 1));
    pair_drop(&f.p);
}

static void *send_the_rest(void *context)
{
    struct flow *f = context;
    usleep(20000);
    send_much(f, 40000);
    usleep(20000);
    send_much(f, 60000);
    return NULL;
}

static void waited_for(enum way way)
{
    struct flow f = flow_make(way);
    pthread_t other;
    more(&f, 10000);
    fcntl(f.p.s, F_SETFL, fcntl(f.p.s, F_GETFL) & ~O_NONBLOCK);
    pthread_create(&other, NULL, send_the_rest, &f);
    take(&f, "recv waits for all", 105000, MSG_WAITALL);
    pthread_join(other, NULL);
    take(&f, "and the rest", 105000, 0);
    pthread_create(&other, NULL, send_the_rest, &f);
    struct pollfd p = {f.p.s, POLLIN, 0};
    say_result("poll waits", poll(&p, 1, 2000));
    pthread_join(other, NULL);
    wait_for(&f, 100000);
    take(&f, "what it waited for", 105000, 0);
    struct timeval t = {.tv_usec = 30000};
    setsockopt(f.p.s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    take(&f, "recv with a timeout", 100, 0);
    pair_drop(&f.p);
}

static void *receive_a_part(void *context)
{
    static char parts[2][4096];
    static unsigned next;
    const struct flow *f = context;
    return (void *)recv(f->p.s, parts[__atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST) % 2], 4096, 0);
}

/* Two threads that sleep in recv get what comes, each a part, whoever of them is first. */
static void by_two_threads(enum way way)
{
    struct flow f = flow_make(way);
    struct timeval t = {.tv_sec = 3};
    fcntl(f.p.s, F_SETFL, fcntl(f.p.s, F_GETFL) & ~O_NONBLOCK);
    setsockopt(f.p.s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    for (int round = 0; round < 10; round++) {
        pthread_t threads[2];
        void *got[2];
        for (int i = 0; i < 2; i++)
            pthread_create(&threads[i], NULL, receive_a_part, &f);
        usleep(round % 2 ? 3000 : 0);
        char b[8192] = {0};
        if (send(f.p.c, b, sizeof b, 0) != sizeof b)
            exit(1);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], &got[i]);
        say("two threads", "%zd %zd", (ssize_t)got[0], (ssize_t)got[1]);
    }
    pair_drop(&f.p);
}

static void to_the_end(enum way way)
{
    struct flow f = flow_make(way);
    more(&f, 20000);
    shutdown(f.p.c, SHUT_WR);
    usleep(20000);
    say_poll("poll after the end", f.p.s, POLLIN);
    take(&f, "what was before it", 15000, 0);
    take(&f, "and the rest", 65536, 0);
    say_poll("poll after all of it", f.p.s, POLLIN | POLLRDHUP);
    take(&f, "the end", 65536, 0);
    take(&f, "still", 65536, MSG_PEEK);
    pair_drop(&f.p);

    f = flow_make(way);
    more(&f, 20000);
    struct linger reset = {1, 0};
    setsockopt(f.p.c, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(f.p.c);
    f.p.c = -1;
    usleep(20000);
    take(&f, "what was before a reset", 65536, 0);
    take(&f, "the reset", 65536, 0);
    take(&f, "after it", 65536, 0);
    pair_drop(&f.p);

    /* Who closes with bytes that were not read resets, wherever they wait. */
    f = flow_make(way);
    more(&f, 20000);
    int c = dup(f.p.c);
    pair_drop(&f.p);
    happens(c, POLLHUP);
    char b;
    say_result("the peer of who has not read all", read(c, &b, 1));
    close(c);
}

static void by_others(enum way way)
{
    struct flow f = flow_make(way);
    static char b[65536];
    more(&f, 20000);
    int set = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 5};
    say_result("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, f.p.s, &e));
    say_epoll("epoll_wait", set, 4);
    take(&f, "a part", 15000, 0);
    say_epoll("epoll_wait", set, 4);
    take(&f, "the rest", 65536, 0);
    say_epoll("epoll_wait for nothing", set, 4);
    send_much(&f, 20000);
    wait_for(&f, 20000);
    say_epoll("epoll_wait", set, 4);
    take(&f, "more", 65536, 0);
    close(set);
    /* By a second descriptor it is the same. */
    more(&f, 20000);
    int twin = dup(f.p.s), keep = f.p.s;
    f.p.s = twin;
    take(&f, "by its twin", 7000, 0);
    f.p.s = keep;
    close(twin);
    ssize_t n = read(f.p.s, b, sizeof b);
    say_taken(&f, "by itself", n, b, 0);
    /* A pipe gets what is next. */
    int ends[2];
    more(&f, 20000);
    if (pipe(ends))
        exit(1);
    say_result("splice", splice(f.p.s, NULL, ends[1], NULL, 1000, 0));
    n = read(ends[0], b, sizeof b);
    say_taken(&f, "by the pipe", n, b, 0);
    take(&f, "and what is after it", 65536, 0);
    say_result("splice of nothing", splice(f.p.s, NULL, ends[1], NULL, 1000, SPLICE_F_NONBLOCK));
    close(ends[0]);
    more(&f, 20000);
    say_result("splice to nobody", splice(f.p.s, NULL, ends[1], NULL, 1000, 0));
    say("signals", "%d", pipe_signals());
    close(ends[1]);
    pair_drop(&f.p);
}

void cases_ahead(enum way way)
{
    asked_for(way);
    waited_for(way);
    by_two_threads(way);
    to_the_end(way);
    by_others(way);
}

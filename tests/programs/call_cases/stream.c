/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: bytes that come and go. */
#include "cases.h"

#include <sys/sendfile.h>

static void plainly(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    say_result("recv of nothing", recv(p.s, b, sizeof b, 0));
    say_result("read of nothing", read(p.s, b, sizeof b));
    say_result("recv of nothing into nothing", recv(p.s, b, 0, 0));
    say_result("read of nothing into nothing", read(p.s, b, 0));
    put(p.c, "hello");
    arrives(&p);
    say_result("recv of 0 bytes", recv(p.s, b, 0, 0));
    say_result("read of 0 bytes", read(p.s, b, 0));
    say_bytes("recv of 3", recv(p.s, b, 3, 0), b);
    say_bytes("read of the rest", read(p.s, b, sizeof b), b);
    say_result("then", recv(p.s, b, sizeof b, 0));
    put(p.c, "first");
    arrives(&p);
    put(p.c, "second");
    arrives(&p);
    say_bytes("recv over two sends", recv(p.s, b, 8, MSG_WAITALL), b);
    say_bytes("and the rest", recv(p.s, b, sizeof b, 0), b);
    pair_drop(&p);
}

static void peeking(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    say_result("peek at nothing", recv(p.s, b, sizeof b, MSG_PEEK));
    put(p.c, "abcde");
    arrives(&p);
    say_bytes("peek at 2", recv(p.s, b, 2, MSG_PEEK), b);
    say_bytes("peek at all", recv(p.s, b, sizeof b, MSG_PEEK), b);
    put(p.c, "fgh");
    arrives(&p);
    say_bytes("peek at two sends", recv(p.s, b, 7, MSG_PEEK | MSG_WAITALL), b);
    say_bytes("then take 4", recv(p.s, b, 4, 0), b);
    say_bytes("peek again", recv(p.s, b, 3, MSG_PEEK), b);
    say_result("recv with MSG_TRUNC", recv(p.s, b, 2, MSG_TRUNC));
    say_bytes("what that has left", recv(p.s, b, sizeof b, 0), b);
    put(p.c, "ij");
    arrives(&p);
    say_result("peek with MSG_TRUNC", recv(p.s, b, sizeof b, MSG_PEEK | MSG_TRUNC));
    say_bytes("then", recv(p.s, b, sizeof b, 0), b);
    pair_drop(&p);
}

static void vectors(enum way way)
{
    struct pair p = pair_make(way);
    char a[8], b[8], all[32] = "";
    struct iovec v[4] = {{a, 3}, {NULL, 0}, {b, 2}, {nowhere, 5}};
    put(p.c, "vectors");
    arrives(&p);
    ssize_t n = readv(p.s, v, 3);
    memcpy(all, a, 3);
    memcpy(all + 3, b, 2);
    say_bytes("readv", n, all);
    say_bytes("and the rest", recv(p.s, all, sizeof all, 0), all);
    say_result("readv of no buffers", readv(p.s, v, 0));
    say_result("readv of too many", readv(p.s, v, 1025));
    say_result("readv of -1", readv(p.s, v, -1));
    say_result("preadv", preadv(p.s, v, 1, 0));
    say_result("pread", pread(p.s, a, 1, 0));
    put(p.c, "faults");
    arrives(&p);
    say_result("recv to nowhere", recv(p.s, nowhere, 5, 0));
    say_result("recv to where nothing may be written", recv(p.s, read_only, 5, 0));
    say_result("readv of a vector from nowhere", readv(p.s, (struct iovec *)nowhere, 2));
    say_bytes("it is all there after that", recv(p.s, all, sizeof all, 0), all);
    pair_drop(&p);
}

static void messages(enum way way)
{
    struct pair p = pair_make(way);
    char a[8], b[16];
    struct sockaddr_storage from;
    struct iovec v[2] = {{a, 4}, {b, sizeof b}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    put(p.c, "message");
    arrives(&p);
    ssize_t n = recvmsg(p.s, &m, 0);
    say("recvmsg", "%zd %.4s %.*s flags %x", n, a, (int)n - 4, b, (unsigned)m.msg_flags);
    char control[64];
    m = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = v, .msg_iovlen = 1,
                        .msg_control = control, .msg_controllen = sizeof control};
    put(p.c, "named");
    arrives(&p);
    n = recvmsg(p.s, &m, MSG_PEEK);
    say("recvmsg that peeks", "%zd %.4s flags %x name %u control %zu", n, a, (unsigned)m.msg_flags,
        way == WAY_LOCAL ? 0 : m.msg_namelen, m.msg_controllen);
    socklen_t length = sizeof from;
    n = recvfrom(p.s, b, sizeof b, 0, (struct sockaddr *)&from, &length);
    say("recvfrom", "%zd %.*s name %u", n, (int)n, b, way == WAY_LOCAL ? 0 : length);
    say_result("recvmsg of nothing", recvmsg(p.s, &m, 0));
    say_result("recvmsg of a header from nowhere", recvmsg(p.s, (struct msghdr *)nowhere, 0));
    struct mmsghdr mm[2] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = v + 1, .msg_iovlen = 1}}};
    put(p.c, "many of them");
    arrives(&p);
    int k = recvmmsg(p.s, mm, 2, MSG_DONTWAIT, NULL);
    say("recvmmsg", "%d %u %u", k, mm[0].msg_len, mm[1].msg_len);
    struct iovec out[2] = {{"to", 2}, {"gether", 6}};
    struct msghdr to = {.msg_iov = out, .msg_iovlen = 2};
    say_result("sendmsg", sendmsg(p.s, &to, 0));
    expect("that is received", p.c, 8);
    struct mmsghdr both[2] = {{.msg_hdr = to}, {.msg_hdr = {.msg_iov = out, .msg_iovlen = 1}}};
    say_result("sendmmsg", sendmmsg(p.s, both, 2, 0));
    expect("those are received", p.c, 10);
    pair_drop(&p);
}

struct later {
    int fd;
    const char *first, *second;
};

static void *send_later(void *context)
{
    struct later *l = context;
    usleep(30000);
    put(l->fd, l->first);
    if (l->second) {
        usleep(30000);
        put(l->fd, l->second);
    }
    return NULL;
}

static void nothing(int signal)
{
    (void)signal;
}

static void *interrupt_later(void *context)
{
    usleep(50000);
    pthread_kill(*(pthread_t *)context, SIGUSR1);
    return NULL;
}

static void waiting(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    pthread_t other, self = pthread_self();
    fcntl(p.s, F_SETFL, 0);
    struct later l = {p.c, "some", NULL};
    pthread_create(&other, NULL, send_later, &l);
    say_bytes("recv that waits", recv(p.s, b, sizeof b, 0), b);
    pthread_join(other, NULL);
    l = (struct later){p.c, "one", "two"};
    pthread_create(&other, NULL, send_later, &l);
    say_bytes("MSG_WAITALL that waits", recv(p.s, b, 6, MSG_WAITALL), b);
    pthread_join(other, NULL);
    l = (struct later){p.c, "look", NULL};
    pthread_create(&other, NULL, send_later, &l);
    say_bytes("a peek that waits", recv(p.s, b, sizeof b, MSG_PEEK), b);
    pthread_join(other, NULL);
    say_bytes("MSG_DONTWAIT with MSG_WAITALL", recv(p.s, b, sizeof b, MSG_DONTWAIT | MSG_WAITALL), b);
    say_result("MSG_DONTWAIT of nothing", recv(p.s, b, sizeof b, MSG_DONTWAIT));
    struct sigaction act = {.sa_handler = nothing};
    sigaction(SIGUSR1, &act, NULL);
    pthread_create(&other, NULL, interrupt_later, &self);
    say_result("recv that a signal interrupts", recv(p.s, b, sizeof b, 0));
    pthread_join(other, NULL);
    act.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &act, NULL);
    pthread_t third;
    l = (struct later){p.c, "", "after all"};
    pthread_create(&other, NULL, interrupt_later, &self);
    pthread_create(&third, NULL, send_later, &l);
    say_bytes("recv that is made again", recv(p.s, b, sizeof b, 0), b);
    pthread_join(other, NULL);
    pthread_join(third, NULL);
    struct timeval t = {.tv_usec = 30000};
    say_result("SO_RCVTIMEO", setsockopt(p.s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    say_result("recv until then", recv(p.s, b, sizeof b, 0));
    pair_drop(&p);
}

void cases_receive(enum way way)
{
    plainly(way);
    peeking(way);
    vectors(way);
    messages(way);
    waiting(way);
}

/* ---- sending ---- */

static size_t fill(int fd, size_t piece)
{
    static char bytes[70000];
    size_t total = 0;
    for (size_t i = 0; i < piece; i++)
        bytes[i] = (char)i;
    for (ssize_t n; (n = send(fd, bytes, piece, MSG_NOSIGNAL)) > 0;)
        total += (size_t)n;
    return total;
}

static size_t drain(int fd, size_t n)
{
    static char bytes[70000];
    size_t done = 0;
    while (done < n && happens(fd, POLLIN)) {
        ssize_t k = recv(fd, bytes, n - done < sizeof bytes ? n - done : sizeof bytes, 0);
        if (k <= 0)
            break;
        done += (size_t)k;
    }
    return done;
}

/* Takes a little of what another thread has sent, now and then. */
static void *drain_slowly(void *fd)
{
    static char bytes[20000];
    for (int i = 0; i < 40; i++) {
        usleep(5000);
        (void)!recv((int)(intptr_t)fd, bytes, sizeof bytes, MSG_DONTWAIT);
    }
    return NULL;
}

/* What was sent goes on by itself, which nobody who waits elsewhere notices. */
static void waiting_while_it_goes_on(enum way way)
{
    struct pair p = pair_make(way), q = pair_make(WAY_FRESH);
    struct timeval t = {.tv_usec = 150000};
    pthread_t drainer;
    char byte;
    setsockopt(q.c, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    fill(p.s, 4096);
    pthread_create(&drainer, NULL, drain_slowly, (void *)(intptr_t)p.c);
    say_result("recv elsewhere until its time is up", recv(q.c, &byte, 1, 0));
    pthread_join(drainer, NULL);
    pair_drop(&q);
    pair_drop(&p);
}

static void full(enum way way, size_t piece)
{
    struct pair p = pair_make(way);
    char name[64];
    struct epoll_event e = {.events = EPOLLOUT, .data.u64 = 3};
    int set = epoll_create1(0);
    snprintf(name, sizeof name, "full of pieces of %zu", piece);
    size_t total = fill(p.s, piece);
    say(name, "%s %s", total > 60000 ? "much" : "little", error_name(errno));
    say_result("one byte more", send(p.s, "x", 1, 0));
    if (p.set >= 0) {
        e.events = EPOLLIN | EPOLLOUT;
        epoll_ctl(p.set, EPOLL_CTL_MOD, p.s, &e);
        say_epoll("epoll of it", p.set, 5);
    }
    size_t got = drain(p.c, total);
    say("all is received", "%d", got == total);
    if (p.set >= 0) {
        int n = epoll_wait(p.set, &e, 1, 2000);
        say("epoll when there is room", "%d %x", n, e.events);
    } else {
        say("poll when there is room", "%d", happens(p.s, POLLOUT));
    }
    say_result("then it takes", send(p.s, "again", 5, 0));
    expect("and sends", p.c, 5);
    close(set);
    pair_drop(&p);
}

static void from_files(enum way way)
{
    struct pair p = pair_make(way);
    char b[16];
    int fd = open("cases.data", O_RDWR | O_CREAT | O_TRUNC, 0600), pipes[2];
    off_t at = 3;
    if (pipe(pipes) || write(fd, "0123456789", 10) != 10)
        exit(1);
    say_result("sendfile", sendfile(p.s, fd, &at, 4));
    say("its offset", "%ld", (long)at);
    expect("that is received", p.c, 4);
    put(p.c, "spliced");
    arrives(&p);
    say_result("splice", splice(p.s, NULL, pipes[1], NULL, 100, 0));
    say_bytes("that is in the pipe", read(pipes[0], b, sizeof b), b);
    say_result("splice of nothing", splice(p.s, NULL, pipes[1], NULL, 100, SPLICE_F_NONBLOCK));
    put(p.s, "after");
    expect("after that", p.c, 5);
    close(pipes[0]);
    close(pipes[1]);
    close(fd);
    unlink("cases.data");
    pair_drop(&p);
}

void cases_send(enum way way)
{
    struct pair p = pair_make(way);
    struct iovec v[3] = {{"one ", 4}, {NULL, 0}, {"two", 3}}, bad[2] = {{"good", 4}, {nowhere, 4}};
    say_result("send of nothing", send(p.s, "", 0, 0));
    say_result("write of nothing", write(p.s, "", 0));
    say_result("send", send(p.s, "abc", 3, 0));
    say_result("write", write(p.s, "def", 3));
    say_result("writev", writev(p.s, v, 3));
    expect("all of it", p.c, 13);
    say_result("send from nowhere", send(p.s, nowhere, 5, 0));
    say_result("write from nowhere", write(p.s, nowhere, 5));
    say_result("writev from nowhere", writev(p.s, bad + 1, 1));
    say_result("pwrite", pwrite(p.s, "x", 1, 0));
    say_result("writev of too many", writev(p.s, v, 1025));
    say_result("send with MSG_MORE", send(p.s, "more", 4, MSG_MORE));
    say_result("and the rest", send(p.s, " to come", 8, 0));
    expect("both", p.c, 12);
    say_result("MSG_DONTWAIT", send(p.s, "dont", 4, MSG_DONTWAIT));
    say_result("MSG_OOB", way == WAY_LOCAL ? 0 : send(p.s, "!", 1, MSG_OOB));
    say_result("and after it", send(p.s, "wait", 4, 0));
    expect("but for the urgent byte", p.c, 8);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
    ssize_t n = way == WAY_LOCAL ? 0 : sendto(p.s, "to", 2, 0, (struct sockaddr *)&a, sizeof a);
    say_result("sendto with an address", n);
    if (n == 2)
        expect("it goes to the peer", p.c, 2);
    pair_drop(&p);
    full(way, 1000);
    full(way, 4096);
    full(way, 60000);
    waiting_while_it_goes_on(way);
    from_files(way);
}

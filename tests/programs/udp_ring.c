/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets that have received much in a short time, over loopback, and what they are asked to do after that. Each
 * prints what a program sees, which is the same natively.
 *
 *   udp_ring CASE...
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MANY 60
#define LONGEST 65507

static char bytes[LONGEST + 1];

static struct sockaddr_in address_of(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n)) {
        perror("getsockname");
        exit(1);
    }
    return a;
}

static int bound_to(uint16_t port, int flags)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | flags, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a)) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static void send_to(int from, int fd, const void *data, size_t n)
{
    struct sockaddr_in a = address_of(fd);
    if (sendto(from, data, n, 0, (struct sockaddr *)&a, sizeof a) != (ssize_t)n)
        perror("sendto");
}

static int ready(int fd, int timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, timeout);
    return n > 0 ? p.revents : n;
}

static void make_busy(int fd, int from)
{
    for (int i = 0; i < MANY; i++) {
        send_to(from, fd, "x", 1);
        if (ready(fd, 1000) != POLLIN || recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) != 1)
            printf("it does not come\n");
    }
}

static int busy_socket(int from, int flags)
{
    int fd = bound_to(0, flags);
    make_busy(fd, from);
    return fd;
}

/* ---- what comes is what was sent, whatever its length, and in order ---- */

static void fill(unsigned char *to, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)((seed = seed * 1103515245 + 12345) >> 16);
}

static void lengths(int from)
{
    static const int table[] = {0, 1, 7, 8, 9, 511, 512, 513, 1400, 4095, 4096, 4097, 9000, 65506, LONGEST};
    static unsigned char sent[LONGEST];
    int fd = busy_socket(from, 0), good = 0, bad = 0;
    for (unsigned round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            size_t n = (size_t)table[i], at = round * 977 % (n + 1);
            fill(sent, n, round * 100 + (unsigned)i);
            send_to(from, fd, sent, n);
            struct iovec v[3] = {{bytes, at}, {bytes + at, n - at}, {bytes + n, sizeof bytes - n}};
            struct sockaddr_in sender = {0};
            struct msghdr m = {.msg_iov = v, .msg_iovlen = 3, .msg_name = &sender, .msg_namelen = sizeof sender};
            ssize_t got = recvmsg(fd, &m, 0);
            if (got == (ssize_t)n && !memcmp(bytes, sent, n) && sender.sin_port == address_of(from).sin_port && !m.msg_flags)
                good++;
            else
                bad++;
        }
    }
    printf("%d good, %d bad\n", good, bad);
    close(fd);
}

/* ---- many sockets, of which most are not read: none keeps the others from theirs ---- */

static void many_sockets(int from)
{
    enum { SOCKETS = 12, EACH = 40 };
    int fd[SOCKETS], last = busy_socket(from, 0), wrong = 0;
    for (int i = 0; i < SOCKETS; i++)
        fd[i] = busy_socket(from, 0);
    for (int n = 0; n < EACH; n++) {
        for (int i = 0; i < SOCKETS; i++) {
            int value = i * 1000 + n;
            memcpy(bytes, &value, sizeof value);
            send_to(from, fd[i], bytes, 1000);
        }
        send_to(from, last, &n, sizeof n);
        int got = -1;
        wrong += recv(last, &got, sizeof got, 0) != sizeof got || got != n;
    }
    for (int i = 0; i < SOCKETS; i++) {
        for (int n = 0; n < EACH; n++) {
            int got = -1;
            wrong += recv(fd[i], bytes, sizeof bytes, MSG_DONTWAIT) != 1000;
            memcpy(&got, bytes, sizeof got);
            wrong += got != i * 1000 + n;
        }
        wrong += ready(fd[i], 0) != 0;
    }
    printf("%d wrong\n", wrong);
}

/* ---- nobody reads: the kernel drops, and what there is comes in order ---- */

static void flood(int from)
{
    int fd = busy_socket(from, 0), previous = -1, count = 0, value, disorder = 0;
    for (int i = 0; i < 20000; i++) {
        memcpy(bytes, &i, sizeof i);
        send_to(from, fd, bytes, 1400);
        if (i % 100 == 0)
            ready(fd, 0);
    }
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == 1400) {
        memcpy(&value, bytes, sizeof value);
        disorder += value <= previous;
        previous = value;
        count++;
    }
    printf("some dropped: %d, some kept: %d, out of order: %d\n", count < 20000, count > 50, disorder);
    send_to(from, fd, "on", 2);
    printf("and on: %zd\n", recv(fd, bytes, sizeof bytes, 0));
    close(fd);
}

/* ---- asking about what has come ---- */

static void asking(int from)
{
    int fd = busy_socket(from, O_NONBLOCK), length = -1;
    send_to(from, fd, "first", 5);
    send_to(from, fd, "the second", 10);
    printf("ready %x\n", ready(fd, 1000));
    ioctl(fd, FIONREAD, &length);
    printf("FIONREAD %d\n", length);
    for (int i = 0; i < 2; i++)
        printf("peek %zd\n", recv(fd, bytes, sizeof bytes, MSG_PEEK));
    printf("peek with a short buffer %zd, its length %zd\n", recv(fd, bytes, 2, MSG_PEEK),
           recv(fd, bytes, 2, MSG_PEEK | MSG_TRUNC));
    struct iovec v = {bytes, 3};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    printf("short %zd", recvmsg(fd, &m, 0));
    printf(", flags %x\n", m.msg_flags);
    ioctl(fd, FIONREAD, &length);
    printf("FIONREAD %d\n", length);
    printf("length %zd\n", recv(fd, NULL, 0, MSG_TRUNC));
    printf("then %zd", recv(fd, bytes, sizeof bytes, 0));
    printf(" %s, ready %x\n", strerrorname_np(errno), ready(fd, 0));
    ioctl(fd, FIONREAD, &length);
    printf("FIONREAD %d\n", length);
    send_to(from, fd, "third", 5);
    void *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ssize_t bad = recv(fd, nothing, 5, 0);
    printf("a bad buffer %zd %s\n", bad, strerrorname_np(errno));
    printf("ready %x\n", ready(fd, 0));
    close(fd);
}

/* ---- rows: what is sent as one, and may arrive as one, is received one by one ---- */

static void send_row(int from, int fd, uint16_t size, size_t n)
{
    struct sockaddr_in a = address_of(fd);
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof size)];
    } row = {.header = {CMSG_LEN(sizeof size), IPPROTO_UDP, UDP_SEGMENT}};
    struct iovec v = {bytes, n};
    struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = &row, .msg_controllen = sizeof row.room};
    memcpy(CMSG_DATA(&row.header), &size, sizeof size);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)('a' + i / size);
    if (sendmsg(from, &m, 0) != (ssize_t)n)
        perror("sendmsg");
}

/* All that is there: how many of which length, each of bytes that are alike. */
static void say_row(const char *name, int fd)
{
    ssize_t last = -2, n = -1;
    int count = 0, mixed = 0;
    printf("%s:", name);
    do {
        n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        for (ssize_t i = 1; i < n; i++)
            mixed += bytes[i] != bytes[0];
        if (n != last && count)
            printf(" %d of %zd", count, last);
        count = n == last ? count + 1 : 1;
        last = n;
    } while (n >= 0);
    printf(", %d mixed\n", mixed);
}

static void rows(int from)
{
    int fd = busy_socket(from, 0), on = 1, value = -1;
    socklen_t n = sizeof value;
    send_row(from, fd, 100, 1030);
    say_row("a row", fd);
    for (int i = 0; i < 3; i++) /* as much as there is room for natively */
        send_row(from, fd, 1000, 20000 + 500 * (size_t)(i % 2));
    printf("lengths %zd %zd", recv(fd, bytes, 2, MSG_PEEK | MSG_TRUNC), recv(fd, bytes, 2, MSG_TRUNC));
    ioctl(fd, FIONREAD, &value);
    printf(" FIONREAD %d\n", value);
    say_row("some rows", fd);
    for (int i = 0; i < 6; i++)
        send_row(from, fd, 300, 3100);
    ready(fd, 1000);
    for (int i = 0; i < 6; i++)
        send_row(from, fd, 300, 3100);
    printf("the option %d", getsockopt(fd, IPPROTO_UDP, UDP_GRO, &value, &n));
    printf(" %d\n", value);
    say_row("after it has left", fd);
    make_busy(fd, from);
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    make_busy(fd, from);
    send_row(from, fd, 100, 1030);
    for (int way = 0; way < 2; way++) {
        char space[100];
        struct iovec v = {bytes, sizeof bytes};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
        printf("the program's own row %zd", recvmsg(fd, &m, way ? 0 : MSG_PEEK));
        printf(", control %zu, of %d\n", m.msg_controllen, m.msg_controllen ? *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m)) : 0);
    }
    close(fd);
}

/* ---- errors ---- */

static void errors(int from)
{
    int fd = busy_socket(from, O_NONBLOCK), other = bound_to(0, 0), error = -1;
    struct sockaddr_in a = address_of(other);
    socklen_t n = sizeof error;
    printf("connect %d\n", connect(fd, (struct sockaddr *)&a, sizeof a));
    for (int i = 0; i < MANY; i++) {
        send_to(other, fd, "y", 1);
        ready(fd, 1000);
        if (recv(fd, bytes, sizeof bytes, 0) != 1 || send(fd, "z", 1, 0) != 1)
            printf("not there and back\n");
        recv(other, bytes, 1, 0);
    }
    send_to(other, fd, "waits", 5);
    close(other);
    for (int way = 0; way < 3; way++) {
        ssize_t r = send(fd, "nobody", 6, 0);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        struct timespec moment = {.tv_nsec = 20000000};
        nanosleep(&moment, NULL); /* the answer comes by loopback as the datagram goes: it is here, natively */
        poll(&p, 1, 0);
        printf("sent %zd, ready %x\n", r, p.revents);
        if (way == 0) {
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
            printf("SO_ERROR %s\n", strerrorname_np(error));
        } else if (way == 1) {
            r = recv(fd, bytes, sizeof bytes, 0);
            printf("recv %zd %s, ", r, strerrorname_np(errno));
            printf("then %zd\n", recv(fd, bytes, sizeof bytes, 0));
        } else {
            r = send(fd, "again", 5, 0);
            printf("send %zd %s\n", r, strerrorname_np(errno));
        }
    }
    close(fd);
}

/* ---- epoll: levels and edges ---- */

static int waits(int set, int timeout)
{
    struct epoll_event e[4];
    int n;
    do
        n = epoll_wait(set, e, 4, timeout);
    while (n < 0 && errno == EINTR); /* as when the machine is stopped for a moment */
    return n > 0 ? (int)e[0].events : n;
}

static void levels(int from)
{
    int fd = bound_to(0, O_NONBLOCK), set = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
    for (int i = 0; i < MANY; i++) {
        send_to(from, fd, "x", 1);
        if (waits(set, 1000) != EPOLLIN || recv(fd, bytes, 1, 0) != 1)
            printf("it does not come\n");
    }
    send_to(from, fd, "a", 1);
    send_to(from, fd, "b", 1);
    printf("level: %x, %x", waits(set, 1000), waits(set, 0));
    printf(", recv %zd, %x", recv(fd, bytes, 1, 0), waits(set, 0));
    printf(", recv %zd, %x\n", recv(fd, bytes, 1, 0), waits(set, 10));
    e.events = EPOLLIN | (uint32_t)EPOLLET;
    epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
    send_to(from, fd, "c", 1);
    printf("edge: %x, %x", waits(set, 1000), waits(set, 10));
    send_to(from, fd, "d", 1);
    printf(", another %x, %x", waits(set, 1000), waits(set, 10));
    for (int i = 0; i < 2; i++)
        recv(fd, bytes, 1, 0);
    printf(", drained %x\n", waits(set, 10));
    e.events = EPOLLIN | EPOLLONESHOT;
    epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
    send_to(from, fd, "e", 1);
    printf("once: %x, %x", waits(set, 1000), waits(set, 10));
    epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
    printf(", again %x\n", waits(set, 1000));
    int second = dup(fd);
    e.events = EPOLLIN;
    epoll_ctl(set, EPOLL_CTL_ADD, second, &e);
    close(fd);
    printf("by its other name: %x, recv %zd\n", waits(set, 1000), recv(second, bytes, 1, 0));
    close(second);
    close(set);
}

/* ---- several threads receive by one socket ---- */

static int shared, total;

static void *receiver(void *unused)
{
    char byte;
    (void)unused;
    while (recv(shared, &byte, 1, 0) == 1 && byte != 'q')
        __atomic_fetch_add(&total, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void threads(int from)
{
    pthread_t t[4];
    shared = busy_socket(from, 0);
    for (int i = 0; i < 30; i++)
        send_to(from, shared, "s", 1); /* some are here when the others come */
    ready(shared, 1000);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, receiver, NULL);
    for (int i = 0; i < 500; i++) {
        send_to(from, shared, "s", 1);
        while (__atomic_load_n(&total, __ATOMIC_SEQ_CST) < i - 50)
            sched_yield();
    }
    for (int i = 0; i < 4; i++)
        send_to(from, shared, "q", 1);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    printf("%d received\n", total);
    close(shared);
}

/* Several threads sleep on a socket before any ring can have it, and rows come: each datagram to one of them. */
#define CROWD 4
#define ROW 4

struct numbered {
    int number;
    char rest[36];
};

static int strange;

static void *one_of_crowd(void *unused)
{
    struct numbered m[ROW];
    (void)unused;
    for (;;) {
        ssize_t n = recv(shared, m, sizeof m, 0);
        if (n == 1)
            return NULL;
        if (n != sizeof *m)
            __atomic_add_fetch(&strange, 1, __ATOMIC_SEQ_CST);
        else
            __atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST);
    }
}

static void crowd(int from)
{
    enum { TRIALS = 30, MESSAGES = 400 };
    const struct timespec moment = {.tv_nsec = 100000};
    pthread_t t[CROWD];
    int rows = sizeof(struct numbered), none = 0, all = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        struct numbered row[ROW] = {0};
        shared = bound_to(0, 0);
        total = 0;
        for (int i = 0; i < CROWD; i++)
            pthread_create(&t[i], NULL, one_of_crowd, NULL);
        setsockopt(from, IPPROTO_UDP, UDP_SEGMENT, &rows, sizeof rows);
        for (int sent = 0; sent < MESSAGES; sent += ROW) {
            send_to(from, shared, row, sizeof row);
            for (int k = 0; k < 1000 && __atomic_load_n(&total, __ATOMIC_SEQ_CST) < sent - 50; k++)
                nanosleep(&moment, NULL);
        }
        for (int k = 0; k < 20000 && __atomic_load_n(&total, __ATOMIC_SEQ_CST) < MESSAGES; k++)
            nanosleep(&moment, NULL);
        all += total;
        setsockopt(from, IPPROTO_UDP, UDP_SEGMENT, &none, sizeof none);
        for (int i = 0; i < CROWD; i++)
            send_to(from, shared, "q", 1);
        for (int i = 0; i < CROWD; i++)
            pthread_join(t[i], NULL);
        close(shared);
    }
    total = 0; /* other cases count too */
    printf("%d of %d received, %d wrong\n", all, TRIALS * MESSAGES, strange);
}

/* A thread that has received much ends, another goes on. */
static void *first_thread(void *from)
{
    make_busy(shared, *(int *)from);
    for (int i = 0; i < 10; i++)
        send_to(*(int *)from, shared, "left", 4);
    ready(shared, 1000);
    return NULL;
}

static void heirs(int from)
{
    pthread_t t;
    int count = 0;
    shared = bound_to(0, 0);
    pthread_create(&t, NULL, first_thread, &from);
    pthread_join(t, NULL);
    while (recv(shared, bytes, sizeof bytes, MSG_DONTWAIT) == 4)
        count++;
    printf("%d left\n", count);
    close(shared);
}

/* ---- fork ---- */

static void family(int from)
{
    int fd = busy_socket(from, 0), status = 0;
    pid_t child = fork();
    if (!child) {
        alarm(5);
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        _exit(n == 9 && !memcmp(bytes, "the child", 9) ? 7 : 1);
    }
    send_to(from, fd, "the child", 9);
    waitpid(child, &status, 0);
    printf("the child got its own: %d\n", WEXITSTATUS(status));
    make_busy(fd, from);
    send_to(from, fd, "parent", 6);
    printf("the parent %zd\n", recv(fd, bytes, sizeof bytes, 0));
    close(fd);
}

/* ---- passing on, closing, shutting down ---- */

static void ends(int from)
{
    int fd = busy_socket(from, O_NONBLOCK);
    uint16_t port = ntohs(address_of(fd).sin_port);
    for (int i = 0; i < 50; i++) {
        close(fd);
        fd = bound_to(port, O_NONBLOCK); /* it is free at once */
        make_busy(fd, from);
    }
    printf("closed and bound again\n");
    send_to(from, fd, "before", 6);
    ready(fd, 1000);
    printf("shutdown %d %s\n", shutdown(fd, SHUT_RD), strerrorname_np(errno));
    printf("what was there %zd, then %zd", recv(fd, bytes, sizeof bytes, 0), recv(fd, bytes, sizeof bytes, 0));
    printf(", ready %x\n", ready(fd, 0));
    close(fd);
}

static void passing(int from)
{
    int fd = busy_socket(from, 0), pair[2], status = 0;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec v = {bytes, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        return;
    pid_t child = fork();
    if (!child) {
        int got = -1;
        alarm(5);
        close(fd);
        m.msg_controllen = sizeof control.room;
        if (recvmsg(pair[1], &m, 0) == 1)
            memcpy(&got, CMSG_DATA(&control.header), sizeof got);
        _exit(recv(got, bytes, sizeof bytes, 0) == 5 ? 7 : 1);
    }
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (sendmsg(pair[0], &m, 0) != 1)
        perror("sendmsg");
    send_to(from, fd, "there", 5);
    waitpid(child, &status, 0);
    printf("passed on: %d\n", WEXITSTATUS(status));
    close(fd);
}

/* ---- connecting and letting go ---- */

static void peers(int from)
{
    int fd = busy_socket(from, O_NONBLOCK), other = bound_to(0, 0);
    struct sockaddr_in a = address_of(from);
    send_to(other, fd, "before", 6);
    ready(fd, 1000);
    connect(fd, (struct sockaddr *)&a, sizeof a);
    send_to(other, fd, "stranger", 8);
    send_to(from, fd, "peer", 4);
    ready(fd, 1000);
    for (int i = 0; i < 3; i++)
        printf("%zd ", recv(fd, bytes, sizeof bytes, 0));
    a.sin_family = AF_UNSPEC;
    connect(fd, (struct sockaddr *)&a, sizeof a);
    send_to(other, fd, "let in again", 12);
    ready(fd, 1000);
    printf("%zd\n", recv(fd, bytes, sizeof bytes, 0));
    close(fd);
    close(other);
}

/* ---- control data ---- */

static void control(int from)
{
    static const struct {
        const char *name;
        int level, option;
    } table[] = {{"IP_PKTINFO", IPPROTO_IP, IP_PKTINFO}, {"IP_RECVTTL", IPPROTO_IP, IP_RECVTTL},
                 {"IP_RECVTOS", IPPROTO_IP, IP_RECVTOS}, {"SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS}};
    int fd = bound_to(0, 0), on = 1;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        setsockopt(fd, table[i].level, table[i].option, &on, sizeof on);
        make_busy(fd, from);
        for (size_t room = 0; room <= 200; room += room < 40 ? 4 : 8) {
            char space[200];
            struct iovec v = {bytes, sizeof bytes};
            struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = room};
            send_to(from, fd, "control", 7);
            printf("%s, room %zu: %zd", table[i].name, room, recvmsg(fd, &m, 0));
            printf(", used %zu, flags %x:", m.msg_controllen, m.msg_flags);
            for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                printf(" %d/%d/%zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
            printf("\n");
        }
    }
    close(fd);
}

/* ---- a thread sleeps in recv: what comes is its, though another one sends so much that a ring would pay ---- */

static void *sleeper(void *unused)
{
    char byte;
    (void)unused;
    while (recv(shared, &byte, 1, 0) == 1 && byte != 'q')
        __atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void sleeps(int from)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    pthread_t t;
    int others = total, sent = 0;
    shared = bound_to(0, 0);
    pthread_create(&t, NULL, sleeper, NULL);
    for (int i = 0; i < 50; i++)
        nanosleep(&moment, NULL); /* it sleeps */
    for (int i = 0; i < 300; i++) {
        send_to(shared, from, "x", 1);
        ready(from, 1000);
        recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    }
    while (sent < 50 && __atomic_load_n(&total, __ATOMIC_SEQ_CST) - others == sent) {
        send_to(from, shared, "s", 1);
        sent++;
        for (int k = 0; k < 2000 && __atomic_load_n(&total, __ATOMIC_SEQ_CST) - others < sent; k++)
            nanosleep(&moment, NULL);
    }
    printf("%d of %d came to who slept\n", total - others, sent);
    if (total - others != sent)
        exit(1);
    send_to(from, shared, "q", 1);
    pthread_join(t, NULL);
    close(shared);
}

/* ---- answers: sendto after recvfrom ---- */

static void answers(int from)
{
    int fd = bound_to(0, 0), wrong = 0;
    for (int i = 0; i < 2000; i++) {
        struct sockaddr_in a;
        socklen_t n = sizeof a;
        int got = -1, length = 4 + i % 1800;
        memcpy(bytes, &i, sizeof i);
        send_to(from, fd, bytes, (size_t)length);
        ssize_t r = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&a, &n);
        if (sendto(fd, bytes, (size_t)r, 0, (struct sockaddr *)&a, n) != r)
            perror("sendto");
        struct pollfd p = {.fd = from, .events = POLLIN};
        wrong += poll(&p, 1, 1000) != 1 || recv(from, bytes, sizeof bytes, 0) != length;
        memcpy(&got, bytes, sizeof got);
        wrong += got != i;
    }
    printf("%d wrong\n", wrong);
    close(fd);
}

/* ---- times that are limited, and what one has sent to oneself ---- */

static void limits(int from)
{
    int fd = busy_socket(from, 0), missing = 0;
    struct timeval limit = {.tv_usec = 200000};
    struct timespec before, after;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    make_busy(fd, from);
    clock_gettime(CLOCK_MONOTONIC, &before);
    printf("recv %zd", recv(fd, bytes, sizeof bytes, 0));
    printf(" %s", strerrorname_np(errno));
    clock_gettime(CLOCK_MONOTONIC, &after);
    long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    printf(" in time: %d\n", ms >= 190 && ms < 2000);
    send_to(from, fd, "y", 1);
    printf("then %zd\n", recv(fd, bytes, sizeof bytes, 0));
    for (int i = 0; i < 1000; i++) {
        send_to(from, fd, &i, sizeof i);
        missing += recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) != sizeof i;
        missing += recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0;
    }
    printf("%d missing\n", missing);
    close(fd);
}

/* ---- one thread sends, another receives ---- */

static void *sender(void *from)
{
    for (int i = 0; i < 4000; i++) {
        send_to(*(int *)from, shared, &i, sizeof i);
        while (__atomic_load_n(&total, __ATOMIC_SEQ_CST) < i - 50)
            sched_yield();
    }
    return NULL;
}

static void stream(int from)
{
    pthread_t t;
    int disorder = 0;
    shared = bound_to(0, 0);
    pthread_create(&t, NULL, sender, &from);
    for (total = 0; total < 4000; __atomic_fetch_add(&total, 1, __ATOMIC_SEQ_CST)) {
        int got = -1;
        disorder += recv(shared, &got, sizeof got, 0) != sizeof got || got != total;
    }
    pthread_join(t, NULL);
    printf("%d received, %d out of order\n", total, disorder);
    close(shared);
}

/* ---- nothing comes, for a second: for the test to count what is done meanwhile ---- */

static void idle(int from)
{
    int fd = busy_socket(from, 0);
    struct timespec spent;
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = from, .events = POLLIN}};
    printf("poll %d\n", poll(p, 2, 700));
    printf("poll %d\n", poll(p, 2, 700));
    struct epoll_event e = {.events = EPOLLIN};
    int set = epoll_create1(0);
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
    make_busy(fd, from);
    printf("epoll %d\n", waits(set, 700));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    printf("much was spent: %d\n", spent.tv_sec > 0);
    close(fd);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(int from);
    } table[] = {{"lengths", lengths}, {"sockets", many_sockets}, {"flood", flood},   {"asking", asking},
                 {"errors", errors},   {"levels", levels},        {"threads", threads}, {"heirs", heirs},
                 {"family", family},   {"ends", ends},            {"passing", passing}, {"peers", peers},
                 {"control", control}, {"answers", answers},      {"idle", idle},
                 {"rows", rows},       {"stream", stream},      {"limits", limits},   {"crowd", crowd},
                 {"sleeps", sleeps}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < count; i++)
        for (size_t k = 0; k < sizeof table / sizeof *table; k++)
            if (!strcmp(table[k].name, arguments[i]))
                table[k].run(bound_to(0, 0));
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that wait, and what ends that. */
#include "local.h"

enum deed { WRITE, READ, CLOSE, LEAVE, SIGNAL, SHUT, ADD, REARM, FORK };

/* What another thread does once the first one has had time to fall asleep; the outcome is the same if it has not. */
struct later {
    pthread_t thread, first;
    enum deed deed[4];
    int fd[4], count;
    long length;
    int epoll;
};

static void *later_run(void *argument)
{
    struct later *l = argument;
    uint64_t one = 1;
    for (int i = 0; i < l->count; i++) {
        usleep(15000);
        struct epoll_event e = {.events = EPOLLIN | (l->deed[i] == REARM ? EPOLLONESHOT : 0), .data.fd = l->fd[i]};
        long n = 0;
        switch (l->deed[i]) {
        case WRITE:
            n = l->length ? write(l->fd[i], source, (size_t)l->length) : write(l->fd[i], &one, sizeof one);
            break;
        case READ:
            for (long left = l->length; left > 0; left -= n)
                if ((n = read(l->fd[i], target, (size_t)left)) <= 0)
                    break;
            break;
        case CLOSE:
            n = close(l->fd[i]);
            break;
        case LEAVE:
            leave(l->fd[i]);
            break;
        case SIGNAL:
            n = pthread_kill(l->first, SIGUSR1);
            break;
        case SHUT:
            n = shutdown(l->fd[i], SHUT_RDWR);
            break;
        case ADD:
            n = epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->fd[i], &e);
            break;
        case REARM:
            n = epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->fd[i], &e);
            break;
        case FORK:
            n = fork();
            if (n == 0)
                _exit(0);
            if (n > 0)
                n = waitpid((pid_t)n, NULL, 0) < 0 ? -1 : 0;
            break;
        }
        if (n < 0)
            printf("deed %d: %s\n", l->deed[i], strerror(errno));
    }
    return NULL;
}

static void later(struct later *l, long length, int count, ...)
{
    va_list arguments;
    *l = (struct later){.first = pthread_self(), .count = count, .length = length};
    va_start(arguments, count);
    for (int i = 0; i < count; i++) {
        l->deed[i] = (enum deed)va_arg(arguments, int);
        l->fd[i] = va_arg(arguments, int);
    }
    va_end(arguments);
    pthread_create(&l->thread, NULL, later_run, l);
}

static void over(struct later *l)
{
    pthread_join(l->thread, NULL);
}

static void waiting_read(int kind)
{
    struct later l;
    int p[2];
    title("a reader of %s waits", kinds[kind]);
    pair_of_kind(kind, p);
    later(&l, 0, 1, WRITE, p[1]);
    TELL(read(p[0], target, 100));
    over(&l);
    later(&l, 0, 2, LEAVE, p[0], WRITE, p[1]);
    TELL(read(p[0], target, 100));
    over(&l);
    close_both(p);
    pair_of_kind(kind, p);
    later(&l, 0, 2, FORK, p[0], WRITE, p[1]);
    TELL(read(p[0], target, 100));
    over(&l);
    close_both(p);
    pair_of_kind(kind, p);
    handle(SIGUSR1, 0);
    later(&l, 0, 1, SIGNAL, 0);
    TELL(read(p[0], target, 100));
    over(&l);
    handle(SIGUSR1, SA_RESTART);
    later(&l, 0, 2, SIGNAL, 0, WRITE, p[1]);
    TELL(read(p[0], target, 100));
    over(&l);
    if (kind != 1 && kind != 4) {
        later(&l, 0, 1, CLOSE, p[1]);
        TELL(read(p[0], target, 100));
        over(&l);
        close(p[0]);
        pair_of_kind(kind, p);
    }
    if (kind >= 2) {
        later(&l, 0, 1, SHUT, p[0]);
        TELL(recv(p[0], target, 100, 0));
        over(&l);
    }
    close_both(p);
}

static void waiting_write(int kind, bool leaves)
{
    struct later l;
    int p[2];
    title("a writer to %s waits%s", kinds[kind], leaves ? ", which becomes the kernel's" : "");
    pair_of_kind(kind, p);
    later(&l, 500000, leaves ? 2 : 1, leaves ? LEAVE : READ, p[0], READ, p[0]);
    TELL(write(p[1], source, 500000));
    over(&l);
    if (!leaves) {
        /* What a writer has got rid of when it is interrupted is less than all. */
        handle(SIGUSR1, SA_RESTART);
        later(&l, 0, 1, SIGNAL, 0);
        long n = write(p[1], source, 500000);
        printf("interrupted: %d\n", n > 0 && n < 500000);
        caught = 0;
        over(&l);
        later(&l, 0, 1, CLOSE, p[0]);
        TELL(write(p[1], source, 500000));
        over(&l);
        close(p[1]);
        return;
    }
    close_both(p);
}

static void waiting_counter(void)
{
    struct later l;
    uint64_t full = UINT64_MAX - 1;
    int e = eventfd(0, 0);
    title("a counter that is full");
    write(e, &full, sizeof full);
    later(&l, 8, 1, READ, e);
    full = 5;
    TELL(write(e, &full, sizeof full));
    over(&l);
    TELL(read(e, &full, sizeof full));
    printf("value %lu\n", (unsigned long)full);
    close(e);
}

static void waiting_all(void)
{
    struct later l;
    int q[2];
    title("MSG_WAITALL");
    socketpair(AF_UNIX, SOCK_STREAM, 0, q);
    later(&l, 10, 3, WRITE, q[1], WRITE, q[1], WRITE, q[1]);
    TELL(recv(q[0], target, 30, MSG_WAITALL));
    over(&l);
    later(&l, 10, 2, WRITE, q[1], CLOSE, q[1]);
    TELL(recv(q[0], target, 30, MSG_WAITALL));
    over(&l);
    close(q[0]);
}

/* A pipe that the kernel has in any case. */
static void kernel_pipe(int p[2])
{
    pipe2(p, O_DIRECT | O_NONBLOCK);
}

static void waiting_poll(int kind)
{
    struct later l;
    int p[2], k[2];
    pair_of_kind(kind, p);
    kernel_pipe(k);
    title("poll and select of %s", kinds[kind]);
    struct pollfd f[3] = {{p[0], POLLIN, 0}, {k[0], POLLIN, 0}, {-1, POLLIN, 0}};
    for (int with = 1; with <= 2; with++) {
        TELL(poll(f, (nfds_t)with, 0));
        TELL(poll(f, (nfds_t)with, 10));
        later(&l, 0, 1, WRITE, p[1]);
        TELL(poll(f, (nfds_t)with, -1));
        over(&l);
        printf("revents %x %x\n", (unsigned)f[0].revents, (unsigned)f[1].revents);
        read(p[0], target, 8);
        handle(SIGUSR1, SA_RESTART);
        later(&l, 0, 1, SIGNAL, 0);
        TELL(poll(f, (nfds_t)with, -1));
        over(&l);
    }
    later(&l, 0, 1, WRITE, k[1]);
    TELL(poll(f, 3, -1));
    over(&l);
    printf("revents %x %x\n", (unsigned)f[0].revents, (unsigned)f[1].revents);
    fd_set in;
    struct timeval soon = {.tv_usec = 10000};
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    TELL(select(p[0] + 1, &in, NULL, NULL, &soon));
    later(&l, 0, 1, WRITE, p[1]);
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    TELL(select(p[0] + 1, &in, NULL, NULL, NULL));
    over(&l);
    FD_SET(k[0], &in);
    TELL(select(64, &in, NULL, NULL, NULL));
    printf("sets %d %d\n", FD_ISSET(p[0], &in) != 0, FD_ISSET(k[0], &in) != 0);
    read(p[0], target, 8);
    later(&l, 0, 2, LEAVE, p[0], WRITE, p[1]);
    TELL(poll(f, 1, -1));
    over(&l);
    printf("revents %x\n", (unsigned)f[0].revents);
    close_both(p);
    close_both(k);
}

static void waiting_epoll(int kind)
{
    struct later l;
    int p[2], k[2], ep = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0);
    uint64_t one = 1;
    pair_of_kind(kind, p);
    kernel_pipe(k);
    nonblocking(p[0], true);
    title("epoll of %s", kinds[kind]);
    watch(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    watch(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    events_told("nothing", ep, 0);
    events_told("nothing soon", ep, 10);
    write(p[1], &one, 8);
    events_told("level", ep, 0);
    events_told("level", ep, 0);
    read(p[0], target, 8);
    events_told("read", ep, 0);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("waited", ep, -1);
    over(&l);
    read(p[0], target, 8);
    handle(SIGUSR1, SA_RESTART);
    later(&l, 0, 1, SIGNAL, 0);
    events_told("interrupted", ep, -1);
    over(&l);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2);
    events_told("edge, nothing", ep, 0);
    write(p[1], &one, 8);
    events_told("edge", ep, 0);
    events_told("edge, told", ep, 0);
    write(p[1], &one, 8);
    events_told("edge, again", ep, 0);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2);
    events_told("edge, set again", ep, 0);
    read(p[0], target, 64);
    if (kind >= 3)
        read(p[0], target, 64);
    events_told("edge, read", ep, 0);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("edge, waited", ep, -1);
    over(&l);
    events_told("edge, told", ep, 0);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3);
    events_told("once", ep, 0);
    events_told("once, told", ep, 0);
    write(p[1], &one, 8);
    events_told("once, told", ep, 0);
    later(&l, 0, 1, REARM, p[0]);
    l.epoll = ep;
    events_told("once, armed again", ep, -1);
    over(&l);
    while (read(p[0], target, 64) > 0)
        ;
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 4);
    watch(ep, EPOLL_CTL_ADD, k[0], EPOLLIN, 5);
    events_told("mixed, nothing", ep, 0);
    write(k[1], &one, 8);
    events_told("mixed, the kernel's", ep, -1);
    write(p[1], &one, 8);
    events_told("mixed, both", ep, -1);
    read(k[0], target, 8);
    events_told("mixed, ours", ep, -1);
    read(p[0], target, 8);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("mixed, waited for ours", ep, -1);
    over(&l);
    read(p[0], target, 8);
    later(&l, 0, 1, WRITE, k[1]);
    events_told("mixed, waited for the kernel's", ep, -1);
    over(&l);
    read(k[0], target, 8);
    watch(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 6);
    events_told("nested, nothing", outer, 0);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("nested, waited", outer, -1);
    over(&l);
    events_told("nested", outer, 0);
    poll_told("nested", outer);
    poll_told("the set", ep);
    read(p[0], target, 8);
    events_told("nested, read", outer, 0);
    struct pollfd f = {ep, POLLIN, 0};
    later(&l, 0, 1, WRITE, p[1]);
    TELL(poll(&f, 1, -1));
    over(&l);
    read(p[0], target, 8);
    watch(ep, EPOLL_CTL_DEL, p[0], 0, 0);
    write(p[1], &one, 8);
    events_told("taken out", ep, 0);
    watch(ep, EPOLL_CTL_DEL, p[0], 0, 0);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 0);
    later(&l, 0, 1, ADD, p[0]);
    l.epoll = ep;
    struct epoll_event e;
    TELL(epoll_wait(ep, &e, 1, -1));
    over(&l);
    printf("the descriptor %d\n", e.data.fd == p[0]);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 7);
    events_told("before it leaves", ep, 0);
    leave(p[0]);
    events_told("after it left", ep, 0);
    read(p[0], target, 8);
    events_told("read", ep, 0);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("waited", ep, -1);
    over(&l);
    close_both(p);
    events_told("closed", ep, 0);
    close_both(k);
    close(ep);
    /* One that leaves while it is waited for, in two sets, and by a set alone. */
    ep = epoll_create1(0);
    pair_of_kind(kind, p);
    watch(ep, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLEXCLUSIVE, 1);
    watch(outer, EPOLL_CTL_ADD, p[0], EPOLLIN, 2);
    later(&l, 0, 2, LEAVE, p[0], WRITE, p[1]);
    events_told("left meanwhile", ep, -1);
    over(&l);
    events_told("left meanwhile, the other set", outer, -1);
    close_both(p);
    pair_of_kind(kind, p);
    watch(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    later(&l, 0, 2, FORK, p[0], WRITE, p[1]);
    events_told("forked meanwhile", ep, -1);
    over(&l);
    close_both(p);
    close(ep);
    close(outer);
}

static void waiting_room(void)
{
    int p[2], ep = epoll_create1(0);
    title("epoll and room");
    pipe2(p, O_NONBLOCK);
    watch(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLET, 1);
    events_told("room", ep, 0);
    events_told("told", ep, 0);
    TELL(write(p[1], source, 65536));
    events_told("full", ep, 0);
    TELL(read(p[0], target, 100));
    events_told("no page is free", ep, 0);
    TELL(read(p[0], target, 4096));
    events_told("one is", ep, 0);
    events_told("told", ep, 0);
    TELL(close(p[0]));
    events_told("broken", ep, 0);
    close(p[1]);
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_STREAM) {
        int q[2];
        socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, q);
        watch(ep, EPOLL_CTL_ADD, q[0], EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, 2);
        events_told("room", ep, 0);
        while (send(q[0], source, 1000, 0) > 0)
            ;
        events_told("full", ep, 0);
        recv(q[1], target, 1000, 0);
        events_told("still more than a quarter", ep, 0);
        while (recv(q[1], target, 1000, 0) > 0)
            ;
        events_told("empty", ep, 0);
        TELL(send(q[1], source, 5, 0));
        events_told("something came", ep, 0);
        TELL(shutdown(q[1], SHUT_WR));
        events_told("no more comes", ep, 0);
        close(q[1]);
        events_told("closed", ep, 0);
        close(q[0]);
    }
    close(ep);
}

/* Several of each, and what went in comes out. */
static struct {
    int p[2];
    int pieces;
    uint64_t sum;
} crowd;

static void *crowd_writer(void *argument)
{
    (void)argument;
    for (int i = 1; i <= crowd.pieces; i++) {
        uint64_t value = (uint64_t)i;
        if (write(crowd.p[1], &value, sizeof value) != sizeof value)
            perror("write");
    }
    return NULL;
}

static void *crowd_reader(void *argument)
{
    uint64_t value, sum = 0;
    long mode = (long)argument;
    for (;;) {
        struct pollfd f = {crowd.p[0], POLLIN, 0};
        if (mode && poll(&f, 1, -1) < 0)
            perror("poll");
        long n = read(crowd.p[0], &value, sizeof value);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n < (long)sizeof value || value == UINT32_MAX)
            break;
        sum += value;
    }
    __atomic_add_fetch(&crowd.sum, sum, __ATOMIC_SEQ_CST);
    return NULL;
}

static void crowds(int kind, long mode)
{
    pthread_t writers[4], readers[4];
    uint64_t end = UINT32_MAX;
    title("a crowd at %s, %ld", kinds[kind], mode);
    crowd.pieces = 3000;
    crowd.sum = 0;
    pair_of_kind(kind, crowd.p);
    if (mode)
        nonblocking(crowd.p[0], true);
    for (int i = 0; i < 4; i++)
        pthread_create(&readers[i], NULL, crowd_reader, (void *)mode);
    for (int i = 0; i < 4; i++)
        pthread_create(&writers[i], NULL, crowd_writer, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(writers[i], NULL);
    for (int i = 0; i < 4; i++)
        write(crowd.p[1], &end, sizeof end);
    for (int i = 0; i < 4; i++)
        pthread_join(readers[i], NULL);
    printf("sum %lu\n", (unsigned long)crowd.sum);
    close_both(crowd.p);
}

static void *end_seer(void *argument)
{
    long writes = (long)argument, n;
    char bytes[4096] = {0};
    while ((n = writes ? write(crowd.p[1], bytes, sizeof bytes) : read(crowd.p[0], bytes, sizeof bytes)) > 0)
        ;
    __atomic_add_fetch(&crowd.sum, n < 0 && errno == EPIPE ? 100 : n == 0 ? 1 : 10000, __ATOMIC_SEQ_CST);
    return NULL;
}

/* All that wait hear that the other end is closed, and not only the first. */
static void crowd_at_the_end(int kind, long writes)
{
    pthread_t seers[4];
    title("a crowd at the end of %s, %ld", kinds[kind], writes);
    crowd.sum = 0;
    pair_of_kind(kind, crowd.p);
    for (int i = 0; i < 4; i++)
        pthread_create(&seers[i], NULL, end_seer, (void *)writes);
    usleep(30000); /* most of them wait by then */
    close(crowd.p[!writes]);
    for (int i = 0; i < 4; i++)
        pthread_join(seers[i], NULL);
    printf("sum %lu\n", (unsigned long)crowd.sum);
    close(crowd.p[writes]);
}

static void *semaphore_taker(void *argument)
{
    uint64_t one;
    (void)argument;
    for (int i = 0; i < 500; i++)
        if (read(crowd.p[0], &one, sizeof one) == sizeof one)
            __atomic_add_fetch(&crowd.sum, one, __ATOMIC_SEQ_CST);
    return NULL;
}

static void semaphore_crowd(void)
{
    pthread_t takers[4];
    uint64_t left = 2000;
    title("a crowd at a semaphore");
    crowd.sum = 0;
    crowd.p[0] = eventfd(0, EFD_SEMAPHORE);
    for (int i = 0; i < 4; i++)
        pthread_create(&takers[i], NULL, semaphore_taker, NULL);
    for (uint64_t n = 7; left; left -= n) {
        n = n < left ? n : left;
        write(crowd.p[0], &n, sizeof n);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(takers[i], NULL);
    printf("taken %lu\n", (unsigned long)crowd.sum);
    close(crowd.p[0]);
}

void waiting(void)
{
    handle(SIGPIPE, 0);
    for (int kind = 0; kind < 5; kind++)
        waiting_read(kind);
    for (int leaves = 0; leaves < 2; leaves++) {
        waiting_write(0, leaves);
        waiting_write(2, leaves);
    }
    waiting_counter();
    waiting_all();
    for (int kind = 0; kind < 5; kind++)
        waiting_poll(kind);
    for (int kind = 0; kind < 5; kind++)
        waiting_epoll(kind);
    waiting_room();
    for (long mode = 0; mode < 2; mode++) {
        crowds(0, mode);
        crowds(2, mode);
        crowds(3, mode);
        crowds(4, mode);
    }
    for (long writes = 0; writes < 2; writes++) {
        crowd_at_the_end(0, writes);
        crowd_at_the_end(2, writes);
        crowd_at_the_end(3, writes);
    }
    semaphore_crowd();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* epoll, poll and select: what is reported, when, and how often. */
#include "cases.h"

#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>

static int control(int set, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(set, operation, fd, &e);
}

static void errors(void)
{
    int set = epoll_create1(0), file = open("/etc/passwd", O_RDONLY), pipes[2];
    struct epoll_event e;
    if (pipe(pipes))
        exit(1);
    say_result("epoll_create of 0", epoll_create(0));
    say_result("epoll_create1 of unknown flags", epoll_create1(77));
    say_result("add", control(set, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 1));
    say_result("add again", control(set, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 1));
    say_result("modify one that is not there", control(set, EPOLL_CTL_MOD, pipes[1], EPOLLIN, 1));
    say_result("delete one that is not there", control(set, EPOLL_CTL_DEL, pipes[1], 0, 0));
    say_result("add a regular file", control(set, EPOLL_CTL_ADD, file, EPOLLIN, 1));
    say_result("add no descriptor", control(set, EPOLL_CTL_ADD, 999, EPOLLIN, 1));
    say_result("add to no set", control(999, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 1));
    say_result("add to a file", control(file, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 1));
    say_result("add to itself", control(set, EPOLL_CTL_ADD, set, EPOLLIN, 1));
    say_result("an unknown operation", control(set, 9, pipes[1], EPOLLIN, 1));
    say_result("add from nowhere", epoll_ctl(set, EPOLL_CTL_ADD, pipes[1], (struct epoll_event *)nowhere));
    say_result("wait for 0 events", epoll_wait(set, &e, 0, 0));
    say_result("wait for -1 events", epoll_wait(set, &e, -1, 0));
    say_result("wait of a file", epoll_wait(file, &e, 1, 0));
    say_result("wait of none", epoll_wait(999, &e, 1, 0));
    say_result("nothing", epoll_wait(set, &e, 1, 0));
    say_result("nothing in time", epoll_wait(set, &e, 1, 20));
    if (write(pipes[1], "x", 1) != 1)
        exit(1);
    say_result("to nowhere", epoll_wait(set, (struct epoll_event *)nowhere, 1, 0));
    say_epoll("is still there", set, 5);
    say_result("delete", control(set, EPOLL_CTL_DEL, pipes[0], 0, 0));
    say_epoll("is gone", set, 5);
    int inner = epoll_create1(0);
    say_result("a set in a set", control(set, EPOLL_CTL_ADD, inner, EPOLLIN, 5));
    say_result("and the other way", control(inner, EPOLL_CTL_ADD, set, EPOLLIN, 5));
    close(inner);
    close(set);
    close(file);
    close(pipes[0]);
    close(pipes[1]);
}

static void modes(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    int set = p.set >= 0 ? p.set : epoll_create1(0), added = p.set < 0;
    struct epoll_event e;
    control(set, added ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, p.s, EPOLLIN | EPOLLOUT, 11);
    say_epoll("ready for output", set, 5);
    control(set, EPOLL_CTL_MOD, p.s, EPOLLIN, 12);
    say_epoll("nothing to read", set, 5);
    put(p.c, "level");
    say_result("it comes", epoll_wait(set, &e, 1, 2000));
    say_epoll("level", set, 5);
    say_epoll("still", set, 5);
    say_bytes("a part", recv(p.s, b, 2, 0), b);
    say_epoll("still after a part", set, 5);
    say_bytes("the rest", recv(p.s, b, sizeof b, 0), b);
    say_epoll("not any more", set, 5);
    control(set, EPOLL_CTL_MOD, p.s, EPOLLIN | EPOLLET, 13);
    say_epoll("edge, of nothing", set, 5);
    put(p.c, "edge");
    say_result("it comes", epoll_wait(set, &e, 1, 2000));
    say_epoll("once", set, 5);
    put(p.c, "more");
    say_result("more comes", epoll_wait(set, &e, 1, 2000));
    say_epoll("once", set, 5);
    control(set, EPOLL_CTL_MOD, p.s, EPOLLIN | EPOLLET, 14);
    say_epoll("again, as it was modified", set, 5);
    say_bytes("all of it", recv(p.s, b, sizeof b, 0), b);
    control(set, EPOLL_CTL_MOD, p.s, EPOLLIN | EPOLLONESHOT, 15);
    put(p.c, "shot");
    say_result("one shot", epoll_wait(set, &e, 1, 2000));
    put(p.c, "more");
    usleep(20000);
    say_epoll("no second one", set, 5);
    control(set, EPOLL_CTL_MOD, p.s, EPOLLIN | EPOLLONESHOT, 16);
    say_epoll("loaded again", set, 5);
    say_epoll("and shot", set, 5);
    say_bytes("all of it", recv(p.s, b, sizeof b, 0), b);
    control(set, EPOLL_CTL_MOD, p.s, 0, 17);
    put(p.c, "unseen");
    usleep(20000);
    say_epoll("no events wanted", set, 5);
    shutdown(p.c, SHUT_WR);
    control(set, EPOLL_CTL_MOD, p.s, EPOLLRDHUP | EPOLLET, 18);
    say_result("the end", epoll_wait(set, &e, 1, 2000));
    say("as", "%x %lu", e.events, (unsigned long)e.data.u64);
    say_epoll("once", set, 5);
    control(set, EPOLL_CTL_MOD, p.s, EPOLLIN | EPOLLRDHUP | EPOLLOUT, 19);
    say_epoll("bytes and the end", set, 5);
    say_result("delete", control(set, EPOLL_CTL_DEL, p.s, 0, 0));
    say_epoll("then", set, 5);
    say_result("add again", control(set, EPOLL_CTL_ADD, p.s, EPOLLIN, 20));
    say_epoll("then", set, 5);
    say_bytes("recv", recv(p.s, b, sizeof b, 0), b);
    close(p.s);
    p.s = -1;
    say_epoll("close is the end of it", set, 5);
    if (set != p.set)
        close(set);
    pair_drop(&p);
}

static void two_sets(enum way way)
{
    struct pair p = pair_make(way);
    char b[16];
    int other = epoll_create1(0), outer = epoll_create1(0), set = p.set >= 0 ? p.set : epoll_create1(0);
    control(set, p.set >= 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, p.s, EPOLLIN, 1);
    say_result("in a second set", control(other, EPOLL_CTL_ADD, p.s, EPOLLIN | EPOLLET, 2));
    say_result("and that in a third", control(outer, EPOLL_CTL_ADD, set, EPOLLIN, 3));
    put(p.c, "both");
    happens(p.s, POLLIN);
    say_epoll("the first", set, 5);
    say_epoll("the second", other, 5);
    say_epoll("the second again", other, 5);
    say_epoll("the outer", outer, 5);
    say_poll("the outer by poll", outer, POLLIN);
    say_bytes("recv", recv(p.s, b, sizeof b, 0), b);
    say_epoll("the first", set, 5);
    say_epoll("the outer", outer, 5);
    int twin = dup(p.s);
    say_result("a duplicate in the same set", control(set, EPOLL_CTL_ADD, twin, EPOLLIN, 4));
    put(p.c, "twins");
    happens(p.s, POLLIN);
    say_epoll("both tell", set, 5);
    say_result("modify one", control(set, EPOLL_CTL_MOD, twin, 0, 4));
    say_epoll("the other tells", set, 5);
    close(twin);
    say_epoll("closing one", set, 5);
    close(other);
    close(outer);
    if (set != p.set)
        close(set);
    pair_drop(&p);
}

struct later {
    struct pair *p;
    int set;
};

static void *act_later(void *context)
{
    struct later *l = context;
    usleep(40000);
    if (l->set >= 0)
        control(l->set, EPOLL_CTL_ADD, l->p->s, EPOLLIN, 31);
    else
        put(l->p->c, "late");
    return NULL;
}

static void waiting(enum way way)
{
    struct pair p = pair_make(way), q = pair_make(WAY_FRESH);
    struct epoll_event e[4];
    int set = p.set >= 0 ? p.set : epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);
    pthread_t thread;
    struct later l = {&p, -1};
    control(set, p.set >= 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, p.s, EPOLLIN, 30);
    control(set, EPOLL_CTL_ADD, fd, EPOLLIN, 32);
    pthread_create(&thread, NULL, act_later, &l);
    int n = epoll_wait(set, e, 4, 5000);
    say("wakes up for bytes", "%d %lu", n, (unsigned long)e[0].data.u64);
    pthread_join(thread, NULL);
    char b[16];
    say_bytes("which are", recv(p.s, b, sizeof b, 0), b);
    put(q.c, "there");
    l = (struct later){&q, set};
    pthread_create(&thread, NULL, act_later, &l);
    n = epoll_wait(set, e, 4, 5000);
    say("wakes up for what is added", "%d %lu", n, (unsigned long)e[0].data.u64);
    pthread_join(thread, NULL);
    eventfd_write(fd, 3);
    put(p.c, "x");
    happens(p.s, POLLIN);
    say_epoll("all three", set, 5);
    say("one at a time, in turn", "%d %d %d", epoll_wait(set, e, 1, 0), epoll_wait(set, e + 1, 1, 0),
        epoll_wait(set, e + 2, 1, 0));
    uint64_t sum = e[0].data.u64 + e[1].data.u64 + e[2].data.u64;
    say("are different ones", "%lu", (unsigned long)sum);
    struct timespec no_time = {0, 0}, some = {0, 20000000};
    sigset_t mask;
    sigemptyset(&mask);
    say_result("epoll_pwait2", epoll_pwait2(set, e, 4, &no_time, &mask));
    control(set, EPOLL_CTL_DEL, p.s, 0, 0);
    control(set, EPOLL_CTL_DEL, q.s, 0, 0);
    control(set, EPOLL_CTL_DEL, fd, 0, 0);
    say_result("epoll_pwait2 of nothing", epoll_pwait2(set, e, 4, &some, &mask));
    close(fd);
    if (set != p.set)
        close(set);
    pair_drop(&p);
    pair_drop(&q);
}

static void by_poll(enum way way)
{
    struct pair p = pair_make(way), q = pair_make(WAY_FRESH);
    struct pollfd f[4] = {{.fd = p.s, .events = POLLIN}, {.fd = -1}, {.fd = q.s, .events = POLLIN | POLLOUT}, {.fd = 999}};
    char b[16];
    say("poll of three", "%d", poll(f, 3, 0));
    say("is", "%x %x %x", (unsigned)f[0].revents, (unsigned)f[1].revents, (unsigned)f[2].revents);
    say("with one that is none", "%d", poll(f, 4, 1000));
    say("is", "%x", (unsigned)f[3].revents);
    f[2].events = POLLIN;
    say("nothing in time", "%d", poll(f, 3, 20));
    put(p.c, "x");
    say("a byte", "%d %x %x", poll(f, 3, 2000), (unsigned)f[0].revents, (unsigned)f[2].revents);
    put(q.c, "y");
    happens(q.s, POLLIN);
    say("two", "%d %x %x", poll(f, 3, 2000), (unsigned)f[0].revents, (unsigned)f[2].revents);
    say_bytes("recv", recv(p.s, b, sizeof b, 0), b);
    say("one again", "%d %x %x", poll(f, 3, 2000), (unsigned)f[0].revents, (unsigned)f[2].revents);
    say_bytes("recv", recv(q.s, b, sizeof b, 0), b);
    pthread_t thread;
    struct later l = {&p, -1};
    pthread_create(&thread, NULL, act_later, &l);
    say("poll that waits", "%d %x", poll(f, 3, 5000), (unsigned)f[0].revents);
    pthread_join(thread, NULL);
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p.s, &in);
    FD_SET(q.s, &in);
    FD_SET(q.s, &out);
    struct timeval t = {0, 20000};
    say("select", "%d", select(1000, &in, &out, NULL, &t));
    say("is", "%d %d %d", FD_ISSET(p.s, &in) != 0, FD_ISSET(q.s, &in) != 0, FD_ISSET(q.s, &out) != 0);
    say_bytes("recv", recv(p.s, b, sizeof b, 0), b);
    FD_ZERO(&in);
    FD_SET(p.s, &in);
    t = (struct timeval){0, 20000};
    say("select of nothing", "%d", select(1000, &in, NULL, NULL, &t));
    pthread_create(&thread, NULL, act_later, &l);
    FD_SET(p.s, &in);
    say("select that waits", "%d", select(1000, &in, NULL, NULL, NULL));
    pthread_join(thread, NULL);
    FD_SET(999, &in);
    say_result("select of none", select(1000, &in, NULL, NULL, &t));
    say_result("select of -1", select(-1, &in, NULL, NULL, &t));
    say_result("poll from nowhere", poll((struct pollfd *)nowhere, 2, 0));
    say_result("poll of too many", poll(f, 1u << 30, 0));
    pair_drop(&p);
    pair_drop(&q);
}

void cases_epoll(void)
{
    errors();
    for (enum way way = 0; way < WAYS; way++) {
        char name[32];
        where = name;
        snprintf(name, sizeof name, "%s, modes of epoll", way_names[way]);
        modes(way);
        snprintf(name, sizeof name, "%s, two sets", way_names[way]);
        two_sets(way);
        snprintf(name, sizeof name, "%s, waiting", way_names[way]);
        waiting(way);
        snprintf(name, sizeof name, "%s, by poll", way_names[way]);
        by_poll(way);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* poll, select and epoll over files of the host and of the LibOS, and how many exits they take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/files_world.h"

static int pipe_in, pipe_out;

static int start_pipe(void **state)
{
    int fds[2];
    (void)state;
    if (CALL(pipe2, fds, O_NONBLOCK))
        return -1;
    pipe_in = fds[0];
    pipe_out = fds[1];
    return 0;
}

static int finish_pipe(void **state)
{
    (void)state;
    world_net_poll = NULL;
    return (int)CALL(close_range, 3, ~0u, 0);
}

static void put(void)
{
    assert_int_equal(CALL(write, pipe_out, "x", 1), 1);
}

static void drain(void)
{
    char c[16];
    while (CALL(read, pipe_in, c, sizeof c) > 0)
        ;
}

/* Longer than the time for which a busy file of the LibOS goes first. */
static void age(void)
{
    struct timespec t = {0, 3000000};
    nanosleep(&t, NULL);
}

static void hosts_take_one_exit(void **state)
{
    (void)state;
    struct pollfd p[3] = {{pipe_in, POLLIN, 0}, {-1, POLLIN, 9}, {pipe_out, POLLOUT, 0}};
    uint64_t exits = world.exits;
    assert_int_equal(CALL(poll, p, 3, -1), 1);
    assert_int_equal(world.exits - exits, 1);
    assert_int_equal(p[0].revents, 0);
    assert_int_equal(p[1].revents, 0);
    assert_int_equal(p[2].revents, POLLOUT);
    p[2].fd = 500;
    assert_int_equal(CALL(poll, p, 3, -1), 1);
    assert_int_equal(p[2].revents, POLLNVAL);
    exits = world.exits;
    assert_int_equal(CALL(poll, p, 2, 5), 0);
    assert_int_equal(world.exits - exits, 1);
}

static void always_ready_needs_no_exit(void **state)
{
    (void)state;
    struct pollfd p = {(int)CALL(open, "/dev/zero", O_RDONLY), POLLIN | POLLOUT, 0};
    uint64_t exits = world.exits;
    assert_int_equal(CALL(poll, &p, 1, -1), 1);
    assert_int_equal(p.revents, POLLIN | POLLOUT);
    assert_int_equal(world.exits, exits);
}

static void a_ready_inner_file_needs_no_exit(void **state)
{
    (void)state;
    static struct inner i;
    i = (struct inner){.ready = POLLIN, .host_fd = -1, .net = true};
    struct pollfd p = {world_inner(&i), POLLIN, 0};
    uint64_t exits = world.exits;
    assert_int_equal(CALL(poll, &p, 1, -1), 1);
    assert_int_equal(p.revents, POLLIN);
    assert_int_equal(world.exits, exits);
}

static void a_busy_inner_file_seldom_looks_at_the_host(void **state)
{
    (void)state;
    static struct inner i;
    i = (struct inner){.ready = POLLIN, .host_fd = -1, .net = true};
    struct pollfd p[2] = {{world_inner(&i), POLLIN, 0}, {pipe_in, POLLIN, 0}};
    age();
    uint64_t exits = world.exits;
    for (int n = 0; n < 100; n++)
        assert_int_equal(CALL(poll, p, 2, -1), 1);
    assert_true(world.exits - exits <= 10);
    /* but the host's file is noticed, though the other is always ready */
    put();
    age();
    assert_int_equal(CALL(poll, p, 2, -1), 2);
    assert_int_equal(p[1].revents, POLLIN);
}

static bool packets_come(void)
{
    return true;
}

static struct inner *filled;

static bool fill(void)
{
    filled->ready = POLLIN;
    return true;
}

static void packets_in_a_ring_are_taken_before_sleeping(void **state)
{
    (void)state;
    static struct inner i;
    i = (struct inner){.host_fd = -1, .net = true};
    struct pollfd p = {world_inner(&i), POLLIN, 0};
    filled = &i;
    world_net_poll = fill;
    uint64_t exits = world.exits;
    assert_int_equal(CALL(poll, &p, 1, -1), 1);
    assert_int_equal(world.exits, exits);
    /* those of others are no reason to return */
    i.ready = 0;
    world_net_poll = packets_come;
    assert_int_equal(CALL(poll, &p, 1, 0), 0);
    assert_int_equal(CALL(poll, &p, 1, 5), 0);
}

static void when_reported(struct inner *i)
{
    i->ready = i->reported ? POLLIN : 0;
}

static void the_descriptor_behind_is_a_reason_to_ask(void **state)
{
    (void)state;
    static struct inner i;
    i = (struct inner){.host_fd = pipe_in, .on_ask = when_reported};
    struct pollfd p = {world_inner(&i), POLLIN, 0};
    assert_int_equal(CALL(poll, &p, 1, 0), 0);
    put();
    assert_int_equal(CALL(poll, &p, 1, -1), 1);
    assert_int_equal(i.reported, POLLIN);
    i.reported = 0;
    assert_int_equal(CALL(poll, &p, 1, 0), 1);
}

static void what_is_ready_counts_more_than_a_signal(void **state)
{
    (void)state;
    struct pollfd p = {pipe_in, POLLIN, 0};
    world.signal = true;
    assert_int_equal(CALL(poll, &p, 1, -1), RESTART_NOHAND);
    assert_int_equal(CALL(poll, &p, 1, 0), RESTART_NOHAND);
    put();
    assert_int_equal(CALL(poll, &p, 1, 0), 1);
    world.signal = false;
    drain();
    world_interrupt(); /* nothing to handle: waits on */
    assert_int_equal(CALL(poll, &p, 1, 3), 0);
    uint64_t mask = 0;
    struct timespec t = {0, 3000000};
    assert_int_equal(CALL(ppoll, &p, 1, &t, &mask, 8), 0);
    assert_int_equal(t.tv_nsec, 0);
    assert_int_equal(CALL(ppoll, &p, 1, &t, &mask, 4), -EINVAL);
}

static void select_reports_by_set(void **state)
{
    (void)state;
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(pipe_in, &in);
    FD_SET(pipe_out, &in);
    FD_SET(pipe_out, &out);
    put();
    struct timeval t = {5, 0};
    int n = (pipe_in > pipe_out ? pipe_in : pipe_out) + 1;
    assert_int_equal(CALL(select, n, &in, &out, NULL, &t), 2);
    assert_true(FD_ISSET(pipe_in, &in));
    assert_false(FD_ISSET(pipe_out, &in));
    assert_true(FD_ISSET(pipe_out, &out));
    assert_true(t.tv_sec == 4 || (t.tv_sec == 5 && !t.tv_usec));

    FD_ZERO(&in);
    FD_SET(40, &in);
    assert_int_equal(CALL(select, 41, &in, NULL, NULL, &t), -EBADF);
    FD_ZERO(&in);
    FD_SET(pipe_in, &in);
    drain();
    struct timespec short_time = {0, 2000000};
    assert_int_equal(CALL(pselect6, n, &in, NULL, NULL, &short_time, NULL), 0);
    assert_false(FD_ISSET(pipe_in, &in));
}

static void many_descriptors(void **state)
{
    (void)state;
    static struct pollfd p[300];
    for (int i = 0; i < 300; i++)
        p[i] = (struct pollfd){(int)CALL(dup, pipe_in), POLLIN, 0};
    put();
    uint64_t exits = world.exits;
    assert_int_equal(CALL(poll, p, 300, -1), 300);
    assert_int_equal(world.exits - exits, 1);
    assert_int_equal(p[299].revents, POLLIN);
    fd_set in;
    FD_ZERO(&in);
    for (int i = 0; i < 300; i += 7)
        FD_SET(p[i].fd, &in);
    assert_int_equal(CALL(select, p[299].fd + 1, &in, NULL, NULL, NULL), 43);
    assert_true(FD_ISSET(p[294].fd, &in));
}

/* ---- epoll ---- */

static int set_of(int fd, uint32_t events, uint64_t data)
{
    int e = (int)CALL(epoll_create1, EPOLL_CLOEXEC);
    struct epoll_event event = {.events = events, .data.u64 = data};
    assert_true(e >= 0);
    assert_int_equal(CALL(epoll_ctl, e, EPOLL_CTL_ADD, fd, &event), 0);
    return e;
}

static int add(int e, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return (int)CALL(epoll_ctl, e, EPOLL_CTL_ADD, fd, &event);
}

static int modify(int e, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return (int)CALL(epoll_ctl, e, EPOLL_CTL_MOD, fd, &event);
}

static void epoll_of_hosts_takes_one_exit(void **state)
{
    (void)state;
    struct epoll_event out[4];
    int e = set_of(pipe_in, EPOLLIN, 0x1234567890abcdef);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
    put();
    uint64_t exits = world.exits;
    assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 1);
    assert_int_equal(world.exits - exits, 1);
    assert_int_equal(out[0].events, EPOLLIN);
    assert_true(out[0].data.u64 == 0x1234567890abcdef);
    assert_int_equal(modify(e, pipe_in, EPOLLIN | EPOLLONESHOT, 2), 0);
    assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 1);
    assert_int_equal(out[0].data.u64, 2);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 3), 0);
    assert_int_equal(modify(e, pipe_in, EPOLLIN | EPOLLET, 3), 0);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
    put();
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1);
    assert_int_equal(CALL(epoll_ctl, e, EPOLL_CTL_DEL, pipe_in, NULL), 0);
    assert_int_equal(CALL(epoll_ctl, e, EPOLL_CTL_DEL, pipe_in, NULL), -ENOENT);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
}

static void epoll_refuses_what_linux_refuses(void **state)
{
    (void)state;
    struct epoll_event event = {.events = EPOLLIN};
    int e = set_of(pipe_in, EPOLLIN, 0);
    assert_int_equal(add(e, pipe_in, EPOLLIN, 0), -EEXIST);
    assert_int_equal(modify(e, pipe_out, EPOLLIN, 0), -ENOENT);
    assert_int_equal(add(e, 500, EPOLLIN, 0), -EBADF);
    assert_int_equal(add(500, e, EPOLLIN, 0), -EBADF);
    assert_int_equal(add(pipe_in, pipe_out, EPOLLIN, 0), -EINVAL);
    assert_int_equal(add(e, e, EPOLLIN, 0), -EINVAL);
    assert_int_equal(add(e, (int)CALL(open, "/dev/null", O_RDWR), EPOLLIN, 0), -EPERM);
    assert_int_equal(add(e, (int)CALL(open, "/etc/passwd", O_RDONLY), EPOLLIN, 0), -EPERM);
    assert_int_equal(CALL(epoll_ctl, e, 9, pipe_in, &event), -EINVAL);
    assert_int_equal(CALL(epoll_ctl, e, EPOLL_CTL_ADD, pipe_out, 8), -EFAULT);
    assert_int_equal(CALL(epoll_wait, e, &event, 0, 0), -EINVAL);
    assert_int_equal(CALL(epoll_create1, 1), -EINVAL);
    assert_int_equal(CALL(epoll_create, 0), -EINVAL);
}

static void the_last_close_removes(void **state)
{
    (void)state;
    struct epoll_event out[4];
    int other = (int)CALL(dup, pipe_in), e = set_of(pipe_in, EPOLLIN, 1);
    put();
    CALL(close, pipe_in);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1); /* the open file is still there */
    CALL(close, other);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);

    static struct inner i;
    i = (struct inner){.ready = EPOLLIN, .host_fd = -1};
    int fd = world_inner(&i);
    assert_int_equal(add(e, fd, EPOLLIN, 2), 0);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1);
    CALL(close, fd);
    assert_true(i.released);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
    /* and a set that goes before its files */
    fd = world_inner(&i);
    assert_int_equal(add(e, fd, EPOLLIN, 2), 0);
    CALL(close, e);
    CALL(close, fd);
}

static void two_descriptors_of_one_file(void **state)
{
    (void)state;
    struct epoll_event out[4];
    int other = (int)CALL(dup, pipe_in), e = set_of(pipe_in, EPOLLIN, 1);
    assert_int_equal(add(e, other, EPOLLIN, 2), 0);
    put();
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 2);
    assert_int_equal(out[0].data.u64 + out[1].data.u64, 3);
    assert_int_equal(CALL(epoll_ctl, e, EPOLL_CTL_DEL, pipe_in, NULL), 0);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1);
    assert_int_equal(out[0].data.u64, 2);
    CALL(close, other);
    CALL(close, pipe_in);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
}

static void inner_files_by_level_edge_and_once(void **state)
{
    (void)state;
    struct epoll_event out[4];
    static struct inner i;
    i = (struct inner){.ready = EPOLLIN, .host_fd = -1, .net = true};
    int fd = world_inner(&i), e = set_of(fd, EPOLLIN, 7);
    uint64_t exits = world.exits;
    for (int n = 0; n < 3; n++) {
        assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 1);
        assert_int_equal(out[0].data.u64, 7);
    }
    assert_int_equal(world.exits, exits);

    assert_int_equal(modify(e, fd, EPOLLIN | EPOLLOUT | EPOLLET, 8), 0);
    i.ready = EPOLLOUT;
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1); /* as it is when it is entered */
    assert_int_equal(out[0].events, EPOLLOUT);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
    i.ready = EPOLLOUT | EPOLLIN;
    i.arrivals++;
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1);
    assert_int_equal(out[0].events, EPOLLOUT | EPOLLIN);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
    i.arrivals++;
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1);

    assert_int_equal(modify(e, fd, EPOLLIN | EPOLLONESHOT, 9), 0);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
    assert_int_equal(modify(e, fd, EPOLLIN | EPOLLONESHOT, 9), 0);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 1);
}

static void mixed_sets(void **state)
{
    (void)state;
    struct epoll_event out[4];
    static struct inner i;
    i = (struct inner){.ready = EPOLLIN, .host_fd = -1, .net = true};
    int e = set_of(pipe_in, EPOLLIN, 1);
    int fd = world_inner(&i);
    assert_int_equal(add(e, fd, EPOLLIN, 2), 0);
    age();
    uint64_t exits = world.exits;
    for (int n = 0; n < 100; n++)
        assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 1);
    assert_true(world.exits - exits <= 10);
    put();
    age();
    assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 2);
    i.ready = 0;
    assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 1);
    assert_int_equal(out[0].data.u64, 1);
    drain();
    exits = world.exits;
    assert_int_equal(CALL(epoll_wait, e, out, 4, 3), 0);
    assert_int_equal(world.exits - exits, 1);
    struct timespec t = {0, 1500000};
    assert_int_equal(CALL(epoll_pwait2, e, out, 4, &t, NULL, 8), 0);
    world.signal = true;
    assert_int_equal(CALL(epoll_wait, e, out, 4, -1), RESTART_NOHAND);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
    world.signal = false;
}

static void what_stands_behind_wakes_a_mixed_set(void **state)
{
    (void)state;
    struct epoll_event out[4];
    static struct inner i;
    i = (struct inner){.host_fd = pipe_in, .on_ask = when_reported};
    int fd = world_inner(&i), e = set_of(fd, EPOLLIN | EPOLLONESHOT, 5);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 2), 0);
    put();
    assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 1);
    assert_int_equal(out[0].data.u64, 5);
    /* Struck: what stays readable behind it must not keep the set awake. */
    assert_int_equal(CALL(epoll_wait, e, out, 4, 2), 0);
    uint64_t exits = world.exits;
    assert_int_equal(CALL(epoll_wait, e, out, 4, 5), 0);
    assert_int_equal(world.exits - exits, 1);
    i.reported = 0;
    assert_int_equal(modify(e, fd, EPOLLIN, 6), 0);
    assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 1);
    assert_int_equal(out[0].data.u64, 6);
}

static void each_gets_its_turn(void **state)
{
    (void)state;
    struct epoll_event out[1];
    static struct inner i[3];
    for (int n = 0; n < 3; n++)
        i[n] = (struct inner){.ready = EPOLLIN, .host_fd = -1};
    int e = set_of(world_inner(&i[0]), EPOLLIN, 1), seen = 0;
    assert_int_equal(add(e, world_inner(&i[1]), EPOLLIN, 2), 0);
    assert_int_equal(add(e, world_inner(&i[2]), EPOLLIN, 4), 0);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(CALL(epoll_wait, e, out, 1, 0), 1);
        seen |= (int)out[0].data.u64;
    }
    assert_int_equal(seen, 7);
}

static void sets_within_sets(void **state)
{
    (void)state;
    struct epoll_event out[4];
    int in = set_of(pipe_in, EPOLLIN, 1), outer = set_of(in, EPOLLIN, 2);
    assert_int_equal(add(in, outer, EPOLLIN, 0), -ELOOP);
    assert_int_equal(CALL(epoll_wait, outer, out, 4, 0), 0);
    put();
    assert_int_equal(CALL(epoll_wait, outer, out, 4, -1), 1);
    assert_int_equal(out[0].data.u64, 2);
    struct pollfd p[2] = {{outer, POLLIN, 0}, {in, POLLIN, 0}};
    assert_int_equal(CALL(poll, p, 2, -1), 2);
    drain();
    assert_int_equal(CALL(poll, p, 2, 2), 0);
    assert_int_equal(CALL(epoll_wait, outer, out, 4, 2), 0);
    static struct inner i;
    i = (struct inner){.ready = EPOLLIN, .host_fd = -1};
    assert_int_equal(add(in, world_inner(&i), EPOLLIN, 3), 0);
    assert_int_equal(CALL(epoll_wait, outer, out, 4, -1), 1);
    assert_int_equal(CALL(poll, p, 2, -1), 2);
    assert_int_equal(CALL(epoll_wait, in, out, 4, -1), 1);
    assert_int_equal(out[0].data.u64, 3);
    /* a set without files of the LibOS is the host's to answer for */
    int plain = set_of(pipe_out, EPOLLOUT, 1);
    p[0] = (struct pollfd){plain, POLLIN, 0};
    assert_int_equal(CALL(poll, p, 1, -1), 1);
}

static int shared_set;

static void *waiter(void *result)
{
    struct epoll_event out[4];
    world_thread(1);
    *(int64_t *)result = CALL(epoll_wait, shared_set, out, 4, 5000);
    return NULL;
}

static void adding_wakes_who_sleeps(void **state)
{
    (void)state;
    pthread_t thread;
    int64_t result = -1;
    static struct inner i;
    i = (struct inner){.ready = EPOLLIN, .host_fd = -1};
    shared_set = set_of(pipe_in, EPOLLIN, 1);
    pthread_create(&thread, NULL, waiter, &result);
    age(); /* it may be asleep by then, or not: both must do */
    assert_int_equal(add(shared_set, world_inner(&i), EPOLLIN, 2), 0);
    pthread_join(thread, NULL);
    assert_int_equal(result, 1);
}

static void many_in_a_set(void **state)
{
    (void)state;
    static struct epoll_event out[500];
    int e = (int)CALL(epoll_create1, 0), seen = 0;
    int fds[200];
    for (int i = 0; i < 200; i++) {
        fds[i] = (int)CALL(eventfd2, 1, 0);
        assert_int_equal(add(e, fds[i], EPOLLIN | EPOLLONESHOT, (uint64_t)i), 0);
    }
    for (int64_t n; (n = CALL(epoll_wait, e, out, 500, 0)) > 0;)
        seen += (int)n;
    assert_int_equal(seen, 200);
    for (int i = 0; i < 200; i += 2)
        CALL(close, fds[i]);
    for (int i = 1; i < 200; i += 2)
        assert_int_equal(modify(e, fds[i], EPOLLIN | EPOLLONESHOT, (uint64_t)i), 0);
    seen = 0;
    for (int64_t n; (n = CALL(epoll_wait, e, out, 500, 0)) > 0;)
        seen += (int)n;
    assert_int_equal(seen, 100);
}

static void signals_are_read(void **state)
{
    (void)state;
    uint64_t mask = 1ull << (SIGTERM - 1) | 1ull << (SIGUSR1 - 1);
    struct signalfd_siginfo info[3];
    struct epoll_event out[4];
    int fd = (int)CALL(signalfd4, -1, &mask, 8, SFD_NONBLOCK | SFD_CLOEXEC);
    assert_int_equal(CALL(read, fd, info, sizeof info), -EAGAIN);
    int e = set_of(fd, EPOLLIN, 3);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 2), 0);
    world_signal(SIGHUP, 5);
    assert_int_equal(CALL(epoll_wait, e, out, 4, 0), 0);
    world_signal(SIGTERM, 5);
    world_signal(SIGUSR1, 6);
    assert_int_equal(CALL(epoll_wait, e, out, 4, -1), 1);
    struct pollfd p = {fd, POLLIN, 0};
    assert_int_equal(CALL(poll, &p, 1, -1), 1);
    assert_int_equal(CALL(read, fd, info, sizeof info[0] - 1), -EINVAL);
    assert_int_equal(CALL(read, fd, info, sizeof info), 2 * sizeof info[0]);
    assert_int_equal(info[0].ssi_signo, SIGUSR1);
    assert_int_equal(info[1].ssi_signo, SIGTERM);
    assert_int_equal(info[1].ssi_pid, 5);
    assert_int_equal(CALL(poll, &p, 1, 0), 0);

    mask = 1ull << (SIGINT - 1);
    assert_int_equal(CALL(signalfd4, fd, &mask, 8, 0), fd);
    assert_int_equal(CALL(fcntl, fd, F_SETFL, 0), 0);
    world.signal_while_asleep = mask;
    assert_int_equal(CALL(read, fd, info, sizeof info), sizeof info[0]);
    assert_int_equal(info[0].ssi_signo, SIGINT);
    world.signal = true; /* another one, that is not blocked */
    world.signal_while_asleep = 0;
    assert_int_equal(CALL(read, fd, info, sizeof info), RESTART_SYS);
    world.signal = false;
    assert_int_equal(CALL(signalfd4, e, &mask, 8, 0), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_pipe, finish_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hosts_take_one_exit),
        TEST(always_ready_needs_no_exit),
        TEST(a_ready_inner_file_needs_no_exit),
        TEST(a_busy_inner_file_seldom_looks_at_the_host),
        TEST(packets_in_a_ring_are_taken_before_sleeping),
        TEST(the_descriptor_behind_is_a_reason_to_ask),
        TEST(what_is_ready_counts_more_than_a_signal),
        TEST(select_reports_by_set),
        TEST(many_descriptors),
        TEST(epoll_of_hosts_takes_one_exit),
        TEST(epoll_refuses_what_linux_refuses),
        TEST(the_last_close_removes),
        TEST(two_descriptors_of_one_file),
        TEST(inner_files_by_level_edge_and_once),
        TEST(mixed_sets),
        TEST(what_stands_behind_wakes_a_mixed_set),
        TEST(each_gets_its_turn),
        TEST(sets_within_sets),
        TEST(adding_wakes_who_sleeps),
        TEST(many_in_a_set),
        TEST(signals_are_read),
    };
    return cmocka_run_group_tests(tests, world_start, NULL);
}

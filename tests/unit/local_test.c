/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes, counters and pairs within the enclave, used by several threads while they become the host's: for the
 * thread sanitizer too. What they do by themselves is compared with the kernel's by tests/programs/local_cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enclave/enclave.h"
#include "enclave/os/local.h"
#include "tests/unit/files_world.h"

#define ROUNDS 300
#define PIECES 40 /* of a round */

enum { PIPE, EVENT, STREAM, PACKETS, KINDS };

static struct {
    int kind, ends[2], set;
    uint64_t sent, received;
    uint32_t writers; /* that have not ended */
    bool leaves;
} round_;

static bool outside(int fd)
{
    struct file *f = file_get(fd);
    bool is = !local_on(f);
    file_put(f);
    return is;
}

static void make(int kind)
{
    int *p = round_.ends;
    round_.kind = kind;
    if (kind == PIPE)
        assert_int_equal(CALL(pipe2, p, 0), 0);
    else if (kind == EVENT)
        p[0] = p[1] = (int)CALL(eventfd2, 0, 0);
    else
        assert_int_equal(CALL(socketpair, AF_UNIX, kind == STREAM ? SOCK_STREAM : SOCK_SEQPACKET, 0, p), 0);
    assert_false(outside(p[0]));
}

static void *writer(void *argument)
{
    world_thread((uint32_t)(uintptr_t)argument);
    for (uint64_t i = 1; i <= PIECES; i++) {
        if (CALL(write, round_.ends[1], &i, sizeof i) != sizeof i)
            return "a write fell short";
        __atomic_add_fetch(&round_.sent, i, __ATOMIC_RELAXED);
        if (i == PIECES / 2 && argument == (void *)1 && round_.leaves && CALL(fcntl, round_.ends[1], F_GETOWN) < 0)
            return "it cannot leave";
    }
    __atomic_sub_fetch(&round_.writers, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* As long as anything may come; by turns it waits in the read, by poll and by epoll. A wake that the made-up host loses
 * between a look and a system call is made up for by a timeout. */
static void *reader(void *unused)
{
    world_thread(0);
    for (int way = 0;
         __atomic_load_n(&round_.writers, __ATOMIC_ACQUIRE) || round_.received < __atomic_load_n(&round_.sent, __ATOMIC_RELAXED);
         way++) {
        uint64_t value = 0;
        struct pollfd p = {round_.ends[0], POLLIN, 0};
        struct epoll_event e;
        int64_t ready = way % 2 ? CALL(poll, &p, 1, 20) : CALL(epoll_wait, round_.set, &e, 1, 20);
        if (ready < 0)
            return "waiting failed";
        if (!ready)
            continue;
        int64_t n = CALL(read, round_.ends[0], &value, sizeof value);
        if (n != sizeof value)
            return "what was ready is not there";
        round_.received += value;
    }
    return unused;
}

static void run_round(int kind, bool leaves)
{
    pthread_t writers[3];
    struct epoll_event e = {.events = EPOLLIN};
    make(kind);
    round_.sent = round_.received = 0;
    round_.leaves = leaves;
    round_.writers = 3;
    round_.set = (int)CALL(epoll_create1, 0);
    assert_int_equal(CALL(epoll_ctl, round_.set, EPOLL_CTL_ADD, round_.ends[0], &e), 0);
    for (uintptr_t i = 0; i < 3; i++)
        pthread_create(&writers[i], NULL, writer, (void *)(i + 1));
    char *wrong = reader(NULL);
    assert_null(wrong);
    for (int i = 0; i < 3; i++) {
        pthread_join(writers[i], (void **)&wrong);
        assert_null(wrong);
    }
    assert_int_equal(round_.sent, 3 * PIECES * (PIECES + 1) / 2);
    assert_int_equal(round_.received, round_.sent);
    assert_int_equal(outside(round_.ends[0]), leaves);
    CALL(close, round_.set);
    CALL(close, round_.ends[0]);
    if (kind != EVENT)
        CALL(close, round_.ends[1]);
}

static void threads_use_what_becomes_the_hosts(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++)
        run_round(i % KINDS, i / KINDS % 2);
}

static void *blocked_reader(void *unused)
{
    uint64_t value = 0;
    world_thread(1);
    int64_t n = CALL(read, round_.ends[0], &value, sizeof value);
    return n == sizeof value && value == 7 ? unused : "the reader got something else";
}

/* A reader that sleeps is told that the pipe is another thing now, and goes on with that. */
static void who_sleeps_goes_on_with_the_hosts(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        uint64_t seven = 7;
        char *wrong;
        make(i % KINDS);
        pthread_create(&thread, NULL, blocked_reader, NULL);
        if (i % 3)
            usleep(200);
        assert_true(CALL(fcntl, round_.ends[0], F_GETOWN) >= 0);
        assert_true(outside(round_.ends[1]));
        assert_int_equal(CALL(write, round_.ends[1], &seven, sizeof seven), sizeof seven);
        pthread_join(thread, (void **)&wrong);
        assert_null(wrong);
        CALL(close, round_.ends[0]);
        if (round_.kind != EVENT)
            CALL(close, round_.ends[1]);
    }
}

/* Where the host makes nothing, nothing changes and nothing is lost. */
static void what_cannot_leave_stays(void **state)
{
    char bytes[10] = "";
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        uint64_t value = 3;
        make(kind);
        assert_int_equal(CALL(write, round_.ends[1], &value, sizeof value), sizeof value);
        world.lying = true;
        world.lie = -ENFILE;
        assert_true(CALL(fcntl, round_.ends[0], F_GETOWN) < 0);
        assert_false(outside(round_.ends[0]));
        assert_int_equal(CALL(read, round_.ends[0], bytes, sizeof bytes), sizeof value);
        memcpy(&value, bytes, sizeof value);
        assert_int_equal(value, 3);
        CALL(close, round_.ends[0]);
        if (kind != EVENT)
            CALL(close, round_.ends[1]);
    }
}

static int start(void **state)
{
    enclave.rings = true;
    world.sleeps = true;
    return world_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_use_what_becomes_the_hosts),
                                       cmocka_unit_test(who_sleeps_goes_on_with_the_hosts),
                                       cmocka_unit_test(what_cannot_leave_stays)};
    return cmocka_run_group_tests(tests, start, NULL);
}

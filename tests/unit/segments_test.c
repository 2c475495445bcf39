/* SPDX-License-Identifier: Apache-2.0 */
/* Gathering datagrams, with the test in the place of the host and its monitor. */
#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/exits.h"
#include "abi/net.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/segments.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define FD 5
#define NEVER_QUIET (UINT64_MAX / 2)
#define MOST 4096

static struct thread_block block;

static struct {
    struct segments_shared *shared[SEGMENTS_MAX];
    unsigned opens, sends, violations;
    int refuse_open;
    bool refuse_giving_up;
    bool full; /* the socket takes nothing */
    bool no_room; /* in the arena */
    unsigned places;
    uint64_t waited;
    unsigned count; /* datagrams that went out */
    struct {
        size_t length;
        uint8_t first, last;
    } datagram[MOST];
    uint64_t fd, name_length, name[4];
} host;

/* ---- the enclave's surroundings ---- */

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){offset};
}

uint64_t arena_pool_take(uint64_t size)
{
    if (host.no_room)
        return 0;
    host.places++;
    return (uint64_t)calloc(1, size);
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    (void)size;
    host.places--;
    free((void *)offset);
}

static jmp_buf stopped;

void violation(const char *format, ...)
{
    (void)format;
    longjmp(stopped, 1);
}

void violation_count(void)
{
    host.violations++;
}

void lock_slow(struct lock *l)
{
    (void)l;
    fail_msg("a lock is taken twice");
}

/* ---- the host ---- */

static int64_t host_send(struct segments_shared *s)
{
    if (host.full)
        return s->consumer == s->producer ? 0 : -EAGAIN;
    for (; s->consumer != s->producer; s->consumer = (uint32_t)(s->consumer + 1)) {
        uint64_t d = s->datagram[s->consumer % SEGMENTS_COUNT], offset = d >> 32;
        size_t length = (uint32_t)d;
        host.fd = s->socket;
        host.name_length = s->name_length;
        memcpy(host.name, s->name, sizeof host.name);
        assert_true(length && length <= SEGMENT_LONGEST && offset + length <= SEGMENTS_BYTES);
        host.datagram[host.count].length = length;
        host.datagram[host.count].first = s->payload[offset];
        host.datagram[host.count++].last = s->payload[offset + length - 1];
    }
    return 0;
}

static bool served, serves; /* does it say so, and do it */

/* It sends while it is waited for: when it is asked again and nothing was put in since. */
bool exit_served(void)
{
    static uint64_t seen[SEGMENTS_MAX];
    for (unsigned i = 0; served && serves && i < SEGMENTS_MAX; i++) {
        struct segments_shared *s = host.shared[i];
        if (s && s->producer == seen[i])
            host_send(s);
        seen[i] = s ? s->producer : 0;
    }
    return served;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)maximum, (void)a2, (void)a3, (void)a4, (void)a5;
    assert_true(a0 < SEGMENTS_MAX);
    if (number == EXIT_SEGMENTS_OPEN) {
        host.opens++;
        host.shared[a0] = (struct segments_shared *)a1;
        return host.refuse_open;
    }
    assert_int_equal(number, EXIT_SEGMENTS_SEND);
    host.sends++;
    host.waited = a1;
    int64_t error = host_send(host.shared[a0]);
    if (error && a1 && !host.refuse_giving_up)
        host.shared[a0]->consumer = host.shared[a0]->producer;
    return error;
}

/* ---- tests ---- */

static struct segments *set;

static int fresh(void **state)
{
    (void)state;
    struct segments_shared *kept[SEGMENTS_MAX];
    memcpy(kept, host.shared, sizeof kept);
    memset(&host, 0, sizeof host);
    served = serves = false;
    memcpy(host.shared, kept, sizeof kept);
    block.self = &block;
    syscall(SYS_arch_prctl, ARCH_SET_GS, &block);
    segments_start(0); /* the first goes at once */
    set = segments_take();
    assert_non_null(set);
    uint8_t byte = 0xee;
    assert_int_equal(segments_add(set, FD, NULL, 0, &byte, 1), 0);
    assert_int_equal(host.count, 1);
    segments_start(NEVER_QUIET);
    host.sends = host.count = 0;
    return 0;
}

static int over(void **state)
{
    (void)state;
    host.full = false;
    segments_give(set);
    return 0;
}

static int add(unsigned i, uint32_t length)
{
    static uint8_t bytes[SEGMENT_LONGEST];
    memset(bytes, (int)(i & 0xff), length);
    return segments_add(set, FD, "to", 2, bytes, length);
}

static void check(unsigned count, uint32_t length)
{
    assert_int_equal(host.count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(host.datagram[i].length, length);
        assert_int_equal(host.datagram[i].first, i & 0xff);
        assert_int_equal(host.datagram[i].last, i & 0xff);
    }
}

static void a_full_ring_leaves_by_one_exit(void **state)
{
    (void)state;
    const struct {
        uint32_t length;
        unsigned each;
    } table[] = {{1, 256}, {8, 256}, {64, 256}, {1024, 256}, {1025, 254}, {1460, 179}, {9000, 29}};
    for (size_t t = 0; t < ARRAY_SIZE(table); t++) {
        host.sends = host.count = 0;
        for (unsigned i = 0; i < 3 * table[t].each; i++)
            assert_int_equal(add(i, table[t].length), 0);
        assert_int_equal(host.sends, 3);
        check(3 * table[t].each, table[t].length);
        assert_int_equal(host.fd, FD);
        assert_int_equal(host.name_length, 2);
        assert_memory_equal(host.name, "to\0\0\0\0\0", 8);
    }
}

static void after_quiet_one_leaves_at_once(void **state)
{
    (void)state;
    segments_start(0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(add(i, 100), 0);
        assert_int_equal(host.count, i + 1);
    }
    check(3, 100);
}

static void where_the_host_serves_nothing_exits(void **state)
{
    (void)state;
    served = serves = true;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(add(i, 100), 0);
    assert_int_equal(segments_add(set, FD, "ot", 2, "x", 1), 0);
    assert_int_equal(segments_send(set), 0);
    segments_start(0);
    add(0, 100); /* after quiet */
    assert_false(segments_put_off());
    segments_flush();
    assert_int_equal(host.sends, 0);
    assert_int_equal(host.count, 1002);
    /* It says that it serves, and does not: no wait is for ever. */
    segments_start(2000000);
    serves = false;
    host.count = 0;
    add(0, 8);
    assert_false(segments_put_off());
    segments_flush();
    assert_int_equal(host.sends, 0);
    assert_int_equal(segments_send(set), 0);
    assert_int_equal(host.sends, 1);
    host.sends = host.count = 0;
    for (unsigned i = 0; i < 3 * SEGMENTS_COUNT; i++)
        assert_int_equal(add(i, 8), 0);
    assert_int_equal(host.sends, 2);
    assert_int_equal(segments_send(set), 0);
    assert_int_equal(host.sends, 3);
    check(3 * SEGMENTS_COUNT, 8);
    /* It no longer says so: what is there is sent as ever. */
    add(0, 8);
    served = false;
    assert_true(segments_put_off());
    segments_flush();
    assert_int_equal(host.sends, 4);
}

static void what_goes_elsewhere_sends_what_is_there(void **state)
{
    (void)state;
    add(0, 100);
    assert_int_equal(host.count, 0); /* nothing was there when it turned here */
    add(1, 60);
    add(2, 101); /* of any size */
    assert_int_equal(segments_add(set, FD, "ot", 2, "x", 1), 0);
    assert_int_equal(host.count, 3);
    assert_memory_equal(host.name, "to", 2);
    assert_int_equal(segments_add(set, FD + 1, "ot", 2, "x", 1), 0);
    assert_int_equal(host.count, 4);
    assert_int_equal(host.fd, FD);
    assert_memory_equal(host.name, "ot", 2);
    assert_int_equal(segments_add(set, FD + 1, "ot\0", 3, "x", 1), 0);
    assert_int_equal(host.count, 5);
    assert_int_equal(host.fd, FD + 1);
    assert_int_equal(host.name_length, 2);
    assert_int_equal(segments_send(set), 0);
    assert_int_equal(host.name_length, 3);
    host.full = true;
    add(6, 100);
    assert_int_equal(segments_add(set, FD, "ot", 2, "x", 1), -EAGAIN);
}

static void who_sleeps_sends_his_own(void **state)
{
    (void)state;
    add(0, 10);
    block.index = 3;
    segments_flush();
    assert_int_equal(host.sends, 0);
    block.index = 0;
    segments_flush();
    assert_int_equal(host.sends, 1);
    check(1, 10);
    segments_flush();
    assert_int_equal(host.sends, 1); /* nothing there: no exit */
    add(1, 10);
    block.index = 3;
    segments_flush_all();
    assert_int_equal(host.count, 2);
    block.index = 0;
}

/* It goes with the next exit: asking is none. */
static void who_sleeps_is_told_that_something_waits(void **state)
{
    (void)state;
    assert_false(segments_put_off());
    add(0, 10);
    assert_true(segments_put_off());
    block.index = 3; /* another thread's */
    assert_false(segments_put_off());
    block.index = 0;
    assert_int_equal(host.sends, 0);
    assert_int_equal(host_send(host.shared[0]), 0); /* the monitor was first */
    assert_false(segments_put_off());
    assert_int_equal(host.sends, 0);
    check(1, 10);
}

static void the_monitor_may_be_first(void **state)
{
    (void)state;
    add(0, 10);
    add(1, 10);
    assert_int_equal(host_send(host.shared[0]), 0);
    check(2, 10);
    assert_int_equal(segments_send(set), 0);
    assert_int_equal(host.sends, 0); /* seen without an exit */
    add(2, 10);
    assert_int_equal(host_send(host.shared[0]), 0);
    add(3, 10);
    assert_int_equal(segments_send(set), 0);
    assert_int_equal(host.sends, 1);
    check(4, 10);
}

/* The sizes change while the ring goes round, and the host comes and goes. */
static void nothing_is_written_over(void **state)
{
    (void)state;
    unsigned added = 0, sent = 0;
    uint64_t random = 1;
    static uint32_t lengths[MOST];
    while (added < MOST) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        host.full = random >> 60 != 0;
        uint32_t length = 1 + (uint32_t)(random >> 33) % ((random >> 40) % 4 ? 1400 : SEGMENT_LONGEST);
        lengths[added] = length;
        if (!add(added, length))
            added++;
        else
            assert_true(host.full);
    }
    host.full = false;
    assert_int_equal(segments_send(set), 0);
    assert_int_equal(host.count, MOST);
    for (; sent < MOST; sent++) {
        assert_int_equal(host.datagram[sent].length, lengths[sent]);
        assert_int_equal(host.datagram[sent].first, sent & 0xff);
        assert_int_equal(host.datagram[sent].last, sent & 0xff);
    }
}

static void a_full_socket_loses_nothing(void **state)
{
    (void)state;
    for (uint32_t length = 1000; length <= 1460; length += 460) {
        unsigned i = 0;
        host.count = 0;
        host.full = true;
        while (!add(i, length))
            assert_true(++i <= SEGMENTS_COUNT);
        assert_int_equal(i, length == 1000 ? SEGMENTS_COUNT : 179);
        assert_int_equal(add(i, length), -EAGAIN);
        assert_int_equal(segments_send(set), -EAGAIN);
        host.full = false;
        assert_int_equal(add(i, length), 0);
        assert_int_equal(segments_send(set), 0);
        check(i + 1, length);
    }
}

static void errors_are_told_once(void **state)
{
    (void)state;
    add(0, 10);
    assert_int_equal(segments_error(set), 0);
    host.shared[0]->error = ECONNREFUSED;
    assert_int_equal(segments_error(set), -ECONNREFUSED);
    assert_int_equal(segments_error(set), 0);
    host.shared[0]->error = 1ull << 63; /* no error at all */
    assert_int_equal(segments_error(set), 0);
    assert_int_equal(host.violations, 1);
}

/* Whatever the host leaves in the shared part, what is sent next is what was given. */
static void a_scribbling_host_changes_nothing_inside(void **state)
{
    (void)state;
    struct segments_shared *s = host.shared[0];
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t junk = i * 0x9e3779b97f4a7c15ull;
        for (unsigned n = 0; n < SEGMENTS_COUNT; n++)
            s->datagram[n] = junk;
        s->socket = s->name_length = s->name[0] = junk;
        s->consumer = s->producer; /* as if it had sent them */
        s->producer = junk;
        assert_int_equal(add(i, 1 + i % 1400), 0);
    }
    s->consumer = s->producer;
    host.count = 0;
    assert_int_equal(add(0, 77), 0);
    assert_int_equal(segments_send(set), 0);
    check(1, 77);
}

/* Sent what was not there, or the same again: the enclave stops. */
static void an_index_out_of_the_ring_is_a_violation(void **state)
{
    (void)state;
    struct segments_shared *s = host.shared[0];
    uint32_t ahead[] = {1, SEGMENTS_COUNT, 1u << 31, (uint32_t)-3};
    for (volatile unsigned i = 0; i < ARRAY_SIZE(ahead); i++) {
        add(0, 10);
        add(1, 10);
        uint64_t right = s->consumer;
        s->consumer = (uint32_t)(s->producer + ahead[i]);
        if (!setjmp(stopped)) {
            segments_send(set);
            fail_msg("%u ahead was believed", ahead[i]);
        }
        s->consumer = right;
        assert_int_equal(segments_send(set), 0);
    }
}

static void sets_are_given_back(void **state)
{
    (void)state;
    struct segments *more[SEGMENTS_MAX];
    unsigned n = 0, opened = host.opens;
    while ((more[n] = segments_take()))
        assert_true(++n < SEGMENTS_MAX);
    assert_int_equal(n, SEGMENTS_MAX - 1);
    assert_true(host.opens <= opened + SEGMENTS_MAX - 1);
    segments_give(more[7]);
    assert_ptr_equal(segments_take(), more[7]);
    assert_null(segments_take());
    while (n)
        segments_give(more[--n]);
    add(0, 10);
    host.full = true;
    segments_give(set);
    assert_true(host.waited > 0); /* as long as sending may take */
    assert_int_equal(host.count, 0);
    host.full = false;
    assert_ptr_equal(segments_take(), set); /* what was given up is gone */
    add(1, 10);
    segments_send(set);
    assert_int_equal(host.count, 1);
    assert_int_equal(host.datagram[0].first, 1);
}

/* What is left in a ring would go to where its next owner sends. */
static void a_host_that_does_not_let_go(void **state)
{
    (void)state;
    struct segments *other = segments_take();
    assert_non_null(other);
    segments_add(other, FD, NULL, 0, "x", 1);
    segments_add(other, FD, NULL, 0, "y", 1);
    host.full = host.refuse_giving_up = true;
    segments_give(other);
    host.full = false;
    struct segments *more[SEGMENTS_MAX];
    unsigned n = 0;
    while ((more[n] = segments_take()))
        assert_ptr_not_equal(more[n++], other);
    while (n)
        segments_give(more[--n]);
}

static void a_host_that_refuses(void **state)
{
    (void)state;
    struct segments *first;
    host.refuse_open = -ENOMEM;
    while ((first = segments_take()) && first != set)
        fail_msg("a set that the host does not know");
    host.refuse_open = 0;
}

static void without_room_in_the_arena_there_is_no_other_set(void **state)
{
    (void)state;
    host.no_room = true;
    assert_null(segments_take()); /* `set` is taken */
}

/* `set` is the only one that this leaves. */
static void in_the_child_of_fork_there_are_none(void **state)
{
    (void)state;
    struct segments *other = segments_take();
    assert_non_null(other);
    unsigned opens = host.opens;
    add(0, 10);
    segments_flush_all();
    unsigned count = host.count, found = 0; /* another test has left some to others */
    for (unsigned i = 0; i < count; i++)
        found += host.datagram[i].length == 10;
    assert_int_equal(found, 1);
    segments_flush_all(); /* nothing is left */
    assert_int_equal(host.count, count);
    segments_forked();
    set = segments_take();
    assert_non_null(set);
    assert_int_equal(host.opens, opens + 1);
    add(0, 77);
    assert_int_equal(segments_send(set), 0);
    assert_int_equal(host.datagram[host.count - 1].length, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_ring_leaves_by_one_exit),
        TEST(after_quiet_one_leaves_at_once),
        TEST(where_the_host_serves_nothing_exits),
        TEST(what_goes_elsewhere_sends_what_is_there),
        TEST(who_sleeps_sends_his_own),
        TEST(who_sleeps_is_told_that_something_waits),
        TEST(the_monitor_may_be_first),
        TEST(a_full_socket_loses_nothing),
        TEST(nothing_is_written_over),
        TEST(errors_are_told_once),
        TEST(a_scribbling_host_changes_nothing_inside),
        TEST(an_index_out_of_the_ring_is_a_violation),
        TEST(a_host_that_refuses),
        TEST(without_room_in_the_arena_there_is_no_other_set),
        TEST(sets_are_given_back),
        TEST(a_host_that_does_not_let_go),
        TEST(in_the_child_of_fork_there_are_none), /* last: all sets are new */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

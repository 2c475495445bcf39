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
    if (s->state != SEGMENTS_READY)
        return 0;
    if (host.full)
        return -EAGAIN;
    host.fd = s->socket;
    host.name_length = s->name_length;
    memcpy(host.name, s->name, sizeof host.name);
    assert_true(s->segment && s->length && s->length <= SEGMENTS_BYTES);
    unsigned n = 0;
    for (uint64_t left = s->length; left; n++) {
        uint64_t length = MIN(left, s->segment);
        const uint8_t *p = s->payload + n * SEGMENT_STRIDE(s->segment);
        host.datagram[host.count].length = length;
        host.datagram[host.count].first = p[0];
        host.datagram[host.count++].last = p[length - 1];
        left -= length;
    }
    assert_true(n <= SEGMENTS_COUNT);
    s->state = SEGMENTS_EMPTY;
    return 0;
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
    if (host.shared[a0]->state == SEGMENTS_SENDING)
        host.shared[a0]->state = SEGMENTS_EMPTY; /* the monitor is done by then */
    return host_send(host.shared[a0]);
}

/* ---- tests ---- */

static struct segments *set;

static int fresh(void **state)
{
    (void)state;
    struct segments_shared *kept[SEGMENTS_MAX];
    memcpy(kept, host.shared, sizeof kept);
    memset(&host, 0, sizeof host);
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

static void a_full_set_leaves_by_one_exit(void **state)
{
    (void)state;
    const struct {
        uint32_t length;
        unsigned each;
    } table[] = {{1, 64}, {8, 64}, {64, 64}, {999, 64}, {1000, 64}, {1001, 63}, {1460, 43}, {9000, 7}};
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

static void another_kind_sends_what_is_there(void **state)
{
    (void)state;
    add(0, 100);
    add(1, 100);
    assert_int_equal(host.count, 0);
    add(2, 60); /* a shorter one may be the last */
    assert_int_equal(host.count, 3);
    assert_int_equal(host.sends, 1);
    add(3, 100);
    add(4, 101);
    assert_int_equal(host.count, 4);
    assert_int_equal(segments_add(set, FD, "ot", 2, "x", 1), 0);
    assert_int_equal(host.count, 5);
    assert_int_equal(segments_add(set, FD + 1, "ot", 2, "x", 1), 0);
    assert_int_equal(host.count, 6);
    assert_int_equal(segments_add(set, FD + 1, "ot\0", 3, "x", 1), 0);
    assert_int_equal(host.count, 7);
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
    host.shared[0]->state = SEGMENTS_SENDING; /* it is at it */
    host.datagram[host.count].first = host.datagram[host.count].last = 2;
    host.datagram[host.count++].length = 10;
    assert_int_equal(add(3, 10), 0);
    assert_int_equal(segments_send(set), 0);
    check(4, 10);
}

static void a_full_socket_loses_nothing(void **state)
{
    (void)state;
    unsigned i = 0;
    host.full = true;
    while (!add(i, 1000))
        assert_true(++i <= SEGMENTS_COUNT);
    assert_int_equal(i, SEGMENTS_COUNT);
    assert_int_equal(add(i, 1000), -EAGAIN);
    assert_int_equal(segments_send(set), -EAGAIN);
    host.full = false;
    assert_int_equal(add(i, 1000), 0);
    assert_int_equal(segments_send(set), 0);
    check(SEGMENTS_COUNT + 1, 1000);
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
    for (unsigned i = 0; i < 1000; i++) {
        struct segments_shared *s = host.shared[0];
        uint64_t junk = i * 0x9e3779b97f4a7c15ull;
        s->segment = s->length = s->name_length = junk;
        s->state = i % 3 ? i % 4 : junk;
        s->error = 0;
        int error = add(i, 1 + i % 1400);
        assert_true(error == 0 || error == -EAGAIN);
        s->state = SEGMENTS_EMPTY;
    }
    host.shared[0]->state = SEGMENTS_EMPTY;
    host.count = 0;
    assert_int_equal(add(0, 77), 0);
    assert_int_equal(segments_send(set), 0);
    check(1, 77);
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
    set = segments_take();
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
    check(1, 10);
    segments_flush_all(); /* nothing is ready */
    assert_int_equal(host.count, 1);
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
        TEST(a_full_set_leaves_by_one_exit),
        TEST(after_quiet_one_leaves_at_once),
        TEST(another_kind_sends_what_is_there),
        TEST(who_sleeps_sends_his_own),
        TEST(the_monitor_may_be_first),
        TEST(a_full_socket_loses_nothing),
        TEST(errors_are_told_once),
        TEST(a_scribbling_host_changes_nothing_inside),
        TEST(a_host_that_refuses),
        TEST(without_room_in_the_arena_there_is_no_other_set),
        TEST(sets_are_given_back),
        TEST(in_the_child_of_fork_there_are_none), /* last: all sets are new */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writes gathered in extents, with the test in the place of the host: an honest one, and one that lies. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#include "abi/exits.h"
#include "abi/file.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/io/extents.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define LONG_AGO 0                   /* every use was */
#define NEVER_OLD (UINT64_MAX / 2)
#define FILES 12

static struct {
    struct extent_shared *shared[EXTENTS_MAX];
    unsigned opens, writes, violations;
    int refuse_open;
    bool no_room, stuck; /* in the arena; it does not write what it is told to */
    uint64_t file, offset, length; /* of the last write */
    char bytes[64];
} host;

static jmp_buf stopped;

/* ---- the enclave's surroundings; offsets in the arena are addresses here ---- */

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){offset};
}

uint64_t arena_pool_take(uint64_t size)
{
    static void *kept[EXTENTS_MAX]; /* never given back */
    static unsigned count;
    if (host.no_room)
        return 0;
    assert_true(count < ARRAY_SIZE(kept));
    return (uint64_t)(kept[count++] = calloc(1, size));
}

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
    l->held = 1; /* the enclave was stopped with it, or a lock is taken twice: which would not end */
}

uint64_t iovec_length(const struct iovec *v, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += v[i].iov_len;
    return sum;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)maximum, (void)a2, (void)a3, (void)a4, (void)a5;
    assert_true(a0 < EXTENTS_MAX);
    if (number == EXIT_EXTENT_OPEN) {
        host.opens++;
        host.shared[a0] = (struct extent_shared *)a1;
        host.shared[a0]->watched = 1;
        return host.refuse_open;
    }
    assert_int_equal(number, EXIT_EXTENT_WRITE);
    struct extent_shared *s = host.shared[a0];
    host.writes++;
    if (host.stuck)
        return 0;
    if (s->state == EXTENT_READY) {
        host.file = s->file;
        host.offset = s->offset;
        host.length = s->length;
        memcpy(host.bytes, (uint8_t *)s + EXTENT_DATA, sizeof host.bytes);
    }
    s->state = EXTENT_EMPTY;
    return 0;
}

/* A fault in a copy is answered as the enclave answers it. */
extern const char copy_begin[], copy_end[], copy_fault[];

static void fault(int number, siginfo_t *info, void *context)
{
    greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)info;
    if ((uint64_t)*rip < (uint64_t)copy_begin || (uint64_t)*rip >= (uint64_t)copy_end)
        signal(number, SIG_DFL);
    else
        *rip = (greg_t)copy_fault;
}

/* ---- tests ---- */

static struct extent_file files[FILES];

static int fresh(void **state)
{
    (void)state;
    extents_restart();
    memset(&host, 0, sizeof host);
    extents_start(NEVER_OLD);
    for (int i = 0; i < FILES; i++)
        files[i] = (struct extent_file){.host_fd = 10 + i, .device = 1, .inode = (uint64_t)i + 1};
    return 0;
}

static int64_t write_at(struct extent_file *f, int64_t offset, const char *text)
{
    struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
    return extent_write(f, offset, &v, 1);
}

static void what_adjoins_leaves_as_one(void **state)
{
    (void)state;
    assert_int_equal(write_at(&files[0], 100, "gathered "), 9);
    assert_int_equal(write_at(&files[0], 109, "writes"), 6);
    assert_int_equal(write_at(&files[0], 109, "WRITES!"), 7); /* over what is there */
    assert_int_equal(host.writes, 0);
    assert_int_equal(order.waiting, 1);
    extents_write_out();
    assert_int_equal(host.writes, 1);
    assert_int_equal(host.file, 10);
    assert_int_equal(host.offset, 100);
    assert_int_equal(host.length, 16);
    assert_memory_equal(host.bytes, "gathered WRITES!", 16);
    assert_int_equal(order.waiting, 0);
    extents_write_out();
    assert_int_equal(host.writes, 1);
}

static void what_does_not_adjoin_sends_what_is_there(void **state)
{
    (void)state;
    static const int64_t elsewhere[] = {99, 105, -1};
    for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
        unsigned writes = host.writes;
        assert_int_equal(write_at(&files[0], 100, "four"), 4);
        assert_int_equal(write_at(&files[0], elsewhere[i], "next"), 4);
        assert_int_equal(host.writes, writes + 1);
        assert_int_equal(host.offset, 100);
        assert_int_equal(host.length, 4);
        extents_write_out();
        assert_int_equal(host.offset, elsewhere[i] < 0 ? EXTENT_AT_POSITION : (uint64_t)elsewhere[i]);
    }
    write_at(&files[0], -1, "append ");
    write_at(&files[0], -1, "append");
    write_at(&files[0], 0, "x");
    assert_int_equal(host.offset, EXTENT_AT_POSITION);
    assert_int_equal(host.length, 13);
    extents_write_out();
}

static void an_extent_ends_where_its_size_does(void **state)
{
    (void)state;
    char text[] = "0123456789";
    const int64_t at = EXTENT_BYTES - 4;
    struct iovec v[] = {{text, 3}, {text, 0}, {text + 3, 7}};
    assert_int_equal(extent_write(&files[0], at, v, 3), 10);
    assert_int_equal(host.writes, 1); /* full */
    assert_int_equal(host.offset, at);
    assert_int_equal(host.length, 4);
    assert_memory_equal(host.bytes, "0123", 4);
    extents_write_out();
    assert_int_equal(host.offset, EXTENT_BYTES);
    assert_int_equal(host.length, 6);
    assert_memory_equal(host.bytes, "456789", 6);
}

static void where_nobody_watches_it_leaves_at_once(void **state)
{
    (void)state;
    write_at(&files[0], 0, "a");
    host.shared[0]->watched = 0;
    write_at(&files[0], 1, "b");
    assert_int_equal(host.writes, 1);
    assert_int_equal(host.length, 2);
}

static void the_host_may_be_first(void **state)
{
    (void)state;
    write_at(&files[0], 0, "abc");
    host.shared[0]->state = EXTENT_EMPTY; /* it has written it */
    write_at(&files[0], 3, "de");
    extents_write_out();
    assert_int_equal(host.writes, 1);
    assert_int_equal(host.offset, 3);
    assert_int_equal(host.length, 2);
    write_at(&files[0], 0, "abc");
    host.shared[0]->state = EXTENT_EMPTY;
    extents_write_out();
    assert_int_equal(host.writes, 1);
    write_at(&files[0], 0, "abc");
    host.shared[0]->state = EXTENT_WRITING; /* it is at it: the exit waits for the end */
    write_at(&files[0], 3, "de");
    assert_int_equal(host.writes, 2);
    extents_write_out();
    assert_int_equal(host.length, 2);
}

static void late_errors_are_told_once_to_their_file(void **state)
{
    (void)state;
    write_at(&files[0], 0, "abc");
    write_at(&files[1], 0, "abc");
    host.shared[0]->error = ENOSPC;
    extents_write_out();
    assert_int_equal(extent_error(&files[1]), 0);
    assert_int_equal(extent_error(&files[0]), -ENOSPC);
    assert_int_equal(extent_error(&files[0]), 0);
    write_at(&files[0], 0, "abc");
    host.shared[0]->error = 512; /* none that Linux has */
    extents_write_out();
    assert_int_equal(extent_error(&files[0]), -EIO);
    assert_int_equal(host.violations, 1);
}

static void one_file_has_one_extent(void **state)
{
    (void)state;
    struct extent_file same = {.host_fd = 50, .device = 1, .inode = 1};
    write_at(&files[0], 0, "abc");
    write_at(&same, 3, "def"); /* takes over what the other has gathered */
    assert_int_equal(host.opens, 1);
    assert_int_equal(host.writes, 1);
    assert_int_equal(host.file, 10);
    extent_settle(1, 2); /* of another file */
    extent_settle(2, 1);
    assert_int_equal(host.writes, 1);
    extent_settle(1, 1);
    assert_int_equal(host.writes, 2);
    assert_int_equal(host.file, 50);
    extent_settle(1, 1); /* nothing waits at all */
    assert_int_equal(host.writes, 2);
    extent_release(&files[0]); /* it is not its own any more */
    write_at(&same, 6, "ghi");
    extent_release(&same);
    assert_int_equal(host.writes, 3);
    extent_release(&same);
    assert_int_equal(host.writes, 3);
}

static void a_ninth_file_gets_what_is_not_in_use(void **state)
{
    (void)state;
    for (int i = 0; i < EXTENTS_MAX; i++)
        assert_int_equal(write_at(&files[i], 0, "abc"), 3);
    assert_int_equal(write_at(&files[8], 0, "abc"), -EAGAIN);
    extents_start(LONG_AGO);
    assert_int_equal(write_at(&files[8], 0, "abc"), 3); /* of the file that was used longest ago */
    assert_int_equal(host.file, 10);
    extents_start(NEVER_OLD);
    extent_release(&files[3]);
    assert_int_equal(write_at(&files[9], 0, "abc"), 3);
    assert_int_equal(host.opens, EXTENTS_MAX);
}

static void memory_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    const struct sigaction act = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    struct iovec v[] = {{(void *)16, 8}, {(void *)16, 8}};
    sigaction(SIGSEGV, &act, NULL);
    char text[] = "0123456";
    assert_int_equal(extent_write(&files[0], 0, v, 1), -EFAULT);
    assert_int_equal(order.waiting, 0); /* nothing was gathered */
    v[0] = (struct iovec){text, 7};
    assert_int_equal(extent_write(&files[0], 0, v, 2), 7);
    extents_write_out();
    assert_int_equal(host.length, 7);
}

static void without_room_there_is_none(void **state)
{
    (void)state;
    host.refuse_open = -ENOMEM;
    assert_int_equal(write_at(&files[0], 0, "abc"), -EAGAIN);
    host.refuse_open = 0;
    assert_int_equal(write_at(&files[0], 0, "abc"), -EAGAIN); /* it is not asked again */
    assert_int_equal(host.opens, 1);
}

/* Before all others: a place once had is kept. */
static void without_room_in_the_arena_neither(void **state)
{
    (void)state;
    host.no_room = true;
    assert_int_equal(write_at(&files[0], 0, "abc"), -EAGAIN);
    host.no_room = false;
    assert_int_equal(write_at(&files[0], 0, "abc"), 3);
    extent_release(&files[0]);
}

static void a_host_that_does_not_write_stops_the_enclave(void **state)
{
    (void)state;
    for (volatile int way = 0; way < 2; way++) {
        fresh(NULL);
        write_at(&files[0], 0, "abc");
        host.stuck = true;
        host.shared[0]->state = EXTENT_WRITING;
        if (!setjmp(stopped)) {
            if (way)
                extents_write_out();
            else
                write_at(&files[0], 3, "def");
            fail_msg("an extent that stays as it is is believed (%d)", way);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_room_in_the_arena_neither),
        TEST(what_adjoins_leaves_as_one),
        TEST(what_does_not_adjoin_sends_what_is_there),
        TEST(an_extent_ends_where_its_size_does),
        TEST(where_nobody_watches_it_leaves_at_once),
        TEST(the_host_may_be_first),
        TEST(late_errors_are_told_once_to_their_file),
        TEST(one_file_has_one_extent),
        TEST(a_ninth_file_gets_what_is_not_in_use),
        TEST(memory_that_cannot_be_read_is_an_error),
        TEST(a_host_that_does_not_write_stops_the_enclave), /* leaves locks taken */
        TEST(without_room_there_is_none),                   /* last: it stays so */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Exits, with the test in the place of the host: what it is told, what it may answer, and what goes before and along. */
#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/arena.h"
#include "abi/exits.h"
#include "abi/stats.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/backtrace.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/order.h"
#include "enclave/entry/entry.h"
#include "enclave/io/flush.h"
#include "enclave/io/segments.h"
#include "enclave/io/uring.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"

#define THREADS 2

static struct thread_block block[THREADS];
static uint64_t arena[THREADS][ARENA_THREAD_SIZE / 8];
static struct statistics statistics;
static jmp_buf ended;

static struct {
    unsigned exits, ends, written, given_up, submitted, xsk_asked;
    struct exit_slot told; /* at the last exit */
    int64_t result;
    uint64_t signals;
    char line[ARENA_LOG_SIZE + 1]; /* shown last */
    bool waited_at_exit;           /* something that was to go first had not gone */
    bool xsk_waits, segments_wait;
} host;

/* ---- the enclave's surroundings ---- */

struct untrusted arena_at(uint64_t offset) { return (struct untrusted){(uint64_t)arena + offset}; }
struct untrusted arena_statistics(void) { return (struct untrusted){(uint64_t)&statistics}; }
bool backtrace_allowed(void) { return false; }

uint32_t backtrace_own(uint64_t rip, uint64_t rbp)
{
    (void)rip, (void)rbp;
    return 0;
}

bool xsk_put_off(void)
{
    host.xsk_asked++;
    return host.xsk_waits;
}

bool segments_put_off(void) { return host.segments_wait; }
void uring_flush(void) { host.submitted++; }
void xsk_flush(void) {}
void segments_flush(void) {}
void xsk_flush_all(void) {}
void segments_flush_all(void) {}

static void act_as(unsigned thread) { syscall(SYS_arch_prctl, ARCH_SET_GS, &block[thread]); }

/* ---- the host ---- */

void enclave_leave(void)
{
    struct exit_slot *s = (struct exit_slot *)thread_block()->slot_address;
    host.exits++;
    host.told = *s;
    host.waited_at_exit = order.waiting || order.held;
    if (s->number == EXIT_LOG) {
        memcpy(host.line, (const char *)arena + s->argument[1], s->argument[2]);
        host.line[s->argument[2]] = 0;
    }
    if (s->number == EXIT_PROCESS_END && ++host.ends == 3) /* it comes back twice */
        longjmp(ended, 1);
    s->result = (uint64_t)host.result;
    s->signals = host.signals;
}

_Noreturn void enclave_leave_for_good(void)
{
    host.told = *(struct exit_slot *)thread_block()->slot_address;
    longjmp(ended, 1);
}

static void write_out(void)
{
    host.written++;
    order.waiting = 0;
}

static void give_up(void)
{
    host.given_up++;
    order.held = 0;
}

static int fresh(void **state)
{
    (void)state;
    memset(&host, 0, sizeof host);
    memset(arena, 0, sizeof arena);
    order = (struct order){.write_out = write_out, .give_up = give_up};
    for (unsigned i = 0; i < THREADS; i++)
        block[i] = (struct thread_block){.self = &block[i], .slot_address = (uint64_t)arena[i],
                                         .bounce_address = (uint64_t)arena[i] + ARENA_BOUNCE_OFFSET};
    act_as(0);
    return 0;
}

/* ---- tests ---- */

static void the_host_is_told_all(void **state)
{
    (void)state;
    static const uint64_t arguments[] = {2, 3, UINT64_MAX, 5, 6, 7};
    host.result = -EBADF;
    assert_int_equal(exit_call(SYS_fsync, EXIT_TERMINAL_SIGNALS_BLOCKED, 2, 3, UINT64_MAX, 5, 6, 7), -EBADF);
    assert_int_equal(host.told.number, SYS_fsync);
    assert_int_equal(host.told.flags, EXIT_TERMINAL_SIGNALS_BLOCKED);
    assert_memory_equal(host.told.argument, arguments, sizeof arguments);
    host.result = INT64_MIN; /* whatever it is: who calls checks it */
    assert_int_equal(exit_call(SYS_fsync, 0, 0, 0, 0, 0, 0, 0), INT64_MIN);
}

static void the_next_exit_takes_along_what_waits(void **state)
{
    (void)state;
    static const struct {
        uint64_t number, flags;
    } next[] = {{SYS_ppoll, EXIT_INTERRUPTIBLE}, {EXIT_PARK, EXIT_INTERRUPTIBLE}, {EXIT_CLOCK, 0},
                {SYS_read, EXIT_INTERRUPTIBLE | EXIT_TERMINAL_SIGNALS_BLOCKED}};
    for (size_t i = 0; i < ARRAY_SIZE(next); i++) {
        exit_flush_along();
        exit_flush_along();
        exit_call(next[i].number, next[i].flags, 0, 0, 0, 0, 0, 0);
        assert_int_equal(host.told.flags, next[i].flags | EXIT_FLUSH);
        exit_call(next[i].number, next[i].flags, 0, 0, 0, 0, 0, 0);
        assert_int_equal(host.told.flags, next[i].flags); /* once */
    }
}

/* An exit that is not made, as a signal has come, has taken nothing along. */
static void what_waits_goes_with_an_exit_that_is_made(void **state)
{
    (void)state;
    exit_flush_along();
    block[0].pending = TB_PENDING_SIGNAL;
    assert_int_equal(exit_call(SYS_ppoll, EXIT_INTERRUPTIBLE, 0, 0, 0, 0, 0, 0), -EINTR);
    assert_int_equal(host.exits, 0);
    exit_call(SYS_write, 0, 0, 0, 0, 0, 0, 0); /* this one does not wait, pending or not */
    assert_int_equal(host.exits, 1);
    assert_int_equal(host.told.flags, EXIT_FLUSH);
}

static void another_thread_does_not_take_it(void **state)
{
    (void)state;
    exit_flush_along();
    act_as(1);
    exit_call(SYS_ppoll, EXIT_INTERRUPTIBLE, 0, 0, 0, 0, 0, 0);
    assert_int_equal(host.told.flags, EXIT_INTERRUPTIBLE);
    act_as(0);
    exit_call(SYS_ppoll, EXIT_INTERRUPTIBLE, 0, 0, 0, 0, 0, 0);
    assert_int_equal(host.told.flags, EXIT_INTERRUPTIBLE | EXIT_FLUSH);
}

/* Where something was put off, and only there. What is in the io_uring goes now, unless the thread sleeps in that. */
static void who_is_about_to_sleep_has_it_taken_along(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        bool ring = i & 4;
        host.xsk_waits = i & 1;
        host.segments_wait = i & 2;
        host.submitted = host.xsk_asked = 0;
        if (ring)
            io_flush_along_for_ring();
        else
            io_flush_along();
        assert_int_equal(host.submitted, !ring);
        assert_int_equal(host.xsk_asked, 1); /* they count as put off from then on */
        exit_call(SYS_ppoll, EXIT_INTERRUPTIBLE, 0, 0, 0, 0, 0, 0);
        assert_int_equal(host.told.flags, i & 3 ? EXIT_INTERRUPTIBLE | EXIT_FLUSH : EXIT_INTERRUPTIBLE);
    }
    assert_int_equal(host.exits, 8);
}

static void what_was_accepted_goes_before(void **state)
{
    (void)state;
    static const uint64_t seen[] = {SYS_write, SYS_futex, EXIT_FORK, EXIT_SIGNAL, EXIT_STOP, EXIT_XSK_KICK,
                                    EXIT_SEGMENTS_SEND, EXIT_PORT, EXIT_TITLE, EXIT_BASE + EXIT_COUNT, UINT64_MAX};
    static const uint64_t hidden[] = {SYS_sched_yield, EXIT_PARK, EXIT_PAGES, EXIT_LOG, EXIT_EXTENT_WRITE,
                                      EXIT_COMMON};
    for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
        order.waiting = order.held = order.watching = 1;
        uint64_t exits = order.exits;
        uint32_t generation = order.generation;
        assert_false(exit_hidden(seen[i]));
        exit_call(seen[i], 0, 0, 0, 0, 0, 0, 0);
        assert_false(host.waited_at_exit);
        assert_int_equal(order.exits, exits + 1); /* it may have brought news */
        assert_int_equal(order.generation, generation + 1);
    }
    assert_int_equal(host.written, ARRAY_SIZE(seen));
    assert_int_equal(host.given_up, ARRAY_SIZE(seen));
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
        order.waiting = order.held = 1;
        uint64_t exits = order.exits;
        exit_call(hidden[i], 0, 0, 0, 0, 0, 0, 0);
        assert_true(host.waited_at_exit);
        assert_int_equal(order.exits, exits);
    }
    assert_int_equal(host.written, ARRAY_SIZE(seen));
    host.signals = 1;
    uint64_t exits = order.exits;
    exit_call(EXIT_PARK, 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(order.exits, exits + 1); /* a signal is news */
}

/* Writing out takes exits of its own: the look at signals comes after. */
static void write_out_and_be_interrupted(void)
{
    write_out();
    block[0].pending = TB_PENDING_SIGNAL;
}

static void a_signal_that_comes_meanwhile_finds_nobody_asleep(void **state)
{
    (void)state;
    order.waiting = 1;
    order.write_out = write_out_and_be_interrupted;
    assert_int_equal(exit_call(SYS_ppoll, EXIT_INTERRUPTIBLE, 0, 0, 0, 0, 0, 0), -EINTR);
    assert_int_equal(host.exits, 0);
}

static void signals_are_kept_for_the_thread(void **state)
{
    (void)state;
    static const struct signal_note note = {.code_and_pid = 1, .uid_and_status = 2, .value = 3};
    host.signals = 1ull << 9;
    exit_call(SYS_getpid, 0, 0, 0, 0, 0, 0, 0);
    host.signals = 1ull << 63;
    exit_call(SYS_getpid, 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(block[0].host_signals, 1ull << 9 | 1ull << 63);
    assert_int_equal(block[0].pending, TB_PENDING_SIGNAL);
    assert_int_equal(block[1].host_signals, 0);
    memcpy((char *)arena[0] + SIGNAL_NOTES_OFFSET + 9 * sizeof note, &note, sizeof note);
    struct signal_note got = exit_signal_note(10);
    assert_memory_equal(&got, &note, sizeof note);
}

static void only_what_can_be_is_believed(void **state)
{
    (void)state;
    static const struct {
        int64_t result;
        uint64_t maximum;
        bool can;
    } table[] = {
        {0, 0, true},           {1, 0, false},          {10, 10, true},         {11, 10, false},
        {-1, 0, true},          {-4095, 0, true},       {-4096, 0, false},      {INT64_MIN, UINT64_MAX, false},
        {INT64_MAX, INT64_MAX, true}, {INT64_MAX, INT64_MAX - 1, false}, {-1, UINT64_MAX, true},
    };
    volatile uint64_t violations = statistics.violations;
    for (volatile size_t i = 0; i < ARRAY_SIZE(table); i++) {
        host.result = table[i].result;
        host.ends = 0;
        if (setjmp(ended)) {
            assert_false(table[i].can);
            violations++;
            continue;
        }
        assert_int_equal(exit_checked(SYS_read, 0, table[i].maximum, 0, 0, 0, 0, 0, 0), table[i].result);
        assert_true(table[i].can);
    }
    assert_int_equal(statistics.violations, violations);
}

static void a_violation_ends_the_process_and_says_why(void **state)
{
    (void)state;
    uint64_t before = statistics.violations;
    if (!setjmp(ended)) {
        host.result = 0; /* of the end, too: it goes on asking for it */
        violation("%s is %d", "this", 77);
        fail();
    }
    assert_int_equal(host.told.number, EXIT_PROCESS_END);
    assert_int_equal(host.told.argument[0], 6); /* SIGABRT */
    assert_string_equal(host.line, "the host broke the protocol: this is 77");
    assert_int_equal(statistics.violations, before + 1);
}

static void a_line_is_shown_as_far_as_there_is_room(void **state)
{
    (void)state;
    static char line[ARENA_LOG_SIZE + 100];
    memset(line, 'a', sizeof line);
    exit_log(LOG_WARNING, line, sizeof line);
    assert_int_equal(host.told.argument[0], LOG_WARNING);
    assert_int_equal(strlen(host.line), ARENA_LOG_SIZE);
    act_as(1);
    exit_log(LOG_ERROR, "short", 5);
    assert_string_equal(host.line, "short");
}

static void a_thread_ends(void **state)
{
    (void)state;
    exit_call(SYS_ppoll, EXIT_INTERRUPTIBLE, 0, 0, 0, 0, 0, 0);
    if (!setjmp(ended)) {
        exit_thread();
        fail();
    }
    assert_int_equal(host.told.number, EXIT_THREAD_END);
    assert_int_equal(host.told.flags, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_host_is_told_all),
        TEST(the_next_exit_takes_along_what_waits),
        TEST(what_waits_goes_with_an_exit_that_is_made),
        TEST(another_thread_does_not_take_it),
        TEST(who_is_about_to_sleep_has_it_taken_along),
        TEST(what_was_accepted_goes_before),
        TEST(a_signal_that_comes_meanwhile_finds_nobody_asleep),
        TEST(signals_are_kept_for_the_thread),
        TEST(only_what_can_be_is_believed),
        TEST(a_violation_ends_the_process_and_says_why),
        TEST(a_line_is_shown_as_far_as_there_is_room),
        TEST(a_thread_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

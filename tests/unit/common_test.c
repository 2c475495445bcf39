/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that processes have in common. Whatever the host does, what a process reads is what one of them wrote at that
 * place, and nothing older than what it has seen; else it stops.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/os/common.h"
#include "enclave/os/process.h"
#include "enclave/os/shared.h"
#include "enclave/os/syscalls.h"
#include "tests/unit/common_world.h"

/* ---- what keeps to the protocol ---- */

static void nothing_is_common_before_a_fork(void **state)
{
    (void)state;
    assert_false(common_any());
    assert_false(common_has(address(0)));
    assert_int_equal(common_fault(address(0), PROT_READ), -1);
    assert_int_equal(common_end_of(address(0)), address(0));
    assert_int_equal(common_next(address(0), address(PAGES)), address(PAGES));
    assert_false(common_bring(address(0), PAGES * PAGE));
}

static void both_find_what_was_written_before(void **state)
{
    (void)state;
    fill(3, 0);
    unsigned child = child_make();
    assert_int_equal(world.released, 1);
    assert_int_equal(world.woken_inside, 16);
    for (uint64_t p = 0; p < 18; p++) {
        if (p == 8 || p == 9)
            continue;
        assert_int_equal(have(child, LOOK, p, 0), p == 3 ? 0 : p);
        assert_int_equal(look(p), p == 3 ? 0 : p);
    }
    assert_int_equal(look(8), 8);
    assert_int_equal(world.warnings + world.errors, 0);
    for (size_t i = 0; i < PAGE; i++) /* where they were made ready */
        assert_int_equal(world.program[PAGES * PAGE + i], 0);
}

static void what_one_writes_the_other_finds(void **state)
{
    (void)state;
    unsigned child = child_make();
    for (uint64_t i = 100; i < 140; i++) {
        assert_int_equal(i % 3 ? fill(5, i) : have(child, FILL, 5, i), 0);
        assert_int_equal(have(child, LOOK, 5, 0), i);
        assert_int_equal(world.usable[5], PROT_NONE); /* it is with one of them */
        assert_int_equal(look(5), i);
    }
    assert_true(host->waits > 0);
    assert_int_equal(thread_block()->pending, TB_PENDING_SIGNAL); /* what came while it waited is not missed */
}

static void three_count_together(void **state)
{
    (void)state;
    unsigned a = child_make(), b = child_make();
    fill(0, 0);
    for (uint64_t i = 0; i < 60; i += 3) {
        assert_int_equal(look(0), i);
        fill(0, i + 1);
        assert_int_equal(have(a, LOOK, 0, 0), i + 1);
        have(a, FILL, 0, i + 2);
        assert_int_equal(have(b, LOOK, 0, 0), i + 2);
        have(b, FILL, 0, i + 3);
    }
    assert_int_equal(look(0), 60);
}

static void take_the_childs(void)
{
    world.on_wait = NULL;
    assert_int_equal(look(1), 10);
}

static void two_that_wait_for_each_other_both_get_theirs(void **state)
{
    (void)state;
    unsigned child = child_make();
    fill(2, 20);
    have(child, FILL, 1, 10);
    world.on_wait = take_the_childs;
    assert_int_equal(have(child, LOOK, 2, 0), 20);
}

static void only_memory_for_sharing_is_common(void **state)
{
    (void)state;
    static struct shared named = {.used = true}, nameless;
    world.area_count = 0;
    area_add(0, 2, RW, false);
    area_add(2, 2, RW, true);
    world.areas[1].kind = AREA_COHERENT;
    area_add(4, 2, RW, true);
    world.areas[2].shared = &named;
    area_add(6, 2, RW, true);
    world.areas[3].shared = &nameless;
    common_before_fork();
    for (uint64_t p = 0; p < 8; p++) {
        assert_int_equal(common_has(address(p)), p >= 6);
        assert_int_equal(world.usable[p], p >= 6 ? PROT_NONE : RW);
        assert_int_equal(look(p), p);
    }
}

static void what_was_never_used_costs_no_page(void **state)
{
    (void)state;
    world.areas[0].used = false;
    for (uint64_t p = 0; p < 8; p++)
        set(p, PROT_NONE);
    unsigned child = child_make();
    assert_int_equal(host->gives, 8); /* of the other area */
    assert_int_equal(have(child, LOOK, 2, 0), 0);
    assert_int_equal(look(2), 0);
}

static void an_access_that_is_not_allowed_is_refused(void **state)
{
    (void)state;
    world.areas[0].protection = PROT_READ;
    world.areas[1].protection = PROT_NONE;
    for (uint64_t p = 10; p < 18; p++)
        set(p, PROT_NONE);
    unsigned child = child_make();
    assert_int_equal(fill(1, 9), FAULT + SEGV_ACCERR);
    assert_int_equal(look(1), 1);
    assert_int_equal(world.usable[1], PROT_READ);
    assert_int_equal(look(11), FAULT + SEGV_ACCERR);
    common_protect(address(11), address(13), RW);
    assert_int_equal(look(11), 11);
    assert_int_equal(fill(12, 99), 0);
    assert_int_equal(have(child, LOOK, 11, 0), FAULT + SEGV_ACCERR); /* there it is as it was */
    have(child, PROTECT, 12, PROT_READ);
    assert_int_equal(have(child, LOOK, 12, 0), 99);
    assert_int_equal(have(child, FILL, 12, 1), FAULT + SEGV_ACCERR);
    assert_int_equal(fill(12, 98), 0);
    common_protect(address(12), address(13), PROT_READ); /* while it is here, and written to */
    assert_int_equal(fill(12, 97), FAULT + SEGV_ACCERR);
    assert_int_equal(look(12), 98);
    common_protect(address(12), address(13), PROT_WRITE);
    assert_int_equal(fill(12, 96), 0);
    common_protect(address(12), address(13), PROT_READ);
    assert_int_equal(look(12), 96);
}

static void a_page_that_has_come_stays_a_moment(void **state)
{
    (void)state;
    child_make();
    world.tick = 1ull << 50;
    look(4);
    outside(4)->wanted = 1;
    common_serve();
    assert_int_equal(outside(4)->holder, world.me);
    assert_int_equal(world.usable[4], RW);
    common_forget(address(4), address(5)); /* what the program does counts more */
    assert_int_equal(outside(4)->holder, 0);
}

static void other_threads_do_not_write_while_it_goes(void **state)
{
    (void)state;
    unsigned child = child_make();
    process.threads_live = 2; /* checked by machine() */
    fill(6, 60);
    assert_int_equal(have(child, LOOK, 6, 0), 60);
    common_protect(address(6), address(7), PROT_NONE);
    fill(7, 70);
    common_forget(address(7), address(8));
    assert_int_equal(have(child, LOOK, 7, 0), 70);
}

static void a_part_can_go(void **state)
{
    (void)state;
    unsigned child = child_make();
    fill(2, 20);
    fill(3, 30);
    common_forget(address(2), address(4));
    assert_int_equal(common_fault(address(2), PROT_READ), -1);
    assert_false(common_has(address(3)));
    assert_int_equal(common_end_of(address(0)), address(2));
    assert_int_equal(common_next(address(2), address(PAGES)), address(4));
    assert_int_equal(common_next(address(2), address(3)), address(3));
    assert_int_equal(common_end_of(address(4)), address(8));
    assert_int_equal(common_next(address(8), address(PAGES)), address(10));
    assert_int_equal(look(1), 1);
    assert_int_equal(have(child, LOOK, 2, 0), 20); /* nothing of it is lost */
    assert_int_equal(have(child, LOOK, 3, 0), 30);
    assert_int_equal(have(child, FILL, 1, 10), 0);
    assert_int_equal(look(1), 10);
    common_forget(address(0), address(8));
    assert_true(common_any());
    assert_int_equal(have(child, LOOK, 1, 0), 10);
    have(child, FORGET, 0, 18);
    assert_int_equal(look(12), 12);
}

static void what_else_is_mapped_there_is_none_of_it(void **state)
{
    (void)state;
    child_make();
    common_forget(address(2), address(4));
    common_forget(address(7), address(8));
    world.areas[0].sharing = false;
    unsigned child = child_make();
    for (uint64_t p = 0; p < 8; p++)
        assert_int_equal(have(child, LOOK, p, 0), p == 2 || p == 3 || p == 7 ? WORLD_JUNK : p);
}

/* Something else is mapped there, and shared by another fork. */
static void numbers_of_regions_are_used_again(void **state)
{
    (void)state;
    unsigned first = child_make();
    common_forget(address(0), address(8));
    for (uint64_t p = 0; p < 8; p++) {
        set(p, RW);
        fill(p, 50 + p);
    }
    unsigned second = child_make();
    assert_int_equal(host->regions, 3);
    for (size_t i = 2; i < COMMON_REGIONS; i++)
        assert_null(world.known[i]);
    for (uint64_t p = 0; p < 8; p++) {
        assert_int_equal(have(second, LOOK, p, 0), 50 + p);
        assert_int_equal(have(first, LOOK, p, 0), p); /* it has what was there before */
    }
    have(second, FILL, 0, 77);
    assert_int_equal(look(0), 77);
    assert_int_equal(have(first, LOOK, 0, 0), 0);
}

static void a_second_fork_makes_common_what_is_new(void **state)
{
    (void)state;
    unsigned first = child_make();
    fill(1, 15);
    area_add(20, 2, RW, true);
    unsigned second = child_make();
    assert_int_equal(host->regions, 3);
    assert_int_equal(have(second, LOOK, 1, 0), 15);
    assert_int_equal(have(second, LOOK, 21, 0), 21);
    assert_int_equal(have(second, FILL, 21, 5), 0);
    assert_int_equal(look(21), 5);
    have(first, FILL, 1, 16);
    assert_int_equal(have(second, LOOK, 1, 0), 16);
}

static void who_ends_leaves_all_to_the_others(void **state)
{
    (void)state;
    unsigned child = child_make();
    for (uint64_t p = 0; p < 8; p++)
        have(child, FILL, p, 100 + p);
    have(child, END, 0, 0);
    assert_int_equal(child_ends(child, LEAVE, 0), 0);
    for (uint64_t p = 0; p < 8; p++)
        assert_int_equal(look(p), 100 + p);
    assert_int_equal(world.warnings, 0);
}

static void who_has_ended_gets_no_page(void **state)
{
    (void)state;
    unsigned child = child_make();
    have(child, END, 0, 0);
    assert_int_equal(child_ends(child, LOOK, 0), PARKED);
    assert_int_equal(outside(0)->holder, 0);
}

static void who_is_killed_loses_what_he_changed_last(void **state)
{
    (void)state;
    unsigned child = child_make();
    have(child, FILL, 0, 100);
    look(0);
    have(child, FILL, 0, 101);
    assert_int_equal(child_ends(child, KILL, 0), -SIGKILL);
    host->take_lies = true; /* no lie */
    host->take_result = 1;
    assert_int_equal(look(0), 100);
    assert_int_equal(world.warnings, 1);
}

static void a_span_is_brought(void **state)
{
    (void)state;
    child_make();
    assert_true(common_bring(address(6) + 100, 5 * PAGE));
    for (uint64_t p = 0; p < 18; p++)
        assert_int_equal(world.usable[p] != PROT_NONE, (p >= 6 && p <= 11));
    assert_false(common_bring(address(8), 2 * PAGE));
    assert_true(common_bring(address(6), 1)); /* it is here */
    assert_int_equal(look(11), 11);
}

/* ---- futexes ---- */

static void change_word(void)
{
    host->on_number = NULL;
    fill(0, 1);
    common_futex_wake(address(0), 1);
}

static void a_futex_is_waited_for_outside(void **state)
{
    (void)state;
    child_make();
    world.waits_done = 0;
    memset(world.wait_results, 0, sizeof world.wait_results);
    assert_int_equal(common_futex_wait(address(8), 8, UINT64_MAX), -EFAULT);
    assert_int_equal(common_futex_wait(address(1), 2, UINT64_MAX), -EAGAIN);
    assert_int_equal(common_futex_wake(address(8), 1), 0);
    assert_int_equal(common_futex_wake(address(1), 1), 1);
    assert_int_equal(common_futex_wake(address(1), 0), 0);
    /* It is woken between the number and the wait, by one who changed the word before: it does not sleep. */
    host->on_number = change_word;
    assert_int_equal(common_futex_wait(address(0), 0, UINT64_MAX), -EAGAIN);
    /* The same with a word that is as expected again. */
    fill(0, 1);
    host->on_number = change_word;
    assert_int_equal(common_futex_wait(address(0), 1, UINT64_MAX), 0);
    assert_int_equal(world.waited_ns, UINT64_MAX);
}

static void a_wait_for_a_futex_ends(void **state)
{
    (void)state;
    child_make();
    world.clock_ns = 1000;
    world.waits_done = 0;
    world.wait_results[0] = -EINTR; /* by nothing that the program takes */
    world.wait_results[1] = -ETIMEDOUT; /* a host whose clock is ahead */
    world.wait_results[2] = -EINVAL;
    assert_int_equal(common_futex_wait(address(1), 1, 5000), -EINVAL);
    assert_int_equal(world.waits_done, 3);
    assert_int_equal(world.waited_ns, 4000);
    world.waits_done = 0;
    world.wait_results[0] = -ETIMEDOUT;
    world.clock_ns = 6000;
    assert_int_equal(common_futex_wait(address(1), 1, 5000), -ETIMEDOUT);
    assert_int_equal(world.waited_ns, 1);
    world.signalled = true;
    assert_int_equal(common_futex_wait(address(1), 1, 5000), RESTART_NOHAND);
    assert_int_equal(common_futex_wait(address(1), 1, UINT64_MAX), RESTART_SYS);
    world.signalled = false;
    host->wake_lies = true;
    host->wake_result = 1000;
    assert_int_equal(common_futex_wake(address(1), 3), 3);
    host->wake_result = -EPERM;
    assert_int_equal(common_futex_wake(address(1), 3), 0);
}

/* ---- what the host sees ---- */

static void nothing_goes_in_the_clear(void **state)
{
    (void)state;
    const uint64_t secret = 0x1122334455667788;
    fill(0, secret);
    fill(1, secret);
    child_make();
    for (uint64_t p = 0; p < 2; p++)
        for (size_t i = 0; i < PAGE; i += 8) {
            uint64_t word;
            memcpy(&word, outside(p)->slot.bytes + i, sizeof word);
            assert_int_not_equal(word, secret);
        }
    assert_memory_not_equal(outside(0)->slot.bytes, outside(1)->slot.bytes, PAGE);
}

static void no_nonce_is_used_twice(void **state)
{
    (void)state;
    unsigned a = child_make(), b = child_make();
    for (uint64_t i = 0; i < 10; i++) {
        fill(0, i);
        have(a, FILL, 0, i);
        have(b, FILL, 0, i);
    }
    assert_true(host->gives > 30);
    for (unsigned i = 0; i < host->gives; i++)
        for (unsigned j = 0; j < i; j++)
            assert_memory_not_equal(&host->given[i], &host->given[j], sizeof host->given[i]);
}

/* ---- a host that does not keep to it ---- */

/* The page is nobody's, and its contents outside are these. */
static void put(uint64_t page, const struct common_slot *slot)
{
    *outside(page) = (struct host_page){.slot = *slot};
}

static struct common_slot kept(uint64_t page) { return outside(page)->slot; }

static void an_older_page_is_refused(void **state)
{
    (void)state;
    unsigned first = child_make();
    struct common_slot one = kept(4), zero = {.version = 0};
    fill(4, 44);
    common_protect(address(4), address(5), RW);
    struct common_slot two = kept(4);
    have(first, FILL, 4, 45);
    have(first, PROTECT, 4, RW);
    struct common_slot three = kept(4);
    put(4, &one);
    assert_int_equal(try(LOOK, 4, 0), VIOLATED);
    assert_int_equal(have(first, TRY_LOOK, 4, 0), VIOLATED);
    put(4, &zero);
    assert_int_equal(try(LOOK, 4, 0), VIOLATED);
    put(4, &two); /* what it has not yet heard of can be held back, but only from it */
    assert_int_equal(try(LOOK, 4, 0), 44);
    assert_int_equal(have(first, TRY_LOOK, 4, 0), VIOLATED);
    put(4, &three);
    assert_int_equal(look(4), 45);
    unsigned second = child_make(); /* knows what its parent did */
    put(4, &three);
    assert_int_equal(try(LOOK, 4, 0), VIOLATED); /* it gave it since, unchanged */
    assert_int_equal(have(second, TRY_LOOK, 4, 0), VIOLATED);
}

static void a_page_of_another_place_is_refused(void **state)
{
    (void)state;
    unsigned child = child_make();
    struct common_slot three = kept(3), four = kept(4), thirteen = kept(13);
    assert_int_equal(three.version, four.version);
    assert_int_equal(three.version, thirteen.version);
    put(3, &four);
    put(4, &three);
    assert_int_equal(try(LOOK, 3, 0), VIOLATED);
    assert_int_equal(have(child, TRY_LOOK, 4, 0), VIOLATED);
    put(3, &thirteen);
    put(13, &three);
    assert_int_equal(try(LOOK, 3, 0), VIOLATED);
    assert_int_equal(have(child, TRY_LOOK, 13, 0), VIOLATED);
    put(3, &three);
    assert_int_equal(look(3), 3);
}

/* Of a region that was there before, by the same number. */
static void a_page_of_another_time_is_refused(void **state)
{
    (void)state;
    child_make();
    struct common_slot before = kept(4);
    common_forget(address(0), address(8));
    for (uint64_t p = 0; p < 8; p++) {
        set(p, RW);
        fill(p, 50 + p);
    }
    child_make();
    struct common_slot after = kept(4);
    assert_int_equal(before.version, after.version);
    put(4, &before);
    assert_int_equal(try(LOOK, 4, 0), VIOLATED);
    put(4, &after);
    assert_int_equal(try(LOOK, 4, 0), 54);
}

static void a_page_of_a_strangers_is_refused(void **state)
{
    (void)state;
    child_make();
    fill(4, 44);
    common_protect(address(4), address(5), RW);
    put(4, of_another_key(4));
    assert_int_equal(outside(4)->slot.version, 3);
    assert_int_equal(try(LOOK, 4, 0), VIOLATED);
}

static void what_was_changed_outside_is_refused(void **state)
{
    (void)state;
    unsigned child = child_make();
    struct common_slot right = kept(4);
    for (size_t i = 0; i < sizeof right; i += i < offsetof(struct common_slot, bytes) ? 1 : 97) {
        struct common_slot wrong = right;
        bool covered = i < offsetof(struct common_slot, unused) || i >= offsetof(struct common_slot, bytes);
        ((uint8_t *)&wrong)[i] ^= 1;
        put(4, &wrong);
        assert_int_equal(try(LOOK, 4, 0), covered ? VIOLATED : 4);
    }
    struct common_slot wrong = right;
    wrong.bytes[PAGE - 1] ^= 0x80;
    put(4, &wrong);
    assert_int_equal(have(child, TRY_LOOK, 4, 0), VIOLATED);
    wrong = right;
    wrong.version++; /* not even if it is newer */
    put(4, &wrong);
    assert_int_equal(try(LOOK, 4, 0), VIOLATED);
    put(4, &right);
    assert_int_equal(look(4), 4);
}

static void only_pages_that_there_are_can_be_wanted(void **state)
{
    (void)state;
    static const uint64_t none[] = {8, 9, 1ull << 32, UINT64_MAX, UINT64_MAX / 16};
    child_make();
    look(2);
    host->wanted_count = 1;
    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        host->wanted[0] = none[i];
        assert_int_equal(try(SERVE, 0, 0), VIOLATED);
    }
    host->wanted_count = 2;
    host->wanted[0] = 7;
    host->wanted[1] = 8; /* one of them */
    assert_int_equal(try(SERVE, 0, 0), VIOLATED);
    static const int64_t counts[] = {COMMON_ANSWER + 1, INT64_MAX, -4096, INT64_MIN};
    memset(host->wanted, 0, sizeof host->wanted);
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        host->wanted_count = counts[i];
        assert_int_equal(try(SERVE, 0, 0), VIOLATED);
    }
    /* What is not here, what is gone, one twice, all that there is room for. */
    common_forget(address(5), address(6));
    host->wanted[0] = 2;
    host->wanted[1] = 2;
    host->wanted[2] = 3;
    host->wanted[3] = 5;
    host->wanted_count = COMMON_ANSWER;
    unsigned gives = host->gives;
    common_serve();
    assert_int_equal(host->gives, gives + 1);
    host->wanted_count = -EINVAL;
    common_serve();
    host->wanted_count = 0;
    assert_int_equal(look(2), 2);
    assert_int_equal(look(3), 3);
}

static void what_cannot_be_answered_is_refused(void **state)
{
    (void)state;
    static const int64_t results[] = {2, INT64_MAX, -4096, INT64_MIN};
    child_make();
    host->take_lies = true;
    for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
        host->take_result = results[i];
        assert_int_equal(try(LOOK, 4, 0), VIOLATED);
    }
    host->take_lies = false;
    world.known[0]->number[0] = 1u << 31; /* a number has 31 bits */
    assert_int_equal(try(WAIT_WORD, 0, 0), VIOLATED);
    world.known[0]->number[0] = 0;
    world.waits_done = 0;
    world.wait_results[0] = 1;
    assert_int_equal(try(WAIT_WORD, 0, 0), VIOLATED);
}

/* Without a page there is a fault, and the page is not believed to be here. */
static void a_host_that_refuses(void **state)
{
    (void)state;
    child_make();
    host->take_lies = true;
    host->take_result = -EIO;
    assert_int_equal(look(4), FAULT + SEGV_ACCERR);
    assert_false(common_bring(address(3), 2 * PAGE));
    assert_int_equal(common_futex_wait(address(4), 4, UINT64_MAX), -EFAULT);
    host->take_lies = false;
    host->move_result = -ENOMEM;
    assert_int_equal(look(4), FAULT + SEGV_ACCERR);
    assert_int_equal(world.errors, 1);
    host->move_result = 0;
    assert_int_equal(look(4), 4);
}

static void a_host_that_makes_nothing_common(void **state)
{
    (void)state;
    host->make_result = -ENOMEM;
    child_make();
    assert_int_equal(world.warnings, 2);
    assert_false(common_any());
    for (uint64_t p = 0; p < 18; p++)
        assert_int_equal(look(p), p); /* as it was */
    host->make_result = 0;
    unsigned child = child_make(); /* by the same numbers */
    assert_non_null(world.known[1]);
    have(child, FILL, 12, 99);
    assert_int_equal(look(12), 99);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_fresh, world_over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_common_before_a_fork),
        TEST(both_find_what_was_written_before),
        TEST(what_one_writes_the_other_finds),
        TEST(three_count_together),
        TEST(two_that_wait_for_each_other_both_get_theirs),
        TEST(only_memory_for_sharing_is_common),
        TEST(what_was_never_used_costs_no_page),
        TEST(an_access_that_is_not_allowed_is_refused),
        TEST(a_page_that_has_come_stays_a_moment),
        TEST(other_threads_do_not_write_while_it_goes),
        TEST(a_part_can_go),
        TEST(what_else_is_mapped_there_is_none_of_it),
        TEST(numbers_of_regions_are_used_again),
        TEST(a_second_fork_makes_common_what_is_new),
        TEST(who_ends_leaves_all_to_the_others),
        TEST(who_has_ended_gets_no_page),
        TEST(who_is_killed_loses_what_he_changed_last),
        TEST(a_span_is_brought),
        TEST(a_futex_is_waited_for_outside),
        TEST(a_wait_for_a_futex_ends),
        TEST(nothing_goes_in_the_clear),
        TEST(no_nonce_is_used_twice),
        TEST(an_older_page_is_refused),
        TEST(a_page_of_another_place_is_refused),
        TEST(a_page_of_another_time_is_refused),
        TEST(a_page_of_a_strangers_is_refused),
        TEST(what_was_changed_outside_is_refused),
        TEST(only_pages_that_there_are_can_be_wanted),
        TEST(what_cannot_be_answered_is_refused),
        TEST(a_host_that_refuses),
        TEST(a_host_that_makes_nothing_common),
    };
    return cmocka_run_group_tests(tests, world_start, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The rings of an io_uring, with the test in the place of the kernel: an honest one, and one that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/uring_ring.h"
#include "enclave/lib/lib.h"

#define SQ 8u
#define CQ 16u

/* As Linux 6.18 has them: four indices in two words. */
static struct {
    uint32_t sq_head, sq_tail, cq_head, cq_tail, sq_flags, other;
    uint64_t padding[5];
    struct {
        uint64_t user_data;
        int32_t result;
        uint32_t flags;
    } cqes[CQ];
} memory __attribute__((aligned(64)));
static uint64_t sqes[SQ][8];
static struct uring_ring ring;
static jmp_buf stopped;

void violation(const char *format, ...)
{
    (void)format;
    longjmp(stopped, 1);
}

static struct uring_setup setup(void)
{
    return (struct uring_setup){.sq_entries = SQ, .cq_entries = CQ, .ring_space = sizeof memory,
                                .sqes_space = sizeof sqes, .sq_head = 0, .sq_tail = 4, .cq_head = 8,
                                .cq_tail = 12, .sq_flags = 16, .cqes = offsetof(typeof(memory), cqes)};
}

static bool begin(const struct uring_setup *s)
{
    return uring_ring_start(&ring, (struct untrusted){(uint64_t)&memory}, (struct untrusted){(uint64_t)sqes}, s);
}

/* All indices at `at`. */
static int fresh_at(uint32_t at)
{
    struct uring_setup s = setup();
    memset(&memory, 0, sizeof memory);
    memset(sqes, 0, sizeof sqes);
    if (!begin(&s))
        return -1;
    memory.sq_head = memory.sq_tail = memory.cq_head = memory.cq_tail = at;
    ring.sq_own = ring.sq_other = ring.sq_shown = ring.cq_own = ring.cq_other = at;
    return 0;
}

static const uint32_t starts[] = {0, 1, 7, UINT32_MAX - 20, UINT32_MAX - 1, UINT32_MAX};

static void put(uint64_t number)
{
    uint64_t sqe[8];
    for (unsigned i = 0; i < 8; i++)
        sqe[i] = number + i;
    uring_ring_put(&ring, sqe);
}

static void sqes_are_seen_in_order_across_the_wrap(void **state)
{
    (void)state;
    for (unsigned t = 0; t < ARRAY_SIZE(starts); t++) {
        assert_int_equal(fresh_at(starts[t]), 0);
        uint64_t written = 0, taken = 0;
        for (int round = 0; round < 40; round++) {
            while (uring_ring_space(&ring))
                put(100 * written++);
            assert_int_equal(written - taken, SQ);
            uint32_t before = memory.sq_tail;
            assert_int_equal(before, (uint32_t)(starts[t] + (round ? written - 3 : 0)));
            uring_ring_show(&ring);
            assert_int_equal(memory.sq_tail, (uint32_t)(starts[t] + written));
            assert_int_equal(uring_ring_waiting(&ring), SQ);
            for (int i = 0; i < 3; i++, taken++, memory.sq_head++)
                for (unsigned word = 0; word < 8; word++)
                    assert_int_equal(sqes[memory.sq_head % SQ][word], 100 * taken + word);
            assert_int_equal(uring_ring_waiting(&ring), SQ - 3);
        }
    }
}

static void cqes_come_once_each_across_the_wrap(void **state)
{
    struct uring_completion c;
    (void)state;
    for (unsigned t = 0; t < ARRAY_SIZE(starts); t++) {
        assert_int_equal(fresh_at(starts[t]), 0);
        int32_t next = 0, posted = 0;
        assert_false(uring_ring_take(&ring, &c));
        for (unsigned round = 0; round < 40; round++) {
            for (unsigned i = 0; i < 1 + round % CQ; i++, posted++, memory.cq_tail++) {
                memory.cqes[memory.cq_tail % CQ].user_data = (uint64_t)posted << 40;
                memory.cqes[memory.cq_tail % CQ].result = -posted;
                memory.cqes[memory.cq_tail % CQ].flags = (uint32_t)posted * 3;
            }
            while (uring_ring_take(&ring, &c)) {
                assert_int_equal(c.user_data, (uint64_t)next << 40);
                assert_int_equal(c.result, -next);
                assert_int_equal(c.flags, (uint32_t)next * 3);
                next++;
            }
            assert_int_equal(next, posted);
            uring_ring_taken(&ring);
            assert_int_equal(memory.cq_head, memory.cq_tail);
        }
    }
}

/* The half of a word that is the kernel's stays as it is. */
static void the_kernels_halves_are_left_alone(void **state)
{
    (void)state;
    assert_int_equal(fresh_at(5), 0);
    memory.cq_tail = 7;
    struct uring_completion c;
    assert_true(uring_ring_take(&ring, &c));
    put(1);
    uring_ring_show(&ring);
    uring_ring_taken(&ring);
    assert_int_equal(memory.sq_head, 5);
    assert_int_equal(memory.sq_tail, 6);
    assert_int_equal(memory.cq_head, 6);
    assert_int_equal(memory.cq_tail, 7);
}

static void impossible_indices_stop_the_enclave(void **state)
{
    struct uring_completion c;
    (void)state;
    for (unsigned t = 0; t < ARRAY_SIZE(starts); t++) {
        static const uint32_t beyond[] = {1, SQ, SQ + 1, 1u << 31, UINT32_MAX - SQ};
        for (volatile unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
            assert_int_equal(fresh_at(starts[t]), 0);
            memory.sq_head += beyond[i]; /* more than there was */
            if (!setjmp(stopped)) {
                uring_ring_waiting(&ring);
                fail_msg("an SQ head beyond what was written is believed");
            }
        }
        assert_int_equal(fresh_at(starts[t]), 0);
        put(1);
        put(2);
        memory.sq_head++;
        assert_int_equal(uring_ring_waiting(&ring), 1);
        memory.sq_head--; /* backwards */
        if (!setjmp(stopped)) {
            uring_ring_waiting(&ring);
            fail_msg("an SQ head that goes backwards is believed");
        }
        static const uint32_t tails[] = {CQ + 1, 1u << 31, UINT32_MAX};
        for (volatile unsigned i = 0; i < ARRAY_SIZE(tails); i++) {
            assert_int_equal(fresh_at(starts[t]), 0);
            memory.cq_tail += tails[i];
            if (!setjmp(stopped)) {
                uring_ring_take(&ring, &c);
                fail_msg("a CQ tail beyond the ring is believed");
            }
        }
    }
}

static void layouts_that_do_not_hold_up(void **state)
{
    (void)state;
    struct uring_setup s = setup();
    assert_true(begin(&s));
#define BAD(change)                                                                                \
    do {                                                                                           \
        s = setup();                                                                               \
        change;                                                                                    \
        assert_false(begin(&s));                                                                   \
    } while (0)
    BAD(s.cqes = 4);
    BAD(s.cqes = sizeof memory);
    BAD(s.cqes = UINT64_MAX - 7);
    BAD(s.cqes = s.ring_space - CQ * URING_CQE_SIZE + 8);
    BAD(s.sq_head = 2);
    BAD(s.sq_head = s.cqes);
    BAD(s.sq_tail = s.cqes - 3);
    BAD(s.cq_head = UINT64_MAX);
    BAD(s.cq_head = s.sq_tail);
    BAD(s.cq_tail = s.sq_head);
    BAD(s.sq_flags = s.cq_tail);
    BAD(s.sq_flags = 18);
    BAD(s.sq_flags = s.cqes);
    BAD(s.cq_entries = 17);
    BAD(s.cq_entries = 0);
    BAD(s.sq_entries = 1ull << 32 | SQ);
    BAD(s.sqes_space = sizeof sqes - 1);
}

static void the_kernels_thread_says_that_it_sleeps(void **state)
{
    (void)state;
    struct uring_setup s = setup();
    assert_true(begin(&s));
    memory.other = UINT32_MAX;
    memory.sq_flags = 6;
    struct untrusted flags = {(uint64_t)&memory.sq_flags};
    assert_false(uring_ring_asleep(flags));
    memory.sq_flags = 7;
    assert_true(uring_ring_asleep(flags));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqes_are_seen_in_order_across_the_wrap),
        cmocka_unit_test(cqes_come_once_each_across_the_wrap),
        cmocka_unit_test(the_kernels_halves_are_left_alone),
        cmocka_unit_test(impossible_indices_stop_the_enclave),
        cmocka_unit_test(layouts_that_do_not_hold_up),
        cmocka_unit_test(the_kernels_thread_says_that_it_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

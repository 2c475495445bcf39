/* SPDX-License-Identifier: Apache-2.0 */
/* Each frame is in one pair of hands; what the kernel says of one is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/io/frames.h"
#include "enclave/lib/lib.h"

#define COUNT 16u

static struct frames f;

static int fresh(void **state)
{
    (void)state;
    memset(&f, 0xa5, sizeof f);
    frames_start(&f, COUNT);
    return 0;
}

static void all_begin_free(void **state)
{
    (void)state;
    assert_true(frames_valid(&f));
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(frames_take(&f), i);
        assert_int_equal(f.owner[i], FRAME_HELD);
        assert_true(frames_valid(&f));
    }
    assert_int_equal(frames_take(&f), -1);
    assert_int_equal(frames_take(&f), -1);
    assert_true(frames_valid(&f));
}

static void the_largest_pool(void **state)
{
    (void)state;
    frames_start(&f, FRAMES_MAX);
    assert_true(frames_valid(&f));
    for (uint32_t i = 0; i < FRAMES_MAX; i++)
        assert_int_equal(frames_take(&f), i);
    for (uint32_t i = 0; i < FRAMES_MAX; i++)
        assert_true(frames_give(&f, i));
    assert_true(frames_valid(&f));
    frames_start(&f, 0);
    assert_true(frames_valid(&f));
    assert_int_equal(frames_take(&f), -1);
}

static void a_frame_goes_round(void **state)
{
    (void)state;
    uint32_t frame = (uint32_t)frames_take(&f);
    assert_true(frames_lend(&f, frame));
    assert_int_equal(f.owner[frame], FRAME_KERNEL);
    assert_true(frames_return(&f, frame));
    assert_int_equal(f.owner[frame], FRAME_HELD);
    assert_true(frames_give(&f, frame));
    assert_int_equal(f.owner[frame], FRAME_FREE);
    assert_int_equal(f.free_count, COUNT);
    assert_true(frames_valid(&f));
}

/* Whatever is not the next thing that can happen to a frame changes nothing. */
static void nothing_happens_twice(void **state)
{
    (void)state;
    uint32_t frame = (uint32_t)frames_take(&f);
    assert_false(frames_return(&f, frame)); /* the kernel does not have it */
    assert_true(frames_lend(&f, frame));
    assert_false(frames_lend(&f, frame));
    assert_false(frames_give(&f, frame)); /* the kernel has it */
    assert_true(frames_return(&f, frame));
    assert_false(frames_return(&f, frame));
    assert_true(frames_give(&f, frame));
    assert_false(frames_give(&f, frame));
    assert_false(frames_lend(&f, frame));
    assert_false(frames_return(&f, frame));
    assert_int_equal(f.free_count, COUNT);
    assert_true(frames_valid(&f));
}

static void foreign_frames(void **state)
{
    static const uint32_t foreign[] = {COUNT, COUNT + 1, FRAMES_MAX, FRAMES_MAX + 1, 0x10000,
                                       0x80000000, UINT32_MAX};
    (void)state;
    struct frames before;
    frames_take(&f);
    before = f;
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
        assert_false(frames_give(&f, foreign[i]));
        assert_false(frames_lend(&f, foreign[i]));
        assert_false(frames_return(&f, foreign[i]));
    }
    assert_memory_equal(&f, &before, sizeof f);
}

static void a_bad_pool_is_seen(void **state)
{
    (void)state;
    f.owner[3] = FRAME_KERNEL + 1;
    assert_false(frames_valid(&f));
    fresh(NULL);
    f.free_count = COUNT + 1;
    assert_false(frames_valid(&f));
    fresh(NULL);
    f.free[2] = COUNT;
    assert_false(frames_valid(&f));
    fresh(NULL);
    f.free[2] = f.free[3];
    assert_false(frames_valid(&f)); /* twice on the stack */
    fresh(NULL);
    f.owner[f.free[0]] = FRAME_HELD; /* on the stack and held */
    assert_false(frames_valid(&f));
    fresh(NULL);
    f.count = FRAMES_MAX + 1;
    assert_false(frames_valid(&f));
}

struct place {
    uint64_t address;
    uint32_t length, size, first, count;
    int64_t frame; /* -1: refused */
    uint32_t offset;
};

static const struct place places[] = {
    {0, 0, 2048, 0, COUNT, 0, 0},
    {0, 2048, 2048, 0, COUNT, 0, 0},
    {0, 2049, 2048, 0, COUNT, -1, 0},
    {1, 2048, 2048, 0, COUNT, -1, 0},
    {1, 2047, 2048, 0, COUNT, 0, 1},
    {262, 1786, 2048, 0, COUNT, 0, 262},
    {262, 1787, 2048, 0, COUNT, -1, 0},
    {2047, 1, 2048, 0, COUNT, 0, 2047},
    {2047, 2, 2048, 0, COUNT, -1, 0},
    {2048, 0, 2048, 0, COUNT, 1, 0},
    {15 * 2048, 2048, 2048, 0, COUNT, 15, 0},
    {16 * 2048, 0, 2048, 0, COUNT, -1, 0},
    {16 * 2048 - 1, 1, 2048, 0, COUNT, 15, 2047},
    {4096, 4096, 4096, 0, COUNT, 1, 0},
    {4096, 4097, 4096, 0, COUNT, -1, 0},
    /* the second half of a UMEM */
    {31 * 4096, 0, 4096, 32, COUNT, -1, 0},
    {32 * 4096 - 1, 0, 4096, 32, COUNT, -1, 0},
    {32 * 4096, 0, 4096, 32, COUNT, 0, 0},
    {47 * 4096 + 6, 4090, 4096, 32, COUNT, 15, 6},
    {48 * 4096, 0, 4096, 32, COUNT, -1, 0},
    {0, 0, 2048, 0, 0, -1, 0},
    /* where a sum or a conversion would wrap */
    {0, UINT32_MAX, 2048, 0, COUNT, -1, 0},
    {2047, UINT32_MAX, 2048, 0, COUNT, -1, 0},
    {UINT64_MAX, 0, 2048, 0, COUNT, -1, 0},
    {1ull << 43, 0, 2048, 0, COUNT, -1, 0}, /* frame number 2^32 */
    {(1ull << 44) + 2048, 64, 4096, 0, COUNT, -1, 0},
};

static void places_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        const struct place *p = &places[i];
        uint32_t frame = 77, offset = 77;
        bool good = frames_locate(p->address, p->length, p->size, p->first, p->count, &frame, &offset);
        if (good != (p->frame >= 0))
            fail_msg("place %zu: %d", i, good);
        if (!good)
            continue;
        assert_int_equal(frame, p->frame);
        assert_int_equal(offset, p->offset);
    }
}

static void only_what_was_lent_is_accepted(void **state)
{
    uint32_t frame, offset;
    (void)state;
    for (int i = 0; i < 3; i++)
        frames_take(&f);
    frames_lend(&f, 1);
    assert_false(frames_accept(&f, 0, 10, 2048, 0, &frame, &offset));       /* held */
    assert_false(frames_accept(&f, 5 * 2048, 10, 2048, 0, &frame, &offset)); /* free */
    assert_false(frames_accept(&f, 2048 + 2000, 49, 2048, 0, &frame, &offset));
    assert_int_equal(f.owner[1], FRAME_KERNEL); /* refused: it stays where it is */
    assert_true(frames_accept(&f, 2048 + 2000, 48, 2048, 0, &frame, &offset));
    assert_int_equal(frame, 1);
    assert_int_equal(offset, 2000);
    assert_int_equal(f.owner[1], FRAME_HELD);
    assert_false(frames_accept(&f, 2048 + 2000, 48, 2048, 0, &frame, &offset)); /* once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_begin_free, fresh),
        cmocka_unit_test_setup(the_largest_pool, fresh),
        cmocka_unit_test_setup(a_frame_goes_round, fresh),
        cmocka_unit_test_setup(nothing_happens_twice, fresh),
        cmocka_unit_test_setup(foreign_frames, fresh),
        cmocka_unit_test_setup(a_bad_pool_is_seen, fresh),
        cmocka_unit_test(places_are_checked),
        cmocka_unit_test_setup(only_what_was_lent_is_accepted, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The window within which an index of the kernel is believed, and the layouts of rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/ring.h"
#include "enclave/lib/lib.h"

#define ENTRIES 8u
#define PRODUCER 0u
#define CONSUMER 64u
#define DESCRIPTORS 128u

static jmp_buf stopped;

void violation(const char *format, ...)
{
    (void)format;
    longjmp(stopped, 1);
}

static _Alignas(64) uint64_t map[64];

static struct ring ring_at(bool produces, uint32_t own, uint32_t other)
{
    const struct xsk_ring_layout l = {PRODUCER, CONSUMER, 0, DESCRIPTORS};
    struct ring r = {.name = "test"};
    memset(map, 0, sizeof map);
    assert_true(ring_start(&r, produces, (struct untrusted){(uint64_t)map}, sizeof map, &l, ENTRIES,
                           RING_DESCRIPTOR));
    r.own = own;
    r.other = other;
    assert_true(ring_valid(&r));
    return r;
}

static uint64_t *index_word(bool producer)
{
    return &map[(producer ? PRODUCER : CONSUMER) / 8];
}

struct window {
    uint32_t own, other; /* as last known */
    uint32_t value;      /* what the kernel writes */
    int64_t answer;      /* -1: it must not be believed */
};

/* We consume; the kernel's index is the producer. The answer: what is ready. */
static const struct window consumer[] = {
    {0, 0, 0, 0},
    {0, 0, 1, 1},
    {0, 0, ENTRIES, ENTRIES},
    {0, 0, ENTRIES + 1, -1},
    {0, 0, UINT32_MAX, -1},
    {0, 0, 0x80000000, -1},
    {5, 7, 7, 2},
    {5, 7, 6, -1}, /* goes back */
    {5, 7, 4, -1}, /* behind us */
    {5, 7, 13, ENTRIES},
    {5, 7, 14, -1},
    {UINT32_MAX, UINT32_MAX, UINT32_MAX, 0},
    {UINT32_MAX, UINT32_MAX, 0, 1},
    {UINT32_MAX, UINT32_MAX, ENTRIES - 1, ENTRIES},
    {UINT32_MAX, UINT32_MAX, ENTRIES, -1},
    {UINT32_MAX, UINT32_MAX, UINT32_MAX - 1, -1},
    {UINT32_MAX - 2, 1, 1, 4},
    {UINT32_MAX - 2, 1, 0, -1},
    {UINT32_MAX - 2, 1, UINT32_MAX, -1},
    {UINT32_MAX - 2, 1, 5, ENTRIES},
    {UINT32_MAX - 2, 1, 6, -1},
};

/* We produce; the kernel's index is the consumer. The answer: what space there is. */
static const struct window producer[] = {
    {0, 0, 0, ENTRIES},
    {0, 0, 1, -1}, /* before us */
    {0, 0, UINT32_MAX, -1},
    {ENTRIES, 0, 0, 0},
    {ENTRIES, 0, 1, 1},
    {ENTRIES, 0, ENTRIES, ENTRIES},
    {ENTRIES, 0, ENTRIES + 1, -1},
    {ENTRIES, 3, 2, -1}, /* goes back */
    {ENTRIES, 3, 3, 3},
    {ENTRIES, 3, 0x80000000, -1},
    {2, UINT32_MAX - 5, UINT32_MAX - 5, 0},
    {2, UINT32_MAX - 5, UINT32_MAX - 6, -1},
    {2, UINT32_MAX - 5, UINT32_MAX, 5},
    {2, UINT32_MAX - 5, 0, 6},
    {2, UINT32_MAX - 5, 2, ENTRIES},
    {2, UINT32_MAX - 5, 3, -1},
};

static void check_window(const struct window *w, bool produces)
{
    struct ring r = ring_at(produces, w->own, w->other);
    *index_word(!produces) = w->value;
    if (setjmp(stopped)) {
        if (w->answer != -1)
            fail_msg("own %u other %u: %u was refused", w->own, w->other, w->value);
        assert_int_equal(r.other, w->other);
        return;
    }
    uint32_t answer = produces ? ring_space(&r, UINT32_MAX) : ring_ready(&r, UINT32_MAX);
    if (w->answer == -1)
        fail_msg("own %u other %u: %u was believed", w->own, w->other, w->value);
    assert_int_equal(answer, w->answer);
    assert_int_equal(r.other, w->value);
    assert_int_equal(r.own, w->own);
    assert_true(ring_valid(&r));
}

static void consumer_window(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(consumer); i++)
        check_window(&consumer[i], false);
}

static void producer_window(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(producer); i++)
        check_window(&producer[i], true);
}

static void the_upper_half_of_the_word_does_not_matter(void **state)
{
    (void)state;
    struct ring r = ring_at(false, 0, 0);
    *index_word(true) = 0xdeadbeef00000003;
    assert_int_equal(ring_ready(&r, 1), 3);
}

static void the_kernel_is_not_asked_for_what_is_known(void **state)
{
    (void)state;
    struct ring r = ring_at(false, 0, 4);
    *index_word(true) = 0x77777777; /* would be a violation */
    assert_int_equal(ring_ready(&r, 4), 4);
    struct ring p = ring_at(true, 4, 2);
    *index_word(false) = 0x77777777;
    assert_int_equal(ring_space(&p, 6), 6);
}

static void slots_go_on_over_the_wrap(void **state)
{
    (void)state;
    struct ring r = ring_at(true, UINT32_MAX - 2, UINT32_MAX - 2);
    uint32_t before = ring_slot(&r, 0);
    for (uint32_t i = 1; i < 2 * ENTRIES; i++) {
        assert_int_equal(ring_slot(&r, i), (before + i) % ENTRIES);
        assert_int_equal(ring_entry(&r, i).address,
                         (uint64_t)map + DESCRIPTORS + ring_slot(&r, i) * RING_DESCRIPTOR);
    }
    ring_advance(&r, 5);
    assert_int_equal(r.own, 2);
    assert_int_equal(*index_word(true), 2);
    assert_int_equal(ring_slot(&r, 0), (before + 5) % ENTRIES);
}

static void a_ring_goes_round(void **state)
{
    (void)state;
    struct ring p = ring_at(true, UINT32_MAX - 40, UINT32_MAX - 40);
    struct ring c = p;
    c.produces = false;
    c.own_index = p.other_index;
    c.other_index = p.own_index;
    *index_word(true) = *index_word(false) = p.own;
    for (uint64_t i = 0, taken = 0; i < 200; i++) {
        uint32_t n = MIN(ring_space(&p, ENTRIES), (uint32_t)(i % 5));
        for (uint32_t k = 0; k < n; k++)
            untrusted_store(ring_entry(&p, k), p.own + k);
        ring_advance(&p, n);
        n = MIN(ring_ready(&c, ENTRIES), (uint32_t)(i % 3));
        for (uint32_t k = 0; k < n; k++)
            assert_int_equal(untrusted_load(ring_entry(&c, k)), c.own + k);
        ring_advance(&c, n);
        taken += n;
        assert_int_equal(c.own, (uint32_t)(UINT32_MAX - 40 + taken));
    }
}

struct layout {
    struct xsk_ring_layout l;
    uint64_t space;
    uint32_t entries, entry_size;
    bool fits;
};

/* 8 descriptors of 16 bytes: 128 bytes behind 128. */
static const struct layout layouts[] = {
    {{0, 64, 0, 128}, 256, 8, 16, true},
    {{64, 0, 0, 128}, 256, 8, 16, true},
    {{0, 120, 0, 128}, 256, 8, 16, true},
    {{0, 64, 0, 128}, 255, 8, 16, false},
    {{0, 64, 0, 136}, 256, 8, 16, false},
    {{0, 64, 0, 192}, 256, 8, 8, true},
    {{0, 64, 0, 200}, 256, 8, 8, false},
    {{0, 0, 0, 128}, 256, 8, 16, false},    /* one word for both */
    {{4, 64, 0, 128}, 256, 8, 16, false},   /* not a whole word */
    {{0, 68, 0, 128}, 256, 8, 16, false},
    {{0, 64, 0, 124}, 256, 8, 16, false},
    {{0, 128, 0, 128}, 512, 8, 16, false},  /* among the descriptors */
    {{136, 64, 0, 128}, 512, 8, 16, false},
    {{0, 64, 0, 128}, 256, 0, 16, false},
    {{0, 64, 0, 128}, 256, 7, 16, false},   /* no power of two */
    {{0, 64, 0, 128}, 256, 8, 12, false},
    {{0, 64, 0, 128}, UINT64_MAX >> 8, 0x20000, 16, false}, /* too many */
    {{0, 64, 0, 128}, 128 + 65536 * 16, 65536, 16, true},
    {{0, 64, 0, 128}, 127 + 65536 * 16, 65536, 16, false},
    /* where a sum would wrap */
    {{0, 64, 0, UINT64_MAX - 7}, 256, 8, 16, false},
    {{UINT64_MAX - 7, 64, 0, 128}, 256, 8, 16, false},
    {{0, UINT64_MAX - 7, 0, 128}, 256, 8, 16, false},
    {{0, 64, 0, 128}, 0, 8, 16, false},
};

static void layouts_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        const struct layout *l = &layouts[i];
        struct ring r;
        memset(&r, 0xa5, sizeof r);
        bool fits = ring_start(&r, i % 2, (struct untrusted){4096}, l->space, &l->l, l->entries,
                               l->entry_size);
        if (fits != l->fits)
            fail_msg("layout %zu: %d", i, fits);
        if (fits)
            assert_true(ring_valid(&r));
    }
}

static void sides_have_their_index(void **state)
{
    (void)state;
    const struct xsk_ring_layout l = {PRODUCER, CONSUMER, 0, DESCRIPTORS};
    struct ring r;
    assert_true(ring_start(&r, true, (struct untrusted){4096}, 4096, &l, ENTRIES, RING_ADDRESS));
    assert_int_equal(r.own_index.address, 4096 + PRODUCER);
    assert_int_equal(r.other_index.address, 4096 + CONSUMER);
    assert_true(ring_start(&r, false, (struct untrusted){4096}, 4096, &l, ENTRIES, RING_ADDRESS));
    assert_int_equal(r.own_index.address, 4096 + CONSUMER);
    assert_int_equal(r.other_index.address, 4096 + PRODUCER);
    assert_int_equal(r.entries_at.address, 4096 + DESCRIPTORS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(consumer_window),
        cmocka_unit_test(producer_window),
        cmocka_unit_test(the_upper_half_of_the_word_does_not_matter),
        cmocka_unit_test(the_kernel_is_not_asked_for_what_is_known),
        cmocka_unit_test(slots_go_on_over_the_wrap),
        cmocka_unit_test(a_ring_goes_round),
        cmocka_unit_test(layouts_are_checked),
        cmocka_unit_test(sides_have_their_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

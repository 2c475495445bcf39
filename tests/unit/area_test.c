/* SPDX-License-Identifier: Apache-2.0 */
/* The table of areas, against a model that keeps one entry a page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/start.h"
#include "enclave/lib/lib.h"
#include "enclave/os/area.h"

#define LOW 0x100000ull
#define PAGES 64u
#define AT(page) (LOW + (uint64_t)(page)*PAGE_SIZE)

void *alloc(size_t size)
{
    return calloc(1, size);
}

void *alloc_resize(void *p, size_t old_size, size_t new_size)
{
    (void)old_size;
    return realloc(p, new_size);
}

void alloc_free(void *p)
{
    free(p);
}

static struct area_table table;

static int empty(void **state)
{
    (void)state;
    free(table.area);
    table = (struct area_table){.low = LOW, .high = AT(PAGES)};
    return area_reserve(&table, 1);
}

static void add_file(unsigned first, unsigned end, int protection, enum area_kind kind,
                     const char *name, uint64_t offset)
{
    struct area a = {.start = AT(first), .end = AT(end), .protection = protection, .kind = kind,
                     .offset = offset, .name = name};
    assert_int_equal(area_reserve(&table, 3), 0);
    area_insert(&table, &a);
    assert_true(area_table_valid(&table));
}

static void add(unsigned first, unsigned end, int protection)
{
    add_file(first, end, protection, AREA_ANONYMOUS, NULL, 0);
}

static void expect(unsigned index, unsigned first, unsigned end, int protection)
{
    assert_true(index < table.count);
    assert_int_equal(table.area[index].start, AT(first));
    assert_int_equal(table.area[index].end, AT(end));
    assert_int_equal(table.area[index].protection, protection);
}

static void neighbours_of_a_kind_become_one(void **state)
{
    (void)state;
    add(10, 12, 3);
    add(14, 16, 3);
    assert_int_equal(table.count, 2);
    add(12, 14, 3);
    assert_int_equal(table.count, 1);
    expect(0, 10, 16, 3);
}

static void neighbours_that_differ_stay_apart(void **state)
{
    const char *a = "/a", *b = "/b";
    (void)state;
    add(0, 1, 3);
    add(1, 2, 1);
    add_file(2, 3, 1, AREA_HEAP, NULL, 0);
    add_file(3, 4, 1, AREA_FILE, a, 0);
    add_file(4, 5, 1, AREA_FILE, b, PAGE_SIZE);
    add_file(5, 6, 1, AREA_FILE, b, 3 * PAGE_SIZE);
    assert_int_equal(table.count, 6);
    add_file(6, 7, 1, AREA_FILE, b, 4 * PAGE_SIZE);
    assert_int_equal(table.count, 6);
    expect(5, 5, 7, 1);
}

static void removing_the_middle_splits(void **state)
{
    (void)state;
    add_file(10, 20, 5, AREA_FILE, "/lib", 0x3000);
    area_remove(&table, AT(13), AT(15));
    assert_true(area_table_valid(&table));
    assert_int_equal(table.count, 2);
    expect(0, 10, 13, 5);
    expect(1, 15, 20, 5);
    assert_int_equal(table.area[0].offset, 0x3000);
    assert_int_equal(table.area[1].offset, 0x3000 + 5 * PAGE_SIZE);
    area_remove(&table, AT(0), AT(PAGES));
    assert_int_equal(table.count, 0);
}

static void protecting_and_back_leaves_one(void **state)
{
    (void)state;
    add_file(10, 20, 1, AREA_FILE, "/lib", 0);
    area_protect(&table, AT(12), AT(14), 3);
    assert_int_equal(table.count, 3);
    expect(1, 12, 14, 3);
    area_protect(&table, AT(12), AT(14), 1);
    assert_int_equal(table.count, 1);
    expect(0, 10, 20, 1);
}

static void gaps_are_found_at_the_edges(void **state)
{
    const struct {
        unsigned length, bound, below, above; /* pages; PAGES: none */
    } cases[] = {
        {1, PAGES, 63, PAGES}, {1, 64, 63, PAGES}, {1, 60, 59, 60}, {4, 60, 56, 60},
        {5, 40, 35, 50},       {5, 25, 5, 30},     {10, 30, 0, 30}, {11, 30, PAGES, 50},
        {14, 50, PAGES, 50},   {15, 50, PAGES, PAGES},              {10, 0, PAGES, 0},
    };
    (void)state;
    add(10, 20, 3); /* free: 0-10, 20-22, 30-40, 50-64 */
    add(22, 30, 3);
    add(40, 50, 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t length = cases[i].length * PAGE_SIZE;
        uint64_t below = area_gap_below(&table, length, AT(cases[i].bound));
        uint64_t above = area_gap_above(&table, length, AT(cases[i].bound));
        assert_int_equal(below, cases[i].below == PAGES ? 0 : AT(cases[i].below));
        assert_int_equal(above, cases[i].above == PAGES ? 0 : AT(cases[i].above));
    }
    assert_int_equal(area_gap_below(&table, PAGE_SIZE, UINT64_MAX), AT(63));
    assert_int_equal(area_gap_below(&table, PAGE_SIZE, 0), 0);
    assert_int_equal(area_gap_above(&table, PAGE_SIZE, 0), AT(0));
    assert_int_equal(area_gap_above(&table, PAGE_SIZE, UINT64_MAX), 0);
    assert_int_equal(area_gap_above(&table, UINT64_MAX, LOW), 0);
    assert_int_equal(area_gap_below(&table, UINT64_MAX, UINT64_MAX), 0);
}

static int model[PAGES]; /* protection of the page, -1: free */
static bool model_used[PAGES];

static void check_against_model(void)
{
    assert_true(area_table_valid(&table));
    for (unsigned p = 0; p < PAGES; p++) {
        const struct area *a = area_find(&table, AT(p) + p * 61 % PAGE_SIZE);
        assert_int_equal(a ? a->protection : -1, model[p]);
        assert_int_equal(a && a->used, model[p] >= 0 && model_used[p]);
    }
    for (uint32_t i = 0; i + 1 < table.count; i++)
        assert_false(table.area[i].end == table.area[i + 1].start &&
                     table.area[i].protection == table.area[i + 1].protection &&
                     table.area[i].used == table.area[i + 1].used);
}

static unsigned model_gap_below(unsigned length, unsigned below)
{
    for (unsigned at = below - length + 1; at-- > 0;) {
        unsigned n = 0;
        while (n < length && model[at + n] < 0)
            n++;
        if (n == length)
            return at;
    }
    return PAGES;
}

static unsigned model_gap_above(unsigned length, unsigned above)
{
    for (unsigned at = above; at + length <= PAGES; at++) {
        unsigned n = 0;
        while (n < length && model[at + n] < 0)
            n++;
        if (n == length)
            return at;
    }
    return PAGES;
}

static void any_sequence_agrees_with_the_model(void **state)
{
    uint32_t random = 1;
    (void)state;
    for (unsigned p = 0; p < PAGES; p++)
        model[p] = -1;
    for (int step = 0; step < 30000; step++) {
        random = random * 1664525 + 1013904223;
        unsigned first = random >> 8 & 63, length = 1 + (random >> 14 & 15);
        unsigned action = random >> 20 & 3;
        unsigned end = MIN(first + length, PAGES);
        int protection = (int)(random >> 24 & 3);
        bool covered = true, overlaps = false;
        for (unsigned p = first; p < end; p++) {
            covered = covered && model[p] >= 0;
            overlaps = overlaps || model[p] >= 0;
        }
        assert_int_equal(area_covered(&table, AT(first), AT(end)), covered);
        assert_int_equal(area_overlaps(&table, AT(first), AT(end)), overlaps);
        assert_int_equal(area_reserve(&table, 3), 0);
        if (action == 0) {
            area_remove(&table, AT(first), AT(end));
            for (unsigned p = first; p < end; p++)
                model[p] = -1;
        } else if (action == 1) { /* as MAP_FIXED does */
            area_remove(&table, AT(first), AT(end));
            add(first, end, protection);
            for (unsigned p = first; p < end; p++) {
                model[p] = protection;
                model_used[p] = protection;
            }
        } else if (action == 2 && covered) {
            area_protect(&table, AT(first), AT(end), protection);
            for (unsigned p = first; p < end; p++) {
                model[p] = protection;
                model_used[p] |= protection != 0;
            }
        } else if (action == 3) {
            unsigned below = first >= length ? model_gap_below(length, first) : PAGES;
            unsigned above = model_gap_above(length, first);
            assert_int_equal(area_gap_below(&table, length * PAGE_SIZE, AT(first)),
                             below == PAGES ? 0 : AT(below));
            assert_int_equal(area_gap_above(&table, length * PAGE_SIZE, AT(first)),
                             above == PAGES ? 0 : AT(above));
        }
        check_against_model();
    }
}

static int drop(void **state)
{
    (void)state;
    free(table.area);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(neighbours_of_a_kind_become_one, empty),
        cmocka_unit_test_setup(neighbours_that_differ_stay_apart, empty),
        cmocka_unit_test_setup(removing_the_middle_splits, empty),
        cmocka_unit_test_setup(protecting_and_back_leaves_one, empty),
        cmocka_unit_test_setup(gaps_are_found_at_the_edges, empty),
        cmocka_unit_test_setup(any_sequence_agrees_with_the_model, empty),
    };
    return cmocka_run_group_tests_name("area", tests, NULL, drop);
}

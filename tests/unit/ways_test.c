/* SPDX-License-Identifier: Apache-2.0 */
/* Which way a read goes, by what the ways have cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enclave/io/ways.h"

#define SIZE 0x10000

static int windows_of(int decisions)
{
    int windows = 0;
    for (int i = 0; i < decisions; i++)
        windows += ways_window(SIZE);
    return windows;
}

static void the_cheaper_way_is_found_and_kept(void **state)
{
    (void)state;
    assert_true(ways_window(100)); /* whatever they cost */
    assert_false(ways_window(SIZE)); /* each way is tried: an exit first, */
    ways_note_exit(SIZE, 30000);
    assert_true(ways_window(SIZE)); /* then a window */
    ways_note_window(1 << 20, 16 * 60000);
    int windows = windows_of(2048);
    assert_in_range(windows, 2, 2048 / 50); /* again now and then, hardly ever */

    /* Windows get cheaper: seen at once. */
    ways_note_window(1 << 20, 16 * 20000);
    assert_in_range(windows_of(2048), 2048 - 2048 / 50, 2046);
    /* A disk was in the way once, and another time something less: the way stays. */
    ways_note_window(1 << 20, 1ull << 40);
    ways_note_window(1 << 20, 16 * 40000);
    assert_in_range(windows_of(1024), 1000, 1023);
    /* It stays dearer: the other way. */
    for (int i = 0; i < 20; i++)
        ways_note_window(1 << 20, 16 * 40000);
    assert_in_range(windows_of(1024), 1, 24);
    assert_true(ways_window(100));
}

static void sizes_have_costs_of_their_own(void **state)
{
    (void)state;
    ways_note_window(1 << 20, 1 << 20); /* a cycle a byte */
    ways_note_exit(4096, 16000);
    ways_note_exit(SIZE, 28000);
    int small = 0, large = 0;
    for (int i = 0; i < 512; i++) {
        small += ways_window(4096);
        large += ways_window(SIZE);
    }
    assert_true(small > 490 && large < 22);
    ways_note_exit(1ull << 50, 28000); /* what no read can be */
    ways_note_exit(0, 1);
    ways_note_window(4096, UINT64_MAX);
    (void)ways_window(UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cheaper_way_is_found_and_kept),
        cmocka_unit_test(sizes_have_costs_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

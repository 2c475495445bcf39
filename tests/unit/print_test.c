/* SPDX-License-Identifier: Apache-2.0 */
/* print_format says what snprintf says, in the room that there is. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/lib/lib.h"

#define SAME(...)                                                                                  \
    do {                                                                                           \
        char got_[256], expected_[256];                                                            \
        int n_ = snprintf(expected_, sizeof expected_, __VA_ARGS__);                               \
        assert_int_equal(print_format(got_, sizeof got_, __VA_ARGS__), n_);                        \
        assert_string_equal(got_, expected_);                                                      \
    } while (0)

static void prints_numbers(void **state)
{
    (void)state;
    SAME("%d %i %d %d", 0, -1, INT_MAX, INT_MIN);
    SAME("%ld %lld", LONG_MIN, LLONG_MAX);
    SAME("%u %u %lu", 0u, UINT_MAX, ULONG_MAX);
    SAME("%x %lx %o", 0xdeadbeefu, ULONG_MAX, 0755u);
    SAME("%zu %zd", (size_t)SIZE_MAX, (ssize_t)-5);
    SAME("%jd %ju", INTMAX_MIN, UINTMAX_MAX);
    SAME("%p", (void *)state);
}

static void pads_to_a_width(void **state)
{
    (void)state;
    SAME("[%5d] [%-5d] [%05d]", 42, 42, 42);
    SAME("[%5d] [%-5d] [%05d]", -42, -42, -42);
    SAME("[%2d] [%02d]", 12345, 12345);
    SAME("[%*d] [%-*d]", 7, 42, 7, 42);
    SAME("[%16lx] [%016lx] [%08x]", 0xabcdul, 0xabcdul, 0xabcdu);
    SAME("[%.3d] [%6.3d] [%-6.3d]", 7, 7, 7);
    SAME("[%8s] [%-8s] [%3s]", "abc", "abc", "longer");
    SAME("[%c] [%3c] [%-3c]", 'x', 'y', 'z');
}

static void cuts_strings_at_the_precision(void **state)
{
    const char unterminated[3] = {'a', 'b', 'c'};
    (void)state;
    SAME("[%.2s] [%.0s] [%.9s]", "abc", "abc", "abc");
    SAME("[%.*s] [%6.2s] [%-6.2s]", 1, "abc", "abc", "abc");
    SAME("[%.*s]", -1, "abc");
    SAME("[%.3s]", unterminated);
}

static void prints_percent_and_text(void **state)
{
    (void)state;
    SAME("100%% of %s", "it");
    SAME("nothing to put in");
    const char *volatile none = NULL;
    char out[8];
    assert_int_equal(print_format(out, sizeof out, "%s", none), 6);
    assert_string_equal(out, "(null)");
}

/* A line of /proc/self/maps, the most demanding user. */
static void prints_a_line_of_maps(void **state)
{
    (void)state;
    SAME("%lx-%lx %c%c%cp %08lx 00:00 %d%*s%s\n", 0x7f0000000000ul, 0x7f0000021000ul, 'r', '-', 'x',
         0x1000ul, 1, 20, "", "/usr/lib/x86_64-linux-gnu/libc.so.6");
}

static void fills_the_room_and_says_what_was_needed(void **state)
{
    (void)state;
    for (size_t size = 0; size < 14; size++) {
        char got[16], expected[16];
        memset(got, 0x55, sizeof got);
        memset(expected, 0x55, sizeof expected);
        int n = snprintf(expected, size, "%s-%d", "hello", 12345);
        assert_int_equal(print_format(got, size, "%s-%d", "hello", 12345), n);
        assert_memory_equal(got, expected, sizeof got);
    }
}

/* The longest that a number may get, whatever the format asks for. */
static void stays_within_bounds_for_absurd_widths(void **state)
{
    char out[64];
    (void)state;
    assert_int_equal(print_format(out, sizeof out, "%200d", INT_MIN), 200);
    assert_int_equal(out[62], ' ');
    assert_int_equal(out[63], 0);
    print_format(out, sizeof out, "%.200lu", ULONG_MAX);
    print_format(out, sizeof out, "%0200lo", ULONG_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_numbers),
        cmocka_unit_test(pads_to_a_width),
        cmocka_unit_test(cuts_strings_at_the_precision),
        cmocka_unit_test(prints_percent_and_text),
        cmocka_unit_test(prints_a_line_of_maps),
        cmocka_unit_test(fills_the_room_and_says_what_was_needed),
        cmocka_unit_test(stays_within_bounds_for_absurd_widths),
    };
    return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The enclave's string functions do what C's do, and touch nothing beside what they are given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Beside C's under names of their own. */
#define memcpy enclave_memcpy
#define memmove enclave_memmove
#define memset enclave_memset
#define memcmp enclave_memcmp
#define strlen enclave_strlen
#define strnlen enclave_strnlen
#define strcmp enclave_strcmp
#define strncmp enclave_strncmp
#define strchr enclave_strchr
#define strrchr enclave_strrchr
#include "enclave/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr

#define PAGE 4096
#define ROOM 96

static void fill_numbered(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 7 + 1);
}

static void copies_exactly_what_is_asked(void **state)
{
    uint8_t from[ROOM], to[ROOM], expected[ROOM];
    (void)state;
    fill_numbered(from, sizeof from);
    for (size_t n = 0; n <= 64; n++)
        for (size_t at = 0; at < 16; at++) {
            memset(to, 0xee, sizeof to);
            memset(expected, 0xee, sizeof expected);
            memcpy(expected + at, from + 3, n);
            assert_ptr_equal(enclave_memcpy(to + at, from + 3, n), to + at);
            assert_memory_equal(to, expected, sizeof to);
        }
}

static void moves_when_source_and_target_overlap(void **state)
{
    uint8_t got[ROOM], expected[ROOM];
    (void)state;
    for (size_t n = 0; n <= 40; n++)
        for (size_t from = 0; from <= 40; from += 1)
            for (size_t to = 0; to <= 40; to += 4) {
                fill_numbered(got, sizeof got);
                fill_numbered(expected, sizeof expected);
                memmove(expected + to, expected + from, n);
                assert_ptr_equal(enclave_memmove(got + to, got + from, n), got + to);
                assert_memory_equal(got, expected, sizeof got);
            }
}

static void sets_the_low_byte_of_its_argument(void **state)
{
    uint8_t got[ROOM], expected[ROOM];
    (void)state;
    for (size_t n = 0; n <= 40; n++) {
        memset(got, 0xee, sizeof got);
        memset(expected, 0xee, sizeof expected);
        memset(expected + 5, 0x34, n);
        assert_ptr_equal(enclave_memset(got + 5, 0x1234, n), got + 5);
        assert_memory_equal(got, expected, sizeof got);
    }
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void compares_bytes_as_unsigned(void **state)
{
    const struct {
        const char *a, *b;
    } cases[] = {
        {"", ""},         {"", "a"},        {"a", ""},     {"a", "a"},           {"a", "b"},
        {"ab", "a"},      {"a", "ab"},      {"abc", "abd"}, {"\x7f", "\x80"},     {"\xff", "a"},
        {"same", "same"}, {"same1", "same"}, {"\x80x", "\x80y"},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const char *a = cases[c].a, *b = cases[c].b;
        assert_int_equal(sign(enclave_strcmp(a, b)), sign(strcmp(a, b)));
        for (size_t n = 0; n < 8; n++)
            assert_int_equal(sign(enclave_strncmp(a, b, n)), sign(strncmp(a, b, n)));
        size_t shorter = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
        for (size_t n = 0; n <= shorter + 1; n++)
            assert_int_equal(sign(enclave_memcmp(a, b, n)), sign(memcmp(a, b, n)));
    }
}

static void finds_characters_and_the_end(void **state)
{
    const char *s = "a/b/c\xff";
    (void)state;
    const int wanted[] = {'a', '/', 'c', 'x', 0, 0xff, -1};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_ptr_equal(enclave_strchr(s, wanted[i]), strchr(s, wanted[i]));
        assert_ptr_equal(enclave_strrchr(s, wanted[i]), strrchr(s, wanted[i]));
    }
    assert_int_equal(enclave_strlen(""), 0);
    assert_int_equal(enclave_strlen(s), 6);
}

/* Strings and blocks that end where memory ends: nothing behind them is read. */
static void reads_nothing_behind_the_end(void **state)
{
    (void)state;
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
    char *end = pages + PAGE;
    memset(end - 8, 'x', 8);
    assert_int_equal(enclave_strnlen(end - 8, 8), 8);
    assert_int_equal(enclave_strnlen(end, 0), 0);
    assert_int_equal(enclave_strncmp(end - 8, "xxxxxxxxy", 8), 0);
    assert_int_equal(enclave_memcmp(end - 8, "xxxxxxxx", 8), 0);
    end[-1] = 0;
    assert_int_equal(enclave_strlen(end - 8), 7);
    assert_int_equal(enclave_strcmp(end - 8, "xxxxxxx"), 0);
    assert_null(enclave_strchr(end - 8, 'y'));
    assert_ptr_equal(enclave_strrchr(end - 8, 'x'), end - 2);
    munmap(pages, 2 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_exactly_what_is_asked),
        cmocka_unit_test(moves_when_source_and_target_overlap),
        cmocka_unit_test(sets_the_low_byte_of_its_argument),
        cmocka_unit_test(compares_bytes_as_unsigned),
        cmocka_unit_test(finds_characters_and_the_end),
        cmocka_unit_test(reads_nothing_behind_the_end),
    };
    return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}

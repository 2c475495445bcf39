/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of the program's, of which pages come only when they are wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/boundary/copy.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"

#define PAGES 16u
#define SIZE (PAGES * PAGE_SIZE)

struct enclave enclave;
struct order order;

static char memory[SIZE] __attribute__((aligned(4096)));
static bool here[PAGES], never[PAGES];
static char copy[SIZE];

static bool *page_of(bool *pages, uint64_t address)
{
    return &pages[(address - (uint64_t)memory) / PAGE_SIZE];
}

int64_t copy_string(char *to, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!*page_of(here, (uint64_t)from + i))
            return -EFAULT;
        to[i] = from[i];
        if (!from[i])
            return (int64_t)i;
    }
    return (int64_t)size;
}

int copy_bytes(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    return 0;
}

int fill_zero(void *to, size_t n)
{
    memset(to, 0, n);
    return 0;
}

int exchange_word(uint32_t *word, uint32_t *expected, uint32_t new)
{
    (void)word, (void)expected, (void)new;
    return 0;
}

static bool bring(uint64_t address, uint64_t length, bool write)
{
    bool some = false;
    assert_false(write);
    for (uint64_t at = address & ~(PAGE_SIZE - 1ul); at < address + length; at += PAGE_SIZE) {
        bool new = !*page_of(here, at) && !*page_of(never, at);
        *page_of(here, at) |= new;
        some |= new;
    }
    return some;
}

static int fresh(void **state)
{
    (void)state;
    enclave.dynamic = (uint64_t)memory;
    enclave.program_end = (uint64_t)memory + SIZE;
    order.bring = bring;
    memset(here, 0, sizeof here);
    memset(never, 0, sizeof never);
    memset(memory, 'a', sizeof memory);
    return 0;
}

static uint32_t pages_here(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < PAGES; i++)
        n += here[i];
    return n;
}

static void all_of_a_long_string_comes_and_no_more(void **state)
{
    (void)state;
    memory[10 * PAGE_SIZE + 7] = 0;
    assert_int_equal(user_string(copy, memory + 100, SIZE), 10 * PAGE_SIZE + 7 - 100);
    assert_string_equal(copy, memory + 100);
    assert_int_equal(pages_here(), 11);
    fresh(NULL);
    memory[3 * PAGE_SIZE - 1] = 0; /* at a page's very end */
    assert_int_equal(user_string(copy, memory + PAGE_SIZE, SIZE), 2 * PAGE_SIZE - 1);
    assert_int_equal(pages_here(), 2);
}

static void a_string_ends_somewhere(void **state)
{
    (void)state;
    assert_int_equal(user_string(copy, memory + 100, 2 * PAGE_SIZE), -ENAMETOOLONG);
    assert_int_equal(user_string(copy, memory + 100, SIZE), -EFAULT);
    memory[SIZE - 1] = 0;
    assert_int_equal(user_string(copy, memory + SIZE - 5, 4), -ENAMETOOLONG);
    assert_int_equal(user_string(copy, memory + SIZE - 5, 5), 4);
    assert_int_equal(user_string(copy, memory + SIZE, 5), -EFAULT);
    fresh(NULL);
    never[2] = true;
    assert_int_equal(user_string(copy, memory + 100, SIZE), -EFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_of_a_long_string_comes_and_no_more, fresh),
        cmocka_unit_test_setup(a_string_ends_somewhere, fresh),
    };
    return cmocka_run_group_tests_name("user", tests, NULL, NULL);
}

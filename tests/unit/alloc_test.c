/* SPDX-License-Identifier: Apache-2.0 */
/* The LibOS's allocator, over a pool of pages of a fixed size. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define POOL (96ul << 20)

void *memory_libos_pages(uint64_t length);

static uint8_t *pool;
static uint64_t pool_used, pool_limit = POOL;

void *memory_libos_pages(uint64_t length)
{
    length = (length + 4095) & ~4095ull;
    if (length > pool_limit - pool_used)
        return NULL;
    void *p = pool + pool_used;
    pool_used += length;
    return p;
}

void lock_slow(struct lock *l)
{
    while (!lock_try(l))
        sched_yield();
}

static int whole_pool(void **state)
{
    (void)state;
    if (!pool)
        pool = aligned_alloc(4096, POOL);
    pool_limit = POOL;
    return pool ? 0 : -1;
}

static bool all_are(const uint8_t *p, size_t n, uint8_t byte)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != byte)
            return false;
    return true;
}

static void blocks_are_zeroed_aligned_and_apart(void **state)
{
    enum { COUNT = 600 };
    uint8_t *p[COUNT];
    size_t size[COUNT];
    (void)state;
    for (int round = 0; round < 2; round++) { /* the second from the free lists */
        for (int i = 0; i < COUNT; i++) {
            size[i] = (size_t)i * i / 3;
            p[i] = alloc(size[i]);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % 16, 0);
            assert_true(all_are(p[i], size[i], 0));
            memset(p[i], i, size[i]);
        }
        for (int i = 0; i < COUNT; i++)
            assert_true(all_are(p[i], size[i], (uint8_t)i));
        for (int i = 0; i < COUNT; i++)
            alloc_free(p[i]);
    }
}

static void what_is_freed_is_used_again(void **state)
{
    (void)state;
    for (size_t size = 1; size < 300000; size = size * 3 + 1) {
        alloc_free(alloc(size));
        uint64_t used = pool_used;
        for (int i = 0; i < 100; i++)
            alloc_free(alloc(size));
        assert_int_equal(pool_used, used);
    }
}

static void resizing_keeps_the_contents(void **state)
{
    (void)state;
    uint8_t *p = alloc_resize(NULL, 0, 10);
    assert_true(all_are(p, 10, 0));
    memset(p, 7, 10);
    p = alloc_resize(p, 10, 5000);
    assert_true(all_are(p, 10, 7));
    assert_true(all_are(p + 10, 4990, 0));
    p = alloc_resize(p, 5000, 4);
    assert_true(all_are(p, 4, 7));
    alloc_free(p);
    alloc_free(NULL);
}

static void absurd_sizes_are_refused(void **state)
{
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2, SIZE_MAX / 4, 1ul << 40, POOL};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_null(alloc(sizes[i]));
}

static void an_empty_pool_gives_null_and_keeps_what_was_given(void **state)
{
    (void)state;
    uint8_t *kept = alloc(100000);
    memset(kept, 9, 100000);
    pool_limit = pool_used;
    while (alloc(100000))
        continue;
    assert_null(alloc_resize(kept, 100000, 10000000));
    assert_true(all_are(kept, 100000, 9));
    alloc_free(kept);
    assert_ptr_equal(alloc(100000), kept);
}

#define THREADS 4
#define ROUNDS 20000

static void *churn(void *argument)
{
    uint8_t mark = (uint8_t)(uintptr_t)argument, *held[16] = {0};
    size_t size[16] = {0};
    uint32_t random = 12345u * mark;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525 + 1013904223;
        unsigned slot = random >> 28;
        if (held[slot] && !all_are(held[slot], size[slot], mark))
            return (void *)"a block changed while it was held";
        alloc_free(held[slot]);
        size[slot] = random >> 12 & 1023;
        held[slot] = alloc(size[slot]);
        if (!held[slot])
            return (void *)"no memory";
        memset(held[slot], mark, size[slot]);
    }
    for (int i = 0; i < 16; i++)
        alloc_free(held[i]);
    return NULL;
}

static void threads_get_blocks_of_their_own(void **state)
{
    pthread_t thread[THREADS];
    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, churn, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(thread[i], &wrong);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(blocks_are_zeroed_aligned_and_apart, whole_pool),
        cmocka_unit_test_setup(what_is_freed_is_used_again, whole_pool),
        cmocka_unit_test_setup(resizing_keeps_the_contents, whole_pool),
        cmocka_unit_test_setup(absurd_sizes_are_refused, whole_pool),
        cmocka_unit_test_setup(threads_get_blocks_of_their_own, whole_pool),
        cmocka_unit_test_setup(an_empty_pool_gives_null_and_keeps_what_was_given, whole_pool),
    };
    return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}

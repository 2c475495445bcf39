/* SPDX-License-Identifier: Apache-2.0 */
/* Locks and counts of references, of one thread alone, of several, and where the second one comes in between. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "enclave/boundary/exit.h"
#include "enclave/lib/lock.h"
#include "enclave/lib/reference.h"

#define THREADS 4
#define ROUNDS 20000

static struct lock lock;
static uint32_t count, yields, ready;
static uint64_t guarded;

/* Who waits for a lock gives the processor away. */
int64_t exit_call(uint64_t number, uint64_t flags, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                  uint64_t a5)
{
    (void)flags, (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    assert_int_equal(number, SYS_sched_yield);
    __atomic_add_fetch(&yields, 1, __ATOMIC_RELAXED);
    sched_yield();
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    lock = (struct lock)LOCK_INIT;
    guarded = count = yields = ready = 0;
    lock_alone = true;
    return 0;
}

static void a_lock_is_held_once(void **state)
{
    (void)state;
    for (int alone = 1; alone >= 0; alone--) {
        lock_alone = alone;
        lock_take(&lock);
        assert_false(lock_try(&lock));
        assert_false(lock_try(&lock)); /* not by having been tried either */
        lock_release(&lock);
        assert_true(lock_try(&lock));
        lock_release(&lock);
    }
    assert_int_equal(yields, 0);
}

static void *take_and_look(void *seen)
{
    lock_take(&lock);
    *(uint64_t *)seen = guarded;
    lock_release(&lock);
    return NULL;
}

static void what_one_took_alone_the_second_waits_for(void **state)
{
    (void)state;
    pthread_t second;
    uint64_t seen = 0;
    lock_take(&lock);
    lock_alone = false;
    assert_false(lock_try(&lock));
    pthread_create(&second, NULL, take_and_look, &seen);
    while (!__atomic_load_n(&yields, __ATOMIC_RELAXED))
        sched_yield();
    guarded = 77;
    lock_release(&lock);
    pthread_join(second, NULL);
    assert_int_equal(seen, 77);
    assert_true(lock_try(&lock)); /* the second has given it back */
}

static void what_one_gave_back_alone_is_free(void **state)
{
    (void)state;
    pthread_t second;
    uint64_t seen = 0;
    lock_take(&lock);
    guarded = 78;
    lock_release(&lock);
    lock_alone = false;
    pthread_create(&second, NULL, take_and_look, &seen);
    pthread_join(second, NULL);
    assert_int_equal(seen, 78);
    assert_int_equal(yields, 0);
}

static void all_begin(void)
{
    __atomic_add_fetch(&ready, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&ready, __ATOMIC_RELAXED) < THREADS)
        sched_yield();
}

static void *add_under_the_lock(void *unused)
{
    all_begin();
    for (int i = 0; i < ROUNDS; i++) {
        lock_take(&lock);
        guarded++;
        lock_release(&lock);
    }
    return unused;
}

static void one_at_a_time(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    lock_alone = false;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, add_under_the_lock, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(guarded, THREADS * ROUNDS);
}

static void the_last_reference_is_told(void **state)
{
    (void)state;
    for (int alone = 1; alone >= 0; alone--) {
        lock_alone = alone;
        count = 1;
        reference_take(&count);
        reference_take(&count);
        assert_int_equal(count, 3);
        assert_false(reference_drop(&count));
        assert_false(reference_drop(&count));
        assert_true(reference_drop(&count));
        assert_int_equal(count, 0);
    }
}

static void references_taken_alone_are_counted_for_all(void **state)
{
    (void)state;
    count = 1;
    reference_take(&count);
    lock_alone = false;
    reference_take(&count);
    assert_false(reference_drop(&count));
    assert_false(reference_drop(&count));
    assert_true(reference_drop(&count));
}

/* Each thread has a reference to begin with. */
static void *take_and_drop(void *last)
{
    all_begin();
    for (int i = 0; i < ROUNDS; i++) {
        reference_take(&count);
        if (reference_drop(&count))
            ++*(int *)last;
    }
    if (reference_drop(&count))
        guarded++; /* whoever is last is alone with what it counts */
    return NULL;
}

static void one_of_all_is_the_last(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int early[THREADS] = {0};
    lock_alone = false;
    count = THREADS;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, take_and_drop, &early[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(early[i], 0);
    }
    assert_int_equal(guarded, 1);
    assert_int_equal(count, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lock_is_held_once),
        TEST(what_one_took_alone_the_second_waits_for),
        TEST(what_one_gave_back_alone_is_free),
        TEST(one_at_a_time),
        TEST(the_last_reference_is_told),
        TEST(references_taken_alone_are_counted_for_all),
        TEST(one_of_all_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that wait: what signal(7) and sigqueue(3) promise of them. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "enclave/lib/lib.h"
#include "enclave/os/signal_queue.h"

static bool no_memory;

void *alloc(size_t size)
{
    return no_memory ? NULL : calloc(1, size);
}

void alloc_free(void *p)
{
    free(p);
}

static int add(struct signal_queue *q, int signal, uint64_t value)
{
    struct signal_cause cause = {.code = SI_QUEUE, .value = value};
    return signal_queue_add(q, signal, &cause);
}

static void take(struct signal_queue *q, uint64_t mask, int signal, uint64_t value)
{
    struct signal_cause cause = {0};
    assert_int_equal(signal_queue_take(q, mask, &cause), signal);
    if (signal)
        assert_int_equal(cause.value, value);
}

static void standard_signals_come_once(void **state)
{
    (void)state;
    struct signal_queue q = {0};
    assert_int_equal(add(&q, SIGUSR1, 1), 0);
    assert_int_equal(add(&q, SIGUSR1, 2), 0);
    take(&q, UINT64_MAX, SIGUSR1, 1);
    take(&q, UINT64_MAX, 0, 0);
}

static void real_time_signals_come_as_often_and_in_order(void **state)
{
    (void)state;
    struct signal_queue q = {0};
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(add(&q, 41, i), 0);
        assert_int_equal(add(&q, 40, 10 + i), 0);
    }
    for (uint64_t i = 0; i < 5; i++)
        take(&q, UINT64_MAX, 40, 10 + i);
    assert_int_equal(add(&q, 40, 20), 0);
    take(&q, ~SIGNAL_BIT(40), 41, 0);
    take(&q, UINT64_MAX, 40, 20);
    for (uint64_t i = 1; i < 5; i++)
        take(&q, UINT64_MAX, 41, i);
    assert_int_equal(q.pending, 0);
    assert_int_equal(add(&q, 41, 7), 0);
    take(&q, UINT64_MAX, 41, 7);
}

static void what_an_instruction_raises_comes_first(void **state)
{
    (void)state;
    struct signal_queue q = {0};
    add(&q, SIGHUP, 1);
    add(&q, SIGSEGV, 2);
    take(&q, UINT64_MAX, SIGSEGV, 2);
    take(&q, UINT64_MAX, SIGHUP, 1);
}

static void dropped_signals_are_gone(void **state)
{
    (void)state;
    struct signal_queue q = {0};
    add(&q, 40, 1);
    add(&q, SIGTERM, 2);
    add(&q, 40, 3);
    signal_queue_drop(&q, SIGNAL_BIT(40));
    assert_int_equal(q.pending, SIGNAL_BIT(SIGTERM));
    add(&q, 50, 4);
    take(&q, UINT64_MAX, SIGTERM, 2);
    take(&q, UINT64_MAX, 50, 4);
}

static void without_memory_standard_signals_still_come(void **state)
{
    (void)state;
    struct signal_queue q = {0};
    no_memory = true;
    assert_int_equal(add(&q, SIGTERM, 1), 0);
    assert_int_equal(add(&q, 40, 1), -EAGAIN);
    no_memory = false;
    take(&q, UINT64_MAX, SIGTERM, 0);
    take(&q, UINT64_MAX, 0, 0);
}

static void they_are_not_without_number(void **state)
{
    (void)state;
    struct signal_queue q = {0};
    int n = 0;
    while (!add(&q, 40, 1))
        n++;
    assert_true(n > 1000);
    assert_int_equal(add(&q, SIGTERM, 1), 0);
    signal_queue_drop(&q, UINT64_MAX);
    assert_int_equal(add(&q, 40, 1), 0);
    signal_queue_drop(&q, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_signals_come_once),
        cmocka_unit_test(real_time_signals_come_as_often_and_in_order),
        cmocka_unit_test(what_an_instruction_raises_comes_first),
        cmocka_unit_test(dropped_signals_are_gone),
        cmocka_unit_test(without_memory_standard_signals_still_come),
        cmocka_unit_test(they_are_not_without_number),
    };
    return cmocka_run_group_tests_name("signal_queue", tests, NULL, NULL);
}

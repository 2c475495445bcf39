/* SPDX-License-Identifier: Apache-2.0 */
/* When a thread naps rather than sleeps for packets, and how many completions it sleeps for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enclave/io/expectation.h"
#include "enclave/io/moderate.h"

#define MS 1000u

static void only_a_stream_of_packets_is_napped_for(void **state)
{
    (void)state;
    static const struct {
        uint64_t packets, sent, passed; /* since the last decision */
        bool naps;
    } table[] = {
        {0, 0, 1, false},
        {NAP_PACKETS - 1, 0, 1, false},
        {NAP_PACKETS, 0, 1, true},
        {1000, 0, NAP_MEMORY_MS * MS - 1, true},
        {1000, 0, NAP_MEMORY_MS * MS, false}, /* so long ago is no rate */
        {1000, 499, 1, true},
        {1000, 500, 1, false}, /* they are answered */
        {1000, 0, 1, true},    /* and these are not */
        {0, 0, 1, false}, /* a nap that ends with few is the last */
    };
    struct moderation m = {0};
    uint64_t packets = 0, sent = 0, now = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        packets += table[i].packets;
        sent += table[i].sent;
        now += table[i].passed;
        assert_int_equal(moderate(&m, packets, sent, now, MS), table[i].naps);
    }
}

static void one_in_flight_is_never_waited_with(void **state)
{
    (void)state;
    struct expectation e = {0, 0, 0};
    for (int i = 0; i < 100; i++) {
        struct expectation_wait w = expectation_next(&e, 0);
        assert_int_equal(w.least, 1);
        assert_int_equal(w.us, 0);
        expectation_came(&e, i % EXPECT_FROM);
    }
    struct expectation_wait w = expectation_next(&e, 5); /* sends complete at once */
    assert_int_equal(w.least, 6);
    assert_int_equal(w.us, EXPECT_SENDS_US);
}

static void ends_are_waited_for_and_no_message(void **state)
{
    (void)state;
    struct expectation e = {0, EXPECT_FROM, 0};
    struct expectation_wait w = expectation_ends(&e, 3);
    assert_int_equal(w.least, 3);
    assert_int_equal(w.us, 0);
    expectation_came(&e, 0);
    assert_int_equal(e.pause, 0); /* nothing was in vain */
    w = expectation_ends(&e, 0);
    assert_int_equal(w.least, 1);
    assert_int_equal(w.us, 0);
}

static void as_many_as_came_are_waited_for_and_one_more_is_tried(void **state)
{
    (void)state;
    struct expectation e = {0, 0, 0};
    expectation_next(&e, 0);
    expectation_came(&e, EXPECT_FROM);
    assert_int_equal(expectation_next(&e, 2).least, 2 + EXPECT_FROM + 1);
    expectation_came(&e, EXPECT_FROM + 1);
    assert_int_equal(expectation_next(&e, 0).least, EXPECT_FROM + 2);
    assert_int_equal(expectation_next(&e, 0).us, EXPECT_US);
    expectation_came(&e, EXPECT_FROM + 1); /* it did not come */
    for (unsigned i = 0; i < EXPECT_PAUSE; i++) {
        assert_int_equal(expectation_next(&e, 0).least, EXPECT_FROM + 1);
        expectation_came(&e, EXPECT_FROM + 1);
    }
    assert_int_equal(expectation_next(&e, 0).least, EXPECT_FROM + 2); /* tried again */
    expectation_came(&e, 1000);
    assert_int_equal(expectation_next(&e, 0).least, EXPECT_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_stream_of_packets_is_napped_for),
        cmocka_unit_test(one_in_flight_is_never_waited_with),
        cmocka_unit_test(ends_are_waited_for_and_no_message),
        cmocka_unit_test(as_many_as_came_are_waited_for_and_one_more_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

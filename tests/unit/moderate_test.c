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
#define NOW 5000000u

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

/* So many decisions of who answers each packet, `got` of them at each, `plain_us` after a sleep and `nap_us` after a nap.
 * How many naps? */
static unsigned naps_of(struct moderation *m, uint64_t *now, unsigned decisions, unsigned got, unsigned plain_us,
                        unsigned nap_us)
{
    static uint64_t packets;
    unsigned naps = 0;
    bool nap = false;
    for (unsigned i = 0; i < decisions; i++) {
        packets += got;
        *now += nap ? nap_us : plain_us;
        nap = moderate(m, packets, packets, *now, MS);
        naps += nap;
    }
    return naps;
}

static void until_napping(struct moderation *m, uint64_t *now)
{
    for (unsigned i = 0; i < 3 * NAP_MEASURE && m->phase != NAP_NAPPING; i++)
        naps_of(m, now, 1, 8, 100, 100);
    assert_int_equal(m->phase, NAP_NAPPING);
}

static void who_answers_naps_where_that_costs_no_packets(void **state)
{
    (void)state;
    struct moderation m = {0};
    uint64_t now = NOW;
    (void)naps_of(&m, &now, 1, 8, 100, 100);
    assert_int_equal(naps_of(&m, &now, NAP_MEASURE - 1, 8, 100, 100), 0);
    /* The trial, and from then on. */
    assert_int_equal(naps_of(&m, &now, 2 * NAP_MEASURE, 8, 100, 100), 2 * NAP_MEASURE);
    assert_int_equal(m.phase, NAP_NAPPING);
    /* After a while all of it again. */
    naps_of(&m, &now, NAP_WHILE_MS * MS / 100, 8, 100, 100);
    assert_int_not_equal(m.phase, NAP_NAPPING);
    naps_of(&m, &now, 2 * NAP_MEASURE, 8, 100, 100);
    assert_int_equal(m.phase, NAP_NAPPING);
    /* Few packets now and then do not end it, */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(naps_of(&m, &now, 1, NAP_PACKETS - 1, 100, 100), 1);
        assert_int_equal(naps_of(&m, &now, 3, 8, 100, 100), 3);
    }
    /* but several times they do. */
    assert_int_equal(naps_of(&m, &now, NAP_POOR, NAP_PACKETS - 1, 100, 100), NAP_POOR / 2);
    assert_int_equal(m.phase, NAP_PLAIN);
    /* It is tried again as soon as there are many again, and what was before a pause does not count. */
    assert_in_range(naps_of(&m, &now, 2 * NAP_MEASURE, 8, 100, 100), NAP_MEASURE, 2 * NAP_MEASURE);
    until_napping(&m, &now);
    naps_of(&m, &now, NAP_POOR / 2, NAP_PACKETS - 1, 100, 100);
    assert_int_equal(m.phase, NAP_NAPPING);
    now += NAP_WHILE_MS * MS;
    naps_of(&m, &now, 1, 8, 100, 100);
    assert_int_equal(m.phase, NAP_PLAIN);
    until_napping(&m, &now);
    naps_of(&m, &now, NAP_POOR / 2, NAP_PACKETS - 1, 100, 100);
    assert_int_equal(m.phase, NAP_NAPPING);
}

static void who_waits_for_his_own_answers_tries_it_seldom(void **state)
{
    (void)state;
    struct moderation m = {0};
    uint64_t now = NOW, began;
    assert_int_equal(naps_of(&m, &now, 2 * NAP_MEASURE + 10, 8, 100, 150), NAP_MEASURE);
    assert_int_equal(m.phase, NAP_PLAIN);
    began = now;
    /* Half as fast is seen at once. */
    unsigned naps = naps_of(&m, &now, 20 * NAP_WHILE_MS * MS / 100, 8, 100, 250);
    assert_in_range(naps, NAP_HOPELESS, 5 * NAP_HOPELESS);
    assert_true(now - began < 3000 * MS);
    assert_in_range(m.failed, 4, 5);
    /* Never for few. */
    m = (struct moderation){0};
    assert_int_equal(naps_of(&m, &now, 10000, NAP_PACKETS - 1, 100, 100), 0);
    /* Nor for one in flight, however fast. */
    assert_int_equal(naps_of(&m, &now, 10000, 1, 20, 20), 0);
}

static void a_little_less_is_noise(void **state)
{
    (void)state;
    struct moderation m = {0};
    uint64_t now = NOW;
    naps_of(&m, &now, 2 * NAP_MEASURE + 1, 8, 100, 105);
    assert_int_equal(m.phase, NAP_NAPPING);
    m = (struct moderation){0};
    naps_of(&m, &now, 2 * NAP_MEASURE + 1, 8, 100, 115);
    assert_int_equal(m.phase, NAP_PLAIN);
    assert_int_equal(m.failed, 1);
}

static void a_pause_is_no_measurement(void **state)
{
    (void)state;
    struct moderation m = {0};
    uint64_t now = NOW;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(naps_of(&m, &now, NAP_MEASURE / 2, 8, 100, 100), 0);
        now += NAP_MEMORY_MS * MS;
    }
}

static void one_in_flight_is_never_waited_with(void **state)
{
    (void)state;
    struct expectation e = {.began = NOW};
    for (int i = 0; i < 100; i++) {
        struct expectation_wait w = expectation_next(&e, 0, NOW, MS);
        assert_int_equal(w.least, 1);
        assert_int_equal(w.us, 0);
        expectation_came(&e, i % EXPECT_FROM, NOW);
    }
    struct expectation_wait w = expectation_next(&e, 5, NOW, MS); /* sends complete at once */
    assert_int_equal(w.least, 6);
    assert_int_equal(w.us, EXPECT_SENDS_US);
}

static void ends_are_waited_for_and_no_message(void **state)
{
    (void)state;
    struct expectation e = {.came = EXPECT_FROM, .began = NOW};
    struct expectation_wait w = expectation_ends(&e, 3);
    assert_int_equal(w.least, 3);
    assert_int_equal(w.us, 0);
    expectation_came(&e, 0, NOW);
    assert_int_equal(e.pause, 0); /* nothing was in vain */
    w = expectation_ends(&e, 0);
    assert_int_equal(w.least, 1);
    assert_int_equal(w.us, 0);
}

static void as_many_as_came_are_waited_for_and_one_more_is_tried(void **state)
{
    (void)state;
    struct expectation e = {.began = NOW};
    expectation_next(&e, 0, NOW, MS);
    expectation_came(&e, EXPECT_FROM, NOW);
    assert_int_equal(expectation_next(&e, 2, NOW, MS).least, 2 + EXPECT_FROM + 1);
    expectation_came(&e, EXPECT_FROM + 1, NOW);
    assert_int_equal(expectation_next(&e, 0, NOW, MS).least, EXPECT_FROM + 2);
    assert_int_equal(expectation_next(&e, 0, NOW, MS).us, EXPECT_US);
    expectation_came(&e, EXPECT_FROM + 1, NOW); /* it did not come */
    for (unsigned i = 0; i < EXPECT_PAUSE; i++) {
        assert_int_equal(expectation_next(&e, 0, NOW, MS).least, EXPECT_FROM + 1);
        expectation_came(&e, EXPECT_FROM + 1, NOW);
    }
    assert_int_equal(expectation_next(&e, 0, NOW, MS).least, EXPECT_FROM + 2); /* tried again */
    expectation_came(&e, 1000, NOW);
    assert_int_equal(expectation_next(&e, 0, NOW, MS).least, EXPECT_MOST);
}

/* A sample of messages that come one every `gap` of `sockets` sockets in turn, and what is expected after it. */
static struct expectation_wait after_a_sample(struct expectation *e, unsigned sockets, uint64_t gap, uint64_t *now)
{
    static uint32_t heard[1000];
    (void)expectation_next(e, 0, *now, MS);
    for (unsigned i = 0; i < EXPECT_SAMPLE; i++)
        expectation_heard(e, &heard[i % sockets]);
    *now += EXPECT_SAMPLE * gap;
    expectation_came(e, 1, *now);
    e->pause = 0;
    return expectation_next(e, 3, *now, MS);
}

static void a_part_of_a_crowd_is_waited_for(void **state)
{
    (void)state;
    static const struct {
        unsigned sockets;
        uint64_t gap;
        uint32_t least, us;
    } table[] = {
        {1, 5, 4, EXPECT_SENDS_US}, /* who talks alone is waited for by nobody */
        {EXPECT_TURN * 2 - 1, 5, 4, EXPECT_SENDS_US},
        {EXPECT_TURN * 2, 5, 5, 2 * 2 * 5 + 1},
        {60, 5, 3 + 60 / EXPECT_TURN, 2 * (60 / EXPECT_TURN) * 5 + 1},
        {60, EXPECT_TURN_US / 5, 3 + 5, 2 * EXPECT_TURN_US + 1}, /* no longer than that, however many there are */
        {60, EXPECT_TURN_US, 4, EXPECT_SENDS_US},
        {EXPECT_SAMPLE, 1, 3 + EXPECT_SAMPLE / EXPECT_TURN, 2 * (EXPECT_SAMPLE / EXPECT_TURN) + 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct expectation e = {0};
        uint64_t now = NOW;
        /* The first is not heard from its beginning. */
        (void)after_a_sample(&e, table[i].sockets, table[i].gap, &now);
        struct expectation_wait w = after_a_sample(&e, table[i].sockets, table[i].gap, &now);
        assert_int_equal(w.least, table[i].least);
        assert_int_equal(w.us, table[i].us);
    }
}

static void a_crowd_that_does_not_come_is_not_waited_for(void **state)
{
    (void)state;
    struct expectation e = {0};
    uint64_t now = NOW;
    (void)after_a_sample(&e, 60, 5, &now);
    assert_int_equal(after_a_sample(&e, 60, 5, &now).least, 3 + 60 / EXPECT_TURN);
    expectation_came(&e, 9, now);
    for (unsigned i = 0; i < EXPECT_PAUSE; i++) {
        assert_int_equal(expectation_next(&e, 0, now, MS).least, 1);
        expectation_came(&e, 1, now);
    }
    assert_int_equal(expectation_next(&e, 0, now, MS).least, 60 / EXPECT_TURN);
    /* Long after, it is no crowd. */
    expectation_came(&e, 60 / EXPECT_TURN, now);
    now += (EXPECT_SAMPLE_MS + 1) * MS;
    assert_int_equal(expectation_next(&e, 0, now, MS).least, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_of_a_crowd_is_waited_for),
        cmocka_unit_test(a_crowd_that_does_not_come_is_not_waited_for),
        cmocka_unit_test(only_a_stream_of_packets_is_napped_for),
        cmocka_unit_test(who_answers_naps_where_that_costs_no_packets),
        cmocka_unit_test(who_waits_for_his_own_answers_tries_it_seldom),
        cmocka_unit_test(a_little_less_is_noise),
        cmocka_unit_test(a_pause_is_no_measurement),
        cmocka_unit_test(one_in_flight_is_never_waited_with),
        cmocka_unit_test(ends_are_waited_for_and_no_message),
        cmocka_unit_test(as_many_as_came_are_waited_for_and_one_more_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Who watches its rings instead of sleeping, and when it gives that up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enclave/io/watch.h"

#define PER_MS 2000000ull
#define US(n) ((n) * (PER_MS / 1000))

struct stream {
    struct watch watch;
    uint64_t packets, sent, now;
};

/* So many packets have come and so many were sent in so long; does it watch now? */
static bool after(struct stream *s, uint64_t packets, uint64_t sent, uint64_t us)
{
    s->packets += packets;
    s->sent += sent;
    s->now += US(us);
    return watch_pays(&s->watch, s->packets, s->sent, s->now, PER_MS);
}

/* As often as it takes. */
static bool after_some(struct stream *s)
{
    bool watches = false;
    for (unsigned i = 0; i < WATCH_FROM; i++)
        watches = after(s, 1, 1, 25);
    return watches;
}

static void who_answers_and_is_answered_at_once_watches(void **state)
{
    (void)state;
    static const struct {
        uint64_t packets, sent, us;
        bool watches;
    } table[] = {
        {1, 1, 1, true},
        {1, 2, WATCH_PERIOD_US, true},
        {1, 1, WATCH_PERIOD_US + 1, false}, /* asked too seldom */
        {2, 2, 30, false},                  /* by several at once */
        {1, 0, 10, false},                  /* only receives */
        {0, 5, 10, false},                  /* only sends */
        {0, 0, 1000000, false},
    };
    struct stream s = {.now = 77};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_true(after_some(&s));
        assert_int_equal(after(&s, table[i].packets, table[i].sent, table[i].us), table[i].watches);
        if (!table[i].watches)
            for (unsigned n = 1; n < WATCH_FROM; n++)
                assert_false(after(&s, 1, 1, 25)); /* it has to show again */
    }
}

static void watching_in_vain_is_given_up(void **state)
{
    (void)state;
    struct stream s = {.now = 77};
    after_some(&s);
    int watched = 0;
    for (int i = 0; i < 100000; i++)
        if (after(&s, 1, 1, 25)) {
            watched++;
            watch_note(&s.watch, false);
        }
    assert_in_range(watched, 10, 13 + 100000 / WATCH_SKIP_MOST);
    /* It pays again: back to it within as many more. */
    watched = 0;
    for (int i = 0; i < 40000; i++)
        if (after(&s, 1, 1, 25)) {
            watched++;
            watch_note(&s.watch, true);
        }
    assert_true(watched > 30000);
    /* Once in vain is no matter then. */
    watch_note(&s.watch, false);
    assert_true(after(&s, 1, 1, 25));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_answers_and_is_answered_at_once_watches),
        cmocka_unit_test(watching_in_vain_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

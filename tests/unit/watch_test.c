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

static void who_answers_and_is_answered_at_once_watches(void **state)
{
    (void)state;
    struct stream s = {.now = 77};
    after(&s, 1, 1, 10);
    assert_true(after(&s, 1, 1, 25));
    assert_true(after(&s, 3, 3, 200));
    assert_true(after(&s, 1, 2, WATCH_PERIOD_US));
    assert_false(after(&s, 1, 1, WATCH_PERIOD_US + 1)); /* asked too seldom */
    assert_false(after(&s, 1, 0, 10));                  /* only receives */
    assert_false(after(&s, 4, 3, 10));
    assert_false(after(&s, 0, 5, 10)); /* only sends */
    assert_false(after(&s, 0, 0, 1000000));
}

static void watching_in_vain_is_given_up(void **state)
{
    (void)state;
    struct stream s = {.now = 77};
    after(&s, 1, 1, 10);
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

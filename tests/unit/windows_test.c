/* SPDX-License-Identifier: Apache-2.0 */
/* Windows on files: who has which, and what is read by one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "abi/exits.h"
#include "abi/file.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/order.h"
#include "enclave/io/windows.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define LONG_AGO 0 /* every use was */
#define NEVER_OLD (UINT64_MAX / 2)
#define PAGE 4096u

static struct {
    unsigned maps, steps, unmaps;
    int64_t answer; /* 0: all that was asked for */
} host;

/* ---- the enclave's surroundings; offsets in the arena are addresses here ---- */

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){offset};
}

uint64_t arena_window(uint64_t n)
{
    static uint8_t *all;
    assert_true(n < WINDOWS_MAX);
    if (!all)
        all = mmap(NULL, WINDOWS_MAX * WINDOW_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(all != MAP_FAILED);
    return (uint64_t)all + n * WINDOW_BYTES;
}

void lock_slow(struct lock *l)
{
    (void)l;
    fail_msg("a lock is taken twice");
}

/* Byte n of a file is n times its descriptor. */
int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)a5;
    assert_int_equal(number, EXIT_FILE_MAP);
    if (a0 == WINDOW_NO_FILE) {
        host.unmaps++;
        return 0;
    }
    host.maps += !a4;
    host.steps += a4 != 0;
    assert_true(a2 <= WINDOW_STEP && maximum == a2 && a4 <= WINDOW_BYTES - a2);
    for (uint64_t i = a4; i < a4 + a2; i++)
        ((uint8_t *)a3)[i] = (uint8_t)((a1 * PAGE + i) * a0);
    return host.answer ? host.answer : (int64_t)a2;
}

/* ---- tests ---- */

#define FILES 10

static struct window_file files[FILES];

static int fresh(void **state)
{
    (void)state;
    windows_restart();
    memset(&host, 0, sizeof host);
    memset(files, 0, sizeof files);
    for (int i = 0; i < FILES; i++)
        files[i].host_fd = 3 + i;
    windows_start(NEVER_OLD);
    return 0;
}

static int64_t move(struct window_file *f, uint64_t page, uint64_t length)
{
    return window_move(f, page, &length);
}

static void what_is_shown_is_read(void **state)
{
    (void)state;
    uint8_t bytes[64];
    assert_false(window_shows(&files[0], 0));
    assert_int_equal(window_read(&files[0], 0, 100, bytes, 4), 0);
    assert_int_equal(move(&files[0], 2 * PAGE, 2 * PAGE), 2 * PAGE);
    assert_false(window_shows(&files[0], 2 * PAGE - 1));
    assert_true(window_shows(&files[0], 2 * PAGE));
    assert_true(window_shows(&files[0], 4 * PAGE - 1));
    assert_false(window_shows(&files[0], 4 * PAGE));
    assert_int_equal(window_read(&files[0], 2 * PAGE + 5, 4 * PAGE, bytes, 64), 64);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(bytes[i], (uint8_t)((2 * PAGE + 5 + i) * 3));
    /* As far as the window goes, and as the file does. */
    assert_int_equal(window_read(&files[0], 4 * PAGE - 3, UINT64_MAX, bytes, 64), 3);
    assert_int_equal(window_read(&files[0], 2 * PAGE, 2 * PAGE + 7, bytes, 64), 7);
    assert_int_equal(window_read(&files[0], 2 * PAGE + 7, 2 * PAGE + 7, bytes, 64), 0);
    assert_int_equal(window_read(&files[0], PAGE, 9 * PAGE, bytes, 64), 0);
    assert_int_equal(order.watching, 1);
    window_release(&files[0]);
    assert_int_equal(host.unmaps, 1);
    assert_int_equal(order.watching, 0);
    window_release(&files[0]);
    assert_int_equal(host.unmaps, 1);
}

static void what_cannot_be_mapped_shows_nothing(void **state)
{
    (void)state;
    move(&files[0], 0, PAGE);
    host.answer = -ENODEV;
    assert_int_equal(move(&files[0], 2 * PAGE, PAGE), -ENODEV);
    assert_false(window_shows(&files[0], 0));
    assert_false(window_shows(&files[0], 2 * PAGE));
    window_release(&files[0]);
}

static void a_ninth_file_gets_what_is_not_in_use(void **state)
{
    (void)state;
    uint8_t byte;
    for (int i = 0; i < WINDOWS_MAX; i++)
        assert_int_equal(move(&files[i], 0, PAGE), PAGE);
    assert_int_equal(move(&files[8], 0, PAGE), -EAGAIN);
    windows_start(LONG_AGO);
    assert_int_equal(move(&files[8], 0, PAGE), PAGE); /* of the file that was used longest ago */
    windows_start(NEVER_OLD);
    assert_false(window_shows(&files[0], 0));
    assert_int_equal(window_read(&files[0], 1, PAGE, &byte, 1), 0);
    assert_int_equal(window_read(&files[8], 1, PAGE, &byte, 1), 1);
    assert_int_equal(byte, 11);
    assert_int_equal(move(&files[0], 0, PAGE), -EAGAIN); /* it has none any more */
    move(&files[1], PAGE, PAGE);                         /* its own */
    assert_true(window_shows(&files[1], PAGE));
    windows_start(LONG_AGO);
    move(&files[9], 0, PAGE);
    assert_false(window_shows(&files[2], 0));
    window_release(&files[2]); /* what is another's stays */
    assert_true(window_shows(&files[9], 0));
    assert_int_equal(order.watching, WINDOWS_MAX);
    windows_restart();
    assert_int_equal(order.watching, 0);
    assert_false(window_shows(&files[9], 0));
}

static void it_grows_by_what_follows(void **state)
{
    (void)state;
    uint8_t bytes[2];
    uint64_t length = WINDOW_BYTES, at = 3 * PAGE;
    assert_int_equal(window_move(&files[0], at, &length), WINDOW_STEP);
    assert_int_equal(length, WINDOW_STEP);
    for (at += length; at < 3 * PAGE + WINDOW_BYTES - 2 * PAGE; at += length) {
        length = at > WINDOW_BYTES - 2 * WINDOW_STEP ? PAGE : WINDOW_STEP;
        assert_int_equal(window_move(&files[0], at, &length), length);
    }
    assert_int_equal(host.maps, 1);
    assert_int_equal(at, WINDOW_BYTES + PAGE);
    /* All of it is shown, across the steps too. */
    assert_true(window_shows(&files[0], 3 * PAGE) && window_shows(&files[0], at - 1) && !window_shows(&files[0], at));
    assert_int_equal(window_read(&files[0], 3 * PAGE + WINDOW_STEP - 1, UINT64_MAX, bytes, 2), 2);
    assert_int_equal(bytes[1], 0);
    assert_int_equal(bytes[0], (uint8_t)(3 * (WINDOW_STEP - 1)));
    /* No further than there is room for it; then anew. */
    length = WINDOW_STEP;
    assert_int_equal(window_move(&files[0], at, &length), 2 * PAGE);
    assert_int_equal(length, 2 * PAGE);
    at += length;
    length = WINDOW_STEP;
    assert_int_equal(window_move(&files[0], at, &length), WINDOW_STEP);
    assert_int_equal(host.maps, 2);
    assert_false(window_shows(&files[0], at - 1));
    assert_true(window_shows(&files[0], at + WINDOW_STEP - 1));
    /* What cannot be added leaves what there is; what does not follow is mapped anew. */
    host.answer = -EIO;
    length = WINDOW_STEP;
    assert_int_equal(window_move(&files[0], at + WINDOW_STEP, &length), -EIO);
    assert_true(window_shows(&files[0], at + WINDOW_STEP - 1) && !window_shows(&files[0], at + WINDOW_STEP));
    host.answer = 0;
    length = PAGE;
    assert_int_equal(window_move(&files[0], at + WINDOW_STEP + PAGE, &length), PAGE);
    assert_int_equal(host.maps, 3);
    assert_false(window_shows(&files[0], at + WINDOW_STEP - 1));
    window_release(&files[0]);
    /* What was there before it is nobody's any more. */
    assert_int_equal(move(&files[0], 0, PAGE), PAGE);
    assert_int_equal(host.maps, 4);
    assert_true(window_shows(&files[0], 0));
    window_release(&files[0]);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_shown_is_read),
        TEST(it_grows_by_what_follows),
        TEST(what_cannot_be_mapped_shows_nothing),
        TEST(a_ninth_file_gets_what_is_not_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

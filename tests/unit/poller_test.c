/* SPDX-License-Identifier: Apache-2.0 */
/* When the monitor polls: time, the machine and the rings are the test's. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/poller.h"
#include "host/segments.h"
#include "host/thread.h"
#include "host/xsk.h"

#define MS 1000000ull
#define STAT_FD 1000

static struct {
    uint64_t now, cpu;        /* ns */
    uint64_t core_percent;    /* of the time that the thread is given where it runs */
    uint64_t idle_percent;    /* of a core, on the machine */
    uint64_t idle;            /* ns so far */
    bool served;
    unsigned work; /* looks that find something, */
    unsigned each; /* so many packets each */
    uint32_t sent;
    int cpus; /* that this process may use */
    unsigned slept, serves, late; /* the last: that the enclave is no longer told of */
} world;

static void passes(uint64_t ns, bool runs)
{
    world.now += ns;
    world.idle += ns * world.idle_percent / 100;
    if (runs)
        world.cpu += ns * world.core_percent / 100;
}

/* ---- the machine ---- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __wrap_read(int fd, void *to, size_t size);
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    uint64_t ns = clock == CLOCK_THREAD_CPUTIME_ID ? world.cpu : world.now;
    *t = (struct timespec){(time_t)(ns / (1000 * MS)), (long)(ns % (1000 * MS))};
    return 0;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
    (void)left;
    world.slept++;
    passes((uint64_t)t->tv_nsec, false);
    return 0;
}

int __wrap_open64(const char *path, int flags, ...)
{
    assert_string_equal(path, "/proc/stat");
    (void)flags;
    return STAT_FD;
}

ssize_t __wrap_read(int fd, void *to, size_t size)
{
    return fd != STAT_FD ? __real_read(fd, to, size)
                         : snprintf(to, size, "cpu  1 1 1 9 9\ncpu0 5 5 5 %llu 0 0\nintr 7\n", world.idle / (10 * MS));
}

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    (void)pid;
    memset(set, 0, size);
    for (int i = 0; i < world.cpus; i++)
        CPU_SET(i, set);
    return 0;
}

int __wrap_close(int fd)
{
    return fd == STAT_FD ? 0 : __real_close(fd);
}

bool xsk_host_serve(void)
{
    world.serves++;
    world.late += !world.served;
    passes(10000, true);
    world.sent += world.work ? world.each : 0;
    return world.work && world.work--;
}

uint32_t xsk_host_sent(void)
{
    return world.sent - 1000; /* it may wrap */
}

uint32_t segments_sent(void)
{
    return 500;
}

bool segments_serve(void)
{
    return false;
}

void threads_served(bool served)
{
    world.served = served;
}

static int fresh(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.now = 1000 * MS;
    world.core_percent = world.idle_percent = 100;
    world.work = UINT32_MAX;
    world.each = 2;
    world.cpus = 2;
    poller_forked();
    return 0;
}

/* So many looks, at each of which kicks have taken that part of the time. */
static bool looks(unsigned count, unsigned percent)
{
    bool polls = false;
    for (unsigned i = 0; i < count; i++) {
        poller_pause(MS / 2);
        world.sent += world.served ? 0 : 75; /* 150 a millisecond; by polling 200 */
        polls = poller_note(percent, 100);
    }
    return polls;
}

static void idle_time_is_that_of_the_cpus_allowed(void **state)
{
    (void)state;
    static const char stat[] = "cpu  9 9 9 900 900 0\ncpu0 1 2 3 40 5 0 0\ncpu1 1 2 3 600 70 0\ncpu11 1 2 3 8000 0 1\nintr 1 2\n";
    const unsigned char first[2] = {1, 0}, some[2] = {2, 8}, none[2] = {0};
    assert_int_equal(poller_idle_ticks(stat, first, 16), 45);
    assert_int_equal(poller_idle_ticks(stat, some, 16), 8670);
    assert_int_equal(poller_idle_ticks(stat, some, 8), 670);
    assert_int_equal(poller_idle_ticks(stat, none, 16), 0);
    assert_int_equal(poller_idle_ticks("", first, 16), 0);
}

static void it_polls_where_kicks_take_long_and_a_core_is_idle(void **state)
{
    (void)state;
    assert_false(looks(150, 50));
    assert_false(world.served);
    assert_true(looks(60, 50));
    assert_true(world.served);
    unsigned slept = world.slept;
    world.work = UINT32_MAX;
    assert_true(looks(100, 0));
    assert_int_equal(world.slept, slept); /* and does not sleep meanwhile */
    assert_true(world.serves > 1000);
    assert_int_equal(poller_times(), 1);
    /* Nothing to send: it ends, having looked once more after it said so. */
    world.work = 0;
    assert_false(looks(10, 0));
    assert_false(world.served);
    assert_in_range(poller_ms(), 50, 60);
    assert_int_equal(world.late, 1);
}

static void seldom_or_short_it_does_not(void **state)
{
    (void)state;
    assert_false(looks(1000, 11));
    for (unsigned i = 0; i < 20; i++) {
        assert_false(looks(150, 50));
        assert_false(looks(1, 0));
    }
    assert_int_equal(world.serves, 0);
}

static void nor_on_a_single_core(void **state)
{
    (void)state;
    world.cpus = 1;
    assert_false(looks(5000, 50));
    assert_int_equal(world.serves, 0);
}

static void nor_where_no_core_is_idle(void **state)
{
    (void)state;
    world.idle_percent = 60;
    assert_false(looks(5000, 100));
    assert_int_equal(world.serves, 0);
    world.idle_percent = 90;
    assert_true(looks(1500, 100)); /* it is looked for again */
}

static void who_is_not_given_the_core_lets_go_of_it(void **state)
{
    (void)state;
    uint64_t before = 0;
    world.core_percent = 80;
    for (unsigned i = 0; i < 4; i++) {
        world.work = UINT32_MAX;
        uint64_t began = world.now;
        while (!world.served && world.now - began < 20000 * MS)
            looks(1, 100);
        assert_true(world.served);
        uint64_t took = world.now - began;
        assert_true(!i || took > before + before / 2); /* later each time */
        before = took;
        began = world.now;
        while (world.served)
            looks(1, 0);
        assert_true(world.now - began < 50 * MS);
    }
}

static void who_sends_hardly_more_lets_go_of_the_core(void **state)
{
    (void)state;
    world.each = 1;
    assert_true(looks(210, 50));
    assert_false(looks(200, 0)); /* it sends less */
    assert_in_range(poller_ms(), 55, 65);
    world.each = 2;
    assert_false(looks(500, 50)); /* it is not tried again at once */
    assert_true(looks(2000, 50));
    assert_true(looks(1000, 0)); /* once known to be worth it */
    world.each = 0;
    assert_true(looks(4000, 0));
    assert_int_equal(poller_times(), 2);
    /* The next time is another. */
    poller_stop();
    world.each = 1;
    assert_true(looks(210, 50));
    assert_false(looks(200, 0));
}

static void its_end_ends_it(void **state)
{
    (void)state;
    assert_true(looks(210, 50));
    world.work = 5;
    poller_stop();
    assert_false(world.served);
    assert_int_equal(world.late, 6); /* all of it */
    poller_stop();
    assert_false(looks(1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_time_is_that_of_the_cpus_allowed),
        cmocka_unit_test_setup(it_polls_where_kicks_take_long_and_a_core_is_idle, fresh),
        cmocka_unit_test_setup(seldom_or_short_it_does_not, fresh),
        cmocka_unit_test_setup(nor_on_a_single_core, fresh),
        cmocka_unit_test_setup(nor_where_no_core_is_idle, fresh),
        cmocka_unit_test_setup(who_is_not_given_the_core_lets_go_of_it, fresh),
        cmocka_unit_test_setup(who_sends_hardly_more_lets_go_of_the_core, fresh),
        cmocka_unit_test_setup(its_end_ends_it, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

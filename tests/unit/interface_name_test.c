/* SPDX-License-Identifier: Apache-2.0 */
/* What the host has said of interfaces' names, and for how long it is good. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <linux/sockios.h>
#include <net/if.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lock.h"
#include "enclave/os/interface_name.h"
#include "enclave/os/time.h"

static struct {
    uint64_t now;
    unsigned asked;
    int64_t result;
    const char *prefix;
} world;

uint64_t time_monotonic_ns(void)
{
    return world.now;
}

int64_t host_fd_struct(uint64_t number, uint64_t exit_flags, int fd, uint64_t command, void *argument, size_t in,
                       size_t out)
{
    struct ifreq *r = argument;
    (void)number, (void)exit_flags;
    assert_int_equal(fd, 9);
    assert_int_equal(command, SIOCGIFNAME);
    assert_true(in == sizeof *r && out == sizeof *r);
    world.asked++;
    snprintf(r->ifr_name, sizeof r->ifr_name, "%s%d", world.prefix, r->ifr_ifindex);
    r->ifr_ifindex += 1000; /* which nobody is to believe */
    return world.result;
}

int user_read(void *to, const void *from, size_t length)
{
    if (!from)
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

int user_write(void *to, const void *from, size_t length)
{
    memcpy(to, from, length);
    return 0;
}

void lock_slow(struct lock *l)
{
    (void)l;
    fail_msg("a lock is taken twice");
}

static struct file file = {.host_fd = 9};

static const char *name(int index)
{
    static struct ifreq r;
    memset(&r, 'x', sizeof r);
    r.ifr_ifindex = index;
    assert_int_equal(interface_name(&file, (uint64_t)&r), 0);
    assert_int_equal(r.ifr_ifindex, index);
    return r.ifr_name;
}

static int fresh(void **state)
{
    (void)state;
    world.now += 1000000000000;
    world.asked = 0;
    world.result = 0;
    world.prefix = "eth";
    return 0;
}

static void what_was_said_is_good_for_a_while(void **state)
{
    (void)state;
    assert_string_equal(name(7), "eth7");
    world.prefix = "lan";
    world.now += 99000000;
    assert_string_equal(name(7), "eth7");
    assert_int_equal(world.asked, 1);
    world.now += 2000000;
    assert_string_equal(name(7), "lan7");
    assert_int_equal(world.asked, 2);
}

static void each_has_its_own(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++)
        for (int i = 1; i <= 4; i++, world.now++) {
            char want[IFNAMSIZ];
            snprintf(want, sizeof want, "eth%d", i);
            assert_string_equal(name(i), want);
        }
    assert_int_equal(world.asked, 4);
    assert_string_equal(name(5), "eth5"); /* for which the oldest makes room */
    assert_string_equal(name(4), "eth4");
    assert_int_equal(world.asked, 5);
    assert_string_equal(name(1), "eth1");
    assert_int_equal(world.asked, 6);
    assert_string_equal(name(5), "eth5");
    assert_int_equal(world.asked, 6);
}

static void errors_are_not_kept(void **state)
{
    (void)state;
    struct ifreq r = {.ifr_ifindex = 3};
    world.result = -ENODEV;
    assert_int_equal(interface_name(&file, (uint64_t)&r), -ENODEV);
    assert_int_equal(interface_name(&file, (uint64_t)&r), -ENODEV);
    assert_int_equal(world.asked, 2);
    world.result = 0;
    assert_string_equal(name(3), "eth3");
    assert_int_equal(interface_name(&file, 0), -EFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_said_is_good_for_a_while, fresh),
        cmocka_unit_test_setup(each_has_its_own, fresh),
        cmocka_unit_test_setup(errors_are_not_kept, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

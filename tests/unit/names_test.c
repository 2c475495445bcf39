/* SPDX-License-Identifier: Apache-2.0 */
/* What a program is told of the host's names, with a configuration that allows it and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "abi/config.h"
#include "enclave/enclave.h"
#include "enclave/os/names.h"

struct enclave enclave;

static void configure(uint64_t flags)
{
    static struct configuration configuration;
    configuration.flags = flags;
    enclave.configuration = &configuration;
}

/* As the host has left it in a field of 65 bytes. */
static const char *told(const char *name, size_t n)
{
    static char field[65];
    memset(field, 'x', sizeof field);
    memcpy(field, name, n);
    names_settle(field, sizeof field);
    assert_non_null(memchr(field, 0, sizeof field));
    return field;
}

#define TOLD(name) told(name, sizeof name)

static void the_name_is_told_if_it_is_one(void **state)
{
    (void)state;
    configure(CONFIGURATION_HOST_NAMES);
    assert_string_equal(TOLD("a"), "a");
    assert_string_equal(TOLD("node-7.example.org"), "node-7.example.org");
    assert_string_equal(TOLD("my_host"), "my_host");
    assert_string_equal(TOLD(""), "localhost");
    assert_string_equal(TOLD("-x"), "localhost");
    assert_string_equal(TOLD(".x"), "localhost");
    assert_string_equal(TOLD("a b"), "localhost");
    assert_string_equal(TOLD("a\n127.0.0.1"), "localhost");
    assert_string_equal(TOLD("$(reboot)"), "localhost");
    assert_string_equal(TOLD("\xc3\xa4"), "localhost");
    char endless[65];
    memset(endless, 'a', sizeof endless);
    assert_string_equal(told(endless, sizeof endless), "localhost");
    endless[64] = 0;
    assert_string_equal(told(endless, sizeof endless), endless);
}

static void without_leave_it_is_localhost(void **state)
{
    (void)state;
    configure(CONFIGURATION_DEVELOPMENT);
    assert_string_equal(TOLD("node-7"), "localhost");
    assert_string_equal(TOLD(""), "localhost");
}

static void files_are_made_up_without_leave(void **state)
{
    (void)state;
    configure(CONFIGURATION_HOST_NAMES);
    assert_null(names_text("/etc/hosts"));
    assert_null(names_text("/etc/passwd"));
    configure(0);
    assert_non_null(strstr(names_text("/etc/hosts"), "127.0.0.1\tlocalhost\n"));
    assert_string_equal(names_text("/etc/hostname"), "localhost\n");
    assert_null(strstr(names_text("/etc/resolv.conf"), "nameserver"));
    assert_null(names_text("/etc/passwd"));
    assert_null(names_text("/etc/host"));
    assert_null(names_text("/etc/hosts/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_told_if_it_is_one),
        cmocka_unit_test(without_leave_it_is_localhost),
        cmocka_unit_test(files_are_made_up_without_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration blob: read as the enclave reads it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "enclave/boundary/log.h"
#include "enclave/enclave.h"
#include "host/configuration.h"

struct enclave enclave;
static jmp_buf stopped;

void panic(const char *format, ...)
{
    (void)format;
    longjmp(stopped, 1);
}

static const char *string_at(const struct configuration *c, uint32_t offset)
{
    enclave.configuration = c;
    if (setjmp(stopped))
        fail_msg("there is no string at %u", offset);
    return configuration_string(offset);
}

static const char *string(const struct configuration *c, const struct configuration_strings *table,
                          uint32_t index)
{
    enclave.configuration = c;
    if (setjmp(stopped))
        fail_msg("there is no string number %u", index);
    return configuration_string(configuration_strings(table, index));
}

static char *words[] = {"prog", "", "-x", "a longer argument with spaces", NULL};
static char *variables[] = {"PATH=/bin", "EMPTY=", NULL};

static struct run_options options(void)
{
    return (struct run_options){
        .program = "/usr/bin/prog",
        .arguments = words,
        .environment = variables,
        .enclave_size = 1ull << 30,
        .log_level = LOG_INFO,
    };
}

static void test_strings(void **state)
{
    (void)state;
    struct run_options o = options();
    o.rings = true;
    o.interfaces[0] = "eth0";
    o.interfaces[1] = "v1";
    o.interface_count = 2;
    struct configuration *c = configuration_make(&o);
    assert_non_null(c);
    assert_string_equal(string_at(c, c->program), "/usr/bin/prog");
    assert_int_equal(c->arguments.count, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_string_equal(string(c, &c->arguments, i), words[i]);
    assert_int_equal(c->environment.count, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_string_equal(string(c, &c->environment, i), variables[i]);
    assert_int_equal(c->interfaces.count, 2);
    assert_string_equal(string(c, &c->interfaces, 0), "eth0");
    assert_string_equal(string(c, &c->interfaces, 1), "v1");
    free(c);
}

static void test_values(void **state)
{
    (void)state;
    struct run_options o = options();
    struct configuration *c = configuration_make(&o);
    assert_non_null(c);
    assert_true(c->magic == CONFIGURATION_MAGIC);
    assert_int_equal(c->version, ABI_VERSION);
    assert_int_equal(c->enclave_size, 1ull << 30);
    assert_int_equal(c->log_level, LOG_INFO);
    assert_int_equal(c->flags, CONFIGURATION_DEVELOPMENT);
    free(c);

    o.rings = true;
    o.statistics_path = "-";
    c = configuration_make(&o);
    assert_non_null(c);
    assert_int_equal(c->flags,
                     CONFIGURATION_DEVELOPMENT | CONFIGURATION_RINGS | CONFIGURATION_STATISTICS);
    free(c);
}

/* The pages are measured to their end: what the blob does not fill is zero. */
static void test_rest_of_the_last_page_is_zero(void **state)
{
    (void)state;
    struct run_options o = options();
    struct configuration *c = configuration_make(&o);
    assert_non_null(c);
    assert_int_equal((uintptr_t)c % PAGE_SIZE, 0);
    for (uint64_t i = c->size; i % PAGE_SIZE; i++)
        assert_int_equal(((uint8_t *)c)[i], 0);
    free(c);
}

static void test_more_than_a_page(void **state)
{
    (void)state;
    char *many[3001];
    for (int i = 0; i < 3000; i++)
        many[i] = words[3];
    many[3000] = NULL;
    struct run_options o = options();
    o.arguments = many;
    struct configuration *c = configuration_make(&o);
    assert_non_null(c);
    assert_true(c->size > 3000 * (strlen(words[3]) + 5));
    assert_int_equal(c->arguments.count, 3000);
    assert_string_equal(string(c, &c->arguments, 2999), words[3]);
    assert_string_equal(string(c, &c->environment, 1), "EMPTY=");
    free(c);
}

static void test_stack_follows_the_limit(void **state)
{
    (void)state;
    static const struct {
        rlim_t limit;
        uint64_t size;
    } cases[] = {
        {RLIM_INFINITY, 8 << 20},   {64 << 20, 8 << 20}, {8 << 20, 8 << 20},
        {(1 << 20) + 100, 1 << 20}, {1000, 128 << 10},
    };
    struct rlimit old, limit;
    struct run_options o = options();
    assert_int_equal(getrlimit(RLIMIT_STACK, &old), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        limit = (struct rlimit){.rlim_cur = cases[i].limit, .rlim_max = old.rlim_max};
        if (setrlimit(RLIMIT_STACK, &limit))
            continue; /* above this user's hard limit */
        struct configuration *c = configuration_make(&o);
        setrlimit(RLIMIT_STACK, &old);
        assert_non_null(c);
        assert_int_equal(c->stack_size, cases[i].size);
        free(c);
    }
}

static void test_too_much_is_refused(void **state)
{
    (void)state;
    size_t size = 80u << 20;
    char *huge = malloc(size);
    assert_non_null(huge);
    memset(huge, 'x', size - 1);
    huge[size - 1] = '\0';
    char *one[] = {huge, NULL};
    struct run_options o = options();
    o.arguments = one;
    errno = 0;
    assert_null(configuration_make(&o));
    assert_int_equal(errno, E2BIG);
    free(huge);
}

static void test_what_is_outside_stops_the_enclave(void **state)
{
    (void)state;
    struct {
        struct configuration c;
        uint32_t table[2];
        char text[8];
    } blob = {.c.size = sizeof blob, .table = {sizeof blob.c + 8, 0}, .text = "endless"};
    const uint32_t at = sizeof blob.c, size = sizeof blob;
    const struct configuration_strings tables[] = {
        {1, at + 2},              /* not aligned */
        {(size - at) / 4 + 1, at}, /* longer than what is left */
        {UINT32_MAX, at},
        {1, size + 4},
        {1, UINT32_MAX - 3},
        {0, at}, /* has no entry */
    };
    const uint32_t strings[] = {size, size + 1, UINT32_MAX};
    enclave.configuration = &blob.c;
    assert_string_equal(string(&blob.c, &(struct configuration_strings){1, at}, 0), "endless");
    for (volatile size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (!setjmp(stopped)) {
            configuration_strings(&tables[i], 0);
            fail_msg("table %zu is believed", i);
        }
    }
    blob.text[7] = 'x'; /* no NUL up to the end */
    for (volatile size_t i = 0; i <= sizeof strings / sizeof *strings; i++) {
        if (!setjmp(stopped)) {
            configuration_string(i ? strings[i - 1] : at + 8);
            fail_msg("string %zu is believed", i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_rest_of_the_last_page_is_zero),
        cmocka_unit_test(test_more_than_a_page),
        cmocka_unit_test(test_stack_follows_the_limit),
        cmocka_unit_test(test_too_much_is_refused),
        cmocka_unit_test(test_what_is_outside_stops_the_enclave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

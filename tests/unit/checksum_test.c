/* SPDX-License-Identifier: Apache-2.0 */
/* The Internet checksum, and the sums taken on the way to and from untrusted memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/boundary/sum.h"
#include "enclave/lib/address.h"
#include "enclave/net/checksum.h"

/* RFC 1071 to the letter. */
static uint32_t plain_sum(const uint8_t *p, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += i % 2 ? p[i] : p[i] * 256u;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)sum;
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
}

static void the_example_of_the_rfc(void **state)
{
    const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    (void)state;
    assert_int_equal(checksum_sum(bytes, sizeof bytes), 0xddf2);
}

static void every_length_and_alignment(void **state)
{
    static _Alignas(8) uint8_t bytes[2100];
    (void)state;
    fill(bytes, sizeof bytes, 1);
    for (size_t skip = 0; skip < 8; skip++) {
        for (size_t n = 0; n < 300; n++)
            assert_int_equal(checksum_sum(bytes + skip, n), plain_sum(bytes + skip, n));
        assert_int_equal(checksum_sum(bytes + skip, 2001), plain_sum(bytes + skip, 2001));
    }
}

static void the_longest_piece_of_ones(void **state)
{
    uint8_t *bytes = malloc(CHECKSUM_LENGTH_MAX);
    (void)state;
    memset(bytes, 0xff, CHECKSUM_LENGTH_MAX);
    assert_int_equal(checksum_sum(bytes, CHECKSUM_LENGTH_MAX), 0xffff);
    free(bytes);
}

static void folding_carries_to_the_end(void **state)
{
    static const struct {
        uint64_t sum;
        uint16_t folded;
    } cases[] = {
        {0, 0},
        {0xffff, 0xffff},
        {0x10000, 1},
        {0x1ffff, 1},
        {0x1fffe, 0xffff},
        {0xffffffff, 0xffff},
        {0xffff0001ffffull, 1},
        {UINT64_MAX, 0xffff},
        {UINT64_MAX - 1, 0xfffe},
        {0xffff000000000000ull, 0xffff},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(checksum_fold(cases[i].sum), cases[i].folded);
}

static void the_pseudo_header(void **state)
{
    (void)state;
    /* 192.0.2.1 → 198.51.100.2, UDP, length 0x10 */
    const uint8_t header[] = {192, 0, 2, 1, 198, 51, 100, 2, 0, 17, 0, 16};
    assert_int_equal(checksum_fold(checksum_pseudo(ip_four(0xc0000201), ip_four(0xc6336402), 16)),
                     plain_sum(header, sizeof header));
    /* 2001:db8:1:2:3:4:5:6 → fe80::ff:fe00:9, length 0x12345 */
    const struct ip_address from = {0x20010db800010002, 0x0003000400050006},
                            to = {0xfe80000000000000, 0x000000fffe000009};
    const uint8_t six[] = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6,
                           0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 9,
                           0, 1, 0x23, 0x45, 0, 0, 0, 17};
    assert_int_equal(checksum_pseudo(from, to, 0x12345), plain_sum(six, sizeof six));
}

static void sums_of_untrusted_bytes(void **state)
{
    static _Alignas(8) uint8_t bytes[2100];
    (void)state;
    fill(bytes, sizeof bytes, 2);
    for (size_t skip = 0; skip < 8; skip++)
        for (size_t n = 0; n < 200; n++)
            assert_int_equal(untrusted_sum((struct untrusted){(uint64_t)(bytes + skip)}, n),
                             plain_sum(bytes + skip, n));
}

static void writing_sums_and_pads(void **state)
{
    static _Alignas(8) uint8_t target[300];
    uint8_t from[280];
    (void)state;
    fill(from, sizeof from, 3);
    for (size_t n = 0; n < 270; n++) {
        memset(target, 0xee, sizeof target);
        assert_int_equal(untrusted_write_sum((struct untrusted){(uint64_t)target}, from, n),
                         plain_sum(from, n));
        assert_memory_equal(target, from, n);
        for (size_t i = n; i < (n + 7) / 8 * 8; i++)
            assert_int_equal(target[i], 0);
        assert_int_equal(target[(n + 7) / 8 * 8], 0xee);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc),     cmocka_unit_test(every_length_and_alignment),
        cmocka_unit_test(the_longest_piece_of_ones),  cmocka_unit_test(folding_carries_to_the_end),
        cmocka_unit_test(the_pseudo_header),          cmocka_unit_test(sums_of_untrusted_bytes),
        cmocka_unit_test(writing_sums_and_pads),
    };
    return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* MRENCLAVE of small enclaves: the values were computed from the SDM's description by another
 * program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/measure.h"
#include "platform/sgx_arch.h"

#define PAGE 4096u

static uint8_t pattern[PAGE];

static void page(struct measurement *m, uint64_t offset, uint64_t flags, const uint8_t *contents)
{
    static const uint8_t zeros[256];
    measure_add(m, offset, flags);
    for (uint64_t at = 0; at < PAGE; at += 256)
        measure_extend(m, offset + at, contents ? contents + at : zeros);
}

static void expect(struct measurement *m, const char *wanted)
{
    uint8_t mrenclave[32], so_far[32];
    char found[65];
    measure_so_far(m, so_far);
    measure_final(m, mrenclave);
    assert_memory_equal(so_far, mrenclave, sizeof so_far);
    for (int i = 0; i < 32; i++)
        snprintf(found + 2 * i, 3, "%02x", mrenclave[i]);
    assert_string_equal(found, wanted);
}

static struct measurement *start(uint32_t ssa_frame_pages, uint64_t size)
{
    struct measurement *m;
    assert_int_equal(measure_create(&m, ssa_frame_pages, size), 0);
    return m;
}

static void test_empty(void **state)
{
    (void)state;
    expect(start(1, 1u << 20), "09dd4f7e3bdad50feaf23f659e694763daba2e9f10b8be5976b5d570c5d5af11");
}

static void test_kinds_of_pages(void **state)
{
    (void)state;
    struct measurement *m = start(1, 1ull << 34);
    page(m, 0x3000, SECINFO_REG | SECINFO_R | SECINFO_X, pattern);
    measure_add(m, 0x4000, SECINFO_REG | SECINFO_R | SECINFO_W); /* not measured */
    page(m, 0x10000, SECINFO_TCS, NULL);
    expect(m, "834862918e03b195b458f43b8522c1498bbb40b51e306ec5b10bb0c5c37a2b22");
}

/* More than is buffered, and in pieces that do not fill the buffer evenly. */
static void test_many_pages(void **state)
{
    (void)state;
    const uint64_t flags = SECINFO_REG | SECINFO_R | SECINFO_W;
    struct measurement *m = start(2, 1ull << 32);
    for (uint64_t p = 0; p < 40; p++) {
        if (p % 3)
            page(m, p * PAGE, flags, pattern);
        else
            measure_add(m, p * PAGE, flags);
    }
    expect(m, "41725266ae98abf620c3444e496651c8307118657a0f21eace8f88ca2a7683dd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_kinds_of_pages),
        cmocka_unit_test(test_many_pages),
    };
    for (unsigned i = 0; i < PAGE; i++)
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* EREPORT and EGETKEY in software: AES-CMAC by the vectors of RFC 4493, and who can verify whose report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "platform/emu/emu.h"

static struct machine here, other;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(emu_fuses_read(&here.fuses), 0);
    here.options.attributes = ATTRIBUTE_MODE64BIT;
    here.options.xfrm = XFRM_LEGACY;
    here.options.miscselect = MISCSELECT_EXINFO;
    memset(here.mrenclave, 0x11, 32);
    memset(here.mrsigner, 0x22, 32);
    here.isvsvn = 3;
    other = here;
    return 0;
}

static void cmac_by_the_vectors(void **state)
{
    (void)state;
    static const uint8_t key[16] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
                                    0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};
    static const uint8_t message[64] = {
        0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a,
        0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e, 0x51,
        0x30, 0xc8, 0x1c, 0x46, 0xa3, 0x5c, 0xe4, 0x11, 0xe5, 0xfb, 0xc1, 0x19, 0x1a, 0x0a, 0x52, 0xef,
        0xf6, 0x9f, 0x24, 0x45, 0xdf, 0x4f, 0x9b, 0x17, 0xad, 0x2b, 0x41, 0x7b, 0xe6, 0x6c, 0x37, 0x10};
    static const struct {
        uint64_t length;
        uint8_t mac[16];
    } vectors[] = {
        {0, {0xbb, 0x1d, 0x69, 0x29, 0xe9, 0x59, 0x37, 0x28, 0x7f, 0xa3, 0x7d, 0x12, 0x9b, 0x75, 0x67, 0x46}},
        {16, {0x07, 0x0a, 0x16, 0xb4, 0x6b, 0x4d, 0x41, 0x44, 0xf7, 0x9b, 0xdd, 0x9d, 0xd0, 0x4a, 0x28, 0x7c}},
        {40, {0xdf, 0xa6, 0x67, 0x47, 0xde, 0x9a, 0xe6, 0x30, 0x30, 0xca, 0x32, 0x61, 0x14, 0x97, 0xc8, 0x27}},
        {64, {0x51, 0xf0, 0xbe, 0xbf, 0x7e, 0x3b, 0x9d, 0x92, 0xfc, 0x49, 0x74, 0x17, 0x79, 0x36, 0x3c, 0xfe}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint8_t mac[16];
        emu_cmac(&here.fuses, key, message, vectors[i].length, mac);
        assert_memory_equal(mac, vectors[i].mac, 16);
    }
}

static struct sgx_targetinfo target_of(const struct machine *m)
{
    struct sgx_targetinfo t = {.attributes = m->options.attributes | ATTRIBUTE_INIT,
                               .xfrm = m->options.xfrm,
                               .miscselect = m->options.miscselect};
    memcpy(t.mrenclave, m->mrenclave, 32);
    return t;
}

static bool verified(const struct machine *by, const struct sgx_report *r)
{
    struct sgx_keyrequest q = {.keyname = KEYNAME_REPORT};
    uint8_t key[16], mac[16];
    uint64_t error;
    memcpy(q.keyid, r->keyid, sizeof q.keyid);
    assert_true(emu_egetkey(by, &q, key, &error));
    assert_int_equal(error, 0);
    emu_cmac(&by->fuses, key, (const uint8_t *)r, REPORT_MAC_COVERS, mac);
    return !memcmp(mac, r->mac, 16);
}

static void the_target_verifies_a_report_and_nobody_else(void **state)
{
    (void)state;
    struct sgx_report r;
    uint8_t data[64];
    memset(data, 0x5a, sizeof data);
    struct sgx_targetinfo t = target_of(&here);
    assert_true(emu_ereport(&here, &t, data, &r));
    assert_memory_equal(r.data, data, 64);
    assert_memory_equal(r.mrenclave, here.mrenclave, 32);
    assert_memory_equal(r.mrsigner, here.mrsigner, 32);
    assert_true(r.attributes & ATTRIBUTE_INIT);
    assert_int_equal(r.isvsvn, 3);
    assert_true(verified(&here, &r));
    r.data[63] ^= 1;
    assert_false(verified(&here, &r));
    r.data[63] ^= 1;

    other = here;
    other.mrenclave[31] ^= 1;
    assert_false(verified(&other, &r));
    other = here;
    other.options.attributes |= ATTRIBUTE_DEBUG;
    assert_false(verified(&other, &r));
    other = here;
    other.fuses.key[0] ^= 1; /* another machine */
    assert_false(verified(&other, &r));
    /* Another start of the same enclave, whose report key id differs: the report carries its own. */
    other = here;
    memset(other.fuses.report_id, 7, 32);
    assert_true(verified(&other, &r));
}

static void a_report_can_be_for_another_enclave(void **state)
{
    (void)state;
    struct sgx_report r;
    uint8_t data[64] = {0};
    other = here;
    memset(other.mrenclave, 0x33, 32);
    struct sgx_targetinfo t = target_of(&other);
    assert_true(emu_ereport(&here, &t, data, &r));
    assert_true(verified(&other, &r));
    assert_false(verified(&here, &r));
}

static void reserved_bits_are_refused(void **state)
{
    (void)state;
    struct sgx_report r;
    uint8_t data[64] = {0}, key[16];
    uint64_t error = 0;
    struct sgx_targetinfo t = target_of(&here);
    t.reserved3[383] = 1;
    assert_false(emu_ereport(&here, &t, data, &r));
    struct sgx_keyrequest q = {.keyname = KEYNAME_REPORT, .keypolicy = 4};
    assert_false(emu_egetkey(&here, &q, key, &error));
    q = (struct sgx_keyrequest){.keyname = 1};
    assert_true(emu_egetkey(&here, &q, key, &error));
    assert_int_equal(error, SGX_INVALID_ATTRIBUTE);
}

static void seal_keys_follow_their_policy(void **state)
{
    (void)state;
    uint8_t a[16], b[16];
    uint64_t error;
    struct sgx_keyrequest q = {.keyname = KEYNAME_SEAL, .keypolicy = KEYPOLICY_MRSIGNER, .isvsvn = 2,
                               .attributemask = UINT64_MAX, .xfrmmask = UINT64_MAX};
    other = here;
    memset(other.mrenclave, 0x44, 32);
    assert_true(emu_egetkey(&here, &q, a, &error));
    assert_true(emu_egetkey(&other, &q, b, &error));
    assert_memory_equal(a, b, 16);
    q.keypolicy = KEYPOLICY_MRENCLAVE;
    assert_true(emu_egetkey(&here, &q, a, &error));
    assert_true(emu_egetkey(&other, &q, b, &error));
    assert_memory_not_equal(a, b, 16);
    q.isvsvn = 4; /* newer than the enclave */
    assert_true(emu_egetkey(&here, &q, a, &error));
    assert_int_equal(error, SGX_INVALID_ISVSVN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cmac_by_the_vectors),
        cmocka_unit_test(the_target_verifies_a_report_and_nobody_else),
        cmocka_unit_test(a_report_can_be_for_another_enclave),
        cmocka_unit_test(reserved_bits_are_refused),
        cmocka_unit_test(seal_keys_follow_their_policy),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

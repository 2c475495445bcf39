/* SPDX-License-Identifier: Apache-2.0 */
/* SIGSTRUCT: what is signed is accepted, as OpenSSL too would; whatever is changed is not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "platform/enclave.h"
#include "platform/sigstruct.h"

#define XFRM (XFRM_LEGACY | XFRM_AVX)

static char folder[] = "/tmp/sigstruct-test-XXXXXX";
static char key_file[64];

static const struct sigstruct_claims claims = {
    .mrenclave = {1, 2, 3, [31] = 0xff},
    .attributes = ATTRIBUTE_MODE64BIT,
    .attributes_mask = UINT64_MAX,
    .xfrm = XFRM,
    .xfrm_mask = UINT64_MAX,
    .miscselect = MISCSELECT_EXINFO,
    .miscselect_mask = UINT32_MAX,
    .date = 0x20260102,
    .isvprodid = 7,
    .isvsvn = 3,
};
static struct sgx_sigstruct good;

static int verify(const struct sgx_sigstruct *s)
{
    return sigstruct_verify(s, claims.mrenclave, ATTRIBUTE_MODE64BIT, XFRM, MISCSELECT_EXINFO);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(key_file, sizeof key_file, "%s/rakis/dev-key.pem", folder);
    return sigstruct_sign(&good, NULL, &claims);
}

static int tear_down(void **state)
{
    (void)state;
    char path[64];
    unlink(key_file);
    snprintf(path, sizeof path, "%s/other.pem", folder);
    unlink(path);
    for (unsigned i = 0; i < 256; i++) {
        snprintf(path, sizeof path, "%s/rakis/signed/%02x", folder, i);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/rakis/signed", folder);
    rmdir(path);
    snprintf(path, sizeof path, "%s/rakis", folder);
    rmdir(path);
    return rmdir(folder);
}

static void test_signed_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(verify(&good), 0);
    assert_int_equal(good.date, 0x20260102);
    assert_int_equal(good.isvprodid, 7);
    assert_int_equal(good.isvsvn, 3);
}

static void reverse(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = from[size - 1 - i];
}

static void test_signature_is_pkcs1(void **state)
{
    (void)state;
    uint8_t modulus[384], signature[384], message[256];
    reverse(modulus, good.modulus, 384);
    reverse(signature, good.signature, 384);
    memcpy(message, &good, 128);
    memcpy(message + 128, (uint8_t *)&good + 900, 128);

    BIGNUM *n = BN_bin2bn(modulus, 384, NULL), *e = BN_new();
    BN_set_word(e, 3);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(making), 1);
    assert_int_equal(EVP_PKEY_fromdata(making, &key, EVP_PKEY_PUBLIC_KEY, parameters), 1);
    EVP_MD_CTX *checking = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(checking, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(checking, signature, 384, message, sizeof message), 1);
    EVP_MD_CTX_free(checking);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(making);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
}

/* q1 n + r1 = s^2 and q2 n + r2 = r1 s, the rests below n. */
static void test_quotients(void **state)
{
    (void)state;
    BN_CTX *context = BN_CTX_new();
    BIGNUM *n = BN_lebin2bn(good.modulus, 384, NULL), *s = BN_lebin2bn(good.signature, 384, NULL);
    BIGNUM *q1 = BN_lebin2bn(good.q1, 384, NULL), *q2 = BN_lebin2bn(good.q2, 384, NULL);
    BIGNUM *rest = BN_new(), *product = BN_new();
    BN_sqr(rest, s, context);
    BN_mul(product, q1, n, context);
    BN_sub(rest, rest, product);
    assert_true(!BN_is_negative(rest) && BN_cmp(rest, n) < 0);
    BN_mul(rest, rest, s, context);
    BN_mul(product, q2, n, context);
    BN_sub(rest, rest, product);
    assert_true(!BN_is_negative(rest) && BN_cmp(rest, n) < 0);
    BN_free(n);
    BN_free(s);
    BN_free(q1);
    BN_free(q2);
    BN_free(rest);
    BN_free(product);
    BN_CTX_free(context);
}

static void test_any_changed_byte_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good; i++) {
        struct sgx_sigstruct changed = good;
        ((uint8_t *)&changed)[i] ^= 0x10;
        if (!verify(&changed))
            fail_msg("byte %zu", i);
    }
}

static void test_other_enclaves_are_refused(void **state)
{
    (void)state;
    static const uint8_t other[32] = {9};
    const uint64_t attributes = ATTRIBUTE_MODE64BIT;
    assert_int_equal(sigstruct_verify(&good, other, attributes, XFRM, MISCSELECT_EXINFO), -EPERM);
    assert_int_equal(sigstruct_verify(&good, claims.mrenclave, attributes | ATTRIBUTE_DEBUG, XFRM,
                                      MISCSELECT_EXINFO),
                     -EPERM);
    assert_int_equal(
        sigstruct_verify(&good, claims.mrenclave, attributes, XFRM_LEGACY, MISCSELECT_EXINFO),
        -EPERM);
    assert_int_equal(sigstruct_verify(&good, claims.mrenclave, attributes, XFRM, 0), -EPERM);
}

static void test_masks_leave_open(void **state)
{
    (void)state;
    struct sigstruct_claims open = claims;
    struct sgx_sigstruct s;
    open.xfrm_mask = XFRM_LEGACY;
    open.attributes_mask = ~ATTRIBUTE_DEBUG;
    assert_int_equal(sigstruct_sign(&s, NULL, &open), 0);
    assert_int_equal(sigstruct_verify(&s, claims.mrenclave, ATTRIBUTE_MODE64BIT | ATTRIBUTE_DEBUG,
                                      XFRM_LEGACY, MISCSELECT_EXINFO),
                     0);
    assert_int_equal(sigstruct_verify(&s, claims.mrenclave, 0, XFRM, MISCSELECT_EXINFO), -EPERM);
}

static void test_development_key_is_kept_and_private(void **state)
{
    (void)state;
    struct stat status;
    struct sgx_sigstruct s;
    assert_int_equal(stat(key_file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(sigstruct_sign(&s, NULL, &claims), 0);
    assert_memory_equal(s.modulus, good.modulus, sizeof s.modulus);

    uint8_t first[32], second[32];
    sigstruct_mrsigner(&good, first);
    sigstruct_mrsigner(&s, second);
    assert_memory_equal(first, second, 32);
}

static void kept_path(char out[64])
{
    snprintf(out, 64, "%s/rakis/signed/%02x", folder, claims.mrenclave[0]);
}

/* Blinding makes no other signature of the same, but the date does. */
static void test_what_was_signed_is_kept(void **state)
{
    (void)state;
    char path[64];
    struct stat status;
    struct sigstruct_claims today = claims, older = claims;
    struct sgx_sigstruct first, second;
    today.date = 0;
    assert_int_equal(sigstruct_sign(&second, NULL, &claims), 0);
    kept_path(path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(sigstruct_sign(&first, NULL, &today), 0); /* whatever the day was */
    assert_int_equal(first.date, claims.date);
    assert_memory_equal(&first, &second, sizeof first);

    older.date = 0x20251231;
    assert_int_equal(sigstruct_sign(&first, NULL, &older), 0);
    assert_int_equal(first.date, older.date);
    assert_int_equal(verify(&first), 0);
    older.isvsvn++;
    assert_int_equal(sigstruct_sign(&first, NULL, &older), 0);
    assert_int_equal(first.isvsvn, older.isvsvn);
    assert_int_equal(verify(&first), 0);
}

/* Each byte that is lost costs a signature, nothing else. */
static void test_damage_of_what_is_kept(void **state)
{
    (void)state;
    char path[64];
    uint8_t kept[4096];
    struct sgx_sigstruct s;
    kept_path(path);
    assert_int_equal(sigstruct_sign(&s, NULL, &claims), 0);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(kept, 1, sizeof kept, file);
    fclose(file);
    assert_true(size > sizeof s && size < sizeof kept);
    for (size_t at = 0; at <= size; at += at < size - 61 ? 61 : 1) {
        file = fopen(path, "w");
        assert_non_null(file);
        if (at < size)
            kept[at] ^= 0x10;
        assert_int_equal(fwrite(kept, 1, at < size ? size : size / 2, file), at < size ? size : size / 2);
        fclose(file);
        kept[at] ^= 0x10;
        assert_int_equal(sigstruct_sign(&s, NULL, &claims), 0);
        assert_int_equal(verify(&s), 0);
    }
}

/* Another key, another signature; and what others could have planted is not looked at. */
static void test_what_another_key_signed(void **state)
{
    (void)state;
    char path[64], aside[64];
    struct sigstruct_claims old = claims, today = claims;
    struct sgx_sigstruct s;
    kept_path(path);
    snprintf(aside, sizeof aside, "%s/aside.pem", folder);
    today.date = 0;
    old.date = 0x20200101;
    assert_int_equal(sigstruct_sign(&s, NULL, &old), 0);
    assert_int_equal(rename(key_file, aside), 0);
    assert_int_equal(sigstruct_sign(&s, NULL, &today), 0);
    assert_memory_not_equal(s.modulus, good.modulus, sizeof s.modulus);
    assert_int_equal(sigstruct_sign(&s, NULL, &today), 0); /* by the new key's file, and kept */
    assert_memory_not_equal(s.modulus, good.modulus, sizeof s.modulus);
    assert_int_equal(rename(aside, key_file), 0);
    assert_int_equal(sigstruct_sign(&s, NULL, &today), 0);
    assert_memory_equal(s.modulus, good.modulus, sizeof s.modulus);

    assert_int_equal(sigstruct_sign(&s, NULL, &old), 0);
    assert_memory_equal(s.modulus, good.modulus, sizeof s.modulus);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(sigstruct_sign(&s, NULL, &today), 0);
    assert_int_not_equal(s.date, old.date);
}

static void test_no_place_for_a_key(void **state)
{
    (void)state;
    struct sgx_sigstruct s;
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    assert_int_equal(sigstruct_sign(&s, NULL, &claims), 0);
    assert_int_equal(verify(&s), 0);
    setenv("XDG_CACHE_HOME", folder, 1);
    assert_memory_not_equal(s.modulus, good.modulus, sizeof s.modulus);
}

/* A key that others could have planted is not used. */
static void test_development_key_of_others(void **state)
{
    (void)state;
    struct sgx_sigstruct s;
    assert_int_equal(chmod(key_file, 0666), 0);
    assert_int_equal(sigstruct_sign(&s, NULL, &claims), 0);
    assert_memory_not_equal(s.modulus, good.modulus, sizeof s.modulus);
}

static void test_named_keys(void **state)
{
    (void)state;
    char path[64];
    struct sgx_sigstruct s;
    snprintf(path, sizeof path, "%s/other.pem", folder);
    assert_int_equal(sigstruct_sign(&s, path, &claims), -EINVAL);
    assert_non_null(strstr(platform_error(), path));

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("no key\n", file);
    fclose(file);
    assert_int_equal(sigstruct_sign(&s, path, &claims), -EINVAL);
    assert_non_null(strstr(platform_error(), "PEM"));

    assert_int_equal(sigstruct_sign(&s, key_file, &claims), 0);
    assert_int_equal(verify(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_is_accepted),
        cmocka_unit_test(test_signature_is_pkcs1),
        cmocka_unit_test(test_quotients),
        cmocka_unit_test(test_any_changed_byte_is_refused),
        cmocka_unit_test(test_other_enclaves_are_refused),
        cmocka_unit_test(test_masks_leave_open),
        cmocka_unit_test(test_development_key_is_kept_and_private),
        cmocka_unit_test(test_what_was_signed_is_kept),
        cmocka_unit_test(test_damage_of_what_is_kept),
        cmocka_unit_test(test_what_another_key_signed),
        cmocka_unit_test(test_named_keys),
        cmocka_unit_test(test_no_place_for_a_key),
        cmocka_unit_test(test_development_key_of_others),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

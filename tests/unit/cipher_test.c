/* SPDX-License-Identifier: Apache-2.0 */
/* Cryptography as the enclaves use it, by published vectors, and what happens to messages that were changed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/entry/entry.h"
#include "enclave/lib/cipher.h"

void fpu_save(struct thread_block *block) { (void)block; }
void fpu_restore(const void *area) { (void)area; }
void fpu_reset(void) {}

static void hex(uint8_t *out, const char *text)
{
    for (; *text; text += 2, out++)
        sscanf(text, "%2hhx", out);
}

/* RFC 7748, 5.2 and 6.1 */
static void exchange_by_the_vectors(void **state)
{
    (void)state;
    uint8_t a[32], b[32], pa[32], pb[32], expected[32], shared[32];
    hex(a, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    hex(b, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    hex(expected, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    assert_int_equal(exchange_shared(shared, a, b), 0);
    assert_memory_equal(shared, expected, 32);

    for (int i = 0; i < 32; i++) {
        a[i] = (uint8_t)(i * 7 + 1);
        b[i] = (uint8_t)(i * 13 + 5);
    }
    exchange_public(pa, a);
    exchange_public(pb, b);
    assert_int_equal(exchange_shared(shared, a, pb), 0);
    assert_int_equal(exchange_shared(expected, b, pa), 0);
    assert_memory_equal(shared, expected, 32);
}

static void points_that_give_zero_are_refused(void **state)
{
    (void)state;
    uint8_t secret[32] = {1, 2, 3}, zero[32] = {0}, one[32] = {1}, shared[32];
    assert_int_equal(exchange_shared(shared, secret, zero), -EINVAL);
    assert_int_equal(exchange_shared(shared, secret, one), -EINVAL);
}

/* The first message of a direction has the nonce 0: case 14 of the GCM specification, whose key is 0 too. */
static void gcm_by_the_vector(void **state)
{
    (void)state;
    static const uint8_t key[32];
    uint8_t expected[16], expected_tag[16];
    hex(expected, "cea7403d4d606b6e074ec5d3baf39d18");
    hex(expected_tag, "d0d1c8a799996bf0265b98b5d48ab919");
    for (int fast = 0; fast < 2; fast++) {
        struct cipher c;
        uint8_t data[16] = {0}, tag[16];
        cipher_start(&c, key, fast);
        cipher_seal(&c, NULL, 0, data, sizeof data, tag);
        assert_memory_equal(data, expected, 16);
        assert_memory_equal(tag, expected_tag, 16);
    }
}

#define SIZE 5000

static void messages_arrive_in_order_or_not_at_all(void **state)
{
    (void)state;
    uint8_t key[32] = {9, 8, 7}, tag[3][16];
    static uint8_t message[3][SIZE], sealed[3][SIZE];
    for (int kind = 0; kind < 4; kind++) {
        struct cipher send, receive;
        cipher_start(&send, key, kind & 1);
        cipher_start(&receive, key, kind & 2);
        for (int i = 0; i < 3; i++) {
            memset(message[i], 'a' + i, SIZE);
            memcpy(sealed[i], message[i], SIZE);
            cipher_seal(&send, &i, sizeof i, sealed[i], SIZE, tag[i]);
        }
        struct cipher again = receive;
        for (int i = 0; i < 3; i++) {
            uint8_t copy[SIZE];
            memcpy(copy, sealed[i], SIZE);
            assert_int_equal(cipher_open(&again, &i, sizeof i, copy, SIZE, tag[i]), 0);
            assert_memory_equal(copy, message[i], SIZE);
        }
        static const struct {
            int index, clear, flip_data, flip_tag;
        } wrong[] = {{1, 1, -1, -1}, {0, 1, -1, -1}, {0, 0, 0, -1}, {0, 0, SIZE - 1, -1}, {0, 0, -1, 15}};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            uint8_t copy[SIZE], t[16];
            static const uint8_t zeros[SIZE];
            memcpy(copy, sealed[wrong[i].index], SIZE);
            memcpy(t, tag[wrong[i].index], 16);
            if (wrong[i].flip_data >= 0)
                copy[wrong[i].flip_data] ^= 1;
            if (wrong[i].flip_tag >= 0)
                t[wrong[i].flip_tag] ^= 0x80;
            again = receive;
            assert_int_equal(cipher_open(&again, &wrong[i].clear, sizeof(int), copy, SIZE, t), -EBADMSG);
            assert_memory_equal(copy, zeros, SIZE);
        }
    }
}

/* RFC 5869, A.1 */
static void hkdf_by_the_vector(void **state)
{
    (void)state;
    uint8_t secret[22], salt[13], expected[42], out[42];
    memset(secret, 0x0b, sizeof secret);
    for (int i = 0; i < 13; i++)
        salt[i] = (uint8_t)i;
    hex(expected, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    keys_derive(out, sizeof out, secret, sizeof secret, salt, sizeof salt,
                "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9");
    assert_memory_equal(out, expected, sizeof out);
}

/* RFC 4493, 4: of 16 and of 64 bytes */
static void cmac_by_the_vectors(void **state)
{
    (void)state;
    uint8_t key[16], message[64], expected[16], mac[16];
    hex(key, "2b7e151628aed2a6abf7158809cf4f3c");
    hex(message, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                 "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    hex(expected, "070a16b46b4d4144f79bdd9dd04a287c");
    cmac_of_blocks(key, message, 16, mac);
    assert_memory_equal(mac, expected, 16);
    hex(expected, "51f0bebf7e3b9d92fc49741779363cfe");
    cmac_of_blocks(key, message, 64, mac);
    assert_memory_equal(mac, expected, 16);
}

/* FIPS 180-2, B.2, in two pieces */
static void hash_by_the_vector(void **state)
{
    (void)state;
    uint8_t expected[32], out[32];
    hex(expected, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    hash_two(out, "abcdbcdecdefdefg", 16, "efghfghighijhijkijkljklmklmnlmnomnopnopq", 40);
    assert_memory_equal(out, expected, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchange_by_the_vectors),
        cmocka_unit_test(points_that_give_zero_are_refused),
        cmocka_unit_test(gcm_by_the_vector),
        cmocka_unit_test(messages_arrive_in_order_or_not_at_all),
        cmocka_unit_test(hkdf_by_the_vector),
        cmocka_unit_test(cmac_by_the_vectors),
        cmocka_unit_test(hash_by_the_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

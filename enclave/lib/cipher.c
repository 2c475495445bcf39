/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/lib/cipher.h"

#include <errno.h>

#include <bearssl/bearssl_ec.h>
#include <bearssl/bearssl_hash.h>
#include <bearssl/bearssl_kdf.h>

#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/random.h"

/* ---- what the library expects of its surroundings ---- */

/* Where FS points meanwhile: compilers put the canary 40 bytes on (x86-64 psABI, as Linux's C libraries have it). */
static struct {
    uint64_t words[5];
    uint64_t canary;
} surroundings;

void __stack_chk_fail(void);
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__memset_chk(void *to, int byte, size_t n, size_t room);

static _Noreturn void stop(void)
{
    for (;;)
        __asm__ volatile("ud2");
}

void __stack_chk_fail(void)
{
    stop();
}

void *__memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
    if (n > room)
        stop();
    return memcpy(to, from, n);
}

void *__memset_chk(void *to, int byte, size_t n, size_t room)
{
    if (n > room)
        stop();
    return memset(to, byte, n);
}

void cipher_begin(void)
{
    struct thread_block *block = thread_block();
    if (!__atomic_load_n(&surroundings.canary, __ATOMIC_RELAXED)) {
        uint64_t none = 0;
        __atomic_compare_exchange_n(&surroundings.canary, &none, random_word() << 8, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
    }
    /* Where an exit keeps them: there is none before cipher_end. */
    block->fs = fs_base();
    fpu_save(block);
    fpu_reset();
    fs_base_set((uint64_t)&surroundings);
}

void cipher_end(void)
{
    struct thread_block *block = thread_block();
    fs_base_set(block->fs);
    fpu_restore(block->xsave);
}

/* ---- AES-256-GCM ---- */

void cipher_start(struct cipher *c, const uint8_t key[CIPHER_KEY_SIZE], bool fast)
{
    memset(c, 0, sizeof *c);
    if (fast)
        br_aes_x86ni_ctr_init(&c->key.x86ni, key, CIPHER_KEY_SIZE);
    else
        br_aes_ct64_ctr_init(&c->key.ct64, key, CIPHER_KEY_SIZE);
    br_gcm_init(&c->gcm, &c->key.class, fast ? br_ghash_pclmul : br_ghash_ctmul64);
}

static void message_run(struct cipher *c, bool encrypt, const void *clear, size_t clear_size, void *data,
                        size_t size)
{
    uint8_t nonce[12] = {0};
    memcpy(nonce, &c->count, sizeof c->count);
    c->count++;
    br_gcm_reset(&c->gcm, nonce, sizeof nonce);
    br_gcm_aad_inject(&c->gcm, clear, clear_size);
    br_gcm_flip(&c->gcm);
    br_gcm_run(&c->gcm, encrypt, data, size);
}

void cipher_seal(struct cipher *c, const void *clear, size_t clear_size, void *data, size_t size,
                 uint8_t tag[CIPHER_TAG_SIZE])
{
    message_run(c, true, clear, clear_size, data, size);
    br_gcm_get_tag(&c->gcm, tag);
}

int cipher_open(struct cipher *c, const void *clear, size_t clear_size, void *data, size_t size,
                const uint8_t tag[CIPHER_TAG_SIZE])
{
    message_run(c, false, clear, clear_size, data, size);
    if (br_gcm_check_tag(&c->gcm, tag))
        return 0;
    memset(data, 0, size);
    return -EBADMSG;
}

/* ---- X25519 ---- */

/* The library wants the bytes as RFC 7748 has them, whatever its header says of other curves. */
static int multiply(uint8_t point[EXCHANGE_SIZE], const uint8_t secret[EXCHANGE_SIZE])
{
    return br_ec_c25519_m31.mul(point, EXCHANGE_SIZE, secret, EXCHANGE_SIZE, BR_EC_curve25519) ? 0 : -EINVAL;
}

void exchange_public(uint8_t public[EXCHANGE_SIZE], const uint8_t secret[EXCHANGE_SIZE])
{
    memset(public, 0, EXCHANGE_SIZE);
    public[0] = 9;
    multiply(public, secret);
}

int exchange_shared(uint8_t shared[EXCHANGE_SIZE], const uint8_t secret[EXCHANGE_SIZE],
                    const uint8_t peer[EXCHANGE_SIZE])
{
    static const uint8_t zero[EXCHANGE_SIZE];
    memcpy(shared, peer, EXCHANGE_SIZE);
    if (multiply(shared, secret) || equal_secretly(shared, zero, sizeof zero))
        return -EINVAL;
    return 0;
}

/* ---- hashes and keys ---- */

void hash_two(uint8_t out[HASH_SIZE], const void *a, size_t a_size, const void *b, size_t b_size)
{
    br_sha256_context c;
    br_sha256_init(&c);
    br_sha256_update(&c, a, a_size);
    br_sha256_update(&c, b, b_size);
    br_sha256_out(&c, out);
}

void keys_derive(void *out, size_t size, const void *secret, size_t secret_size, const void *salt,
                 size_t salt_size, const char *label)
{
    br_hkdf_context c;
    br_hkdf_init(&c, &br_sha256_vtable, salt, salt_size);
    br_hkdf_inject(&c, secret, secret_size);
    br_hkdf_flip(&c);
    br_hkdf_produce(&c, label, strlen(label), out, size);
}

void cmac_of_blocks(const uint8_t key[16], const void *data, size_t size, uint8_t mac[16])
{
    br_aes_ct64_ctrcbc_keys k;
    uint8_t last[16] = {0}, sub[16] = {0};
    br_aes_ct64_ctrcbc_init(&k, key, 16);
    br_aes_ct64_ctrcbc_mac(&k, sub, last, sizeof last); /* the block of zeros, encrypted */
    uint8_t over = sub[0] & 0x80 ? 0x87 : 0;
    for (int i = 0; i < 16; i++)
        sub[i] = (uint8_t)(sub[i] << 1 | (i < 15 ? sub[i + 1] >> 7 : 0));
    sub[15] ^= over;
    memcpy(last, (const uint8_t *)data + size - 16, 16);
    for (int i = 0; i < 16; i++)
        last[i] ^= sub[i];
    memset(mac, 0, 16);
    br_aes_ct64_ctrcbc_mac(&k, mac, data, size - 16);
    br_aes_ct64_ctrcbc_mac(&k, mac, last, 16);
}

bool equal_secretly(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;
    uint8_t difference = 0;
    while (size--)
        difference |= *x++ ^ *y++;
    return !difference;
}

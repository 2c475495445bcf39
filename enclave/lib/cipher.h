/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cryptography, BearSSL's: what one enclave needs to speak with another. The library uses vector registers,
 * which are the program's while the LibOS runs, and looks for its stack canary by FS: all calls are made
 * between cipher_begin and cipher_end, with no exit between those.
 */
#ifndef LIB_CIPHER_H
#define LIB_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bearssl/bearssl_aead.h>
#include <bearssl/bearssl_block.h>

void cipher_begin(void);
void cipher_end(void);

/* One direction of a stream of messages: AES-256-GCM, the nonce counts them. */
struct cipher {
    union {
        const br_block_ctr_class *class;
        br_aes_x86ni_ctr_keys x86ni;
        br_aes_ct64_ctr_keys ct64;
    } key;
    br_gcm_context gcm;
    uint64_t count;
};

#define CIPHER_KEY_SIZE 32
#define CIPHER_TAG_SIZE 16

/* fast: the CPU has AES and PCLMULQDQ. */
void cipher_start(struct cipher *c, const uint8_t key[CIPHER_KEY_SIZE], bool fast);
/* Encrypts in place; what is in `clear` is covered by the tag too. */
void cipher_seal(struct cipher *c, const void *clear, size_t clear_size, void *data, size_t size,
                 uint8_t tag[CIPHER_TAG_SIZE]);
/* Decrypts in place: 0, or -EBADMSG and the data is zeroed. */
int cipher_open(struct cipher *c, const void *clear, size_t clear_size, void *data, size_t size,
                const uint8_t tag[CIPHER_TAG_SIZE]);

/* X25519. A public key from a secret one of random bytes; what both sides compute: 0, or -EINVAL for a point
 * that gives nothing away but zero. */
#define EXCHANGE_SIZE 32
void exchange_public(uint8_t public[EXCHANGE_SIZE], const uint8_t secret[EXCHANGE_SIZE]);
int exchange_shared(uint8_t shared[EXCHANGE_SIZE], const uint8_t secret[EXCHANGE_SIZE],
                    const uint8_t peer[EXCHANGE_SIZE]);

/* SHA-256 of both parts, one after the other. */
#define HASH_SIZE 32
void hash_two(uint8_t out[HASH_SIZE], const void *a, size_t a_size, const void *b, size_t b_size);
/* HKDF with SHA-256. */
void keys_derive(void *out, size_t size, const void *secret, size_t secret_size, const void *salt,
                 size_t salt_size, const char *label);
/* AES-128-CMAC (RFC 4493) of a whole number of blocks, at least one. */
void cmac_of_blocks(const uint8_t key[16], const void *data, size_t size, uint8_t mac[16]);
bool equal_secretly(const void *a, const void *b, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 by libcrypto's own functions for it, not by its EVP layer: that reads a configuration and fetches from a
 * provider first, which takes longer than to hash what a start has to hash.
 */
#ifndef PLATFORM_HASH_H
#define PLATFORM_HASH_H

#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>

struct hash {
    SHA256_CTX state;
};

static inline void hash_begin(struct hash *h)
{
    SHA256_Init(&h->state);
}

static inline void hash_add(struct hash *h, const void *data, size_t size)
{
    SHA256_Update(&h->state, data, size);
}

static inline void hash_end(struct hash *h, uint8_t out[32])
{
    SHA256_Final(out, &h->state);
}

#endif

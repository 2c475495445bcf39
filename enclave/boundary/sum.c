/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/sum.h"

/* Two sums of the halves of words: no carry is lost below 2^32 words. */
struct halves {
    uint64_t low, high;
};

static inline void add(struct halves *s, uint64_t word)
{
    s->low += word & 0xffffffff;
    s->high += word >> 32;
}

/* Words were summed as the CPU loads them: swapping the bytes of the fold gives the sum of big-endian
 * ones, when the first byte is an even one. */
static uint32_t fold(const struct halves *s, int odd)
{
    uint64_t sum = s->low + s->high;
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    uint32_t folded = (uint32_t)((sum & 0xffff) + (sum >> 16));
    return odd ? folded : (folded & 0xff) << 8 | folded >> 8;
}

uint32_t untrusted_sum(struct untrusted u, size_t length)
{
    size_t skip = u.address & 7;
    struct halves s = {0, 0};
    if (!length)
        return 0;
    struct untrusted word = {u.address - skip};
    size_t end = skip + length, full = end / 8, rest = end % 8;
    uint64_t first_mask = UINT64_MAX << (8 * skip), last_mask = (1ull << (8 * rest)) - 1;
    if (full)
        add(&s, untrusted_load(word) & first_mask);
    else
        last_mask &= first_mask;
    for (size_t i = 1; i < full; i++)
        add(&s, *(const volatile uint64_t *)(word.address + i * 8));
    if (rest)
        add(&s, untrusted_load(untrusted_at(word, full * 8)) & last_mask);
    return fold(&s, skip & 1);
}

/* Whole words of trusted memory to untrusted memory, their sum to *s. Each word is loaded once: what is
 * summed is what is written. */
static void write_words(struct halves *s, uint64_t target, const uint8_t *p, size_t words)
{
    size_t i = 0;
    for (; i + 4 <= words; i += 4) {
        uint64_t a, b, c, d;
        __builtin_memcpy(&a, p + i * 8, 8);
        __builtin_memcpy(&b, p + i * 8 + 8, 8);
        __builtin_memcpy(&c, p + i * 8 + 16, 8);
        __builtin_memcpy(&d, p + i * 8 + 24, 8);
        volatile uint64_t *to = (volatile uint64_t *)(target + i * 8);
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        add(s, a);
        add(s, b);
        add(s, c);
        add(s, d);
    }
    for (; i < words; i++) {
        uint64_t word;
        __builtin_memcpy(&word, p + i * 8, 8);
        *(volatile uint64_t *)(target + i * 8) = word;
        add(s, word);
    }
}

uint32_t untrusted_write_sum(struct untrusted target, const void *from, size_t length)
{
    const uint8_t *p = from;
    struct halves s = {0, 0};
    size_t full = length / 8, rest = length % 8;
    write_words(&s, target.address, p, full);
    if (rest) {
        uint64_t last = 0;
        for (size_t i = 0; i < rest; i++)
            last |= (uint64_t)p[full * 8 + i] << (8 * i);
        untrusted_store(untrusted_at(target, full * 8), last);
        add(&s, last);
    }
    return fold(&s, 0);
}

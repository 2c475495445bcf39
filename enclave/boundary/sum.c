/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/sum.h"

#include "enclave/boundary/shared.h"

/* Two sums of the halves of words: no carry is lost below 2^32 words. */
struct halves {
    uint64_t low, high;
};

/*@ predicate halves_of(struct halves *s, integer words) =
      s->low <= words * 0xffffffff && s->high <= words * 0xffffffff; */

/*@ requires \valid(s) && halves_of(s, SUM_WORDS_MAX);
    assigns *s;
    ensures s->low == \old(s->low) + word % 0x100000000 && s->high == \old(s->high) + word / 0x100000000; */
static inline void add(struct halves *s, uint64_t word)
{
    s->low += word % 0x100000000;
    s->high += word / 0x100000000;
}

/* Words were summed as the CPU loads them: swapping the bytes of the fold gives the sum of big-endian
 * ones, when the first byte is an even one. */
/*@ requires \valid_read(s) && halves_of(s, SUM_WORDS_MAX + 1);
    assigns \nothing;
    ensures \result <= 0xffff; */
static uint32_t fold(const struct halves *s, int odd)
{
    uint64_t sum = s->low + s->high;
    sum = sum % 0x100000000 + sum / 0x100000000;
    sum = sum % 0x10000 + sum / 0x10000;
    sum = sum % 0x10000 + sum / 0x10000;
    sum = sum % 0x10000 + sum / 0x10000;
    uint32_t folded = (uint32_t)sum;
    return odd ? folded : folded % 256 * 256 + folded / 256;
}

/* Bytes `from` to `to` of a word, the others zero. */
/*@ requires from < to <= 8;
    assigns \nothing; */
static inline uint64_t bytes_of(uint64_t word, size_t from, size_t to)
{
    uint64_t lowest = word << 8 * (8 - to);
    return lowest >> 8 * (8 - to + from) << 8 * from;
}

uint32_t untrusted_sum(struct untrusted u, size_t length)
{
    size_t skip = u.address % 8;
    struct halves s = {0, 0};
    if (!length)
        return 0;
    struct untrusted word = {u.address - skip};
    size_t end = skip + length, full = end / 8, rest = end % 8;
    //@ assert word.address % 8 == 0 && word.address <= u.address;
    if (full) {
        //@ assert word.address + 8 <= u.address + length;
        add(&s, bytes_of(shared_word(word), skip, 8));
    }
    /*@ loop invariant 1 <= i && (full > 0 ==> i <= full) && (full == 0 ==> i == 1);
        loop invariant halves_of(&s, i);
        loop assigns i, s;
        loop variant full - i; */
    for (size_t i = 1; i < full; i++) {
        //@ assert word.address + i * 8 + 8 <= u.address + length;
        add(&s, shared_word_inline(untrusted_at(word, i * 8)));
    }
    if (rest) {
        //@ assert word.address + full * 8 < u.address + length;
        add(&s, bytes_of(shared_word(untrusted_at(word, full * 8)), full ? 0 : skip, rest));
    }
    return fold(&s, skip % 2);
}

#ifdef __FRAMAC__
/*@ requires \valid_read(p + (0 .. 7));
    assigns \result \from p[0 .. 7]; */
uint64_t word_at(const uint8_t *p);
#else
/* Of the LibOS's memory, at any alignment. */
static inline uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    __builtin_memcpy(&word, p, 8);
    return word;
}
#endif

/* Whole words of trusted memory to untrusted memory, their sum to *s. Each word is loaded once: what is
 * summed is what is written. */
/*@ requires words <= SUM_WORDS_MAX && \valid_read(p + (0 .. 8 * words - 1));
    requires \valid(s) && s->low == 0 && s->high == 0 && \separated(s, p + (0 .. 8 * words - 1));
    assigns *s;
    ensures halves_of(s, words); */
static void write_words(struct halves *s, struct untrusted target, const uint8_t *p, size_t words)
{
    size_t i = 0;
    /*@ loop invariant 0 <= i <= words && halves_of(s, i);
        loop assigns i, *s;
        loop variant words - i; */
    for (; words - i >= 4; i += 4) {
        uint64_t a = word_at(p + i * 8), b = word_at(p + i * 8 + 8), c = word_at(p + i * 8 + 16),
                 d = word_at(p + i * 8 + 24);
        shared_word_store_inline(untrusted_at(target, i * 8), a);
        shared_word_store_inline(untrusted_at(target, i * 8 + 8), b);
        shared_word_store_inline(untrusted_at(target, i * 8 + 16), c);
        shared_word_store_inline(untrusted_at(target, i * 8 + 24), d);
        add(s, a);
        add(s, b);
        add(s, c);
        add(s, d);
    }
    /*@ loop invariant 0 <= i <= words && halves_of(s, i);
        loop assigns i, *s;
        loop variant words - i; */
    for (; i < words; i++) {
        uint64_t word = word_at(p + i * 8);
        shared_word_store_inline(untrusted_at(target, i * 8), word);
        add(s, word);
    }
}

uint32_t untrusted_write_sum(struct untrusted target, const uint8_t *from, size_t length)
{
    struct halves s = {0, 0};
    size_t full = length / 8, rest = length % 8;
    write_words(&s, target, from, full);
    if (rest) {
        uint64_t last = 0;
        /*@ loop invariant 0 <= i <= rest;
            loop assigns i, last;
            loop variant rest - i; */
        for (size_t i = 0; i < rest; i++)
            last |= (uint64_t)from[full * 8 + i] << (8 * i);
        shared_word_store(untrusted_at(target, full * 8), last);
        add(&s, last);
    }
    return fold(&s, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/untrusted.h"

#include "enclave/boundary/copy.h"
#include "enclave/boundary/order.h"

struct order order;

uint64_t untrusted_load(struct untrusted u)
{
    return *(const volatile uint64_t *)u.address;
}

void untrusted_store(struct untrusted u, uint64_t value)
{
    *(volatile uint64_t *)u.address = value;
}

bool untrusted_swap(struct untrusted u, uint64_t expected, uint64_t value)
{
    return __atomic_compare_exchange_n((volatile uint64_t *)u.address, &expected, value, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static int read_part(uint8_t *to, struct untrusted word, size_t skip, size_t length)
{
    uint64_t whole;
    if (copy_words(&whole, (const void *)word.address, 1))
        return -EFAULT;
    return copy_bytes(to, (const uint8_t *)&whole + skip, length);
}

static int read_once(void *to, struct untrusted source, size_t length)
{
    uint8_t *out = to;
    size_t skip = source.address & 7;
    if (skip && length) {
        size_t n = length < 8 - skip ? length : 8 - skip;
        if (read_part(out, (struct untrusted){source.address - skip}, skip, n))
            return -EFAULT;
        out += n;
        length -= n;
        source = untrusted_at(source, n);
    }
    size_t words = length / 8, rest = length % 8;
    if (copy_words(out, (const void *)source.address, words))
        return -EFAULT;
    return rest ? read_part(out + words * 8, untrusted_at(source, words * 8), 0, rest) : 0;
}

static int write_once(struct untrusted target, const void *from, size_t length)
{
    size_t words = length / 8, rest = length % 8;
    if (copy_words((void *)target.address, from, words))
        return -EFAULT;
    if (!rest)
        return 0;
    uint64_t last = 0;
    if (copy_bytes(&last, (const uint8_t *)from + words * 8, rest))
        return -EFAULT;
    untrusted_store(untrusted_at(target, words * 8), last);
    return 0;
}

static int insert_part(struct untrusted word, size_t skip, const uint8_t *from, size_t length)
{
    uint64_t whole = untrusted_load(word);
    if (copy_bytes((uint8_t *)&whole + skip, from, length))
        return -EFAULT;
    untrusted_store(word, whole);
    return 0;
}

int untrusted_insert_here(struct untrusted target, const void *from, size_t length)
{
    const uint8_t *in = from;
    size_t skip = target.address & 7;
    if (skip && length) {
        size_t n = length < 8 - skip ? length : 8 - skip;
        if (insert_part((struct untrusted){target.address - skip}, skip, in, n))
            return -EFAULT;
        in += n;
        length -= n;
        target = untrusted_at(target, n);
    }
    size_t words = length / 8, rest = length % 8;
    if (copy_words((void *)target.address, in, words))
        return -EFAULT;
    return rest ? insert_part(untrusted_at(target, words * 8), 0, in + words * 8, rest) : 0;
}

int untrusted_read(void *to, struct untrusted source, size_t length)
{
    return ORDER_COPY(read_once(to, source, length), to, length, true);
}

int untrusted_write(struct untrusted target, const void *from, size_t length)
{
    return ORDER_COPY(write_once(target, from, length), from, length, false);
}

int untrusted_insert(struct untrusted target, const void *from, size_t length)
{
    return ORDER_COPY(untrusted_insert_here(target, from, length), from, length, false);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/untrusted.h"

#include "enclave/boundary/copy.h"

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

int untrusted_read(void *to, struct untrusted source, size_t length)
{
    uint8_t *out = to;
    size_t skip = source.address & 7;
    if (skip && length) {
        struct untrusted word = {source.address - skip};
        uint64_t first = untrusted_load(word) >> (8 * skip);
        size_t n = length < 8 - skip ? length : 8 - skip;
        if (copy_bytes(out, &first, n))
            return -EFAULT;
        out += n;
        length -= n;
        source = untrusted_at(source, n);
    }
    size_t words = length / 8, rest = length % 8;
    if (copy_words(out, (const void *)source.address, words))
        return -EFAULT;
    if (!rest)
        return 0;
    uint64_t last = untrusted_load(untrusted_at(source, words * 8));
    return copy_bytes(out + words * 8, &last, rest);
}

int untrusted_write(struct untrusted target, const void *from, size_t length)
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

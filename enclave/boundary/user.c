/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/user.h"

#include "enclave/boundary/copy.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/span.h"
#include "enclave/enclave.h"

int user_range(const void *pointer, size_t length)
{
    uint64_t size = enclave.program_end - enclave.dynamic;
    return span_inside((uint64_t)pointer, length, enclave.dynamic, size) ? 0 : -EFAULT;
}

int user_read(void *to, const void *from, size_t length)
{
    if (user_range(from, length))
        return -EFAULT;
    return ORDER_COPY(copy_bytes(to, from, length), from, length, false);
}

int user_write(void *to, const void *from, size_t length)
{
    if (user_range(to, length))
        return -EFAULT;
    return ORDER_COPY(copy_bytes(to, from, length), to, length, true);
}

int user_zero(void *to, size_t length)
{
    if (user_range(to, length))
        return -EFAULT;
    return ORDER_COPY(fill_zero(to, length), to, length, true);
}

int64_t user_string(char *to, const char *from, size_t size)
{
    if (user_range(from, 1))
        return -EFAULT;
    uint64_t room = enclave.program_end - (uint64_t)from;
    size_t limit = size < room ? size : room, done = 0;
    /* A page at a time: what lies behind its end may be wanted elsewhere, and is not brought. */
    while (done < limit) {
        const char *at = from + done;
        size_t left = PAGE_SIZE - (uint64_t)at % PAGE_SIZE, most = left < limit - done ? left : limit - done;
        int64_t n = ORDER_COPY(copy_string(to + done, at, most), at, 1, false);
        if (n < 0)
            return n;
        done += (size_t)n;
        if ((size_t)n < most)
            return (int64_t)done;
    }
    return limit == size ? -ENAMETOOLONG : -EFAULT;
}

int user_exchange(uint32_t *user, uint32_t *expected, uint32_t new)
{
    if (user_range(user, sizeof *user))
        return -EFAULT;
    return ORDER_COPY(exchange_word(user, expected, new), user, sizeof *user, true);
}

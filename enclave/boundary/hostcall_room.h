/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For hostcall*.c: offsets within the thread's bounce buffer, and calls that refer to them. The
 * room of a call is laid out by the caller, from 0 up; every part begins on 8 bytes.
 */
#ifndef BOUNDARY_HOSTCALL_ROOM_H
#define BOUNDARY_HOSTCALL_ROOM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/untrusted.h"

static inline uint64_t room_align(uint64_t at)
{
    return (at + 7) & ~7ull;
}

/* What the host is told: where offset `at` of the room is. */
static inline uint64_t room_address(uint64_t at)
{
    return bounce().address + at;
}

static inline void room_store(uint64_t at, uint64_t word)
{
    untrusted_store(untrusted_at(bounce(), at), word);
}

static inline uint64_t room_load(uint64_t at)
{
    return untrusted_load(untrusted_at(bounce(), at));
}

/* 0 or -EFAULT (of the program's memory). */
static inline int room_put(uint64_t at, const void *from, size_t n)
{
    return untrusted_write(untrusted_at(bounce(), at), from, n);
}

static inline int room_get_user(void *to, uint64_t at, size_t n)
{
    return untrusted_read(to, untrusted_at(bounce(), at), n);
}

/* Into the LibOS's memory: cannot fail. */
static inline void room_get(void *to, uint64_t at, size_t n)
{
    (void)untrusted_read(to, untrusted_at(bounce(), at), n);
}

/* Linux never returns the numbers from 512 on to a program; inside the enclave they mean a restart.
 */
#define ERRNO_LIMIT 512

/* As exit_checked, with such errors made -EIO. */
static inline int64_t room_call(uint64_t number, uint64_t exit_flags, uint64_t maximum, uint64_t a0,
                                uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    int64_t result = exit_checked(number, exit_flags, maximum, a0, a1, a2, a3, a4, a5);
    if (result > -ERRNO_LIMIT)
        return result;
    violation_count();
    return -EIO;
}

/* From the room into buffers, `skip` bytes into them. Bytes: fewer where a buffer is no good; -EFAULT: none. */
int64_t room_scatter(const struct iovec *v, int count, uint64_t skip, uint64_t at, uint64_t length);
/* From buffers, `skip` bytes into them, into the room from `at` up to `end`; the iovec array for
 * the host to `table`, at most `slots` of them, *used filled. Bytes or -EFAULT. */
int64_t room_gather(const struct iovec *v, int count, uint64_t skip, uint64_t table, uint64_t slots,
                    uint64_t at, uint64_t end, uint64_t *used);

#endif

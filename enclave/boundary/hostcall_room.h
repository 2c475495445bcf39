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

#include "abi/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall_bytes.h"
#include "enclave/boundary/untrusted.h"

/* n bytes from `at` on lie within the room; whole words of it are written. */
/*@ predicate within_room(integer at, integer n) = at + n <= ARENA_BOUNCE_SIZE; */

/*@ requires at <= UINT64_MAX - 7;
    assigns \nothing;
    ensures at <= \result < at + 8 && \result % 8 == 0; */
static inline uint64_t room_align(uint64_t at)
{
    return (at + 7) / 8 * 8;
}

/* What the host is told: where offset `at` of the room is. */
/*@ requires at <= ARENA_BOUNCE_SIZE;
    assigns \nothing; */
static inline uint64_t room_address(uint64_t at)
{
    return bounce().address + at;
}

/*@ requires at % 8 == 0 && within_room(at, 8);
    assigns \nothing; */
static inline void room_store(uint64_t at, uint64_t word)
{
    untrusted_store(untrusted_at(bounce(), at), word);
}

/*@ requires at % 8 == 0 && within_room(at, 8);
    assigns \result \from \nothing; */
static inline uint64_t room_load(uint64_t at)
{
    return untrusted_load(untrusted_at(bounce(), at));
}

/* 0 or -EFAULT (of the program's memory). */
/*@ requires at % 8 == 0 && within_room(at, n);
    assigns \result \from \nothing;
    ensures \result <= 0; */
static inline int room_put(uint64_t at, const void *from, size_t n)
{
    return untrusted_write(untrusted_at(bounce(), at), from, n);
}

/* The same in the midst of what is there, at any alignment. */
/*@ requires within_room(at, n);
    assigns \result \from \nothing;
    ensures \result <= 0; */
static inline int room_insert(uint64_t at, const void *from, size_t n)
{
    return untrusted_insert(untrusted_at(bounce(), at), from, n);
}

/*@ requires within_room(at, n);
    assigns caller_bytes, \result \from \nothing;
    ensures \result <= 0; */
static inline int room_get_user(void *to, uint64_t at, size_t n)
{
    return untrusted_read(to, untrusted_at(bounce(), at), n);
}

/* Into the LibOS's memory: cannot fail. */
/*@ requires within_room(at, n);
    assigns caller_bytes; */
static inline void room_get(void *to, uint64_t at, size_t n)
{
    (void)untrusted_read(to, untrusted_at(bounce(), at), n);
}

/* As exit_checked, with errors from ERRNO_LIMIT on made -EIO. */
/*@ assigns \result \from \nothing;
    ensures call_result(\result, maximum); */
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
/*@ requires buffers_are_valid(v, count) && within_room(at, length);
    assigns caller_bytes;
    ensures -EFAULT <= \result <= (int64_t)length; */
int64_t room_scatter(const struct iovec *v, int count, uint64_t skip, uint64_t at, uint64_t length);
/* From buffers, `skip` bytes into them, into the room from `at` up to `end`; the iovec array for
 * the host to `table`, at most `slots` of them, *used filled. Bytes or -EFAULT. */
/*@ requires buffers_are_valid(v, count) && \valid(used) && \separated(used, v + (0 .. count - 1));
    requires at % 8 == 0 && table % 8 == 0 && end % 8 == 0 && at <= end && within_room(end, 0);
    requires slots <= HOST_IOV_MAX && (table + 16 * slots <= at || (end <= table && within_room(table, 16 * slots)));
    assigns *used;
    ensures \result == -EFAULT || 0 <= \result <= end - at;
    ensures *used <= slots;
    ensures \result >= 0 && count == 1 ==> \result <= v[0].iov_len; */
int64_t room_gather(const struct iovec *v, int count, uint64_t skip, uint64_t table, uint64_t slots,
                    uint64_t at, uint64_t end, uint64_t *used);

#endif

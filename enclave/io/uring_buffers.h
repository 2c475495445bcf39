/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers that an io_uring's kernel fills as it likes (IORING_REGISTER_PBUF_RING): which of them it may fill, and the
 * ring in shared memory by which it is told. Buffers are lent as they are needed, so that those that never were are
 * memory that nobody touched. May be given back by any thread.
 */
#ifndef IO_URING_BUFFERS_H
#define IO_URING_BUFFERS_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/boundary/untrusted.h"
#include "enclave/lib/lock.h"

#define URING_BUFFERS_MAX 256u

struct uring_buffers {
    struct lock lock; /* guards all that changes */
    struct untrusted memory, ring;
    uint32_t count, size, step;      /* count: a power of two; so many more are lent as they run low */
    uint8_t lent[URING_BUFFERS_MAX]; /* the kernel may fill it */
    uint32_t left;                   /* how many are lent */
    uint32_t used;                   /* those from here on were never lent */
    uint16_t tail;
    uint64_t first_word; /* the second word of the first entry, without the tail that lies in it */
};

/* The first of them are lent. */
void uring_buffers_start(struct uring_buffers *b, struct untrusted ring, struct untrusted memory, uint32_t count,
                         uint32_t size, uint32_t step);
struct untrusted uring_buffers_at(const struct uring_buffers *b, uint32_t buffer);
/* Back to the kernel. */
void uring_buffers_give(struct uring_buffers *b, uint32_t buffer);
/* The kernel says that it has filled this one: ours now, if it was its to fill. */
bool uring_buffers_accept(struct uring_buffers *b, uint32_t buffer);
/* How many the kernel has left to fill. */
uint32_t uring_buffers_count(const struct uring_buffers *b);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An io_uring of a thread. The enclave chooses the sizes and the places in the arena; the host makes the
 * ring in that memory, registers the two rings of buffers, and restricts it to what the enclave uses.
 */
#ifndef ABI_URING_H
#define ABI_URING_H

#include <stdint.h>

#define URING_SQE_SIZE 64u
#define URING_CQE_SIZE 16u
#define URING_BUFFER_ENTRY 16u /* struct io_uring_buf */
#define URING_BUFFER_GROUP 0u
#define URING_DATAGRAM_GROUP 1u

/* EXIT_URING_OPEN, by the thread that will enter the ring. Offsets are page-aligned. */
struct uring_setup {
    uint64_t sq_entries, cq_entries;        /* in: powers of two */
    uint64_t ring_offset, ring_space;       /* in: where the indices and CQEs are */
    uint64_t sqes_offset, sqes_space;       /* in: where the SQEs are */
    uint64_t buffers_offset, buffers_count; /* in: the ring of provided buffers, a power of two */
    uint64_t datagrams_offset, datagrams_count; /* in: the same for datagrams */
    uint64_t sqpoll;                        /* in: 1: a thread of the kernel submits (IORING_SETUP_SQPOLL) */
    /* out: offsets within the ring's memory, as the kernel tells them */
    uint64_t sq_head, sq_tail, cq_head, cq_tail, cqes, sq_flags;
};

#endif

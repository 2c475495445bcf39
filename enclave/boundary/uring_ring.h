/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two rings of an io_uring, and its ring of provided buffers. The enclave keeps its own copies of all
 * indices and accepts the kernel's only where the protocol allows (law 5). Who calls holds the lock of
 * the ring. The kernel keeps head and tail of a ring in one word, of which one half is ours: those stores
 * are 4 bytes, with what Intel-SA-00615 asks for around them.
 */
#ifndef BOUNDARY_URING_RING_H
#define BOUNDARY_URING_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/uring.h"
#include "enclave/boundary/index.h"
#include "enclave/boundary/untrusted.h"

struct uring_ring {
    struct untrusted sq_head, sq_tail, cq_head, cq_tail, sqes, cqes;
    uint32_t sq_entries, cq_entries; /* powers of two */
    uint32_t sq_own, sq_other;       /* SQEs written; taken by the kernel, as last accepted */
    uint32_t sq_shown;               /* SQEs that the kernel was shown */
    uint32_t cq_own, cq_other;       /* CQEs taken; posted by the kernel, as last accepted */
};

/*@ predicate uring_ring_is_valid(struct uring_ring *r) =
      power_of_two(r->sq_entries) && power_of_two(r->cq_entries) &&
      index_distance(r->sq_other, r->sq_own) <= r->sq_entries &&
      index_distance(r->cq_own, r->cq_other) <= r->cq_entries &&
      r->sqes.address + 64 * r->sq_entries <= UINT64_MAX &&
      r->cqes.address + 16 * r->cq_entries <= UINT64_MAX;
*/

struct uring_completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
};

/* A ring laid out as the kernel says in the `space` bytes at `base`, SQEs at `sqes`; all indices are 0.
 * False: the layout does not hold up. */
/*@ requires \valid(r) && \valid_read(s) && \separated(r, s);
    requires base.address + s->ring_space <= UINT64_MAX;
    requires sqes.address + s->sqes_space <= UINT64_MAX;
    assigns *r;
    ensures \result != 0 ==> uring_ring_is_valid(r);
*/
bool uring_ring_start(struct uring_ring *r, struct untrusted base, struct untrusted sqes,
                      const struct uring_setup *s);

/* SQEs that may be written. Reads the kernel's index when none is known to be free. */
/*@ requires \valid(r) && uring_ring_is_valid(r);
    assigns r->sq_other;
    ensures uring_ring_is_valid(r);
    ensures \result == r->sq_entries - index_distance(r->sq_other, r->sq_own);
*/
uint32_t uring_ring_space(struct uring_ring *r);

/* Writes one SQE, 8 words; there is space. The kernel sees it with uring_ring_show. */
/*@ requires \valid(r) && uring_ring_is_valid(r) && \valid_read(sqe + (0 .. 7));
    requires \separated(r, sqe + (0 .. 7));
    requires index_distance(r->sq_other, r->sq_own) < r->sq_entries;
    assigns r->sq_own;
    ensures uring_ring_is_valid(r);
*/
void uring_ring_put(struct uring_ring *r, const uint64_t sqe[8]);

/* SQEs written and not yet shown; shows them. */
/*@ requires \valid(r) && uring_ring_is_valid(r);
    assigns r->sq_shown;
    ensures uring_ring_is_valid(r) && r->sq_shown == r->sq_own;
*/
void uring_ring_show(struct uring_ring *r);

/* Of a ring whose SQEs a thread of the kernel takes, and whose flags are there (uring_ring_start has checked that
 * they are apart from all else): does it sleep, and is to be woken for what it was shown? */
/*@ assigns \nothing; */
bool uring_ring_asleep(struct untrusted flags);

/* SQEs that the kernel has not taken yet. */
/*@ requires \valid(r) && uring_ring_is_valid(r);
    assigns r->sq_other;
    ensures uring_ring_is_valid(r);
    ensures \result == index_distance(r->sq_other, r->sq_own);
*/
uint32_t uring_ring_waiting(struct uring_ring *r);

/* Takes the next CQE. False: there is none. uring_ring_taken shows the kernel what was taken. */
/*@ requires \valid(r) && uring_ring_is_valid(r) && \valid(out) && \separated(r, out);
    assigns r->cq_own, r->cq_other, *out;
    ensures uring_ring_is_valid(r);
*/
bool uring_ring_take(struct uring_ring *r, struct uring_completion *out);
/*@ requires \valid_read(r) && uring_ring_is_valid(r);
    assigns \nothing;
*/
void uring_ring_taken(const struct uring_ring *r);

#endif

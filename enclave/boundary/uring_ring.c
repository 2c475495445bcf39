/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/uring_ring.h"

#include "enclave/boundary/shared.h"
#include "enclave/boundary/span.h"

/*@ assigns \nothing;
    ensures \result != 0 ==> offset % 4 == 0 && offset + 4 <= limit;
*/
static bool index_fits(uint64_t offset, uint64_t limit)
{
    return offset % 4 == 0 && span_within(offset, 4, limit);
}

/* The word of flags is none of the indices. */
/*@ requires \valid_read(s);
    assigns \nothing;
    ensures \result != 0 ==> s->sq_flags % 4 == 0 && s->sq_flags + 4 <= s->cqes;
*/
static bool flags_fit(const struct uring_setup *s)
{
    return index_fits(s->sq_flags, s->cqes) && s->sq_flags != s->sq_head && s->sq_flags != s->sq_tail &&
           s->sq_flags != s->cq_head && s->sq_flags != s->cq_tail;
}

/* The indices are four words of their own, before the CQEs, which lie within the map. */
/*@ requires \valid_read(s);
    requires power_of_two(cq_entries);
    assigns \nothing;
    ensures \result != 0 ==> s->cqes % 8 == 0 && s->cqes + 16 * cq_entries <= s->ring_space &&
            s->sq_head + 4 <= s->cqes && s->sq_tail + 4 <= s->cqes && s->cq_head + 4 <= s->cqes &&
            s->cq_tail + 4 <= s->cqes;
*/
static bool layout_fits(const struct uring_setup *s, uint32_t cq_entries)
{
    uint64_t size = (uint64_t)cq_entries * URING_CQE_SIZE;
    return s->cqes % 8 == 0 && span_within(s->cqes, size, s->ring_space) &&
           index_fits(s->sq_head, s->cqes) && index_fits(s->sq_tail, s->cqes) &&
           index_fits(s->cq_head, s->cqes) && index_fits(s->cq_tail, s->cqes) &&
           flags_fit(s) && s->sq_head != s->sq_tail && s->sq_head != s->cq_head && s->sq_head != s->cq_tail &&
           s->sq_tail != s->cq_head && s->sq_tail != s->cq_tail && s->cq_head != s->cq_tail;
}

bool uring_ring_start(struct uring_ring *r, struct untrusted base, struct untrusted sqes,
                      const struct uring_setup *s)
{
    if (s->sq_entries > RING_ENTRIES_MAX || s->cq_entries > RING_ENTRIES_MAX)
        return false;
    uint32_t sq = (uint32_t)s->sq_entries, cq = (uint32_t)s->cq_entries;
    if (!index_entries(sq) || !index_entries(cq) || (uint64_t)sq * URING_SQE_SIZE > s->sqes_space ||
        !layout_fits(s, cq))
        return false;
    //@ assert 64 * sq <= s->sqes_space && sqes.address + 64 * sq <= UINT64_MAX;
    //@ assert s->cqes + 16 * cq <= s->ring_space && base.address + s->cqes + 16 * cq <= UINT64_MAX;
    r->sq_head = untrusted_at(base, s->sq_head);
    r->sq_tail = untrusted_at(base, s->sq_tail);
    r->cq_head = untrusted_at(base, s->cq_head);
    r->cq_tail = untrusted_at(base, s->cq_tail);
    r->cqes = untrusted_at(base, s->cqes);
    r->sqes = sqes;
    r->sq_entries = sq;
    r->cq_entries = cq;
    r->sq_own = r->sq_other = r->sq_shown = r->cq_own = r->cq_other = 0;
    return true;
}

/*@ requires \valid(r) && uring_ring_is_valid(r);
    assigns r->sq_other;
    ensures uring_ring_is_valid(r);
*/
static void see_head(struct uring_ring *r)
{
    uint32_t value = shared_half(r->sq_head);
    /* The kernel may have taken more, of what there is. */
    if (index_ahead(value, r->sq_own) > index_ahead(r->sq_other, r->sq_own))
        uring_violation("SQ head", value, r->sq_own, r->sq_other);
    r->sq_other = value;
}

uint32_t uring_ring_space(struct uring_ring *r)
{
    if (index_ahead(r->sq_other, r->sq_own) == r->sq_entries)
        see_head(r);
    return r->sq_entries - index_ahead(r->sq_other, r->sq_own);
}

uint32_t uring_ring_waiting(struct uring_ring *r)
{
    see_head(r);
    return index_ahead(r->sq_other, r->sq_own);
}

#define SQ_NEED_WAKEUP 1u /* IORING_SQ_NEED_WAKEUP */

bool uring_ring_asleep(struct untrusted flags)
{
    /* The store of the tail, with what is around it, comes before this load for all to see. */
    return shared_half(flags) & SQ_NEED_WAKEUP;
}

void uring_ring_put(struct uring_ring *r, const uint64_t sqe[8])
{
    struct untrusted at = untrusted_at(r->sqes, (uint64_t)(r->sq_own % r->sq_entries) * URING_SQE_SIZE);
    /*@ loop invariant 0 <= i <= 8;
        loop assigns i;
        loop variant 8 - i;
    */
    for (uint32_t i = 0; i < 8; i++)
        shared_word_store(untrusted_at(at, i * 8), sqe[i]);
    r->sq_own = index_add(r->sq_own, 1);
}

void uring_ring_show(struct uring_ring *r)
{
    if (r->sq_shown == r->sq_own)
        return;
    shared_release(); /* the SQEs are visible before the index */
    shared_half_store(r->sq_tail, r->sq_own);
    r->sq_shown = r->sq_own;
}

bool uring_ring_take(struct uring_ring *r, struct uring_completion *out)
{
    if (r->cq_own == r->cq_other) {
        uint32_t value = shared_half(r->cq_tail);
        if (index_ahead(r->cq_own, value) > r->cq_entries)
            uring_violation("CQ tail", value, r->cq_own, r->cq_other);
        r->cq_other = value;
        if (r->cq_own == value)
            return false;
    }
    struct untrusted at = untrusted_at(r->cqes, (uint64_t)(r->cq_own % r->cq_entries) * URING_CQE_SIZE);
    out->user_data = shared_word(at);
    uint64_t word = shared_word(untrusted_at(at, 8));
    out->result = (int32_t)(uint32_t)(word & UINT32_MAX);
    out->flags = (uint32_t)(word >> 32);
    r->cq_own = index_add(r->cq_own, 1);
    return true;
}

void uring_ring_taken(const struct uring_ring *r)
{
    shared_release(); /* the CQEs are read before they may be overwritten */
    shared_half_store(r->cq_head, r->cq_own);
}

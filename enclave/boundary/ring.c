/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/ring.h"

#include "enclave/boundary/shared.h"

/*@ requires \valid(r) && ring_is_valid(r) && r->produces;
    assigns r->other;
    ensures ring_is_valid(r);
*/
static void see_consumer(struct ring *r)
{
    uint32_t value = shared_index(r->other_index);
    /* The consumer may have come nearer to us, and no further than us. */
    uint32_t left = r->own - value;
    uint32_t was = r->own - r->other;
    if (left > was)
        ring_violation(r, value);
    r->other = value;
}

/*@ requires \valid(r) && ring_is_valid(r) && !r->produces;
    assigns r->other;
    ensures ring_is_valid(r);
*/
static void see_producer(struct ring *r)
{
    uint32_t value = shared_index(r->other_index);
    /* The producer may have gone on, by no more than the ring holds. */
    uint32_t ahead = value - r->own;
    uint32_t was = r->other - r->own;
    if (ahead > r->entries || ahead < was)
        ring_violation(r, value);
    r->other = value;
}

uint32_t ring_space(struct ring *r, uint32_t wanted)
{
    if (r->entries - (r->own - r->other) < wanted)
        see_consumer(r);
    return r->entries - (r->own - r->other);
}

uint32_t ring_ready(struct ring *r, uint32_t wanted)
{
    if (r->other - r->own < wanted)
        see_producer(r);
    return r->other - r->own;
}

uint32_t ring_slot(const struct ring *r, uint32_t i)
{
    return (r->own + i) % r->entries;
}

void ring_advance(struct ring *r, uint32_t n)
{
    r->own += n;
    /* Descriptors written before are visible before the index; those read before are read. */
    shared_release();
    shared_index_store(r->own_index, r->own);
}

bool ring_layout_fits(const struct xsk_ring_layout *l, uint64_t space, uint32_t entries,
                      uint32_t descriptor_size)
{
    uint64_t size = (uint64_t)entries * descriptor_size;
    if (space < 8 || l->producer > space - 8 || l->consumer > space - 8 || l->descriptors > space)
        return false;
    if (l->producer % 8 || l->consumer % 8 || l->descriptors % 8 || l->producer == l->consumer)
        return false;
    if (size > space - l->descriptors)
        return false;
    /* The indices lie before the descriptors, as every kernel has it. */
    return l->producer < l->descriptors && l->consumer < l->descriptors;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/ring.h"

#include "enclave/boundary/exit.h"
#include "enclave/boundary/shared.h"
#include "enclave/boundary/span.h"

bool ring_valid(const struct ring *r)
{
    uint32_t ahead = r->produces ? index_ahead(r->other, r->own) : index_ahead(r->own, r->other);
    return index_entries(r->entries) &&
           (r->entry_size == RING_ADDRESS || r->entry_size == RING_DESCRIPTOR) &&
           (uint64_t)r->entries * r->entry_size <= UINT64_MAX - r->entries_at.address &&
           ahead <= r->entries;
}

/* The indices lie before the entries, as every kernel has it. */
/*@ requires \valid_read(l);
    requires power_of_two(entries);
    requires entry_size == RING_ADDRESS || entry_size == RING_DESCRIPTOR;
    assigns \nothing;
    ensures \result != 0 ==>
            l->producer % 8 == 0 && l->consumer % 8 == 0 && l->descriptors % 8 == 0 &&
            l->producer != l->consumer && l->producer + 8 <= l->descriptors &&
            l->consumer + 8 <= l->descriptors && l->descriptors + ring_bytes(entries, entry_size) <= space;
*/
static bool layout_fits(const struct xsk_ring_layout *l, uint64_t space, uint32_t entries,
                        uint32_t entry_size)
{
    uint64_t size = (uint64_t)entries * entry_size;
    //@ assert size == ring_bytes(entries, entry_size);
    return l->producer % 8 == 0 && l->consumer % 8 == 0 && l->descriptors % 8 == 0 &&
           l->producer != l->consumer && span_within(l->producer, 8, l->descriptors) &&
           span_within(l->consumer, 8, l->descriptors) &&
           span_within(l->descriptors, size, space);
}

bool ring_start(struct ring *r, bool produces, struct untrusted base, uint64_t space,
                const struct xsk_ring_layout *l, uint32_t entries, uint32_t entry_size)
{
    if (!index_entries(entries) ||
        (entry_size != RING_ADDRESS && entry_size != RING_DESCRIPTOR) ||
        !layout_fits(l, space, entries, entry_size))
        return false;
    //@ assert l->producer + 8 <= space && l->consumer + 8 <= space;
    //@ assert base.address + l->descriptors + ring_bytes(entries, entry_size) <= base.address + space;
    r->own_index = untrusted_at(base, produces ? l->producer : l->consumer);
    r->other_index = untrusted_at(base, produces ? l->consumer : l->producer);
    r->entries_at = untrusted_at(base, l->descriptors);
    r->entries = entries;
    r->entry_size = entry_size;
    r->own = 0;
    r->other = 0;
    r->produces = produces;
    return true;
}

/*@ requires \valid_read(r);
    assigns \nothing;
    ensures \false; */
static _Noreturn void ring_violation(const struct ring *r, uint32_t value)
{
    violation("%s ring: index %u from the kernel, ours is %u, its last %u, entries %u", r->name, value,
              r->own, r->other, r->entries);
}

/*@ requires \valid(r) && ring_is_valid(r) && r->produces;
    assigns r->other;
    ensures ring_is_valid(r);
    ensures index_distance(r->other, r->own) <= \old(index_distance(r->other, r->own));
*/
static void see_consumer(struct ring *r)
{
    uint32_t value = shared_index(r->other_index);
    /* The consumer may have come nearer to us, and no further than us. */
    if (index_ahead(value, r->own) > index_ahead(r->other, r->own))
        ring_violation(r, value);
    r->other = value;
}

/*@ requires \valid(r) && ring_is_valid(r) && !r->produces;
    assigns r->other;
    ensures ring_is_valid(r);
    ensures index_distance(r->own, r->other) >= \old(index_distance(r->own, r->other));
*/
static void see_producer(struct ring *r)
{
    uint32_t value = shared_index(r->other_index);
    /* The producer may have gone on, by no more than the ring holds. */
    uint32_t ahead = index_ahead(r->own, value);
    if (ahead > r->entries || ahead < index_ahead(r->own, r->other))
        ring_violation(r, value);
    r->other = value;
}

uint32_t ring_space(struct ring *r, uint32_t wanted)
{
    if (r->entries - index_ahead(r->other, r->own) < wanted)
        see_consumer(r);
    return r->entries - index_ahead(r->other, r->own);
}

uint32_t ring_ready(struct ring *r, uint32_t wanted)
{
    if (index_ahead(r->own, r->other) < wanted)
        see_producer(r);
    return index_ahead(r->own, r->other);
}

void ring_advance(struct ring *r, uint32_t n)
{
    r->own = index_add(r->own, n);
    /* Entries written before are visible before the index; those read before are read. */
    shared_release();
    shared_index_store(r->own_index, r->own);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/frames.h"

#include "enclave/boundary/span.h"

/* Is `frame` below place `place` of the stack? */
/*@ requires \valid_read(f) && place <= FRAMES_MAX;
    assigns \nothing;
    ensures (\result != 0) <==> (\exists integer i; 0 <= i < place && f->free[i] == frame);
*/
static bool stack_has(const struct frames *f, uint32_t place, uint16_t frame)
{
    /*@ loop invariant 0 <= i <= place;
        loop invariant \forall integer k; 0 <= k < i ==> f->free[k] != frame;
        loop assigns i;
        loop variant place - i;
    */
    for (uint32_t i = 0; i < place; i++)
        if (f->free[i] == frame)
            return true;
    return false;
}

bool frames_valid(const struct frames *f)
{
    if (f->count > FRAMES_MAX || f->free_count > f->count)
        return false;
    /*@ loop invariant 0 <= i <= f->free_count;
        loop invariant \forall integer k; 0 <= k < i ==> f->free[k] < f->count;
        loop invariant \forall integer k; 0 <= k < i ==> f->owner[f->free[k]] == FRAME_FREE;
        loop invariant \forall integer j, k; 0 <= j < k < i ==> f->free[j] != f->free[k];
        loop assigns i;
        loop variant f->free_count - i;
    */
    for (uint32_t i = 0; i < f->free_count; i++)
        if (f->free[i] >= f->count || f->owner[f->free[i]] != FRAME_FREE ||
            stack_has(f, i, f->free[i]))
            return false;
    /*@ loop invariant 0 <= i <= f->count;
        loop invariant \forall integer k; 0 <= k < i ==> f->owner[k] <= FRAME_KERNEL;
        loop assigns i;
        loop variant f->count - i;
    */
    for (uint32_t i = 0; i < f->count; i++)
        if (f->owner[i] > FRAME_KERNEL)
            return false;
    return true;
}

void frames_start(struct frames *f, uint32_t count)
{
    f->count = count;
    f->free_count = count;
    /*@ loop invariant 0 <= i <= count;
        loop invariant \forall integer k; 0 <= k < i ==> f->free[k] == count - 1 - k;
        loop invariant \forall integer k; 0 <= k < i ==> f->owner[k] == FRAME_FREE;
        loop assigns i, f->free[0 .. FRAMES_MAX - 1], f->owner[0 .. FRAMES_MAX - 1];
        loop variant count - i;
    */
    for (uint32_t i = 0; i < count; i++) {
        f->free[i] = (uint16_t)(count - 1 - i); /* the first to be taken is frame 0 */
        f->owner[i] = FRAME_FREE;
    }
}

int32_t frames_take(struct frames *f)
{
    if (f->free_count == 0)
        return -1;
    f->free_count--;
    uint32_t frame = f->free[f->free_count];
    f->owner[frame] = FRAME_HELD;
    return (int32_t)frame;
}

bool frames_give(struct frames *f, uint32_t frame)
{
    /* A stack that is full has no frame to come back: it would be one of its own. */
    if (frame >= f->count || f->owner[frame] != FRAME_HELD || f->free_count >= f->count)
        return false;
    f->owner[frame] = FRAME_FREE;
    f->free[f->free_count] = (uint16_t)frame;
    f->free_count++;
    return true;
}

bool frames_return(struct frames *f, uint32_t frame)
{
    if (frame >= f->count || f->owner[frame] != FRAME_KERNEL)
        return false;
    f->owner[frame] = FRAME_HELD;
    return true;
}

bool frames_locate(uint64_t address, uint32_t length, uint32_t size, uint32_t first, uint32_t count,
                   uint32_t *frame, uint32_t *offset)
{
    uint64_t index = address / size;
    uint32_t within = (uint32_t)(address % size);
    if (index < first || index - first >= count || !span_within(within, length, size))
        return false;
    *frame = (uint32_t)(index - first);
    *offset = within;
    return true;
}

bool frames_accept(struct frames *f, uint64_t address, uint32_t length, uint32_t size, uint32_t first,
                   uint32_t *frame, uint32_t *offset)
{
    return frames_locate(address, length, size, first, f->count, frame, offset) &&
           frames_return(f, *frame);
}

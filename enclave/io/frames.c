/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/frames.h"

bool frames_valid(const struct frames *f)
{
    if (f->count > FRAMES_MAX || f->free_count > f->count)
        return false;
    for (uint32_t i = 0; i < f->free_count; i++)
        if (f->free[i] >= f->count || f->owner[f->free[i]] != FRAME_FREE)
            return false;
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
        loop invariant \forall integer k; 0 <= k < i ==> f->free[k] < count;
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

bool frames_lend(struct frames *f, uint32_t frame)
{
    if (frame >= f->count || f->owner[frame] != FRAME_HELD)
        return false;
    f->owner[frame] = FRAME_KERNEL;
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
    if (index < first || index - first >= count || length > size - within)
        return false;
    *frame = (uint32_t)(index - first);
    *offset = within;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet buffers of a UMEM and in whose hands each is. A frame is only accepted from the kernel if it is
 * where the kernel can have it from; handing one on changes its owner, so no frame is in two hands.
 */
#ifndef IO_FRAMES_H
#define IO_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#define FRAMES_MAX 4096u

enum frame_owner {
    FRAME_FREE = 0,   /* on the stack of free ones */
    FRAME_HELD = 1,   /* by a socket: received and queued, or being filled to be sent */
    FRAME_KERNEL = 2, /* in a ring: to be received into, or to be sent */
};

struct frames {
    uint32_t count;
    uint32_t free_count;
    uint16_t free[FRAMES_MAX];
    uint8_t owner[FRAMES_MAX];
};

/* The invariant: the stack holds frames of this pool, and each owner is one of the three. */
/*@ predicate frames_are_valid(struct frames *f) =
      f->count <= FRAMES_MAX && f->free_count <= f->count &&
      (\forall integer i; 0 <= i < f->free_count ==> f->free[i] < f->count) &&
      (\forall integer i; 0 <= i < f->count ==> f->owner[i] <= FRAME_KERNEL);
*/
bool frames_valid(const struct frames *f);

/*@ requires \valid(f) && count <= FRAMES_MAX;
    assigns *f;
    ensures frames_are_valid(f) && f->count == count && f->free_count == count;
    ensures \forall integer i; 0 <= i < count ==> f->owner[i] == FRAME_FREE;
*/
void frames_start(struct frames *f, uint32_t count);

/* A free frame, which its taker now holds; -1: none. */
/*@ requires \valid(f) && frames_are_valid(f);
    assigns f->free_count, f->owner[0 .. FRAMES_MAX - 1];
    ensures frames_are_valid(f);
    ensures \result == -1 || (0 <= \result < f->count && f->owner[\result] == FRAME_HELD &&
            f->free_count == \old(f->free_count) - 1);
    ensures \result == -1 ==> f->free_count == 0;
*/
int32_t frames_take(struct frames *f);

/* Held → free. False, and nothing changes, if nobody holds it. */
/*@ requires \valid(f) && frames_are_valid(f);
    assigns f->free_count, f->free[0 .. FRAMES_MAX - 1], f->owner[0 .. FRAMES_MAX - 1];
    ensures frames_are_valid(f);
    ensures \result != 0 ==> frame < f->count && \old(f->owner[frame]) == FRAME_HELD &&
            f->owner[frame] == FRAME_FREE;
    ensures \result == 0 ==> f->free_count == \old(f->free_count);
*/
bool frames_give(struct frames *f, uint32_t frame);

/* Held → the kernel's: before its descriptor is written. False if nobody holds it. */
/*@ requires \valid(f) && frames_are_valid(f);
    assigns f->owner[0 .. FRAMES_MAX - 1];
    ensures frames_are_valid(f);
    ensures \result != 0 ==> frame < f->count && \old(f->owner[frame]) == FRAME_HELD &&
            f->owner[frame] == FRAME_KERNEL;
*/
bool frames_lend(struct frames *f, uint32_t frame);

/* The kernel's → held: what its descriptor names. False if the kernel does not have it. */
/*@ requires \valid(f) && frames_are_valid(f);
    assigns f->owner[0 .. FRAMES_MAX - 1];
    ensures frames_are_valid(f);
    ensures \result != 0 ==> frame < f->count && \old(f->owner[frame]) == FRAME_KERNEL &&
            f->owner[frame] == FRAME_HELD;
*/
bool frames_return(struct frames *f, uint32_t frame);

/*
 * A descriptor's address and length as the kernel gave them, against frames first..first+count-1 of
 * `size` bytes each. True: *frame (from 0) and *offset within it are such that offset + length ≤ size.
 */
/*@ requires \valid(frame) && \valid(offset) && \separated(frame, offset);
    requires size == 2048 || size == 4096;
    requires first <= 65536 && count <= FRAMES_MAX;
    assigns *frame, *offset;
    ensures \result != 0 ==> *frame < count && *offset < size && length <= size - *offset;
*/
bool frames_locate(uint64_t address, uint32_t length, uint32_t size, uint32_t first, uint32_t count,
                   uint32_t *frame, uint32_t *offset);

#endif

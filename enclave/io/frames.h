/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet buffers of a UMEM and in whose hands each is. A frame is only accepted from the kernel if it is
 * where the kernel can have it from; handing one on changes its owner, so no frame is in two hands. A
 * pool is of one direction, so that the kernel's frames are those to be received into, or those to be
 * sent, never both. Who calls holds the lock of that direction.
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

/* The invariant: the stack holds frames of this pool that are free, each once. */
/*@ predicate frames_are_valid(struct frames *f) =
      f->count <= FRAMES_MAX && f->free_count <= f->count &&
      (\forall integer i; 0 <= i < f->free_count ==> f->free[i] < f->count) &&
      (\forall integer i; 0 <= i < f->free_count ==> f->owner[f->free[i]] == FRAME_FREE) &&
      (\forall integer i, j; 0 <= i < j < f->free_count ==> f->free[i] != f->free[j]) &&
      (\forall integer i; 0 <= i < f->count ==> f->owner[i] <= FRAME_KERNEL);
*/
/* No owner but perhaps that of frame x has changed. */
/*@ predicate frames_others_keep{L1, L2}(struct frames *f, integer x) =
      \forall integer i; 0 <= i < FRAMES_MAX && i != x ==>
        \at(f->owner[i], L1) == \at(f->owner[i], L2);
*/
/*@ requires \valid_read(f);
    assigns \nothing;
    ensures (\result != 0) <==> frames_are_valid(f);
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
    ensures \result == -1 <==> \old(f->free_count) == 0;
    ensures \result == -1 || (0 <= \result < f->count && \old(f->owner)[\result] == FRAME_FREE &&
            f->owner[\result] == FRAME_HELD && f->free_count == \old(f->free_count) - 1);
    ensures frames_others_keep{Pre, Post}(f, \result);
*/
int32_t frames_take(struct frames *f);

/* Held → free. False, and nothing changes, if nobody holds it. */
/*@ requires \valid(f) && frames_are_valid(f);
    assigns f->free_count, f->free[0 .. FRAMES_MAX - 1], f->owner[0 .. FRAMES_MAX - 1];
    ensures frames_are_valid(f);
    ensures \result != 0 ==> frame < f->count && \old(f->owner[frame]) == FRAME_HELD &&
            f->owner[frame] == FRAME_FREE && f->free_count == \old(f->free_count) + 1 &&
            frames_others_keep{Pre, Post}(f, frame);
    ensures \result == 0 ==> f->free_count == \old(f->free_count) && frames_others_keep{Pre, Post}(f, -1);
*/
bool frames_give(struct frames *f, uint32_t frame);

/* Held → the kernel's: before its descriptor is written. False, and nothing changes, if nobody holds it. */
/*@ requires \valid(f) && frames_are_valid(f);
    assigns f->owner[0 .. FRAMES_MAX - 1];
    ensures frames_are_valid(f);
    ensures \result != 0 ==> frame < f->count && \old(f->owner[frame]) == FRAME_HELD &&
            f->owner[frame] == FRAME_KERNEL && frames_others_keep{Pre, Post}(f, frame);
    ensures \result == 0 ==> frames_others_keep{Pre, Post}(f, -1);
*/
static inline bool frames_lend(struct frames *f, uint32_t frame)
{
    if (frame >= f->count || f->owner[frame] != FRAME_HELD)
        return false;
    f->owner[frame] = FRAME_KERNEL;
    return true;
}

/* The kernel's → held. False, and nothing changes, if the kernel does not have it. */
/*@ requires \valid(f) && frames_are_valid(f);
    assigns f->owner[0 .. FRAMES_MAX - 1];
    ensures frames_are_valid(f);
    ensures \result != 0 ==> frame < f->count && \old(f->owner[frame]) == FRAME_KERNEL &&
            f->owner[frame] == FRAME_HELD && frames_others_keep{Pre, Post}(f, frame);
    ensures \result == 0 ==> frames_others_keep{Pre, Post}(f, -1);
*/
bool frames_return(struct frames *f, uint32_t frame);

/*
 * Which frame of `first`.. (`count` of them, of `size` bytes each) a UMEM address is in. True: *frame,
 * from 0, and *offset within it, with `length` bytes from there inside the frame.
 */
/*@ requires \valid(frame) && \valid(offset) && \separated(frame, offset);
    requires size == 2048 || size == 4096;
    requires first <= FRAMES_MAX && count <= FRAMES_MAX;
    assigns *frame, *offset;
    ensures \result != 0 ==> *frame < count && *offset < size && *offset + length <= size &&
            address == (first + *frame) * size + *offset;
*/
bool frames_locate(uint64_t address, uint32_t length, uint32_t size, uint32_t first, uint32_t count,
                   uint32_t *frame, uint32_t *offset);

/*
 * Take back what a descriptor of the kernel's names, as the kernel gave it: the frame is now held. False,
 * and nothing changes: it is not in a frame that the kernel has.
 */
/*@ requires \valid(f) && frames_are_valid(f);
    requires \valid(frame) && \valid(offset) && \separated(f, frame, offset);
    requires (size == 2048 || size == 4096) && first <= FRAMES_MAX;
    assigns f->owner[0 .. FRAMES_MAX - 1], *frame, *offset;
    ensures frames_are_valid(f);
    ensures \result != 0 ==>
            *frame < f->count && \old(f->owner)[*frame] == FRAME_KERNEL &&
            f->owner[*frame] == FRAME_HELD && frames_others_keep{Pre, Post}(f, *frame) &&
            *offset + length <= size && address == (first + *frame) * size + *offset;
    ensures \result == 0 ==> frames_others_keep{Pre, Post}(f, -1);
*/
bool frames_accept(struct frames *f, uint64_t address, uint32_t length, uint32_t size, uint32_t first,
                   uint32_t *frame, uint32_t *offset);

#endif

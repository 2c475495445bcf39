/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/datagram.h"

#include "enclave/boundary/shared.h"

#define CUT 0x20u           /* MSG_TRUNC: of the payload, for which there is always room */
#define CONTROL_CUT 0x8u    /* MSG_CTRUNC */
#define ELEMENT 16u         /* struct cmsghdr: length (8), level (4), type (4) */
#define LEVEL_UDP 17u       /* IPPROTO_UDP */
#define TYPE_ROW 104u       /* UDP_GRO: an int */

bool datagram_take(struct untrusted buffer, uint32_t filled, struct datagram *out)
{
    uint64_t first = shared_word(buffer), second = shared_word(untrusted_at(buffer, 8));
    uint32_t flags = (uint32_t)(second >> 32);
    out->name_length = (uint32_t)(first & UINT32_MAX);
    out->control_length = (uint32_t)(first >> 32);
    out->length = (uint32_t)(second & UINT32_MAX);
    out->cut = (flags & CONTROL_CUT) != 0;
    /*@ loop invariant 0 <= i <= 4;
        loop assigns i, out->name[0 .. 3];
        loop variant 4 - i;
    */
    for (uint32_t i = 0; i < DATAGRAM_NAME / 8; i++)
        out->name[i] = shared_word(untrusted_at(buffer, DATAGRAM_HEAD + (uint64_t)i * 8));
    return out->name_length <= DATAGRAM_NAME && out->control_length <= DATAGRAM_CONTROL &&
           out->length <= DATAGRAM_LONGEST && DATAGRAM_PAYLOAD + out->length == filled && !(flags & CUT);
}

/*@ requires \valid_read(p + (0 .. 3));
    assigns \nothing;
*/
static uint32_t load32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Where the next element begins, or the end. */
/*@ requires size <= 464;
    assigns \nothing;
    ensures \result >= size && \result <= size + 7;
*/
static uint32_t aligned(uint32_t size)
{
    return (size + 7) / 8 * 8;
}

uint16_t datagram_row(uint8_t *control, uint32_t *length)
{
    uint32_t end = *length, at = 0;
    /*@ loop invariant at <= end && end <= DATAGRAM_CONTROL;
        loop assigns at;
        loop variant end - at;
    */
    while (end - at >= ELEMENT) {
        uint32_t size = load32(control + at), left = end - at;
        if (load32(control + at + 4) != 0 || size < ELEMENT || size > left)
            return 0;
        uint32_t whole = aligned(size), next = whole < left ? at + whole : end;
        //@ assert next <= end && next >= at;
        if (load32(control + at + 8) != LEVEL_UDP || load32(control + at + 12) != TYPE_ROW) {
            at = next;
            continue;
        }
        uint32_t row = size >= ELEMENT + 4 ? load32(control + at + ELEMENT) : 0;
        /*@ loop invariant next <= i <= end;
            loop assigns i, control[at .. end - 1];
            loop variant end - i;
        */
        for (uint32_t i = next; i < end; i++)
            control[at + (i - next)] = control[i];
        *length = end - (next - at);
        return row <= DATAGRAM_LONGEST ? (uint16_t)row : 0;
    }
    return 0;
}

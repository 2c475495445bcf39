/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A datagram as an io_uring's multishot IORING_OP_RECVMSG leaves it in a buffer: struct io_uring_recvmsg_out, room for
 * an address, room for control data, payload. A buffer has room for the longest that UDP has, and for a row
 * that the kernel has joined (UDP_GRO), so nothing is ever cut.
 */
#ifndef BOUNDARY_DATAGRAM_H
#define BOUNDARY_DATAGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/boundary/untrusted.h"

#define DATAGRAM_HEAD 16u     /* of struct io_uring_recvmsg_out */
#define DATAGRAM_NAME 32u     /* room for an address */
#define DATAGRAM_CONTROL 464u /* room for control data */
#define DATAGRAM_PAYLOAD 512u /* where the payload begins: the sum */
#define DATAGRAM_LONGEST 65535u
#define DATAGRAM_BUFFER 69632u /* pages that hold all of it */

struct datagram {
    uint64_t name[DATAGRAM_NAME / 8]; /* the sender's address: an untrusted value, as the kernel's always is */
    uint32_t name_length;
    uint32_t control_length;
    uint32_t length; /* of the payload */
    bool cut;        /* there was no room for all of the control data */
};

/*@ predicate datagram_is_valid(struct datagram *d) =
      d->name_length <= DATAGRAM_NAME && d->control_length <= DATAGRAM_CONTROL && d->length <= DATAGRAM_LONGEST;
*/

/* What is in a buffer that the kernel says it has filled with `filled` bytes. False: it does not hold up. */
/*@ requires \valid(out);
    requires buffer.address + DATAGRAM_BUFFER <= UINT64_MAX;
    assigns *out;
    ensures \result != 0 ==> datagram_is_valid(out);
    ensures \result != 0 ==> DATAGRAM_PAYLOAD + out->length == filled && filled <= DATAGRAM_BUFFER;
*/
bool datagram_take(struct untrusted buffer, uint32_t filled, struct datagram *out);

/*
 * The size of each datagram of a row that the kernel has joined, as the control data (`length` bytes of it, inside)
 * says it: 0: it is no row. *length is without that element then, which is taken out.
 */
/*@ requires \valid(length) && *length <= DATAGRAM_CONTROL;
    requires \valid(control + (0 .. *length - 1)) && \separated(control + (0 .. *length - 1), length);
    assigns *length, control[0 .. \old(*length) - 1];
    ensures *length <= \old(*length);
*/
uint16_t datagram_row(uint8_t *control, uint32_t *length);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of what lies in, or is going to, untrusted memory: the words are loaded or stored anyway. */
#ifndef BOUNDARY_SUM_H
#define BOUNDARY_SUM_H

#include <stddef.h>
#include <stdint.h>

#include "enclave/boundary/untrusted.h"

#define SUM_LENGTH_MAX 0x10000u                 /* no piece of a packet is longer */
#define SUM_WORDS_MAX (SUM_LENGTH_MAX / 8u + 1u) /* that so many bytes lie in */

/* Ones' complement sum (RFC 1071) of the bytes as big-endian 16-bit words, folded to 16 bits. The bytes
 * may be other ones by the time that they are read: a checksum finds accidents, not attacks. */
/*@ requires length <= SUM_LENGTH_MAX && u.address + length + 8 <= UINT64_MAX;
    assigns \nothing;
    ensures \result <= 0xffff; */
uint32_t untrusted_sum(struct untrusted u, size_t length);

/* As untrusted_write, from memory of the LibOS; returns the same sum of what was written. */
/*@ requires length <= SUM_LENGTH_MAX;
    requires \valid_read(from + (0 .. length - 1));
    assigns \nothing;
    ensures \result <= 0xffff; */
uint32_t untrusted_write_sum(struct untrusted target, const uint8_t *from, size_t length);

#endif

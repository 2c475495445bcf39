/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of what lies in, or is going to, untrusted memory: the words are loaded or stored anyway. */
#ifndef BOUNDARY_SUM_H
#define BOUNDARY_SUM_H

#include <stddef.h>
#include <stdint.h>

#include "enclave/boundary/untrusted.h"

/* Ones' complement sum (RFC 1071) of the bytes as big-endian 16-bit words, folded to 16 bits. The bytes
 * may be other ones by the time that they are read: a checksum finds accidents, not attacks. */
uint32_t untrusted_sum(struct untrusted u, size_t length);

/* As untrusted_write, from memory of the LibOS; returns the same sum of what was written. */
uint32_t untrusted_write_sum(struct untrusted target, const void *from, size_t length);

#endif

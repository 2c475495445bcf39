/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Untrusted memory: an address that nobody outside boundary/ can dereference by accident, and the
 * copies across. Every access to the untrusted side is a whole aligned 8-byte word (law 8), so an
 * untrusted buffer begins on 8 bytes and its last word belongs to it whole.
 */
#ifndef BOUNDARY_UNTRUSTED_H
#define BOUNDARY_UNTRUSTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct untrusted {
    uint64_t address;
};

/*@ assigns \nothing;
    ensures \result.address == (uint64_t)(u.address + offset);
*/
static inline struct untrusted untrusted_at(struct untrusted u, uint64_t offset)
{
    return (struct untrusted){u.address + offset};
}

/* For the prover: the bytes of buffers that callers name, the program's or theirs. Copies change them, and nothing
 * that is proved depends on what they are. */
//@ ghost extern int caller_bytes;

/* One word of untrusted memory, read once. `u` is 8-aligned. */
/*@ assigns \result \from \nothing; */
uint64_t untrusted_load(struct untrusted u);
/*@ assigns \nothing; */
void untrusted_store(struct untrusted u, uint64_t value);

/* Replaces a word by another if it is as expected, in one step: was it? `u` is 8-aligned. */
bool untrusted_swap(struct untrusted u, uint64_t expected, uint64_t value);

/*
 * Copy `length` bytes from untrusted memory into the enclave. `source` may have any alignment: whole
 * words around it are read. `to` may be the program's memory: 0, or -EFAULT when it cannot be written, or
 * the source has ceased to be there (a file that was cut shorter).
 */
/*@ assigns caller_bytes, \result \from \nothing;
    ensures \result <= 0; */
int untrusted_read(void *to, struct untrusted source, size_t length);

/* Copy into untrusted memory; `target` is 8-aligned; the last word is padded with zeros.
 * `from` may be the program's memory: 0 or -EFAULT. */
/*@ assigns \result \from \nothing;
    ensures \result <= 0; */
int untrusted_write(struct untrusted target, const void *from, size_t length);

/* Copy into the midst of what is already there: `target` may have any alignment, the bytes around it in
 * its first and last word stay. `from` may be the program's memory: 0 or -EFAULT. */
/*@ assigns \result \from \nothing;
    ensures \result <= 0; */
int untrusted_insert(struct untrusted target, const void *from, size_t length);
/* The same for who holds a lock that an exit may want: memory that is with another process (order.h) is not brought
 * here, but -EFAULT. */
int untrusted_insert_here(struct untrusted target, const void *from, size_t length);

#endif

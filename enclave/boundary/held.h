/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the host's descriptors the enclave holds: one that it has is never accepted as a new one. */
#ifndef BOUNDARY_HELD_H
#define BOUNDARY_HELD_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* The host's descriptors run from 0 to below this. */
#define HOST_FD_LIMIT (1 << 20)
#define HELD_PAGE 4096u

/* A byte a descriptor. Pages are made as they are needed and stay. */
struct held_descriptors {
    bool *page[HOST_FD_LIMIT / HELD_PAGE];
};

/* For the prover: where pages may lie. */
//@ ghost extern bool held_bytes[HOST_FD_LIMIT];

/*@ predicate held_is_valid(struct held_descriptors *h) = \valid(h) && \separated(h, held_bytes + (0 .. HOST_FD_LIMIT - 1)) &&
      \forall integer i; 0 <= i < HOST_FD_LIMIT / HELD_PAGE ==>
        h->page[i] == \null || h->page[i] == held_bytes + i * HELD_PAGE;
    predicate held_has(struct held_descriptors *h, integer fd) =
      h->page[fd / HELD_PAGE] != \null && h->page[fd / HELD_PAGE][fd % HELD_PAGE] != 0;
*/

/* Takes note of one: 0, -EEXIST: it is there already, -ENOMEM. */
/*@ requires held_is_valid(h) && fd < HOST_FD_LIMIT;
    assigns h->page[fd / HELD_PAGE], held_bytes[fd];
    ensures held_is_valid(h);
    ensures \result == 0 ==> !\old(held_has(h, fd)) && held_has(h, fd);
    ensures \result != 0 ==> \result == -EEXIST || \result == -ENOMEM;
    ensures \old(held_has(h, fd)) ==> \result == -EEXIST; */
int held_add(struct held_descriptors *h, uint32_t fd);

/* It is none any more. */
/*@ requires held_is_valid(h) && fd < HOST_FD_LIMIT;
    assigns held_bytes[fd];
    ensures held_is_valid(h) && !held_has(h, fd); */
void held_remove(struct held_descriptors *h, uint32_t fd);

#endif

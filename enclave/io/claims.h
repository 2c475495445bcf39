/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading at a position that other processes have, too: of a file that was inherited. A read moves the position, so that
 * each byte is read by one of them. A claim does that for many reads at once: the position goes over all of them, and what
 * lies before it is this process's to read, without an exit. Before anybody could see how far the program has got, it goes
 * back to there.
 */
#ifndef IO_CLAIMS_H
#define IO_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/lib/list.h"

/* Of an open file; zeros to begin with. Kept by the caller, who is one thread at a time. */
struct claim {
    int host_fd;
    bool shared;     /* somebody else moves the position while this process does: none any more */
    bool held;       /* it is in the list */
    int64_t at, end; /* claimed and not used */
    uint64_t size;   /* of the next */
    uint32_t uses;   /* of this one */
    uint32_t pause;  /* reads by the host before the next ... */
    uint32_t wait;   /* ... that are still to be done */
    struct list all;
};

/*
 * The next *length bytes of the file are the caller's: their offset. *length may become less, but not 0. -EAGAIN: the host
 * is to read. Nothing behind `file_end` is claimed, a multiple of 4096. Two exits at most, one of them noticeable.
 */
int64_t claim_take(struct claim *c, uint64_t *length, int64_t file_end);
/* The last `length` bytes of what was taken were not used. */
void claim_return(struct claim *c, uint64_t length);
/* As much as can be is given back, as before it is closed. Is there a rest, which others have gone past? It is nobody's if
 * not this process's. */
bool claim_rest(struct claim *c);

#endif

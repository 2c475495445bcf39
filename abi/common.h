/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXIT_COMMON: pages that several enclaves have in turn. The host keeps those that no enclave has. A region is known by
 * a number that the enclave chose, and by fork to the processes that come of it.
 */
#ifndef ABI_COMMON_H
#define ABI_COMMON_H

#include <stdint.h>

#define COMMON_REGIONS 256
#define COMMON_WORDS 64   /* for waiting, of each region */
#define COMMON_ANSWER 64  /* pages that COMMON_WANTED tells of at most */

/* A page outside: encrypted. */
struct common_slot {
    uint8_t writer[16]; /* of the key */
    uint64_t count;     /* the nonce */
    uint64_t version;   /* 0: never written, all zeros */
    uint8_t tag[16];
    uint64_t unused[2];
    uint8_t bytes[4096];
};

/* (operation, region, page or word, arena offset or value, ns) */
enum common_operation {
    COMMON_MAKE,   /* page: how many → 0, -errno */
    COMMON_DROP,   /* this process has no more to do with it → 0 */
    COMMON_TAKE,   /* the page, into a struct common_slot in the arena → 0; 1: who had it died with it; -EAGAIN: another
                      has it, and knows that it is wanted */
    COMMON_AWAIT,  /* until another may have given the page, so many ns at most → 0, -EINTR */
    COMMON_GIVE,   /* the page, from a struct common_slot in the arena → 0 */
    COMMON_WANTED, /* pages that this process has and others want, into COMMON_ANSWER words of the arena → how many */
    COMMON_NUMBER, /* of a word → its number, 31 bits */
    COMMON_WAIT,   /* while that is the word's number, so many ns at most → 0, -ETIMEDOUT, -EINTR */
    COMMON_WAKE,   /* another number, and all who wait look → how many waited */
};

#endif

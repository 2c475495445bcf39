/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for files. Files of the LibOS (UDP sockets over XSK) are asked inside; the host's in one
 * exit, together with the wait.
 */
#ifndef OS_POLL_H
#define OS_POLL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "enclave/os/file.h"

struct poll_entry {
    struct file *file; /* NULL: skipped */
    uint32_t events;   /* POLLIN, ... */
    uint32_t revents;  /* out */
    uint32_t reported; /* by the host, of what stands behind a file of the LibOS: until it is asked
                          next */
    bool host;         /* there is a host descriptor to look at, */
    bool answer;       /* and what it says is the answer */
    bool ahead;        /* a stream that is read ahead */
};

#define DEADLINE_NOW 0
#define DEADLINE_NEVER UINT64_MAX

/*
 * Until one of the entries is ready, or the deadline of time_monotonic_ns(). How many are ready;
 * RESTART_NOHAND: a signal came; -errno. The revents of all entries are set.
 */
int64_t poll_entries(struct poll_entry *entries, int count, uint64_t deadline);

/* ---- shared with epoll.c ---- */

/* A relative timeout of the program; user 0: none. 0 or -errno. */
int deadline_of_timespec(uint64_t user, uint64_t *deadline);
uint64_t deadline_of_milliseconds(int timeout);
/* Nanoseconds until then, NO_TIMEOUT: for ever. */
uint64_t deadline_left(uint64_t deadline);
/* The mask of ppoll and the like, in force until the return to the program. user 0: none. */
int mask_take(uint64_t user, uint64_t size);
/* Did this thread look at the host's side of this set so recently that files of the LibOS that are
 * ready may be reported without another look? `key` tells sets apart. */
bool look_is_fresh(uint64_t key);
void look_done(uint64_t key);

#endif

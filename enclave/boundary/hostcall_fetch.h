/* SPDX-License-Identifier: Apache-2.0 */
/* For os/deferred: a part of a file, by a room of its own in the arena, as it is wanted in the middle of other calls
 * that have something in the bounce buffer. One at a time. */
#ifndef BOUNDARY_HOSTCALL_FETCH_H
#define BOUNDARY_HOSTCALL_FETCH_H

#include <stdint.h>

#define FETCH_MAX (1ul << 20) /* bytes at once */
/* What the host reads of that at a time: pages on the way that are used again cost less than an exit saved. */
#define FETCH_PIECE 0x20000ul

/* 0 or -ENOMEM. Before the other. */
int host_fetch_start(void);
/* Bytes of the file, fewer than `length` only at its end; or -errno. `to`: the LibOS's. No signal ends it. */
int64_t host_fetch(int fd, void *to, uint64_t length, uint64_t offset);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of an enclave, sent to the one that is to be its copy: the program's pages, the LibOS's own,
 * and the image's writable data. Not sent: the thread areas, each enclave's own, and what is marked TRANSIENT.
 */
#ifndef OS_SNAPSHOT_H
#define OS_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

struct channel;

/* Data of the image that is each enclave's own. In whole pages, as types with this alignment are. */
#define TRANSIENT __attribute__((section("transient"), aligned(4096)))

/* While the world is stopped. 0 or -errno. */
int snapshot_send(struct channel *c);
/* Everything is overwritten, the caller's data too but for what is TRANSIENT or on its stack. 0 or -errno; on
 * failure nothing can be relied on any more. */
int snapshot_receive(struct channel *c);

/* A message of another kind than a snapshot's: exactly `size` bytes. */
int snapshot_send_state(struct channel *c, const void *state, size_t size);
int snapshot_receive_state(struct channel *c, void *state, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An encrypted stream between this enclave and another one of the same measurement on the same machine, over
 * two descriptors of the host. Each side proves by a report what it is and that its ephemeral key is its
 * own; what follows is AES-256-GCM with counted messages. What the host changes, leaves out, repeats or cuts off
 * is an error.
 *
 * A message on the wire: its length (8 bytes), the encrypted bytes, the tag; filled up to whole words.
 */
#ifndef BOUNDARY_CHANNEL_H
#define BOUNDARY_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enclave/lib/cipher.h"
#include "platform/sgx_arch.h"

#define CHANNEL_BODY_MAX 16384
#define CHANNEL_HEAD 32 /* bytes at the start of each message that say what it is */

#define CHANNEL_ALIGNMENT 512ul
/* Too large for a stack. One thread at a time. */
struct channel {
    struct sgx_report report, peer_report;
    struct sgx_targetinfo target;
    struct sgx_keyrequest request;
    uint8_t report_data[64] __attribute__((aligned(128)));
    uint8_t key[16] __attribute__((aligned(16)));
    int in, out;
    uint64_t filled;           /* bytes of the bounce buffer that wait to be written */
    uint64_t start, available; /* bytes of the bounce buffer that were read and not yet taken */
    struct cipher send, receive;
    uint8_t message[CHANNEL_HEAD + CHANNEL_BODY_MAX + CIPHER_TAG_SIZE + 8];
};

/* Prepares it, with nothing said yet. */
void channel_start(struct channel *c, int in, int out);
/* Who are you? `first`: this side made the other. 0; -EPIPE: the other end is gone; -EPROTO: it is not what it
 * should be. */
int channel_open(struct channel *c, bool first);

/* Queues a message; what is queued leaves with channel_flush or when there is much of it. `body` may be the
 * program's memory. 0; -EPIPE; -EFAULT. Exits between queueing and flushing must leave the bounce buffer
 * alone. */
int channel_send(struct channel *c, const void *head, const void *body, size_t size);
int channel_flush(struct channel *c);

/* The next message: the size of its body, which lies at *body until the next call; -EPIPE: the other end is gone;
 * -EPROTO. */
int64_t channel_receive(struct channel *c, void *head, const uint8_t **body);

/* Closes the descriptors and overwrites the keys. */
void channel_close(struct channel *c);
/* Closes a descriptor of a channel that another process has the keys of. */
void channel_descriptor_close(int fd);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of socket pairs within the enclave share: os/local_pair*.c. */
#ifndef OS_LOCAL_PAIR_H
#define OS_LOCAL_PAIR_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "enclave/os/control.h"
#include "enclave/os/local.h"

#define SEND_BUFFER 212992u /* as the kernel has it unless told otherwise */
#define IN ((uint32_t)(POLLIN | POLLRDNORM | POLLRDBAND | POLLPRI))
#define OUT ((uint32_t)(POLLOUT | POLLWRNORM | POLLWRBAND))
#define SHUT_IN 1u
#define SHUT_OUT 2u

struct message {
    struct message *next;
    uint32_t length, offset, charge;
    struct file_references files;
    uint8_t bytes[];
};

/* What has arrived at an end, and its state. */
struct half {
    struct message *first, **last;
    uint32_t bytes;   /* that wait */
    uint32_t charged; /* for them, to the other end */
    uint32_t shut;
    int error;         /* that is to be told once */
    bool disconnected; /* it was told that its peer is gone (datagrams) */
};

struct pair {
    struct local local;
    int type;
    struct half half[2];
};

static inline struct pair *pair_of(const struct file *f)
{
    return (struct pair *)f->local;
}

/* All of them, no longer here: for messages_drop, without the lock. */
static inline struct message *purge(struct half *h)
{
    struct message *left = h->first;
    h->first = NULL;
    h->bytes = h->charged = 0;
    return left;
}

/* Is there room for what the end sends, as poll has it? */
static inline bool writable(const struct pair *p, int side)
{
    return p->half[!side].charged <= SEND_BUFFER / 4;
}

/* ---- local_pair_transfer.c ---- */

void messages_drop(void *first);
int64_t pair_sendmsg(struct file *f, const struct msghdr *m, int flags);
int64_t pair_recvmsg(struct file *f, struct msghdr *m, int flags);

#endif

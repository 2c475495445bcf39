/* SPDX-License-Identifier: Apache-2.0 */
/* io_urings for threads of the enclave (abi/uring.h). */
#ifndef HOST_URING_H
#define HOST_URING_H

#include <stdint.h>

#include "abi/uring.h"

/* EXIT_URING_OPEN: the descriptor or -errno; says once why there is none. */
int64_t uring_open(struct uring_setup *setup);

/* Law 4, of what is about to be submitted to the ring `fd`: NULL, or what is wrong. */
const char *uring_check(int fd);

/* A descriptor of the enclave's is closed: if it is a ring, it is forgotten. */
void uring_closed(int fd);
/* In the child of a fork: there are none. */
void uring_forked(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Making a process: another enclave, whose memory is a copy of this one's. */
#ifndef OS_FORK_H
#define OS_FORK_H

#include <stdint.h>

struct process_request {
    uint64_t flags;      /* CLONE_ */
    int exit_signal;
    uint64_t stack;      /* 0: as it is */
    uint64_t parent_tid, child_tid, tls, pidfd; /* user addresses, where flags say so */
};

/* The pid of the child, 0 in the child, or -errno. */
int64_t process_create(const struct process_request *q);

/* A descriptor of the process, for the program; flags: O_NONBLOCK or none. */
int64_t process_descriptor(int pid, uint32_t flags);

/* In the enclave that is to be the copy: becomes it. */
_Noreturn void process_start_forked(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Control data of messages (cmsg(3)): the descriptors in it are the program's on one side, the
 * host's on the other. */
#ifndef OS_CONTROL_H
#define OS_CONTROL_H

#include <stdbool.h>
#include <sys/socket.h>

struct file;

/* References to files that a message being sent refers to. */
struct file_references {
    struct file **files;
    int count;
};

#define FILES_MOST 253 /* in one message: SCM_MAX_FD of the kernel */

void references_drop(struct file_references *r);
/* *to, empty, gets references to the same files: 0 or -errno. */
int references_copy(struct file_references *to, const struct file_references *from);

/* Checks the control data and puts the host's descriptors for the program's. 0 or -errno; *held
 * keeps the files open until references_drop. */
int control_to_host(struct msghdr *m, struct file_references *held);

/* Installs the descriptors that came from the host. What does not hold up, or does not fit the
 * table, is cut off, with MSG_CTRUNC. */
void control_from_host(struct msghdr *m, bool close_on_exec);

/*
 * The same for messages that stay in the enclave. take: what the control data refers to goes to *held; 1: there is
 * more in it than files; or -errno. give: installs them, and puts their numbers into the room that is there; what
 * does not fit is left to the caller, with MSG_CTRUNC.
 */
int control_take(const struct msghdr *m, struct file_references *held);
void control_give(struct msghdr *m, struct file_references *r, bool close_on_exec);

#endif

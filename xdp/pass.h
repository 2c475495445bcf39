/* SPDX-License-Identifier: Apache-2.0 */
/* Messages over a Unix socket that carry a file descriptor. */
#ifndef XDP_PASS_H
#define XDP_PASS_H

#include <stddef.h>
#include <sys/types.h>

/* Send, without waiting for who receives. `fd` below 0: none goes along. 0 or -errno: -ETOOMANYREFS, the kernel has
 * not carried it for a fifth of a second. */
int pass_send(int to, const void *message, size_t length, int fd);
/* Receive one message: its length, 0 at the end, -errno. *fd, the caller's to close: the one that came along, -1:
 * none, or more than one, which are closed. `flags` as for recvmsg. */
ssize_t pass_receive(int from, void *message, size_t size, int *fd, int flags);

#endif

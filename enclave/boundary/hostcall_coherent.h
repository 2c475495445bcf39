/* SPDX-License-Identifier: Apache-2.0 */
/* For os/coherent: the host's calls by a room of their own in the arena, as they come in the middle of other calls
 * that have something in the bounce buffer. One at a time. */
#ifndef BOUNDARY_HOSTCALL_COHERENT_H
#define BOUNDARY_HOSTCALL_COHERENT_H

#include <stdbool.h>
#include <stdint.h>

/* 0 or -ENOMEM. Before the others. */
int host_coherent_start(void);
/* The file of this descriptor, opened anew to read and write: the host's descriptor or -errno. No signal ends it. */
int host_coherent_open(int fd);
/* The lock of this open file: 0, -EAGAIN, -EINTR, -errno. */
enum coherent_wait { COHERENT_TRY, COHERENT_WAIT /* until a signal */, COHERENT_WAIT_ON };
int host_coherent_lock(int fd, enum coherent_wait wait);
void host_coherent_unlock(int fd);
/* A page: how much of it there is in the file, the rest being zeros; or -errno. */
int64_t host_coherent_read(int fd, uint8_t *page, uint64_t offset);
int64_t host_coherent_write(int fd, const uint8_t *page, uint64_t length, uint64_t offset);
/* Sleeps for less than a second. */
void host_coherent_nap(uint64_t ns);
/* A timer of host_timer_create, once, so many nanoseconds from now. */
void host_coherent_timer(int timer, uint64_t ns);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V's and POSIX's semaphores, message queues and shared memory of the host, by one exit each. As
 * hostcall.h: buffers named `user` may be the program's, whose range is checked (user_range); -errno.
 */
#ifndef BOUNDARY_HOSTCALL_IPC_H
#define BOUNDARY_HOSTCALL_IPC_H

#include <mqueue.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* semget, msgget, shmget, ...: numbers only, an id comes back. */
int64_t host_ipc_get(uint64_t number, uint64_t key, uint64_t size, uint64_t flags);

/* semctl, msgctl, shmctl. `in` bytes at *user go to the host, `out` come back, at most a page; with neither the call
 * gets `value`. semctl alone has an index. */
int64_t host_ipc_control(uint64_t number, int id, int index, int command, uint64_t value, void *user, size_t in,
                         size_t out);
/* The same for semctl's GETALL and SETALL of `count` semaphores. */
int64_t host_semaphores(int id, int command, void *user, uint64_t count);

#define HOST_SEMOPS_MAX 500 /* Linux's own limit */
/* semtimedop; timeout NO_TIMEOUT of hostcall.h: none. Sleeps. */
int64_t host_semop(int id, const void *user, unsigned count, uint64_t timeout_ns);

/* Message: a long for its type, then `size` bytes. At most as many as the bounce buffer holds: -EINVAL. Both sleep. */
int64_t host_msgsnd(int id, const void *user, uint64_t size, int flags);
int64_t host_msgrcv(int id, void *user, uint64_t size, int64_t type, int flags);

/* attributes NULL: by default. A descriptor of the host. */
int host_mq_open(const char *name, int flags, unsigned mode, const struct mq_attr *attributes);
/* until NULL: for ever. Both sleep. */
int64_t host_mq_send(int fd, const void *user, uint64_t size, unsigned priority, const struct timespec *until);
int64_t host_mq_receive(int fd, void *user, uint64_t size, unsigned *priority, const struct timespec *until);
/* new, old: NULL or the LibOS's. */
int host_mq_attributes(int fd, const struct mq_attr *new, struct mq_attr *old);
/* event NULL: no more. socket: the host's, for SIGEV_THREAD, which says so by `cookie`; else -1. */
#define HOST_MQ_COOKIE 32
int host_mq_notify(int fd, const struct sigevent *event, int socket, const uint8_t cookie[HOST_MQ_COOKIE]);

#endif

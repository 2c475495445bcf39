/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux system calls made by the host: one exit each. What goes in by reference is copied to the
 * bounce buffer, what comes back is copied in and checked against what the call can return (law 7).
 * Each returns the call's result or a negative errno. Pointers are the enclave's: `struct iovec`
 * entries and those marked so may point to the program's memory (-EFAULT), all others to the
 * LibOS's.
 *
 * `exit_flags`: EXIT_INTERRUPTIBLE for a call that may sleep, else 0.
 */
#ifndef BOUNDARY_HOSTCALL_H
#define BOUNDARY_HOSTCALL_H

#include <linux/stat.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#include "abi/exits.h"
#include "enclave/boundary/hostcall_bytes.h"

#define NO_TIMEOUT UINT64_MAX

/* ---- paths ---- */

int host_openat(int directory, const char *path, int flags, int mode);
/* openat2's resolve flags too. */
int host_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int host_stat(int directory, const char *path, int flags, struct stat *out);
int host_fstat(int fd, struct stat *out);
int host_statx(int directory, const char *path, int flags, uint32_t mask, struct statx *out);
/* fd -1: by path. */
int host_statfs(int fd, const char *path, struct statfs *out);
/* Bytes, not terminated; size at most HOST_PATH_MAX. */
int64_t host_readlink(int directory, const char *path, char *out, uint64_t size);
/* `user` may be the program's. */
int64_t host_getdents(int fd, void *user, uint64_t size);
/* With its NUL. */
int64_t host_getcwd(char *out, uint64_t size);
/* Calls (directory, path, numbers) and (path, numbers) that return 0. */
int host_path_at(uint64_t number, int directory, const char *path, uint64_t a2, uint64_t a3,
                 uint64_t a4);
int host_path(uint64_t number, const char *path, uint64_t a1, uint64_t a2);
/* renameat2, linkat; symlinkat is (target, directory, path). */
int host_rename(int directory, const char *path, int directory2, const char *path2, uint32_t flags);
int host_link(int directory, const char *path, int directory2, const char *path2, int flags);
int host_symlink(const char *target, int directory, const char *path);
/* path NULL: the descriptor itself. times NULL: now. */
int host_utimens(int directory, const char *path, const struct timespec times[2], int flags);
int host_memfd(const char *name, unsigned flags);
int host_inotify_add(int fd, const char *path, uint32_t mask);
/* Extended attributes. `number` is one of the nine; path NULL: fd. The value may be the program's;
 * at most 64 KiB. name NULL: list. */
int64_t host_xattr_get(uint64_t number, int fd, const char *path, const char *name, void *user,
                       uint64_t size);
int host_xattr_set(uint64_t number, int fd, const char *path, const char *name, const void *user,
                   uint64_t size, int flags);
int host_xattr_remove(uint64_t number, int fd, const char *path, const char *name);

/* ---- sockets ---- */

int host_socket(int family, int type, int protocol);
int host_bind(int fd, const struct sockaddr *a, socklen_t n);
int host_connect(int fd, const struct sockaddr *a, socklen_t n, uint64_t exit_flags);
/* a, n: NULL, or n in: room in *a; out: length of the address, at most sizeof(sockaddr_storage). */
int host_accept(int fd, struct sockaddr_storage *a, socklen_t *n, int flags, uint64_t exit_flags);
int host_getsockname(int fd, struct sockaddr_storage *a, socklen_t *n);
int host_getpeername(int fd, struct sockaddr_storage *a, socklen_t *n);
/* At most 32 KiB of value; no option whose value holds pointers. */
int host_setsockopt(int fd, int level, int name, const void *value, socklen_t n);
int host_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
/* SIOCGIFCONF: bytes of struct ifreq, at most `room` and 32 KiB, to the program's buffer; buffer
 * NULL: how many there would be. */
int64_t host_ifconf(int fd, void *buffer, uint64_t room);
/* The classic BPF program of SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF: 8 bytes an instruction. */
int host_attach_filter(int fd, int name, const void *instructions, uint16_t count);
/*
 * One exit. msg_name and msg_control: the LibOS's; msg_iov's buffers: the program's or the LibOS's.
 * send: begins `skip` bytes into the buffers and sends what fits the bounce buffer; *asked: how
 * much that was.
 */
int64_t host_sendmsg(int fd, const struct msghdr *m, uint64_t skip, int flags, uint64_t exit_flags,
                     uint64_t *asked);
/*
 * receive: at most what fits the bounce buffer, beginning `skip` bytes into the buffers; sets
 * msg_namelen, msg_controllen, msg_flags. The result may exceed the buffers only with MSG_TRUNC.
 */
int64_t host_recvmsg(int fd, struct msghdr *m, uint64_t skip, int flags, uint64_t exit_flags,
                     uint64_t *asked);
/* The same without address, control data and flags that come back. */
int64_t host_recv(int fd, const struct iovec *v, int count, uint64_t skip, int flags,
                  uint64_t exit_flags, uint64_t *asked);
/* Bytes that one host_sendmsg of this message can carry. */
uint64_t host_message_room(const struct msghdr *m);

/* ---- waiting ---- */

/*
 * revents are set; returns how many are not 0, or -errno. *timeout_ns: relative, NO_TIMEOUT: none;
 * set to what remains of it. At most HOST_POLL_MAX entries.
 */
#define HOST_POLL_MAX 65536
int host_ppoll(struct pollfd *p, unsigned count, uint64_t *timeout_ns, uint64_t exit_flags);
int host_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t data);
/* At most HOST_EPOLL_MAX events. `data` is what the host says: check it. */
#define HOST_EPOLL_MAX 64
int host_epoll_wait(int epoll, struct epoll_event *out, int maximum, uint64_t timeout_ns,
                    uint64_t exit_flags);
/* timerfd. old NULL: not wanted. */
int host_timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old);
int host_timerfd_gettime(int fd, struct itimerspec *out);
#endif

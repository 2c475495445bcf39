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

/* The host's descriptors run from 0 to below this; one that is already in the enclave's hands is
 * never accepted as a new one. */
#define HOST_FD_LIMIT (1 << 20)
/* Room for the name and NUL of a path. */
#define HOST_PATH_MAX 4096
#define HOST_IOV_MAX 1024
#define NO_TIMEOUT UINT64_MAX

/* Take note of a descriptor that the host handed over: it is the enclave's until host_close. Stops
 * the enclave if it is impossible or already held. Returns fd; negative values pass. */
int host_fd_adopt(int64_t fd);
int host_close(int fd);

/* A call whose arguments are all plain numbers, and whose result lies in 0..maximum. */
int64_t host_plain(uint64_t number, uint64_t exit_flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                   uint64_t a2, uint64_t a3, uint64_t a4);
/* The same for one that makes a descriptor (dup, eventfd2, timerfd_create, epoll_create1, ...). */
int host_plain_fd(uint64_t number, uint64_t exit_flags, uint64_t a0, uint64_t a1, uint64_t a2);
/* pipe2, socketpair: both descriptors to fds[]. */
int host_pipe(int fds[2], int flags);
int host_socketpair(int fds[2], int family, int type, int protocol);

/* Others see the process by this name, and by these arguments (`size` bytes of strings; 0: as before). */
void host_title(const char *name, const char *arguments, uint64_t size);
/* And this thread. */
void host_thread_name(const char *name);

/* Sleep for so many nanoseconds, less than a second, or until a signal. */
void host_nap(uint32_t ns);

/* ---- bytes ---- */

/* Bytes that the buffers hold together; UINT64_MAX when that does not fit. No exit. */
uint64_t iovec_length(const struct iovec *v, int count);

/*
 * One exit's worth of readv/writev, beginning `skip` bytes into the buffers. offset -1: at the
 * file's position. rwf: RWF_*. Buffers may be the program's. At most as many bytes as the bounce
 * buffer holds; *asked: that many were asked for.
 */
int64_t host_readv(int fd, const struct iovec *v, int count, uint64_t skip, int64_t offset, int rwf,
                   uint64_t exit_flags, uint64_t *asked);
int64_t host_writev(int fd, const struct iovec *v, int count, uint64_t skip, int64_t offset,
                    int rwf, uint64_t exit_flags, uint64_t *asked);
int64_t host_read(int fd, void *to, uint64_t length, uint64_t exit_flags);
int64_t host_write(int fd, const void *from, uint64_t length, uint64_t exit_flags);
int64_t host_pread(int fd, void *to, uint64_t length, uint64_t offset);
/* SIOCGIFCONF: bytes of struct ifreq, at most `room` and 32 KiB, to the program's buffer; buffer
 * NULL: how many there would be. */
int64_t host_ifconf(int fd, void *buffer, uint64_t room);
/* As ioctl, for fcntl's lock commands and other calls (fd, number, pointer). */
int64_t host_fd_struct(uint64_t number, uint64_t exit_flags, int fd, uint64_t command,
                       void *argument, size_t in, size_t out);
/* sendfile and copy_file_range between two of the host's descriptors; offsets NULL or in and out.
 */
int64_t host_sendfile(int to, int from, int64_t *offset, uint64_t count, uint64_t exit_flags);
int64_t host_copy_range(int from, int64_t *from_offset, int to, int64_t *to_offset, uint64_t count,
                        uint32_t flags);
int64_t host_splice(int from, int64_t *from_offset, int to, int64_t *to_offset, uint64_t count,
                    uint32_t flags, uint64_t exit_flags);

/* What the host says of an open file (abi/file.h); sizes and positions are none that a file cannot have. */
struct file_facts;
int host_file_facts(int fd, struct file_facts *out);
int64_t host_file_size(int fd);

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
/* A timer of the host that sends SIGNAL_LOOK: its number or -errno. Set to relative times. */
int host_timer_create(clockid_t clock);
int host_timer_settime(int timer, const struct itimerspec *value);
void host_timer_delete(int timer);
/* The host's thread that runs the thread of this index (of the thread area): its id, or -ESRCH. */
int host_thread_id(uint32_t index);

#endif

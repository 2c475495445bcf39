/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of file handling share with each other. */
#ifndef OS_FILES_H
#define OS_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/os/file.h"

#define TRANSFER_MAX 0x7ffff000ull /* bytes that one read or write moves at most, as Linux has it  \
                                    */

/* ---- host_file.c ---- */

extern const struct file_ops host_file_ops;

/* A file that stands for a descriptor of the host, which it takes over; NULL: no memory, and the
 * descriptor is closed. path: copied; NULL: none. */
struct file *host_file_new(int host_fd, int flags, const char *path);
/* The same where it is not known what the descriptor is: asks the host. NULL: not open, or no
 * memory. */
struct file *host_file_adopt(int host_fd);
/* One read(2), write(2) or their like, by exits: what is left of the buffers after `skip` bytes. offset: of the
 * whole, -1: at the host's position. Bytes moved, or -errno. */
int64_t host_file_transfer(struct file *f, bool write, const struct iovec *v, int count, uint64_t skip,
                           int64_t offset, int flags);
int64_t host_file_seek(struct file *f, int64_t offset, int whence);
/* The host's descriptor behind a file, -1: none. */
int host_fd_of(struct file *f);
/* The S_IFMT bits, asked of the host once. */
uint32_t file_kind(struct file *f);
/* A host call that may sleep in this file is about to be made. */
void file_may_sleep(const struct file *f);
/* -EINTR of the host as the program is to see it. */
int64_t interrupted(int64_t result);

/* ---- ioctl.c ---- */

/* Flags for an exit on the file besides others: what a terminal asks of the thread. */
uint64_t terminal_flags(const struct file *f);

int64_t host_file_ioctl(struct file *f, uint64_t command, uint64_t argument);

/* ---- host_socket.c ---- */

extern const struct file_ops host_socket_ops;

/* Type is SOCK_STREAM, ... or 0: to be asked. Takes the descriptor over, as host_file_new. */
struct file *host_socket_new(int host_fd, int type, int flags);
/* recvmsg of a host socket for those who want nothing but the bytes. */
int64_t host_socket_receive(struct file *f, const struct iovec *v, int count, int flags);
/* recv with MSG_TRUNC of so many bytes to nowhere, which TCP does; -EFAULT: this is no such socket. */
int64_t host_socket_discard(struct file *f, uint64_t length, int flags);

/* ---- open.c: paths ---- */

/* A path that the program gave, with the directory that it is relative to. */
struct path {
    char *text;             /* HOST_PATH_MAX bytes */
    int host_directory;     /* for the host: AT_FDCWD or its descriptor */
    struct file *directory; /* a reference, or NULL */
    bool made_up;           /* text is absolute and in a place where files are made up */
};

/* 0 or -errno. An empty path is ENOENT unless `empty`; then p->directory is the file itself. A NULL
 * pointer is as an empty path where `empty`. */
int path_take(struct path *p, int directory, uint64_t user, bool empty);
/* The same for a call that the host makes, see made_up_to_host. */
int path_take_for_host(struct path *p, int directory, uint64_t user, bool empty, bool follow);
void path_drop(struct path *p);

/* ---- proc.c, dev.c: files made up here ---- */

#define NOT_OURS 0x7fffffff /* the path is the host's after all */

/* `path` is absolute and in canonical form. */
int made_up_open(const char *path, int flags, struct file **out);
int made_up_stat(const char *path, bool follow, struct stat *out);
int64_t made_up_readlink(const char *path, char *out, uint64_t size);
/* For a call that the host makes: the path, of HOST_PATH_MAX bytes, in its words, as descriptors have other numbers
 * there and the program's file is another. `follow`: the call is for what a link at its end leads to. 0; -ENOENT; -EPERM:
 * what it names is none of the host's; -ENAMETOOLONG. */
int made_up_to_host(char *path, bool follow);
/* A path of HOST_PATH_MAX bytes becomes `start` and what it has from `rest`, within it, on. 0 or -ENAMETOOLONG. */
int path_put(char *path, const char *start, const char *rest);
/* Is it a name in a directory that is named by its descriptor? Or, where it is asked for, such a directory itself? */
bool made_up_behind_descriptor(const char *path, bool directory);
/* May such a path be a file that is made up? */
bool made_up_place(const char *path);
/* Collapses doubled slashes and "." in place; false when it has "..", which only the host can
 * resolve. */
bool path_canonical(char *path);

/* A host's device that does as well as this one for a call in which the host moves the bytes: its descriptor, to be closed by
 * the caller; -EINVAL: there is none. */
int dev_stand_in(const struct file *f);
int dev_open(const char *path, int flags, struct file **out);

/* ---- file.c ---- */

/* What descriptor `fd` refers to, without a reference taken, for lists: false: free. */
bool file_listed(uint32_t fd);
/* Is it open, and closed by execve? */
bool file_closed_on_exec(int fd);
uint32_t file_table_size(void);
/* Takes a reference to a file that is in a list: false: its last one is just going. */
bool file_still(struct file *f);
/* Before the process is made twice: file_cache_surrender of all that is open. */
void files_surrender(void);
/* F_SETFL: to the file and in the flags that it answers. 0 or -errno. */
int file_set_flags(struct file *f, int flags);
/* file_install of the file, with the reference dropped if that fails. */
int64_t file_install_or_put(struct file *f, int flags);

/*
 * The calling thread is the only one left. References that others held in the middle of a call are gone with
 * them: counts are what the table and shared mappings say, and one more for each of keep[] (NULL entries are none). What
 * nobody refers to any more is closed.
 */
void files_recount(struct file *const *keep, int count);
/* What execve closes. */
void files_close_on_exec(void);
/* Calls `visit` for every file there is; it may not make or drop any. */
void files_visit(void (*visit)(struct file *f));

/* Two new files, with their references (NULL: there was no memory for it): installed, and their
 * numbers to fds[] and to the program. All undone on failure. */
int files_install_pair(struct file *a, struct file *b, int flags, int fds[2], uint64_t user);

/* Buffers of the program: copies `count` iovecs and checks their ranges. v: `small` when they fit
 * in IOVECS_SMALL, else alloc'ed: iovecs_drop. Bytes in all (at most TRANSFER_MAX, the rest cut) or
 * -errno. */
#define IOVECS_SMALL 8
struct iovecs {
    struct iovec small[IOVECS_SMALL], *v;
    int count;
    bool vector; /* by iovecs_take: of no bytes at all there is nothing to do, not even a message to send */
};
int64_t iovecs_take(struct iovecs *v, uint64_t user, uint64_t count);
/* One buffer. */
int64_t iovecs_one(struct iovecs *v, uint64_t user, uint64_t length);
void iovecs_drop(struct iovecs *v);

/* ---- epoll.c ---- */

/* The last reference to a file that has watchers is gone. */
void epoll_forget(struct file *f);
/* Is it in a set? */
bool epoll_watched(const struct file *f);
/* From now on the file's changes are told by epoll_changed, and its state is asked of it; or the host
 * answers for it again. 0 or -errno of the host: then nothing has changed. */
int epoll_answers_inside(struct file *f);
void epoll_answers_by_host(struct file *f);
/* A file whose changes were told: both have something to say of it until epoll_answers_by_host. */
void epoll_answers_by_both(struct file *f);
/* Something happened to a file that answers inside, by which `events` may hold that did not. No lock of a file is
 * held. */
void epoll_changed(struct file *f, uint32_t events);
/* In the child of fork: its sets are its parent's too. */
void epoll_forked(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. The program's descriptors index a table of references to struct file: an open file
 * description in POSIX's words. Most stand for a descriptor of the host; UDP sockets over XSK, epoll,
 * and the files that the LibOS makes up (/proc/self/..., /dev/zero) have operations of their own.
 */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "enclave/lib/list.h"
#include "enclave/lib/lock.h"

struct file;
struct local;
struct stream;
struct waiters;

/* What a thread that waits for a file is to sleep on. */
struct poll_wait {
    int host_fd;     /* poll this descriptor of the host, -1: none */
    uint32_t events; /* for these */
    bool answer;     /* what the host reports is the file's state; else it is only a reason to ask again */
    uint32_t xsks;   /* also wake when one of these receives, a bit each by index */
    bool tells;      /* all that happens to it happens inside, and is told to `waiters` and by epoll_changed */
    bool ring;         /* in: the caller can sleep on this thread's io_uring */
    bool on_ring;      /* that is how to wait for it */
    bool thick;        /* and what comes by it comes so often that others are not looked at each time */
    bool ahead;        /* much comes by it: stream_ahead_look says how to wait */
    uint32_t reported; /* in: what the host has just said of host_fd where it is no answer; else 0 */
    bool fresh;        /* in: it says so only once for all that has come by then (EPOLLET) */
};

/* Pointers to buffers in struct iovec are the program's unless said otherwise; the iovec arrays and
 * msghdr structs themselves are the LibOS's copies, checked with user_range. */
struct file_ops {
    const char *name;
    /* offset -1: at the file's position. flags: RWF_*. Returns bytes or -errno; RESTART_SYS if interrupted */
    int64_t (*read)(struct file *f, const struct iovec *v, int count, int64_t offset, int flags);
    int64_t (*write)(struct file *f, const struct iovec *v, int count, int64_t offset, int flags);
    int64_t (*lseek)(struct file *f, int64_t offset, int whence);
    int (*stat)(struct file *f, struct stat *out);
    int64_t (*ioctl)(struct file *f, uint64_t command, uint64_t argument);
    int64_t (*getdents)(struct file *f, void *user, uint64_t size);
    int64_t (*truncate)(struct file *f, int64_t length);
    int (*set_flags)(struct file *f, int flags); /* F_SETFL: O_NONBLOCK, O_APPEND */
    /* Which of `events` (POLLIN..., POLLERR and POLLHUP always) hold now as far as is known without an
     * exit; fills *wait. Files of the host answer 0 and set wait->answer. */
    uint32_t (*poll)(struct file *f, uint32_t events, struct poll_wait *wait);
    /* Who is woken when its state changes inside. NULL: nobody needs to be. */
    struct waiters *(*waiters)(struct file *f);
    /* Grows each time something arrives: edge-triggered epoll. NULL for files of the host. */
    uint64_t (*arrivals)(struct file *f);
    void (*release)(struct file *f); /* last reference gone: frees f's own parts, not f */
    const struct socket_ops *socket; /* NULL: ENOTSOCK */
};

/* Addresses are the LibOS's copies, at most sizeof(struct sockaddr_storage). */
struct socket_ops {
    int (*bind)(struct file *f, const struct sockaddr *a, socklen_t n);
    int (*connect)(struct file *f, const struct sockaddr *a, socklen_t n);
    int (*listen)(struct file *f, int backlog);
    /* host descriptor of the new connection's file goes to *out; peer address to *a, *n */
    int (*accept)(struct file *f, int flags, struct sockaddr_storage *a, socklen_t *n, struct file **out);
    int (*getsockname)(struct file *f, struct sockaddr_storage *a, socklen_t *n);
    int (*getpeername)(struct file *f, struct sockaddr_storage *a, socklen_t *n);
    int (*setsockopt)(struct file *f, int level, int name, const void *value, socklen_t n);
    int (*getsockopt)(struct file *f, int level, int name, void *value, socklen_t *n);
    /* msg_name: LibOS's buffer of sockaddr_storage; msg_iov: user pointers; msg_control: LibOS's buffer.
     * recvmsg sets msg_namelen, msg_controllen, msg_flags. */
    int64_t (*sendmsg)(struct file *f, const struct msghdr *m, int flags);
    int64_t (*recvmsg)(struct file *f, struct msghdr *m, int flags);
    int (*shutdown)(struct file *f, int how);
    /* The kernel is to serve it: a filter is attached, or others have the host's descriptor too. NULL: it
     * does in any case. */
    void (*by_kernel)(struct file *f);
    bool own_control; /* control data of messages names the program's descriptors, not the host's */
};

struct file {
    const struct file_ops *_Atomic ops; /* changes once at most: see local.h */
    uint32_t references;
    int host_fd;      /* -1: none */
    int flags;        /* O_ACCMODE, O_APPEND, O_NONBLOCK, ... as F_GETFL answers */
    struct lock lock; /* guards position of made-up files, flags */
    int64_t position; /* of made-up files */
    void *data;       /* the ops' own */
    char *path;       /* for /proc/self/fd; NULL: none */
    char *real_path;  /* of file_real_path, NULL: not yet asked */
    uint32_t mode;    /* S_IFMT part of st_mode where known */
    bool inherited;   /* others may use it too: it was got by fork, or passed on */
    struct stream *stream; /* of a socket of the host that goes over an io_uring: see stream.c */
    uint32_t receivers; /* threads that receive by a socket of the host, and no ring */
    struct local *local; /* of a pipe, counter or pair that is, or was, the enclave's own: see local.h */
    bool identified;  /* the next two are known */
    bool locked;      /* a lock by F_SETLK was taken through it */
    uint64_t device, inode;
    void *watchers;   /* what epoll knows of this file: see epoll.c */
    int caching;      /* enum file_caching: may its bytes and position be kept here? */
    struct file_cache *cache; /* once it has been used; guarded by lock until it is there */
    struct list all;  /* of all files: see file.c */
};

void file_table_start(void); /* with the descriptors that the host was started with */

/* A new file with one reference, or NULL. */
struct file *file_new(const struct file_ops *ops, int host_fd, int flags);
struct file *file_get(int fd);     /* takes a reference; NULL: EBADF */
void file_hold(struct file *f);    /* one more */
void file_put(struct file *f);
/* Lowest free descriptor ≥ from; takes over the caller's reference. -EMFILE (reference kept by caller). */
int file_install(struct file *f, int from, bool close_on_exec);

/* host_file.c: the path of an open file of the host, links resolved; the one it was opened by where that is not told,
 * or NULL. Stays as long as the file. */
const char *file_real_path(struct file *f);

/* Open by path for the LibOS itself (the loader). Path is the LibOS's. NULL and *error on failure. */
struct file *file_open(const char *path, int flags, int mode, int *error);
/* Read into LibOS or program memory, at an offset; bytes or -errno. */
int64_t file_read_at(struct file *f, void *to, uint64_t length, uint64_t offset);
/* Write, to the end whatever signals come; `from` as above. Bytes or -errno. Not for files that append. */
int64_t file_write_at(struct file *f, const void *from, uint64_t length, uint64_t offset);
/* As fsync. */
int file_sync(struct file *f);
/* The same file, opened anew: NULL and *error. */
struct file *file_open_again(struct file *f, int flags, int *error);
/* Is it a memory file that was sealed against writing? */
bool file_write_sealed(struct file *f);
/* Which file it is, as stat tells: 0 or -errno. */
int file_identity(struct file *f, uint64_t *device, uint64_t *inode);

#endif

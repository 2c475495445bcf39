/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes, event counters and socket pairs that nobody outside the enclave knows of. What is done with them is
 * done here, without an exit unless a thread sleeps or is to be woken. When one of them is to be seen outside
 * (fork, SCM_RIGHTS to a host socket, splice, F_SETOWN, and whatever else only the kernel does), it becomes the
 * kernel's for good, with all that is in it: local_leave.
 *
 * The operations of these files may be called when that has just happened, by who took the file before: they
 * look at `outside` under the lock, and go on with the operations that the file has now.
 */
#ifndef OS_LOCAL_H
#define OS_LOCAL_H

#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>

#include "enclave/lib/list.h"
#include "enclave/lib/lock.h"
#include "enclave/os/file.h"
#include "enclave/os/waiters.h"

struct local;

struct local_kind {
    const char *link;                /* in /proc/self/fd; with %lu where each has a number of its own */
    const struct file_ops *host_ops; /* of its files once they are the host's */
    uint32_t device, mode;           /* as stat tells */
    /* With the lock held: what poll(2) tells of that end, POLLIN, ... */
    uint32_t (*state)(const struct local *l, int side);
    /* The host's descriptors, one for each end: 0 or -errno, and nothing is made. */
    int (*make)(const struct local *l, int fds[2]);
    /* With the lock held: puts all that it holds into them; nothing changes here. 0 or -errno. */
    int (*fill)(struct local *l);
    /* An end is closed; the lock is held. What is left over is given to `discard` after. NULL: nothing is. */
    void *(*close)(struct local *l, int side);
    void (*discard)(void *left);
    /* All that it holds, which is outside now, for `discard`; the lock is held. NULL: nothing that matters. */
    void *(*empty)(struct local *l);
    void (*free)(struct local *l); /* what belongs to it, not itself; NULL: nothing */
    /* With the lock held: calls `visit` for the files that messages in it carry, until it returns other than 0,
     * and returns that. NULL: it carries none. */
    int (*within)(struct local *l, int (*visit)(struct file *f, void *context), void *context);
};

/* The beginning of a pipe, a counter or a pair. Of a pipe, end 0 is read from; a counter has only that. */
struct local {
    /* Guards it, and what it is the beginning of. After a set's lock of epoll: nothing of epoll is called with it. */
    struct lock lock;
    const struct local_kind *kind;
    bool outside;        /* the host has it: what is here is stale */
    bool leaving;        /* guarded by the lock of all that leave, as is the next */
    int host[2];         /* its descriptors there while it is leaving; -1: none */
    struct file *end[2]; /* NULL: closed */
    bool readable[2];    /* atomic, for who only tries: false: a read finds nothing */
    uint32_t ends;       /* that are open: the last frees it */
    struct waiters waiters[2];
    uint64_t number;
    int64_t made; /* when, in seconds */
    struct list all;
};

/* Are new ones to be kept inside? */
bool local_wanted(void);
/* Enters *l, which is alloc'ed and begins with it, with a file for each end (second NULL: there is but one):
 * files[], or -ENOMEM, and l is freed. */
int local_new(struct local *l, const struct local_kind *kind, const struct file_ops *ops, const int flags[2],
              int ends, struct file *files[2]);

/* Which end the file is. */
static inline int local_side(const struct file *f)
{
    return __atomic_load_n(&f->local->end[1], __ATOMIC_RELAXED) == f;
}

static inline bool local_on(const struct file *f)
{
    return f->local && !__atomic_load_n(&f->local->outside, __ATOMIC_ACQUIRE);
}

/* Releases the lock after anything may have changed. */
void local_unlock(struct local *l);
/* The same, and tells who waits for that end, by whatever means, that `events` may hold. */
#define LOCAL_ANY UINT32_MAX /* an end: everybody is told, as nobody uses it up */
void local_unlock_tell(struct local *l, int side, uint32_t events);
/* Gives the lock up until that end may be ready for `events`; then it is held again. 0: look again; RESTART_SYS:
 * a signal is to be handled first. one: it uses up what it waits for, so that one of those who do is told. */
int local_wait(struct local *l, int side, uint32_t events, bool one);
/* May a call on the file wait? flags: RWF_*. */
static inline bool local_may_wait(const struct file *f, int flags)
{
    return !(f->flags & O_NONBLOCK) && !(flags & RWF_NOWAIT);
}

/* Where the program's buffers go on. */
struct local_cursor {
    const struct iovec *v;
    uint64_t at;   /* in v[0] */
    uint64_t done; /* bytes before it */
};

/* So many bytes, which the buffers have, to the program or, `in`, from it. 0 or -EFAULT: as many as could be are counted. */
int local_copy(struct local_cursor *c, void *bytes, uint64_t n, bool in);

/* Is there nothing to be read, by a look without the lock? */
static inline bool local_empty(const struct file *f)
{
    return !__atomic_load_n(&f->local->readable[local_side(f)], __ATOMIC_ACQUIRE);
}

/* The file is the host's from now on. 0; -errno: then nothing has changed. */
int local_leave(struct file *f);
/* All of them, with the world stopped: 0 or -errno. */
int local_leave_all(void);
/* The last reference to the file is gone. */
void local_release(struct file *f);
/* Calls `visit` for every file that a message within carries; nobody else runs. */
void local_files_within(void (*visit)(struct file *f));

/* What is the same for all of them. */
int local_stat(struct file *f, struct stat *out);
int local_set_flags(struct file *f, int flags);
uint32_t local_poll(struct file *f, uint32_t events, struct poll_wait *wait);
struct waiters *local_waiters(struct file *f);
/* What the kernel answers to ioctl where it is not one of the kind's own. */
int64_t local_ioctl_other(struct file *f, uint64_t command, uint64_t argument);
/* What a link in /proc/self/fd says, of one that has left too. */
int64_t local_link(const struct file *f, char *out, uint64_t size);

/* os/local_pipe.c, local_event.c, local_pair.c: as the system calls of these names. Installs nothing. */
int local_pipe(int flags, struct file *files[2]);
int local_event(uint32_t value, int flags, struct file **file);
int local_pair(int type, int flags, struct file *files[2]);
/* F_GETPIPE_SZ; -EBADF: it is no pipe. */
int64_t local_pipe_size(struct file *f);

#endif

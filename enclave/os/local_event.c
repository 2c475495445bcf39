/* SPDX-License-Identifier: Apache-2.0 */
/* Event counters (eventfd) within the enclave. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"

#define ROOM (UINT64_MAX - 1) /* the most that it counts to */

struct event {
    struct local local;
    uint64_t count;
    bool semaphore;
};

static struct event *event_of(const struct file *f)
{
    return (struct event *)f->local;
}

static int64_t event_read(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    struct event *e = event_of(f);
    struct local *l = &e->local;
    struct local_cursor to = {.v = v};
    int interrupted = 0;
    if (offset >= 0)
        return -ESPIPE;
    if (iovec_length(v, count) < sizeof e->count)
        return -EINVAL;
    if (local_empty(f) && !local_may_wait(f, flags))
        return -EAGAIN;
    lock_take(&l->lock);
    while (!l->outside) {
        if (e->count) {
            uint64_t value = e->semaphore ? 1 : e->count;
            e->count -= value;
            bool more = e->count;
            local_unlock_tell(l, 0, POLLOUT);
            if (more)
                waiters_wake(&l->waiters[0], POLLIN);
            return local_copy(&to, &value, sizeof value, false) ? -EFAULT : (int64_t)sizeof value;
        }
        if (interrupted || !local_may_wait(f, flags)) {
            local_unlock(l);
            return interrupted ? interrupted : -EAGAIN;
        }
        interrupted = local_wait(l, 0, POLLIN, true);
    }
    local_unlock(l);
    return f->ops->read(f, v, count, offset, flags);
}

static int64_t add(struct file *f, const struct iovec *v, int flags)
{
    struct event *e = event_of(f);
    struct local *l = &e->local;
    uint64_t value;
    int interrupted = 0;
    if (v->iov_len != sizeof value)
        return -EINVAL;
    if (user_get(&value, (const void *)v->iov_base))
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    lock_take(&l->lock);
    while (!l->outside) {
        if (ROOM - e->count >= value) {
            e->count += value;
            bool room = e->count < ROOM;
            local_unlock_tell(l, 0, POLLIN);
            if (room)
                waiters_wake(&l->waiters[0], POLLOUT);
            return sizeof value;
        }
        if (interrupted || !local_may_wait(f, flags)) {
            local_unlock(l);
            return interrupted ? interrupted : -EAGAIN;
        }
        interrupted = local_wait(l, 0, POLLOUT, false);
    }
    local_unlock(l);
    return f->ops->write(f, v, 1, -1, flags);
}

/* A buffer is a value, as the kernel has it. */
static int64_t event_write(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    int64_t done = 0, n = 0;
    if (offset >= 0)
        return -ESPIPE;
    for (int i = 0; i < count && n >= 0; i++) {
        n = add(f, &v[i], flags);
        done += n > 0 ? n : 0;
    }
    return done ? done : n;
}

/* It has no position, but does not say so. */
static int64_t event_lseek(struct file *f, int64_t offset, int whence)
{
    (void)f, (void)offset, (void)whence;
    return 0;
}

static int64_t event_ioctl(struct file *f, uint64_t command, uint64_t argument)
{
    return command == FIOASYNC ? local_ioctl_other(f, command, argument) : -ENOTTY;
}

static uint32_t event_state(const struct local *l, int side)
{
    uint64_t count = ((const struct event *)l)->count;
    (void)side;
    return (count ? (uint32_t)POLLIN : 0) | (count < ROOM ? (uint32_t)POLLOUT : 0);
}

/* ---- to the outside ---- */

static int event_make(const struct local *l, int fds[2])
{
    const struct event *e = (const struct event *)l;
    fds[0] = host_plain_fd(__NR_eventfd2, 0, 0, EFD_CLOEXEC | (e->semaphore ? EFD_SEMAPHORE : 0), 0);
    return fds[0] < 0 ? fds[0] : 0;
}

static int event_fill(struct local *l)
{
    const struct event *e = (const struct event *)l;
    int64_t n = e->count ? host_write(l->host[0], &e->count, sizeof e->count, 0) : (int64_t)sizeof e->count;
    return n == sizeof e->count ? 0 : n < 0 && n != -EAGAIN ? (int)n : -EIO;
}

static const struct file_ops event_ops = {
    .name = "eventfd",
    .read = event_read,
    .write = event_write,
    .stat = local_stat,
    .lseek = event_lseek,
    .ioctl = event_ioctl,
    .set_flags = local_set_flags,
    .poll = local_poll,
    .waiters = local_waiters,
};

static const struct local_kind event_kind = {
    .link = "anon_inode:[eventfd]",
    .host_ops = &host_file_ops,
    .device = 15,
    .mode = 0600,
    .state = event_state,
    .make = event_make,
    .fill = event_fill,
};

int local_event(uint32_t value, int flags, struct file **file)
{
    struct event *e = alloc(sizeof *e);
    struct file *files[2];
    const int both[2] = {O_RDWR | (flags & O_NONBLOCK), 0};
    if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) {
        alloc_free(e);
        return -EINVAL;
    }
    if (e) {
        e->count = value;
        e->semaphore = flags & EFD_SEMAPHORE;
    }
    int error = local_new(e ? &e->local : NULL, &event_kind, &event_ops, both, 1, files);
    *file = error ? NULL : files[0];
    return error;
}

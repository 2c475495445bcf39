/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes within the enclave. What is in one lies in pages, as in the kernel: a write that ends within a page
 * leaves the rest of it to the next one only if all of that fits, so that what a pipe holds, and when it is full,
 * is as there.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/signal.h"

#define SLOTS 16u
#define READER 0
#define WRITER 1
#define IN ((uint32_t)(POLLIN | POLLRDNORM))
#define OUT ((uint32_t)(POLLOUT | POLLWRNORM))

struct slot {
    uint8_t *page;
    uint32_t offset, length;
};

struct pipe {
    struct local local;
    struct slot slots[SLOTS]; /* a ring: used from `first` on */
    uint32_t first, used;
    uint8_t *spare[SLOTS]; /* pages */
    uint32_t spares;
    uint32_t bytes;
};

static struct pipe *pipe_of(const struct file *f)
{
    return (struct pipe *)f->local;
}

static struct slot *slot_at(struct pipe *p, uint32_t n)
{
    return &p->slots[(p->first + n) % SLOTS];
}

/* ---- reading ---- */

static int take(struct pipe *p, struct local_cursor *c, uint64_t total)
{
    while (p->used && c->done < total) {
        struct slot *s = slot_at(p, 0);
        uint64_t n = MIN((uint64_t)s->length, total - c->done), before = c->done;
        int error = local_copy(c, s->page + s->offset, n, false);
        n = c->done - before;
        s->offset += (uint32_t)n;
        s->length -= (uint32_t)n;
        p->bytes -= (uint32_t)n;
        if (error)
            return error;
        if (s->length)
            break;
        p->spare[p->spares++] = s->page;
        s->page = NULL;
        p->first = (p->first + 1) % SLOTS;
        p->used--;
    }
    return 0;
}

static int64_t pipe_read(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    struct pipe *p = pipe_of(f);
    struct local *l = &p->local;
    struct local_cursor c = {.v = v};
    uint64_t total = iovec_length(v, count);
    int interrupted = 0;
    if (offset >= 0)
        return -ESPIPE;
    if (total && local_empty(f) && !local_may_wait(f, flags))
        return -EAGAIN;
    lock_take(&l->lock);
    while (!l->outside) {
        bool full = p->used == SLOTS;
        int error = total ? take(p, &c, total) : 0;
        if (c.done || error || !total || !l->end[WRITER]) {
            bool more = p->used, room = full && p->used < SLOTS;
            if (room)
                local_unlock_tell(l, WRITER, OUT);
            else
                local_unlock(l);
            if (more)
                waiters_wake(&l->waiters[READER], IN);
            return c.done ? (int64_t)c.done : error;
        }
        if (interrupted || !local_may_wait(f, flags)) {
            local_unlock(l);
            return interrupted ? interrupted : -EAGAIN;
        }
        interrupted = local_wait(l, READER, IN, true);
    }
    local_unlock(l);
    return f->ops->read(f, v, count, offset, flags);
}

/* ---- writing ---- */

static uint8_t *page_take(struct pipe *p)
{
    return p->spares ? p->spare[--p->spares] : alloc(PIPE_BUF);
}

/* 0, -EAGAIN: it is full, or -errno. */
static int put(struct pipe *p, struct local_cursor *c, uint64_t total)
{
    uint64_t odd = (total - c->done) % PIPE_BUF;
    struct slot *s = p->used ? slot_at(p, p->used - 1) : NULL;
    if (!c->done && s && odd && s->offset + s->length + odd <= PIPE_BUF) {
        int error = local_copy(c, s->page + s->offset + s->length, odd, true);
        if (error) {
            c->done = 0; /* the write has not begun */
            return error;
        }
        s->length += (uint32_t)odd;
        p->bytes += (uint32_t)odd;
    }
    while (c->done < total) {
        if (p->used == SLOTS)
            return -EAGAIN;
        uint64_t n = MIN(total - c->done, (uint64_t)PIPE_BUF), before = c->done;
        uint8_t *page = page_take(p);
        if (!page)
            return -ENOMEM;
        int error = local_copy(c, page, n, true);
        n = c->done - before;
        if (!n) {
            p->spare[p->spares++] = page;
            return error;
        }
        *slot_at(p, p->used++) = (struct slot){page, 0, (uint32_t)n};
        p->bytes += (uint32_t)n;
        if (error)
            return error;
    }
    return 0;
}

static int64_t broken(uint64_t done)
{
    signal_raise_self(SIGPIPE);
    return done ? (int64_t)done : -EPIPE;
}

static int64_t pipe_write(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    struct pipe *p = pipe_of(f);
    struct local *l = &p->local;
    struct local_cursor c = {.v = v};
    uint64_t total = iovec_length(v, count);
    int interrupted = 0;
    if (offset >= 0)
        return -ESPIPE;
    lock_take(&l->lock);
    while (!l->outside) {
        if (total && !l->end[READER]) {
            local_unlock(l);
            return broken(c.done);
        }
        uint64_t before = c.done;
        int error = put(p, &c, total);
        bool room = p->used < SLOTS, wait = error == -EAGAIN && !interrupted && local_may_wait(f, flags);
        if (c.done > before) {
            local_unlock_tell(l, READER, IN);
            if (!wait && room)
                waiters_wake(&l->waiters[WRITER], OUT);
            if (wait)
                lock_take(&l->lock);
        } else if (!wait) {
            local_unlock(l);
        }
        if (!wait)
            return c.done ? (int64_t)c.done : error == -EAGAIN && interrupted ? interrupted : error;
        if (p->used == SLOTS && !l->outside && l->end[READER])
            interrupted = local_wait(l, WRITER, OUT, true);
    }
    local_unlock(l);
    if (!c.done)
        return f->ops->write(f, v, count, offset, flags);
    /* What is left of it goes after what is there already. */
    int64_t n = host_file_transfer(f, true, v, count, c.done, -1, flags);
    return n > 0 ? (int64_t)c.done + n : (int64_t)c.done;
}

/* ---- its state ---- */

static uint32_t pipe_state(const struct local *l, int side)
{
    uint32_t used = ((const struct pipe *)l)->used;
    if (side == READER)
        return (used ? IN : 0) | (l->end[WRITER] ? 0 : (uint32_t)POLLHUP);
    return (used < SLOTS ? OUT : 0) | (l->end[READER] ? 0 : (uint32_t)POLLERR);
}

static int64_t pipe_ioctl(struct file *f, uint64_t command, uint64_t argument)
{
    struct local *l = f->local;
    if (command != FIONREAD || !local_on(f))
        return local_ioctl_other(f, command, argument);
    lock_take(&l->lock);
    int bytes = (int)pipe_of(f)->bytes;
    local_unlock(l);
    return user_put((int *)argument, &bytes);
}

static const struct file_ops pipe_reader_ops = {
    .name = "pipe",
    .read = pipe_read,
    .stat = local_stat,
    .ioctl = pipe_ioctl,
    .set_flags = local_set_flags,
    .poll = local_poll,
    .waiters = local_waiters,
};

static const struct file_ops pipe_writer_ops = {
    .name = "pipe",
    .write = pipe_write,
    .stat = local_stat,
    .ioctl = pipe_ioctl,
    .set_flags = local_set_flags,
    .poll = local_poll,
    .waiters = local_waiters,
};

int64_t local_pipe_size(struct file *f)
{
    bool pipe = f->ops == &pipe_reader_ops || f->ops == &pipe_writer_ops;
    return pipe ? (int64_t)SLOTS * PIPE_BUF : -EBADF;
}

/* ---- to the outside ---- */

static int pipe_make(const struct local *l, int fds[2])
{
    (void)l;
    return host_pipe(fds, O_CLOEXEC | O_NONBLOCK); /* till it is handed over */
}

/* Page by page, so that they lie there as they do here. That they fit is not certain: a user who has a great many
 * pipes gets small ones. */
static int pipe_fill(struct local *l)
{
    static const uint8_t zeros[PIPE_BUF];
    struct pipe *p = (struct pipe *)l;
    uint8_t gone[64];
    for (uint32_t i = 0; i < p->used; i++) {
        struct slot *s = slot_at(p, i);
        struct iovec v[2] = {{(uint8_t *)(uintptr_t)zeros, s->offset}, {s->page + s->offset, s->length}};
        uint64_t asked;
        int64_t n = host_writev(l->host[WRITER], v, 2, 0, -1, 0, 0, &asked);
        if (n != s->offset + s->length)
            return n < 0 && n != -EAGAIN ? (int)n : -ENOBUFS;
        /* What was read of the first page is read there too. */
        for (uint32_t left = s->offset; left; left -= (uint32_t)n) {
            n = host_read(l->host[READER], gone, MIN(left, (uint32_t)sizeof gone), 0);
            if (n <= 0)
                return n < 0 && n != -EAGAIN ? (int)n : -EIO;
        }
    }
    return 0;
}

static void pipe_free(struct local *l)
{
    struct pipe *p = (struct pipe *)l;
    for (uint32_t i = 0; i < SLOTS; i++)
        alloc_free(p->slots[i].page);
    while (p->spares)
        alloc_free(p->spare[--p->spares]);
}

static const struct local_kind pipe_kind = {
    .link = "pipe:[%lu]",
    .host_ops = &host_file_ops,
    .device = 14,
    .mode = S_IFIFO | 0600,
    .state = pipe_state,
    .make = pipe_make,
    .fill = pipe_fill,
    .free = pipe_free,
};

int local_pipe(int flags, struct file *files[2])
{
    struct pipe *p = alloc(sizeof *p);
    const int both[2] = {O_RDONLY | flags, O_WRONLY | flags};
    int error = local_new(p ? &p->local : NULL, &pipe_kind, &pipe_reader_ops, both, 2, files);
    if (!error)
        files[1]->ops = &pipe_writer_ops;
    return error;
}

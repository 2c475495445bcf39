/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/local.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"

/* The kernel numbers its own from 1 on, or by the clock: none of them comes this far soon. */
#define FIRST_NUMBER 0xe0000000ul

static struct {
    struct lock lock; /* guards the list and the number */
    struct list list; /* those inside */
    uint64_t number;
} all;

/* Held by who takes something outside. Before any lock of a local. */
static struct lock leave_lock;

bool local_wanted(void)
{
    return enclave.rings;
}

/* ---- making and ending ---- */

int local_new(struct local *l, const struct local_kind *kind, const struct file_ops *ops, const int flags[2],
              int ends, struct file *files[2])
{
    files[0] = l ? file_new(ops, -1, flags[0]) : NULL;
    files[1] = files[0] && ends == 2 ? file_new(ops, -1, flags[1]) : NULL;
    if (!files[0] || (ends == 2 && !files[1])) {
        file_put(files[0]);
        alloc_free(l);
        return -ENOMEM;
    }
    l->kind = kind;
    l->host[0] = l->host[1] = -1;
    l->ends = (uint32_t)ends;
    l->made = (int64_t)(time_realtime_ns() / 1000000000);
    for (int i = 0; i < ends; i++) {
        l->end[i] = files[i];
        files[i]->local = l;
        files[i]->mode = kind->mode & S_IFMT;
    }
    lock_take(&all.lock);
    if (!all.list.next)
        list_init(&all.list);
    l->readable[0] = l->readable[1] = true; /* not looked at yet */
    l->number = FIRST_NUMBER + all.number++;
    list_append(&all.list, &l->all);
    lock_release(&all.lock);
    return 0;
}

static void leave_list(struct local *l)
{
    lock_take(&all.lock);
    list_remove(&l->all);
    lock_release(&all.lock);
}

void local_release(struct file *f)
{
    struct local *l = f->local;
    lock_take(&l->lock);
    int side = local_side(f);
    bool outside = l->outside;
    void *left = outside || !l->kind->close ? NULL : l->kind->close(l, side);
    __atomic_store_n(&l->end[side], NULL, __ATOMIC_RELAXED);
    local_unlock_tell(l, !side, LOCAL_ANY);
    if (outside)
        f->ops->release(f);
    else if (left)
        l->kind->discard(left);
    /* It is there until now: the other end may be on its way out as well. */
    lock_take(&l->lock);
    bool last = --l->ends == 0;
    lock_release(&l->lock);
    if (!last)
        return;
    if (!l->outside)
        leave_list(l);
    if (l->kind->free)
        l->kind->free(l);
    alloc_free(l);
}

/* ---- waiting and waking ---- */

void local_unlock(struct local *l)
{
    for (int i = 0; i < 2; i++) {
        bool readable = l->outside || l->kind->state(l, i) & (POLLIN | POLLERR | POLLHUP);
        if (readable != l->readable[i])
            __atomic_store_n(&l->readable[i], readable, __ATOMIC_RELEASE);
    }
    lock_release(&l->lock);
}

void local_unlock_tell(struct local *l, int side, uint32_t events)
{
    struct file *f = l->end[side];
    bool watched = f && epoll_watched(f) && file_still(f);
    local_unlock(l);
    if (events == LOCAL_ANY) /* what has ended has ended for everybody */
        waiters_wake_all(&l->waiters[side]);
    else
        waiters_wake(&l->waiters[side], events);
    if (!watched)
        return;
    epoll_changed(f, events);
    file_put(f);
}

int local_wait(struct local *l, int side, uint32_t events, bool one)
{
    struct waiter w;
    thread_sleep_prepare();
    waiters_add(&l->waiters[side], &w, events, one);
    local_unlock(l);
    int result = thread_sleep(UINT64_MAX);
    waiter_remove(&w);
    bool signalled = result == -EINTR && signal_pending();
    lock_take(&l->lock);
    return signalled ? RESTART_SYS : 0;
}

struct waiters *local_waiters(struct file *f)
{
    return &f->local->waiters[local_side(f)];
}

/* ---- to the outside ---- */

/* The lock is held: the files are the host's from now on, tell[] those that still are. */
static void hand_over(struct local *l, struct file *tell[2])
{
    for (int i = 0; i < 2; i++) {
        struct file *f = l->end[i];
        tell[i] = NULL;
        if (!f) {
            if (l->host[i] >= 0)
                host_close(l->host[i]);
            continue;
        }
        f->host_fd = l->host[i];
        host_plain(__NR_fcntl, 0, 0, (uint32_t)f->host_fd, F_SETFL, (uint32_t)f->flags, 0, 0);
        f->ops = l->kind->host_ops;
        tell[i] = file_still(f) ? f : NULL;
    }
    l->host[0] = l->host[1] = -1;
    __atomic_store_n(&l->outside, true, __ATOMIC_RELEASE);
}

static int find_inside(struct file *f, void *context)
{
    struct file **found = context;
    if (!local_on(f) || f->local->leaving || !file_still(f))
        return 0;
    *found = f;
    return 1;
}

static int leave(struct local *l);

/* What messages in it carry goes first; but for what is leaving already, that this is within. */
static int leave_within(struct local *l)
{
    for (;;) {
        struct file *f = NULL;
        lock_take(&l->lock);
        if (l->kind->within)
            l->kind->within(l, find_inside, &f);
        lock_release(&l->lock);
        if (!f)
            return 0;
        int error = leave(f->local);
        file_put(f);
        if (error)
            return error;
    }
}

/* With leave_lock held. */
static int leave(struct local *l)
{
    struct file *tell[2] = {NULL, NULL};
    void *left = NULL;
    if (l->outside || l->leaving)
        return 0;
    int error = l->kind->make(l, l->host);
    if (error) {
        l->host[0] = l->host[1] = -1;
        return error;
    }
    l->leaving = true;
    do {
        error = leave_within(l);
        lock_take(&l->lock);
        if (!error)
            error = l->kind->fill(l);
        if (!error) {
            hand_over(l, tell);
            left = l->kind->empty ? l->kind->empty(l) : NULL;
        }
        local_unlock(l);
    } while (error == -EAGAIN); /* something came in meanwhile */
    l->leaving = false;
    if (error) {
        for (int i = 0; i < 2; i++) {
            if (l->host[i] >= 0)
                host_close(l->host[i]);
            l->host[i] = -1;
        }
        return error;
    }
    leave_list(l);
    for (int i = 0; i < 2; i++) {
        waiters_wake_all(&l->waiters[i]);
        if (tell[i])
            epoll_answers_by_host(tell[i]);
    }
    if (left)
        l->kind->discard(left);
    /* Now that nothing here is used any more. */
    for (int i = 0; i < 2; i++)
        file_put(tell[i]);
    return 0;
}

/* The same, and says so if it cannot be; how often a program tries again nobody knows. */
static int leave_or_say(struct local *l)
{
    static int said;
    int error = leave(l);
    if (!error || error == said)
        return error;
    said = error;
    log_warning("a %.4s of the enclave's cannot become the host's, as a fork or its use demands: error %d%s",
                l->kind->link, -error, error == -EMFILE ? "; raise the hard limit of open files (ulimit -Hn)" : "");
    return error;
}

int local_leave(struct file *f)
{
    lock_take(&leave_lock);
    int error = leave_or_say(f->local);
    lock_release(&leave_lock);
    return error;
}

int local_leave_all(void)
{
    int error = 0;
    lock_take(&leave_lock);
    while (!error && all.list.next && !list_empty(&all.list))
        error = leave_or_say(container_of(all.list.next, struct local, all));
    lock_release(&leave_lock);
    return error;
}

static int count_within(struct file *f, void *context)
{
    void (*visit)(struct file *) = (void (*)(struct file *))(uintptr_t)context;
    visit(f);
    return 0;
}

void local_files_within(void (*visit)(struct file *f))
{
    if (!all.list.next)
        return;
    list_for_each(i, &all.list)
    {
        struct local *l = container_of(i, struct local, all);
        if (l->kind->within)
            l->kind->within(l, count_within, (void *)(uintptr_t)visit);
    }
}

/* ---- what is the same for all ---- */

int local_stat(struct file *f, struct stat *out)
{
    const struct local *l = f->local;
    memset(out, 0, sizeof *out);
    out->st_dev = l->kind->device;
    out->st_ino = l->number;
    out->st_mode = l->kind->mode;
    out->st_nlink = 1;
    out->st_uid = (uint32_t)enclave.start.euid;
    out->st_gid = (uint32_t)enclave.start.egid;
    out->st_blksize = 4096;
    out->st_atim.tv_sec = out->st_mtim.tv_sec = out->st_ctim.tv_sec = l->made;
    return 0;
}

int64_t local_link(const struct file *f, char *out, uint64_t size)
{
    char link[48];
    int n = print_format(link, sizeof link, f->local->kind->link, f->local->number);
    size = MIN((uint64_t)n, size);
    memcpy(out, link, size);
    return (int64_t)size;
}

int local_copy(struct local_cursor *c, void *bytes, uint64_t n, bool in)
{
    for (uint8_t *at = bytes; n;) {
        uint64_t part = MIN(c->v->iov_len - c->at, n);
        if (!part) {
            c->v++;
            c->at = 0;
            continue;
        }
        uint8_t *user = (uint8_t *)c->v->iov_base + c->at;
        if (in ? user_read(at, user, part) : user_write(user, at, part))
            return -EFAULT;
        at += part;
        n -= part;
        c->at += part;
        c->done += part;
    }
    return 0;
}

uint32_t local_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    struct local *l = f->local;
    lock_take(&l->lock);
    bool outside = l->outside;
    uint32_t ready = outside ? 0 : l->kind->state(l, local_side(f));
    lock_release(&l->lock);
    if (outside)
        return f->ops->poll(f, events, wait);
    wait->host_fd = -1;
    wait->xsks = 0;
    wait->answer = false;
    wait->tells = true;
    return ready & (events | POLLERR | POLLHUP);
}

/* What only the kernel does makes it the kernel's; -errno else. */
int local_set_flags(struct file *f, int flags)
{
    if (!(flags & (O_ASYNC | O_DIRECT)) && local_on(f))
        return 0;
    int error = local_leave(f);
    return error ? error : f->ops->set_flags(f, flags);
}

int64_t local_ioctl_other(struct file *f, uint64_t command, uint64_t argument)
{
    /* A terminal's, by which programs find out whether this is one. Of sockets two of these numbers mean more. */
    if ((command & 0xff00) == 0x5400 && command != TIOCOUTQ && command != FIONREAD && command != FIOASYNC)
        return -ENOTTY;
    int error = local_leave(f);
    return error ? error : f->ops->ioctl(f, command, argument);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll. A set has an epoll of the host, which holds the descriptors that the host answers for;
 * files of the LibOS are asked inside. As long as there are none of those, epoll_wait is one exit.
 *
 * With them, a second epoll of the host, `sleep`, holds what a thread sleeps on: the first one, the
 * host descriptors behind files of the LibOS, and the XSKs. Its events say only that it is time to
 * look.
 *
 * Files that answer inside and tell of their changes (streams over an io_uring; pipes, counters and pairs
 * within the enclave) are asked only when they have: they are in the list `changed`. A thread whose ring
 * streams are on sleeps in that ring, with a poll of the host's epoll among its operations. Where there is
 * nothing but files within the enclave a thread sleeps on no descriptor at all.
 *
 * Locks: watch_lock, then a set's lock. A set's lock is held while its files are asked, so that
 * none of them goes away meanwhile. Sets within sets: the outer's lock, then the inner's; no set
 * contains itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include <asm/unistd_64.h>

#include "abi/exits.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/io/flush.h"
#include "enclave/io/uring.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/list.h"
#include "enclave/net/net.h"
#include "enclave/os/files.h"
#include "enclave/os/poll.h"
#include "enclave/os/ring_watch.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"
#include "enclave/os/waiters.h"

#define ALWAYS ((uint32_t)(EPOLLERR | EPOLLHUP))
#define MODES ((uint32_t)EPOLLET | (uint32_t)(EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE))
#define NEST_MAX 5
#define OWED_MOST 8u
#define NEVER_SEEN UINT64_MAX
#define MILLISECOND 1000000ull
/* Tags in `sleep` besides those of items. */
#define TAG_HOST UINT64_MAX
#define TAG_XSK (UINT64_MAX - 1)

/* A descriptor in a set. Items are reused, never freed before their set. */
struct item {
    struct list of_file; /* in watchers->items; guarded by watch_lock */
    struct list inside;  /* in set->inside, when the LibOS answers for it; in set->changed if `tells` */
    struct item *next;   /* of the same bucket, or free */
    struct epoll *set;
    struct file *file; /* NULL: free */
    int fd;            /* the program's */
    uint32_t events;   /* with ALWAYS; only MODES once EPOLLONESHOT has struck */
    uint64_t data;
    uint32_t index, generation;
    int host_fd;       /* what an epoll of the host holds for it, -1: nothing */
    bool own_fd;       /* host_fd is a duplicate made for this item */
    bool tells;        /* epoll_changed is called for its file, */
    bool local;        /* which is the enclave's own */
    bool inherited;    /* over fork: the host's epoll, which is shared, has it for the parent too */
    bool answers;      /* the host answers: it is in set->host, else in set->sleep */
    uint32_t reported; /* by the host since the file was last asked */
    uint32_t xsks;     /* that it was to wait for when it was last asked */
    uint64_t seen;     /* arrivals at the last report, for EPOLLET */
    uint64_t round;    /* in which it was last reported, if it tells */
};

#define BUCKETS 64

struct epoll {
    struct lock lock; /* guards all that follows */
    int host;         /* file->host_fd too */
    int sleep;        /* -1: no file of the LibOS was ever in it */
    uint32_t xsks;    /* those that are in `sleep`, a bit each by index */
    struct item **items;
    uint32_t count, size;
    struct item *free;
    struct item *buckets[BUCKETS]; /* by fd */
    uint32_t hosts;                /* items that the host answers for */
    uint32_t insides;              /* items in inside */
    struct list inside;            /* rotated, so that each gets its turn */
    uint32_t tellers;              /* items that tell and are streams, */
    uint32_t locals;               /* and that are the enclave's own */
    struct list changed;           /* those of both that may be ready */
    uint64_t round;                /* number of the last look at all that is inside */
    uint32_t owed;                 /* looks at the host's part that come before what is ready inside */
    bool plain;                    /* it is waited for in ways that a ring knows nothing of */
    struct ring_watch *watch;      /* of the host's epoll, in the ring of a thread that sleeps here */
    struct waiters waiters;        /* threads in epoll_wait of it, or in poll */
    struct file *file;             /* that it is the data of */
};

/* file->watchers: the items of a file. */
struct watchers {
    struct list items;
    uint32_t wanted; /* events that any of them was ever waited for with; atomic */
};

static struct lock
    watch_lock; /* guards the watchers of all files, and which sets are within which */

static const struct file_ops epoll_ops;

static struct epoll *epoll_of(const struct file *f)
{
    return f->ops == &epoll_ops ? f->data : NULL;
}

/* ---- items ---- */

static struct item **bucket(struct epoll *p, int fd)
{
    return &p->buckets[(uint32_t)fd % BUCKETS];
}

static struct item *item_find(struct epoll *p, const struct file *f, int fd)
{
    struct item *i = *bucket(p, fd);
    while (i && (i->fd != fd || i->file != f))
        i = i->next;
    return i;
}

/* A free item, or NULL. */
static struct item *item_take(struct epoll *p)
{
    struct item *i = p->free;
    if (i) {
        p->free = i->next;
        return i;
    }
    if (p->count == p->size) {
        uint32_t size = p->size ? p->size * 2 : 16;
        struct item **items = alloc_resize(p->items, p->size * sizeof *items, size * sizeof *items);
        if (!items)
            return NULL;
        p->items = items;
        p->size = size;
    }
    if (!(i = alloc(sizeof *i)))
        return NULL;
    list_init(&i->of_file);
    list_init(&i->inside);
    i->set = p;
    i->index = p->count;
    p->items[p->count++] = i;
    return i;
}

static void item_give(struct epoll *p, struct item *i)
{
    i->file = NULL;
    i->generation++;
    i->next = p->free;
    p->free = i;
}

static uint64_t item_tag(const struct item *i)
{
    return i->index | (uint64_t)i->generation << 32;
}

/* The item that the host means, NULL: gone, or the host makes it up. */
static struct item *item_tagged(struct epoll *p, uint64_t tag)
{
    uint32_t index = (uint32_t)tag;
    if (index >= p->count) {
        violation_count();
        return NULL;
    }
    struct item *i = p->items[index];
    return i->file && i->generation == tag >> 32 ? i : NULL;
}

/* ---- the host's part ---- */

static int sleep_make(struct epoll *p)
{
    if (p->sleep >= 0)
        return 0;
    int fd = host_plain_fd(__NR_epoll_create1, 0, EPOLL_CLOEXEC, 0, 0);
    if (fd < 0)
        return fd;
    int error = host_epoll_ctl(fd, EPOLL_CTL_ADD, p->host, EPOLLIN, TAG_HOST);
    if (error)
        host_close(fd);
    else
        p->sleep = fd;
    return error;
}

/* `sleep` is to hold these XSKs. An exit for each that it did not, or is not to any more. */
static int sleep_hold_xsks(struct epoll *p, uint32_t wanted)
{
    int error = 0;
    for (int i = 0; i < xsk_count() && !error; i++) {
        uint32_t bit = 1u << i;
        if (!((wanted ^ p->xsks) & bit))
            continue;
        if (wanted & bit)
            error = host_epoll_ctl(p->sleep, EPOLL_CTL_ADD, xsk_descriptor(xsk_at(i)), EPOLLIN, TAG_XSK);
        else
            error = host_epoll_ctl(p->sleep, EPOLL_CTL_DEL, xsk_descriptor(xsk_at(i)), 0, 0);
        if (!error)
            p->xsks ^= bit;
    }
    return error;
}

/* Which of the host's epolls holds the item, and for which events. */
static int item_epoll(const struct item *i)
{
    return i->answers ? i->set->host : i->set->sleep;
}

/* An item whose file tells. The set's lock is held. */
static void change(struct epoll *p, struct item *i)
{
    if (list_empty(&i->inside))
        list_append(&p->changed, &i->inside);
}

static uint32_t item_host_events(const struct item *i, uint32_t behind)
{
    if (i->answers)
        return i->events;
    return i->events & ~MODES & ~ALWAYS ? behind | (i->events & (uint32_t)EPOLLET) : 0;
}

static int host_add(struct item *i, int host_fd, uint32_t behind)
{
    uint32_t events = item_host_events(i, behind);
    i->own_fd = false;
    i->host_fd = host_fd;
    int error = host_epoll_ctl(item_epoll(i), EPOLL_CTL_ADD, host_fd, events, item_tag(i));
    if (error != -EEXIST)
        return error;
    /* Another descriptor of the program for the same open file: for the host to tell them apart it
     * needs another one too. */
    i->host_fd = host_plain_fd(__NR_fcntl, 0, (uint32_t)host_fd, F_DUPFD_CLOEXEC, 0);
    if (i->host_fd < 0)
        return i->host_fd;
    i->own_fd = true;
    error = host_epoll_ctl(item_epoll(i), EPOLL_CTL_ADD, i->host_fd, events, item_tag(i));
    if (error)
        host_close(i->host_fd);
    return error;
}

static void host_remove(struct item *i)
{
    if (i->host_fd < 0)
        return;
    host_epoll_ctl(item_epoll(i), EPOLL_CTL_DEL, i->host_fd, 0, 0);
    if (i->own_fd)
        host_close(i->host_fd);
    i->host_fd = -1;
}

/* ---- epoll_ctl; watch_lock and the set's lock are held ---- */

static bool contains(const struct epoll *outer, const struct epoll *inner, int depth)
{
    if (outer == inner || depth > NEST_MAX)
        return true;
    for (uint32_t n = 0; n < outer->count; n++) {
        const struct item *i = outer->items[n];
        const struct epoll *within = i->file ? epoll_of(i->file) : NULL;
        if (within && contains(within, inner, depth + 1))
            return true;
    }
    return false;
}

static int watch(struct item *i)
{
    struct watchers *w = i->file->watchers;
    if (!w) {
        if (!(w = alloc(sizeof *w)))
            return -ENOMEM;
        list_init(&w->items);
        i->file->watchers = w;
    }
    list_append(&w->items, &i->of_file);
    __atomic_or_fetch(&w->wanted, i->events, __ATOMIC_RELAXED);
    return 0;
}

/* The file has told in *wait how it is waited for: enter the item where that belongs. */
static int item_enter(struct epoll *p, struct item *i, const struct poll_wait *wait)
{
    i->answers = wait->answer && !epoll_of(i->file);
    i->host_fd = -1;
    if (i->answers)
        return host_add(i, wait->host_fd, 0);
    int error = sleep_make(p);
    if (!error && wait->xsks)
        error = sleep_hold_xsks(p, p->xsks | wait->xsks);
    i->xsks = wait->xsks;
    if (!error && wait->host_fd >= 0)
        error = host_add(i, wait->host_fd, wait->events);
    return error;
}

static int add(struct epoll *p, struct file *f, int fd, uint32_t events, uint64_t data)
{
    struct epoll *inner = epoll_of(f);
    if (!f->ops->poll)
        return -EPERM;
    if (item_find(p, f, fd))
        return -EEXIST;
    if (inner) {
        if (contains(inner, p, 0))
            return -ELOOP;
        if (events & EPOLLEXCLUSIVE)
            return -EINVAL;
        /* What it holds may change: it is always asked inside. */
        int error = sleep_make(inner);
        if (error)
            return error;
    }
    struct item *i = item_take(p);
    if (!i)
        return -ENOMEM;
    i->file = f;
    i->fd = fd;
    i->inherited = false;
    i->events = events | ALWAYS;
    i->data = data;
    i->reported = 0;
    i->seen = NEVER_SEEN;
    i->tells = false;
    struct poll_wait wait = {.host_fd = -1};
    f->ops->poll(f, events & ~MODES, &wait);
    i->local = wait.tells;
    int error = i->local ? 0 : item_enter(p, i, &wait);
    if (!error && (error = watch(i)) && !i->local)
        host_remove(i);
    if (error) {
        item_give(p, i);
        return error;
    }
    i->next = *bucket(p, fd);
    *bucket(p, fd) = i;
    if (i->local) {
        i->tells = true;
        i->answers = false;
        i->host_fd = -1;
        p->locals++;
        change(p, i);
    } else if (i->answers) {
        p->hosts++;
    } else {
        list_append(&p->inside, &i->inside);
        p->insides++;
    }
    return 0;
}

static int modify(struct epoll *p, struct file *f, int fd, uint32_t events, uint64_t data)
{
    struct item *i = item_find(p, f, fd);
    if (!i)
        return -ENOENT;
    if ((events | i->events) & EPOLLEXCLUSIVE)
        return -EINVAL;
    struct poll_wait wait = {.host_fd = -1};
    if (!i->answers && !i->tells)
        f->ops->poll(f, events & ~MODES, &wait);
    uint32_t before = i->events;
    uint64_t data_before = i->data;
    i->events = events | ALWAYS;
    i->data = data;
    i->seen = NEVER_SEEN;
    int error = 0;
    __atomic_or_fetch(&((struct watchers *)f->watchers)->wanted, i->events, __ATOMIC_RELAXED);
    if (i->tells)
        change(p, i);
    if (i->host_fd >= 0)
        error = host_epoll_ctl(item_epoll(i), EPOLL_CTL_MOD, i->host_fd,
                               item_host_events(i, wait.events), item_tag(i));
    if (error) {
        i->events = before;
        i->data = data_before;
    }
    return error;
}

static uint32_t *teller_count(struct epoll *p, const struct item *i)
{
    return i->local ? &p->locals : &p->tellers;
}

static void item_remove(struct epoll *p, struct item *i)
{
    struct item **at = bucket(p, i->fd);
    while (*at != i)
        at = &(*at)->next;
    *at = i->next;
    if (i->answers) {
        p->hosts--;
    } else if (i->tells) {
        list_remove(&i->inside);
        *teller_count(p, i) -= 1;
        i->tells = false;
    } else {
        list_remove(&i->inside);
        p->insides--;
    }
    list_remove(&i->of_file);
    host_remove(i);
    item_give(p, i);
}

static int control(struct epoll *p, int operation, struct file *f, int fd,
                   const struct epoll_event *e)
{
    switch (operation) {
    case EPOLL_CTL_ADD:
        return add(p, f, fd, e->events, e->data.u64);
    case EPOLL_CTL_MOD:
        return modify(p, f, fd, e->events, e->data.u64);
    case EPOLL_CTL_DEL: {
        struct item *i = item_find(p, f, fd);
        if (i)
            item_remove(p, i);
        return i ? 0 : -ENOENT;
    }
    }
    return -EINVAL;
}

/* Who waits for the set by other means than epoll_wait sleeps on descriptors of the host. */
static void make_plain(struct epoll *p)
{
    for (;;) {
        struct file *f = NULL;
        lock_take(&watch_lock);
        lock_take(&p->lock);
        p->plain = true;
        for (uint32_t n = 0; p->tellers && n < p->count && !f; n++)
            if (p->items[n]->file && p->items[n]->tells && !p->items[n]->local && file_still(p->items[n]->file))
                f = p->items[n]->file;
        lock_release(&p->lock);
        lock_release(&watch_lock);
        if (!f)
            return;
        stream_leave(f);
        file_put(f);
    }
}

SYSCALL(epoll_ctl)
{
    struct epoll_event e = {0};
    int operation = (int)a1, fd = (int)a2;
    if (operation != EPOLL_CTL_DEL && user_get(&e, (const void *)a3))
        return -EFAULT;
    struct file *set = file_get((int)a0), *f = file_get(fd);
    struct epoll *p = set ? epoll_of(set) : NULL;
    int64_t result = !set || !f ? -EBADF : !p || set == f ? -EINVAL : 0;
    /* A file in two sets, or a set within a set, is waited for in ways that a ring knows nothing of. */
    if (!result && operation == EPOLL_CTL_ADD && stream_on(f))
        stream_leave(f);
    if (!result && operation == EPOLL_CTL_ADD && epoll_of(f))
        make_plain(epoll_of(f));
    if (!result) {
        lock_take(&watch_lock);
        lock_take(&p->lock);
        uint32_t insides = p->insides, locals = p->locals;
        bool hosts = p->hosts;
        result = control(p, operation, f, fd, &e);
        /* Who sleeps may sleep on less than there is now, or a file may be ready that was not asked for before. */
        bool look = p->insides != insides || p->locals != locals || (p->hosts && !hosts) ||
                    (operation == EPOLL_CTL_MOD && (insides || locals));
        lock_release(&p->lock);
        lock_release(&watch_lock);
        if (look)
            waiters_wake_all(&p->waiters);
        if (!result && operation == EPOLL_CTL_ADD && stream_on(f))
            stream_watched(f);
    }
    file_put(f);
    file_put(set);
    return result;
}

void epoll_forget(struct file *f)
{
    struct watchers *w = f->watchers;
    lock_take(&watch_lock);
    while (!list_empty(&w->items)) {
        struct item *i = container_of(w->items.next, struct item, of_file);
        struct epoll *p = i->set;
        lock_take(&p->lock);
        if (i->inherited) { /* closing here is not closing there */
            if (i->own_fd)
                host_close(i->host_fd);
            i->host_fd = -1;
        }
        item_remove(p, i);
        lock_release(&p->lock);
    }
    f->watchers = NULL;
    lock_release(&watch_lock);
    alloc_free(w);
}

bool epoll_watched(const struct file *f)
{
    return f->watchers != NULL;
}

/* The items of a file, one by one, with their set's lock held; watch_lock is. */
static int for_each_item(struct file *f, int (*act)(struct epoll *p, struct item *i))
{
    struct watchers *w = f->watchers;
    int error = 0;
    if (!w)
        return -ENOENT;
    for (struct list *l = w->items.next; l != &w->items && !error; l = l->next) {
        struct item *i = container_of(l, struct item, of_file);
        lock_take(&i->set->lock);
        error = act(i->set, i);
        lock_release(&i->set->lock);
    }
    return error;
}

static int answer_inside(struct epoll *p, struct item *i)
{
    if (p->plain || !i->answers || i->own_fd || (i->events & (uint32_t)EPOLLEXCLUSIVE))
        return -EOPNOTSUPP;
    host_remove(i);
    i->answers = false;
    i->tells = true;
    i->local = false;
    i->seen = NEVER_SEEN;
    p->hosts--;
    p->tellers++;
    change(p, i);
    return 0;
}

static int answer_by_host(struct epoll *p, struct item *i)
{
    if (i->answers)
        return 0;
    list_remove(&i->inside);
    if (i->tells) {
        *teller_count(p, i) -= 1;
    } else {
        host_remove(i);
        p->insides--;
    }
    i->tells = false;
    i->answers = true;
    p->hosts++;
    if (host_add(i, i->file->host_fd, 0))
        i->host_fd = -1;
    if (i->local) /* who sleeps knows nothing of the host's part */
        waiters_wake_all(&p->waiters);
    i->local = false;
    return 0;
}

/* Asked inside from now on; the host says when that is worth while. */
static int answer_by_both(struct epoll *p, struct item *i)
{
    if (!i->tells || i->local)
        return 0;
    if (sleep_make(p)) {
        change(p, i); /* it is asked once, at least */
    } else {
        list_remove(&i->inside);
        list_append(&p->inside, &i->inside);
        i->tells = false;
        p->tellers--;
        p->insides++;
        if (host_add(i, i->file->host_fd, i->events & ~MODES))
            i->host_fd = -1;
    }
    waiters_wake_all(&p->waiters);
    return 0;
}

int epoll_answers_inside(struct file *f)
{
    lock_take(&watch_lock);
    /* What is in several sets is waited for by several. */
    struct watchers *w = f->watchers;
    bool one = w && !list_empty(&w->items) && w->items.next->next == &w->items;
    int error = one ? for_each_item(f, answer_inside) : -EOPNOTSUPP;
    lock_release(&watch_lock);
    return error;
}

void epoll_answers_by_host(struct file *f)
{
    lock_take(&watch_lock);
    for_each_item(f, answer_by_host);
    lock_release(&watch_lock);
}

void epoll_answers_by_both(struct file *f)
{
    lock_take(&watch_lock);
    for_each_item(f, answer_by_both);
    lock_release(&watch_lock);
}

/* A set of which something is ready is itself a file that is. watch_lock is held. */
static void set_changed(struct epoll *p, int depth, struct woken *woken)
{
    const struct watchers *w = p->file->watchers;
    waiters_note_all(&p->waiters, woken);
    if (!w || depth > NEST_MAX)
        return;
    list_for_each(l, &w->items) set_changed(container_of(l, struct item, of_file)->set, depth + 1, woken);
}

void epoll_changed(struct file *f, uint32_t events)
{
    struct woken woken = {.count = 0};
    const struct watchers *w = f->watchers;
    if (!w || !(__atomic_load_n(&w->wanted, __ATOMIC_RELAXED) & events))
        return;
    lock_take(&watch_lock);
    for (struct list *l = w->items.next; l != &w->items; l = l->next) {
        struct item *i = container_of(l, struct item, of_file);
        lock_take(&i->set->lock);
        bool wanted = i->tells && (i->events & events & ~MODES);
        if (wanted)
            change(i->set, i);
        lock_release(&i->set->lock);
        if (wanted)
            set_changed(i->set, 0, &woken);
    }
    lock_release(&watch_lock);
    waiters_wake_noted(&woken);
}

static void inherit(struct file *f)
{
    struct epoll *p = epoll_of(f);
    for (uint32_t n = 0; p && n < p->count; n++)
        p->items[n]->inherited = true;
    if (p && p->watch) {
        ring_watch_forget(p->watch);
        p->watch = NULL;
    }
}

void epoll_forked(void)
{
    files_visit(inherit);
}

/* ---- waiting ---- */

/* Ask one file of the LibOS; what is to be reported of it now. The set's lock is held. */
static uint32_t item_ask(struct item *i, bool take)
{
    struct file *f = i->file;
    uint32_t wanted = i->events & ~MODES;
    i->xsks = 0;
    if (!wanted)
        return 0;
    /* A file of the enclave's own is in the list once for each change: nothing is to be counted. */
    bool edge = (i->events & (uint32_t)EPOLLET) && f->ops->arrivals && !i->local;
    struct poll_wait wait = {.host_fd = -1, .reported = i->reported, .ring = uring_existing(),
                             .fresh = edge};
    i->reported = 0;
    uint64_t arrivals = edge ? f->ops->arrivals(f) : 0;
    uint32_t ready = f->ops->poll(f, wanted & ~ALWAYS, &wait) & wanted;
    i->xsks = wait.xsks;
    if (wait.xsks & ~i->set->xsks) /* it was bound since it was added */
        sleep_hold_xsks(i->set, i->set->xsks | wait.xsks);
    /* What was reported may only now have been taken in. */
    if (edge && wait.reported)
        arrivals = f->ops->arrivals(f);
    if (!ready || (edge && arrivals == i->seen))
        return 0;
    if (take) {
        i->seen = arrivals;
        if (i->events & EPOLLONESHOT)
            i->events &= MODES;
    }
    return ready;
}

/* What is ready inside: of `insides` files that are always asked, and of those that tell, but for what was reported
 * in this round. The set's lock is held. */
static int collect(struct epoll *p, struct epoll_event *out, int maximum, uint64_t round, uint32_t insides,
                   bool *local)
{
    uint32_t xsks = 0, n;
    int found = 0;
    for (n = insides; n && found < maximum; n--) {
        struct item *i = container_of(p->inside.next, struct item, inside);
        list_remove(&i->inside);
        list_append(&p->inside, &i->inside);
        uint32_t ready = item_ask(i, true);
        if (ready)
            out[found++] = (struct epoll_event){.events = ready, .data.u64 = i->data};
        xsks |= i->xsks;
    }
    if (!n && insides == p->insides && p->xsks & ~xsks) /* all were asked: others are nothing to be woken by any more */
        sleep_hold_xsks(p, xsks);
    /* A file that is not ready any more tells when it is again; one that is stays, by levels. */
    struct list later;
    list_init(&later);
    while (!list_empty(&p->changed) && found < maximum) {
        struct item *i = container_of(p->changed.next, struct item, inside);
        list_remove(&i->inside);
        if (i->round == round) {
            list_append(&later, &i->inside);
            continue;
        }
        uint32_t ready = item_ask(i, true);
        if (!ready)
            continue;
        i->round = round;
        *local |= i->local;
        out[found++] = (struct epoll_event){.events = ready, .data.u64 = i->data};
        if (!(i->events & ((uint32_t)EPOLLET | (uint32_t)EPOLLONESHOT)))
            list_append(&later, &i->inside);
    }
    while (!list_empty(&later)) {
        struct list *l = later.next;
        list_remove(l);
        list_append(&p->changed, l);
    }
    return found;
}

/* The host's events as the program knows them. Those of items that are gone by now are dropped. */
static int translate(struct epoll *p, struct epoll_event *events, int count)
{
    int kept = 0;
    lock_take(&p->lock);
    for (int n = 0; n < count; n++) {
        struct item *i = item_tagged(p, events[n].data.u64);
        uint32_t ready = i && i->answers ? events[n].events & i->events & ~MODES : 0;
        if (ready)
            events[kept++] = (struct epoll_event){.events = ready, .data.u64 = i->data};
    }
    lock_release(&p->lock);
    return kept;
}

static uint64_t set_key(const struct epoll *p)
{
    return (uint64_t)p;
}

/* The host's part, without waiting. */
static int look(struct epoll *p, struct epoll_event *out, int maximum)
{
    if (!maximum)
        return 0;
    int n = host_epoll_wait(p->host, out, maximum, 0, 0);
    look_done(set_key(p));
    return n <= 0 ? 0 : translate(p, out, n);
}

/* What woke us. True: the host's part has something. */
static bool take_reports(struct epoll *p, const struct epoll_event *reports, int count)
{
    bool host = false;
    lock_take(&p->lock);
    for (int n = 0; n < count; n++) {
        uint64_t tag = reports[n].data.u64;
        if (tag == TAG_HOST)
            host = true;
        if (tag == TAG_HOST || tag == TAG_XSK)
            continue;
        struct item *i = item_tagged(p, tag);
        if (!i || i->answers)
            continue;
        i->reported |= reports[n].events;
        if (!(i->events &
              ~MODES)) /* one-shot, and it has struck: not a reason to wake up any more */
            host_epoll_ctl(p->sleep, EPOLL_CTL_MOD, i->host_fd, 0, tag);
    }
    lock_release(&p->lock);
    return host;
}

/* What a set was when it was last asked. */
struct kinds {
    bool mixed; /* there are files of the LibOS in it, that do not tell, */
    bool hosts; /* files of the host, */
    uint32_t xsks; /* those that files of the LibOS wait for, */
    bool rings; /* and files that are on the ring of this thread */
    bool local; /* one of those that were ready is the enclave's own */
};

static int collect_locked(struct epoll *p, struct epoll_event *out, int maximum, struct kinds *k)
{
    lock_take(&p->lock);
    bool local = false;
    int n = collect(p, out, maximum, ++p->round, p->insides, &local);
    *k = (struct kinds){p->insides, p->hosts, p->xsks, p->tellers && uring_existing(), local};
    /* Where there was room for nothing else the host's files are next. */
    if (local && p->hosts && n == maximum)
        __atomic_store_n(&p->owed, MIN(p->hosts, OWED_MOST), __ATOMIC_RELAXED);
    lock_release(&p->lock);
    return n;
}

/* Before an exit that sleeps: not at all if there was a wake. */
static uint64_t sleep_begin(uint64_t left, bool *woken)
{
    *woken = left && thread_wait_begin();
    return *woken ? 0 : left;
}

/* Sleep on a set that has files of the LibOS. Events found; 0: look again, *over: or the time is
 * up. */
static int sleep_mixed(struct epoll *p, struct epoll_event *out, int maximum, uint64_t left,
                       struct kinds *k, bool *over)
{
    struct epoll_event reports[HOST_EPOLL_MAX / 2];
    bool woken;
    if (left && k->xsks)
        net_count_sleep(k->xsks);
    left = sleep_begin(left, &woken);
    int n = host_epoll_wait(p->sleep, reports, (int)ARRAY_SIZE(reports), left,
                            left ? EXIT_INTERRUPTIBLE : 0);
    thread_wait_end();
    if (n < 0)
        return n == -EINTR ? 0 : n;
    *over = n == 0 && !woken;
    bool host = take_reports(p, reports, n);
    int found = host ? look(p, out, maximum) : 0;
    return found + collect_locked(p, out + found, maximum - found, k);
}

/* The same on one that has only files of the host and such as tell of their changes. */
static int sleep_plain(struct epoll *p, struct epoll_event *out, int maximum, uint64_t left, bool *over)
{
    bool woken;
    left = sleep_begin(left, &woken);
    int n = host_epoll_wait(p->host, out, maximum, left, left ? EXIT_INTERRUPTIBLE : 0);
    thread_wait_end();
    *over = n == 0 && !woken;
    if (n < 0)
        return n == -EINTR ? 0 : n;
    return translate(p, out, n);
}

/* The same where all that can happen happens inside. */
static int sleep_inside(uint64_t left, bool *over)
{
    *over = !left || thread_sleep(left) == -ETIMEDOUT;
    return 0;
}

/* ---- sleeping in a ring ---- */

/* With the lock held: the host's side of the set has something, and is not watched any more. */
static bool watch_over(struct epoll *p)
{
    if (!p->watch || !ring_watch_reported(p->watch))
        return false;
    ring_watch_end(p->watch);
    p->watch = NULL;
    return true;
}

/* With the lock held: that side is among what this thread's ring waits for. False: it cannot be. */
static bool watch_start(struct epoll *p)
{
    watch_over(p);
    if (!p->watch)
        p->watch = ring_watch_start(uring_existing(), p->sleep >= 0 ? p->sleep : p->host, POLLIN);
    return p->watch && ring_watch_mine(p->watch);
}

/* Has anything of the host's come? */
static bool watch_fired(struct epoll *p)
{
    lock_take(&p->lock);
    bool fired = watch_over(p);
    lock_release(&p->lock);
    return fired;
}

/* Sleep in this thread's ring. As sleep_mixed. -EAGAIN: the ring cannot know of the host's side. */
static int sleep_ring(struct epoll *p, struct epoll_event *out, int maximum, uint64_t left,
                      struct kinds *k, bool *over)
{
    struct uring *u = uring_existing();
    bool armed = true;
    if (k->hosts || k->mixed) {
        lock_take(&p->lock);
        armed = watch_start(p);
        lock_release(&p->lock);
    }
    if (!armed)
        return -EAGAIN;
    if (left && k->xsks)
        net_count_sleep(k->xsks);
    uint64_t before = left && left != DEADLINE_NEVER ? time_monotonic_ns() : 0;
    bool unused, woken;
    left = sleep_begin(left, &woken);
    int error = uring_enter(u, left);
    thread_wait_end();
    streams_service();
    *over = !woken && (!left || (before && !error && time_monotonic_ns() - before >= left));
    int found = 0;
    if (watch_fired(p)) {
        if (p->sleep >= 0)
            return sleep_mixed(p, out, maximum, 0, k, &unused);
        found = look(p, out, maximum);
    }
    return found + collect_locked(p, out + found, maximum - found, k);
}

/* Where some are ready all the time, the others get their turn too: what else the ring has to tell. */
static int collect_news(struct epoll *p, struct epoll_event *out, int maximum, bool hosts)
{
    struct uring *u = uring_existing();
    lock_take(&p->lock);
    uint64_t round = p->round;
    if (hosts)
        watch_start(p);
    lock_release(&p->lock);
    if (!maximum || !uring_enter_if_news(u))
        return 0;
    streams_service();
    int n = hosts && watch_fired(p) ? look(p, out, maximum) : 0;
    bool local = false;
    lock_take(&p->lock);
    n += collect(p, out + n, maximum - n, round, 0, &local);
    lock_release(&p->lock);
    return n;
}

/* The host's part, where that comes first. */
static int look_owed(struct epoll *p, struct epoll_event *out, int maximum)
{
    uint32_t owed = __atomic_load_n(&p->owed, __ATOMIC_RELAXED);
    if (!owed)
        return 0;
    int n = look(p, out, maximum);
    __atomic_store_n(&p->owed, n ? owed - 1 : 0, __ATOMIC_RELAXED);
    return n;
}

/* Where what can happen to the set is heard of. As sleep_mixed. */
static int sleep_somehow(struct epoll *p, struct epoll_event *out, int maximum, uint64_t left,
                         struct kinds *k, bool *over)
{
    int n = k->rings ? sleep_ring(p, out, maximum, left, k, over) : -EAGAIN;
    if (n != -EAGAIN)
        return n;
    if (k->rings)
        uring_flush();
    if (k->mixed)
        return sleep_mixed(p, out, maximum, left, k, over);
    if (k->hosts || k->rings)
        return sleep_plain(p, out, maximum, left, over);
    return sleep_inside(left, over);
}

/* One look, and one sleep if there is nothing. Events found; 0: look again, *over: or the time is up. */
static int wait_once(struct epoll *p, struct epoll_event *out, int maximum, uint64_t deadline, bool whole_ms,
                     bool signalled, bool *over)
{
    struct kinds k;
    int first = look_owed(p, out, maximum);
    int n = first + collect_locked(p, out + first, maximum - first, &k);
    if (k.mixed && !n && k.xsks && net_poll(k.xsks))
        n = collect_locked(p, out, maximum, &k);
    if (n && k.rings)
        n += collect_news(p, out + n, maximum - n, k.hosts && !k.mixed && !first);
    /* Streams that are ready go first for a millisecond. A file of the enclave's own is no reason not to look: without
     * it there would have been an exit as well. */
    if (n && !first && k.hosts && (k.local || !look_is_fresh(set_key(p))))
        n += look(p, out + n, maximum - n);
    if (n) {
        /* There was no room for what the host may have to tell: each part in its turn. */
        if (k.hosts && n == maximum && !first && !__atomic_load_n(&p->owed, __ATOMIC_RELAXED))
            __atomic_store_n(&p->owed, 1, __ATOMIC_RELAXED);
        if (k.rings)
            uring_flush_streams(); /* the next call may not sleep either */
        return n;
    }

    /* What has come counts more than a signal: one more look, which does not sleep. */
    uint64_t left = deadline_left(deadline);
    bool interrupted = left && signalled;
    if (interrupted)
        left = 0;
    if (whole_ms && left != DEADLINE_NEVER)
        left = (left + MILLISECOND - 1) / MILLISECOND * MILLISECOND;
    if (left && net_watch(k.xsks))
        return 0;
    if (left && k.rings)
        io_flush_along_for_ring();
    else if (left)
        io_flush_along();
    if (left && k.xsks && net_nap(k.xsks, left)) /* a signal that ends it is seen at the top */
        return 0;
    n = sleep_somehow(p, out, maximum, left, &k, over);
    return n || !interrupted ? n : RESTART_NOHAND;
}

/* Up to `maximum` events; 0: the time is up. whole_ms: sleep in whole milliseconds, as epoll_wait
 * does.
 */
static int64_t wait_events(struct epoll *p, struct epoll_event *out, int maximum, uint64_t deadline,
                           bool whole_ms)
{
    for (;;) {
        /* Before anything is asked: what interrupts after that must still interrupt the sleep. It may be a point
         * of the world, where nobody is in a list. */
        bool signalled = signal_pending(), over = false;
        struct waiter w = {.in = NULL};
        if (deadline != DEADLINE_NOW) {
            thread_sleep_prepare();
            waiters_add(&p->waiters, &w, POLLIN, false);
        }
        int n = wait_once(p, out, maximum, deadline, whole_ms, signalled, &over);
        waiter_remove(&w);
        if (n || over || deadline == DEADLINE_NOW)
            return n;
    }
}

static int64_t wait_call(int fd, uint64_t user, int maximum, uint64_t deadline, bool whole_ms)
{
    struct epoll_event events[HOST_EPOLL_MAX];
    if (maximum <= 0 || (uint64_t)maximum > INT32_MAX / sizeof(struct epoll_event))
        return -EINVAL;
    struct file *f = file_get(fd);
    struct epoll *p = f ? epoll_of(f) : NULL;
    if (!p) {
        int error = f ? -EINVAL : -EBADF;
        file_put(f);
        return error;
    }
    streams_listen();
    int64_t n = wait_events(p, events, MIN(maximum, HOST_EPOLL_MAX), deadline, whole_ms);
    file_put(f);
    if (n > 0 && user_write((void *)user, events, (size_t)n * sizeof *events))
        return -EFAULT;
    return n;
}

SYSCALL(epoll_wait)
{
    return wait_call((int)a0, a1, (int)a2, deadline_of_milliseconds((int)a3), true);
}

SYSCALL(epoll_pwait)
{
    int error = mask_take(a4, a5);
    return error ? error : wait_call((int)a0, a1, (int)a2, deadline_of_milliseconds((int)a3), true);
}

SYSCALL(epoll_pwait2)
{
    uint64_t deadline;
    int error = deadline_of_timespec(a3, &deadline);
    if (!error)
        error = mask_take(a4, a5);
    return error ? error : wait_call((int)a0, a1, (int)a2, deadline, false);
}

/* ---- the set as a file ---- */

/* Of those that tell only one that has can be. What a stream tells is its ring's to know. */
static bool may_be_ready(const struct item *i)
{
    return !i->tells || (i->local && !list_empty(&i->inside));
}

static struct waiters *epoll_waiters(struct file *f)
{
    return &((struct epoll *)f->data)->waiters;
}

static uint32_t epoll_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    struct epoll *p = f->data;
    uint32_t ready = 0;
    if (!wait->ring && p->tellers)
        make_plain(p);
    lock_take(&p->lock);
    bool hosts = p->hosts;
    wait->answer = p->sleep < 0 && !p->locals;
    wait->host_fd = p->sleep < 0 ? p->host : p->sleep;
    wait->xsks = p->xsks;
    for (uint32_t n = 0; n < p->count && !ready; n++)
        if (p->items[n]->file && !p->items[n]->answers && may_be_ready(p->items[n]))
            ready = item_ask(p->items[n], false);
    lock_release(&p->lock);
    wait->events = POLLIN;
    if (wait->answer)
        return 0;
    if (!ready && hosts) {
        struct pollfd host = {p->host, POLLIN, 0};
        uint64_t now = 0;
        ready = host_ppoll(&host, 1, &now, 0) > 0;
    }
    return ready ? events & (POLLIN | POLLRDNORM) : 0;
}

static int epoll_stat(struct file *f, struct stat *out)
{
    return host_fstat(f->host_fd, out);
}

static void epoll_release(struct file *f)
{
    struct epoll *p = f->data;
    lock_take(&watch_lock);
    for (uint32_t n = 0; n < p->count; n++) {
        struct item *i = p->items[n];
        if (i->file) {
            list_remove(&i->of_file);
            if (i->own_fd)
                host_close(i->host_fd);
        }
        alloc_free(i);
    }
    lock_release(&watch_lock);
    if (p->watch)
        ring_watch_end(p->watch);
    if (p->sleep >= 0)
        host_close(p->sleep);
    host_close(p->host);
    alloc_free(p->items);
    alloc_free(p);
}

static const struct file_ops epoll_ops = {
    .name = "epoll",
    .stat = epoll_stat,
    .poll = epoll_poll,
    .waiters = epoll_waiters,
    .release = epoll_release,
};

static int64_t create(int flags)
{
    int fd = host_plain_fd(__NR_epoll_create1, 0, EPOLL_CLOEXEC, 0, 0);
    if (fd < 0)
        return fd;
    struct epoll *p = alloc(sizeof *p);
    struct file *f = p ? file_new(&epoll_ops, fd, O_RDWR) : NULL;
    if (!f) {
        alloc_free(p);
        host_close(fd);
        return -ENOMEM;
    }
    p->host = fd;
    p->file = f;
    p->sleep = -1;
    list_init(&p->inside);
    list_init(&p->changed);
    f->data = p;
    return file_install_or_put(f, flags & EPOLL_CLOEXEC ? O_CLOEXEC : 0);
}

SYSCALL(epoll_create)
{
    return (int)a0 > 0 ? create(0) : -EINVAL;
}

SYSCALL(epoll_create1)
{
    return (int)a0 & ~EPOLL_CLOEXEC ? -EINVAL : create((int)a0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* poll, ppoll, select, pselect6. */
#include "enclave/os/poll.h"

#include <errno.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

#include "abi/start.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/io/flush.h"
#include "enclave/io/moderate.h"
#include "enclave/io/uring.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/net/net.h"
#include "enclave/os/files.h"
#include "enclave/os/process.h"
#include "enclave/os/ring_watch.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"
#include "enclave/os/waiters.h"

#define NANOSECONDS 1000000000ull
#define LOOK_INTERVAL 1000000ull /* ns: for so long a busy file of the LibOS goes first */
#define SMALL 16

/* When each thread last looked at the host's side of which set. */
static struct {
    uint64_t key, time;
} looks[THREADS_MAX];

bool look_is_fresh(uint64_t key)
{
    uint32_t me = current()->index;
    return looks[me].key == key && time_monotonic_ns() - looks[me].time < LOOK_INTERVAL;
}

void look_done(uint64_t key)
{
    uint32_t me = current()->index;
    looks[me].key = key;
    looks[me].time = time_monotonic_ns();
}

int deadline_of_timespec(uint64_t user, uint64_t *deadline)
{
    struct timespec t;
    *deadline = DEADLINE_NEVER;
    if (!user)
        return 0;
    if (user_get(&t, (const void *)user))
        return -EFAULT;
    if (t.tv_sec < 0 || (uint64_t)t.tv_nsec >= NANOSECONDS)
        return -EINVAL;
    if (!t.tv_sec && !t.tv_nsec)
        *deadline = DEADLINE_NOW;
    else if ((uint64_t)t.tv_sec < INT64_MAX / NANOSECONDS / 2)
        *deadline = time_monotonic_ns() + (uint64_t)t.tv_sec * NANOSECONDS + (uint64_t)t.tv_nsec;
    return 0;
}

uint64_t deadline_of_milliseconds(int timeout)
{
    if (timeout <= 0)
        return timeout ? DEADLINE_NEVER : DEADLINE_NOW;
    return time_monotonic_ns() + (uint64_t)timeout * 1000000;
}

uint64_t deadline_left(uint64_t deadline)
{
    if (deadline == DEADLINE_NOW || deadline == DEADLINE_NEVER)
        return deadline;
    uint64_t now = time_monotonic_ns();
    return now < deadline ? deadline - now : 0;
}

int mask_take(uint64_t user, uint64_t size)
{
    uint64_t mask;
    if (!user)
        return 0;
    if (size != sizeof mask)
        return -EINVAL;
    if (user_get(&mask, (const void *)user))
        return -EFAULT;
    signal_mask_temporary(&mask);
    return 0;
}

/* A set of entries, and what of it the host is to be asked. */
struct set {
    struct poll_entry *entries;
    int count;
    struct pollfd *hosts; /* one for each entry with a host descriptor, in order; then the XSKs */
    int host_count;
    int answers; /* how many of them answer for their file */
    uint32_t xsks;
    bool inside; /* some change inside: their waiters are to be joined */
    bool local;  /* one that is ready is the enclave's own */
    struct waiter *waiters; /* room for one for each entry, NULL: none yet */
    struct uring *ring; /* this thread's, NULL: not to be slept in */
    bool on_ring;       /* an entry is waited for there, */
    bool thick;         /* by which much comes */
    bool ahead;         /* an entry is a stream that is read ahead */
    uint64_t key;
};

/* Ask the files of the LibOS, and list what the host is to be asked. How many are ready inside. */
static int ask(struct set *s)
{
    int ready = 0;
    s->host_count = s->answers = 0;
    s->xsks = 0;
    s->inside = s->local = false;
    s->on_ring = s->thick = s->ahead = false;
    s->key = 0;
    for (int i = 0; i < s->count; i++) {
        struct poll_entry *e = &s->entries[i];
        if (!e->file)
            continue;
        struct poll_wait wait = {.host_fd = -1, .reported = e->reported, .ring = s->ring};
        uint32_t allowed = e->events | POLLERR | POLLHUP;
        /* A file without such an operation is always ready, as a regular file is. */
        e->revents = (e->file->ops->poll ? e->file->ops->poll(e->file, e->events, &wait)
                                         : POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) &
                     allowed;
        e->reported = 0;
        e->host = wait.host_fd >= 0;
        e->answer = wait.answer;
        ready += e->revents != 0;
        s->xsks |= wait.xsks;
        s->inside |= e->file->ops->waiters != NULL;
        s->local |= wait.tells && e->revents;
        s->on_ring |= wait.on_ring;
        s->thick |= wait.thick;
        e->ahead = wait.ahead;
        s->ahead |= wait.ahead;
        if (!e->host)
            continue;
        s->hosts[s->host_count++] = (struct pollfd){wait.host_fd, (short)wait.events, 0};
        s->answers += wait.answer;
        if (!wait.ahead) /* of which there may be something inside, and then the host is not asked */
            s->key = (s->key + (uint32_t)wait.host_fd + 1) * 0x9e3779b97f4a7c15ull;
    }
    return ready;
}

static int add_xsks(struct set *s)
{
    int n = s->host_count;
    for (int i = 0; i < xsk_count(); i++)
        if (s->xsks >> i & 1)
            s->hosts[n++] = (struct pollfd){xsk_descriptor(xsk_at(i)), POLLIN, 0};
    return n;
}

/* What the host said goes to the entries. How many are ready by it. */
static int take_answers(struct set *s)
{
    int ready = 0, k = 0;
    for (int i = 0; i < s->count; i++) {
        struct poll_entry *e = &s->entries[i];
        if (!e->file || !e->host)
            continue;
        uint32_t said = (uint16_t)s->hosts[k++].revents;
        if (!e->answer) {
            e->reported = said;
        } else if (said) {
            ready += e->revents == 0;
            e->revents = said;
        }
    }
    return ready;
}

/* Joins those who wait for the files: until leave_waiters nothing may be a point of the world. 0 or -ENOMEM. */
static int join_waiters(struct set *s)
{
    if (!s->waiters && !(s->waiters = alloc((size_t)s->count * sizeof *s->waiters)))
        return -ENOMEM;
    thread_sleep_prepare();
    for (int i = 0; i < s->count; i++) {
        struct file *f = s->entries[i].file;
        const struct file_ops *ops = f ? f->ops : NULL;
        if (ops && ops->waiters)
            waiters_add(ops->waiters(f), &s->waiters[i], s->entries[i].events | POLLERR | POLLHUP, false);
    }
    return 0;
}

static void leave_waiters(struct set *s)
{
    for (int i = 0; s->waiters && i < s->count; i++)
        waiter_remove(&s->waiters[i]);
}

#define RING_WATCHES 8

/* As host_ppoll, in this thread's ring. -EOPNOTSUPP: that cannot be. */
static int ring_sleep(struct set *s, uint64_t left)
{
    struct ring_watch *watches[RING_WATCHES];
    int started = 0, ready = 0;
    if (s->xsks || s->host_count > RING_WATCHES)
        return -EOPNOTSUPP;
    while (started < s->host_count) {
        const struct pollfd *p = &s->hosts[started];
        if (!(watches[started] = ring_watch_start(s->ring, p->fd, (uint16_t)p->events)))
            break;
        started++;
    }
    int result = started == s->host_count ? uring_enter(s->ring, left) : -EOPNOTSUPP;
    for (int i = 0; i < started; i++) {
        uint32_t reported = ring_watch_end(watches[i]);
        s->hosts[i].revents = (short)(reported & ((uint16_t)s->hosts[i].events | POLLERR | POLLHUP | POLLNVAL));
        ready += s->hosts[i].revents != 0;
    }
    streams_service();
    return result ? result : ready;
}

/* What the host says of all that is its to say, after `left` at most. How many are ready by it, or -errno; *said:
 * of how many it said anything, -EINTR: it is to be looked at all again. */
static int64_t sleep_on_host(struct set *s, uint64_t left, int *said)
{
    int n = s->host_count;
    if (left) {
        n = add_xsks(s);
        if (s->xsks)
            net_count_sleep(s->xsks);
    }
    bool woken = left && s->inside && thread_wait_begin();
    uint64_t timeout = woken ? 0 : left;
    if (timeout && s->on_ring)
        *said = ring_sleep(s, timeout);
    else
        *said = host_ppoll(s->hosts, (unsigned)n, &timeout, timeout ? EXIT_INTERRUPTIBLE : 0);
    thread_wait_end();
    if (*said == -EOPNOTSUPP && s->on_ring) {
        s->ring = NULL;
        *said = -EINTR;
    }
    if (woken && !*said)
        *said = -EINTR;
    if (*said < 0)
        return *said == -EINTR ? 0 : *said;
    look_done(s->key);
    return take_answers(s);
}

/* Looks at the others for as long as a nap takes, while much comes by streams. False: something else has happened. */
static bool nap_beside(struct set *s, uint64_t left)
{
    uint64_t timeout = MIN(left, (uint64_t)NAP_NS);
    for (int i = 0, k = 0; i < s->count; i++) {
        const struct poll_entry *e = &s->entries[i];
        if (!e->file || !e->host)
            continue;
        if (e->ahead)
            s->hosts[k].fd = -1;
        k++;
    }
    if (host_ppoll(s->hosts, (unsigned)s->host_count, &timeout, EXIT_INTERRUPTIBLE))
        return false;
    look_done(s->key);
    return true;
}

/* Where much comes by streams: true: some of it is inside now. The list of what the host is to be asked is no longer good. */
static bool fill(struct set *s, uint64_t left)
{
    bool look = false, nap = false, any = false;
    for (int i = 0; i < s->count; i++) {
        enum stream_look how = s->entries[i].ahead ? stream_ahead_look(s->entries[i].file) : STREAM_WAIT;
        look |= how == STREAM_LOOK;
        nap |= how == STREAM_NAP;
    }
    if (!look && (!nap || !nap_beside(s, left)))
        return false;
    for (int i = 0; i < s->count; i++)
        any |= s->entries[i].ahead && stream_ahead_fill(s->entries[i].file);
    return any;
}

static int64_t wait_for(struct set *s, uint64_t deadline)
{
    bool news = false, looked = false;
    for (;;) {
        /* Before the files are asked: what interrupts after that must still interrupt the wait. */
        bool signalled = signal_pending();
        int ready = ask(s);
        if (!ready && s->xsks && net_poll(s->xsks))
            ready = ask(s);
        /* One of the enclave's own is no reason not to look: without it there would have been an exit as well. */
        if (ready && s->on_ring && !news) {
            news = true; /* what is ready must not hide what else has come */
            if (uring_enter_if_news(s->ring))
                continue;
        }
        bool fresh = (s->on_ring ? s->thick : s->xsks || s->ahead) && !s->local && look_is_fresh(s->key);
        if (ready && (!s->answers || fresh || (s->on_ring && looked)))
            return ready;

        /* What is ready counts more than a signal, and a signal more than that the time is up. */
        uint64_t left = ready || signalled ? 0 : deadline_left(deadline);
        if (!left && !ready && s->on_ring && !news) {
            news = true;
            if (uring_enter_if_news(s->ring))
                continue;
        }
        if (!left && !s->host_count)
            return ready || !signalled ? ready : RESTART_NOHAND;
        if (left) {
            if (net_watch(s->xsks))
                continue;
            if (s->on_ring)
                io_flush_along_for_ring();
            else
                io_flush_along();
            if (s->xsks && net_nap(s->xsks, left))
                continue;
            if (s->ahead && !s->xsks && !s->on_ring) {
                if (fill(s, left) || ask(s))
                    continue;
                left = deadline_left(deadline);
            }
        }
        int said = 0;
        int64_t more = left && s->inside ? join_waiters(s) : 0;
        if (!more && left && s->inside && ask(s)) {
            said = -EINTR; /* it came just now */
        } else if (!more && left && s->inside && !s->host_count && !s->xsks && !s->on_ring) {
            said = thread_sleep(left) == -ETIMEDOUT ? 0 : -EINTR;
        } else if (!more) {
            more = sleep_on_host(s, left, &said);
        }
        leave_waiters(s);
        if (said == -EINTR)
            continue; /* a signal, or one of our own threads: seen at the top */
        if (more < 0)
            return more;
        ready += (int)more;
        if (!ready && said && (signalled || deadline == DEADLINE_NOW)) {
            ready = ask(s); /* what was reported may have made one of ours ready */
            if (!ready && !signalled)
                return 0;
        }
        if (ready)
            return ready;
        looked = left && s->on_ring;
        if (!said && looked)
            continue;
        if (signalled)
            return RESTART_NOHAND;
        if (!said && !deadline_left(deadline))
            return 0;
    }
}

int64_t poll_entries(struct poll_entry *entries, int count, uint64_t deadline)
{
    struct pollfd small[SMALL + XSK_MAX];
    struct set s = {.entries = entries, .count = count, .hosts = small, .ring = uring_existing()};
    if (count > SMALL && !(s.hosts = alloc(((size_t)count + XSK_MAX) * sizeof *s.hosts)))
        return -ENOMEM;
    int64_t result = wait_for(&s, deadline);
    alloc_free(s.waiters);
    if (s.hosts != small)
        alloc_free(s.hosts);
    return result;
}

static void entries_drop(struct poll_entry *entries, int count, const struct poll_entry *small)
{
    for (int i = 0; i < count; i++)
        file_put(entries[i].file);
    if (entries != small)
        alloc_free(entries);
}

/* Fills entries and invalid[] by the program's array. How many descriptors are not open, or -errno.
 */
static int poll_take(struct poll_entry *entries, const struct pollfd *user, int count)
{
    int invalid = 0;
    for (int i = 0; i < count; i++) {
        struct pollfd p;
        if (user_get(&p, &user[i]))
            return -EFAULT;
        entries[i].events = (uint16_t)p.events;
        if (p.fd < 0)
            continue;
        entries[i].file = file_get(p.fd);
        if (!entries[i].file) {
            entries[i].revents = POLLNVAL;
            invalid++;
        }
    }
    return invalid;
}

static int64_t poll_call(struct pollfd *user, uint64_t count64, uint64_t deadline)
{
    struct poll_entry small[SMALL], *entries = small;
    if (count64 > limit_nofile() || count64 > HOST_POLL_MAX - XSK_MAX)
        return -EINVAL;
    int count = (int)count64;
    if (count > SMALL)
        entries = alloc((size_t)count * sizeof *entries);
    else
        memset(small, 0, sizeof small);
    if (!entries)
        return -ENOMEM;
    int64_t result = poll_take(entries, user, count);
    if (result >= 0) {
        int invalid = (int)result;
        result = poll_entries(entries, count, invalid ? DEADLINE_NOW : deadline);
        if (result >= 0)
            result += invalid;
    }
    for (int i = 0; result >= 0 && i < count; i++) {
        short revents = (short)entries[i].revents;
        if (user_put(&user[i].revents, &revents))
            result = -EFAULT;
    }
    entries_drop(entries, count, small);
    return result;
}

SYSCALL(poll)
{
    return poll_call((struct pollfd *)a0, (uint32_t)a1, deadline_of_milliseconds((int)a2));
}

/* What is left of the time, for calls that tell. Linux does not mind if it cannot be written. */
static void left_to_timespec(uint64_t user, uint64_t deadline)
{
    uint64_t left = deadline_left(deadline);
    struct timespec t = {(int64_t)(left / NANOSECONDS), (int64_t)(left % NANOSECONDS)};
    if (user && left != DEADLINE_NEVER)
        (void)user_put((void *)user, &t);
}

SYSCALL(ppoll)
{
    uint64_t deadline;
    int64_t result = deadline_of_timespec(a2, &deadline);
    if (!result)
        result = mask_take(a3, a4);
    if (result)
        return result;
    result = poll_call((struct pollfd *)a0, (uint32_t)a1, deadline);
    left_to_timespec(a2, deadline);
    return result;
}

/* ---- select ---- */

#define IN (POLLRDNORM | POLLRDBAND | POLLIN)
#define OUT (POLLWRBAND | POLLWRNORM | POLLOUT)
#define EXCEPTIONAL POLLPRI

/* The three sets, a word of each at a time. */
struct select_sets {
    uint64_t *user[3]; /* the program's */
    int bits;
};

static const uint32_t select_events[3] = {IN, OUT, EXCEPTIONAL};
static const uint32_t select_revents[3] = {IN | POLLHUP | POLLERR, OUT | POLLERR, EXCEPTIONAL};

static int bits_in(uint64_t word)
{
    int n = 0;
    for (; word; word &= word - 1)
        n++;
    return n;
}

static int select_word(const struct select_sets *s, int which, int word, uint64_t *out)
{
    *out = 0;
    if (!s->user[which])
        return 0;
    /* The last word may reach beyond what the program has: read the bytes that the kernel reads,
     * which are whole words too. */
    return user_get(out, s->user[which] + word);
}

/* How many descriptors the sets name. */
static int64_t select_count(const struct select_sets *s)
{
    int64_t count = 0;
    for (int word = 0; word * 64 < s->bits; word++) {
        uint64_t any = 0;
        for (int which = 0; which < 3; which++) {
            uint64_t w;
            if (select_word(s, which, word, &w))
                return -EFAULT;
            any |= w;
        }
        if (s->bits - word * 64 < 64)
            any &= (1ull << (s->bits - word * 64)) - 1;
        count += bits_in(any);
    }
    return count;
}

/* `fds` of the entries are in fds[]. */
static int select_take(const struct select_sets *s, struct poll_entry *entries, int *fds, int count)
{
    int n = 0;
    for (int fd = 0; fd < s->bits && n < count; fd++) {
        uint64_t w[3];
        uint32_t events = 0;
        for (int which = 0; which < 3; which++) {
            if (select_word(s, which, fd / 64, &w[which]))
                return -EFAULT;
            if (w[which] >> (fd % 64) & 1)
                events |= select_events[which];
        }
        if (!(w[0] | w[1] | w[2]))
            fd |= 63; /* none in this word */
        if (!events)
            continue;
        entries[n].file = file_get(fd);
        if (!entries[n].file)
            return -EBADF;
        entries[n].events = events;
        fds[n++] = fd;
    }
    return 0;
}

/* The sets as they are now; how many bits are in them. */
static int64_t select_give(const struct select_sets *s, const struct poll_entry *entries,
                           const int *fds, int count)
{
    int64_t bits = 0;
    int from = 0;
    for (int word = 0; word * 64 < s->bits; word++) {
        uint64_t out[3] = {0, 0, 0};
        int i = from;
        for (; i < count && fds[i] / 64 == word; i++)
            for (int which = 0; which < 3; which++)
                if (entries[i].events & select_events[which] &&
                    entries[i].revents & select_revents[which])
                    out[which] |= 1ull << (fds[i] % 64);
        from = i;
        for (int which = 0; which < 3; which++) {
            if (s->user[which] && user_put(s->user[which] + word, &out[which]))
                return -EFAULT;
            if (s->user[which])
                bits += bits_in(out[which]);
        }
    }
    return bits;
}

static int64_t select_call(int bits, uint64_t in, uint64_t out, uint64_t exceptional,
                           uint64_t deadline)
{
    struct poll_entry small[SMALL], *entries = small;
    int small_fds[SMALL], *fds = small_fds;
    struct select_sets s = {{(uint64_t *)in, (uint64_t *)out, (uint64_t *)exceptional}, bits};
    if (bits < 0)
        return -EINVAL;
    s.bits = MIN(bits, (int)MAX(file_table_size(), 64u));
    int64_t result = select_count(&s);
    if (result < 0)
        return result;
    if (result > HOST_POLL_MAX - XSK_MAX)
        return -EINVAL;
    int count = (int)result;
    if (count > SMALL) {
        entries = alloc((size_t)count * sizeof *entries);
        fds = alloc((size_t)count * sizeof *fds);
    } else {
        memset(small, 0, sizeof small);
    }
    result = entries && fds ? select_take(&s, entries, fds, count) : -ENOMEM;
    if (!result)
        result = poll_entries(entries, count, deadline);
    if (result >= 0)
        result = select_give(&s, entries, fds, count);
    if (entries)
        entries_drop(entries, count, small);
    if (fds != small_fds)
        alloc_free(fds);
    return result;
}

SYSCALL(select)
{
    struct timeval t;
    uint64_t deadline = DEADLINE_NEVER;
    if (a4) {
        if (user_get(&t, (const void *)a4))
            return -EFAULT;
        if (t.tv_sec < 0 || t.tv_usec < 0)
            return -EINVAL;
        uint64_t seconds = (uint64_t)t.tv_sec + (uint64_t)t.tv_usec / 1000000;
        uint64_t rest = (uint64_t)t.tv_usec % 1000000;
        if (!seconds && !rest)
            deadline = DEADLINE_NOW;
        else if (seconds < INT64_MAX / NANOSECONDS / 2)
            deadline = time_monotonic_ns() + seconds * NANOSECONDS + rest * 1000;
    }
    int64_t result = select_call((int)a0, a1, a2, a3, deadline);
    uint64_t left = deadline_left(deadline);
    if (a4 && left != DEADLINE_NEVER) {
        t = (struct timeval){(int64_t)(left / NANOSECONDS), (int64_t)(left % NANOSECONDS / 1000)};
        (void)user_put((void *)a4, &t);
    }
    return result;
}

SYSCALL(pselect6)
{
    uint64_t deadline, mask[2] = {0, 0};
    if (a5 && user_read(mask, (const void *)a5, sizeof mask))
        return -EFAULT;
    int64_t result = deadline_of_timespec(a4, &deadline);
    if (!result)
        result = mask_take(mask[0], mask[1]);
    if (result)
        return result;
    result = select_call((int)a0, a1, a2, a3, deadline);
    left_to_timespec(a4, deadline);
    return result;
}

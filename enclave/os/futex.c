/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/futex.h"

#include "enclave/os/coherent.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <time.h>

#include "enclave/boundary/user.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/list.h"
#include "enclave/lib/lock.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"

#define BUCKETS 256

enum waiter_kind {
    WAITS_FOR_WAKE,
    WAITS_FOR_LOCK,    /* of a mutex with priority inheritance: its owner hands it over */
    WAITS_FOR_REQUEUE, /* is to be moved to such a mutex, and wait for that */
};

/* A waiter lies on its thread's stack. `address` changes when it is requeued; NULL list: woken. */
struct waiter {
    struct list list;
    struct thread *thread;
    uint64_t address;
    uint32_t bitset;
    bool queued; /* guarded by the bucket's lock */
    enum waiter_kind kind;
    uint64_t target; /* of WAITS_FOR_REQUEUE: the mutex */
    bool owner;      /* the mutex was handed over */
    struct bucket *bucket;
};

struct bucket {
    struct lock lock;
    struct list waiters;
};

static struct bucket buckets[BUCKETS];

static struct bucket *bucket_of(uint64_t address)
{
    struct bucket *b = &buckets[(address >> 2 ^ address >> 12) % BUCKETS];
    return b;
}

/* With the bucket's lock held. */
static struct list *waiters_of(struct bucket *b)
{
    if (!b->waiters.next)
        list_init(&b->waiters);
    return &b->waiters;
}

/* Two buckets in a fixed order, once if they are one. */
static void lock_both(struct bucket *a, struct bucket *b)
{
    lock_take(a < b ? &a->lock : &b->lock);
    if (a != b)
        lock_take(a < b ? &b->lock : &a->lock);
}

static void unlock_both(struct bucket *a, struct bucket *b)
{
    lock_release(&a->lock);
    if (a != b)
        lock_release(&b->lock);
}

/* With the bucket's lock held: takes matching waiters off the queue into woken[]. */
static int take_waiters(struct bucket *b, uint64_t address, uint32_t bitset, int count,
                        struct thread **woken, int room)
{
    int n = 0;
    struct list *head = waiters_of(b), *next;
    for (struct list *i = head->next; i != head && n < count && n < room; i = next) {
        struct waiter *w = container_of(i, struct waiter, list);
        next = i->next;
        if (w->address != address || !(w->bitset & bitset) || w->kind != WAITS_FOR_WAKE)
            continue;
        list_remove(&w->list);
        woken[n++] = w->thread;
        __atomic_store_n(&w->queued, false, __ATOMIC_RELEASE); /* w may be gone from here on */
    }
    return n;
}

#define WAKE_BATCH 32

static int wake(uint64_t address, int count, uint32_t bitset)
{
    struct bucket *b = bucket_of(address);
    int total = 0, n;
    do {
        struct thread *woken[WAKE_BATCH];
        lock_take(&b->lock);
        n = take_waiters(b, address, bitset, count - total, woken, WAKE_BATCH);
        lock_release(&b->lock);
        for (int i = 0; i < n; i++)
            thread_wake(woken[i]);
        total += n;
    } while (n == WAKE_BATCH && total < count);
    return total;
}

int futex_wake(uint64_t address, int count)
{
    return wake(address, count, FUTEX_BITSET_MATCH_ANY);
}

void futex_reset(void)
{
    for (int i = 0; i < BUCKETS; i++)
        buckets[i] = (struct bucket){0};
}

static int read_word(uint64_t address, uint32_t *value)
{
    if (address % 4)
        return -EINVAL;
    return user_get(value, (const void *)address);
}

/* Sleeps until *w, which is queued, is taken off its queue, or the deadline, or a signal: 0, -ETIMEDOUT,
 * -EINTR. Off the queue in any case. */
static int sleep_queued(struct waiter *w, uint64_t deadline)
{
    int result = 0;
    while (__atomic_load_n(&w->queued, __ATOMIC_ACQUIRE)) {
        uint64_t left = UINT64_MAX;
        if (deadline != UINT64_MAX) {
            uint64_t now = time_monotonic_ns();
            left = now < deadline ? deadline - now : 0;
        }
        result = left ? thread_sleep(left) : -ETIMEDOUT;
        if (result)
            break;
        if (__atomic_load_n(&w->queued, __ATOMIC_ACQUIRE))
            thread_sleep_prepare(); /* a wake of an earlier wait, late */
    }
    /* Off the queue, wherever a requeue has moved it; the bucket can change while we take its lock. */
    struct bucket *b;
    for (;;) {
        b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
        lock_take(&b->lock);
        if (b == w->bucket)
            break;
        lock_release(&b->lock);
    }
    bool woken = !w->queued;
    if (!woken)
        list_remove(&w->list);
    lock_release(&b->lock);
    return woken ? 0 : result;
}

/* With the bucket's lock held. */
static void enqueue(struct bucket *b, struct waiter *w)
{
    w->queued = true;
    w->bucket = b;
    list_append(waiters_of(b), &w->list);
}

/* Queues *w while the word is as expected, and sleeps. */
static int queue_and_sleep(struct waiter *w, uint32_t expected, uint64_t deadline)
{
    struct bucket *b = bucket_of(w->address);
    uint32_t value;
    thread_sleep_prepare();
    lock_take(&b->lock);
    int error = read_word(w->address, &value);
    if (!error && value != expected)
        error = -EAGAIN;
    if (!error)
        enqueue(b, w);
    lock_release(&b->lock);
    return error ? error : sleep_queued(w, deadline);
}

#define AWAY_LEAST 100000ull /* ns between looks at a word that other processes change */
#define AWAY_MOST 10000000ull

/* Processes cannot wake each other here: a change of the word is what is seen of it, sooner or later. */
static int wait_for_others(struct waiter *w, uint32_t expected, uint64_t deadline)
{
    for (uint64_t away = AWAY_LEAST;; away = MIN(away * 2, AWAY_MOST)) {
        uint64_t now = time_monotonic_ns();
        if (now >= deadline)
            return -ETIMEDOUT;
        int result = queue_and_sleep(w, expected, MIN(deadline, now + away));
        if (result == -EAGAIN && away > AWAY_LEAST)
            return 0; /* it has changed meanwhile */
        if (result != -ETIMEDOUT)
            return result;
    }
}

static int64_t wait(uint64_t address, uint32_t expected, uint64_t deadline, uint32_t bitset)
{
    struct waiter w = {.thread = current(), .address = address, .bitset = bitset};
    if (!bitset)
        return -EINVAL;
    int result = coherent_covers(address) ? wait_for_others(&w, expected, deadline) : queue_and_sleep(&w, expected, deadline);
    if (result == -EINTR)
        return deadline == UINT64_MAX ? RESTART_SYS : RESTART_NOHAND;
    return result;
}

static int64_t requeue(uint64_t from, uint64_t to, int wake_count, int move_count,
                       const uint32_t *expected)
{
    struct bucket *a = bucket_of(from), *b = bucket_of(to);
    struct thread *woken[WAKE_BATCH];
    int moved = 0;
    if (wake_count < 0 || move_count < 0)
        return -EINVAL;
    lock_both(a, b);
    uint32_t value;
    int error = expected ? read_word(from, &value) : 0;
    if (!error && expected && value != *expected)
        error = -EAGAIN;
    if (error) {
        unlock_both(a, b);
        return error;
    }
    int n = take_waiters(a, from, FUTEX_BITSET_MATCH_ANY, wake_count, woken, WAKE_BATCH);
    struct list *head = waiters_of(a), *next;
    for (struct list *i = head->next; i != head && moved < move_count; i = next) {
        struct waiter *w = container_of(i, struct waiter, list);
        next = i->next;
        if (w->address != from || w->kind != WAITS_FOR_WAKE)
            continue;
        moved++;
        w->address = to;
        if (a != b) {
            list_remove(&w->list);
            list_append(waiters_of(b), &w->list);
            __atomic_store_n(&w->bucket, b, __ATOMIC_RELEASE);
        }
    }
    unlock_both(a, b);
    for (int i = 0; i < n; i++)
        thread_wake(woken[i]);
    if (n == WAKE_BATCH && wake_count > n)
        n += wake(from, wake_count - n, FUTEX_BITSET_MATCH_ANY);
    return n + moved;
}

/* An atomic change of the word at `address` as FUTEX_WAKE_OP encodes it; *old: before. The word is the
 * program's: other threads change it without any lock of ours. */
static int wake_operation(uint64_t address, uint32_t encoded, uint32_t *old)
{
    uint32_t operation = encoded >> 28 & 7, argument = encoded >> 12 & 0xfff;
    int result = read_word(address, old);
    if (result)
        return result;
    if (encoded >> 28 & 8)
        argument = 1u << (argument & 31);
    uint32_t new;
    do {
        switch (operation) {
        case FUTEX_OP_SET:
            new = argument;
            break;
        case FUTEX_OP_ADD:
            new = *old + argument;
            break;
        case FUTEX_OP_OR:
            new = *old | argument;
            break;
        case FUTEX_OP_ANDN:
            new = *old & ~argument;
            break;
        case FUTEX_OP_XOR:
            new = *old ^ argument;
            break;
        default:
            return -ENOSYS;
        }
        result = user_exchange((uint32_t *)address, old, new);
    } while (result == 0);
    return result < 0 ? result : 0;
}

static bool wake_comparison(uint32_t encoded, uint32_t old)
{
    int32_t a = (int32_t)old, b = (int32_t)(encoded << 20) >> 20;
    switch (encoded >> 24 & 15) {
    case FUTEX_OP_CMP_EQ:
        return a == b;
    case FUTEX_OP_CMP_NE:
        return a != b;
    case FUTEX_OP_CMP_LT:
        return a < b;
    case FUTEX_OP_CMP_LE:
        return a <= b;
    case FUTEX_OP_CMP_GT:
        return a > b;
    default:
        return a >= b;
    }
}

/*
 * Mutexes with priority inheritance: the word holds the owner's id, the kernel's part is to queue and to hand
 * over. There are no priorities here: the host schedules, and who waits longest comes first.
 */

/* With the bucket's lock held: who has waited longest for the lock, and whether others do too. */
static struct waiter *first_for_lock(struct bucket *b, uint64_t address, bool *more)
{
    struct waiter *found = NULL;
    *more = false;
    list_for_each(i, waiters_of(b)) {
        struct waiter *w = container_of(i, struct waiter, list);
        if (w->address != address || w->kind != WAITS_FOR_LOCK)
            continue;
        if (found) {
            *more = true;
            break;
        }
        found = w;
    }
    return found;
}

/* With the bucket's lock held: takes the lock for `tid` if nobody has it. 1: it has it; 0: another one has,
 * and the word says that someone waits where `mark`; -EDEADLK, -ESRCH, -EFAULT. */
static int lock_try_for(struct bucket *b, uint64_t address, int tid, bool mark)
{
    uint32_t value;
    bool more;
    int result = read_word(address, &value);
    while (!result) {
        uint32_t owner = value & FUTEX_TID_MASK, new;
        if (owner == (uint32_t)tid)
            return -EDEADLK;
        if (owner && !thread_find((int)owner)) {
            uint32_t before = value; /* unless it gave the lock up on its way out */
            result = read_word(address, &value);
            if (!result && value == before)
                return -ESRCH;
            continue;
        }
        if (owner && (!mark || (value & FUTEX_WAITERS)))
            return 0;
        if (owner)
            new = value | FUTEX_WAITERS;
        else
            new = (uint32_t)tid | (value & FUTEX_OWNER_DIED) |
                  (first_for_lock(b, address, &more) ? FUTEX_WAITERS : 0);
        result = user_exchange((uint32_t *)address, &value, new);
        if (result == 1)
            return owner ? 0 : 1;
    }
    return result;
}

/* The longest waiter for the lock becomes its owner, and is to be woken; NULL: nobody waits, the lock is
 * free. With the bucket's lock held; 0 or -errno. */
static int hand_over(struct bucket *b, uint64_t address, struct thread **woken)
{
    uint32_t value;
    bool more;
    struct waiter *w = first_for_lock(b, address, &more);
    int result = read_word(address, &value);
    if (result)
        return result;
    if ((value & FUTEX_TID_MASK) != (uint32_t)current()->tid)
        return -EPERM;
    uint32_t new = w ? (uint32_t)w->thread->tid | (more ? FUTEX_WAITERS : 0) : 0;
    while ((result = user_exchange((uint32_t *)address, &value, new)) == 0)
        if ((value & FUTEX_TID_MASK) != (uint32_t)current()->tid)
            return -EPERM;
    if (result < 0)
        return result;
    *woken = NULL;
    if (w) {
        *woken = w->thread;
        list_remove(&w->list);
        w->owner = true;
        __atomic_store_n(&w->queued, false, __ATOMIC_RELEASE); /* w may be gone from here on */
    }
    return 0;
}

static int64_t lock_pi(uint64_t address, uint64_t deadline, bool try)
{
    struct bucket *b = bucket_of(address);
    for (;;) {
        struct waiter w = {.thread = current(), .address = address, .kind = WAITS_FOR_LOCK};
        thread_sleep_prepare();
        lock_take(&b->lock);
        int result = lock_try_for(b, address, current()->tid, !try);
        if (!result && !try)
            enqueue(b, &w);
        lock_release(&b->lock);
        if (result)
            return result < 0 ? result : 0;
        if (try)
            return -EAGAIN;
        result = sleep_queued(&w, deadline);
        if (w.owner)
            return 0;
        if (result)
            return result == -EINTR ? RESTART_ALWAYS : result;
        /* The owner died: whoever is first takes it. */
    }
}

static int64_t unlock_pi(uint64_t address)
{
    struct bucket *b = bucket_of(address);
    struct thread *woken = NULL;
    lock_take(&b->lock);
    int result = hand_over(b, address, &woken);
    lock_release(&b->lock);
    if (woken)
        thread_wake(woken);
    return result;
}

/* Waits on `address` until a requeue has moved it to the mutex `target` and that is its own. */
static int64_t wait_requeue_pi(uint64_t address, uint32_t expected, uint64_t deadline, uint64_t target)
{
    struct waiter w = {.thread = current(), .address = address, .kind = WAITS_FOR_REQUEUE, .target = target};
    if (target % 4 || target == address)
        return -EINVAL;
    int result = queue_and_sleep(&w, expected, deadline);
    if (w.owner || result == -EAGAIN || result == -EFAULT)
        return w.owner ? 0 : result;
    if (result == -EINTR && w.kind == WAITS_FOR_REQUEUE)
        return -EAGAIN; /* as Linux has it: the condition is looked at again */
    if (result)
        return result == -EINTR ? -EAGAIN : result;
    return lock_pi(target, deadline, false); /* the owner died */
}

/* The first waiter gets the mutex if it is free; the others, as many as may, wait for it. */
static int64_t requeue_pi(uint64_t from, uint64_t to, int move_count, uint32_t expected)
{
    struct bucket *a = bucket_of(from), *b = bucket_of(to);
    struct thread *woken = NULL;
    uint32_t value;
    int count = 0;
    if (from == to || to % 4 || move_count < 0)
        return -EINVAL;
    lock_both(a, b);
    int error = read_word(from, &value);
    if (!error && value != expected)
        error = -EAGAIN;
    struct list *head = waiters_of(a), *next;
    for (struct list *i = head->next; !error && i != head && count <= move_count; i = next) {
        struct waiter *w = container_of(i, struct waiter, list);
        next = i->next;
        if (w->address != from)
            continue;
        if (w->kind != WAITS_FOR_REQUEUE || w->target != to) {
            error = -EINVAL;
            break;
        }
        int taken = lock_try_for(b, to, w->thread->tid, true);
        if (taken < 0) {
            error = taken;
            break;
        }
        count++;
        list_remove(&w->list);
        if (taken) {
            woken = w->thread;
            w->owner = true;
            __atomic_store_n(&w->queued, false, __ATOMIC_RELEASE);
            continue;
        }
        w->address = to;
        w->kind = WAITS_FOR_LOCK;
        list_append(waiters_of(b), &w->list);
        __atomic_store_n(&w->bucket, b, __ATOMIC_RELEASE);
    }
    unlock_both(a, b);
    if (woken)
        thread_wake(woken);
    return count ? count : error;
}

/* Wakes the first waiter of a mutex whose owner died, of whichever kind. */
static void wake_heir(uint64_t address)
{
    struct bucket *b = bucket_of(address);
    struct thread *woken = NULL;
    bool more;
    lock_take(&b->lock);
    struct waiter *w = first_for_lock(b, address, &more);
    if (w) {
        woken = w->thread;
        list_remove(&w->list);
        __atomic_store_n(&w->queued, false, __ATOMIC_RELEASE);
    }
    lock_release(&b->lock);
    if (woken)
        thread_wake(woken);
    else
        futex_wake(address, 1);
}

void futex_abandon(uint64_t address, int tid)
{
    uint32_t value;
    if (read_word(address, &value))
        return;
    int done = 0;
    while (!done && (value & FUTEX_TID_MASK) == (uint32_t)tid)
        done = user_exchange((uint32_t *)address, &value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    if (done == 1 && (value & FUTEX_WAITERS))
        wake_heir(address);
}

/* Absolute or relative, as the operation says; the result is on the monotonic clock. */
static int deadline_of(uint64_t user, int command, bool realtime, uint64_t *deadline)
{
    struct timespec t;
    *deadline = UINT64_MAX;
    if (!user)
        return 0;
    if (user_get(&t, (const void *)user))
        return -EFAULT;
    if (t.tv_sec < 0 || (uint64_t)t.tv_nsec >= 1000000000)
        return -EINVAL;
    uint64_t ns = (uint64_t)t.tv_sec > UINT64_MAX / 4000000000ull
                      ? UINT64_MAX / 4
                      : (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    uint64_t now = time_monotonic_ns();
    if (command == FUTEX_WAIT) {
        *deadline = now + ns;
    } else if (realtime) {
        uint64_t wall = time_realtime_ns();
        *deadline = ns > wall ? now + (ns - wall) : now;
    } else {
        *deadline = ns;
    }
    return 0;
}

SYSCALL(futex)
{
    int command = (int)a1 & FUTEX_CMD_MASK;
    bool realtime = a1 & FUTEX_CLOCK_REALTIME;
    uint32_t value = (uint32_t)a2;
    uint64_t deadline;
    int error;
    if (a0 % 4)
        return -EINVAL;
    switch (command) {
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
        error = deadline_of(a3, command, realtime || command == FUTEX_LOCK_PI, &deadline);
        return error ? error : lock_pi(a0, deadline, false);
    case FUTEX_TRYLOCK_PI:
        return lock_pi(a0, UINT64_MAX, true);
    case FUTEX_UNLOCK_PI:
        return unlock_pi(a0);
    case FUTEX_WAIT_REQUEUE_PI:
        error = deadline_of(a3, command, realtime, &deadline);
        return error ? error : wait_requeue_pi(a0, value, deadline, a4);
    case FUTEX_CMP_REQUEUE_PI:
        return value == 1 ? requeue_pi(a0, a4, (int)a3, (uint32_t)a5) : -EINVAL;
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        error = deadline_of(a3, command, realtime, &deadline);
        if (error)
            return error;
        return wait(a0, value, deadline,
                    command == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : (uint32_t)a5);
    case FUTEX_WAKE:
        return wake(a0, (int)value, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
        return a5 ? wake(a0, (int)value, (uint32_t)a5) : -EINVAL;
    case FUTEX_REQUEUE:
        return requeue(a0, a4, (int)value, (int)a3, NULL);
    case FUTEX_CMP_REQUEUE: {
        uint32_t expected = (uint32_t)a5;
        return requeue(a0, a4, (int)value, (int)a3, &expected);
    }
    case FUTEX_WAKE_OP: {
        uint32_t old;
        error = wake_operation(a4, (uint32_t)a5, &old);
        if (error)
            return error;
        int n = wake(a0, (int)value, FUTEX_BITSET_MATCH_ANY);
        if (wake_comparison((uint32_t)a5, old))
            n += wake(a4, (int)a3, FUTEX_BITSET_MATCH_ANY);
        return n;
    }
    }
    return -ENOSYS;
}

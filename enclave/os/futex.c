/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/futex.h"

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

/* A waiter lies on its thread's stack. `address` changes when it is requeued; NULL list: woken. */
struct waiter {
    struct list list;
    struct thread *thread;
    uint64_t address;
    uint32_t bitset;
    bool queued; /* guarded by the bucket's lock */
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
        if (w->address != address || !(w->bitset & bitset))
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

static int64_t wait(uint64_t address, uint32_t expected, uint64_t deadline, uint32_t bitset)
{
    struct waiter w = {.thread = current(), .address = address, .bitset = bitset, .queued = true};
    struct bucket *b = bucket_of(address);
    uint32_t value;
    if (!bitset)
        return -EINVAL;
    thread_sleep_prepare();
    lock_take(&b->lock);
    int error = read_word(address, &value);
    if (error || value != expected) {
        lock_release(&b->lock);
        return error ? error : -EAGAIN;
    }
    w.bucket = b;
    list_append(waiters_of(b), &w.list);
    lock_release(&b->lock);

    int result = 0;
    while (__atomic_load_n(&w.queued, __ATOMIC_ACQUIRE)) {
        uint64_t left = UINT64_MAX;
        if (deadline != UINT64_MAX) {
            uint64_t now = time_monotonic_ns();
            left = now < deadline ? deadline - now : 0;
        }
        result = left ? thread_sleep(left) : -ETIMEDOUT;
        if (result)
            break;
        if (__atomic_load_n(&w.queued, __ATOMIC_ACQUIRE))
            thread_sleep_prepare(); /* a wake of an earlier wait, late */
    }
    /* Off the queue, wherever a requeue has moved it; the bucket can change while we take its lock. */
    for (;;) {
        b = __atomic_load_n(&w.bucket, __ATOMIC_ACQUIRE);
        lock_take(&b->lock);
        if (b == w.bucket)
            break;
        lock_release(&b->lock);
    }
    bool woken = !w.queued;
    if (!woken)
        list_remove(&w.list);
    lock_release(&b->lock);
    if (woken)
        return 0;
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
        if (w->address != from)
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
    return expected ? n + moved : n + moved;
}

/* An atomic change of the word at `address` as FUTEX_WAKE_OP encodes it; *old: before. The word is the
 * program's: other threads change it without any lock of ours. */
static int wake_operation(uint64_t address, uint32_t encoded, uint32_t *old)
{
    uint32_t operation = encoded >> 28 & 7, argument = encoded >> 12 & 0xfff;
    int error = read_word(address, old);
    if (error)
        return error;
    if (encoded >> 28 & 8)
        argument = 1u << (argument & 31);
    uint32_t *word = (uint32_t *)address, new;
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
    } while (!__atomic_compare_exchange_n(word, old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return 0;
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

void futex_abandon(uint64_t address, int tid)
{
    uint32_t value;
    if (read_word(address, &value) || (value & FUTEX_TID_MASK) != (uint32_t)tid)
        return;
    uint32_t *word = (uint32_t *)address;
    uint32_t new;
    do {
        new = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    } while (!__atomic_compare_exchange_n(word, &value, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    if (value & FUTEX_WAITERS)
        futex_wake(address, 1);
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
    return -ENOSYS; /* priority inheritance is not there yet */
}

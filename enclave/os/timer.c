/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX timers. When one is due is decided here, by our clock where it is one that the TSC carries;
 * each has a timer of the host behind it, set to the next expiry, whose signal (SIGNAL_LOOK) makes us
 * look. The host's signal says nothing about which timer it was, and one that comes too early by our
 * clock is asked for again.
 */
#include "enclave/os/timer.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "abi/exits.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/time.h"

#define SECOND 1000000000ull
#define TIMERS_FIRST 8
#define TIMERS_MAX 4096
#define EARLY (SECOND / 5) /* the host's clock and ours agree to within this */

struct timer {
    bool used;
    bool waits;     /* its signal is in a queue */
    clockid_t clock; /* as the host knows it */
    int notify, signal, tid;
    uint64_t value;
    uint64_t next, interval; /* ns of its clock; next 0: not armed */
    uint64_t missed;         /* expiries since its signal was queued */
    int overrun;             /* of the signal that was delivered last */
    int host;                /* the host's timer, -1: none, only SIGEV_NONE asks its own clock */
};

static struct {
    struct lock lock;
    struct timer *table;
    uint32_t size, used;
} timers;

/* With the lock held: the timer of that id, NULL: none. */
static struct timer *find(uint64_t id)
{
    return (uint32_t)id < timers.size && timers.table[(uint32_t)id].used ? &timers.table[(uint32_t)id] : NULL;
}

static int grow(void)
{
    uint32_t size = timers.size ? timers.size * 2 : TIMERS_FIRST;
    if (size > TIMERS_MAX)
        return -EAGAIN;
    struct timer *table =
        alloc_resize(timers.table, timers.size * sizeof *table, size * sizeof *table);
    if (!table)
        return -EAGAIN;
    memset(table + timers.size, 0, (size - timers.size) * sizeof *table);
    timers.table = table;
    timers.size = size;
    return 0;
}

static uint64_t now_of(const struct timer *t)
{
    uint64_t ns;
    return time_clock(t->clock, &ns) ? 0 : ns;
}

/* Set the host's timer to the next expiry, or stop it. */
static int host_set(const struct timer *t, uint64_t now)
{
    struct itimerspec value = {0};
    if (t->host < 0)
        return 0;
    if (t->next) {
        uint64_t left = t->next > now ? t->next - now : 1;
        value.it_value = (struct timespec){(time_t)(left / SECOND), (long)(left % SECOND)};
    }
    return host_timer_settime(t->host, &value);
}

/* With the lock held: the expiries that are due, counted and told. */
static void expire(uint32_t id, struct timer *t, uint64_t now)
{
    uint64_t count = 1;
    if (t->interval) {
        count += (now - t->next) / t->interval;
        t->next += count * t->interval;
    } else {
        t->next = 0;
    }
    if (t->notify == SIGEV_NONE)
        return;
    if (t->waits) {
        t->missed += count;
        return;
    }
    struct signal_cause cause = {.code = SI_TIMER, .pid = (int32_t)id, .value = t->value};
    struct thread *to = t->notify == SIGEV_THREAD_ID ? thread_find(t->tid) : NULL;
    if (t->notify == SIGEV_THREAD_ID && !to)
        return; /* for a thread that has ended */
    t->missed = count - 1;
    t->waits = true;
    if (to ? signal_send_thread(to, t->signal, &cause) : signal_send_process(t->signal, &cause))
        t->waits = false;
}

void timers_look(void)
{
    lock_take(&timers.lock);
    for (uint32_t id = 0; id < timers.size && timers.used; id++) {
        struct timer *t = &timers.table[id];
        if (!t->used || !t->next || t->host < 0)
            continue;
        uint64_t now = now_of(t);
        if (now >= t->next) {
            expire(id, t, now);
            /* While its signal waits expiries are only counted: the program comes to run between them. */
            if (!t->waits)
                host_set(t, now);
        } else if (t->next - now < EARLY) {
            host_set(t, now);
        }
    }
    lock_release(&timers.lock);
}

bool timer_delivered(struct signal_cause *cause)
{
    lock_take(&timers.lock);
    struct timer *t = find((uint64_t)cause->pid);
    bool expected = t && t->waits;
    if (expected) {
        uint64_t now = t->interval ? now_of(t) : 0;
        if (t->interval && t->next && now >= t->next) {
            uint64_t count = 1 + (now - t->next) / t->interval;
            t->missed += count;
            t->next += count * t->interval;
        }
        if (t->next)
            host_set(t, now);
        t->overrun = (int)MIN(t->missed, INT32_MAX);
        t->missed = 0;
        t->waits = false;
        cause->uid = (uint32_t)t->overrun;
    }
    lock_release(&timers.lock);
    return expected;
}

void timers_forget(bool inherited)
{
    lock_take(&timers.lock);
    for (uint32_t id = 0; id < timers.size; id++)
        if (!inherited && timers.table[id].used && timers.table[id].host >= 0)
            host_timer_delete(timers.table[id].host);
    if (timers.size)
        memset(timers.table, 0, timers.size * sizeof *timers.table);
    timers.used = 0;
    lock_release(&timers.lock);
}

/* The clock as the host is to be asked for it. */
static int clock_of(clockid_t id, clockid_t *out)
{
    *out = id;
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
    case CLOCK_PROCESS_CPUTIME_ID:
        return 0;
    case CLOCK_THREAD_CPUTIME_ID: /* of this thread, whoever looks at it */
        return time_thread_clock(current()->tid, out);
    }
    return id < 0 ? time_cpu_clock(out) : -EINVAL;
}

SYSCALL(timer_create)
{
    struct sigevent event;
    struct timer new = {.used = true, .notify = SIGEV_SIGNAL, .signal = SIGALRM, .host = -1};
    UNUSED_ARGUMENTS;
    int error = clock_of((clockid_t)a0, &new.clock);
    if (error)
        return error;
    if (a1) {
        if (user_read(&event, (const void *)a1, sizeof event))
            return -EFAULT;
        new.notify = event.sigev_notify;
        new.signal = event.sigev_signo;
        new.value = (uint64_t)event.sigev_value.sival_ptr;
        new.tid = event._sigev_un._tid;
        if (new.notify != SIGEV_NONE && new.notify != SIGEV_SIGNAL && new.notify != SIGEV_THREAD_ID)
            return -EINVAL;
        if (new.notify != SIGEV_NONE && (new.signal < 1 || new.signal > SIGNAL_COUNT))
            return -EINVAL;
        if (new.notify == SIGEV_THREAD_ID && !thread_find(new.tid))
            return -EINVAL;
    }
    if (new.notify != SIGEV_NONE) {
        new.host = host_timer_create(new.clock);
        if (new.host < 0)
            return new.host;
    }
    lock_take(&timers.lock);
    uint32_t id = 0;
    while (id < timers.size && timers.table[id].used)
        id++;
    error = id < timers.size ? 0 : grow();
    if (!error) {
        if (!a1)
            new.value = id;
        timers.table[id] = new;
        timers.used++;
    }
    lock_release(&timers.lock);
    if (!error && !user_put((void *)a2, (int32_t *)&id))
        return 0;
    if (!error) {
        error = -EFAULT;
        lock_take(&timers.lock);
        timers.table[id].used = false;
        timers.used--;
        lock_release(&timers.lock);
    }
    if (new.host >= 0)
        host_timer_delete(new.host);
    return error;
}

static struct itimerspec setting(const struct timer *t)
{
    struct itimerspec out = {0};
    uint64_t now = now_of(t), next = t->next;
    /* Nobody counts the expiries without a signal, or while it waits. */
    if (next && next <= now && (t->notify == SIGEV_NONE || t->interval))
        next = t->interval ? next + ((now - next) / t->interval + 1) * t->interval : 0;
    if (next) {
        uint64_t left = next > now ? next - now : 1;
        out.it_value = (struct timespec){(time_t)(left / SECOND), (long)(left % SECOND)};
    }
    out.it_interval = (struct timespec){(time_t)(t->interval / SECOND), (long)(t->interval % SECOND)};
    return out;
}

SYSCALL(timer_gettime)
{
    struct itimerspec out;
    UNUSED_ARGUMENTS;
    lock_take(&timers.lock);
    struct timer *t = find(a0);
    if (t)
        out = setting(t);
    lock_release(&timers.lock);
    if (!t)
        return -EINVAL;
    return user_put((void *)a1, &out);
}

static bool nanoseconds(const struct timespec *t, uint64_t *ns)
{
    if (t->tv_sec < 0 || (uint64_t)t->tv_nsec >= SECOND)
        return false;
    *ns = (uint64_t)t->tv_sec > INT64_MAX / SECOND - 1 ? INT64_MAX
                                                       : (uint64_t)t->tv_sec * SECOND + (uint64_t)t->tv_nsec;
    return true;
}

SYSCALL(timer_settime)
{
    struct itimerspec new, old;
    uint64_t first, interval;
    UNUSED_ARGUMENTS;
    if (!a2)
        return -EINVAL;
    if (user_get(&new, (const void *)a2))
        return -EFAULT;
    if (!nanoseconds(&new.it_value, &first) || !nanoseconds(&new.it_interval, &interval))
        return -EINVAL;
    lock_take(&timers.lock);
    struct timer *t = find(a0);
    int error = t ? 0 : -EINVAL;
    if (t) {
        old = setting(t);
        uint64_t now = now_of(t);
        t->next = !first ? 0 : (int)a1 & TIMER_ABSTIME ? first : now + first;
        t->interval = first ? interval : 0;
        t->missed = 0;
        if (t->next && t->next <= now && t->notify != SIGEV_NONE)
            expire((uint32_t)a0, t, now);
        error = host_set(t, now);
    }
    lock_release(&timers.lock);
    if (error)
        return error;
    return a3 ? user_put((void *)a3, &old) : 0;
}

SYSCALL(timer_getoverrun)
{
    UNUSED_ARGUMENTS;
    lock_take(&timers.lock);
    struct timer *t = find(a0);
    int result = t ? t->overrun : -EINVAL;
    lock_release(&timers.lock);
    return result;
}

SYSCALL(timer_delete)
{
    UNUSED_ARGUMENTS;
    lock_take(&timers.lock);
    struct timer *t = find(a0);
    int host = t ? t->host : -1;
    if (t) {
        memset(t, 0, sizeof *t);
        timers.used--;
    }
    lock_release(&timers.lock);
    if (host >= 0)
        host_timer_delete(host);
    return t ? 0 : -EINVAL;
}

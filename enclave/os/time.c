/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time inside: a line through the TSC, laid through samples that the host gives. The first comes at start
 * with the host's estimate of the frequency; later ones, at first after 50 ms and then once a second of
 * use, measure it over the whole run. A sample never sets the clock back: where the line ran ahead of
 * the host, the next stretch runs slower until it has fallen in.
 */
#include "enclave/os/time.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#include <asm/unistd_64.h>

#include "abi/exits.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/io/extents.h"
#include "enclave/io/kick.h"
#include "enclave/io/segments.h"
#include "enclave/io/uring.h"
#include "enclave/io/windows.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/clock_data.h"
#include "enclave/os/memory.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"

#define SECOND 1000000000ull
#define FIRST_STRETCH (50 * SECOND / 1000)
#define DEFAULT_HZ 2000000000ull /* until anything is known */
#define HZ_LOW 100000000ull
#define HZ_HIGH 20000000000ull
#define SHIFT 32

static struct {
    struct lock lock;
    struct clock_data own;
    struct clock_data *shared; /* the page that the vDSO reads: the program's, so only written */
    uint64_t first_tsc, first_raw, first_monotonic;
    uint64_t hz;
    bool refined;
} line;

static void sample(struct clock_sample *s)
{
    uint64_t offset = bounce().address - arena_at(0).address, before = clock_tsc();
    exit_checked(EXIT_CLOCK, 0, 0, offset, 0, 0, 0, 0, 0);
    untrusted_read(s, bounce(), sizeof *s);
    /* The count must be of now: one from elsewhere would stop the clock, or ask for a sample each time. */
    if (s->tsc < before || s->tsc > clock_tsc())
        s->tsc = before;
}

/* a × b / c with the product whole; the largest value where the quotient does not fit. */
static uint64_t multiply_divide(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low, high, quotient, rest;
    __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(a), "r"(b) : "cc");
    if (high >= c)
        return UINT64_MAX;
    __asm__("divq %4" : "=a"(quotient), "=d"(rest) : "a"(low), "d"(high), "r"(c) : "cc");
    return quotient;
}

static void write_line(struct clock_data *d, const struct clock_data *new, uint32_t sequence)
{
    __atomic_store_n(&d->sequence, sequence | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    d->shift = new->shift;
    d->tsc = new->tsc;
    d->monotonic = new->monotonic;
    d->mult = new->mult;
    d->stale = new->stale;
    d->realtime = new->realtime;
    d->boottime = new->boottime;
    d->raw = new->raw;
    __atomic_store_n(&d->sequence, (sequence | 1) + 1, __ATOMIC_RELEASE);
}

static void publish(const struct clock_data *new)
{
    uint32_t sequence = line.own.sequence;
    write_line(&line.own, new, sequence);
    /* Not where the program has taken the page away. */
    if (line.shared && memory_allows((uint64_t)line.shared, sizeof *line.shared, PROT_WRITE))
        write_line(line.shared, new, sequence);
}

/* Frequency of the TSC against the monotonic clock, from the first sample to this one. */
static uint64_t frequency(const struct clock_sample *s)
{
    uint64_t counts = s->tsc - line.first_tsc, ns = s->monotonic_ns - line.first_monotonic;
    if (ns < FIRST_STRETCH / 2)
        return line.hz;
    uint64_t hz = multiply_divide(counts, SECOND, ns);
    return hz >= HZ_LOW && hz <= HZ_HIGH ? hz : line.hz;
}

/* With the lock held, when the line is older than its stretch. */
static void resample(void)
{
    struct clock_sample s;
    sample(&s);
    uint64_t hz = line.hz = frequency(&s);
    uint64_t stretch = line.refined ? SECOND : FIRST_STRETCH;
    line.refined = true;

    /* What the old line says at this count: readers may have seen it. */
    const struct clock_data *old = &line.own;
    uint64_t passed = s.tsc > old->tsc ? s.tsc - old->tsc : 0;
    uint64_t was = old->monotonic + (uint64_t)(((unsigned __int128)passed * old->mult) >> SHIFT);
    uint64_t now = s.monotonic_ns, start = MAX(now, was);
    /* Ahead of the host: run slower for a stretch, at most by a tenth. */
    uint64_t ahead = MIN(start - now, stretch / 10);
    struct clock_data new = {
        .shift = SHIFT,
        .tsc = s.tsc,
        .monotonic = start,
        .mult = multiply_divide((SECOND << SHIFT) / hz, stretch - ahead, stretch),
        .stale = multiply_divide(hz, stretch, SECOND),
        .realtime = (int64_t)(s.realtime_ns - now),
        .boottime = (int64_t)(s.boottime_ns - now),
        .raw = (int64_t)(s.raw_ns - now),
    };
    publish(&new);
    kick_start(hz / 1000);
    segments_start(hz / 1000);
    uring_start(hz / 1000);
    extents_start(hz / 1000);
    windows_start(hz / 1000);
}

void time_start(void)
{
    struct clock_sample s;
    sample(&s);
    line.first_tsc = s.tsc;
    line.first_raw = s.raw_ns;
    line.first_monotonic = s.monotonic_ns;
    line.hz = s.tsc_hz >= HZ_LOW && s.tsc_hz <= HZ_HIGH ? s.tsc_hz : DEFAULT_HZ;
    struct clock_data new = {
        .shift = SHIFT,
        .tsc = s.tsc,
        .monotonic = s.monotonic_ns,
        .mult = (SECOND << SHIFT) / line.hz,
        .stale = multiply_divide(line.hz, FIRST_STRETCH, SECOND),
        .realtime = (int64_t)(s.realtime_ns - s.monotonic_ns),
        .boottime = (int64_t)(s.boottime_ns - s.monotonic_ns),
        .raw = (int64_t)(s.raw_ns - s.monotonic_ns),
    };
    publish(&new);
    kick_start(line.hz / 1000);
    segments_start(line.hz / 1000);
    uring_start(line.hz / 1000);
    extents_start(line.hz / 1000);
    windows_start(line.hz / 1000);
}

void time_share(struct clock_data *shared)
{
    *shared = line.own;
    line.shared = shared;
}

void time_unshare(void)
{
    lock_take(&line.lock);
    line.shared = NULL;
    lock_release(&line.lock);
}

static uint64_t now(struct clock_data *copy)
{
    for (;;) {
        uint64_t ns = clock_read(&line.own, copy);
        if (ns)
            return ns;
        lock_take(&line.lock);
        if (!clock_read(&line.own, copy))
            resample();
        lock_release(&line.lock);
    }
}

uint64_t time_monotonic_ns(void)
{
    struct clock_data copy;
    return now(&copy);
}

uint64_t time_realtime_ns(void)
{
    struct clock_data copy;
    uint64_t ns = now(&copy);
    return ns + (uint64_t)copy.realtime;
}

uint64_t time_realtime_at(uint64_t tsc)
{
    struct clock_data copy;
    uint64_t latest = now(&copy), distance = tsc > copy.tsc ? tsc - copy.tsc : copy.tsc - tsc;
    uint64_t ns = (uint64_t)(((unsigned __int128)distance * copy.mult) >> copy.shift);
    uint64_t then = tsc > copy.tsc ? copy.monotonic + ns : copy.monotonic - MIN(ns, copy.monotonic);
    return MIN(then, latest) + (uint64_t)copy.realtime;
}

uint64_t time_tsc_per_ms(void)
{
    return line.hz / 1000;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)};
}

/* One of the clocks that the TSC carries. */
static bool carried(clockid_t id, uint64_t *ns)
{
    struct clock_data copy;
    uint64_t monotonic = now(&copy);
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *ns = monotonic + (uint64_t)copy.realtime;
        return true;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
        *ns = monotonic;
        return true;
    case CLOCK_BOOTTIME:
        *ns = monotonic + (uint64_t)copy.boottime;
        return true;
    case CLOCK_MONOTONIC_RAW:
        *ns = monotonic + (uint64_t)copy.raw;
        return true;
    }
    return false;
}

/* CPU clocks of a process or a thread are numbers made of its id (see pthread_getcpuclockid). */
#define CPU_CLOCK_THREAD 4
#define CPU_CLOCK_SCHEDULED 2
#define CPU_CLOCK_KIND 3
#define CPU_CLOCK_FIELDS 7

int time_thread_clock(int tid, clockid_t *out)
{
    struct thread *t = thread_find(tid);
    int host = t ? host_thread_id(t->index) : -ESRCH;
    if (host < 0)
        return -ESRCH;
    *out = (clockid_t)((~(uint32_t)host << 3) | CPU_CLOCK_THREAD | CPU_CLOCK_SCHEDULED);
    return 0;
}

int time_cpu_clock(clockid_t *id)
{
    if ((*id & CPU_CLOCK_KIND) > CPU_CLOCK_SCHEDULED)
        return -EINVAL;
    if (!(*id & CPU_CLOCK_THREAD))
        return 0;
    int tid = (int)~(*id >> 3), fields = *id & CPU_CLOCK_FIELDS;
    if (time_thread_clock(tid ? tid : current()->tid, id))
        return -EINVAL;
    *id = (*id & ~CPU_CLOCK_FIELDS) | fields;
    return 0;
}

/* Any clock of the program; those of descriptors are the host's. */
static int translate(clockid_t *id)
{
    return *id < 0 && (*id & CPU_CLOCK_KIND) <= CPU_CLOCK_SCHEDULED ? time_cpu_clock(id) : 0;
}

/* The process's and the thread's CPU clocks, TAI: the host's. `id` is as the host knows it. */
static int64_t host_clock(uint64_t number, clockid_t id, struct timespec *out)
{
    int64_t result = exit_checked(number, 0, 0, (uint64_t)(int64_t)id, bounce().address, 0, 0, 0, 0);
    if (!result)
        untrusted_read(out, bounce(), sizeof *out);
    return result;
}

int time_clock(clockid_t id, uint64_t *ns)
{
    struct timespec t;
    if (carried(id, ns))
        return 0;
    int64_t result = host_clock(__NR_clock_gettime, id, &t);
    if (!result)
        *ns = (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
    return (int)result;
}

SYSCALL(clock_gettime)
{
    uint64_t ns;
    struct timespec t;
    clockid_t id = (clockid_t)a0;
    if (carried(id, &ns)) {
        t = timespec_of(ns);
    } else {
        int64_t result = translate(&id);
        if (!result)
            result = host_clock(__NR_clock_gettime, id, &t);
        if (result)
            return result;
    }
    return user_put((void *)a1, &t);
}

SYSCALL(clock_getres)
{
    struct timespec t;
    clockid_t id = (clockid_t)a0;
    int64_t result = translate(&id);
    if (!result)
        result = host_clock(__NR_clock_getres, id, &t);
    if (result)
        return result;
    return a1 ? user_put((void *)a1, &t) : 0;
}

SYSCALL(gettimeofday)
{
    uint64_t ns = time_realtime_ns();
    struct timeval t = {.tv_sec = (time_t)(ns / SECOND), .tv_usec = (suseconds_t)(ns % SECOND / 1000)};
    struct timezone zone = {0};
    if (a0 && user_put((void *)a0, &t))
        return -EFAULT;
    return a1 ? user_put((void *)a1, &zone) : 0;
}

SYSCALL(time)
{
    int64_t seconds = (int64_t)(time_realtime_ns() / SECOND);
    if (a0 && user_put((void *)a0, &seconds))
        return -EFAULT;
    return seconds;
}

static int read_interval(uint64_t user, uint64_t *ns)
{
    struct timespec t;
    if (user_get(&t, (const void *)user))
        return -EFAULT;
    if (t.tv_sec < 0 || (uint64_t)t.tv_nsec >= SECOND)
        return -EINVAL;
    *ns = (uint64_t)t.tv_sec > INT64_MAX / SECOND ? INT64_MAX
                                                 : (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
    return 0;
}

/* Until a moment of the monotonic clock; `remainder`: user address for what is left, or 0. */
static int64_t sleep_until(uint64_t deadline, uint64_t remainder)
{
    bool restart;
    for (;;) {
        uint64_t at = time_monotonic_ns();
        if (at >= deadline)
            return 0;
        thread_sleep_prepare();
        if (thread_sleep(deadline - at) != -EINTR)
            continue;
        /* A signal that comes to nothing does not shorten the sleep. */
        signal_collect();
        if (!signal_deliverable(&restart))
            continue;
        at = time_monotonic_ns();
        struct timespec left = timespec_of(deadline > at ? deadline - at : 0);
        if (remainder && user_put((void *)remainder, &left))
            return -EFAULT;
        return -EINTR;
    }
}

SYSCALL(nanosleep)
{
    uint64_t ns;
    int error = read_interval(a0, &ns);
    return error ? error : sleep_until(time_monotonic_ns() + ns, a1);
}

SYSCALL(clock_nanosleep)
{
    uint64_t ns, at;
    int error = read_interval(a2, &ns);
    if (error)
        return error;
    if (!carried((clockid_t)a0, &at))
        return -EINVAL;
    if (!((int)a1 & TIMER_ABSTIME))
        return sleep_until(time_monotonic_ns() + ns, a3);
    return sleep_until(time_monotonic_ns() + (ns > at ? ns - at : 0), 0);
}

/* A struct of `size` bytes that the host fills, for the process as a whole. */
static int64_t host_struct(uint64_t number, uint64_t first, bool has_first, uint64_t user, size_t size)
{
    uint64_t at = bounce().address;
    int64_t result = exit_checked(number, 0, INT64_MAX, has_first ? first : at, has_first ? at : 0, 0, 0, 0, 0);
    if (result < 0 || !user)
        return result;
    if (user_range((void *)user, size) || untrusted_read((void *)user, bounce(), size))
        return -EFAULT;
    return result;
}

SYSCALL(getrusage)
{
    return host_struct(__NR_getrusage, a0, true, a1, 144);
}

SYSCALL(times)
{
    return host_struct(__NR_times, 0, false, a0, 32);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/poller.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/segments.h"
#include "host/thread.h"
#include "host/xsk.h"

#define MS 1000000ull
#define KICKING_PART 8        /* of the time, from which on it is worth a core */
#define SUSTAINED_NS (100 * MS) /* /proc/stat counts in hundredths of a second */
#define SPARE_PERCENT 75      /* of a core, that was idle */
#define NOTHING_NS (2 * MS)   /* without anything to send: it ends */
#define LOOK_MOST_NS 20000    /* of a look that finds nothing: if it took longer, the thread did not run */
#define LAST_LOOKS 128        /* when it ends: more than a TX ring holds */
#define JUDGED_NS (20 * MS)
#define TRIAL_NS (60 * MS)    /* after which it has to have been worth it: */
#define WORTH_PERCENT 125     /* of the packets a second that kicks have sent */
#define GOT_PERCENT 90        /* of the time that it wanted to run; less: somebody else needs the core */
#define AGAIN_NS (500 * MS)   /* before it is tried again; twice as long each time that it failed, */
#define FAILED_MOST 6         /* so often at most */
#define STAT_SIZE 65536

static struct {
    uint64_t since;      /* ns: kicks have taken much since then; 0: they do not */
    uint64_t idle;       /* ticks, then */
    uint32_t sent;       /* packets, then, and when it began */
    uint32_t rate;       /* a millisecond before it began */
    bool tried;          /* it is known to be worth it */
    uint64_t not_before; /* ns */
    unsigned failed;
    _Atomic uint64_t on_since; /* ns; 0: it is not on */
    uint64_t judged, judged_cpu; /* ns */
    uint64_t nothing; /* ns of looking in vain, in a row */
    _Atomic uint64_t times, served; /* the latter in ns */
} poller;

static bool on(void)
{
    return atomic_load_explicit(&poller.on_since, memory_order_relaxed);
}

/* ---- is a core spare? ---- */

uint64_t poller_idle_ticks(const char *stat, const unsigned char *allowed, unsigned cpus)
{
    uint64_t sum = 0;
    for (const char *line = stat; line; line = strchr(line, '\n')) {
        unsigned cpu;
        unsigned long idle, waiting;
        line += *line == '\n';
        if (sscanf(line, "cpu%u %*u %*u %*u %lu %lu", &cpu, &idle, &waiting) == 3 && cpu < cpus &&
            allowed[cpu / 8] >> cpu % 8 & 1)
            sum += idle + waiting;
    }
    return sum;
}

/* UINT64_MAX: it cannot be known, or there is only one core. */
static uint64_t idle_ticks(void)
{
    cpu_set_t allowed;
    uint64_t ticks = UINT64_MAX;
    char *text = malloc(STAT_SIZE);
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    ssize_t size = text && fd >= 0 ? read(fd, text, STAT_SIZE - 1) : -1;
    if (size > 0 && !sched_getaffinity(0, sizeof allowed, &allowed) && CPU_COUNT(&allowed) > 1) {
        text[size] = 0;
        ticks = poller_idle_ticks(text, (const unsigned char *)&allowed, CPU_SETSIZE);
    }
    if (fd >= 0)
        close(fd);
    free(text);
    return ticks;
}

static bool was_spare(uint64_t before, uint64_t passed_ns)
{
    uint64_t after = idle_ticks();
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    if (before == UINT64_MAX || after == UINT64_MAX || after < before)
        return false;
    return (after - before) * 1000 * MS / per_second * 100 >= passed_ns * SPARE_PERCENT;
}

/* ---- polling ---- */

static uint32_t sent(void)
{
    return xsk_host_sent() + segments_sent();
}

static uint32_t rate_since(uint32_t before, uint64_t ns)
{
    return ns < MS ? 0 : (uint32_t)((sent() - before) / (ns / MS));
}

static bool serve(void)
{
    bool any = xsk_host_serve();
    return segments_serve() || any;
}

static void begin(uint64_t now)
{
    atomic_store(&poller.on_since, now);
    poller.judged = now;
    poller.nothing = 0;
    poller.tried = false;
    poller.sent = sent();
    poller.judged_cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    atomic_fetch_add(&poller.times, 1);
    threads_served(true);
}

static void end(uint64_t now, bool failed)
{
    threads_served(false);
    atomic_thread_fence(memory_order_seq_cst);
    /* What comes now and is not seen is for the next look. */
    for (int i = 0; i < LAST_LOOKS && serve(); i++)
        continue;
    uint64_t was_on = now - atomic_exchange(&poller.on_since, 0);
    poller.since = 0;
    atomic_fetch_add(&poller.served, was_on);
    if (failed) {
        poller.not_before = now + (AGAIN_NS << poller.failed);
        poller.failed += poller.failed < FAILED_MOST;
    } else if (was_on > 1000 * MS) {
        poller.failed = 0;
    }
}

/* True: it has sent hardly more than kicks did, which is not worth a core. */
static bool useless(uint64_t now)
{
    uint64_t passed = now - atomic_load_explicit(&poller.on_since, memory_order_relaxed);
    if (poller.tried || passed < TRIAL_NS)
        return false;
    poller.tried = true;
    return (uint64_t)rate_since(poller.sent, passed) * 100 < (uint64_t)poller.rate * WORTH_PERCENT;
}

/* True: others need the core. */
static bool crowded(uint64_t now)
{
    if (now - poller.judged < JUDGED_NS)
        return false;
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    bool less = (cpu - poller.judged_cpu) * 100 < (now - poller.judged) * GOT_PERCENT;
    poller.judged = now;
    poller.judged_cpu = cpu;
    return less;
}

void poller_pause(long ns)
{
    if (!on()) {
        nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
        return;
    }
    uint64_t began = clock_ns(CLOCK_MONOTONIC), now = began;
    while (now - began < (uint64_t)ns) {
        uint64_t before = now;
        bool any = serve();
        now = clock_ns(CLOCK_MONOTONIC);
        uint64_t took = now - before; /* or who sends did not run either */
        poller.nothing = any ? 0 : poller.nothing + (took < LOOK_MOST_NS ? took : LOOK_MOST_NS);
        if (!any)
            __builtin_ia32_pause();
    }
    if (crowded(now) || useless(now))
        end(now, true);
    else if (poller.nothing >= NOTHING_NS)
        end(now, false);
}

/* Kicks have taken much since poller.since: is it time to begin, and is there a core for it? */
static void consider(uint64_t now)
{
    if (now < poller.not_before)
        return;
    if (!poller.since) {
        poller.since = now;
        poller.idle = idle_ticks();
        poller.sent = sent();
    } else if (now - poller.since >= SUSTAINED_NS) {
        poller.rate = rate_since(poller.sent, now - poller.since);
        if (was_spare(poller.idle, now - poller.since))
            begin(now);
        else
            poller.not_before = now + AGAIN_NS;
        poller.since = 0;
    }
}

bool poller_note(uint64_t kicking, uint64_t passed)
{
    if (!on() && kicking >= passed / KICKING_PART)
        consider(clock_ns(CLOCK_MONOTONIC));
    else if (!on())
        poller.since = 0;
    return on();
}

void poller_stop(void)
{
    if (on())
        end(clock_ns(CLOCK_MONOTONIC), false);
    poller.since = 0;
}

void poller_forked(void)
{
    memset(&poller, 0, sizeof poller); /* the slots are new, and say nothing */
}

uint64_t poller_times(void)
{
    return atomic_load(&poller.times);
}

uint64_t poller_ms(void)
{
    uint64_t began = atomic_load(&poller.on_since);
    return (atomic_load(&poller.served) + (began ? clock_ns(CLOCK_MONOTONIC) - began : 0)) / MS;
}

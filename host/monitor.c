/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The late kick: while the enclave sends fast it kicks for many packets at once, so what it put into a TX
 * ring after its last kick would stay there. This thread looks twice a millisecond; when there was no kick
 * of a ring since it last looked it transmits what is left there. Where kicks keep coming it does nothing: they
 * take everything with them, and it would only be in their way. It sleeps when they have stopped.
 *
 * It also writes what was gathered for files and not asked for since it last looked. And a thread that has put off what
 * only it can submit, and computes since, is interrupted before a millisecond has passed; so is one that waits elsewhere
 * while its io_uring has something to go on with. Where there are only such threads it looks less often: each
 * look is a wake-up, and they say since when they wait. Where a core is spare it polls between two looks (poller.h).
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "host/files.h"
#include "host/helper.h"
#include "host/host.h"
#include "host/poller.h"
#include "host/segments.h"
#include "host/thread.h"
#include "host/xsk.h"

#define LOOK_NS 500000
#define LOOK_RINGS_NS 850000 /* a millisecond less what a timer is late, and less RINGS_PART of itself */
#define RINGS_PART 16
#define QUIET_LOOKS 6 /* without a kick: then to sleep */

enum { KICKED = 1, ENTERED = 2 };

static struct {
    _Atomic uint32_t asleep; /* the futex */
    _Atomic uint32_t kicked; /* KICKED, ENTERED, since the last look */
    _Atomic uint64_t kicking; /* TSC that kicks took, since the last look */
    _Atomic uint32_t wanted; /* for files, since the last look */
    _Atomic bool end;
    pthread_mutex_t starting;
    bool started;
    pthread_t thread;
} monitor = {.starting = PTHREAD_MUTEX_INITIALIZER};

static void wake(void)
{
    atomic_store(&monitor.asleep, 0);
    syscall(SYS_futex, &monitor.asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void armed(uint32_t by)
{
    /* In this order, against the thread's: it sees the kick, or we see that it sleeps. */
    if (!(atomic_load(&monitor.kicked) & by))
        atomic_fetch_or(&monitor.kicked, by);
    if (atomic_load(&monitor.asleep))
        wake();
}

void monitor_armed(uint64_t tsc)
{
    atomic_fetch_add_explicit(&monitor.kicking, tsc, memory_order_relaxed);
    armed(KICKED);
}

void monitor_entered(void)
{
    armed(ENTERED);
}

void monitor_wanted(void)
{
    atomic_store(&monitor.wanted, 1);
    if (atomic_load(&monitor.asleep))
        wake();
}

static void sleep_until_kick(void)
{
    if (extents_unwatch())
        return;
    atomic_store(&monitor.asleep, 1);
    if (atomic_load(&monitor.kicked) || atomic_load(&monitor.wanted) || atomic_load(&monitor.end))
        atomic_store(&monitor.asleep, 0);
    while (atomic_load(&monitor.asleep))
        syscall(SYS_futex, &monitor.asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
}

static void *look(void *unused)
{
    int quiet = 0;
    bool often = true;
    prctl(PR_SET_NAME, "rakis-monitor");
    while (!atomic_load(&monitor.end)) {
        if (quiet == QUIET_LOOKS) {
            sleep_until_kick();
            quiet = 0;
        }
        uint64_t slept = __rdtsc();
        poller_pause(often ? LOOK_NS : LOOK_RINGS_NS);
        uint64_t now = __rdtsc();
        uint64_t kicking = atomic_exchange(&monitor.kicking, 0);
        bool polls = host.options && host.options->polling && poller_note(kicking, now - slept);
        bool watched = threads_remind(now - (now - slept) / RINGS_PART);
        /* Of several rings one may be kicked on and on while another is forgotten. */
        uint32_t kicked = atomic_exchange(&monitor.kicked, 0);
        bool wanted = atomic_exchange(&monitor.wanted, 0);
        wanted |= extents_look();
        xsk_host_flush();
        wanted |= !segments_flush();
        often = wanted || kicked & KICKED;
        quiet = often || watched || kicked || polls ? 0 : quiet + 1;
    }
    poller_stop();
    return unused;
}

static int start(void)
{
    atomic_store(&monitor.end, false);
    int error = helper_start(&monitor.thread, look);
    monitor.started = !error;
    return error;
}

int monitor_start(void)
{
    pthread_mutex_lock(&monitor.starting);
    int error = monitor.started ? 0 : start();
    pthread_mutex_unlock(&monitor.starting);
    return error;
}

void monitor_stop(void)
{
    if (!monitor.started)
        return;
    atomic_store(&monitor.end, true);
    wake();
    pthread_join(monitor.thread, NULL);
    monitor.started = false;
}

void monitor_forked(void)
{
    monitor.started = false;
    pthread_mutex_init(&monitor.starting, NULL);
    atomic_store(&monitor.asleep, 0);
    atomic_store(&monitor.kicked, 0);
    atomic_store(&monitor.wanted, 0);
    poller_forked();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/arena.h"

#define HOST_STACK_SIZE 0x20000

__thread struct host_thread *self;
static struct host_thread *table;
static _Atomic uint32_t started; /* areas from here on never had a thread */

/* Set by run.c before the first thread. */
struct start_parameters start_parameters __attribute__((aligned(64)));

int threads_start(void)
{
    table = calloc(host.image.threads, sizeof *table);
    if (!table)
        return -ENOMEM;
    for (uint32_t i = 0; i < host.image.threads; i++) {
        table[i].index = i;
        table[i].slot = (volatile struct exit_slot *)(host.arena + i * ARENA_THREAD_SIZE);
    }
    return 0;
}

void threads_forked(void)
{
    self = NULL;
    for (uint32_t i = 0; i < host.image.threads; i++) {
        struct host_thread *t = &table[i];
        volatile struct exit_slot *slot = t->slot;
        memset(t, 0, sizeof *t);
        t->index = i;
        t->slot = slot;
    }
}

struct host_thread *host_thread(uint32_t index)
{
    return index < host.image.threads ? &table[index] : NULL;
}

uint32_t threads_started(void)
{
    return atomic_load(&started);
}

/* Does its io_uring have something that it must come for? */
static bool ring_has_work(struct host_thread *t)
{
    struct pollfd ring = {.fd = atomic_load(&t->ring) - 1, .events = POLLIN};
    return poll(&ring, 1, 0) == 1 && ring.revents & POLLIN;
}

bool threads_remind(uint64_t before)
{
    bool watched = false;
    uint32_t count = atomic_load(&started);
    for (uint32_t i = 0; i < count; i++) {
        struct host_thread *t = &table[i];
        if (!atomic_load_explicit(&t->tid, memory_order_relaxed))
            continue;
        uint64_t deferred = t->slot->deferred;
        if (deferred == DEFERRED_NOTHING || atomic_load_explicit(&t->entering, memory_order_relaxed))
            continue;
        watched = true;
        if (t->slot->deferred_since < before && (deferred == DEFERRED_SUBMISSION || ring_has_work(t)))
            signal_interrupt(t);
    }
    return watched;
}

void threads_served(bool served)
{
    for (uint32_t i = 0; i < host.image.threads; i++)
        table[i].slot->served = served;
}

static uint64_t tcs_offset(const struct host_thread *t)
{
    return host.image.threads_offset + t->index * THREAD_AREA_SIZE + THREAD_TCS;
}

static void exception(void *context, uint64_t tcs)
{
    (void)context;
    struct machine_entry entry = {.rdi = EVENT_EXCEPTION};
    if (host.options->platform->enter(host.image.machine, tcs, &entry) == 0 && entry.rdi == ENTRY_REFUSED) {
        static const char message[] = "rakis: the enclave faulted where it cannot handle it: a defect of its start\n";
        (void)!write(STDERR_FILENO, message, sizeof message - 1);
        process_end(SIGABRT);
    }
}

static void retry_timer_make(struct host_thread *t)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGNAL_LOOK};
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    t->retry_made = !timer_create(CLOCK_MONOTONIC, &event, &t->retry);
}

static void loop(struct host_thread *t)
{
    const struct platform *platform = host.options->platform;
    const void *block = (const void *)(host.image.base + tcs_offset(t) - THREAD_TCS + THREAD_BLOCK);
    struct machine_entry entry = {.rdi = EVENT_NONE, .rsi = (uint64_t)&start_parameters};
    for (;;) {
        atomic_store(&t->phase, PHASE_ENTERING);
        t->slot->signals = atomic_exchange(&t->pending, 0);
        int error = platform->enter(host.image.machine, tcs_offset(t), &entry);
        atomic_store(&t->phase, PHASE_OUTSIDE);
        if (error || entry.rdi) {
            fprintf(stderr, "rakis: thread %u cannot enter the enclave: %s\n", t->index,
                    error ? strerror(-error) : "the enclave refuses it");
            process_end(SIGABRT);
        }
        uint64_t number = t->slot->number;
        if (number == EXIT_THREAD_END) {
            __atomic_fetch_add(&host.exit_counts[number], 1, __ATOMIC_RELAXED);
            return;
        }
        uint64_t argument[EXIT_ARGUMENTS];
        for (int i = 0; i < EXIT_ARGUMENTS; i++)
            argument[i] = t->slot->argument[i];
        t->slot->result = (uint64_t)exit_serve_framed(t, number, t->slot->flags, argument, block);
        entry = (struct machine_entry){.rdi = EVENT_NONE};
    }
}

static void *thread_main(void *context)
{
    struct host_thread *t = context;
    self = t;
    atomic_store(&t->tid, (int)syscall(SYS_gettid));
    retry_timer_make(t);
    int error = host.options->platform->thread_start(host.image.machine, exception, t);
    if (error) {
        fprintf(stderr, "rakis: cannot prepare thread %u: %s\n", t->index, strerror(-error));
        process_end(SIGABRT);
    }
    sigset_t masked;
    sigemptyset(&masked);
    if (t->background) {
        sigfillset(&masked);
        sigdelset(&masked, SIGNAL_LOOK);
    }
    pthread_sigmask(SIG_SETMASK, &masked, NULL);
    loop(t);
    sigset_t all;
    sigfillset(&all);
    host.options->platform->thread_settle(host.image.machine);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (t->retry_made)
        timer_delete(t->retry);
    host.options->platform->thread_end(host.image.machine);
    atomic_store(&t->tid, 0);
    atomic_store(&t->pending, 0);
    atomic_store(&t->kicked, 0);
    atomic_store(&t->park, 0);
    atomic_store(&t->busy, 0);
    syscall(SYS_futex, &t->busy, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return NULL;
}

int thread_run(uint32_t index, bool background)
{
    struct host_thread *t = host_thread(index);
    if (!t)
        return -EINVAL;
    /* The enclave freed the area; its last host thread may still be on its way out. */
    uint32_t idle = 0;
    while (!atomic_compare_exchange_strong(&t->busy, &idle, 1)) {
        syscall(SYS_futex, &t->busy, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
        idle = 0;
    }
    t->background = background;
    uint32_t before = atomic_load(&started);
    while (before <= index && !atomic_compare_exchange_weak(&started, &before, index + 1))
        ;
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, HOST_STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    host.options->platform->thread_settle(host.image.machine);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* a signal finds the thread only once it is prepared */
    int error = pthread_create(&thread, &attributes, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (error)
        atomic_store(&t->busy, 0);
    return error ? -EAGAIN : 0;
}

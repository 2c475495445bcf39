/* SPDX-License-Identifier: Apache-2.0 */
/* What the enclave asks for, done. */
#include <cpuid.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "abi/syscall_names.h"
#include "host/clock.h"
#include "host/common.h"
#include "host/files.h"
#include "host/law4.h"
#include "host/mapped.h"
#include "host/neighbours.h"
#include "host/plain_syscall.h"
#include "host/segments.h"
#include "host/symbols.h"
#include "host/thread.h"
#include "host/title.h"
#include "host/uring.h"
#include "host/xsk.h"

static const char *const names[] = {
#define NAME(name) [EXIT_##name - EXIT_BASE] = #name,
    EXIT_LIST(NAME)
#undef NAME
};

const char *exit_name(uint64_t number)
{
    if (number >= EXIT_BASE && number < EXIT_END_)
        return names[number - EXIT_BASE];
    if (number < sizeof syscall_names / sizeof *syscall_names && syscall_names[number])
        return syscall_names[number];
    return "unknown";
}

static int64_t serve_park(struct host_thread *t, uint64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000)};
    for (;;) {
        if (atomic_exchange(&t->park, 0))
            return 0;
        const uint64_t argument[] = {(uint64_t)&t->park, FUTEX_WAIT_PRIVATE, 0,
                                     timeout_ns == UINT64_MAX ? 0 : (uint64_t)&timeout, 0, 0};
        int64_t result = interruptible_syscall(argument, SYS_futex, &t->kicked);
        if (result == -EINTR)
            atomic_store(&t->kicked, 0);
        if (result == -EINTR || result == -ETIMEDOUT)
            return result;
        /* Woken or a race: with a timeout the enclave looks at the clock itself. */
        if (timeout_ns != UINT64_MAX) {
            atomic_store(&t->park, 0);
            return 0;
        }
    }
}

static int64_t serve_unpark(uint64_t index)
{
    struct host_thread *t = host_thread((uint32_t)index);
    if (!t)
        return -EINVAL;
    atomic_store(&t->park, 1);
    syscall(SYS_futex, &t->park, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return 0;
}

static struct {
    uint64_t tsc, raw;
} epoch;

/* As early as possible: the longer the baseline, the better the frequency. */
__attribute__((constructor)) static void epoch_start(void)
{
    epoch.raw = clock_ns(CLOCK_MONOTONIC_RAW);
    epoch.tsc = __rdtsc();
}

static int64_t serve_clock(uint64_t offset)
{
    struct clock_sample *out = arena_place(offset, sizeof *out);
    if (!out)
        return -EFAULT;
    struct clock_sample best = {0};
    uint64_t narrowest = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        uint64_t before = __rdtsc();
        struct clock_sample now = {.monotonic_ns = clock_ns(CLOCK_MONOTONIC)};
        uint64_t after = __rdtsc();
        if (after - before >= narrowest)
            continue;
        narrowest = after - before;
        now.tsc = before + (after - before) / 2;
        /* The other clocks tick with this one: their distance to it is what is asked. */
        uint64_t base = clock_ns(CLOCK_MONOTONIC);
        now.realtime_ns = clock_ns(CLOCK_REALTIME) - base + now.monotonic_ns;
        base = clock_ns(CLOCK_MONOTONIC);
        now.boottime_ns = clock_ns(CLOCK_BOOTTIME) - base + now.monotonic_ns;
        base = clock_ns(CLOCK_MONOTONIC);
        now.raw_ns = clock_ns(CLOCK_MONOTONIC_RAW) - base + now.monotonic_ns;
        best = now;
    }
    if (best.raw_ns > epoch.raw + 1000000)
        best.tsc_hz = (uint64_t)((double)(best.tsc - epoch.tsc) * 1e9 / (double)(best.raw_ns - epoch.raw));
    memcpy(out, &best, sizeof best);
    return 0;
}

static int64_t serve_log(uint64_t level, uint64_t offset, uint64_t length)
{
    const char *line = arena_place(offset, length);
    if (!line)
        return -EFAULT;
    static const char *const prefix[] = {"", "", "", "debug: ", "trace: "};
    fprintf(stderr, "rakis: %s%.*s\n", level < 5 ? prefix[level] : "", (int)length, line);
    return 0;
}

static int64_t serve_cpuid(uint64_t leaf, uint64_t subleaf, uint64_t offset)
{
    uint64_t *out = arena_place(offset, 4 * sizeof *out);
    uint32_t a, b, c, d;
    if (!out)
        return -EFAULT;
    __cpuid_count((uint32_t)leaf, (uint32_t)subleaf, a, b, c, d);
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
    return 0;
}

static int64_t serve_xsk_open(uint64_t offset)
{
    struct xsk_setup setup, *shared = arena_place(offset, sizeof setup);
    if (!shared)
        return -EFAULT;
    memcpy(&setup, shared, sizeof setup);
    int64_t result = xsk_host_open(&setup);
    memcpy(shared, &setup, sizeof setup);
    return result;
}

static int64_t serve_xsk_wait(struct host_thread *t, uint64_t xsks)
{
    struct pollfd wait[64];
    size_t count = xsk_host_pollfds(xsks, wait);
    const uint64_t argument[] = {(uint64_t)wait, count, 0, 0, 0, 0};
    xsk_host_drive(wait, count);
    int64_t result = interruptible_syscall(argument, SYS_ppoll, &t->kicked);
    if (result == -EINTR)
        atomic_store(&t->kicked, 0);
    return result > 0 ? 0 : result;
}

static int64_t serve_uring_open(uint64_t offset)
{
    struct uring_setup setup, *shared = arena_place(offset, sizeof setup);
    if (!shared)
        return -EFAULT;
    memcpy(&setup, shared, sizeof setup);
    int64_t result = monitor_start();
    if (!result)
        result = uring_open(&setup);
    memcpy(shared, &setup, sizeof setup);
    return result;
}

static int64_t serve_interfaces(uint64_t offset, uint64_t size)
{
    struct interface_list list = {0}, *shared = arena_place(offset, sizeof list);
    if (!shared || size < sizeof list)
        return -EFAULT;
    int error = netinfo_interfaces(host.options->interfaces, host.options->interface_count, &list);
    for (uint64_t i = 0; i < list.count; i++)
        list.interface[i].queues = xsk_host_queues(list.interface[i].index, list.interface[i].queues);
    memcpy(shared, &list, sizeof list);
    return error;
}

static int64_t serve_route(uint64_t offset)
{
    struct route_query query, *shared = arena_place(offset, sizeof query);
    if (!shared)
        return -EFAULT;
    memcpy(&query, shared, sizeof query);
    int error = netinfo_route(&query);
    memcpy(shared, &query, sizeof query);
    return error;
}

static int64_t serve_port(int operation, uint64_t offset)
{
    struct port_key key, *shared = arena_place(offset, sizeof key);
    if (!shared)
        return -EFAULT;
    memcpy(&key, shared, sizeof key);
    return port_steer(operation, &key);
}

static int64_t serve_neighbour(uint64_t interface_index, uint64_t offset, uint64_t length)
{
    const uint8_t *frame = arena_place(offset, length);
    if (!frame)
        return -EFAULT;
    if (xsk_host_takes_all(interface_index))
        neighbours_take((unsigned)interface_index, frame, length);
    return 0;
}

static int64_t serve_sites(int fd, uint64_t offset, uint64_t size)
{
    void *out = arena_place(offset, size);
    return out ? sites_of_file(fd, out, size) : -EFAULT;
}

static int64_t serve_frame(const uint64_t a[EXIT_ARGUMENTS])
{
    const char *path = arena_place(a[2], a[3]);
    if (!path)
        return -EFAULT;
    frame_print((uint32_t)a[0], (int)(a[0] >> 32), host.image.base + a[1], path, a[3], a[4]);
    return 0;
}

static int64_t serve_title(uint64_t offset, uint64_t name_size, uint64_t size)
{
    char name[32] = "";
    const char *text = arena_place(offset, name_size), *arguments = arena_place(offset + name_size, size);
    if (!text || !arguments)
        return -EFAULT;
    memcpy(name, text, name_size < sizeof name ? name_size : sizeof name - 1);
    title_set(name, arguments, size);
    return 0;
}

static int64_t serve_fork(uint64_t offset)
{
    uint64_t *out = arena_place(offset, 2 * sizeof *out);
    int fds[2];
    if (!out)
        return -EFAULT;
    int64_t pid = host_fork(fds);
    if (pid > 0) {
        out[0] = (uint64_t)fds[0];
        out[1] = (uint64_t)fds[1];
    }
    return pid;
}

static int64_t serve_own(struct host_thread *t, uint64_t number, const uint64_t a[EXIT_ARGUMENTS])
{
    switch (number) {
    case EXIT_THREAD_START:
        return thread_run((uint32_t)a[0], a[1] == 1);
    case EXIT_PROCESS_END:
        process_end((int)a[0]);
    case EXIT_PARK:
        return serve_park(t, a[0]);
    case EXIT_UNPARK:
        return serve_unpark(a[0]);
    case EXIT_INTERRUPT: {
        struct host_thread *other = host_thread((uint32_t)a[0]);
        if (other)
            signal_interrupt(other);
        return other ? 0 : -EINVAL;
    }
    case EXIT_PAGES:
        if (a[0] == PAGES_UNMAP)
            mapped_remove(a[1], a[2]);
        return host.options->platform->pages(host.image.machine, (int)a[0], a[1], a[2], (int)a[3], a[4]);
    case EXIT_CLOCK:
        return serve_clock(a[0]);
    case EXIT_SITES:
        mapped_add((int)a[0], a[3], a[4], a[5]);
        return serve_sites((int)a[0], a[1], a[2]);
    case EXIT_CPUID:
        return serve_cpuid(a[0], a[1], a[2]);
    case EXIT_LOG:
        return serve_log(a[0], a[1], a[2]);
    case EXIT_INTERFACES:
        return serve_interfaces(a[0], a[1]);
    case EXIT_ROUTE:
        return serve_route(a[0]);
    case EXIT_XSK_OPEN:
        return serve_xsk_open(a[0]);
    case EXIT_PORT:
        return serve_port((int)a[0], a[1]);
    case EXIT_NEIGHBOUR:
        return serve_neighbour(a[0], a[1], a[2]);
    case EXIT_THREAD_AREA:
        if (!host_thread((uint32_t)a[0]))
            return -EINVAL;
        return host.options->platform->thread_page(
            host.image.machine, host.image.threads_offset + a[0] * THREAD_AREA_SIZE + THREAD_TCS);
    case EXIT_FRAME:
        return serve_frame(a);
    case EXIT_THREAD_ID: {
        struct host_thread *other = host_thread((uint32_t)a[0]);
        int tid = other ? atomic_load(&other->tid) : 0;
        return tid ? tid : -ESRCH;
    }
    case EXIT_XSK_KICK:
        return xsk_host_kick(a[0], a[1]);
    case EXIT_XSK_WAIT:
        return serve_xsk_wait(t, a[0]);
    case EXIT_URING_OPEN:
        return serve_uring_open(a[0]);
    case EXIT_SEGMENTS_OPEN:
        return segments_open(a[0], a[1]);
    case EXIT_SEGMENTS_SEND:
        return segments_send(a[0], a[1]);
    case EXIT_FILE_FACTS:
        return file_facts((int)a[0], a[1]);
    case EXIT_FILE_SIZE:
        return file_size((int)a[0]);
    case EXIT_FILE_MOVE:
        return file_move((int)a[0], a[1], (int64_t)a[2]);
    case EXIT_FILE_MAP:
        return file_map(a[0], a[1], a[2], a[3], a[4]);
    case EXIT_EXTENT_OPEN:
        return extents_open(a[0], a[1]);
    case EXIT_EXTENT_WRITE:
        return extents_write(a[0]);
    case EXIT_FORK:
        return serve_fork(a[0]);
    case EXIT_SIGNAL:
        return signal_way((int)a[0], (int)a[1], (int)a[2]);
    case EXIT_COMMON:
        return common_host(a);
    case EXIT_STOP:
        return signal_stop((int)a[0]);
    case EXIT_TITLE:
        return serve_title(a[0], a[1], a[2]);
    }
    return -ENOSYS;
}

static bool changes_identity(uint64_t number)
{
    switch (number) {
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setgroups:
        return true;
    }
    return false;
}

static int64_t serve_linux(struct host_thread *t, uint64_t number, uint64_t flags,
                           const uint64_t argument[EXIT_ARGUMENTS])
{
    if (number == SYS_close)
        uring_closed((int)argument[0]);
    else if (number == SYS_io_uring_enter)
        monitor_entered();
    else if (number == SYS_ppoll)
        xsk_host_drive((const struct pollfd *)argument[0], argument[1]);
    atomic_store_explicit(&t->entering, number == SYS_io_uring_enter, memory_order_relaxed);
    if (flags & EXIT_INTERRUPTIBLE) {
        int64_t result = interruptible_syscall(argument, number, &t->kicked);
        if (result == -EINTR)
            atomic_store(&t->kicked, 0);
        atomic_store_explicit(&t->entering, false, memory_order_relaxed);
        return result;
    }
    int64_t result = plain_syscall(number, argument);
    atomic_store_explicit(&t->entering, false, memory_order_relaxed);
    if (!result && changes_identity(number))
        identity_changed();
    return result;
}

int64_t exit_serve(struct host_thread *t, uint64_t number, uint64_t flags,
                   const uint64_t argument[EXIT_ARGUMENTS])
{
    const char *wrong = law4_check(&host, number, argument);
    if (number == SYS_io_uring_enter && !wrong)
        wrong = uring_check((int)argument[0]);
    if (wrong) {
        fprintf(stderr, "rakis: exit %s hands out an address inside the enclave: %s\n",
                exit_name(number), wrong);
        process_end(SIGABRT);
    }
    if (number < EXIT_END_)
        __atomic_fetch_add(&host.exit_counts[number], 1, __ATOMIC_RELAXED);
    if (flags & EXIT_FLUSH) {
        xsk_host_kick_all();
        segments_send_all();
    }
    if (number >= EXIT_BASE)
        return serve_own(t, number, argument);
    if (!(flags & EXIT_TERMINAL_SIGNALS_BLOCKED))
        return serve_linux(t, number, flags, argument);
    sigset_t terminal;
    sigemptyset(&terminal);
    sigaddset(&terminal, SIGTTIN);
    sigaddset(&terminal, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &terminal, NULL);
    int64_t result = serve_linux(t, number, flags, argument);
    pthread_sigmask(SIG_UNBLOCK, &terminal, NULL);
    return result;
}

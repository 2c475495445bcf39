/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vDSO: code of ours that the program calls as its own. Reads the clock page before it; what that
 * cannot answer becomes a system call by the way of rewritten sites.
 */
#include <asm/unistd_64.h>
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "enclave/os/clock_data.h"

#define EXPORT __attribute__((visibility("default")))

struct timeval_ {
    long seconds, microseconds;
};

/* The page before the image, by the linker script. */
extern const volatile struct clock_data clock_page __attribute__((visibility("hidden")));

static long call(long number, const void *a, const void *b, const void *c)
{
    long result;
    __asm__ volatile("leaq 1f(%%rip), %%rcx\n\tjmp *%%gs:8\n1:"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static int read_clock(clockid_t clock, uint64_t *ns)
{
    struct clock_data d;
    uint64_t now = clock_read(&clock_page, &d);
    if (!now)
        return 0;
    switch (clock) {
    case CLOCK_REALTIME:
        *ns = now + (uint64_t)d.realtime;
        return 1;
    case CLOCK_MONOTONIC:
        *ns = now;
        return 1;
    case CLOCK_BOOTTIME:
        *ns = now + (uint64_t)d.boottime;
        return 1;
    case CLOCK_MONOTONIC_RAW:
        *ns = now + (uint64_t)d.raw;
        return 1;
    /* The coarse ones may be as fine as we like. */
    case CLOCK_REALTIME_COARSE:
        *ns = now + (uint64_t)d.realtime;
        return 1;
    case CLOCK_MONOTONIC_COARSE:
        *ns = now;
        return 1;
    }
    return 0;
}

EXPORT int __vdso_clock_gettime(clockid_t clock, struct timespec *out);
EXPORT int __vdso_gettimeofday(struct timeval_ *out, void *zone);
EXPORT time_t __vdso_time(time_t *out);
EXPORT int __vdso_clock_getres(clockid_t clock, struct timespec *out);
EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

int __vdso_clock_gettime(clockid_t clock, struct timespec *out)
{
    uint64_t ns;
    if (!read_clock(clock, &ns))
        return (int)call(__NR_clock_gettime, (const void *)(long)clock, out, NULL);
    out->tv_sec = (time_t)(ns / 1000000000);
    out->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

int __vdso_gettimeofday(struct timeval_ *out, void *zone)
{
    uint64_t ns;
    if (zone || !read_clock(CLOCK_REALTIME, &ns))
        return (int)call(__NR_gettimeofday, out, zone, NULL);
    if (out) {
        out->seconds = (long)(ns / 1000000000);
        out->microseconds = (long)(ns % 1000000000 / 1000);
    }
    return 0;
}

time_t __vdso_time(time_t *out)
{
    uint64_t ns;
    if (!read_clock(CLOCK_REALTIME, &ns))
        return call(__NR_time, out, NULL, NULL);
    time_t now = (time_t)(ns / 1000000000);
    if (out)
        *out = now;
    return now;
}

int __vdso_clock_getres(clockid_t clock, struct timespec *out)
{
    return (int)call(__NR_clock_getres, (const void *)(long)clock, out, NULL);
}

long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
    return call(__NR_getcpu, cpu, node, unused);
}

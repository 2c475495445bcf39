/* SPDX-License-Identifier: Apache-2.0 */
/* Where and how urgently threads run: the host schedules them, and knows them by ids of its own. */
#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/resource.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/process.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"

#define AFFINITY_BYTES 128
#define ATTRIBUTES_LEAST 48 /* bytes of the first version of struct sched_attr */
#define ATTRIBUTES_MAX 256  /* and those that are looked at */

/* The host's name of a thread of ours: 0 stands for the calling one. -ESRCH: no such thread. */
static int64_t host_name(uint64_t tid)
{
    if (!(int)tid || (int)tid == current()->tid)
        return 0;
    struct thread *t = thread_find((int)tid);
    return t ? host_thread_id(t->index) : -ESRCH;
}

/* The same where the name may be another process's. */
static int64_t host_name_or_other(uint64_t tid)
{
    int64_t name = host_name(tid);
    return name == -ESRCH ? (int64_t)(int)tid : name;
}

SYSCALL(sched_getaffinity)
{
    int64_t name = host_name(a0);
    UNUSED_ARGUMENTS;
    if (name < 0)
        return name;
    uint64_t size = MIN(a1, AFFINITY_BYTES);
    int64_t result = exit_checked(__NR_sched_getaffinity, 0, size, (uint64_t)name, size, bounce().address, 0, 0, 0);
    if (result <= 0)
        return result;
    uint8_t mask[AFFINITY_BYTES];
    untrusted_read(mask, bounce(), (size_t)result);
    return user_write((void *)a2, mask, (size_t)result) ? -EFAULT : result;
}

SYSCALL(sched_setaffinity)
{
    uint8_t mask[AFFINITY_BYTES];
    int64_t name = host_name(a0);
    UNUSED_ARGUMENTS;
    if (name < 0)
        return name;
    uint64_t size = MIN(a1, AFFINITY_BYTES);
    if (user_read(mask, (const void *)a2, size))
        return -EFAULT;
    untrusted_write(bounce(), mask, size);
    return exit_checked(__NR_sched_setaffinity, 0, 0, (uint64_t)name, size, bounce().address, 0, 0, 0);
}

SYSCALL(sched_yield)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_sched_yield, 0, 0, 0, 0, 0, 0, 0, 0);
}

SYSCALL(sched_getscheduler)
{
    int64_t name = host_name(a0);
    UNUSED_ARGUMENTS;
    if (name < 0)
        return name;
    return exit_checked(__NR_sched_getscheduler, 0, INT32_MAX, (uint64_t)name, 0, 0, 0, 0, 0);
}

/* A struct that the host fills in for a thread. */
static int64_t get_struct(uint64_t number, uint64_t tid, uint64_t user, void *copy, size_t size)
{
    int64_t name = host_name(tid);
    if (name < 0)
        return name;
    int64_t result = exit_checked(number, 0, 0, (uint64_t)name, bounce().address, 0, 0, 0, 0);
    if (result)
        return result;
    untrusted_read(copy, bounce(), size);
    return user_write((void *)user, copy, size);
}

SYSCALL(sched_getparam)
{
    struct sched_param parameters;
    UNUSED_ARGUMENTS;
    return get_struct(__NR_sched_getparam, a0, a1, &parameters, sizeof parameters);
}

SYSCALL(sched_rr_get_interval)
{
    struct timespec interval;
    UNUSED_ARGUMENTS;
    return get_struct(__NR_sched_rr_get_interval, a0, a1, &interval, sizeof interval);
}

static int64_t set_scheduler(uint64_t number, uint64_t tid, uint64_t policy, uint64_t user)
{
    struct sched_param parameters;
    int64_t name = host_name(tid);
    if (name < 0)
        return name;
    if (user_get(&parameters, (const void *)user))
        return -EFAULT;
    untrusted_write(bounce(), &parameters, sizeof parameters);
    uint64_t at = bounce().address;
    return exit_checked(number, 0, 0, (uint64_t)name, number == __NR_sched_setscheduler ? policy : at, at, 0, 0,
                        0);
}

SYSCALL(sched_setscheduler)
{
    UNUSED_ARGUMENTS;
    return set_scheduler(__NR_sched_setscheduler, a0, a1, a2);
}

SYSCALL(sched_setparam)
{
    UNUSED_ARGUMENTS;
    return set_scheduler(__NR_sched_setparam, a0, 0, a1);
}

/* struct sched_attr begins with its size. */
SYSCALL(sched_setattr)
{
    uint8_t copy[ATTRIBUTES_MAX] = {0};
    uint32_t size;
    int64_t name = host_name(a0);
    UNUSED_ARGUMENTS;
    if (name < 0)
        return name;
    if (user_get(&size, (const void *)a1))
        return -EFAULT;
    size = size ? size : ATTRIBUTES_LEAST;
    if (size < ATTRIBUTES_LEAST || size > sizeof copy)
        return -E2BIG;
    if (user_read(copy, (const void *)a1, size))
        return -EFAULT;
    untrusted_write(bounce(), copy, size);
    return exit_checked(__NR_sched_setattr, 0, 0, (uint64_t)name, bounce().address, (uint32_t)a2, 0, 0, 0);
}

SYSCALL(sched_getattr)
{
    uint8_t copy[ATTRIBUTES_MAX];
    uint64_t size = MIN((uint32_t)a2, sizeof copy);
    int64_t name = host_name(a0);
    UNUSED_ARGUMENTS;
    if (name < 0)
        return name;
    int64_t result = exit_checked(__NR_sched_getattr, 0, 0, (uint64_t)name, bounce().address, size, (uint32_t)a3, 0, 0);
    if (result)
        return result;
    untrusted_read(copy, bounce(), size);
    return user_write((void *)a1, copy, size);
}

SYSCALL(sched_get_priority_max)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_sched_get_priority_max, 0, 99, (uint32_t)a0, 0, 0, 0, 0, 0);
}

SYSCALL(sched_get_priority_min)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_sched_get_priority_min, 0, 99, (uint32_t)a0, 0, 0, 0, 0, 0);
}

/* Of `which` kind is `who`: a thread's name is translated, groups and users are the host's. */
static uint64_t who(uint64_t which, int thread_kind, uint64_t name)
{
    return (int)which == thread_kind ? (uint64_t)host_name_or_other(name) : (uint32_t)name;
}

SYSCALL(getpriority)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_getpriority, 0, 40, (uint32_t)a0, who(a0, PRIO_PROCESS, a1), 0, 0, 0, 0);
}

SYSCALL(setpriority)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_setpriority, 0, 0, (uint32_t)a0, who(a0, PRIO_PROCESS, a1), (uint32_t)a2, 0, 0, 0);
}

SYSCALL(ioprio_get)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_ioprio_get, 0, INT32_MAX, (uint32_t)a0, who(a0, IOPRIO_WHO_PROCESS, a1), 0, 0, 0, 0);
}

SYSCALL(ioprio_set)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_ioprio_set, 0, 0, (uint32_t)a0, who(a0, IOPRIO_WHO_PROCESS, a1), (uint32_t)a2, 0, 0,
                        0);
}

SYSCALL(getcpu)
{
    UNUSED_ARGUMENTS;
    uint64_t at = bounce().address, words[2];
    int64_t result = exit_checked(__NR_getcpu, 0, 0, at, at + 8, 0, 0, 0, 0);
    if (result)
        return result;
    untrusted_read(words, bounce(), sizeof words);
    uint32_t cpu = (uint32_t)words[0], node = (uint32_t)words[1];
    if ((a0 && user_put((void *)a0, &cpu)) || (a1 && user_put((void *)a1, &node)))
        return -EFAULT;
    return 0;
}

/* The barrier is an interrupt of every processor that runs one of our threads, and interrupts reach them
 * inside: a lie of the host costs the program's ordering, which needs it for nothing secret. */
SYSCALL(membarrier)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_membarrier, 0, INT32_MAX, (uint32_t)a0, (uint32_t)a1, (uint32_t)a2, 0, 0, 0);
}

/* The kernel would write to the program's memory at every switch. The C library does without. */
SYSCALL(rseq)
{
    UNUSED_ARGUMENTS;
    return -ENOSYS;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The process as a whole: who it is, its limits, and calls that only pass numbers to the host. */
#include "enclave/os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>

#include <asm/prctl.h>
#include <asm/unistd_64.h>

#include "abi/arena.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/io/flush.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/random.h"
#include "enclave/boundary/log.h"
#include "enclave/os/common.h"
#include "enclave/os/file_cache.h"
#include "enclave/os/memory.h"
#include "enclave/os/names.h"
#include "enclave/os/stream.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/vfork.h"

struct process process;

void process_start(void)
{
    process.pid = (int)enclave.start.pid;
    process.parent_pid = (int)enclave.start.parent_pid;
}

_Noreturn void process_end(int status)
{
    threads_abandon();
    memory_push_all();
    order_before();
    if (common_any()) {
        threads_abandon();
        common_end();
    }
    vfork_release();
    streams_quit();
    io_flush_all();
    exit_process(status);
}

/* The host keeps descriptors open that are not the program's: rings, XSKs, the pipes of a fork. So its limit is above the
 * program's, by as much; where it may not be raised, the program has so many less. Else who has opened all that he may
 * could not fork, when pairs and pipes that are the enclave's own become the host's. */
#define HOST_DESCRIPTORS 1280
#define HOST_DESCRIPTORS_FEW 64
#define NOFILE_MAX 1048576

static struct {
    bool known;
    struct rlimit limit; /* the program's */
    uint64_t host;       /* both of the host's */
} nofile;

static int64_t nofile_host(uint64_t count)
{
    const struct rlimit host = {.rlim_cur = count, .rlim_max = count};
    untrusted_write(bounce(), &host, sizeof host);
    int64_t result = exit_checked(__NR_prlimit64, 0, 0, 0, RLIMIT_NOFILE, bounce().address, 0, 0, 0);
    if (!result)
        nofile.host = count;
    return result;
}

static int64_t nofile_set(const struct rlimit *limit)
{
    uint64_t hard = limit->rlim_max;
    if (limit->rlim_cur > hard)
        return -EINVAL;
    int64_t result = nofile_host(hard + MIN(UINT64_MAX - hard, (uint64_t)HOST_DESCRIPTORS));
    if (result == -EPERM && hard <= nofile.limit.rlim_max)
        result = nofile_host(nofile.host);
    else if (result == -EPERM && hard > nofile.host)
        result = nofile_host(hard);
    if (!result)
        nofile.limit = *limit;
    return result;
}

const struct rlimit *limit_nofile_both(void)
{
    if (!nofile.known) {
        exit_checked(__NR_prlimit64, 0, 0, 0, RLIMIT_NOFILE, 0, bounce().address, 0, 0);
        untrusted_read(&nofile.limit, bounce(), sizeof nofile.limit);
        nofile.host = nofile.limit.rlim_max;
        nofile.known = true;
        nofile_set(&nofile.limit);
    }
    return &nofile.limit;
}

uint64_t limit_nofile(void)
{
    uint64_t soft = limit_nofile_both()->rlim_cur;
    soft = MIN(soft, nofile.host - MIN(nofile.host / 8, (uint64_t)HOST_DESCRIPTORS_FEW));
    return MIN(soft, (uint64_t)NOFILE_MAX);
}

SYSCALL(prlimit64)
{
    struct rlimit new, old;
    UNUSED_ARGUMENTS;
    bool other = (int)a0 && (int)a0 != process.pid;
    if (a2 && user_get(&new, (const void *)a2))
        return -EFAULT;
    struct untrusted in = bounce(), out = untrusted_at(bounce(), 64);
    bool files = !other && (int)a1 == RLIMIT_NOFILE;
    if (files) {
        old = *limit_nofile_both();
        int64_t error = a2 ? nofile_set(&new) : 0;
        return !error && a3 ? user_put((void *)a3, &old) : error;
    }
    if (a2)
        untrusted_write(in, &new, sizeof new);
    int64_t result = exit_checked(__NR_prlimit64, 0, 0, other ? (uint32_t)a0 : 0, a1,
                                  a2 ? in.address : 0, out.address, 0, 0);
    if (!result && a2 && !other && (int)a1 == RLIMIT_FSIZE)
        file_cache_limit(new.rlim_cur);
    if (result || !a3)
        return result;
    untrusted_read(&old, out, sizeof old);
    if (!other && (int)a1 == RLIMIT_STACK)
        old.rlim_cur = MIN(old.rlim_cur, enclave.configuration->stack_size);
    return user_put((void *)a3, &old);
}

SYSCALL(getrlimit)
{
    return sys_prlimit64(0, a0, 0, a1, a4, a5);
}

SYSCALL(setrlimit)
{
    return sys_prlimit64(0, a0, a1, 0, a4, a5);
}

#define GETTER(name, value)                                                                        \
    SYSCALL(name)                                                                                  \
    {                                                                                              \
        UNUSED_ARGUMENTS;                                                                          \
        return (int64_t)(value);                                                                   \
    }

GETTER(getpid, process.pid)
GETTER(getuid, enclave.start.uid)
GETTER(geteuid, enclave.start.euid)
GETTER(getgid, enclave.start.gid)
GETTER(getegid, enclave.start.egid)

/* At least as new as the calls that are served; the machine's own name is the host's. */
SYSCALL(uname)
{
    struct utsname name;
    UNUSED_ARGUMENTS;
    int64_t result = exit_checked(__NR_uname, 0, 0, bounce().address, 0, 0, 0, 0, 0);
    if (result)
        return result;
    untrusted_read(&name, bounce(), sizeof name);
    memset(name.release, 0, sizeof name.release);
    memcpy(name.release, "6.1.0-rakis", 12);
    names_settle(name.nodename, sizeof name.nodename);
    return user_put((void *)a0, &name);
}

SYSCALL(sysinfo)
{
    struct sysinfo info;
    UNUSED_ARGUMENTS;
    int64_t result = exit_checked(__NR_sysinfo, 0, 0, bounce().address, 0, 0, 0, 0, 0);
    if (result)
        return result;
    untrusted_read(&info, bounce(), sizeof info);
    return user_put((void *)a0, &info);
}

SYSCALL(arch_prctl)
{
    struct thread_block *block = thread_block();
    uint64_t fs;
    UNUSED_ARGUMENTS;
    switch ((int)a0) {
    case ARCH_SET_FS:
        if (user_range((const void *)a1, 1))
            return -EPERM;
        block->fs = a1;
        fs_base_set(a1);
        return 0;
    case ARCH_GET_FS:
        fs = fs_base();
        return user_put((void *)a1, &fs);
    }
    return -EINVAL; /* GS is the thread block's */
}

SYSCALL(prctl)
{
    struct thread *t = current();
    char name[16];
    UNUSED_ARGUMENTS;
    switch ((int)a0) {
    case PR_SET_NAME: {
        int64_t length = user_string(name, (const char *)a1, sizeof name);
        if (length == -EFAULT)
            return -EFAULT;
        name[sizeof name - 1] = 0;
        memcpy(t->name, name, sizeof name);
        thread_named(t);
        return 0;
    }
    case PR_GET_NAME:
        return user_write((void *)a1, t->name, sizeof t->name);
    case PR_SET_CHILD_SUBREAPER:
        process.adopts = a1;
        return exit_checked(__NR_prctl, 0, 0, a0, a1, 0, 0, 0, 0);
    case PR_GET_CHILD_SUBREAPER: {
        int adopts = process.adopts;
        return user_put((void *)a1, &adopts);
    }
    case PR_GET_PDEATHSIG: {
        int number = process.parent_death_signal;
        return user_put((void *)a1, &number);
    }
    case PR_SET_PDEATHSIG: {
        int64_t result = exit_checked(__NR_prctl, 0, 0, a0, a1, 0, 0, 0, 0);
        if (!result)
            process.parent_death_signal = (int)a1;
        return result;
    }
    case PR_SET_DUMPABLE:
    case PR_SET_TIMERSLACK:
    case PR_SET_NO_NEW_PRIVS:
    case PR_SET_KEEPCAPS:
    case PR_SET_THP_DISABLE:
        return exit_checked(__NR_prctl, 0, 0, a0, a1, 0, 0, 0, 0);
    case PR_GET_DUMPABLE:
    case PR_GET_TIMERSLACK:
    case PR_GET_NO_NEW_PRIVS:
    case PR_GET_KEEPCAPS:
    case PR_CAPBSET_READ:
    case PR_GET_SECUREBITS:
        return exit_checked(__NR_prctl, 0, INT32_MAX, a0, a1, 0, 0, 0, 0);
    }
    return -EINVAL;
}

SYSCALL(getrandom)
{
    UNUSED_ARGUMENTS;
    if (a2 & ~7ull)
        return -EINVAL;
    uint64_t length = MIN(a1, 32u << 20);
    for (uint64_t at = 0; at < length; at += 8) {
        uint64_t word = random_word();
        if (user_write((uint8_t *)a0 + at, &word, MIN(8, length - at)))
            return at ? (int64_t)at : -EFAULT;
    }
    return (int64_t)length;
}

SYSCALL(getgroups)
{
    UNUSED_ARGUMENTS;
    if ((int)a0 < 0)
        return -EINVAL;
    uint64_t count = MIN(a0, 65536);
    int64_t result = exit_checked(__NR_getgroups, 0, 65536, count, bounce().address, 0, 0, 0, 0);
    if (result <= 0 || !count)
        return result;
    if ((uint64_t)result > count)
        violation("getgroups returned %ld of %lu", result, count);
    if (user_range((void *)a1, (size_t)result * 4))
        return -EFAULT;
    return untrusted_read((void *)a1, bounce(), (size_t)result * 4) ? -EFAULT : result;
}

static int64_t three_ids(uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t at = bounce().address, words[3];
    int64_t result = exit_checked(number, 0, 0, at, at + 8, at + 16, 0, 0, 0);
    if (result)
        return result;
    untrusted_read(words, bounce(), sizeof words);
    uint32_t ids[3] = {(uint32_t)words[0], (uint32_t)words[1], (uint32_t)words[2]};
    if (user_put((void *)a, &ids[0]) || user_put((void *)b, &ids[1]) || user_put((void *)c, &ids[2]))
        return -EFAULT;
    return 0;
}

SYSCALL(getresuid)
{
    UNUSED_ARGUMENTS;
    return three_ids(__NR_getresuid, a0, a1, a2);
}

SYSCALL(getresgid)
{
    UNUSED_ARGUMENTS;
    return three_ids(__NR_getresgid, a0, a1, a2);
}

SYSCALL(capget)
{
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[2];
    UNUSED_ARGUMENTS;
    if (user_get(&header, (const void *)a0))
        return -EFAULT;
    header.pid = 0;
    struct untrusted in = bounce(), out = untrusted_at(bounce(), 64);
    untrusted_write(in, &header, sizeof header);
    int64_t result = exit_checked(__NR_capget, 0, 0, in.address, a1 ? out.address : 0, 0, 0, 0, 0);
    untrusted_read(&header, in, sizeof header);
    if (user_put((void *)a0, &header))
        return -EFAULT;
    if (result || !a1)
        return result;
    untrusted_read(data, out, sizeof data);
    return user_put((void *)a1, data);
}

/* struct of `size` bytes in (or NULL), struct out (or NULL): timers are the host's, whose signals arrive
 * here like any other. */
static int64_t pass_structs(uint64_t number, uint64_t first, uint64_t in, uint64_t out, size_t size)
{
    uint8_t copy[64];
    struct untrusted to = bounce(), from = untrusted_at(bounce(), 64);
    if (in) {
        if (user_read(copy, (const void *)in, size))
            return -EFAULT;
        untrusted_write(to, copy, size);
    }
    int64_t result = exit_checked(number, 0, 0, first, in ? to.address : 0, out ? from.address : 0, 0, 0, 0);
    if (result || !out)
        return result;
    untrusted_read(copy, from, size);
    return user_write((void *)out, copy, size);
}

SYSCALL(setitimer)
{
    UNUSED_ARGUMENTS;
    return pass_structs(__NR_setitimer, a0, a1, a2, 32);
}

SYSCALL(getitimer)
{
    UNUSED_ARGUMENTS;
    int64_t result = exit_checked(__NR_getitimer, 0, 0, a0, bounce().address, 0, 0, 0, 0);
    uint64_t words[4];
    if (result)
        return result;
    untrusted_read(words, bounce(), sizeof words);
    return user_put((void *)a1, &words);
}

/* Only numbers go out and come back: the first three arguments, of which no call here has more; result
 * 0..maximum. */
#define PASS(name, maximum)                                                                        \
    SYSCALL(name)                                                                                  \
    {                                                                                              \
        return exit_checked(__NR_##name, 0, maximum, (uint32_t)a0, (uint32_t)a1, (uint32_t)a2, 0,  \
                            0, 0);                                                                 \
    }

PASS(getppid, INT32_MAX) /* when the parent has ended it is another one */
PASS(alarm, UINT32_MAX)
PASS(getpgid, INT32_MAX)
PASS(getpgrp, INT32_MAX)
PASS(getsid, INT32_MAX)
PASS(setpgid, 0)
PASS(setsid, INT32_MAX)
PASS(personality, UINT32_MAX)

/* Identity: the answer of later getters must be true. */
#define IDENTITY(name)                                                                             \
    SYSCALL(name)                                                                                  \
    {                                                                                              \
        int64_t result = exit_checked(__NR_##name, 0, 0, (uint32_t)a0, (uint32_t)a1,         \
                                      (uint32_t)a2, 0, 0, 0);                                                   \
        UNUSED_ARGUMENTS;                                                                          \
        if (result >= 0)                                                                           \
            identity_refresh();                                                                    \
        return result;                                                                             \
    }

static void identity_refresh(void)
{
    enclave.start.uid = (uint64_t)exit_checked(__NR_getuid, 0, UINT32_MAX, 0, 0, 0, 0, 0, 0);
    enclave.start.euid = (uint64_t)exit_checked(__NR_geteuid, 0, UINT32_MAX, 0, 0, 0, 0, 0, 0);
    enclave.start.gid = (uint64_t)exit_checked(__NR_getgid, 0, UINT32_MAX, 0, 0, 0, 0, 0, 0);
    enclave.start.egid = (uint64_t)exit_checked(__NR_getegid, 0, UINT32_MAX, 0, 0, 0, 0, 0, 0);
}

IDENTITY(setuid)
IDENTITY(setgid)
IDENTITY(setreuid)
IDENTITY(setregid)
IDENTITY(setresuid)
IDENTITY(setresgid)

/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for children. Their ids and statuses are the host's to tell; of ids only those that were made here are
 * believed. */
#include "enclave/os/wait.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <asm/unistd_64.h>

#include "abi/exits.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/user.h"
#include "enclave/io/flush.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/files.h"
#include "enclave/os/process.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/udp_socket.h"

static struct {
    struct lock lock;
    int *pid;
    uint32_t count, room;
} children;

int children_add(int pid)
{
    int error = 0;
    lock_take(&children.lock);
    if (children.count == children.room) {
        uint32_t room = children.room ? children.room * 2 : 16;
        int *larger = alloc_resize(children.pid, children.room * sizeof *larger, room * sizeof *larger);
        if (larger) {
            children.pid = larger;
            children.room = room;
        } else {
            error = -ENOMEM;
        }
    }
    if (!error)
        children.pid[children.count++] = pid;
    lock_release(&children.lock);
    return error;
}

static uint32_t index_of(int pid)
{
    uint32_t i = 0;
    while (i < children.count && children.pid[i] != pid)
        i++;
    return i;
}

void children_remove(int pid)
{
    lock_take(&children.lock);
    uint32_t i = index_of(pid);
    if (i < children.count)
        children.pid[i] = children.pid[--children.count];
    bool last = !children.count;
    lock_release(&children.lock);
    if (last)
        udp_sockets_reclaim();
}

bool children_any(void)
{
    return __atomic_load_n(&children.count, __ATOMIC_RELAXED);
}

bool children_have(int pid)
{
    if (process.adopts)
        return true;
    lock_take(&children.lock);
    bool have = index_of(pid) < children.count;
    lock_release(&children.lock);
    return have;
}

void children_clear(void)
{
    children.count = 0;
}

#define OPTIONS (WNOHANG | WUNTRACED | WCONTINUED | __WALL | __WCLONE | __WNOTHREAD)
#define USAGE_AT 64 /* in the bounce buffer */

SYSCALL(wait4)
{
    int options = (int)a2, pid = (int)a0;
    struct rusage usage;
    if (options & ~OPTIONS)
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    struct untrusted status_at = bounce(), usage_at = untrusted_at(bounce(), USAGE_AT);
    int64_t got;
    io_flush_along();
    do {
        got = exit_checked(__NR_wait4, EXIT_INTERRUPTIBLE, INT32_MAX, (uint64_t)(int64_t)pid, status_at.address,
                           (uint64_t)(int64_t)options, usage_at.address, 0, 0);
        if (got == -EINTR)
            return RESTART_SYS;
        if (got < 0)
            return got;
        if (!got && !(options & WNOHANG))
            violation("wait4 returned nothing");
        if (!got)
            return 0;
        if ((pid > 0 && got != pid) || !children_have((int)got)) {
            violation_count(); /* nobody's that the program knows */
            got = -1;
        }
    } while (got < 0);
    int status = (int)untrusted_load(status_at);
    untrusted_read(&usage, usage_at, sizeof usage);
    if (WIFEXITED(status) || WIFSIGNALED(status))
        children_remove((int)got);
    if ((a1 && user_put((void *)a1, &status)) || (a3 && user_put((void *)a3, &usage)))
        return -EFAULT;
    return got;
}

static bool state_possible(const siginfo_t *info)
{
    return info->si_signo == SIGCHLD && info->si_code >= CLD_EXITED && info->si_code <= CLD_CONTINUED &&
           children_have(info->si_pid);
}

#define WAITID_OPTIONS (WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WALL | __WCLONE | __WNOTHREAD)

static int64_t waitid_call(idtype_t type, int id, uint64_t user, int options, uint64_t user_usage)
{
    struct untrusted info_at = bounce(), usage_at = untrusted_at(bounce(), sizeof(siginfo_t));
    siginfo_t info;
    struct rusage usage;
    io_flush_along();
    for (;;) {
        memset(&info, 0, sizeof info);
        untrusted_write(info_at, &info, sizeof info);
        int64_t result =
            exit_checked(__NR_waitid, EXIT_INTERRUPTIBLE, 0, (uint64_t)type, (uint64_t)(int64_t)id,
                         info_at.address, (uint64_t)(int64_t)options, usage_at.address, 0);
        if (result)
            return result == -EINTR ? RESTART_SYS : result;
        untrusted_read(&info, info_at, sizeof info);
        untrusted_read(&usage, usage_at, sizeof usage);
        if (!info.si_pid && (options & WNOHANG)) {
            memset(&info, 0, sizeof info);
            break;
        }
        if (state_possible(&info))
            break;
        violation_count();
    }
    if (info.si_pid && !(options & WNOWAIT) && info.si_code <= CLD_DUMPED)
        children_remove(info.si_pid);
    if ((user && user_put((void *)user, &info)) ||
        (user_usage && info.si_pid && user_put((void *)user_usage, &usage)))
        return -EFAULT;
    return 0;
}

SYSCALL(waitid)
{
    int options = (int)a3;
    if (options & ~WAITID_OPTIONS || !(options & (WEXITED | WSTOPPED | WCONTINUED)))
        return -EINVAL;
    if (a0 != P_PIDFD)
        return (uint32_t)a0 > P_PGID ? -EINVAL : waitid_call((idtype_t)a0, (int)a1, a2, options, a4);
    struct file *f = file_get((int)a1);
    if (!f)
        return -EBADF;
    int host = host_fd_of(f);
    int64_t result = host < 0 ? -EBADF : waitid_call(P_PIDFD, host, a2, options, a4);
    file_put(f);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Files without a name: pipes and event counters, which are the enclave's own as long as they can be (local.h),
 * timer descriptors, memory files, inotify. */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/syscalls.h"

static int64_t pipe_call(uint64_t user, int flags)
{
    int host[2], fds[2];
    if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    if (local_wanted() && !(flags & O_DIRECT)) {
        struct file *ends[2] = {NULL, NULL};
        int failed = local_pipe(flags & O_NONBLOCK, ends);
        return failed ? failed : files_install_pair(ends[0], ends[1], flags, fds, user);
    }
    int error = host_pipe(host, flags | O_CLOEXEC);
    if (error)
        return error;
    struct file *in = host_file_new(host[0], O_RDONLY | (flags & ~O_CLOEXEC), NULL);
    struct file *out = host_file_new(host[1], O_WRONLY | (flags & ~O_CLOEXEC), NULL);
    if (in)
        in->mode = S_IFIFO;
    if (out)
        out->mode = S_IFIFO;
    return files_install_pair(in, out, flags, fds, user);
}

SYSCALL(pipe)
{
    return pipe_call(a0, 0);
}

SYSCALL(pipe2)
{
    return pipe_call(a0, (int)a1);
}

/* The flags of these calls are O_CLOEXEC and O_NONBLOCK by other names. */
static int64_t install(int host_fd, int flags)
{
    if (host_fd < 0)
        return host_fd;
    struct file *f = host_file_new(host_fd, O_RDWR | (flags & O_NONBLOCK), NULL);
    return f ? file_install_or_put(f, flags) : -ENOMEM;
}

static int64_t event_call(uint32_t value, int flags)
{
    struct file *f;
    if (!local_wanted())
        return install(host_plain_fd(__NR_eventfd2, 0, value, (uint32_t)flags | EFD_CLOEXEC, 0), flags);
    int error = local_event(value, flags, &f);
    return error ? error : file_install_or_put(f, flags);
}

SYSCALL(eventfd)
{
    return event_call((uint32_t)a0, 0);
}

SYSCALL(eventfd2)
{
    return event_call((uint32_t)a0, (int)a1);
}

SYSCALL(timerfd_create)
{
    return install(
        host_plain_fd(__NR_timerfd_create, 0, (uint32_t)a0, (uint32_t)a1 | TFD_CLOEXEC, 0),
        (int)a1);
}

SYSCALL(timerfd_settime)
{
    struct itimerspec value, old;
    if (user_get(&value, (const void *)a2))
        return -EFAULT;
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int64_t result = host_fd_of(f) < 0
                         ? -EINVAL
                         : host_timerfd_settime(host_fd_of(f), (int)a1, &value, a3 ? &old : NULL);
    file_put(f);
    return !result && a3 && user_put((void *)a3, &old) ? -EFAULT : result;
}

SYSCALL(timerfd_gettime)
{
    struct itimerspec value;
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int64_t result = host_fd_of(f) < 0 ? -EINVAL : host_timerfd_gettime(host_fd_of(f), &value);
    file_put(f);
    return !result && user_put((void *)a1, &value) ? -EFAULT : result;
}

SYSCALL(memfd_create)
{
    char name[256];
    int64_t n = user_string(name, (const char *)a0, sizeof name);
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    int fd = host_memfd(name, (uint32_t)a1 | MFD_CLOEXEC);
    return install(fd, a1 & MFD_CLOEXEC ? O_CLOEXEC : 0);
}

SYSCALL(inotify_init)
{
    return install(host_plain_fd(__NR_inotify_init1, 0, IN_CLOEXEC, 0, 0), 0);
}

SYSCALL(inotify_init1)
{
    return install(host_plain_fd(__NR_inotify_init1, 0, (uint32_t)a0 | IN_CLOEXEC, 0, 0), (int)a0);
}

SYSCALL(inotify_add_watch)
{
    struct path p;
    int64_t result = path_take_for_host(&p, AT_FDCWD, a1, false, !(a2 & IN_DONT_FOLLOW));
    if (result)
        return result;
    struct file *f = file_get((int)a0);
    if (!f)
        result = -EBADF;
    else
        result =
            host_fd_of(f) < 0 ? -EINVAL : host_inotify_add(host_fd_of(f), p.text, (uint32_t)a2);
    file_put(f);
    path_drop(&p);
    return result;
}

SYSCALL(inotify_rm_watch)
{
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int host = host_fd_of(f);
    int64_t result = -EINVAL;
    if (host >= 0)
        result = host_plain(__NR_inotify_rm_watch, 0, 0, (uint32_t)host, (uint32_t)a1, 0, 0, 0);
    file_put(f);
    return result;
}

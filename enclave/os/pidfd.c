/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that stand for a process: the host's, which poll as ready when it has ended. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/fork.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"

static int pidfd_of(const struct file *f)
{
    return (int)(intptr_t)f->data;
}

static int pidfd_stat(struct file *f, struct stat *out)
{
    return host_file_ops.stat(f, out);
}

static int pidfd_set_flags(struct file *f, int flags)
{
    return host_file_ops.set_flags(f, flags);
}

static uint32_t pidfd_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    return host_file_ops.poll(f, events, wait);
}

static void pidfd_release(struct file *f)
{
    host_close(f->host_fd);
}

static const struct file_ops pidfd_ops = {
    .name = "anon_inode:[pidfd]",
    .stat = pidfd_stat,
    .set_flags = pidfd_set_flags,
    .poll = pidfd_poll,
    .release = pidfd_release,
};

int64_t process_descriptor(int pid, uint32_t flags)
{
    if (flags & ~(uint32_t)O_NONBLOCK || pid <= 0)
        return -EINVAL;
    struct thread *t = thread_find(pid);
    if (t && pid != process.pid)
        return -EINVAL; /* of a thread that does not lead its process */
    int host = host_plain_fd(__NR_pidfd_open, 0, (uint32_t)pid, flags, 0);
    if (host < 0)
        return host;
    struct file *f = file_new(&pidfd_ops, host, O_RDWR | (int)flags);
    if (!f) {
        host_close(host);
        return -ENOMEM;
    }
    f->data = (void *)(intptr_t)pid;
    return file_install_or_put(f, O_CLOEXEC);
}

SYSCALL(pidfd_open)
{
    return process_descriptor((int)a0, (uint32_t)a1);
}

/* A reference to the file of that descriptor if it is a pidfd. */
static int pidfd_get(uint64_t fd, struct file **out)
{
    struct file *f = file_get((int)fd);
    if (f && f->ops == &pidfd_ops) {
        *out = f;
        return 0;
    }
    file_put(f);
    return -EBADF;
}

static int64_t send_signal(struct file *f, int signal, uint64_t user)
{
    siginfo_t info = {0};
    struct signal_cause cause = {.code = SI_USER, .pid = process.pid};
    if (user) {
        if (user_get(&info, (const void *)user))
            return -EFAULT;
        if (info.si_signo != signal)
            return -EINVAL;
        cause = (struct signal_cause){.code = info.si_code, .pid = info.si_pid, .uid = info.si_uid,
                                      .value = (uint64_t)info.si_value.sival_ptr};
    }
    if (signal < 0 || signal > SIGNAL_COUNT)
        return -EINVAL;
    if (pidfd_of(f) == process.pid)
        return signal ? signal_send_process(signal, &cause) : 0;
    if (user && (info.si_code >= 0 || info.si_code == SI_TKILL))
        return -EPERM; /* as if the kernel had sent it */
    if (user)
        untrusted_write(bounce(), &info, sizeof info);
    return host_plain(__NR_pidfd_send_signal, 0, 0, (uint32_t)f->host_fd, (uint32_t)signal,
                      user ? bounce().address : 0, 0, 0);
}

SYSCALL(pidfd_send_signal)
{
    struct file *f;
    if (a3)
        return -EINVAL;
    int64_t result = pidfd_get(a0, &f);
    if (result)
        return result;
    result = send_signal(f, (int)a1, a2);
    file_put(f);
    return result;
}

SYSCALL(pidfd_getfd)
{
    struct file *f;
    if (a2)
        return -EINVAL;
    int64_t result = pidfd_get(a0, &f);
    if (result)
        return result;
    if (pidfd_of(f) == process.pid) {
        struct file *other = file_get((int)a1);
        result = other ? file_install_or_put(other, O_CLOEXEC) : -EBADF;
    } else {
        int64_t host = host_plain(__NR_pidfd_getfd, 0, INT32_MAX, (uint32_t)f->host_fd, (uint32_t)a1, 0, 0, 0);
        struct file *other = host < 0 ? NULL : host_file_adopt((int)host);
        result = other ? file_install_or_put(other, O_CLOEXEC) : host < 0 ? host : -ENOMEM;
    }
    file_put(f);
    return result;
}

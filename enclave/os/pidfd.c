/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of processes: the host's, as process ids are. */
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
#include "enclave/os/syscalls.h"

int64_t process_descriptor(int pid, uint32_t flags)
{
    if (flags & ~(uint32_t)O_NONBLOCK || pid <= 0)
        return -EINVAL;
    int host = host_plain_fd(__NR_pidfd_open, 0, (uint32_t)pid, flags, 0);
    if (host < 0)
        return host;
    struct file *f = host_file_new(host, O_RDWR | (int)flags, NULL);
    return f ? file_install_or_put(f, O_CLOEXEC) : -ENOMEM;
}

SYSCALL(pidfd_open)
{
    return process_descriptor((int)a0, (uint32_t)a1);
}

SYSCALL(pidfd_send_signal)
{
    siginfo_t info;
    if (a3)
        return -EINVAL;
    if (a2 && user_get(&info, (const void *)a2))
        return -EFAULT;
    if (a2 && (info.si_signo != (int)a1 || info.si_code >= 0 || info.si_code == SI_TKILL))
        return info.si_signo != (int)a1 ? -EINVAL : -EPERM;
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int64_t result = -EBADF;
    if (host_fd_of(f) >= 0) {
        if (a2)
            untrusted_write(bounce(), &info, sizeof info);
        result = host_plain(__NR_pidfd_send_signal, 0, 0, (uint32_t)host_fd_of(f), (uint32_t)a1,
                            a2 ? bounce().address : 0, 0, 0);
    }
    file_put(f);
    return result;
}

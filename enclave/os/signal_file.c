/* SPDX-License-Identifier: Apache-2.0 */
/* signalfd: signals that are pending, read from a descriptor. The LibOS's own, as signals are. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"

#define UNREADABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

static uint64_t mask_of(const struct file *f)
{
    return (uint64_t)f->data;
}

static uint64_t pending_for(const struct thread *t, uint64_t mask)
{
    return (t->signals.pending | process.signals.pending) & mask;
}

static int64_t give(struct iovec *to, int signal, const struct signal_cause *cause)
{
    struct signalfd_siginfo info;
    memset(&info, 0, sizeof info);
    info.ssi_signo = (uint32_t)signal;
    info.ssi_code = cause->code;
    info.ssi_pid = (uint32_t)cause->pid;
    info.ssi_uid = cause->uid;
    info.ssi_status = cause->status;
    info.ssi_addr = cause->address;
    info.ssi_ptr = cause->value;
    info.ssi_int = (int32_t)cause->value;
    if (cause->code == SI_TIMER) {
        info.ssi_tid = (uint32_t)cause->pid;
        info.ssi_overrun = cause->uid;
    }
    if (user_write(to->iov_base, &info, sizeof info))
        return -EFAULT;
    to->iov_base = (uint8_t *)to->iov_base + sizeof info;
    to->iov_len -= sizeof info;
    return sizeof info;
}

/* Until one of the mask is pending. 0, or RESTART_SYS: another signal is to be handled first. */
static int wait_for(uint64_t mask)
{
    struct thread *t = current();
    int result = 0;
    t->waiting_for = mask; /* such a signal is sent to this thread though it is blocked */
    for (;;) {
        thread_sleep_prepare();
        bool other = signal_pending();
        if (pending_for(t, mask))
            break;
        if (other) {
            result = RESTART_SYS;
            break;
        }
        thread_sleep(UINT64_MAX);
    }
    t->waiting_for = 0;
    return result;
}

static int64_t signal_file_read(struct file *f, const struct iovec *v, int count, int64_t offset,
                                int flags)
{
    struct iovec to = v[0]; /* records are whole in one buffer, or not read */
    struct signal_cause cause;
    int64_t done = 0;
    if (offset >= 0)
        return -ESPIPE;
    if (count < 1 || to.iov_len < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    signal_collect();
    while (to.iov_len >= sizeof(struct signalfd_siginfo)) {
        int signal = signal_take(mask_of(f), &cause);
        if (signal) {
            int64_t n = give(&to, signal, &cause);
            if (n < 0)
                return done ? done : n;
            done += n;
        } else if (done) {
            break;
        } else if ((f->flags & O_NONBLOCK) || (flags & RWF_NOWAIT)) {
            return -EAGAIN;
        } else {
            int error = wait_for(mask_of(f));
            if (error)
                return error;
        }
    }
    return done;
}

static uint32_t signal_file_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    struct thread *t = current();
    wait->host_fd = -1;
    wait->answer = false;
    wait->xsks = 0;
    signal_collect();
    if (pending_for(t, mask_of(f)))
        return events & (POLLIN | POLLRDNORM);
    /* It may sleep now, and what comes is to wake it. Stays so: the worst is a look for nothing. */
    t->waiting_for |= mask_of(f);
    return 0;
}

static int signal_file_stat(struct file *f, struct stat *out)
{
    (void)f;
    memset(out, 0, sizeof *out);
    out->st_mode = 0600;
    out->st_nlink = 1;
    out->st_blksize = 4096;
    return 0;
}

static const struct file_ops signal_file_ops = {
    .name = "anon_inode:[signalfd]",
    .read = signal_file_read,
    .stat = signal_file_stat,
    .poll = signal_file_poll,
};

static int64_t signal_file(int fd, uint64_t user, uint64_t size, int flags)
{
    uint64_t mask;
    if (size != sizeof mask || flags & ~(SFD_CLOEXEC | SFD_NONBLOCK))
        return -EINVAL;
    if (user_get(&mask, (const void *)user))
        return -EFAULT;
    mask &= ~UNREADABLE;
    struct file *f =
        fd == -1 ? file_new(&signal_file_ops, -1, O_RDWR | (flags & SFD_NONBLOCK)) : file_get(fd);
    if (!f)
        return fd == -1 ? -ENOMEM : -EBADF;
    if (fd == -1) {
        f->data = (void *)mask;
        return file_install_or_put(f, flags);
    }
    int64_t result = -EINVAL;
    if (f->ops == &signal_file_ops) {
        __atomic_store_n(&f->data, (void *)mask, __ATOMIC_RELAXED);
        result = fd;
    }
    file_put(f);
    return result;
}

SYSCALL(signalfd)
{
    return signal_file((int)a0, a1, a2, 0);
}

SYSCALL(signalfd4)
{
    return signal_file((int)a0, a1, a2, (int)a3);
}

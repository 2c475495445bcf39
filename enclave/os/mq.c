/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX's message queues: files of the host, with calls of their own. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <time.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_ipc.h"
#include "enclave/boundary/user.h"
#include "enclave/io/flush.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/syscalls.h"

static int take_name(char name[256 + 1], uint64_t user)
{
    int64_t n = user_string(name, (const char *)user, 256 + 1);
    return n < 0 ? (int)n : 0;
}

SYSCALL(mq_open)
{
    char name[256 + 1];
    struct mq_attr attributes;
    bool given = a3 && ((int)a1 & O_CREAT);
    int error = take_name(name, a0);
    if (error)
        return error;
    if (given && user_get(&attributes, (const void *)a3))
        return -EFAULT;
    int fd = host_mq_open(name, (int)a1 | O_CLOEXEC, (unsigned)a2, given ? &attributes : NULL);
    if (fd < 0)
        return fd;
    struct file *f = host_file_new(fd, (int)a1 & (O_ACCMODE | O_NONBLOCK), NULL);
    return f ? file_install_or_put(f, O_CLOEXEC) : -ENOMEM;
}

SYSCALL(mq_unlink)
{
    char name[256 + 1];
    int error = take_name(name, a0);
    return error ? error : host_path(__NR_mq_unlink, name, 0, 0);
}

static int take_time(uint64_t user, struct timespec *t)
{
    if (!user)
        return 0;
    if (user_get(t, (const void *)user))
        return -EFAULT;
    return t->tv_sec < 0 || (uint64_t)t->tv_nsec >= 1000000000 ? -EINVAL : 0;
}

static int64_t restartable(int64_t result)
{
    return result == -EINTR ? RESTART_SYS : result;
}

/* The host's descriptor of a queue, with a reference in *file; or -EBADF. */
static int queue_of(int fd, struct file **file)
{
    *file = file_get(fd);
    return *file ? host_fd_of(*file) : -EBADF;
}

SYSCALL(mq_timedsend)
{
    struct timespec until;
    struct file *f;
    int64_t result = take_time(a4, &until);
    if (!result && user_range((const void *)a1, a2))
        result = -EFAULT;
    if (result)
        return result;
    int host = queue_of((int)a0, &f);
    io_flush_along();
    result = host < 0 ? -EBADF : host_mq_send(host, (const void *)a1, a2, (unsigned)a3, a4 ? &until : NULL);
    file_put(f);
    return restartable(result);
}

SYSCALL(mq_timedreceive)
{
    struct timespec until;
    struct file *f;
    unsigned priority;
    int64_t result = take_time(a4, &until);
    if (!result && user_range((const void *)a1, a2))
        result = -EFAULT;
    if (result)
        return result;
    int host = queue_of((int)a0, &f);
    io_flush_along();
    result = host < 0 ? -EBADF : host_mq_receive(host, (void *)a1, a2, &priority, a4 ? &until : NULL);
    file_put(f);
    if (result >= 0 && a3 && user_put((void *)a3, &priority))
        return -EFAULT;
    return restartable(result);
}

SYSCALL(mq_getsetattr)
{
    struct mq_attr new, old;
    struct file *f;
    if (a1 && user_get(&new, (const void *)a1))
        return -EFAULT;
    int host = queue_of((int)a0, &f);
    int result = host < 0 ? -EBADF : host_mq_attributes(host, a1 ? &new : NULL, &old);
    file_put(f);
    return !result && a2 && user_put((void *)a2, &old) ? -EFAULT : result;
}

SYSCALL(mq_notify)
{
    struct sigevent event;
    uint8_t cookie[HOST_MQ_COOKIE];
    struct file *f, *told = NULL;
    if (a1 && user_get(&event, (const void *)a1))
        return -EFAULT;
    bool thread = a1 && event.sigev_notify == SIGEV_THREAD;
    if (thread && user_read(cookie, event.sigev_value.sival_ptr, sizeof cookie))
        return -EFAULT;
    int host = queue_of((int)a0, &f), socket = thread ? queue_of(event.sigev_signo, &told) : -1;
    int result = host < 0 || (thread && socket < 0) ? -EBADF
                                                   : host_mq_notify(host, a1 ? &event : NULL, socket, cookie);
    file_put(f);
    file_put(told);
    return result;
}

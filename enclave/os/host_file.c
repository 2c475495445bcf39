/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the host that are no sockets: an exit each call. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"

int64_t interrupted(int64_t result)
{
    return result == -EINTR ? RESTART_SYS : result;
}

int host_fd_of(struct file *f)
{
    return f->host_fd;
}

uint32_t file_kind(struct file *f)
{
    struct stat s;
    if (!f->mode && f->ops->stat && !f->ops->stat(f, &s))
        f->mode = s.st_mode & S_IFMT;
    return f->mode;
}

void file_may_sleep(const struct file *f)
{
    if (!(f->flags & O_NONBLOCK))
        xsk_flush();
}

static int64_t host_file_read(struct file *f, const struct iovec *v, int count, int64_t offset,
                              int flags)
{
    uint64_t total = 0, done = 0;
    for (int i = 0; i < count; i++)
        total += v[i].iov_len;
    if (f->mode != S_IFREG)
        file_may_sleep(f);
    for (;;) {
        uint64_t asked;
        int64_t at = offset < 0 ? -1 : offset + (int64_t)done;
        int64_t r = host_readv(f->host_fd, v, count, done, at, flags,
                               EXIT_INTERRUPTIBLE | terminal_flags(f), &asked);
        if (r < 0)
            return done ? (int64_t)done : interrupted(r);
        done += (uint64_t)r;
        if (done == total || (uint64_t)r < asked || file_kind(f) != S_IFREG)
            return (int64_t)done;
    }
}

static int64_t host_file_write(struct file *f, const struct iovec *v, int count, int64_t offset,
                               int flags)
{
    uint64_t total = 0, done = 0;
    for (int i = 0; i < count; i++)
        total += v[i].iov_len;
    if (f->mode != S_IFREG)
        file_may_sleep(f);
    for (;;) {
        int64_t at = offset < 0 ? -1 : offset + (int64_t)done;
        uint64_t asked;
        int64_t r = host_writev(f->host_fd, v, count, done, at, flags,
                                EXIT_INTERRUPTIBLE | terminal_flags(f), &asked);
        if (r == -EPIPE)
            signal_raise_self(SIGPIPE);
        if (r < 0)
            return done ? (int64_t)done : interrupted(r);
        done += (uint64_t)r;
        if (done == total || (uint64_t)r < asked)
            return (int64_t)done;
    }
}

static int64_t host_file_lseek(struct file *f, int64_t offset, int whence)
{
    return host_plain(__NR_lseek, 0, INT64_MAX, (uint32_t)f->host_fd, (uint64_t)offset,
                      (uint32_t)whence, 0, 0);
}

static int host_file_stat(struct file *f, struct stat *out)
{
    return host_fstat(f->host_fd, out);
}

static int64_t host_file_getdents(struct file *f, void *user, uint64_t size)
{
    return host_getdents(f->host_fd, user, size);
}

static int64_t host_file_truncate(struct file *f, int64_t length)
{
    return host_plain(__NR_ftruncate, EXIT_INTERRUPTIBLE, 0, (uint32_t)f->host_fd, (uint64_t)length,
                      0, 0, 0);
}

static int host_file_set_flags(struct file *f, int flags)
{
    return (int)host_plain(__NR_fcntl, 0, 0, (uint32_t)f->host_fd, F_SETFL, (uint32_t)flags, 0, 0);
}

static uint32_t host_file_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    wait->host_fd = f->host_fd;
    wait->events = events;
    wait->answer = true;
    wait->net = false;
    return 0;
}

static void host_file_release(struct file *f)
{
    host_close(f->host_fd);
}

const struct file_ops host_file_ops = {
    .name = "file",
    .read = host_file_read,
    .write = host_file_write,
    .lseek = host_file_lseek,
    .stat = host_file_stat,
    .ioctl = host_file_ioctl,
    .getdents = host_file_getdents,
    .truncate = host_file_truncate,
    .set_flags = host_file_set_flags,
    .poll = host_file_poll,
    .release = host_file_release,
};

static char *copy_text(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = alloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}

struct file *host_file_new(int host_fd, int flags, const char *path)
{
    struct file *f = file_new(&host_file_ops, host_fd, flags);
    if (!f) {
        host_close(host_fd);
        return NULL;
    }
    if (path)
        f->path = copy_text(path); /* no memory: it goes without */
    return f;
}

struct file *host_file_adopt(int host_fd)
{
    struct stat s;
    int64_t flags = host_plain(__NR_fcntl, 0, INT32_MAX, (uint32_t)host_fd, F_GETFL, 0, 0, 0);
    if (flags < 0 || host_fd_adopt(host_fd) < 0)
        return NULL;
    if (host_fstat(host_fd, &s))
        s.st_mode = 0;
    if (S_ISSOCK(s.st_mode))
        return host_socket_new(host_fd, 0, (int)flags);
    struct file *f = host_file_new(host_fd, (int)flags, NULL);
    if (f)
        f->mode = s.st_mode & S_IFMT;
    return f;
}

struct file *file_open(const char *path, int flags, int mode, int *error)
{
    int fd = host_openat(AT_FDCWD, path, flags, mode);
    struct file *f = fd < 0 ? NULL : host_file_new(fd, flags & ~O_CLOEXEC, path);
    if (!f)
        *error = fd < 0 ? fd : -ENOMEM;
    return f;
}

int64_t file_read_at(struct file *f, void *to, uint64_t length, uint64_t offset)
{
    struct iovec v = {to, MIN(length, TRANSFER_MAX)};
    if (!f->ops->read)
        return -EINVAL;
    if (offset > INT64_MAX - v.iov_len)
        return -EINVAL;
    if (f->ops->read != host_file_read || file_kind(f) != S_IFREG)
        return f->ops->read(f, &v, 1, (int64_t)offset, 0);
    /* To the end of the file whatever signals come: half of it would be mapped as zeros. */
    uint64_t done = 0;
    while (done < v.iov_len) {
        int64_t n = host_pread(f->host_fd, (uint8_t *)to + done, v.iov_len - done, offset + done);
        if (n == 0)
            break;
        if (n < 0 && n != -EINTR)
            return n;
        done += n > 0 ? (uint64_t)n : 0;
    }
    return (int64_t)done;
}

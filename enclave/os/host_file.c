/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the host that are no sockets: an exit each call, but for what file_cache.c saves. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_fetch.h"
#include "enclave/enclave.h"
#include "enclave/io/flush.h"
#include "enclave/io/uring.h"
#include "enclave/lib/lib.h"
#include "enclave/os/file_cache.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream.h"
#include "enclave/os/syscalls.h"

int64_t interrupted(int64_t result)
{
    return result == -EINTR ? RESTART_SYS : result;
}

const char *file_real_path(struct file *f)
{
    char link[32], *known = __atomic_load_n(&f->real_path, __ATOMIC_ACQUIRE);
    if (known || f->host_fd < 0)
        return known ? known : f->path;
    char *path = alloc(HOST_PATH_MAX), *none = NULL;
    if (!path)
        return f->path;
    print_format(link, sizeof link, "/proc/self/fd/%d", f->host_fd);
    int64_t n = host_readlink(AT_FDCWD, link, path, HOST_PATH_MAX - 1);
    size_t length = n > 0 ? (size_t)n : 0;
    path[length] = 0;
    known = length ? alloc_resize(path, HOST_PATH_MAX, length + 1) : NULL;
    if (!known) {
        alloc_free(path);
        return f->path;
    }
    if (!__atomic_compare_exchange_n(&f->real_path, &none, known, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        alloc_free(known); /* another thread was first */
        known = none;
    }
    return known;
}

int host_fd_of(struct file *f)
{
    if (stream_on(f))
        stream_leave(f); /* whoever asks passes it on to the host */
    if (local_on(f) && local_leave(f))
        return -1;
    if (f->ops->socket && f->ops->socket->by_kernel)
        f->ops->socket->by_kernel(f);
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
    if (f->flags & O_NONBLOCK)
        uring_submit(); /* what follows from it may be asked for next */
    else
        io_flush_along();
}

int64_t host_file_transfer(struct file *f, bool write, const struct iovec *v, int count, uint64_t skip,
                           int64_t offset, int flags)
{
    int64_t (*call)(int, const struct iovec *, int, uint64_t, int64_t, int, uint64_t, uint64_t *) =
        write ? host_writev : host_readv;
    uint64_t total = iovec_length(v, count), done = skip;
    if (f->mode != S_IFREG)
        file_may_sleep(f);
    for (;;) {
        uint64_t asked;
        int64_t at = offset < 0 ? -1 : offset + (int64_t)done;
        int64_t r = call(f->host_fd, v, count, done, at, flags, EXIT_INTERRUPTIBLE | terminal_flags(f), &asked);
        if (r == -EPIPE && write)
            signal_raise_self(SIGPIPE);
        if (r < 0)
            return done > skip ? (int64_t)(done - skip) : interrupted(r);
        done += (uint64_t)r;
        if (done == total || (uint64_t)r < asked || (!write && file_kind(f) != S_IFREG))
            return (int64_t)(done - skip);
    }
}

static int64_t host_file_read(struct file *f, const struct iovec *v, int count, int64_t offset,
                              int flags)
{
    return f->caching ? file_cache_read(f, v, count, offset, flags)
                      : host_file_transfer(f, false, v, count, 0, offset, flags);
}

static int64_t host_file_write(struct file *f, const struct iovec *v, int count, int64_t offset,
                               int flags)
{
    return f->caching ? file_cache_write(f, v, count, offset, flags)
                      : host_file_transfer(f, true, v, count, 0, offset, flags);
}

int64_t host_file_seek(struct file *f, int64_t offset, int whence)
{
    return host_plain(__NR_lseek, 0, INT64_MAX, (uint32_t)f->host_fd, (uint64_t)offset,
                      (uint32_t)whence, 0, 0);
}

static int64_t host_file_lseek(struct file *f, int64_t offset, int whence)
{
    return f->caching ? file_cache_lseek(f, offset, whence) : host_file_seek(f, offset, whence);
}

static int host_file_stat(struct file *f, struct stat *out)
{
    int result = f->local ? local_stat(f, out) : host_fstat(f->host_fd, out);
    if (!result && !f->mode)
        f->mode = out->st_mode & S_IFMT;
    return result;
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
    file_cache_lend(f); /* O_APPEND changes what the position means */
    int result =
        (int)host_plain(__NR_fcntl, 0, 0, (uint32_t)f->host_fd, F_SETFL, (uint32_t)flags, 0, 0);
    file_cache_return(f);
    return result;
}

static uint32_t host_file_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    wait->host_fd = f->host_fd;
    wait->events = events;
    wait->answer = true;
    wait->xsks = 0;
    return 0;
}

static void host_file_release(struct file *f)
{
    file_cache_release(f);
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
    if (path && enclave.rings && !(flags & O_PATH))
        f->caching = CACHING_FULL;
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
    if (!f)
        return NULL;
    f->mode = s.st_mode & S_IFMT;
    if (enclave.rings && S_ISREG(s.st_mode))
        f->caching = (flags & O_ACCMODE) == O_RDONLY ? CACHING_CLAIMS : CACHING_SHARED;
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
        int64_t n = host_pread(f->host_fd, (uint8_t *)to + done, MIN(v.iov_len - done, FETCH_PIECE), offset + done);
        if (n == 0)
            break;
        if (n < 0 && n != -EINTR)
            return n;
        done += n > 0 ? (uint64_t)n : 0;
    }
    return (int64_t)done;
}

int64_t file_write_at(struct file *f, const void *from, uint64_t length, uint64_t offset)
{
    uint64_t done = 0, asked;
    if (f->host_fd < 0 || file_kind(f) != S_IFREG)
        return -EINVAL;
    while (done < length) {
        struct iovec v = {(uint8_t *)(uintptr_t)from + done, length - done};
        int64_t n = host_writev(f->host_fd, &v, 1, 0, (int64_t)(offset + done), 0, 0, &asked);
        if (n < 0 && n != -EINTR)
            return done ? (int64_t)done : n;
        done += n > 0 ? (uint64_t)n : 0;
    }
    return (int64_t)done;
}

int file_sync(struct file *f)
{
    return f->host_fd < 0 ? -EINVAL : (int)host_plain(__NR_fsync, 0, 0, (uint32_t)f->host_fd, 0, 0, 0, 0);
}

struct file *file_open_again(struct file *f, int flags, int *error)
{
    char link[32];
    print_format(link, sizeof link, "/proc/self/fd/%d", f->host_fd);
    return file_open(link, flags, 0, error);
}

bool file_write_sealed(struct file *f)
{
    int64_t seals = f->host_fd < 0 ? -EINVAL
                                   : host_plain(__NR_fcntl, 0, INT32_MAX, (uint32_t)f->host_fd, F_GET_SEALS, 0, 0, 0);
    return seals > 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
}

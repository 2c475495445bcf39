/* SPDX-License-Identifier: Apache-2.0 */
/* System calls on descriptors that any file may serve. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/file_cache.h"
#include "enclave/os/files.h"
#include "enclave/os/memory.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream.h"
#include "enclave/os/syscalls.h"

SYSCALL(fcntl);

static bool readable(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_WRONLY && !(f->flags & O_PATH);
}

static bool writable(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_RDONLY && !(f->flags & O_PATH);
}

/* Where a file is mapped shared, what it holds and the mapping are brought together before it is read or
 * written, and after it was written. */
static void mapped_push(struct file *f, uint64_t from, uint64_t to)
{
    if (memory_shares() && file_kind(f) == S_IFREG)
        memory_push_file(f, from, to);
}

static void mapped_pull(struct file *f, uint64_t from, uint64_t to)
{
    if (memory_shares() && file_kind(f) == S_IFREG)
        memory_pull_file(f, from, to, true);
}

/* The buffers are taken; gives them back. */
static int64_t move(int fd, bool write, struct iovecs *v, int64_t total, int64_t offset, int flags)
{
    if (total < 0)
        return total;
    struct file *f = file_get(fd);
    int64_t result = -EBADF;
    if (f && (write ? writable(f) : readable(f))) {
        int64_t (*op)(struct file *, const struct iovec *, int, int64_t, int) =
            write ? f->ops->write : f->ops->read;
        uint64_t from = offset < 0 ? 0 : (uint64_t)offset;
        uint64_t to = offset < 0 ? UINT64_MAX : from + (uint64_t)total;
        mapped_push(f, from, to);
        if (op && v->vector && !total && offset < 0)
            result = 0;
        else
            result = op ? op(f, v->v, v->count, offset, flags) : -EINVAL;
        if (write && result > 0)
            mapped_pull(f, from, to);
    }
    file_put(f);
    iovecs_drop(v);
    return result;
}

SYSCALL(read)
{
    struct iovecs v;
    return move((int)a0, false, &v, iovecs_one(&v, a1, a2), -1, 0);
}

SYSCALL(write)
{
    struct iovecs v;
    return move((int)a0, true, &v, iovecs_one(&v, a1, a2), -1, 0);
}

SYSCALL(readv)
{
    struct iovecs v;
    return move((int)a0, false, &v, iovecs_take(&v, a1, a2), -1, 0);
}

SYSCALL(writev)
{
    struct iovecs v;
    return move((int)a0, true, &v, iovecs_take(&v, a1, a2), -1, 0);
}

SYSCALL(pread64)
{
    struct iovecs v;
    if ((int64_t)a3 < 0)
        return -EINVAL;
    return move((int)a0, false, &v, iovecs_one(&v, a1, a2), (int64_t)a3, 0);
}

SYSCALL(pwrite64)
{
    struct iovecs v;
    if ((int64_t)a3 < 0)
        return -EINVAL;
    return move((int)a0, true, &v, iovecs_one(&v, a1, a2), (int64_t)a3, 0);
}

SYSCALL(preadv)
{
    struct iovecs v;
    if ((int64_t)a3 < 0)
        return -EINVAL;
    return move((int)a0, false, &v, iovecs_take(&v, a1, a2), (int64_t)a3, 0);
}

SYSCALL(pwritev)
{
    struct iovecs v;
    if ((int64_t)a3 < 0)
        return -EINVAL;
    return move((int)a0, true, &v, iovecs_take(&v, a1, a2), (int64_t)a3, 0);
}

SYSCALL(preadv2)
{
    struct iovecs v;
    if ((int64_t)a3 < -1)
        return -EINVAL;
    if (a5 & ~(uint64_t)RWF_SUPPORTED)
        return -EOPNOTSUPP;
    return move((int)a0, false, &v, iovecs_take(&v, a1, a2), (int64_t)a3, (int)a5);
}

SYSCALL(pwritev2)
{
    struct iovecs v;
    if ((int64_t)a3 < -1)
        return -EINVAL;
    if (a5 & ~(uint64_t)RWF_SUPPORTED)
        return -EOPNOTSUPP;
    return move((int)a0, true, &v, iovecs_take(&v, a1, a2), (int64_t)a3, (int)a5);
}

SYSCALL(lseek)
{
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int64_t result = f->ops->lseek ? f->ops->lseek(f, (int64_t)a1, (int)a2) : -ESPIPE;
    file_put(f);
    return result;
}

SYSCALL(fstat)
{
    struct stat s;
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int64_t result = f->ops->stat ? f->ops->stat(f, &s) : -EBADF;
    file_put(f);
    return result ? result : user_put((void *)a1, &s);
}

SYSCALL(ioctl)
{
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int64_t result;
    switch ((uint32_t)a1) {
    case FIOCLEX:
        result = sys_fcntl(a0, F_SETFD, FD_CLOEXEC, 0, 0, 0);
        break;
    case FIONCLEX:
        result = sys_fcntl(a0, F_SETFD, 0, 0, 0, 0);
        break;
    case FIONBIO: {
        int on;
        result = user_get(&on, (const void *)a2);
        if (!result)
            result = file_set_flags(f, on ? f->flags | O_NONBLOCK : f->flags & ~O_NONBLOCK);
        break;
    }
    default:
        result = f->ops->ioctl ? f->ops->ioctl(f, (uint32_t)a1, a2) : -ENOTTY;
    }
    file_put(f);
    return result;
}

SYSCALL(getdents64)
{
    if (user_range((void *)a1, (uint32_t)a2))
        return -EFAULT;
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int64_t result = f->ops->getdents ? f->ops->getdents(f, (void *)a1, (uint32_t)a2) : -ENOTDIR;
    file_put(f);
    return result;
}

SYSCALL(ftruncate)
{
    if ((int64_t)a1 < 0)
        return -EINVAL;
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    mapped_push(f, 0, UINT64_MAX);
    int64_t result = !writable(f)       ? -EINVAL
                     : f->ops->truncate ? f->ops->truncate(f, (int64_t)a1)
                                        : -EINVAL;
    mapped_pull(f, 0, UINT64_MAX);
    file_put(f);
    return interrupted(result);
}

/* Calls (fd, numbers) of the host that return 0; files of the LibOS have `otherwise`. */
static int64_t pass(uint64_t number, uint64_t fd, uint64_t a, uint64_t b, uint64_t c,
                    int64_t otherwise)
{
    struct file *f = file_get((int)fd);
    if (!f)
        return -EBADF;
    int host = host_fd_of(f);
    int64_t result = otherwise;
    if (number != __NR_fadvise64 && number != __NR_readahead)
        mapped_push(f, 0, UINT64_MAX);
    if (host >= 0)
        result = interrupted(host_plain(number, EXIT_INTERRUPTIBLE, 0, (uint32_t)host, a, b, c, 0));
    file_put(f);
    return result;
}

/* The same for those that tell of writes that failed. */
static int64_t pass_error(uint64_t number, uint64_t fd, uint64_t a, uint64_t b, uint64_t c)
{
    struct file *f = file_get((int)fd);
    int64_t error = f ? file_cache_settle(f) : 0;
    int64_t result = pass(number, fd, a, b, c, -EINVAL);
    file_put(f);
    return error ? error : result;
}

SYSCALL(fsync)
{
    return pass_error(__NR_fsync, a0, 0, 0, 0);
}

SYSCALL(fdatasync)
{
    return pass_error(__NR_fdatasync, a0, 0, 0, 0);
}

SYSCALL(syncfs)
{
    memory_push_all();
    return pass(__NR_syncfs, a0, 0, 0, 0, 0);
}

SYSCALL(sync)
{
    memory_push_all();
    return host_plain(__NR_sync, 0, 0, 0, 0, 0, 0, 0);
}

SYSCALL(sync_file_range)
{
    return pass_error(__NR_sync_file_range, a0, a1, a2, a3);
}

SYSCALL(fallocate)
{
    int64_t result = pass(__NR_fallocate, a0, a1, a2, a3, -ENODEV);
    struct file *f = memory_shares() ? file_get((int)a0) : NULL;
    if (f)
        mapped_pull(f, 0, UINT64_MAX);
    file_put(f);
    return result;
}

SYSCALL(fadvise64)
{
    return pass(__NR_fadvise64, a0, a1, a2, a3, 0);
}

SYSCALL(readahead)
{
    return pass(__NR_readahead, a0, a1, a2, 0, -EINVAL);
}

/* What was mapped while the lock was another's is seen once it is ours. */
SYSCALL(flock)
{
    int64_t result = pass(__NR_flock, a0, a1, 0, 0, -EINVAL);
    struct file *f = !result && memory_shares() ? file_get((int)a0) : NULL;
    if (f && file_kind(f) == S_IFREG)
        memory_pull_file(f, 0, UINT64_MAX, false);
    file_put(f);
    return result;
}

SYSCALL(fchmod)
{
    return pass(__NR_fchmod, a0, a1, 0, 0, -EPERM);
}

SYSCALL(fchown)
{
    return pass(__NR_fchown, a0, a1, a2, 0, -EPERM);
}

SYSCALL(fchdir)
{
    return pass(__NR_fchdir, a0, 0, 0, 0, -ENOTDIR);
}

SYSCALL(umask)
{
    return host_plain(__NR_umask, 0, 0777, a0 & 0777, 0, 0, 0, 0);
}

SYSCALL(fstatfs)
{
    struct statfs s;
    struct file *f = file_get((int)a0);
    if (!f)
        return -EBADF;
    int host = host_fd_of(f);
    int64_t result = host < 0 ? -ENOSYS : host_statfs(host, NULL, &s);
    file_put(f);
    return result ? result : user_put((void *)a1, &s);
}

/* ---- from one file to another ---- */

#define CHUNK 65536

/* Through the LibOS, where one of the two is not the host's. Reads at *offset, or the position. */
static int64_t copy_through(struct file *to, struct file *from, int64_t *offset, uint64_t count)
{
    if (!from->ops->read || !to->ops->write)
        return -EINVAL;
    uint8_t *buffer = alloc(CHUNK);
    int64_t done = 0, n = 0;
    if (!buffer)
        return -ENOMEM;
    while ((uint64_t)done < count) {
        struct iovec v = {buffer, MIN(count - (uint64_t)done, CHUNK)};
        n = from->ops->read(from, &v, 1, offset ? *offset : -1, 0);
        if (n <= 0)
            break;
        v.iov_len = (uint64_t)n;
        n = to->ops->write(to, &v, 1, -1, 0);
        if (n <= 0)
            break;
        done += n;
        if (offset)
            *offset += n;
    }
    alloc_free(buffer);
    return done ? done : n;
}

static void lend_both(struct file *a, struct file *b)
{
    file_cache_lend(a);
    file_cache_lend(b);
}

static void return_both(struct file *a, struct file *b)
{
    file_cache_return(a);
    file_cache_return(b);
}

SYSCALL(sendfile)
{
    int64_t offset, *at = a2 ? &offset : NULL, result = -EBADF;
    uint64_t count = MIN(a3, TRANSFER_MAX);
    if (a2 && user_get(&offset, (const void *)a2))
        return -EFAULT;
    if (a2 && offset < 0)
        return -EINVAL;
    struct file *to = file_get((int)a0), *from = file_get((int)a1);
    if (to && from && writable(to) && readable(from)) {
        int host_to = host_fd_of(to), host_from = host_fd_of(from);
        file_may_sleep(to);
        mapped_push(from, 0, UINT64_MAX);
        mapped_push(to, 0, UINT64_MAX);
        if (host_to >= 0 && host_from >= 0) {
            lend_both(from, to);
            result = interrupted(host_sendfile(host_to, host_from, at, count, EXIT_INTERRUPTIBLE));
            return_both(from, to);
            if (result == -EPIPE)
                signal_raise_self(SIGPIPE);
        } else {
            result = copy_through(to, from, at, count);
        }
        mapped_pull(to, 0, UINT64_MAX);
    }
    file_put(to);
    file_put(from);
    return result >= 0 && a2 && user_put((void *)a2, &offset) ? -EFAULT : result;
}

/* What was received before it was asked for comes first. */
static int64_t splice_host(struct file *f, int from, int64_t *from_at, int to, int64_t *to_at, uint64_t count,
                           uint32_t flags)
{
    int64_t n = STREAM_NOT;
    if (f->ops == &host_socket_ops && stream_on(f) && !from_at && !to_at)
        n = stream_splice(f, to, count, !(flags & SPLICE_F_NONBLOCK));
    if (n == STREAM_NOT)
        n = host_splice(from, from_at, to, to_at, count, flags, EXIT_INTERRUPTIBLE);
    if (n == -EPIPE)
        signal_raise_self(SIGPIPE);
    return n;
}

/* copy_file_range and splice: (from, offset, to, offset, count, flags). */
static int64_t range_call(bool splice, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                          uint64_t count, uint32_t flags)
{
    int64_t in, out, *in_at = a1 ? &in : NULL, *out_at = a3 ? &out : NULL, result = -EBADF;
    if ((a1 && user_get(&in, (const void *)a1)) || (a3 && user_get(&out, (const void *)a3)))
        return -EFAULT;
    count = MIN(count, TRANSFER_MAX);
    struct file *from = file_get((int)a0), *to = file_get((int)a2);
    if (from && to && readable(from) && writable(to)) {
        int host_from = host_fd_of(from), host_to = host_fd_of(to), stand_in = -1;
        mapped_push(from, 0, UINT64_MAX);
        mapped_push(to, 0, UINT64_MAX);
        lend_both(from, to);
        if (splice && host_from < 0 && host_to >= 0)
            host_from = stand_in = dev_stand_in(from);
        else if (splice && host_to < 0 && host_from >= 0)
            host_to = stand_in = dev_stand_in(to);
        if (host_from < 0 || host_to < 0)
            result = -EINVAL;
        else if (splice)
            result = interrupted(splice_host(from, host_from, in_at, host_to, out_at, count, flags));
        else
            result = host_copy_range(host_from, in_at, host_to, out_at, count, flags);
        if (stand_in >= 0)
            host_close(stand_in);
        return_both(from, to);
        mapped_pull(to, 0, UINT64_MAX);
    }
    file_put(from);
    file_put(to);
    if (result > 0 && ((a1 && user_put((void *)a1, &in)) || (a3 && user_put((void *)a3, &out))))
        return -EFAULT;
    return result;
}

SYSCALL(copy_file_range)
{
    return range_call(false, a0, a1, a2, a3, a4, (uint32_t)a5);
}

SYSCALL(splice)
{
    return range_call(true, a0, a1, a2, a3, a4, (uint32_t)a5);
}

SYSCALL(tee)
{
    int64_t result = -EBADF;
    struct file *from = file_get((int)a0), *to = file_get((int)a1);
    if (from && to && readable(from) && writable(to)) {
        int host_from = host_fd_of(from), host_to = host_fd_of(to);
        uint64_t count = MIN(a2, TRANSFER_MAX);
        result = host_from < 0 || host_to < 0
                     ? -EINVAL
                     : interrupted(host_plain(__NR_tee, EXIT_INTERRUPTIBLE, count, (uint32_t)host_from,
                                              (uint32_t)host_to, count, (uint32_t)a3, 0));
    }
    file_put(from);
    file_put(to);
    return result;
}

/* Between a pipe and memory: bytes are copied, as no page of ours can become the kernel's. */
SYSCALL(vmsplice)
{
    struct iovecs v;
    if ((uint32_t)a3 & ~(uint32_t)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
        return -EINVAL;
    struct file *f = file_get((int)a0);
    bool pipe = f && file_kind(f) == S_IFIFO, into = pipe && writable(f);
    file_put(f);
    if (!pipe)
        return -EBADF;
    return move((int)a0, into, &v, iovecs_take(&v, a1, a2), -1, (uint32_t)a3 & SPLICE_F_NONBLOCK ? RWF_NOWAIT : 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that need no host: /dev/null, zero, full, urandom, random; and the standard streams by
 * name. */
#include <errno.h>
#include <fcntl.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/random.h"
#include "enclave/os/files.h"

enum device {
    NULL_DEVICE = 3,
    ZERO = 5,
    FULL = 7,
    RANDOM = 8,
    URANDOM = 9
}; /* minors of major 1 */

static const struct {
    const char *path;
    uint64_t minor;
} devices[] = {
    {"/dev/null", NULL_DEVICE}, {"/dev/zero", ZERO},       {"/dev/full", FULL},
    {"/dev/random", RANDOM},    {"/dev/urandom", URANDOM},
};

static enum device device_of(const struct file *f)
{
    return (enum device)(uintptr_t)f->data;
}

static int random_fill(uint8_t *user, uint64_t n)
{
    for (uint64_t at = 0; at < n; at += 8) {
        uint64_t word = random_word();
        if (user_write(user + at, &word, MIN(8, n - at)))
            return -EFAULT;
    }
    return 0;
}

static int64_t device_read(struct file *f, const struct iovec *v, int count, int64_t offset,
                           int flags)
{
    int64_t done = 0;
    (void)offset;
    (void)flags;
    if (device_of(f) == NULL_DEVICE)
        return 0;
    bool random = device_of(f) == RANDOM || device_of(f) == URANDOM;
    for (int i = 0; i < count; i++) {
        int error = random ? random_fill(v[i].iov_base, v[i].iov_len)
                           : user_zero(v[i].iov_base, v[i].iov_len);
        if (error)
            return done ? done : error;
        done += (int64_t)v[i].iov_len;
    }
    return done;
}

static int64_t device_write(struct file *f, const struct iovec *v, int count, int64_t offset,
                            int flags)
{
    int64_t total = 0;
    (void)offset;
    (void)flags;
    for (int i = 0; i < count; i++)
        total += (int64_t)v[i].iov_len;
    return device_of(f) == FULL && total ? -ENOSPC : total;
}

static int64_t device_lseek(struct file *f, int64_t offset, int whence)
{
    (void)f;
    (void)offset;
    (void)whence;
    return 0;
}

static int device_stat(struct file *f, struct stat *out)
{
    memset(out, 0, sizeof *out);
    out->st_mode = S_IFCHR | 0666;
    out->st_nlink = 1;
    out->st_rdev = 1 << 8 | (uintptr_t)f->data;
    out->st_ino = (uintptr_t)f->data;
    out->st_blksize = 4096;
    return 0;
}

static const struct file_ops device_ops = {
    .name = "device",
    .read = device_read,
    .write = device_write,
    .lseek = device_lseek,
    .stat = device_stat,
};

int dev_stand_in(const struct file *f)
{
    enum device device = f->ops == &device_ops ? device_of(f) : RANDOM;
    if (device == RANDOM || device == URANDOM)
        return -EINVAL; /* what is random is not the host's to say */
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
        if (devices[i].minor == device)
            return host_openat(AT_FDCWD, devices[i].path, O_RDWR | O_CLOEXEC, 0);
    return -EINVAL;
}

int dev_open(const char *path, int flags, struct file **out)
{
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        if (strcmp(path, devices[i].path))
            continue;
        if (flags & O_DIRECTORY)
            return -ENOTDIR;
        if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
            return -EEXIST;
        if (flags & O_PATH)
            return NOT_OURS;
        struct file *f = file_new(&device_ops, -1, flags & (O_ACCMODE | O_APPEND | O_NONBLOCK));
        if (!f)
            return -ENOMEM;
        f->mode = S_IFCHR;
        f->data = (void *)(uintptr_t)devices[i].minor;
        size_t n = strlen(path) + 1;
        if ((f->path = alloc(n)))
            memcpy(f->path, path, n);
        *out = f;
        return 0;
    }
    return NOT_OURS;
}

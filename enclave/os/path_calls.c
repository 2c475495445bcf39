/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that name a file by its path. */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/syscalls.h"

/* ---- stat ---- */

/* The file itself, where the path is empty and the call allows that. */
static struct file *path_itself(const struct path *p)
{
    bool ours = p->directory && (p->host_directory < 0 || p->directory->local);
    return !p->text[0] && ours ? p->directory : NULL;
}

static int stat_path(const struct path *p, int flags, struct stat *out)
{
    struct file *f = path_itself(p);
    if (f)
        return f->ops->stat ? f->ops->stat(f, out) : -EBADF;
    if (p->made_up) {
        int result = made_up_stat(p->text, !(flags & AT_SYMLINK_NOFOLLOW), out);
        if (result != NOT_OURS)
            return result;
    }
    return host_stat(p->host_directory, p->text, flags, out);
}

static int64_t stat_call(int directory, uint64_t user, uint64_t out, int flags)
{
    struct path p;
    struct stat s;
    int64_t result = path_take(&p, directory, user, flags & AT_EMPTY_PATH);
    if (result)
        return result;
    result = stat_path(&p, flags, &s);
    path_drop(&p);
    return result ? result : user_put((void *)out, &s);
}

SYSCALL(stat)
{
    return stat_call(AT_FDCWD, a0, a1, 0);
}

SYSCALL(lstat)
{
    return stat_call(AT_FDCWD, a0, a1, AT_SYMLINK_NOFOLLOW);
}

SYSCALL(newfstatat)
{
    return stat_call((int)a0, a1, a2, (int)a3);
}

static void statx_of(const struct stat *s, struct statx *out)
{
    memset(out, 0, sizeof *out);
    out->stx_mask = STATX_BASIC_STATS;
    out->stx_blksize = (uint32_t)s->st_blksize;
    out->stx_nlink = (uint32_t)s->st_nlink;
    out->stx_uid = s->st_uid;
    out->stx_gid = s->st_gid;
    out->stx_mode = (uint16_t)s->st_mode;
    out->stx_ino = s->st_ino;
    out->stx_size = (uint64_t)s->st_size;
    out->stx_blocks = (uint64_t)s->st_blocks;
    out->stx_atime.tv_sec = s->st_atim.tv_sec;
    out->stx_mtime.tv_sec = s->st_mtim.tv_sec;
    out->stx_ctime.tv_sec = s->st_ctim.tv_sec;
    out->stx_rdev_major = (uint32_t)(s->st_rdev >> 8 & 0xfff);
    out->stx_rdev_minor = (uint32_t)(s->st_rdev & 0xff);
}

static int statx_path(const struct path *p, int flags, uint32_t mask, struct statx *out)
{
    struct stat s;
    if (path_itself(p) || p->made_up) {
        struct file *f = path_itself(p);
        int result = f ? f->ops->stat ? f->ops->stat(f, &s) : -EBADF
                       : made_up_stat(p->text, !(flags & AT_SYMLINK_NOFOLLOW), &s);
        if (!result)
            statx_of(&s, out);
        if (result != NOT_OURS)
            return result;
    }
    return host_statx(p->host_directory, p->text, flags, mask, out);
}

SYSCALL(statx)
{
    struct path p;
    struct statx s;
    int flags = (int)a2;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) ||
        (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    int64_t result = path_take(&p, (int)a0, a1, flags & AT_EMPTY_PATH);
    if (result)
        return result;
    result = statx_path(&p, flags, (uint32_t)a3, &s);
    path_drop(&p);
    return result ? result : user_put((void *)a4, &s);
}

SYSCALL(statfs)
{
    struct path p;
    struct statfs s;
    int64_t result = path_take_for_host(&p, AT_FDCWD, a0, false, true);
    if (result)
        return result;
    result = host_statfs(-1, p.text, &s);
    path_drop(&p);
    return result ? result : user_put((void *)a1, &s);
}

/* ---- access, readlink ---- */

static int64_t access_call(int directory, uint64_t user, uint64_t mode, int flags)
{
    struct path p;
    struct stat s;
    int64_t result = path_take(&p, directory, user, flags & AT_EMPTY_PATH);
    if (result)
        return result;
    result = p.made_up ? made_up_stat(p.text, !(flags & AT_SYMLINK_NOFOLLOW), &s) : NOT_OURS;
    if (!result) {
        if ((mode & 2 && !(s.st_mode & 0222)) || (mode & 1 && !(s.st_mode & 0111)))
            result = -EACCES;
    } else if (result == NOT_OURS) {
        result = host_path_at(flags ? __NR_faccessat2 : __NR_faccessat, p.host_directory, p.text,
                              mode, (uint32_t)flags, 0);
    }
    path_drop(&p);
    return result;
}

SYSCALL(access)
{
    return access_call(AT_FDCWD, a0, a1, 0);
}

SYSCALL(faccessat)
{
    return access_call((int)a0, a1, a2, 0);
}

SYSCALL(faccessat2)
{
    return access_call((int)a0, a1, a2, (int)a3);
}

static int64_t readlink_call(int directory, uint64_t user, uint64_t out, int size)
{
    struct path p;
    if (size <= 0)
        return -EINVAL;
    int64_t result = path_take(&p, directory, user, true);
    if (result)
        return result;
    char *text = alloc(HOST_PATH_MAX);
    uint64_t room = MIN((uint64_t)size, (uint64_t)HOST_PATH_MAX);
    if (!text) {
        path_drop(&p);
        return -ENOMEM;
    }
    result = p.made_up ? made_up_readlink(p.text, text, room) : NOT_OURS;
    if (result == NOT_OURS)
        result = !p.text[0] && directory == AT_FDCWD
                     ? -ENOENT
                     : host_readlink(p.host_directory, p.text, text, room);
    if (result > 0 && user_write((void *)out, text, (uint64_t)result))
        result = -EFAULT;
    alloc_free(text);
    path_drop(&p);
    return result;
}

SYSCALL(readlink)
{
    return readlink_call(AT_FDCWD, a0, a1, (int)a2);
}

SYSCALL(readlinkat)
{
    return readlink_call((int)a0, a1, a2, (int)a3);
}

/* ---- calls that change: the host's, whatever the place ---- */

/* (directory, path, numbers) → 0. */
static int64_t change(uint64_t number, int directory, uint64_t user, bool empty, uint64_t a2,
                      uint64_t a3, uint64_t a4)
{
    struct path p;
    bool follow = number == __NR_fchmodat || (number == __NR_fchownat && !(a4 & AT_SYMLINK_NOFOLLOW));
    int64_t result = path_take_for_host(&p, directory, user, empty, follow);
    if (result)
        return result;
    result = interrupted(host_path_at(number, p.host_directory, p.text, a2, a3, a4));
    path_drop(&p);
    return result;
}

SYSCALL(mkdir)
{
    return change(__NR_mkdirat, AT_FDCWD, a0, false, a1, 0, 0);
}

SYSCALL(mkdirat)
{
    return change(__NR_mkdirat, (int)a0, a1, false, a2, 0, 0);
}

SYSCALL(rmdir)
{
    return change(__NR_unlinkat, AT_FDCWD, a0, false, AT_REMOVEDIR, 0, 0);
}

SYSCALL(unlink)
{
    return change(__NR_unlinkat, AT_FDCWD, a0, false, 0, 0, 0);
}

SYSCALL(unlinkat)
{
    return change(__NR_unlinkat, (int)a0, a1, false, (uint32_t)a2, 0, 0);
}

SYSCALL(mknod)
{
    return change(__NR_mknodat, AT_FDCWD, a0, false, a1, a2, 0);
}

SYSCALL(mknodat)
{
    return change(__NR_mknodat, (int)a0, a1, false, a2, a3, 0);
}

SYSCALL(chmod)
{
    return change(__NR_fchmodat, AT_FDCWD, a0, false, a1, 0, 0);
}

SYSCALL(fchmodat)
{
    return change(__NR_fchmodat, (int)a0, a1, false, a2, 0, 0);
}

SYSCALL(chown)
{
    return change(__NR_fchownat, AT_FDCWD, a0, false, a1, a2, 0);
}

SYSCALL(lchown)
{
    return change(__NR_fchownat, AT_FDCWD, a0, false, a1, a2, AT_SYMLINK_NOFOLLOW);
}

SYSCALL(fchownat)
{
    return change(__NR_fchownat, (int)a0, a1, a4 & AT_EMPTY_PATH, a2, a3, (uint32_t)a4);
}

SYSCALL(truncate)
{
    struct path p;
    int64_t result = path_take_for_host(&p, AT_FDCWD, a0, false, true);
    if (result)
        return result;
    result = interrupted(host_path(__NR_truncate, p.text, a1, 0));
    path_drop(&p);
    return result;
}

SYSCALL(chdir)
{
    struct path p;
    int64_t result = path_take_for_host(&p, AT_FDCWD, a0, false, true);
    if (result)
        return result;
    result = interrupted(host_path(__NR_chdir, p.text, 0, 0));
    path_drop(&p);
    return result;
}

SYSCALL(getcwd)
{
    char *text = alloc(HOST_PATH_MAX);
    if (!text)
        return -ENOMEM;
    int64_t result = host_getcwd(text, a1);
    if (result > 0 && user_write((void *)a0, text, (uint64_t)result))
        result = -EFAULT;
    alloc_free(text);
    return result;
}

/* ---- two paths ---- */

static int64_t rename_call(int directory, uint64_t from, int directory2, uint64_t to,
                           uint32_t flags)
{
    struct path p, q;
    int64_t result = path_take_for_host(&p, directory, from, false, false);
    if (result)
        return result;
    result = path_take_for_host(&q, directory2, to, false, false);
    if (!result) {
        result =
            interrupted(host_rename(p.host_directory, p.text, q.host_directory, q.text, flags));
        path_drop(&q);
    }
    path_drop(&p);
    return result;
}

SYSCALL(rename)
{
    return rename_call(AT_FDCWD, a0, AT_FDCWD, a1, 0);
}

SYSCALL(renameat)
{
    return rename_call((int)a0, a1, (int)a2, a3, 0);
}

SYSCALL(renameat2)
{
    return rename_call((int)a0, a1, (int)a2, a3, (uint32_t)a4);
}

static int64_t link_call(int directory, uint64_t from, int directory2, uint64_t to, int flags)
{
    struct path p, q;
    int64_t result = path_take_for_host(&p, directory, from, flags & AT_EMPTY_PATH, flags & AT_SYMLINK_FOLLOW);
    if (result)
        return result;
    result = path_take_for_host(&q, directory2, to, false, false);
    if (!result) {
        result = interrupted(host_link(p.host_directory, p.text, q.host_directory, q.text, flags));
        path_drop(&q);
    }
    path_drop(&p);
    return result;
}

SYSCALL(link)
{
    return link_call(AT_FDCWD, a0, AT_FDCWD, a1, 0);
}

SYSCALL(linkat)
{
    return link_call((int)a0, a1, (int)a2, a3, (int)a4);
}

static int64_t symlink_call(uint64_t target, int directory, uint64_t user)
{
    struct path p;
    char *text = alloc(HOST_PATH_MAX);
    if (!text)
        return -ENOMEM;
    int64_t result = user_string(text, (const char *)target, HOST_PATH_MAX);
    if (result >= 0)
        result = result ? path_take_for_host(&p, directory, user, false, false) : -ENOENT;
    if (!result) {
        result = interrupted(host_symlink(text, p.host_directory, p.text));
        path_drop(&p);
    }
    alloc_free(text);
    return result;
}

SYSCALL(symlink)
{
    return symlink_call(a0, AT_FDCWD, a1);
}

SYSCALL(symlinkat)
{
    return symlink_call(a0, (int)a1, a2);
}

/* ---- times ---- */

/* user 0: the descriptor itself. */
static int64_t times_call(int directory, uint64_t user, const struct timespec *times, int flags)
{
    struct path p;
    if (!user && directory == AT_FDCWD)
        return -EFAULT;
    int64_t result = path_take_for_host(&p, directory, user, !user || flags & AT_EMPTY_PATH,
                                        !(flags & AT_SYMLINK_NOFOLLOW));
    if (result)
        return result;
    if (!user && p.host_directory < 0)
        result = -EPERM;
    else
        result = host_utimens(p.host_directory, user ? p.text : NULL, times, flags);
    path_drop(&p);
    return result;
}

SYSCALL(utimensat)
{
    struct timespec times[2];
    if (a2 && user_read(times, (const void *)a2, sizeof times))
        return -EFAULT;
    return times_call((int)a0, a1, a2 ? times : NULL, (int)a3);
}

static int64_t microseconds(int directory, uint64_t path, uint64_t user)
{
    struct timeval in[2];
    struct timespec times[2];
    if (user && user_read(in, (const void *)user, sizeof in))
        return -EFAULT;
    for (int i = 0; user && i < 2; i++) {
        if ((uint64_t)in[i].tv_usec >= 1000000)
            return -EINVAL;
        times[i] = (struct timespec){in[i].tv_sec, in[i].tv_usec * 1000};
    }
    return times_call(directory, path, user ? times : NULL, 0);
}

SYSCALL(utimes)
{
    return microseconds(AT_FDCWD, a0, a1);
}

SYSCALL(futimesat)
{
    return microseconds((int)a0, a1, a2);
}

SYSCALL(utime)
{
    int64_t in[2];
    struct timespec times[2] = {{0, 0}, {0, 0}};
    if (a1 && user_read(in, (const void *)a1, sizeof in))
        return -EFAULT;
    for (int i = 0; a1 && i < 2; i++)
        times[i].tv_sec = in[i];
    return times_call(AT_FDCWD, a0, a1 ? times : NULL, 0);
}

/* ---- extended attributes ---- */

#define NAME_MAX_ 256

enum xattr_action { XATTR_GET, XATTR_SET, XATTR_LIST, XATTR_REMOVE };

static int64_t xattr_act(uint64_t number, enum xattr_action action, int fd, const char *path,
                         uint64_t user_name, uint64_t value, uint64_t size, int flags)
{
    char name[NAME_MAX_];
    if (action != XATTR_LIST) {
        int64_t n = user_string(name, (const char *)user_name, sizeof name);
        if (n <= 0)
            return n == -EFAULT ? -EFAULT : -ERANGE;
    }
    if (value && size && user_range((const void *)value, size))
        return -EFAULT;
    switch (action) {
    case XATTR_GET:
        return host_xattr_get(number, fd, path, name, (void *)value, size);
    case XATTR_LIST:
        return host_xattr_get(number, fd, path, NULL, (void *)value, size);
    case XATTR_SET:
        return host_xattr_set(number, fd, path, name, (const void *)value, size, flags);
    case XATTR_REMOVE:
        return host_xattr_remove(number, fd, path, name);
    }
    return -EINVAL;
}

static int64_t xattr_by_path(uint64_t number, enum xattr_action action, uint64_t user,
                             uint64_t name, uint64_t value, uint64_t size, int flags)
{
    struct path p;
    bool follow = number != __NR_lgetxattr && number != __NR_lsetxattr && number != __NR_llistxattr &&
                  number != __NR_lremovexattr;
    int64_t result = path_take_for_host(&p, AT_FDCWD, user, false, follow);
    if (result)
        return result;
    result = xattr_act(number, action, -1, p.text, name, value, size, flags);
    path_drop(&p);
    return result;
}

static int64_t xattr_by_fd(uint64_t number, enum xattr_action action, int fd, uint64_t name,
                           uint64_t value, uint64_t size, int flags)
{
    struct file *f = file_get(fd);
    if (!f)
        return -EBADF;
    int host = host_fd_of(f);
    int64_t result =
        host < 0 ? -EOPNOTSUPP : xattr_act(number, action, host, NULL, name, value, size, flags);
    file_put(f);
    return result;
}

#define XATTR_CALLS(prefix, by, file)                                                              \
    SYSCALL(prefix##getxattr)                                                                      \
    {                                                                                              \
        return by(__NR_##prefix##getxattr, XATTR_GET, file, a1, a2, a3, 0);                        \
    }                                                                                              \
    SYSCALL(prefix##setxattr)                                                                      \
    {                                                                                              \
        return by(__NR_##prefix##setxattr, XATTR_SET, file, a1, a2, a3, (int)a4);                  \
    }                                                                                              \
    SYSCALL(prefix##listxattr)                                                                     \
    {                                                                                              \
        return by(__NR_##prefix##listxattr, XATTR_LIST, file, 0, a1, a2, 0);                       \
    }                                                                                              \
    SYSCALL(prefix##removexattr)                                                                   \
    {                                                                                              \
        return by(__NR_##prefix##removexattr, XATTR_REMOVE, file, a1, 0, 0, 0);                    \
    }

XATTR_CALLS(, xattr_by_path, a0)
XATTR_CALLS(l, xattr_by_path, a0)
XATTR_CALLS(f, xattr_by_fd, (int)a0)

/* SPDX-License-Identifier: Apache-2.0 */
/* Calls by path, and what they tell of files. */
#include <asm/unistd_64.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_room.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"

/* Where paths lie: the first, the second, and what comes after them. */
#define FIRST 0
#define SECOND HOST_PATH_MAX
#define AFTER (2 * HOST_PATH_MAX)
#define XATTR_VALUE_MAX 65536

static uint64_t path_put(uint64_t at, const char *path)
{
    room_put(at, path, strnlen(path, HOST_PATH_MAX - 1) + 1);
    return room_address(at);
}

static uint64_t int_argument(int value)
{
    return (uint64_t)(int64_t)value;
}

int host_openat(int directory, const char *path, int flags, int mode)
{
    uint64_t p = path_put(FIRST, path);
    return host_fd_adopt(room_call(__NR_openat, EXIT_INTERRUPTIBLE, INT_MAX,
                                   int_argument(directory), p, (uint32_t)(flags | O_CLOEXEC),
                                   (uint32_t)mode, 0, 0));
}

int host_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    uint64_t p = path_put(FIRST, path);
    room_put(AFTER, &how, sizeof how);
    return host_fd_adopt(room_call(__NR_openat2, EXIT_INTERRUPTIBLE, INT_MAX,
                                   int_argument(directory), p, room_address(AFTER), sizeof how, 0,
                                   0));
}

int host_stat(int directory, const char *path, int flags, struct stat *out)
{
    uint64_t p = path_put(FIRST, path);
    int result = (int)room_call(__NR_newfstatat, 0, 0, int_argument(directory), p,
                                room_address(AFTER), (uint32_t)flags, 0, 0);
    if (!result)
        room_get(out, AFTER, sizeof *out);
    return result;
}

int host_fstat(int fd, struct stat *out)
{
    int result = (int)room_call(__NR_fstat, 0, 0, (uint32_t)fd, room_address(FIRST), 0, 0, 0, 0);
    if (!result)
        room_get(out, FIRST, sizeof *out);
    return result;
}

int host_statx(int directory, const char *path, int flags, uint32_t mask, struct statx *out)
{
    uint64_t p = path_put(FIRST, path);
    int result = (int)room_call(__NR_statx, 0, 0, int_argument(directory), p, (uint32_t)flags, mask,
                                room_address(AFTER), 0);
    if (!result)
        room_get(out, AFTER, sizeof *out);
    return result;
}

int host_statfs(int fd, const char *path, struct statfs *out)
{
    int result;
    if (fd >= 0)
        result = (int)room_call(__NR_fstatfs, 0, 0, (uint32_t)fd, room_address(AFTER), 0, 0, 0, 0);
    else
        result = (int)room_call(__NR_statfs, 0, 0, path_put(FIRST, path), room_address(AFTER), 0, 0,
                                0, 0);
    if (!result)
        room_get(out, AFTER, sizeof *out);
    return result;
}

int64_t host_readlink(int directory, const char *path, char *out, uint64_t size)
{
    size = MIN(size, (uint64_t)HOST_PATH_MAX);
    uint64_t p = path_put(FIRST, path);
    int64_t result = room_call(__NR_readlinkat, 0, size, int_argument(directory), p,
                               room_address(AFTER), size, 0, 0);
    if (result > 0)
        room_get(out, AFTER, (uint64_t)result);
    return result;
}

/* The names of a directory: is each record whole, and its name terminated within it? */
static int dirents_check(const uint8_t *p, uint64_t size)
{
    const uint64_t header = 19; /* d_ino, d_off, d_reclen, d_type */
    while (size) {
        uint16_t length;
        if (size < header + 1)
            return -EIO;
        memcpy(&length, p + 16, sizeof length);
        if (length < header + 1 || length > size ||
            strnlen((const char *)p + header, length - header) == length - header)
            return -EIO;
        p += length;
        size -= length;
    }
    return 0;
}

#define DIRENTS_MAX 32768

int64_t host_getdents(int fd, void *user, uint64_t size)
{
    size = MIN(size, (uint64_t)DIRENTS_MAX);
    int64_t result =
        room_call(__NR_getdents64, 0, size, (uint32_t)fd, room_address(FIRST), size, 0, 0, 0);
    if (result <= 0)
        return result;
    uint8_t *copy = alloc((uint64_t)result);
    if (!copy)
        return -ENOMEM;
    room_get(copy, FIRST, (uint64_t)result);
    int64_t error = dirents_check(copy, (uint64_t)result);
    if (error)
        violation_count();
    else
        error = user_write(user, copy, (uint64_t)result);
    alloc_free(copy);
    return error ? error : result;
}

int64_t host_getcwd(char *out, uint64_t size)
{
    size = MIN(size, (uint64_t)HOST_PATH_MAX);
    int64_t result = room_call(__NR_getcwd, 0, size, room_address(FIRST), size, 0, 0, 0, 0);
    if (result <= 0)
        return result ? result : -ENOENT;
    room_get(out, FIRST, (uint64_t)result);
    out[result - 1] = 0;
    return result;
}

int host_path_at(uint64_t number, int directory, const char *path, uint64_t a2, uint64_t a3,
                 uint64_t a4)
{
    uint64_t p = path_put(FIRST, path);
    return (int)room_call(number, EXIT_INTERRUPTIBLE, 0, int_argument(directory), p, a2, a3, a4, 0);
}

int host_path(uint64_t number, const char *path, uint64_t a1, uint64_t a2)
{
    uint64_t p = path_put(FIRST, path);
    return (int)room_call(number, EXIT_INTERRUPTIBLE, 0, p, a1, a2, 0, 0, 0);
}

int host_rename(int directory, const char *path, int directory2, const char *path2, uint32_t flags)
{
    uint64_t p = path_put(FIRST, path), p2 = path_put(SECOND, path2);
    return (int)room_call(__NR_renameat2, EXIT_INTERRUPTIBLE, 0, int_argument(directory), p,
                          int_argument(directory2), p2, flags, 0);
}

int host_link(int directory, const char *path, int directory2, const char *path2, int flags)
{
    uint64_t p = path_put(FIRST, path), p2 = path_put(SECOND, path2);
    return (int)room_call(__NR_linkat, EXIT_INTERRUPTIBLE, 0, int_argument(directory), p,
                          int_argument(directory2), p2, (uint32_t)flags, 0);
}

int host_symlink(const char *target, int directory, const char *path)
{
    uint64_t t = path_put(FIRST, target), p = path_put(SECOND, path);
    return (int)room_call(__NR_symlinkat, EXIT_INTERRUPTIBLE, 0, t, int_argument(directory), p, 0,
                          0, 0);
}

int host_utimens(int directory, const char *path, const struct timespec times[2], int flags)
{
    uint64_t p = path ? path_put(FIRST, path) : 0, t = 0;
    if (times) {
        room_put(AFTER, times, 2 * sizeof *times);
        t = room_address(AFTER);
    }
    return (int)room_call(__NR_utimensat, 0, 0, int_argument(directory), p, t, (uint32_t)flags, 0,
                          0);
}

int host_memfd(const char *name, unsigned flags)
{
    uint64_t p = path_put(FIRST, name);
    return host_fd_adopt(room_call(__NR_memfd_create, 0, INT_MAX, p, flags, 0, 0, 0, 0));
}

int host_inotify_add(int fd, const char *path, uint32_t mask)
{
    uint64_t p = path_put(FIRST, path);
    return (int)room_call(__NR_inotify_add_watch, 0, INT_MAX, (uint32_t)fd, p, mask, 0, 0, 0);
}

/* The file of an xattr call: its path, or its descriptor. */
static uint64_t xattr_file(int fd, const char *path)
{
    return path ? path_put(FIRST, path) : (uint32_t)fd;
}

int64_t host_xattr_get(uint64_t number, int fd, const char *path, const char *name, void *user,
                       uint64_t size)
{
    size = MIN(size, (uint64_t)XATTR_VALUE_MAX);
    uint64_t file = xattr_file(fd, path), value = size ? room_address(AFTER) : 0;
    /* Asked with size 0 the answer is the size that would be needed. */
    uint64_t limit = size ? size : XATTR_VALUE_MAX;
    int64_t result;
    if (name)
        result = room_call(number, 0, limit, file, path_put(SECOND, name), value, size, 0, 0);
    else
        result = room_call(number, 0, limit, file, value, size, 0, 0, 0);
    if (result > 0 && size && room_get_user(user, AFTER, (uint64_t)result))
        return -EFAULT;
    return result;
}

int host_xattr_set(uint64_t number, int fd, const char *path, const char *name, const void *user,
                   uint64_t size, int flags)
{
    if (size > XATTR_VALUE_MAX)
        return -E2BIG;
    uint64_t file = xattr_file(fd, path), n = path_put(SECOND, name);
    if (room_put(AFTER, user, size))
        return -EFAULT;
    return (int)room_call(number, 0, 0, file, n, room_address(AFTER), size, (uint32_t)flags, 0);
}

int host_xattr_remove(uint64_t number, int fd, const char *path, const char *name)
{
    uint64_t file = xattr_file(fd, path), n = path_put(SECOND, name);
    return (int)room_call(number, 0, 0, file, n, 0, 0, 0, 0);
}

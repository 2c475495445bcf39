/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as the program gives them, and open. Relative ones are the host's to resolve: its working
 * directory is the program's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/names.h"
#include "enclave/os/syscalls.h"

bool path_canonical(char *path)
{
    char *out = path, *in = path;
    while (*in) {
        while (*in == '/')
            in++;
        size_t n = 0;
        while (in[n] && in[n] != '/')
            n++;
        if (n == 2 && in[0] == '.' && in[1] == '.')
            return false;
        if (n && !(n == 1 && in[0] == '.')) {
            *out++ = '/';
            memmove(out, in, n);
            out += n;
        }
        in += n;
    }
    if (out == path)
        *out++ = '/';
    *out = 0;
    return true;
}

bool made_up_place(const char *path)
{
    return !strncmp(path, "/proc/", 6) || !strncmp(path, "/dev/", 5) || names_text(path);
}

/* Where the place of a path is known it is made absolute, where that may be made up. */
static void make_absolute(struct path *p)
{
    const char *from = p->directory ? p->directory->path : NULL;
    if (p->text[0] != '/' && from && from[0] == '/' && !strchr(p->text, '.') &&
        (made_up_place(from) || !strcmp(from, "/proc") || !strcmp(from, "/dev"))) {
        size_t n = strlen(from), m = strlen(p->text);
        if (n + m + 2 <= HOST_PATH_MAX) {
            memmove(p->text + n + 1, p->text, m + 1);
            memcpy(p->text, from, n);
            p->text[n] = '/';
        }
    }
}

/* Where the path goes up, which only the host can follow; or its end. */
static char *up_in(char *text)
{
    for (char *s = text; *s; s++)
        if (s[0] == '/' && s[1] == '.' && s[2] == '.' && (s[3] == '/' || !s[3]))
            return s;
    return text + strlen(text);
}

int path_put(char *text, const char *start, const char *rest)
{
    size_t n = strlen(start), m = strlen(rest);
    if (n + m >= HOST_PATH_MAX)
        return -ENAMETOOLONG;
    memmove(text + n, rest, m + 1);
    memcpy(text, start, n);
    return 0;
}

/* Whether it is made up is found out, and it is canonical then; what is behind a descriptor is put as the host has it. 0
 * or -errno. */
static int path_settle(struct path *p)
{
    make_absolute(p);
    if (p->text[0] != '/' ||
        (p->text[1] != 'p' && p->text[1] != 'd' && p->text[1] != 'e' && p->text[1] != '/' && p->text[1] != '.'))
        return 0;
    char *up = up_in(p->text);
    size_t n = (size_t)(up - p->text);
    char *copy = alloc(HOST_PATH_MAX);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, p->text, n); /* and a NUL, as it is new */
    int error = 0;
    if (path_canonical(copy) && made_up_place(copy)) {
        bool behind = made_up_behind_descriptor(copy, *up);
        if (behind)
            error = made_up_to_host(copy, true);
        p->made_up = !*up && made_up_place(copy) && !made_up_behind_descriptor(copy, false);
        if (!error && (behind || p->made_up))
            error = path_put(p->text, copy, up);
    }
    alloc_free(copy);
    return error == -EPERM ? -ENOTDIR : error;
}

int path_take(struct path *p, int directory, uint64_t user, bool empty)
{
    int error = 0;
    *p = (struct path){.host_directory = AT_FDCWD};
    p->text = alloc(HOST_PATH_MAX);
    if (!p->text)
        return -ENOMEM;
    if (user || !empty) {
        int64_t n = user_string(p->text, (const char *)user, HOST_PATH_MAX);
        error = n < 0 ? (int)n : n == 0 && !empty ? -ENOENT : 0;
    }
    if (!error && p->text[0] != '/' && directory != AT_FDCWD) {
        p->directory = file_get(directory);
        error = p->directory ? 0 : -EBADF;
        if (p->directory)
            p->host_directory = local_on(p->directory) && !p->text[0] ? -1 : host_fd_of(p->directory);
    }
    if (!error && p->text[0])
        error = path_settle(p);
    if (!error && p->directory && p->host_directory < 0 && p->text[0] && !p->made_up)
        error = -ENOTDIR;
    if (error)
        path_drop(p);
    return error;
}

int path_take_for_host(struct path *p, int directory, uint64_t user, bool empty, bool follow)
{
    int error = path_take(p, directory, user, empty);
    if (!error && p->made_up && (error = made_up_to_host(p->text, follow)))
        path_drop(p);
    return error;
}

void path_drop(struct path *p)
{
    file_put(p->directory);
    alloc_free(p->text);
    *p = (struct path){0};
}

static int64_t open_host(const struct path *p, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    int fd;
    if (resolve)
        fd = host_openat2(p->host_directory, p->text, flags, mode, resolve);
    else
        fd = host_openat(p->host_directory, p->text, (int)flags, (int)mode);
    if (fd < 0)
        return interrupted(fd);
    struct file *f = host_file_new(
        fd, (int)flags & ~(O_CLOEXEC | O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY), p->text);
    return f ? file_install_or_put(f, (int)flags) : -ENOMEM;
}

static int64_t open_path(int directory, uint64_t user, uint64_t flags, uint64_t mode,
                         uint64_t resolve)
{
    struct path p;
    struct file *f;
    int64_t result = path_take(&p, directory, user, false);
    if (result)
        return result;
    result = p.made_up ? made_up_open(p.text, (int)flags, &f) : NOT_OURS;
    if (result == NOT_OURS)
        result = open_host(&p, flags, mode, resolve);
    else if (!result)
        result = file_install_or_put(f, (int)flags);
    else
        result = interrupted(result); /* a pipe by its descriptor waits for the other side */
    path_drop(&p);
    return result;
}

SYSCALL(open)
{
    return open_path(AT_FDCWD, a0, (uint32_t)a1, (uint32_t)a2, 0);
}

SYSCALL(openat)
{
    return open_path((int)a0, a1, (uint32_t)a2, (uint32_t)a3, 0);
}

SYSCALL(creat)
{
    return open_path(AT_FDCWD, a0, O_CREAT | O_WRONLY | O_TRUNC, (uint32_t)a1, 0);
}

SYSCALL(openat2)
{
    struct open_how how;
    if (a3 < sizeof how)
        return -EINVAL;
    if (a3 > sizeof how)
        return -E2BIG;
    if (user_get(&how, (const void *)a2))
        return -EFAULT;
    return open_path((int)a0, a1, how.flags, how.mode, how.resolve);
}

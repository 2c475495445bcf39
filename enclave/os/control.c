/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/control.h"

#include <errno.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/lib/lib.h"
#include "enclave/os/file_cache.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"

#define HEADER sizeof(struct cmsghdr)

static size_t align(size_t n)
{
    return (n + sizeof(size_t) - 1) & ~(sizeof(size_t) - 1);
}

/* The element at `at`, or NULL when there is none; *ok tells whether what is there holds up. */
static struct cmsghdr *element(const struct msghdr *m, size_t at, bool *ok)
{
    *ok = true;
    if (at > m->msg_controllen || m->msg_controllen - at < HEADER)
        return NULL;
    struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)m->msg_control + at);
    *ok = c->cmsg_len >= HEADER && c->cmsg_len <= m->msg_controllen - at;
    return *ok ? c : NULL;
}

static bool has_descriptors(const struct cmsghdr *c)
{
    return c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS;
}

static int *descriptors(struct cmsghdr *c, size_t *count)
{
    *count = (c->cmsg_len - HEADER) / sizeof(int);
    return (int *)(c + 1);
}

void references_drop(struct file_references *r)
{
    for (int i = 0; i < r->count; i++)
        file_put(r->files[i]);
    alloc_free(r->files);
    *r = (struct file_references){0};
}

int references_copy(struct file_references *to, const struct file_references *from)
{
    if (!(to->files = alloc(FILES_MOST * sizeof *to->files)))
        return -ENOMEM;
    for (; to->count < from->count; to->count++) {
        to->files[to->count] = from->files[to->count];
        file_hold(to->files[to->count]);
    }
    return 0;
}

/* One more, by the program's number: NULL and *error. */
static struct file *hold(struct file_references *held, int fd, int *error)
{
    *error = -ENOMEM;
    if (!held->files && !(held->files = alloc(FILES_MOST * sizeof *held->files)))
        return NULL;
    *error = held->count == FILES_MOST ? -EINVAL : -EBADF;
    struct file *f = held->count == FILES_MOST ? NULL : file_get(fd);
    if (f)
        held->files[held->count++] = f;
    return f;
}

static int hold_for_host(struct file_references *held, int *fd)
{
    int error;
    struct file *f = hold(held, *fd, &error);
    if (!f)
        return error;
    file_cache_surrender(f);
    *fd = host_fd_of(f);
    f->inherited = true;
    return *fd < 0 ? -EINVAL : 0; /* what only the LibOS has cannot be passed on */
}

int control_to_host(struct msghdr *m, struct file_references *held)
{
    bool ok;
    struct cmsghdr *c;
    for (size_t at = 0; (c = element(m, at, &ok)); at += align(c->cmsg_len)) {
        if (!has_descriptors(c))
            continue;
        size_t count;
        int *fds = descriptors(c, &count);
        for (size_t i = 0; i < count; i++) {
            int error = hold_for_host(held, &fds[i]);
            if (error)
                return error;
        }
    }
    return ok ? 0 : -EINVAL;
}

static int install(int host_fd, bool close_on_exec)
{
    struct file *f = host_file_adopt(host_fd);
    if (!f)
        return -ENOMEM;
    int fd = file_install(f, 0, close_on_exec);
    if (fd < 0)
        file_put(f);
    return fd;
}

void control_from_host(struct msghdr *m, bool close_on_exec)
{
    bool ok;
    struct cmsghdr *c;
    size_t at = 0;
    for (; (c = element(m, at, &ok)); at += align(c->cmsg_len)) {
        if (!has_descriptors(c))
            continue;
        size_t count, kept = 0;
        int *fds = descriptors(c, &count);
        for (size_t i = 0; i < count; i++) {
            int fd = fds[i] < 0 ? -EBADF : install(fds[i], close_on_exec);
            if (fd >= 0)
                fds[kept++] = fd;
        }
        if (kept < count) {
            c->cmsg_len = HEADER + kept * sizeof(int);
            m->msg_controllen = at + (kept ? align(c->cmsg_len) : 0);
            m->msg_flags |= MSG_CTRUNC;
            return;
        }
    }
    if (ok)
        return;
    violation_count();
    m->msg_controllen = MIN(at, m->msg_controllen);
    m->msg_flags |= MSG_CTRUNC;
}

int control_take(const struct msghdr *m, struct file_references *held)
{
    bool ok;
    struct cmsghdr *c;
    int error = 0;
    for (size_t at = 0; !error && (c = element(m, at, &ok)); at += align(c->cmsg_len)) {
        if (!has_descriptors(c)) {
            error = 1;
            break;
        }
        size_t count;
        int *fds = descriptors(c, &count);
        for (size_t i = 0; i < count && !error; i++) {
            struct file *f = hold(held, fds[i], &error);
            if (!f)
                break;
            error = 0;
            /* It may go on to another process, when nobody asks any more. */
            file_cache_surrender(f);
            if (!local_on(f))
                host_fd_of(f);
        }
    }
    if (!error && !ok)
        error = -EINVAL;
    if (error)
        references_drop(held);
    return error;
}

void control_give(struct msghdr *m, struct file_references *r, bool close_on_exec)
{
    size_t room = m->msg_control && m->msg_controllen >= HEADER ? (m->msg_controllen - HEADER) / sizeof(int) : 0;
    int *fds = (int *)((uint8_t *)m->msg_control + HEADER), given = 0;
    for (; given < r->count && (size_t)given < room; given++) {
        int fd = file_install(r->files[given], 0, close_on_exec);
        if (fd < 0)
            break;
        file_hold(r->files[given]);
        fds[given] = fd;
    }
    if (given < r->count)
        m->msg_flags |= MSG_CTRUNC;
    size_t used = HEADER + (size_t)given * sizeof(int);
    if (given)
        *(struct cmsghdr *)m->msg_control = (struct cmsghdr){used, SOL_SOCKET, SCM_RIGHTS};
    m->msg_controllen = given ? MIN(align(used), m->msg_controllen) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories whose content is made when they are opened. */
#include "enclave/os/text_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/names.h"

struct text {
    char *bytes;
    uint64_t size;
    bool directory; /* bytes are struct linux_dirent64 */
};

static int64_t text_read(struct file *f, const struct iovec *v, int count, int64_t offset,
                         int flags)
{
    struct text *t = f->data;
    int64_t done = 0, at;
    (void)flags;
    if (t->directory)
        return -EISDIR;
    lock_take(&f->lock);
    at = offset < 0 ? f->position : offset;
    for (int i = 0; i < count && at < (int64_t)t->size; i++) {
        uint64_t n = MIN(v[i].iov_len, t->size - (uint64_t)at);
        if (user_write(v[i].iov_base, t->bytes + at, n)) {
            done = done ? done : -EFAULT;
            break;
        }
        at += (int64_t)n;
        done += (int64_t)n;
    }
    if (offset < 0 && done > 0)
        f->position = at;
    lock_release(&f->lock);
    return done;
}

static int64_t text_lseek(struct file *f, int64_t offset, int whence)
{
    struct text *t = f->data;
    int64_t result = -EINVAL;
    lock_take(&f->lock);
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? f->position : (int64_t)t->size;
    if (whence >= SEEK_SET && whence <= SEEK_END &&
        !__builtin_add_overflow(base, offset, &result)) {
        if (result >= 0)
            f->position = result;
        else
            result = -EINVAL;
    }
    lock_release(&f->lock);
    return result;
}

void made_up_stat_fill(struct stat *out, uint32_t mode)
{
    memset(out, 0, sizeof *out);
    out->st_mode = mode;
    out->st_nlink = 1;
    out->st_uid = (uint32_t)enclave.start.euid;
    out->st_gid = (uint32_t)enclave.start.egid;
    out->st_blksize = 1024;
    out->st_ino = 1;
}

static int text_stat(struct file *f, struct stat *out)
{
    const struct text *t = f->data;
    made_up_stat_fill(out, t->directory ? S_IFDIR | 0555 : S_IFREG | 0444);
    if (f->path && names_text(f->path))
        out->st_size = (int64_t)t->size; /* what is in /proc has none */
    return 0;
}

#define NAME_OFFSET 19 /* of d_name in struct linux_dirent64 */

static uint16_t record_length(const char *record)
{
    uint16_t length;
    memcpy(&length, record + 16, sizeof length);
    return length;
}

static int64_t text_getdents(struct file *f, void *user, uint64_t size)
{
    const struct text *t = f->data;
    if (!t->directory)
        return -ENOTDIR;
    lock_take(&f->lock);
    uint64_t from = MIN((uint64_t)f->position, t->size), to = from;
    while (to < t->size && record_length(t->bytes + to) <= size - (to - from))
        to += record_length(t->bytes + to);
    int64_t result = (int64_t)(to - from);
    if (!result && from < t->size)
        result = -EINVAL;
    else if (user_write(user, t->bytes + from, to - from))
        result = -EFAULT;
    else
        f->position = (int64_t)to;
    lock_release(&f->lock);
    return result;
}

static void text_release(struct file *f)
{
    struct text *t = f->data;
    alloc_free(t->bytes);
    alloc_free(t);
}

static const struct file_ops text_ops = {
    .name = "proc",
    .read = text_read,
    .lseek = text_lseek,
    .stat = text_stat,
    .getdents = text_getdents,
    .release = text_release,
};

struct file *text_file_new(char *bytes, uint64_t size, const char *path)
{
    struct text *t = bytes ? alloc(sizeof *t) : NULL;
    struct file *f = t ? file_new(&text_ops, -1, O_RDONLY) : NULL;
    if (!f) {
        alloc_free(t);
        alloc_free(bytes);
        return NULL;
    }
    t->bytes = bytes;
    t->size = size;
    f->data = t;
    f->mode = S_IFREG;
    size_t n = strlen(path) + 1;
    if ((f->path = alloc(n)))
        memcpy(f->path, path, n);
    return f;
}

void listing_add(struct listing *d, const char *name, uint8_t type)
{
    uint64_t n = strlen(name) + 1, length = (NAME_OFFSET + n + 7) & ~7ull;
    if (d->bytes && length > d->room - d->size) {
        d->bytes = alloc_resize(d->bytes, d->room, d->room * 2);
        d->room *= 2;
    }
    if (!d->bytes)
        return;
    char *r = d->bytes + d->size;
    uint64_t next = d->size + length, inode = next;
    uint16_t reclen = (uint16_t)length;
    memset(r, 0, length);
    memcpy(r, &inode, 8);
    memcpy(r + 8, &next, 8);
    memcpy(r + 16, &reclen, 2);
    r[18] = (char)type;
    memcpy(r + NAME_OFFSET, name, n);
    d->size = next;
}

void listing_start(struct listing *d)
{
    *d = (struct listing){alloc(4096), 0, 4096};
    listing_add(d, ".", DT_DIR);
    listing_add(d, "..", DT_DIR);
}

int listing_open(struct listing *d, const char *path, struct file **out)
{
    *out = text_file_new(d->bytes, d->size, path);
    if (!*out)
        return -ENOMEM;
    ((struct text *)(*out)->data)->directory = true;
    (*out)->mode = S_IFDIR;
    return 0;
}

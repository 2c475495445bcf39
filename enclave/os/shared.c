/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#include "abi/start.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/clock_data.h"
#include "enclave/os/file.h"
#include "enclave/os/time.h"

#define CHUNK 0x10000ul /* of the file, read at a time */
#define GAP 16          /* unchanged bytes between changed ones that are not worth another write */
/* File systems count time in ticks: a change within the same tick shows in no other way than in the bytes.
 * Here too, in milliseconds of the TSC: a clock may need the address space, which is locked. */
#define TICK_MS 20

/* Guarded by the address space's lock, as all here is. */
static struct {
    uint8_t *file; /* CHUNK bytes */
    uint8_t *page; /* a page of the program's, as it was at one moment */
} buffers;

static int buffers_make(void)
{
    if (!buffers.file)
        buffers.file = alloc(CHUNK);
    if (!buffers.page)
        buffers.page = alloc(PAGE_SIZE);
    return buffers.file && buffers.page ? 0 : -ENOMEM;
}

static int look(struct shared *s, struct stat *status)
{
    int error = s->file->ops->stat ? s->file->ops->stat(s->file, status) : -ENODEV;
    if (error)
        return error;
    uint64_t now = clock_tsc();
    if (s->second != status->st_mtim.tv_sec || s->nanosecond != status->st_mtim.tv_nsec ||
        s->size != status->st_size)
        s->since = now;
    s->settled = now - s->since > TICK_MS * time_tsc_per_ms();
    s->second = status->st_mtim.tv_sec;
    s->nanosecond = status->st_mtim.tv_nsec;
    s->size = status->st_size;
    return 0;
}

bool shared_can_write(const struct shared *s)
{
    return (s->file->flags & O_ACCMODE) == O_RDWR;
}

struct shared *shared_new(struct file *file, uint64_t offset, uint64_t length, int protection, int *error)
{
    struct stat status;
    struct shared *s = alloc(sizeof *s);
    *error = s && !buffers_make() ? 0 : -ENOMEM;
    if (!*error) {
        *s = (struct shared){.file = file, .offset = offset, .length = length};
        *error = look(s, &status);
    }
    if (!*error && !S_ISREG(status.st_mode))
        *error = -ENODEV;
    if (!*error && (protection & PROT_WRITE) && !shared_can_write(s))
        *error = -EACCES;
    if (!*error && (protection & PROT_WRITE))
        *error = file_write_sealed(file) ? -EPERM : shared_shadow_make(s);
    if (*error) {
        alloc_free(s);
        return NULL;
    }
    /* At an offset nothing can be written through a descriptor that appends. */
    if (shared_can_write(s) && (file->flags & O_APPEND)) {
        s->file = file_open_again(file, O_RDWR, error);
        if (!s->file) {
            alloc_free(s->shadow);
            alloc_free(s);
            return NULL;
        }
    } else {
        file_hold(file);
    }
    s->device = status.st_dev;
    s->inode = status.st_ino;
    return s;
}

bool shared_nameless(struct shared *s)
{
    struct stat status;
    return s->file->path && !look(s, &status) && !status.st_nlink;
}

void shared_drop(struct shared *s)
{
    file_put(s->file);
    alloc_free(s->shadow);
    alloc_free(s);
}

bool shared_is_of(const struct shared *s, uint64_t device, uint64_t inode)
{
    return s->inode == inode && s->device == device;
}

int shared_shadow_make(struct shared *s)
{
    if (!s->shadow)
        s->shadow = alloc(s->length);
    return s->shadow ? 0 : -ENOMEM;
}

/* Where the area's part of the shadow begins. */
static uint8_t *shadow_of(const struct shared *s, uint64_t file_offset)
{
    return s->shadow + (file_offset - s->offset);
}

int shared_note(struct shared *s, const struct area *a)
{
    return user_read(shadow_of(s, a->offset), (const void *)a->start, a->end - a->start);
}

/* The part of the area that shows [from, to) of the file, in whole pages: false: none. */
static bool clip(const struct area *a, uint64_t *from, uint64_t *to)
{
    uint64_t end = a->offset + (a->end - a->start);
    *from = MAX(*from & ~(PAGE_SIZE - 1), a->offset);
    *to = *to >= end ? end : (*to + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    return *from < *to;
}

/* From `at` on, the first byte that differs and the end of the run of such; false: there is none. */
static bool difference(const uint8_t *a, const uint8_t *b, uint64_t at, uint64_t end, uint64_t *first,
                       uint64_t *last)
{
    while (at < end && a[at] == b[at])
        at++;
    *first = at;
    uint64_t same = 0;
    for (*last = at; at < end && same <= GAP; at++) {
        same = a[at] == b[at] ? same + 1 : 0;
        if (!same)
            *last = at + 1;
    }
    return *first < end;
}

static int push_page(struct shared *s, uint64_t offset, uint64_t size)
{
    uint8_t *shadow = shadow_of(s, offset);
    uint64_t end = offset >= size ? 0 : MIN(PAGE_SIZE, size - offset), at = 0, first, last;
    int result = 0;
    for (; difference(buffers.page, shadow, at, end, &first, &last); at = last) {
        int64_t n = file_write_at(s->file, buffers.page + first, last - first, offset + first);
        if (n == (int64_t)(last - first))
            memcpy(shadow + first, buffers.page + first, last - first);
        else if (!result)
            result = n < 0 ? (int)n : -EIO;
    }
    return result;
}

int shared_push(struct shared *s, const struct area *a, uint64_t from, uint64_t to)
{
    struct stat status;
    bool looked = false;
    int result = 0;
    if (!s->shadow || !clip(a, &from, &to))
        return 0;
    for (uint64_t offset = from; offset < to; offset += PAGE_SIZE) {
        const void *at = (const void *)(a->start + (offset - a->offset));
        /* In one go: threads of the program write meanwhile, and what they write is pushed next time. */
        if (user_read(buffers.page, at, PAGE_SIZE))
            return -EFAULT;
        if (!memcmp(buffers.page, shadow_of(s, offset), PAGE_SIZE))
            continue;
        int error = looked ? 0 : look(s, &status);
        looked = true;
        if (!error)
            error = push_page(s, offset, (uint64_t)MAX(s->size, 0));
        if (error && !result)
            result = error;
    }
    return result;
}

/* A page that has a shadow: bytes that the file and not the program has changed. */
static int pull_both(const uint8_t *file, uint8_t *shadow, uint64_t at)
{
    if (!memcmp(file, shadow, PAGE_SIZE))
        return 0;
    if (user_read(buffers.page, (const void *)at, PAGE_SIZE))
        return -EFAULT;
    for (uint64_t i = 0, end; i < PAGE_SIZE; i = end + 1) {
        while (i < PAGE_SIZE && (file[i] == shadow[i] || buffers.page[i] != shadow[i]))
            i++;
        for (end = i; end < PAGE_SIZE && file[end] != shadow[end] && buffers.page[end] == shadow[end];)
            end++;
        if (i < end && user_write((void *)(at + i), file + i, end - i))
            return -EFAULT;
        memcpy(shadow + i, file + i, end - i);
    }
    return 0;
}

/* Pages that the program cannot write are as the file. */
static int pull_over(const uint8_t *file, uint64_t at, int (*writable)(uint64_t, uint64_t))
{
    if (user_read(buffers.page, (const void *)at, PAGE_SIZE))
        return -EFAULT;
    if (!memcmp(buffers.page, file, PAGE_SIZE))
        return 0;
    int error = writable(at, at + PAGE_SIZE);
    return error ? error : user_write((void *)at, file, PAGE_SIZE);
}

int shared_pull(struct shared *s, const struct area *a, uint64_t from, uint64_t to,
                int (*writable)(uint64_t start, uint64_t end))
{
    if (!clip(a, &from, &to))
        return 0;
    for (uint64_t offset = from; offset < to; offset += CHUNK) {
        uint64_t length = MIN(CHUNK, to - offset);
        int64_t n = file_read_at(s->file, buffers.file, length, offset);
        if (n < 0)
            return (int)n;
        /* The rest of the file's last page reads as zeros; pages beyond it stay as they are. */
        uint64_t whole = ((uint64_t)n + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
        memset(buffers.file + n, 0, whole - (uint64_t)n);
        for (uint64_t page = 0; page < whole; page += PAGE_SIZE) {
            uint64_t at = a->start + (offset + page - a->offset);
            int error;
            if (s->shadow && (a->protection & PROT_WRITE))
                error = pull_both(buffers.file + page, shadow_of(s, offset + page), at);
            else
                error = pull_over(buffers.file + page, at, writable);
            if (error)
                return error;
            if (s->shadow && !(a->protection & PROT_WRITE))
                memcpy(shadow_of(s, offset + page), buffers.file + page, PAGE_SIZE);
        }
        if ((uint64_t)n < length)
            break;
    }
    return 0;
}

bool shared_unchanged(struct shared *s)
{
    struct stat status;
    struct shared before = *s;
    /* Another process that has it mapped changes it without the file's time being touched. */
    if (s->shadow || look(s, &status))
        return false;
    return before.settled && before.second == s->second && before.nanosecond == s->nanosecond &&
           before.size == s->size;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "abi/file.h"
#include "host/host.h"
#include "host/xsk.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define PAGE 4096ul

/* ---- facts ---- */

int64_t file_facts(int fd, uint64_t offset)
{
    struct stat s;
    struct statfs fs;
    struct rlimit limit;
    if (offset % 8 || !arena_place(offset, sizeof(struct file_facts)))
        return -EFAULT;
    if (fstat(fd, &s))
        return -errno;
    off_t position = lseek(fd, 0, SEEK_CUR);
    struct file_facts facts = {
        .mode = s.st_mode,
        .device = s.st_dev,
        .inode = s.st_ino,
        .size = (uint64_t)s.st_size,
        .position = position < 0 ? FILE_NO_POSITION : (uint64_t)position,
        .limit = UINT64_MAX,
    };
    if (!fstatfs(fd, &fs)) {
        facts.file_system = (uint64_t)fs.f_type;
        facts.free = fs.f_blocks ? fs.f_bavail * (uint64_t)fs.f_bsize : UINT64_MAX;
    }
    if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY)
        facts.limit = limit.rlim_cur;
    memcpy(host.arena + offset, &facts, sizeof facts);
    return 0;
}

int64_t file_size(int fd)
{
    struct stat s;
    return fstat(fd, &s) ? -errno : s.st_size;
}

/* Whoever else has the position may move it in between: then it is put back by as much. */
int64_t file_move(int fd, uint64_t from, int64_t by)
{
    off_t here = lseek(fd, 0, SEEK_CUR);
    if (here < 0)
        return -errno;
    if (from == FILE_ANYWHERE)
        from = (uint64_t)here;
    if ((uint64_t)here != from)
        return -EAGAIN;
    if (!by)
        return here;
    off_t there = lseek(fd, by, SEEK_CUR);
    if (there < 0)
        return -errno;
    if (there == here + by)
        return there;
    lseek(fd, -by, SEEK_CUR);
    return -EAGAIN;
}

/* ---- windows ---- */

/* The kernel maps 16 pages around one that is touched; touched by a call, as the file may be cut
 * shorter meanwhile: that is an error then and no SIGBUS. */
#define AROUND 0x10000ul

static void make_ready(uint8_t *at, uint64_t length)
{
    uint8_t bytes[WINDOW_STEP / AROUND];
    struct iovec to = {bytes, sizeof bytes}, from[WINDOW_STEP / AROUND];
    uint64_t count = 0;
    for (uint64_t i = 0; i < length; i += AROUND)
        from[count++] = (struct iovec){at + i, 1};
    if (count > 1 && process_vm_readv(getpid(), &to, 1, from, count, 0) == (ssize_t)count)
        return;
    madvise(at, length, MADV_POPULATE_READ);
}

/* What is not in the page cache is fetched at once, and as much again after it. */
static void fetch(int fd, off_t offset, uint64_t length)
{
    const off_t probes[] = {offset, offset + (off_t)length - 1};
    char byte;
    struct iovec v = {&byte, 1};
    for (int i = 0; i < 2; i++)
        if (preadv2(fd, &v, 1, probes[i], RWF_NOWAIT) < 0) {
            readahead(fd, offset, 2 * length);
            return;
        }
}

/* Nothing but the arena's own memory there. */
static int64_t unmap(uint8_t *at)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    void *there = mmap(at, WINDOW_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    return there == MAP_FAILED ? -errno : 0;
}

int64_t file_map(uint64_t fd, uint64_t page, uint64_t length, uint64_t offset, uint64_t from)
{
    uint8_t *at = host.arena + offset;
    struct stat s;
    if (!arena_pages(offset, WINDOW_BYTES) || length > WINDOW_STEP || from % PAGE || from > WINDOW_BYTES - length ||
        page > INT64_MAX / PAGE - WINDOW_BYTES / PAGE)
        return -EINVAL;
    if (fd == WINDOW_NO_FILE)
        return unmap(at);
    off_t first = (off_t)(page * PAGE), start = first + (off_t)from;
    if (fstat((int)fd, &s))
        return -errno;
    if (!S_ISREG(s.st_mode))
        return -ENODEV;
    if (s.st_size <= start)
        return 0;
    uint64_t whole = (uint64_t)(s.st_size - start) / PAGE * PAGE;
    uint64_t valid = whole < length ? whole : length;
    if (!valid)
        return 0;
    fetch((int)fd, start, valid);
    if (!from && mmap(at, WINDOW_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, (int)fd, first) == MAP_FAILED) {
        int error = -errno;
        unmap(at); /* what was there before may be gone: nobody else is to get the place */
        return error;
    }
    make_ready(at + from, valid);
    return (int64_t)valid;
}

/* ---- extents ---- */

struct extent {
    pthread_mutex_t lock; /* one writes at a time */
    struct extent_shared *shared;
    uint64_t seen; /* sequence of what was ready at the last look, 0: nothing was */
};

static struct {
    pthread_mutex_t lock; /* of opening */
    struct extent extent[EXTENTS_MAX];
    _Atomic uint32_t count; /* those below it do not change */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

int64_t extents_open(uint64_t number, uint64_t offset)
{
    if (!arena_pages(offset, EXTENT_SIZE))
        return -EINVAL;
    pthread_mutex_lock(&all.lock);
    int error =
        number < EXTENTS_MAX && number == atomic_load(&all.count) ? monitor_start() : -EINVAL;
    if (!error) {
        pthread_mutex_init(&all.extent[number].lock, NULL);
        all.extent[number].shared = (struct extent_shared *)(host.arena + offset);
        atomic_store(&all.count, (uint32_t)number + 1);
    }
    pthread_mutex_unlock(&all.lock);
    return error;
}

static int write_whole(int fd, const uint8_t *data, uint64_t length, uint64_t offset)
{
    uint64_t done = 0;
    while (done < length) {
        ssize_t n = offset == EXTENT_AT_POSITION
                        ? write(fd, data + done, length - done)
                        : pwrite(fd, data + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

static uint64_t state_of(struct extent *x)
{
    return __atomic_load_n(&x->shared->state, __ATOMIC_SEQ_CST);
}

/* With the extent's lock. */
static void write_extent(struct extent *x)
{
    struct extent_shared *s = x->shared;
    uint64_t ready = EXTENT_READY;
    if (!__atomic_compare_exchange_n(&s->state, &ready, (uint64_t)EXTENT_WRITING, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return;
    uint64_t length = s->length;
    int error = length <= EXTENT_BYTES
                    ? write_whole((int)s->file, (uint8_t *)s + EXTENT_DATA, length, s->offset)
                    : -EINVAL;
    if (error)
        __atomic_store_n(&s->error, (uint64_t)-error, __ATOMIC_RELAXED);
    __atomic_store_n(&s->state, (uint64_t)EXTENT_EMPTY, __ATOMIC_SEQ_CST);
}

int64_t extents_write(uint64_t number)
{
    if (number >= atomic_load(&all.count))
        return -EINVAL;
    struct extent *x = &all.extent[number];
    pthread_mutex_lock(&x->lock);
    write_extent(x);
    pthread_mutex_unlock(&x->lock);
    /* Before the monitor is woken: it says no more than that it will look again. */
    for (uint32_t i = 0; i < atomic_load(&all.count); i++)
        __atomic_store_n(&all.extent[i].shared->watched, 1, __ATOMIC_SEQ_CST);
    monitor_wanted();
    return 0;
}

bool extents_look(void)
{
    bool any = false;
    for (uint32_t i = 0; i < atomic_load(&all.count); i++) {
        struct extent *x = &all.extent[i];
        uint64_t state = state_of(x), sequence = x->shared->sequence;
        bool filled = state == EXTENT_READY || state == EXTENT_FILLING;
        any = any || filled;
        if (!filled || sequence != x->seen) {
            x->seen = filled ? sequence : 0;
            continue;
        }
        pthread_mutex_lock(&x->lock);
        write_extent(x);
        pthread_mutex_unlock(&x->lock);
    }
    return any;
}

bool extents_unwatch(void)
{
    bool any = false;
    uint32_t count = atomic_load(&all.count);
    for (uint32_t i = 0; i < count; i++)
        __atomic_store_n(&all.extent[i].shared->watched, 0, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < count; i++)
        any = any || state_of(&all.extent[i]) != EXTENT_EMPTY;
    for (uint32_t i = 0; any && i < count; i++)
        __atomic_store_n(&all.extent[i].shared->watched, 1, __ATOMIC_SEQ_CST);
    return any;
}

void extents_finish(void)
{
    for (uint32_t i = 0; i < atomic_load(&all.count); i++) {
        struct extent *x = &all.extent[i];
        pthread_mutex_lock(&x->lock);
        write_extent(x);
        pthread_mutex_unlock(&x->lock);
    }
}

void extents_forked(void)
{
    atomic_store(&all.count, 0);
    pthread_mutex_init(&all.lock, NULL);
}

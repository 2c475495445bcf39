/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/file_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "abi/file.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/io/claims.h"
#include "enclave/io/extents.h"
#include "enclave/io/ways.h"
#include "enclave/io/windows.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/time.h"

#define PAGE 4096
#define AT_HOST (-1) /* of an offset: where the host's position is */
#define NOWHERE (-2)

#define RUN 4        /* so many in sequence before anything is done about it */
#define MANY_READS 8 /* of a small file, in any order */
#define GATHER_MOST (EXTENT_BYTES / 2)
#define READ_MOST 0x40000ul /* larger reads are worth an exit each */
#define WINDOW_FIRST 0x20000ul
#define NOTED_LEAST 0x40000ul /* bytes read by windows, moves included, that tell what they cost */
#define NO_END INT64_MAX
#define FAR (1ll << 40) /* from here on the host judges offsets: file systems end somewhere */

/* Room on the file system: below the first nothing is accepted that might not fit, and not much
 * more than a part of what there is before one looks again. */
#define ROOM_LEAST (32ull << 20)
#define ROOM_MOST (64ull << 20)
#define ROOM_PART 16
#define ROOM_PAUSE (1ull << 20) /* bytes written by the host before the next look */

/* Transfers that follow each other. */
struct run {
    int64_t next; /* offset that would continue it, or AT_HOST */
    uint32_t length;
    uint64_t last; /* TSC; of writes */
};

struct file_cache {
    struct lock lock; /* guards all of it; taken before those of extents and windows */
    enum { UNASKED, FIT, UNFIT } fitness;
    int64_t position; /* AT_HOST: it is the host's */
    uint32_t lent;    /* transfers at the host's position that are under way */

    struct run reads, writes;
    uint32_t read_count;

    struct claim claim;
    struct window_file window;
    bool windowless;      /* the file cannot be mapped */
    int64_t end;          /* no whole page lies behind, as far as known; NO_END: not known */
    uint64_t ahead;       /* size of the next window */
    int64_t shown_end;    /* what windows show before it was in the file ... */
    uint32_t shown_order; /* ... at this order.generation ... */
    uint64_t shown_at;    /* ... and TSC */
    uint64_t shown_bytes; /* read by windows ... */
    uint64_t shown_cost;  /* ... in so many TSC counts, since they were noted (ways.h) */

    struct extent_file extent;
    uint64_t room;  /* bytes that may be accepted before one looks again */
    uint64_t pause; /* bytes to be written by the host before one looks again */
};

static uint64_t size_limit = UINT64_MAX; /* RLIMIT_FSIZE */

void file_cache_limit(uint64_t bytes)
{
    __atomic_store_n(&size_limit, bytes, __ATOMIC_RELAXED);
}

static uint64_t tsc(void)
{
    return __builtin_ia32_rdtsc();
}

static int64_t page_down(int64_t offset)
{
    return offset & ~(int64_t)(PAGE - 1);
}

static struct file_cache *cache_of(struct file *f)
{
    struct file_cache *c = __atomic_load_n(&f->cache, __ATOMIC_ACQUIRE);
    if (c || f->caching == CACHING_NONE)
        return c;
    lock_take(&f->lock);
    if (!f->cache && (c = alloc(sizeof *c))) {
        c->position = AT_HOST;
        c->reads.next = c->writes.next = NOWHERE;
        c->window.host_fd = c->extent.host_fd = c->claim.host_fd = f->host_fd;
        c->end = NO_END;
        c->ahead = WINDOW_FIRST;
        __atomic_store_n(&f->cache, c, __ATOMIC_RELEASE);
    }
    c = f->cache;
    lock_release(&f->lock);
    return c;
}

/* ---- what the file is ---- */

/* Local ones, where pages that are mapped are those that read(2) reads. */
static bool fit_system(uint64_t magic)
{
    switch (magic) {
    case 0xef53:     /* ext2, ext3, ext4 */
    case 0x58465342: /* XFS */
    case 0x9123683e: /* Btrfs */
    case 0xf2f52010: /* F2FS */
    case 0xca451a4e: /* bcachefs */
    case 0x01021994: /* tmpfs */
    case 0x858458f6: /* ramfs */
    case 0x794c7630: /* overlayfs */
    case 0x73717368: /* SquashFS */
    case 0xe0f5e1e2: /* EROFS */
    case 0x9660:     /* ISO 9660 */
    case 0x2011bab0: /* exFAT */
    case 0x4d44:     /* FAT */
        return true;
    }
    return false;
}

/* With the lock held: the position is ours from here on. */
static void position_set(struct file_cache *c, int64_t position)
{
    c->position = position;
    if (c->reads.next == AT_HOST)
        c->reads.next = position;
    if (c->writes.next == AT_HOST)
        c->writes.next = position;
}

static bool position_free(const struct file *f, const struct file_cache *c)
{
    return c->position < 0 && f->caching == CACHING_FULL && !c->lent;
}

/* Without the lock. */
static bool unfit(const struct file_cache *c)
{
    return __atomic_load_n(&c->fitness, __ATOMIC_RELAXED) == UNFIT;
}

/* With the lock held: asks the host. True: fit. */
static bool ask(struct file *f, struct file_cache *c)
{
    struct file_facts facts;
    extent_settle(c->extent.device, c->extent.inode);
    if (host_file_facts(f->host_fd, &facts)) {
        __atomic_store_n(&c->fitness, UNFIT, __ATOMIC_RELAXED);
        return false;
    }
    f->mode = (uint32_t)facts.mode & S_IFMT;
    bool fit =
        f->mode == S_IFREG && fit_system(facts.file_system) && facts.position != FILE_NO_POSITION;
    __atomic_store_n(&c->fitness, fit ? FIT : UNFIT, __ATOMIC_RELAXED);
    c->extent.device = facts.device;
    c->extent.inode = facts.inode;
    c->end = page_down((int64_t)facts.size);
    c->room = facts.free < ROOM_LEAST ? 0 : MIN(facts.free / ROOM_PART, ROOM_MOST);
    c->pause = c->room ? 0 : ROOM_PAUSE;
    file_cache_limit(facts.limit);
    if (fit && position_free(f, c) && !(f->flags & O_APPEND))
        position_set(c, (int64_t)facts.position);
    return fit;
}

static bool fit(struct file *f, struct file_cache *c)
{
    return c->fitness == FIT || (c->fitness == UNASKED && ask(f, c));
}

/* ---- the position ---- */

/* With the lock held: is the position ours, or can it be made so? */
static bool position_take(struct file *f, struct file_cache *c)
{
    if (position_free(f, c)) {
        int64_t position = host_file_seek(f, 0, SEEK_CUR);
        if (position >= 0)
            position_set(c, position);
    }
    return c->position >= 0;
}

static void position_give(struct file *f, struct file_cache *c)
{
    if (c->position < 0)
        return;
    host_file_seek(f, c->position, SEEK_SET);
    c->position = AT_HOST;
    c->reads.next = c->writes.next = NOWHERE;
}

/* Where the position goes by SEEK_SET or SEEK_CUR; -1: let the host decide. */
static int64_t destination(const struct file_cache *c, int64_t offset, int whence)
{
    int64_t from = whence == SEEK_CUR ? c->position : 0;
    if (c->position < 0 || (whence != SEEK_SET && whence != SEEK_CUR))
        return -1;
    if (from > FAR || offset > FAR || offset < -FAR || from + offset > FAR)
        return -1;
    return from + offset;
}

int64_t file_cache_lseek(struct file *f, int64_t offset, int whence)
{
    struct file_cache *c = cache_of(f);
    if (!c)
        return host_file_seek(f, offset, whence);
    lock_take(&c->lock);
    int64_t result = destination(c, offset, whence);
    if (result >= 0) {
        c->position = result;
        lock_release(&c->lock);
        return result;
    }
    if (whence == SEEK_SET || whence == SEEK_CUR)
        position_give(f, c); /* else the host does not look at its own */
    bool ours = c->position >= 0;
    if (!ours) {
        c->lent++;
        lock_release(&c->lock);
    }
    result = host_file_seek(f, offset, whence);
    if (!ours) {
        lock_take(&c->lock);
        c->lent--;
        if (whence != SEEK_CUR || offset)
            c->reads.next = c->writes.next = NOWHERE;
        ours = c->fitness == FIT && position_free(f, c);
    }
    if (ours && result >= 0)
        c->position = result;
    lock_release(&c->lock);
    return result;
}

void file_cache_lend(struct file *f)
{
    struct file_cache *c = cache_of(f);
    if (!c)
        return;
    lock_take(&c->lock);
    position_give(f, c);
    c->lent++;
    lock_release(&c->lock);
}

void file_cache_return(struct file *f)
{
    struct file_cache *c = f->cache;
    if (!c)
        return;
    lock_take(&c->lock);
    c->lent -= c->lent > 0;
    lock_release(&c->lock);
}

void file_cache_surrender(struct file *f)
{
    struct file_cache *c = cache_of(f);
    if (!c) {
        f->caching = CACHING_NONE;
        return;
    }
    lock_take(&c->lock);
    extent_settle(c->extent.device, c->extent.inode);
    position_give(f, c);
    if (f->caching != CACHING_CLAIMS || !claim_rest(&c->claim)) /* else it is read first */
        f->caching = CACHING_SHARED;
    lock_release(&c->lock);
}

void file_cache_disown(struct file *f)
{
    if (f->caching != CACHING_CLAIMS)
        return;
    f->caching = CACHING_SHARED;
    if (f->cache)
        f->cache->claim = (struct claim){.host_fd = f->host_fd};
}

void file_cache_restart(void)
{
    extents_restart();
    windows_restart();
}

/* ---- transfers ---- */

/* Is this one more of a run? Its length so far. */
static uint32_t run_note(struct run *r, int64_t offset)
{
    r->length = r->next == offset ? r->length + 1 : 0;
    return r->length;
}

static void run_continue(struct run *r, int64_t offset, int64_t n)
{
    r->next = offset < 0 ? AT_HOST : offset + MAX(n, 0);
}

/* By the host what is left after `done` bytes. With the lock held, which is released. `here`: the
 * position moves, which is ours if offset is not AT_HOST. */
static int64_t by_host(struct file *f, struct file_cache *c, bool write, bool here, int64_t offset,
                       const struct iovec *v, int count, int64_t done, int flags)
{
    struct run *r = write ? &c->writes : &c->reads;
    bool ours = here && offset >= 0;
    if (!ours) {
        c->lent += here;
        run_continue(r, offset, (int64_t)iovec_length(v, count));
        lock_release(&c->lock);
    }
    uint64_t began = tsc();
    int64_t n = host_file_transfer(f, write, v, count, (uint64_t)done, offset, flags);
    if (!write && n > 0 && !done && __atomic_load_n(&c->fitness, __ATOMIC_RELAXED) == FIT)
        ways_note_exit((uint64_t)n, tsc() - began);
    n = n < 0 && done ? done : n < 0 ? n : n + done;
    if (ours) {
        if (n > 0)
            c->position = offset + n;
        run_continue(r, offset, n);
        lock_release(&c->lock);
    } else if (here) {
        lock_take(&c->lock);
        c->lent--;
        lock_release(&c->lock);
    }
    return n;
}

/* ---- reading ---- */

/* With the lock held: what the window shows was in the file when nothing that has reached us was
 * known. */
static bool shown_fresh(const struct file_cache *c)
{
    return c->shown_order == __atomic_load_n(&order.generation, __ATOMIC_SEQ_CST) &&
           tsc() - c->shown_at < time_tsc_per_ms();
}

static void shown_note(struct file_cache *c, uint32_t generation, int64_t end)
{
    c->shown_order = generation;
    c->shown_at = tsc();
    c->shown_end = end;
}

/* The size may be another: asks for it. */
static bool shown_check(struct file *f, struct file_cache *c)
{
    uint32_t generation = __atomic_load_n(&order.generation, __ATOMIC_SEQ_CST);
    int64_t size = host_file_size(f->host_fd);
    if (size < 0)
        return false;
    shown_note(c, generation, page_down(size));
    return true;
}

/* Moves the window to `offset`. True: it shows something there. */
static bool window_advance(struct file_cache *c, int64_t offset, uint64_t left)
{
    bool small = c->end <= (int64_t)WINDOW_STEP;
    bool run = c->reads.length >= RUN;
    if (c->windowless || offset >= c->end || (!run && !(small && c->read_count >= MANY_READS)))
        return false;
    if (run && (uint64_t)(c->end - offset) < 4 * left)
        return false; /* as many exits without it */
    int64_t page = run ? page_down(offset) : 0;
    uint64_t length =
        run ? MAX(c->ahead, MIN(4 * left, WINDOW_STEP) & ~(PAGE - 1ul)) : WINDOW_STEP;
    uint32_t generation = __atomic_load_n(&order.generation, __ATOMIC_SEQ_CST);
    int64_t valid = window_move(&c->window, (uint64_t)page, &length);
    if (valid < 0) {
        c->windowless = valid != -EAGAIN;
        return false;
    }
    shown_note(c, generation, page + valid);
    if ((uint64_t)valid < length)
        c->end = page + valid;
    c->ahead = MIN(2 * MAX(length, c->ahead), WINDOW_STEP);
    return offset < page + valid;
}

/* From the window, into the buffers `skip` bytes into them. Bytes; 0: it shows none; -EFAULT. */
static int64_t from_window(struct file_cache *c, int64_t offset, const struct iovec *v, int count,
                           uint64_t skip)
{
    for (int i = 0; i < count; i++) {
        if (skip < v[i].iov_len)
            return window_read(&c->window, (uint64_t)offset, (uint64_t)c->shown_end,
                               (uint8_t *)v[i].iov_base + skip, v[i].iov_len - skip);
        skip -= v[i].iov_len;
    }
    return 0;
}

/* With the lock held. Bytes, perhaps fewer than there are. */
static uint64_t serve(struct file *f, struct file_cache *c, int64_t offset, const struct iovec *v,
                      int count, uint64_t total)
{
    uint64_t done = 0, began = tsc();
    extent_settle(c->extent.device, c->extent.inode);
    while (done < total) {
        int64_t at = offset + (int64_t)done;
        if (!shown_fresh(c) && window_shows(&c->window, (uint64_t)at) && !shown_check(f, c))
            break;
        int64_t n = from_window(c, at, v, count, done);
        if (n < 0 || (n == 0 && !window_advance(c, at, total - done)))
            break;
        done += (uint64_t)n;
    }
    if (done == total) {
        c->shown_bytes += done;
        c->shown_cost += tsc() - began;
    }
    if (c->shown_bytes >= NOTED_LEAST) {
        ways_note_window(c->shown_bytes, c->shown_cost);
        c->shown_bytes = c->shown_cost = 0;
    }
    return done;
}

/* As above, from where the position is that others have too. */
static uint64_t serve_claim(struct file *f, struct file_cache *c, const struct iovec *v, int count, uint64_t total)
{
    int64_t offset = claim_take(&c->claim, &total, c->end);
    uint64_t done = offset < 0 ? 0 : serve(f, c, offset, v, count, total);
    if (offset >= 0 && done < total)
        claim_return(&c->claim, total - done);
    return done;
}

/* May windows be of use for this read? */
static bool serves(struct file *f, struct file_cache *c, uint64_t total, int flags)
{
    if (flags || !total || total > READ_MOST || f->flags & O_DIRECT || c->windowless)
        return false;
    return (c->window.window || c->reads.length >= RUN || c->read_count >= MANY_READS) && fit(f, c);
}

int64_t file_cache_read(struct file *f, const struct iovec *v, int count, int64_t offset, int flags)
{
    struct file_cache *c = cache_of(f);
    if (!c || unfit(c))
        return host_file_transfer(f, false, v, count, 0, offset, flags);
    uint64_t total = iovec_length(v, count), done = 0;
    bool here = offset < 0;
    lock_take(&c->lock);
    if (here && flags)
        position_give(f, c);
    if (here)
        offset = c->position;
    c->read_count++;
    if (!run_note(&c->reads, offset))
        c->ahead = WINDOW_FIRST;
    if (offset >= 0 && offset - c->end >= (int64_t)WINDOW_FIRST)
        c->end = NO_END; /* it has grown */
    if (serves(f, c, total, flags)) {
        if (here && position_take(f, c))
            offset = c->position;
        if (offset >= 0 && ways_window(total))
            done = serve(f, c, offset, v, count, total);
        else if (offset < 0 && f->caching == CACHING_CLAIMS)
            done = serve_claim(f, c, v, count, total);
    }
    if (done < total || !total)
        return by_host(f, c, false, here, offset, v, count, (int64_t)done, flags);
    if (here && offset >= 0)
        c->position = offset + (int64_t)done;
    run_continue(&c->reads, offset, (int64_t)done);
    lock_release(&c->lock);
    return (int64_t)done;
}

/* ---- writing ---- */

/* May this write be accepted before it is done? */
static bool gathers(struct file *f, struct file_cache *c, uint64_t total, int flags)
{
    if (flags || !total || total > GATHER_MOST || f->flags & (O_DIRECT | O_SYNC | O_DSYNC) ||
        c->writes.length < RUN || !fit(f, c))
        return false;
    if (c->room < total && !c->pause)
        ask(f, c);
    return c->room >= total && c->fitness == FIT;
}

/* Where it goes: in the file, AT_HOST, or NOWHERE: by the host after all. */
static int64_t place(struct file *f, struct file_cache *c, bool here, int64_t offset,
                     uint64_t total)
{
    bool append = f->flags & O_APPEND;
    uint64_t limit = __atomic_load_n(&size_limit, __ATOMIC_RELAXED);
    if (here && (append || f->caching != CACHING_FULL)) {
        if (limit != UINT64_MAX)
            return NOWHERE;
        if (c->position >= 0) { /* an append sets it */
            c->position = AT_HOST;
            c->reads.next = NOWHERE;
        }
        return AT_HOST;
    }
    if (append) /* pwrite(2) appends too, and leaves the position */
        return NOWHERE;
    if (here && !position_take(f, c))
        return NOWHERE;
    int64_t at = here ? c->position : offset;
    return at <= FAR && (uint64_t)at + total <= limit ? at : NOWHERE;
}

static void wrote(struct file_cache *c, bool here, int64_t at, int64_t n)
{
    if (n <= 0)
        return;
    c->room -= MIN(c->room, (uint64_t)n);
    if (here && at >= 0)
        c->position = at + n;
    if (at < 0 || at + n > c->end)
        c->end = NO_END;
    run_continue(&c->writes, at, n);
}

int64_t file_cache_write(struct file *f, const struct iovec *v, int count, int64_t offset,
                         int flags)
{
    struct file_cache *c = cache_of(f);
    if (!c || unfit(c))
        return host_file_transfer(f, true, v, count, 0, offset, flags);
    uint64_t total = iovec_length(v, count), now = tsc();
    bool here = offset < 0;
    lock_take(&c->lock);
    int64_t error = extent_error(&c->extent);
    if (error) {
        lock_release(&c->lock);
        return error;
    }
    if (here && flags)
        position_give(f, c);
    if (here)
        offset = c->position;
    run_note(&c->writes, offset);
    if (now - c->writes.last > time_tsc_per_ms()) /* the first for a while: at once */
        c->writes.length = MIN(c->writes.length, RUN - 1u);
    c->writes.last = now;
    int64_t at = gathers(f, c, total, flags) ? place(f, c, here, offset, total) : NOWHERE;
    int64_t n = at == NOWHERE ? -EAGAIN : extent_write(&c->extent, at, v, count);
    if (n != -EAGAIN) {
        wrote(c, here, at, n);
        lock_release(&c->lock);
        return n;
    }
    if (here && f->flags & O_APPEND && c->position >= 0) {
        c->position = AT_HOST; /* an append sets it */
        c->reads.next = NOWHERE;
    }
    if (here)
        offset = c->position;
    c->pause -= MIN(c->pause, total);
    if (offset < 0 || offset + (int64_t)total > c->end)
        c->end = NO_END;
    return by_host(f, c, true, here, offset, v, count, 0, flags);
}

int file_cache_settle(struct file *f)
{
    struct file_cache *c = __atomic_load_n(&f->cache, __ATOMIC_ACQUIRE);
    if (!c)
        return 0;
    lock_take(&c->lock);
    extent_settle(c->extent.device, c->extent.inode);
    int error = extent_error(&c->extent);
    lock_release(&c->lock);
    return error;
}

void file_cache_release(struct file *f)
{
    struct file_cache *c = f->cache;
    if (!c)
        return;
    claim_rest(&c->claim);
    extent_release(&c->extent);
    window_release(&c->window);
    f->cache = NULL;
    alloc_free(c);
}

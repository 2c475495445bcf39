/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/extents.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "abi/exits.h"
#include "abi/file.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/untrusted.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define AT_POSITION (-1)

/* Everything that decides is here; of the shared part state, error and watched are read. */
struct extent {
    struct lock lock; /* guards all of it, and the shared part but for what the host does to it */
    uint64_t place;   /* in the arena, 0: none yet */
    struct untrusted shared;
    uint64_t number;
    struct extent_file *owner; /* NULL: none */
    uint64_t device, inode;    /* of its file */
    uint64_t used;             /* TSC */

    /* What is gathered; stale once the host has written it by itself. */
    bool waiting;
    int64_t offset; /* in the file, or AT_POSITION */
    uint64_t length, capacity;
    uint64_t sequence;
};

static struct {
    struct lock lock; /* guards who owns which; taken before an extent's */
    struct extent extent[EXTENTS_MAX];
    uint32_t count; /* those below it are there */
    bool refused;   /* the host opens no more */
    uint64_t per_ms;
} all = {.per_ms = 2000000};

void extents_start(uint64_t tsc_per_ms)
{
    all.per_ms = tsc_per_ms;
}

#define AT(x, field) untrusted_at((x)->shared, offsetof(struct extent_shared, field))

static void note_error(struct extent *x)
{
    uint64_t error = untrusted_load(AT(x, error));
    if (!error)
        return;
    untrusted_store(AT(x, error), 0);
    if (error >= ERRNO_LIMIT) {
        violation_count();
        error = EIO;
    }
    if (x->owner)
        __atomic_store_n(&x->owner->error, -(int)error, __ATOMIC_RELAXED);
}

/* Nothing waits in it any more. */
static void emptied(struct extent *x)
{
    x->length = 0;
    if (x->waiting) {
        __atomic_store_n(&x->waiting, false, __ATOMIC_RELAXED);
        __atomic_sub_fetch(&order.waiting, 1, __ATOMIC_RELEASE);
    }
    note_error(x);
}

/* With the lock held. */
static void write_out(struct extent *x)
{
    if (!x->waiting)
        return;
    uint64_t state = untrusted_load(AT(x, state));
    if (state != EXTENT_EMPTY) { /* else the host was first */
        exit_checked(EXIT_EXTENT_WRITE, 0, 0, x->number, 0, 0, 0, 0, 0);
        state = untrusted_load(AT(x, state));
    }
    if (state != EXTENT_EMPTY)
        violation("extent %lu is in state %lu after it was written", x->number, state);
    emptied(x);
}

/* With the lock held: the shared part is ours to fill, and length is true. */
static void claim(struct extent *x)
{
    if (untrusted_swap(AT(x, state), EXTENT_READY, EXTENT_FILLING))
        return;
    if (untrusted_load(AT(x, state)) != EXTENT_EMPTY) /* the host is at it: wait */
        exit_checked(EXIT_EXTENT_WRITE, 0, 0, x->number, 0, 0, 0, 0, 0);
    if (!untrusted_swap(AT(x, state), EXTENT_EMPTY, EXTENT_FILLING))
        violation("extent %lu is neither empty nor ready", x->number);
    emptied(x);
}

/* After claim: as it is now it may be written, by an exit or by the host itself. */
static void publish(struct extent *x)
{
    if (!x->length) {
        untrusted_store(AT(x, state), EXTENT_EMPTY);
        return;
    }
    if (!x->waiting) {
        __atomic_store_n(&x->waiting, true, __ATOMIC_RELAXED);
        __atomic_add_fetch(&order.waiting, 1, __ATOMIC_ACQ_REL);
    }
    untrusted_store(AT(x, length), x->length);
    if (!untrusted_swap(AT(x, state), EXTENT_FILLING, EXTENT_READY))
        violation("extent %lu changed while it was filled", x->number);
    /* In this order, against the host's: it sees that this is READY, or we see that it is not
     * looking. */
    if (!untrusted_load(AT(x, watched)))
        write_out(x);
}

/* ---- whose it is ---- */

/* With all.lock held: a place in the arena for one more. */
static struct extent *make(void)
{
    struct extent *x = &all.extent[all.count];
    if (all.count == EXTENTS_MAX || all.refused)
        return NULL;
    if (!x->place)
        x->place = arena_pool_take(EXTENT_SIZE);
    if (!x->place)
        return NULL;
    x->shared = arena_at(x->place);
    x->number = all.count;
    const struct extent_shared empty = {0};
    untrusted_write(x->shared, &empty, sizeof empty);
    if (exit_checked(EXIT_EXTENT_OPEN, 0, 0, x->number, x->place, 0, 0, 0, 0)) {
        all.refused = true;
        return NULL;
    }
    order.write_out = extents_write_out;
    __atomic_store_n(&all.count, all.count + 1, __ATOMIC_RELEASE);
    return x;
}

/* With all.lock held: the one of this file, else one that is free, a new one, or one that was not
 * used for a while. Where all are in use, taking one away would cost as many exits as it saves. */
static struct extent *choose(const struct extent_file *f)
{
    struct extent *spare = NULL, *oldest = NULL;
    for (uint32_t i = 0; i < all.count; i++) {
        struct extent *x = &all.extent[i];
        if (!x->owner)
            spare = x;
        else if (x->device == f->device && x->inode == f->inode)
            return x;
        else if (!oldest || __atomic_load_n(&x->used, __ATOMIC_RELAXED) <
                                __atomic_load_n(&oldest->used, __ATOMIC_RELAXED))
            oldest = x;
    }
    if (!spare)
        spare = make();
    if (spare || !oldest)
        return spare;
    uint64_t used = __atomic_load_n(&oldest->used, __ATOMIC_RELAXED);
    return __builtin_ia32_rdtsc() - used > all.per_ms ? oldest : NULL;
}

static void own(struct extent *x, struct extent_file *f)
{
    write_out(x);
    __atomic_store_n(&x->owner, f, __ATOMIC_RELAXED);
    __atomic_store_n(&x->device, f ? f->device : 0, __ATOMIC_RELAXED);
    __atomic_store_n(&x->inode, f ? f->inode : 0, __ATOMIC_RELAXED);
}

/* The file's own, locked; NULL: there is none for it. */
static struct extent *take(struct extent_file *f)
{
    struct extent *x = f->extent;
    if (x) {
        lock_take(&x->lock);
        if (x->owner == f)
            return x;
        lock_release(&x->lock);
    }
    lock_take(&all.lock);
    x = f->extent = choose(f);
    if (x) {
        lock_take(&x->lock);
        own(x, f);
    }
    lock_release(&all.lock);
    return x;
}

void extent_release(struct extent_file *f)
{
    struct extent *x = f->extent;
    if (!x)
        return;
    lock_take(&all.lock);
    lock_take(&x->lock);
    if (x->owner == f)
        own(x, NULL);
    lock_release(&x->lock);
    lock_release(&all.lock);
    f->extent = NULL;
}

int extent_error(struct extent_file *f)
{
    if (!__atomic_load_n(&f->error, __ATOMIC_RELAXED))
        return 0;
    return __atomic_exchange_n(&f->error, 0, __ATOMIC_RELAXED);
}

/* ---- gathering ---- */

/* Can bytes for `offset` be put to what is there? Those at the host's position stay in one piece,
 * as an append of one process is not to be mixed with another's. */
static bool adjoins(const struct extent *x, int64_t offset, uint64_t length)
{
    if (offset == AT_POSITION || x->offset == AT_POSITION)
        return offset == x->offset && length <= x->capacity - x->length;
    return offset >= x->offset && (uint64_t)(offset - x->offset) <= x->length &&
           (uint64_t)(offset - x->offset) < x->capacity;
}

/* Extents end where the file's offset is a multiple of their size: large folios begin there. */
static void begin(struct extent *x, int64_t offset)
{
    x->offset = offset;
    x->capacity =
        offset == AT_POSITION ? EXTENT_BYTES : EXTENT_BYTES - (uint64_t)offset % EXTENT_BYTES;
    untrusted_store(AT(x, sequence), ++x->sequence);
    untrusted_store(AT(x, file), (uint64_t)x->owner->host_fd);
    untrusted_store(AT(x, offset), offset == AT_POSITION ? EXTENT_AT_POSITION : (uint64_t)offset);
}

/* Up to `length` bytes, `skip` bytes into the buffers, to `at`. Bytes or -EFAULT. */
static int64_t gather(struct extent *x, uint64_t at, const struct iovec *v, int count,
                      uint64_t skip, uint64_t length)
{
    uint64_t done = 0;
    for (int i = 0; i < count && done < length; i++) {
        if (skip >= v[i].iov_len) {
            skip -= v[i].iov_len;
            continue;
        }
        uint64_t n = MIN(v[i].iov_len - skip, length - done);
        struct untrusted to = untrusted_at(x->shared, EXTENT_DATA + at + done);
        const uint8_t *from = (const uint8_t *)v[i].iov_base + skip;
        if (untrusted_insert_here(to, from, n))
            return done ? (int64_t)done : -EFAULT;
        done += n;
        skip = 0;
    }
    return (int64_t)done;
}

/* One extent's worth of it. */
static int64_t fill(struct extent *x, int64_t offset, const struct iovec *v, int count,
                    uint64_t skip, uint64_t length)
{
    claim(x);
    if (x->length && !adjoins(x, offset, length)) {
        publish(x);
        write_out(x);
        claim(x);
    }
    if (!x->length)
        begin(x, offset);
    uint64_t at = offset == AT_POSITION ? x->length : (uint64_t)(offset - x->offset);
    int64_t n = gather(x, at, v, count, skip, MIN(length, x->capacity - at));
    if (n > 0)
        x->length = MAX(x->length, at + (uint64_t)n);
    bool full = x->length == x->capacity;
    publish(x);
    if (full)
        write_out(x);
    return n;
}

/* From byte *done of the buffers on. 0, -EAGAIN, or -EFAULT. */
static int64_t write_rest(struct extent_file *f, int64_t offset, const struct iovec *v, int count, uint64_t *done)
{
    uint64_t total = iovec_length(v, count);
    int64_t n = 0;
    struct extent *x = take(f);
    if (!x)
        return -EAGAIN;
    __atomic_store_n(&x->used, __builtin_ia32_rdtsc(), __ATOMIC_RELAXED);
    while (*done < total && n >= 0) {
        n = fill(x, offset == AT_POSITION ? offset : offset + (int64_t)*done, v, count, *done, total - *done);
        *done += n > 0 ? (uint64_t)n : 0;
    }
    lock_release(&x->lock);
    return MIN(n, 0);
}

/* The buffer that is `skip` bytes into them, here: without a lock, as it may want what is gathered to go first. */
static bool bring(const struct iovec *v, int count, uint64_t skip)
{
    for (int i = 0; i < count; i++) {
        if (skip < v[i].iov_len)
            return order_bring((const uint8_t *)v[i].iov_base + skip, v[i].iov_len - skip, false);
        skip -= v[i].iov_len;
    }
    return false;
}

int64_t extent_write(struct extent_file *f, int64_t offset, const struct iovec *v, int count)
{
    uint64_t done = 0;
    int64_t error = write_rest(f, offset, v, count, &done);
    for (int i = 0; i < ORDER_TRIES && error == -EFAULT && bring(v, count, done); i++)
        error = write_rest(f, offset, v, count, &done);
    return done ? (int64_t)done : error;
}

/* ---- to the host ---- */

void extent_settle(uint64_t device, uint64_t inode)
{
    if (!__atomic_load_n(&order.waiting, __ATOMIC_ACQUIRE))
        return;
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_ACQUIRE); i++) {
        struct extent *x = &all.extent[i];
        if (__atomic_load_n(&x->inode, __ATOMIC_RELAXED) != inode ||
            __atomic_load_n(&x->device, __ATOMIC_RELAXED) != device)
            continue;
        lock_take(&x->lock);
        if (x->device == device && x->inode == inode)
            write_out(x);
        lock_release(&x->lock);
    }
}

void extents_write_out(void)
{
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_ACQUIRE); i++) {
        struct extent *x = &all.extent[i];
        if (!__atomic_load_n(&x->waiting, __ATOMIC_RELAXED))
            continue;
        lock_take(&x->lock);
        write_out(x);
        lock_release(&x->lock);
    }
}

void extents_restart(void)
{
    for (uint32_t i = 0; i < all.count; i++) {
        struct extent *x = &all.extent[i];
        x->owner = NULL;
        x->device = x->inode = 0;
        x->waiting = false;
        x->length = 0;
    }
    __atomic_store_n(&order.waiting, 0, __ATOMIC_RELAXED);
    all.count = 0;
}

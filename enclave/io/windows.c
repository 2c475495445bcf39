/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/windows.h"

#include <errno.h>
#include <stdbool.h>

#include "abi/exits.h"
#include "abi/file.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/untrusted.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define PAGE 4096u

struct window {
    struct lock lock; /* guards all of it; held while it is read */
    const struct window_file *owner;
    uint64_t offset, end; /* in the file, of what is shown; end 0: nothing */
    uint64_t used; /* TSC */
};

static struct {
    struct lock lock; /* guards who owns which; taken before a window's */
    struct window window[WINDOWS_MAX];
    uint64_t per_ms;
} all = {.per_ms = 2000000};

void windows_start(uint64_t tsc_per_ms)
{
    all.per_ms = tsc_per_ms;
}

/* With all.lock held: one that is free, or that was not used for a while. Where all are in use,
 * taking one away would cost as many exits as it saves. */
static struct window *choose(void)
{
    struct window *best = &all.window[0];
    for (int i = 0; i < WINDOWS_MAX; i++) {
        struct window *w = &all.window[i];
        if (!__atomic_load_n(&w->owner, __ATOMIC_RELAXED))
            return w;
        if (__atomic_load_n(&w->used, __ATOMIC_RELAXED) <
            __atomic_load_n(&best->used, __ATOMIC_RELAXED))
            best = w;
    }
    uint64_t used = __atomic_load_n(&best->used, __ATOMIC_RELAXED);
    return __builtin_ia32_rdtsc() - used > all.per_ms ? best : NULL;
}

static void own(struct window *w, const struct window_file *f)
{
    if (!w->owner && f)
        __atomic_add_fetch(&order.watching, 1, __ATOMIC_SEQ_CST);
    if (w->owner && !f)
        __atomic_sub_fetch(&order.watching, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&w->owner, f, __ATOMIC_RELAXED);
    w->end = 0;
}

static uint64_t place(const struct window *w)
{
    return arena_window((uint64_t)(w - all.window));
}

/* The file's own, locked; NULL: there is none for it. */
static struct window *take(struct window_file *f)
{
    struct window *w = f->window;
    if (w) {
        lock_take(&w->lock);
        if (w->owner == f)
            return w;
        lock_release(&w->lock);
        f->window = NULL;
    }
    lock_take(&all.lock);
    w = choose();
    if (w && !lock_try(&w->lock))
        w = NULL; /* somebody reads by it */
    if (w)
        own(w, f);
    lock_release(&all.lock);
    f->window = w;
    return w;
}

static void unmap(struct window *w)
{
    exit_checked(EXIT_FILE_MAP, 0, 0, WINDOW_NO_FILE, 0, 0, place(w), 0, 0);
    own(w, NULL);
}

int64_t window_move(struct window_file *f, uint64_t page, uint64_t *length)
{
    struct window *w = take(f);
    if (!w)
        return -EAGAIN;
    __atomic_store_n(&w->used, __builtin_ia32_rdtsc(), __ATOMIC_RELAXED);
    bool more = page == w->end && page - w->offset < WINDOW_BYTES;
    if (!more)
        w->offset = page;
    uint64_t from = page - w->offset;
    *length = MIN(MIN(*length, WINDOW_STEP), WINDOW_BYTES - from);
    int64_t valid = exit_checked(EXIT_FILE_MAP, 0, *length, (uint32_t)f->host_fd, w->offset / PAGE,
                                 *length, place(w), from, 0);
    if (valid > 0)
        w->end = page + (uint64_t)valid;
    else if (!more)
        w->end = 0;
    lock_release(&w->lock);
    return valid;
}

/* With the lock held. */
static bool shows(const struct window *w, const struct window_file *f, uint64_t offset)
{
    return w->owner == f && offset >= w->offset && offset < w->end;
}

bool window_shows(const struct window_file *f, uint64_t offset)
{
    struct window *w = f->window;
    if (!w)
        return false;
    lock_take(&w->lock);
    bool result = shows(w, f, offset);
    lock_release(&w->lock);
    return result;
}

int64_t window_read(const struct window_file *f, uint64_t offset, uint64_t end, void *to,
                    uint64_t length)
{
    struct window *w = f->window;
    int64_t n = 0;
    if (!w || offset >= end)
        return 0;
    lock_take(&w->lock);
    if (shows(w, f, offset)) {
        n = (int64_t)MIN(MIN(length, end - offset), w->end - offset);
        if (untrusted_read(to, untrusted_at(arena_at(place(w)), offset - w->offset), (uint64_t)n))
            n = -EFAULT;
        __atomic_store_n(&w->used, __builtin_ia32_rdtsc(), __ATOMIC_RELAXED);
    }
    lock_release(&w->lock);
    return n;
}

void window_release(struct window_file *f)
{
    struct window *w = f->window;
    if (!w)
        return;
    lock_take(&all.lock);
    lock_take(&w->lock);
    if (w->owner == f)
        unmap(w);
    lock_release(&w->lock);
    lock_release(&all.lock);
    f->window = NULL;
}

void windows_restart(void)
{
    for (int i = 0; i < WINDOWS_MAX; i++)
        if (all.window[i].owner)
            unmap(&all.window[i]);
}

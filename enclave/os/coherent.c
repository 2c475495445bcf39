/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/coherent.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

#include "abi/start.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_coherent.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/order.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/files.h"
#include "enclave/os/memory.h"
#include "enclave/os/thread.h"

#define HOLD_NS 1000000 /* at most: a timer sees to it */
#define PAUSE_NS 200000 /* after which others, who wait for it, have had their turn */
#define DIRECTORY "/dev/shm/"

/* A page that is here: what it was, to see what has changed, and how much of it the file has. */
struct held {
    struct held *next;
    uint64_t at;
    uint64_t length;
    uint8_t was[PAGE_SIZE];
};

struct coherent {
    struct coherent *next;
    struct file *file; /* opened by this process: its lock is this process's */
    uint64_t start, end, offset;
    int protection;
    bool locked;
    struct held *held;
};

static struct {
    struct lock lock;
    struct coherent *list;
    struct held *spare;
    int timer; /* of the host; -1: none yet */
    bool taken_away; /* the last time because it had been held for long */
    uint8_t page[PAGE_SIZE];
} state = {.timer = -1};

static struct coherent *find(uint64_t address)
{
    struct coherent *c = state.list;
    while (c && !(address >= c->start && address < c->end))
        c = c->next;
    return c;
}

bool coherent_covers(uint64_t address)
{
    if (!__atomic_load_n(&state.list, __ATOMIC_RELAXED))
        return false;
    lock_take(&state.lock);
    bool covers = find(address);
    lock_release(&state.lock);
    return covers;
}

bool coherent_wanted(struct file *f)
{
    const char *path = file_real_path(f);
    return path && !strncmp(path, DIRECTORY, sizeof DIRECTORY - 1) && (f->flags & O_ACCMODE) == O_RDWR;
}

/* ---- giving back; with the lock held ---- */

static void page_back(struct coherent *c, struct held *h)
{
    /* Nobody writes any more, then what was written goes, then nobody reads. */
    if (c->protection & PROT_WRITE) {
        memory_pages_set(h->at, h->at + PAGE_SIZE, PROT_READ);
        memcpy(state.page, (const void *)h->at, PAGE_SIZE);
        if (memcmp(state.page, h->was, h->length)) {
            int64_t n = host_coherent_write(c->file->host_fd, state.page, h->length, c->offset + (h->at - c->start));
            if (n != (int64_t)h->length)
                log_warning("shared memory of %s cannot be written back (%ld)", file_real_path(c->file), n);
        }
    }
    memory_pages_set(h->at, h->at + PAGE_SIZE, PROT_NONE);
}

static void back(struct coherent *c)
{
    while (c->held) {
        struct held *h = c->held;
        c->held = h->next;
        page_back(c, h);
        h->next = state.spare;
        state.spare = h;
    }
    if (c->locked)
        host_coherent_unlock(c->file->host_fd);
    c->locked = false;
}

/* Exits within must not come here again: nothing is held as far as they know. */
static void all_back(void)
{
    __atomic_store_n(&order.held, 0, __ATOMIC_RELEASE);
    for (struct coherent *c = state.list; c; c = c->next)
        back(c);
}

void coherent_give_up(void)
{
    if (!__atomic_load_n(&order.held, __ATOMIC_ACQUIRE))
        return;
    lock_take(&state.lock);
    all_back();
    lock_release(&state.lock);
}

void coherent_take_away(void)
{
    if (!__atomic_load_n(&order.held, __ATOMIC_ACQUIRE))
        return;
    lock_take(&state.lock);
    state.taken_away = true;
    all_back();
    lock_release(&state.lock);
}

/* ---- taking; with the lock held ---- */

/* Waits for another process with nothing held, as that may wait for us. 0, -EINTR, -errno. */
static int file_take(struct coherent *c, bool interruptible)
{
    if (c->locked)
        return 0;
    if (state.taken_away)
        host_coherent_nap(PAUSE_NS);
    state.taken_away = false;
    int error = host_coherent_lock(c->file->host_fd, COHERENT_TRY);
    if (error == -EAGAIN || error == -EACCES) {
        all_back();
        do
            error = host_coherent_lock(c->file->host_fd, interruptible ? COHERENT_WAIT : COHERENT_WAIT_ON);
        while (error == -EINTR && !interruptible);
    }
    c->locked = !error;
    return error;
}

static bool page_take(struct coherent *c, uint64_t at)
{
    for (struct held *h = c->held; h; h = h->next)
        if (h->at == at)
            return true;
    struct held *h = state.spare ? state.spare : alloc(sizeof *h);
    if (!h)
        return false;
    if (state.spare)
        state.spare = h->next;
    int64_t n = host_coherent_read(c->file->host_fd, h->was, c->offset + (at - c->start));
    bool done = n >= 0 && !memory_pages_add(at, at + PAGE_SIZE, PROT_READ | PROT_WRITE);
    if (done)
        memcpy((void *)at, h->was, PAGE_SIZE);
    if (done && c->protection != (PROT_READ | PROT_WRITE))
        done = !memory_pages_set(at, at + PAGE_SIZE, c->protection);
    h->at = at;
    h->length = n > 0 ? (uint64_t)n : 0;
    struct held **to = done ? &c->held : &state.spare;
    h->next = *to;
    *to = h;
    return done;
}

bool coherent_bring(uint64_t address, uint64_t length, bool write, bool interruptible)
{
    uint64_t first = address & ~(PAGE_SIZE - 1), end = address + length;
    bool found = false;
    if (!__atomic_load_n(&state.list, __ATOMIC_RELAXED) || end < address)
        return false;
    lock_take(&state.lock);
    __atomic_store_n(&order.held, 0, __ATOMIC_RELEASE);
    for (uint64_t at = first; at < end; at += PAGE_SIZE) {
        struct coherent *c = find(at);
        if (!c || !(c->protection & (write ? PROT_WRITE : PROT_READ)))
            continue;
        int error = file_take(c, interruptible);
        found |= error ? error == -EINTR : page_take(c, at); /* after a signal it is tried again */
    }
    bool holds = false;
    for (struct coherent *c = state.list; c; c = c->next)
        holds |= c->locked;
    if (holds && state.timer >= 0)
        host_coherent_timer(state.timer, HOLD_NS);
    __atomic_store_n(&order.held, holds, __ATOMIC_RELEASE);
    lock_release(&state.lock);
    return found;
}

/* ---- mappings ---- */

/* Locks are an open file's: that of this process is its own, to whichever other it was passed on. */
static struct file *own_file(struct file *f, int *error)
{
    int fd = host_coherent_open(f->host_fd);
    struct file *own = fd < 0 ? NULL : host_file_new(fd, O_RDWR, NULL);
    if (!own)
        *error = fd < 0 ? fd : -ENOMEM;
    return own;
}

int coherent_add(struct file *f, uint64_t start, uint64_t end, uint64_t offset, int protection)
{
    int error = -ENOMEM;
    lock_take(&state.lock); /* whose the room is */
    all_back();             /* or exits would want the lock for that */
    struct coherent *c = host_coherent_start() ? NULL : alloc(sizeof *c);
    struct file *own = c ? own_file(f, &error) : NULL;
    if (!own) {
        lock_release(&state.lock);
        alloc_free(c);
        return error;
    }
    *c = (struct coherent){.file = own, .start = start, .end = end, .offset = offset, .protection = protection};
    if (state.timer < 0)
        state.timer = host_timer_create(CLOCK_MONOTONIC);
    order.give_up = coherent_give_up;
    c->next = state.list;
    __atomic_store_n(&state.list, c, __ATOMIC_RELEASE);
    lock_release(&state.lock);
    return 0;
}

/* What lies behind `end` becomes a mapping of its own. 0 or -errno. */
static int split(struct coherent *c, uint64_t end)
{
    int error = -ENOMEM;
    struct coherent *rest = alloc(sizeof *rest);
    struct file *own = rest ? own_file(c->file, &error) : NULL;
    if (!own) {
        alloc_free(rest);
        return error;
    }
    *rest = (struct coherent){.next = c->next, .file = own, .start = end, .end = c->end,
                              .offset = c->offset + (end - c->start), .protection = c->protection};
    c->end = end;
    c->next = rest;
    return 0;
}

int coherent_remove(uint64_t start, uint64_t end)
{
    int error = 0;
    if (!state.list)
        return 0;
    lock_take(&state.lock);
    all_back();
    for (struct coherent **at = &state.list, *c; (c = *at) != NULL && !error;) {
        if (c->start >= end || c->end <= start) {
            at = &c->next;
            continue;
        }
        if (c->end > end)
            error = split(c, end);
        if (!error && c->start < start) {
            c->end = start;
            at = &c->next;
        } else if (!error) {
            *at = c->next;
            file_put(c->file);
            alloc_free(c);
        }
    }
    lock_release(&state.lock);
    return error;
}

void coherent_protect(uint64_t start, uint64_t end, int protection)
{
    if (!state.list)
        return;
    lock_take(&state.lock);
    all_back();
    for (struct coherent *c = state.list; c; c = c->next)
        if (c->start < end && c->end > start) {
            c->protection = protection; /* of all of it: parts that differ are not kept apart */
            memory_pages_set(c->start, c->end, PROT_NONE);
        }
    lock_release(&state.lock);
}

void coherent_files(void (*visit)(struct file *f))
{
    for (struct coherent *c = state.list; c; c = c->next)
        visit(c->file);
}

void coherent_forked(void)
{
    state.timer = state.list ? host_timer_create(CLOCK_MONOTONIC) : -1;
    state.lock = (struct lock){0};
    __atomic_store_n(&order.held, 0, __ATOMIC_RELEASE);
    for (struct coherent *c = state.list; c; c = c->next) {
        int error = 0;
        struct file *own = own_file(c->file, &error);
        if (!own) {
            log_warning("shared memory of %s is not shared with the parent (error %d)", file_real_path(c->file), -error);
            continue;
        }
        file_put(c->file);
        c->file = own;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/segments.h"

#include <errno.h>

#include "abi/exits.h"
#include "abi/net.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/untrusted.h"
#include "enclave/entry/thread_block.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define NAME_MAX_BYTES sizeof((struct segments_shared *)0)->name
#define WAIT_AT_END_MS 1000
#define ERRNO_MAX 4095u

/* Everything that decides is here; the shared part is written, and only its state and error are read. */
struct segments {
    struct untrusted shared;
    uint64_t number;
    bool taken;
    uint64_t thread; /* that filled it last */

    /* What is gathered; stale once the host's monitor has sent it. */
    uint32_t count, segment, length;
    bool closed; /* by a shorter one */
    int host_fd;
    size_t name_length;
    uint64_t name[4];
    uint64_t last; /* TSC of the last exit for it */
};

static struct {
    struct lock lock; /* guards taken and count */
    struct segments set[SEGMENTS_MAX];
    uint32_t count;
    uint64_t per_ms;
} all = {.per_ms = 2000000};

void segments_start(uint64_t tsc_per_ms)
{
    all.per_ms = tsc_per_ms;
}

#define AT(s, field) untrusted_at((s)->shared, offsetof(struct segments_shared, field))

/* ---- sets ---- */

/* With the lock held: a place in the arena for the next one. */
static struct segments *make(void)
{
    struct segments *s = &all.set[all.count];
    if (all.count == SEGMENTS_MAX)
        return NULL;
    if (!s->shared.address) {
        uint64_t offset = arena_pool_take(SEGMENTS_SIZE);
        if (!offset)
            return NULL;
        s->shared = arena_at(offset);
        s->number = all.count;
        untrusted_store(AT(s, state), SEGMENTS_EMPTY);
        untrusted_store(AT(s, error), 0);
        if (exit_checked(EXIT_SEGMENTS_OPEN, 0, 0, s->number, offset, 0, 0, 0, 0)) {
            arena_pool_free(offset, SEGMENTS_SIZE);
            s->shared.address = 0;
            return NULL;
        }
    }
    all.count++;
    return s;
}

struct segments *segments_take(void)
{
    struct segments *s = NULL;
    lock_take(&all.lock);
    for (uint32_t i = 0; i < all.count && !s; i++)
        if (!all.set[i].taken)
            s = &all.set[i];
    if (!s)
        s = make();
    if (s) {
        s->taken = true;
        s->count = 0;
    }
    lock_release(&all.lock);
    return s;
}

void segments_forked(void)
{
    for (uint32_t i = 0; i < SEGMENTS_MAX; i++)
        if (all.set[i].shared.address)
            arena_pool_free(all.set[i].shared.address - arena_at(0).address, SEGMENTS_SIZE);
    memset(all.set, 0, sizeof all.set);
    all.count = 0;
}

/* ---- sending ---- */

static int send_by_exit(struct segments *s, uint64_t wait_ms)
{
    int64_t result = exit_checked(EXIT_SEGMENTS_SEND, 0, 0, s->number, wait_ms, 0, 0, 0, 0);
    s->last = __builtin_ia32_rdtsc();
    if (result == -EAGAIN)
        return -EAGAIN;
    s->count = 0;
    return 0;
}

int segments_send(struct segments *s)
{
    if (s->count && untrusted_load(AT(s, state)) == SEGMENTS_EMPTY)
        s->count = 0; /* the monitor was first */
    return s->count ? send_by_exit(s, 0) : 0;
}

int segments_error(struct segments *s)
{
    uint64_t error = untrusted_load(AT(s, error));
    if (!error)
        return 0;
    untrusted_store(AT(s, error), 0);
    if (error > ERRNO_MAX) {
        violation_count();
        return 0;
    }
    return -(int)error;
}

void segments_give(struct segments *s)
{
    if (s->count)
        send_by_exit(s, WAIT_AT_END_MS);
    lock_take(&all.lock);
    s->count = 0;
    s->taken = false;
    lock_release(&all.lock);
}

/* Racing with the thread that fills them is harmless: it costs a set that is sent early. */
void segments_flush(void)
{
    uint64_t self = thread_block()->index;
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_RELAXED); i++) {
        struct segments *s = &all.set[i];
        if (s->thread != self || !s->count || untrusted_load(AT(s, state)) != SEGMENTS_READY)
            continue;
        exit_checked(EXIT_SEGMENTS_SEND, 0, 0, s->number, 0, 0, 0, 0, 0);
        s->last = __builtin_ia32_rdtsc();
    }
}

void segments_flush_all(void)
{
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_RELAXED); i++)
        if (untrusted_load(AT(&all.set[i], state)) == SEGMENTS_READY)
            exit_checked(EXIT_SEGMENTS_SEND, 0, 0, i, WAIT_AT_END_MS, 0, 0, 0, 0);
}

/* ---- gathering ---- */

/* The set is ours to write to and `count` is true: 0, or -EAGAIN. */
static int claim(struct segments *s)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        if (untrusted_swap(AT(s, state), SEGMENTS_READY, SEGMENTS_FILLING))
            return 0;
        if (untrusted_swap(AT(s, state), SEGMENTS_EMPTY, SEGMENTS_FILLING)) {
            s->count = 0;
            return 0;
        }
        send_by_exit(s, 0); /* the monitor is at it: this waits until it is done */
    }
    return -EAGAIN;
}

static bool belongs(const struct segments *s, int host_fd, const uint64_t *name, size_t name_length,
                    uint32_t length)
{
    return !s->closed && s->count < SEGMENTS_COUNT && host_fd == s->host_fd && length <= s->segment &&
           s->length <= SEGMENTS_BYTES - length && name_length == s->name_length &&
           !memcmp(name, s->name, sizeof s->name);
}

static void begin(struct segments *s, int host_fd, const uint64_t *name, size_t name_length,
                  uint32_t length)
{
    s->host_fd = host_fd;
    s->segment = length;
    s->length = 0;
    s->closed = false;
    s->name_length = name_length;
    memcpy(s->name, name, sizeof s->name);
    untrusted_store(AT(s, socket), (uint64_t)host_fd);
    untrusted_store(AT(s, segment), length);
    untrusted_store(AT(s, name_length), name_length);
    untrusted_write(AT(s, name), name, sizeof s->name);
}

/* Would the next one of this size not fit? */
static bool full(const struct segments *s)
{
    return s->closed || s->count == SEGMENTS_COUNT || s->length > SEGMENTS_BYTES - s->segment;
}

int segments_add(struct segments *s, int host_fd, const void *name, size_t name_length,
                 const void *payload, uint32_t length)
{
    uint64_t words[4] = {0};
    if (name_length)
        memcpy(words, name, MIN(name_length, sizeof words));
    int error = claim(s);
    if (!error && s->count && !belongs(s, host_fd, words, name_length, length)) {
        untrusted_store(AT(s, state), SEGMENTS_READY);
        error = send_by_exit(s, 0);
        if (!error)
            error = claim(s);
    }
    if (error)
        return error;
    if (!s->count)
        begin(s, host_fd, words, name_length, length);
    uint64_t at = sizeof(struct segments_shared) + s->count * SEGMENT_STRIDE(s->segment);
    if (untrusted_write(untrusted_at(s->shared, at), payload, length)) {
        untrusted_store(AT(s, state), s->count ? SEGMENTS_READY : SEGMENTS_EMPTY);
        return -EFAULT;
    }
    s->count++;
    s->length += length;
    s->closed = length < s->segment;
    s->thread = thread_block()->index;
    untrusted_store(AT(s, length), s->length);
    bool now = full(s) || __builtin_ia32_rdtsc() - s->last > all.per_ms;
    untrusted_store(AT(s, state), SEGMENTS_READY);
    if (now)
        send_by_exit(s, 0); /* -EAGAIN: it is taken all the same, and stays */
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/segments.h"

#include <errno.h>

#include "abi/exits.h"
#include "abi/net.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/ring.h"
#include "enclave/boundary/untrusted.h"
#include "enclave/entry/thread_block.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define WAIT_AT_END_MS 1000
#define ERRNO_MAX 4095u
#define SERVED_PART 10 /* of a millisecond: what a host that serves is waited for, before it is asked */

/* Everything that decides is here; the shared part is written, and only the host's index and error are read. */
struct segments {
    struct ring ring; /* of what SEGMENTS_DATAGRAM() tells */
    struct untrusted shared;
    uint64_t number;
    bool taken;
    bool stuck;      /* the host has not let go of it: of no use any more */
    uint64_t thread; /* that filled it last */

    int host_fd;
    size_t name_length;
    uint64_t name[4];
    uint64_t last;                   /* TSC of the last exit for it */
    uint32_t end;                    /* of the newest datagram, in the payload */
    uint16_t begin[SEGMENTS_COUNT]; /* of each in the ring, by slot, in words of 8 bytes */
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

/* ---- rings ---- */

static bool start(struct segments *s, uint32_t number, uint64_t offset)
{
    const struct xsk_ring_layout layout = {.producer = offsetof(struct segments_shared, producer),
                                           .consumer = offsetof(struct segments_shared, consumer),
                                           .descriptors = offsetof(struct segments_shared, datagram)};
    s->shared = arena_at(offset);
    s->number = number;
    s->ring.name = "datagrams";
    untrusted_store(AT(s, producer), 0);
    untrusted_store(AT(s, consumer), 0);
    untrusted_store(AT(s, error), 0);
    return ring_start(&s->ring, true, s->shared, SEGMENTS_SIZE, &layout, SEGMENTS_COUNT, RING_ADDRESS) &&
           !exit_checked(EXIT_SEGMENTS_OPEN, 0, 0, number, offset, 0, 0, 0, 0);
}

/* With the lock held: a place in the arena for the next one. */
static struct segments *make(void)
{
    struct segments *s = &all.set[all.count];
    if (all.count == SEGMENTS_MAX)
        return NULL;
    uint64_t offset = arena_pool_take(SEGMENTS_SIZE);
    if (!offset)
        return NULL;
    if (!start(s, all.count, offset)) {
        arena_pool_free(offset, SEGMENTS_SIZE);
        s->shared.address = 0;
        return NULL;
    }
    all.count++;
    return s;
}

struct segments *segments_take(void)
{
    struct segments *s = NULL;
    lock_take(&all.lock);
    for (uint32_t i = 0; i < all.count && !s; i++)
        if (!all.set[i].taken && !all.set[i].stuck)
            s = &all.set[i];
    if (!s)
        s = make();
    if (s)
        s->taken = true;
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

/* ---- places ---- */

#define NO_PLACE UINT32_MAX

/* Where so many bytes go, as far as is known of what the host has sent. */
static uint32_t place_known(const struct segments *s, uint32_t space, uint32_t stride)
{
    if (space == SEGMENTS_COUNT)
        return 0;
    if (!space)
        return NO_PLACE;
    uint32_t oldest = s->begin[ring_slot(&s->ring, space)] * 8u;
    if (s->end <= oldest)
        return stride < oldest - s->end ? s->end : NO_PLACE;
    if (stride <= SEGMENTS_BYTES - s->end)
        return s->end;
    return stride < oldest ? 0 : NO_PLACE;
}

static uint32_t place_of(struct segments *s, uint32_t stride)
{
    uint32_t place = place_known(s, ring_space(&s->ring, 1), stride);
    return place == NO_PLACE ? place_known(s, ring_space(&s->ring, SEGMENTS_COUNT), stride) : place;
}

/* ---- sending ---- */

static bool empty(struct segments *s)
{
    return ring_space(&s->ring, SEGMENTS_COUNT) == SEGMENTS_COUNT;
}

/* Is there something to send? A hint: the host decides, and may be at it. */
static bool waiting(const struct segments *s)
{
    return (uint32_t)untrusted_load(AT(s, consumer)) != __atomic_load_n(&s->ring.own, __ATOMIC_RELAXED);
}

/* Did the current thread fill it last, and must have it sent? */
static bool is_mine(const struct segments *s)
{
    return s->thread == thread_block()->index && !s->stuck && waiting(s) && !exit_served();
}

static void send_by_exit(struct segments *s, uint64_t wait_ms)
{
    exit_checked(EXIT_SEGMENTS_SEND, 0, 0, s->number, wait_ms, 0, 0, 0, 0);
    s->last = __builtin_ia32_rdtsc();
}

/* Where the host serves: does it get so far, within a moment, that a datagram more has a place, or that there is none left? */
static bool goes_on(struct segments *s, uint32_t stride)
{
    uint64_t began = __builtin_ia32_rdtsc();
    while (exit_served() && __builtin_ia32_rdtsc() - began < all.per_ms / SERVED_PART) {
        if (stride ? place_of(s, stride) != NO_PLACE : empty(s))
            return true;
        __builtin_ia32_pause();
    }
    return false;
}

int segments_send(struct segments *s)
{
    if (empty(s) || goes_on(s, 0))
        return 0;
    send_by_exit(s, 0);
    return empty(s) ? 0 : -EAGAIN;
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
    if (!empty(s))
        send_by_exit(s, WAIT_AT_END_MS);
    bool stuck = !empty(s);
    lock_take(&all.lock);
    s->stuck = stuck;
    s->taken = false;
    lock_release(&all.lock);
}

/* Racing with the thread that fills them is harmless: what is there is sent early. */
void segments_flush(void)
{
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_RELAXED); i++)
        if (is_mine(&all.set[i]))
            send_by_exit(&all.set[i], 0);
}

bool segments_put_off(void)
{
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_RELAXED); i++)
        if (is_mine(&all.set[i]))
            return true;
    return false;
}

void segments_flush_all(void)
{
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_RELAXED); i++)
        if (waiting(&all.set[i]))
            send_by_exit(&all.set[i], WAIT_AT_END_MS);
}

/* ---- gathering ---- */

/* What is there goes elsewhere: it goes first. 0 or -EAGAIN. */
static int turn(struct segments *s, int host_fd, const uint64_t *name, size_t name_length)
{
    if (segments_send(s))
        return -EAGAIN;
    s->host_fd = host_fd;
    s->name_length = name_length;
    memcpy(s->name, name, sizeof s->name);
    untrusted_store(AT(s, socket), (uint64_t)host_fd);
    untrusted_store(AT(s, name_length), name_length);
    return untrusted_write(AT(s, name), name, sizeof s->name);
}

int segments_add(struct segments *s, int host_fd, const void *name, size_t name_length,
                 const void *payload, uint32_t length)
{
    uint64_t words[4] = {0};
    uint32_t stride = SEGMENT_STRIDE(length);
    if (name_length)
        memcpy(words, name, MIN(name_length, sizeof words));
    if (host_fd != s->host_fd || name_length != s->name_length || memcmp(words, s->name, sizeof words)) {
        int error = turn(s, host_fd, words, name_length);
        if (error)
            return error;
    }
    uint32_t place = place_of(s, stride);
    if (place == NO_PLACE) {
        if (!goes_on(s, stride))
            send_by_exit(s, 0);
        place = place_of(s, stride);
    }
    if (place == NO_PLACE)
        return -EAGAIN;
    if (untrusted_write(untrusted_at(AT(s, payload), place), payload, length))
        return -EFAULT;
    s->begin[ring_slot(&s->ring, 0)] = (uint16_t)(place / 8);
    s->end = place + stride;
    s->thread = thread_block()->index;
    untrusted_store(ring_entry(&s->ring, 0), SEGMENTS_DATAGRAM(place, length));
    ring_advance(&s->ring, 1);
    if (!exit_served() && (place_of(s, stride) == NO_PLACE || __builtin_ia32_rdtsc() - s->last > all.per_ms))
        send_by_exit(s, 0); /* what the socket does not take stays */
    return 0;
}

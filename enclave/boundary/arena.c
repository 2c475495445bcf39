/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/arena.h"

#include <stddef.h>

#include "abi/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/span.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/lib/lock.h"

/* Set once by arena_start. */
static uint64_t arena_base;

#define POOL_PAGES (ARENA_POOL_SIZE / PAGE_SIZE)

static struct {
    struct lock lock;
    uint64_t used[POOL_PAGES / 64]; /* a bit a page */
    uint64_t count;                 /* of those */
} pool;

static int outside(uint64_t address, uint64_t length)
{
    return address >= PAGE_SIZE && span_outside(address, length, enclave.base, enclave.size);
}

/* Before the arena is known there is no way to say what is wrong. */
static _Noreturn void stop(void)
{
    for (;;)
        __asm__ volatile("ud2");
}

void arena_thread(struct thread_block *block, uint64_t index)
{
    const struct configuration *c = enclave.configuration;
    block->slot_address = arena_base + index * ARENA_THREAD_SIZE;
    block->bounce_address = block->slot_address + ARENA_BOUNCE_OFFSET;
    if (c->flags & CONFIGURATION_STATISTICS)
        block->statistics_address = arena_base + ARENA_STATISTICS(c->threads) + sizeof(struct statistics) +
                                    index * sizeof(struct statistics_thread);
}

void arena_start(uint64_t parameters_address, struct start_parameters *out)
{
    uint64_t threads = enclave.configuration->threads;
    if (parameters_address % 8 || !outside(parameters_address, sizeof *out) ||
        untrusted_read(out, (struct untrusted){parameters_address}, sizeof *out))
        stop();
    if (out->version != ABI_VERSION || out->arena_size != ARENA_SIZE(threads) ||
        out->arena_address % PAGE_SIZE || !outside(out->arena_address, out->arena_size))
        stop();
    arena_base = out->arena_address;

    for (uint64_t i = 0; i < enclave.configuration->threads_present; i++)
        arena_thread((struct thread_block *)(enclave.base + enclave.configuration->threads_offset +
                                             i * THREAD_AREA_SIZE + THREAD_BLOCK),
                     i);
    pool.used[0] = 1; /* offset 0 of the pool would do no harm, but 0 must mean "none" */
}

uint64_t arena_window(uint64_t n)
{
    return ARENA_WINDOW(enclave.configuration->threads, n);
}

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){arena_base + offset};
}

struct untrusted arena_statistics(void)
{
    const struct configuration *c = enclave.configuration;
    if (!(c->flags & CONFIGURATION_STATISTICS))
        return (struct untrusted){0};
    return arena_at(ARENA_STATISTICS(c->threads));
}

static int page_used(uint64_t page)
{
    return (pool.used[page / 64] >> (page % 64)) & 1;
}

static void pages_mark(uint64_t first, uint64_t count, int used)
{
    struct untrusted s = arena_statistics();
    pool.count += used ? count : -count;
    if (s.address)
        untrusted_store(untrusted_at(s, offsetof(struct statistics, arena_bytes)), pool.count * PAGE_SIZE);
    for (uint64_t i = first; i < first + count; i++) {
        if (used)
            pool.used[i / 64] |= 1ull << (i % 64);
        else
            pool.used[i / 64] &= ~(1ull << (i % 64));
    }
}

uint64_t arena_pool_take(uint64_t size)
{
    if (size == 0 || size > ARENA_POOL_SIZE)
        return 0;
    uint64_t count = (size + PAGE_SIZE - 1) / PAGE_SIZE, run = 0, offset = 0;
    lock_take(&pool.lock);
    for (uint64_t page = 0; page < POOL_PAGES; page++) {
        run = page_used(page) ? 0 : run + 1;
        if (run == count) {
            pages_mark(page + 1 - count, count, 1);
            offset = ARENA_POOL(enclave.configuration->threads) + (page + 1 - count) * PAGE_SIZE;
            break;
        }
    }
    lock_release(&pool.lock);
    return offset;
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    uint64_t first = (offset - ARENA_POOL(enclave.configuration->threads)) / PAGE_SIZE;
    lock_take(&pool.lock);
    pages_mark(first, (size + PAGE_SIZE - 1) / PAGE_SIZE, 0);
    lock_release(&pool.lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/uring_buffers.h"

#include "abi/uring.h"

/* An entry of the ring of buffers: address; length, number, and in the first entry the tail. */
static void lend(struct uring_buffers *b, uint32_t buffer)
{
    uint32_t at = b->tail % b->count;
    struct untrusted entry = untrusted_at(b->ring, (uint64_t)at * URING_BUFFER_ENTRY);
    uint64_t word = b->size | (uint64_t)buffer << 32;
    untrusted_store(entry, uring_buffers_at(b, buffer).address);
    if (at == 0)
        b->first_word = word;
    else
        untrusted_store(untrusted_at(entry, 8), word);
    b->lent[buffer] = 1;
    b->left++;
    b->tail++;
}

static void show(struct uring_buffers *b)
{
    __asm__ volatile("" : : : "memory"); /* x86 orders stores: the entries come before the tail */
    untrusted_store(untrusted_at(b->ring, 8), b->first_word | (uint64_t)b->tail << 48);
}

static void lend_more(struct uring_buffers *b)
{
    for (uint32_t i = 0; i < b->step && b->used < b->count; i++)
        lend(b, b->used++);
    show(b);
}

void uring_buffers_start(struct uring_buffers *b, struct untrusted ring, struct untrusted memory, uint32_t count,
                         uint32_t size, uint32_t step)
{
    b->ring = ring;
    b->memory = memory;
    b->count = count;
    b->size = size;
    b->step = step;
    lend_more(b);
}

struct untrusted uring_buffers_at(const struct uring_buffers *b, uint32_t buffer)
{
    return untrusted_at(b->memory, (uint64_t)buffer * b->size);
}

void uring_buffers_give(struct uring_buffers *b, uint32_t buffer)
{
    lock_take(&b->lock);
    lend(b, buffer);
    show(b);
    lock_release(&b->lock);
}

uint32_t uring_buffers_count(const struct uring_buffers *b)
{
    return __atomic_load_n(&b->left, __ATOMIC_RELAXED) + b->count - __atomic_load_n(&b->used, __ATOMIC_RELAXED);
}

bool uring_buffers_accept(struct uring_buffers *b, uint32_t buffer)
{
    bool good = false;
    lock_take(&b->lock);
    if (buffer < b->count && b->lent[buffer]) {
        b->lent[buffer] = 0;
        b->left--;
        good = true;
        if (b->left < b->step / 2 && b->used < b->count)
            lend_more(b);
    }
    lock_release(&b->lock);
    return good;
}

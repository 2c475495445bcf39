/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LibOS's memory: size classes by halves of powers of two up to a page run, each with a list of free
 * blocks and a run of pages that blocks are cut from as they are asked for, so that none is touched before; larger ones
 * by powers of two. A block remembers its class in the word before it.
 */
#include "enclave/lib/lib.h"

#include "enclave/lib/lock.h"

#define HEADER 16
#define SMALLEST 32
#define CLASSES 48
#define REFILL 0x10000 /* bytes taken at a time for small classes */

struct block {
    struct block *next;
};

static struct {
    struct lock lock;
    struct block *free[CLASSES];
    uint8_t *fresh[CLASSES], *fresh_end[CLASSES]; /* what nobody has had yet */
} heap;

/* Pages come from whoever owns the address space. */
void *memory_libos_pages(uint64_t length);

static size_t class_size(unsigned c)
{
    size_t power = (size_t)SMALLEST << (c / 2);
    return c % 2 ? power + power / 2 : power;
}

static unsigned class_of(size_t size)
{
    unsigned c = 0;
    while (c < CLASSES && class_size(c) < size)
        c++;
    return c;
}

/* With the lock held: a block of the class, NULL: no memory. */
static struct block *take(unsigned c)
{
    struct block *b = heap.free[c];
    size_t size = class_size(c);
    if (b) {
        heap.free[c] = b->next;
        return b;
    }
    if ((size_t)(heap.fresh_end[c] - heap.fresh[c]) < size) {
        size_t span = size < REFILL ? REFILL : (size + 4095) & ~(size_t)4095;
        uint8_t *pages = memory_libos_pages(span);
        if (!pages)
            return NULL;
        heap.fresh[c] = pages;
        heap.fresh_end[c] = pages + span;
    }
    b = (struct block *)heap.fresh[c];
    heap.fresh[c] += size;
    return b;
}

void *alloc(size_t size)
{
    unsigned c = size > SIZE_MAX / 4 ? CLASSES : class_of(size + HEADER);
    if (c >= CLASSES)
        return NULL;
    lock_take(&heap.lock);
    struct block *b = take(c);
    lock_release(&heap.lock);
    if (!b)
        return NULL;
    uint64_t *header = (uint64_t *)b;
    header[0] = c;
    header[1] = 0;
    void *p = (uint8_t *)b + HEADER;
    memset(p, 0, size);
    return p;
}

void alloc_free(void *p)
{
    if (!p)
        return;
    struct block *b = (struct block *)((uint8_t *)p - HEADER);
    unsigned c = (unsigned)*(uint64_t *)b;
    lock_take(&heap.lock);
    b->next = heap.free[c];
    heap.free[c] = b;
    lock_release(&heap.lock);
}

void *alloc_resize(void *p, size_t old_size, size_t new_size)
{
    void *q = alloc(new_size);
    if (q && p) {
        memcpy(q, p, MIN(old_size, new_size));
        alloc_free(p);
    }
    return q;
}

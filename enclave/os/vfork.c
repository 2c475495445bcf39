/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/vfork.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/channel.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/area.h"
#include "enclave/os/memory.h"

#define LINE 64ul
#define LINES (PAGE_SIZE / LINE)

/* A page that was not zero, by the fingerprints of its lines: 0 stands for a line of zeros. */
struct page {
    uint64_t address;
    uint64_t line[LINES];
};

struct span {
    uint64_t start, end;
};

static struct {
    struct channel *channel; /* to the parent, NULL: this process is nobody's vfork child */
    int in, out;             /* its descriptors */
    struct page *pages;      /* by address; NULL: nothing goes back */
    uint32_t page_count;
    struct span *spans; /* what could be written to */
    uint32_t span_count;
} vfork;

/* A message to the parent: lines, or none and the end. */
struct change {
    uint64_t address;
    uint8_t bytes[LINE];
};
#define CHANGES (CHANNEL_BODY_MAX / sizeof(struct change))

enum { KIND_LINES = 0x100, KIND_RELEASE };

struct head {
    uint64_t kind, unused[3];
};
_Static_assert(sizeof(struct head) == CHANNEL_HEAD, "");

/* ---- what memory was ---- */

/* Nobody chooses lines to deceive this: the program would deceive itself. */
static uint64_t fingerprint(uint64_t address)
{
    const uint64_t *p = (const uint64_t *)address;
    uint64_t h = 0, any = 0;
    for (size_t i = 0; i < LINE / 8; i++) {
        any |= p[i];
        h = (h ^ p[i]) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    return any ? h | 1 : 0;
}

static bool page_zero(uint64_t page)
{
    const uint64_t *p = (const uint64_t *)page;
    for (size_t i = 0; i < PAGE_SIZE / 8; i++)
        if (p[i])
            return false;
    return true;
}

static bool writable(const struct area *a)
{
    return a->kind != AREA_COHERENT && (a->protection & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE);
}

static int count_area(const struct area *a, void *context)
{
    uint32_t *pages = context;
    if (!writable(a))
        return 0;
    vfork.span_count++;
    for (uint64_t page = a->start; page < a->end; page += PAGE_SIZE)
        *pages += !page_zero(page);
    return 0;
}

static int note_area(const struct area *a, void *context)
{
    (void)context;
    if (!writable(a))
        return 0;
    vfork.spans[vfork.span_count++] = (struct span){a->start, a->end};
    for (uint64_t page = a->start; page < a->end; page += PAGE_SIZE) {
        if (page_zero(page))
            continue;
        struct page *p = &vfork.pages[vfork.page_count++];
        p->address = page;
        for (size_t i = 0; i < LINES; i++)
            p->line[i] = fingerprint(page + i * LINE);
    }
    return 0;
}

void vfork_begin(struct channel *c, bool shares_memory)
{
    uint32_t pages = 0;
    vfork.channel = c;
    vfork.in = c->in;
    vfork.out = c->out;
    vfork.span_count = vfork.page_count = 0;
    if (!shares_memory)
        return;
    memory_visit(count_area, &pages);
    vfork.pages = alloc(pages * sizeof *vfork.pages + 1);
    vfork.spans = alloc(vfork.span_count * sizeof *vfork.spans + 1);
    vfork.span_count = 0;
    if (vfork.pages && vfork.spans) {
        memory_visit(note_area, NULL);
        return;
    }
    log_warning("no memory to find out what the child of vfork writes: its parent will not see it");
    alloc_free(vfork.pages);
    vfork.pages = NULL;
}

/* ---- what has changed ---- */

struct changes {
    struct channel *channel;
    struct change *list; /* CHANGES of them */
    size_t count;
    uint32_t next; /* page of the table, as addresses only grow */
    int error;
};

static void changes_send(struct changes *x)
{
    struct head h = {.kind = KIND_LINES};
    if (x->count && !x->error)
        x->error = channel_send(x->channel, &h, x->list, x->count * sizeof *x->list);
    x->count = 0;
}

static void compare_page(struct changes *x, uint64_t page)
{
    while (x->next < vfork.page_count && vfork.pages[x->next].address < page)
        x->next++;
    const struct page *was =
        x->next < vfork.page_count && vfork.pages[x->next].address == page ? &vfork.pages[x->next] : NULL;
    if (!was && page_zero(page))
        return;
    for (size_t i = 0; i < LINES; i++) {
        uint64_t address = page + i * LINE;
        if (fingerprint(address) == (was ? was->line[i] : 0))
            continue;
        struct change *c = &x->list[x->count++];
        c->address = address;
        memcpy(c->bytes, (const void *)address, LINE);
        if (x->count == CHANGES)
            changes_send(x);
    }
}

/* Where it can still be written to, and could be then. */
static int compare_area(const struct area *a, void *context)
{
    struct changes *x = context;
    if (!writable(a))
        return 0;
    for (uint32_t i = 0; i < vfork.span_count && !x->error; i++) {
        uint64_t start = MAX(a->start, vfork.spans[i].start), end = MIN(a->end, vfork.spans[i].end);
        for (uint64_t page = start; page < end && !x->error; page += PAGE_SIZE)
            compare_page(x, page);
    }
    return x->error;
}

void vfork_release(void)
{
    struct channel *c = vfork.channel;
    if (!c)
        return;
    vfork.channel = NULL;
    struct head h = {.kind = KIND_RELEASE};
    struct changes x = {.channel = c};
    if (vfork.pages && (x.list = alloc(CHANGES * sizeof *x.list))) {
        memory_visit(compare_area, &x);
        changes_send(&x);
    }
    if (!x.error && !channel_send(c, &h, NULL, 0))
        channel_flush(c); /* or the parent is gone */
    alloc_free(x.list);
    alloc_free(vfork.pages);
    alloc_free(vfork.spans);
    vfork.pages = NULL;
    vfork.spans = NULL;
    channel_close(c);
}

void vfork_forget(void)
{
    if (!vfork.channel)
        return;
    channel_descriptor_close(vfork.in);
    channel_descriptor_close(vfork.out);
    vfork.channel = NULL;
    alloc_free(vfork.pages);
    alloc_free(vfork.spans);
    vfork.pages = NULL;
    vfork.spans = NULL;
}

/* ---- in the parent ---- */

void vfork_wait(struct channel *c)
{
    for (;;) {
        struct head h;
        const uint8_t *body;
        int64_t size = channel_receive(c, &h, &body);
        if (size == -EPROTO) {
            log_error("what the child of vfork left in memory was changed on its way: it is lost");
            violation_count();
        }
        if (size < 0 || h.kind != KIND_LINES)
            return;
        for (; size >= (int64_t)sizeof(struct change); size -= (int64_t)sizeof(struct change)) {
            struct change change;
            memcpy(&change, body, sizeof change);
            /* Where the parent has taken the memory away meanwhile there is nothing to keep. */
            (void)user_write((void *)change.address, change.bytes, LINE);
            body += sizeof change;
        }
    }
}

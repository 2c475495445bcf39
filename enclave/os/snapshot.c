/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/snapshot.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "enclave/boundary/channel.h"
#include "enclave/boundary/copy.h"
#include "enclave/boundary/log.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/area.h"
#include "enclave/os/memory.h"

#define WRITABLE (PROT_READ | PROT_WRITE)
#define PAGES_MOST (CHANNEL_BODY_MAX / PAGE_SIZE)

enum kind {
    KIND_MAP = 1, /* start..end: make pages */
    KIND_DATA,    /* start: the body's bytes */
    KIND_PROTECT, /* start..end: this protection in the end */
    KIND_STATE,
    KIND_END
};

struct head {
    uint32_t kind, protection;
    uint64_t start, end, unused;
};
_Static_assert(sizeof(struct head) == CHANNEL_HEAD, "");

extern const char __ehdr_start[], _end[];
extern const char __start_transient[], __stop_transient[];

/* ---- sending ---- */

static int send_span(struct channel *c, enum kind kind, uint64_t start, uint64_t end, int protection)
{
    struct head h = {.kind = kind, .protection = (uint32_t)protection, .start = start, .end = end};
    return channel_send(c, &h, NULL, 0);
}

/* Reads only as far as the first word that is not zero. */
static bool page_zero(uint64_t page)
{
    const uint64_t *p = (const uint64_t *)page, *end = p + PAGE_SIZE / 8;
    for (; p < end; p += 8)
        if (p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7])
            return false;
    return true;
}

/* The pages of the span that are not zero, as many to a message as lie side by side. */
static int send_pages(struct channel *c, uint64_t start, uint64_t end)
{
    for (uint64_t page = start; page < end;) {
        uint64_t run = page;
        while (run < end && run - page < CHANNEL_BODY_MAX && !page_zero(run))
            run += PAGE_SIZE;
        if (run > page) {
            struct head h = {.kind = KIND_DATA, .start = page};
            int error = channel_send(c, &h, (const void *)page, run - page);
            if (error)
                return error;
        }
        page = MAX(run, page + PAGE_SIZE);
    }
    return 0;
}

static int send_area(const struct area *a, void *context)
{
    struct channel *c = context;
    if (!a->used || a->kind == AREA_COHERENT)
        return 0; /* or it is the file's, whoever touches it */
    bool hidden = !(a->protection & PROT_READ);
    int error = send_span(c, KIND_MAP, a->start, a->end, 0);
    if (!error && hidden)
        error = memory_pages_set(a->start, a->end, PROT_READ);
    if (!error)
        error = send_pages(c, a->start, a->end);
    if (hidden) {
        int again = memory_pages_set(a->start, a->end, a->protection);
        error = error ? error : again;
    }
    if (!error && a->protection != WRITABLE)
        error = send_span(c, KIND_PROTECT, a->start, a->end, a->protection);
    return error;
}

/* Calls `each` with the parts of the image that are written to, without what is TRANSIENT, until it returns
 * other than 0. */
static int image_data(int (*each)(uint64_t start, uint64_t end, void *context), void *context)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)__ehdr_start;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(__ehdr_start + header->e_phoff);
    uint64_t skip = (uint64_t)__start_transient, resume = (uint64_t)__stop_transient;
    int error = 0;
    for (int i = 0; i < header->e_phnum && !error; i++) {
        if (p[i].p_type != PT_LOAD || !(p[i].p_flags & PF_W))
            continue;
        uint64_t start = enclave.image + (p[i].p_vaddr & ~(PAGE_SIZE - 1));
        uint64_t end = (enclave.image + p[i].p_vaddr + p[i].p_memsz + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
        if (skip < start || skip >= end) {
            error = each(start, end, context);
        } else {
            error = each(start, skip, context);
            if (!error)
                error = each(resume, end, context);
        }
    }
    return error;
}

/* Zero pages too: what the copy's own start wrote must go. */
static int send_image_part(uint64_t start, uint64_t end, void *context)
{
    struct channel *c = context;
    int error = 0;
    for (uint64_t at = start; at < end && !error; at += CHANNEL_BODY_MAX) {
        struct head h = {.kind = KIND_DATA, .start = at};
        error = channel_send(c, &h, (const void *)at, MIN(end - at, (uint64_t)CHANNEL_BODY_MAX));
    }
    return error;
}

int snapshot_send(struct channel *c)
{
    uint64_t start, used, mapped;
    memory_libos_range(&start, &used, &mapped);
    int error = send_span(c, KIND_MAP, start, mapped, 0);
    if (!error)
        error = send_pages(c, start, used);
    if (!error)
        error = memory_visit(send_area, c);
    if (!error)
        error = image_data(send_image_part, c);
    if (!error)
        error = send_span(c, KIND_END, 0, 0, 0);
    return error ? error : channel_flush(c);
}

int snapshot_send_state(struct channel *c, const void *state, size_t size)
{
    struct head h = {.kind = KIND_STATE};
    return channel_send(c, &h, state, size);
}

/* ---- receiving ---- */

static bool inside(uint64_t start, uint64_t end, uint64_t low, uint64_t high)
{
    return start >= low && start <= end && end <= high;
}

/* The sender is an enclave like this one; if it is wrong then both are. */
static bool span_possible(const struct head *h)
{
    return h->start % PAGE_SIZE == 0 && h->end % PAGE_SIZE == 0 &&
           inside(h->start, h->end, enclave.dynamic, enclave.image);
}

static int within_part(uint64_t start, uint64_t end, void *context)
{
    const struct head *h = context;
    return inside(h->start, h->end, start, end);
}

static int receive_data(struct head *h, const uint8_t *body, uint64_t size)
{
    h->end = h->start + size;
    if (!span_possible(h) && !image_data(within_part, h))
        return -EPROTO;
    return copy_bytes((void *)h->start, body, size);
}

int snapshot_receive(struct channel *c)
{
    for (;;) {
        struct head h;
        const uint8_t *body;
        int64_t size = channel_receive(c, &h, &body);
        int error = size < 0 ? (int)size : 0;
        if (error)
            return error;
        switch (h.kind) {
        case KIND_MAP:
            error = span_possible(&h) ? memory_pages_add(h.start, h.end, WRITABLE) : -EPROTO;
            break;
        case KIND_DATA:
            error = receive_data(&h, body, (uint64_t)size);
            break;
        case KIND_PROTECT:
            error = span_possible(&h) ? memory_pages_set(h.start, h.end, (int)h.protection) : -EPROTO;
            break;
        case KIND_END:
            return 0;
        default:
            error = -EPROTO;
        }
        if (error)
            return error;
    }
}

int snapshot_receive_state(struct channel *c, void *state, size_t size)
{
    struct head h;
    const uint8_t *body;
    int64_t n = channel_receive(c, &h, &body);
    if (n < 0)
        return (int)n;
    if (h.kind != KIND_STATE || (size_t)n != size)
        return -EPROTO;
    memcpy(state, body, size);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/deferred.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "enclave/boundary/hostcall_fetch.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/pages.h"
#include "enclave/lib/lib.h"
#include "enclave/os/file.h"
#include "enclave/os/files.h"
#include "enclave/os/memory.h"

/* A shorter mapping comes whole: to bring it in two would cost more than to read what is not needed. */
#define LENGTH_LEAST (2 * DEFERRED_FIRST)
#define PART_LEAST 0x10000ul
/* A mapping comes in some hundreds of parts at most, as far as the room for one allows. */
#define PARTS 256

struct source {
    struct source *next;
    struct file *file; /* a reference */
    bool wanted;
};

static struct {
    struct source *sources;
    uint8_t *staging; /* FETCH_MAX bytes, zero when not in use */
} deferred;

bool deferred_wanted(struct file *f, uint64_t length, int protection, int flags)
{
    /* What can be written mostly is, when it is relocated. */
    return length >= LENGTH_LEAST && !(protection & PROT_WRITE) && !(flags & (MAP_POPULATE | MAP_LOCKED)) &&
           f->host_fd >= 0 && file_kind(f) == S_IFREG;
}

int deferred_keep(struct file *f)
{
    for (const struct source *s = deferred.sources; s; s = s->next)
        if (s->file == f)
            return 0;
    if (!deferred.staging)
        deferred.staging = memory_libos_pages(FETCH_MAX);
    struct source *s = deferred.staging && !host_fetch_start() ? alloc(sizeof *s) : NULL;
    if (!s)
        return -ENOMEM;
    file_hold(f);
    *s = (struct source){.next = deferred.sources, .file = f};
    deferred.sources = s;
    return 0;
}

void deferred_sweep(const struct area_table *t)
{
    for (struct source *s = deferred.sources; s; s = s->next)
        s->wanted = false;
    const struct file *last = NULL; /* most are side by side */
    for (uint32_t i = 0; i < t->count; i++) {
        if (!t->area[i].absent || t->area[i].absent == last)
            continue;
        last = t->area[i].absent;
        for (struct source *s = deferred.sources; s; s = s->next)
            s->wanted |= s->file == last;
    }
    for (struct source **at = &deferred.sources; *at;) {
        struct source *s = *at;
        if (s->wanted) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        file_put(s->file);
        alloc_free(s);
    }
}

void deferred_files(void (*visit)(struct file *f))
{
    for (const struct source *s = deferred.sources; s; s = s->next)
        visit(s->file);
}

void deferred_part(const struct area *a, uint64_t address, uint64_t *start, uint64_t *end)
{
    uint64_t part = PART_LEAST;
    while (part < FETCH_MAX && part * PARTS < a->end - a->start)
        part *= 2;
    *start = MAX(a->start, address & ~(part - 1));
    *end = MIN(a->end, (address & ~(part - 1)) + part);
}

int deferred_read(const struct area *a, uint64_t start, uint64_t end, void *to)
{
    int64_t n = host_fetch(a->absent->host_fd, to, end - start, a->offset + (start - a->start));
    if (n >= 0)
        return 0;
    log_warning("a part of %s that is mapped cannot be read: error %d", a->name ? a->name : "a file", (int)-n);
    memset(to, 0, end - start);
    return (int)n;
}

int deferred_fetch(const struct area *a, uint64_t start, uint64_t end, int protection)
{
    int error = deferred_read(a, start, end, deferred.staging);
    return error ? error : pages_install(start, deferred.staging, end - start, protection);
}

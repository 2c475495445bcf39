/* SPDX-License-Identifier: Apache-2.0 */
/* The program's address space in words, as /proc/self has it. What is resident is not known page by page: all that
 * can be accessed counts as such. */
#include <sys/mman.h>

#include "abi/start.h"
#include "enclave/lib/lib.h"
#include "enclave/os/area.h"
#include "enclave/os/memory.h"

#define NAME_COLUMN 73

struct writer {
    char *out;
    uint64_t size, at; /* at: of the whole text, which may be longer */
    enum maps_detail detail;
    struct memory_use use;
    uint64_t first, last;
    struct area line; /* what is to be written next: areas that Linux would not tell apart make one */
    struct memory_use of_line;
};

static const char *area_name(const struct area *a)
{
    switch (a->kind) {
    case AREA_HEAP:
        return "[heap]";
    case AREA_STACK:
        return "[stack]";
    case AREA_VDSO:
        return "[vdso]";
    case AREA_TRAMPOLINE:
        return "[trampoline]";
    default:
        return a->name ? a->name : "";
    }
}

#define WRITE(w, ...)                                                                              \
    ((w)->at += (uint64_t)print_format((w)->out + MIN((w)->at, (w)->size),                         \
                                       (w)->at < (w)->size ? (w)->size - (w)->at : 0, __VA_ARGS__))

static void write_line(struct writer *w, const struct area *a)
{
    const char *name = area_name(a);
    uint64_t start = w->at;
    WRITE(w, "%08lx-%08lx %c%c%c%c %08lx 00:00 %d ", a->start, a->end, a->protection & PROT_READ ? 'r' : '-',
          a->protection & PROT_WRITE ? 'w' : '-', a->protection & PROT_EXEC ? 'x' : '-', a->sharing ? 's' : 'p',
          a->offset, a->name ? 1 : 0);
    uint64_t column = w->at - start;
    if (*name)
        WRITE(w, "%*s%s", column < NAME_COLUMN ? (int)(NAME_COLUMN - column) : 0, "", name);
    WRITE(w, "\n");
}

/* What Linux says of each mapping in smaps, in its order. */
static void write_details(struct writer *w, const struct memory_use *use)
{
    uint64_t file = use->file / 1024, own = (use->resident - use->file) / 1024;
    bool rollup = w->detail == MAPS_ROLLUP;
    const struct {
        const char *name;
        uint64_t kib;
    } lines[] = {{"Rss:", file + own}, {"Pss:", file + own}, {"Pss_Dirty:", own}, {"Pss_Anon:", own},
                 {"Pss_File:", file}, {"Pss_Shmem:", 0}, {"Shared_Clean:", 0},
                 {"Shared_Dirty:", 0}, {"Private_Clean:", file}, {"Private_Dirty:", own},
                 {"Referenced:", file + own}, {"Anonymous:", own}, {"LazyFree:", 0}, {"AnonHugePages:", 0},
                 {"ShmemPmdMapped:", 0}, {"FilePmdMapped:", 0}, {"Shared_Hugetlb:", 0}, {"Private_Hugetlb:", 0},
                 {"Swap:", 0}, {"SwapPss:", 0}, {"Locked:", 0}};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (rollup || i < 3 || i > 5) /* the parts of Pss are told of the whole alone */
            WRITE(w, "%s%*s%8lu kB\n", lines[i].name, (int)(16 - strlen(lines[i].name)), "", lines[i].kib);
}

static struct memory_use use_of(const struct area *a)
{
    uint64_t size = a->end - a->start;
    bool accessible = a->protection && a->kind != AREA_STACK && !a->absent, writable = a->protection & PROT_WRITE;
    return (struct memory_use){.total = size,
                               .resident = accessible ? size : 0,
                               .file = accessible && a->kind == AREA_FILE && !writable ? size : 0,
                               .code = a->protection & PROT_EXEC ? size : 0,
                               .data = writable && !a->sharing ? size : 0};
}

static void add(struct memory_use *to, const struct memory_use *use)
{
    to->total += use->total;
    to->resident += use->resident;
    to->file += use->file;
    to->code += use->code;
    to->data += use->data;
}

static void end_line(struct writer *w)
{
    const struct area *a = &w->line;
    if (a->start == a->end)
        return;
    write_line(w, a);
    if (w->detail != MAPS_DETAILS)
        return;
    WRITE(w, "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n",
          w->of_line.total / 1024);
    write_details(w, &w->of_line);
    WRITE(w, "THPeligible:           0\nVmFlags:%s%s%s%s mr mw me ac \n", a->protection & PROT_READ ? " rd" : "",
          a->protection & PROT_WRITE ? " wr" : "", a->protection & PROT_EXEC ? " ex" : "", a->sharing ? " sh" : "");
}

/* Does b go on where a ends, apart from what is here of it? */
static bool goes_on(const struct area *a, const struct area *b)
{
    return a->end == b->start && a->protection == b->protection && a->kind == b->kind && a->name == b->name &&
           a->sharing == b->sharing && a->shared == b->shared && (!a->name || a->offset + (a->end - a->start) == b->offset);
}

static int write_area(const struct area *a, void *context)
{
    struct writer *w = context;
    struct memory_use use = use_of(a);
    add(&w->use, &use);
    w->first = w->first ? w->first : a->start;
    w->last = a->end;
    if (w->detail == MAPS_NOTHING || w->detail == MAPS_ROLLUP)
        return 0;
    if (goes_on(&w->line, a)) {
        w->line.end = a->end;
        add(&w->of_line, &use);
        return 0;
    }
    end_line(w);
    w->line = *a;
    w->of_line = use;
    return 0;
}

int memory_print_maps(char *out, uint64_t size, enum maps_detail detail)
{
    struct writer w = {.out = out, .size = size, .detail = detail};
    memory_look(write_area, &w);
    end_line(&w);
    if (detail == MAPS_ROLLUP) {
        struct area all = {.start = w.first, .end = w.last, .name = "[rollup]"};
        write_line(&w, &all);
        write_details(&w, &w.use);
    }
    return (int)w.at;
}

void memory_usage(struct memory_use *use)
{
    struct writer w = {.detail = MAPS_NOTHING};
    memory_look(write_area, &w);
    *use = w.use;
}

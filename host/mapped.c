/* SPDX-License-Identifier: Apache-2.0 */
#include "host/mapped.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/host.h"
#include "host/symbols.h"

#define SEGMENTS_MAX 64

struct mapped {
    struct link_map map; /* first: what debuggers read */
    uint64_t start, end; /* code, in the enclave */
    uint64_t file_offset; /* of start */
    char path[];
};

/* As the C library has it from 2.35 on: one struct r_debug for each name space, r_version 2. */
struct name_space {
    struct r_debug debug;
    struct name_space *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct name_space ours;
static struct link_map *last;
static FILE *perf;   /* /tmp/perf-PID.map */
static bool removed; /* it has symbols that are no more */

/* ---- for debuggers ---- */

static bool linker_knows_name_spaces(void)
{
    int major = 0, minor = 0;
    return sscanf(gnu_get_libc_version(), "%d.%d", &major, &minor) == 2 &&
           (major > 2 || (major == 2 && minor >= 35));
}

/* A debugger that finds version 2 reads on at `next`. */
static void list_announce(void)
{
    struct name_space *at = NULL;
    for (const ElfW(Dyn) *d = _DYNAMIC; d->d_tag != DT_NULL; d++)
        if (d->d_tag == DT_DEBUG)
            at = (struct name_space *)d->d_un.d_ptr;
    if (!at || !linker_knows_name_spaces())
        return;
    ours.debug.r_version = 2;
    ours.debug.r_brk = at->debug.r_brk;
    ours.debug.r_ldbase = at->debug.r_ldbase;
    struct name_space *end = at;
    while (end->debug.r_version > 1 && end->next)
        end = end->next;
    end->next = &ours;
    end->debug.r_version = at->debug.r_version = 2;
}

static void list_add(struct mapped *m)
{
    m->map.l_name = m->path;
    m->map.l_prev = last;
    *(last ? &last->l_next : &ours.debug.r_map) = &m->map;
    last = &m->map;
}

static void list_remove(struct mapped *m)
{
    *(m->map.l_prev ? &m->map.l_prev->l_next : &ours.debug.r_map) = m->map.l_next;
    *(m->map.l_next ? &m->map.l_next->l_prev : &last) = m->map.l_prev;
}

/* ---- for perf ---- */

static void perf_write(const struct mapped *m)
{
    const struct symbols *s = symbols_of(m->path);
    for (size_t i = 0; i < s->count; i++) {
        const struct symbol *y = &s->list[i];
        if (y->offset < m->file_offset || y->offset - m->file_offset >= m->end - m->start)
            continue;
        /* What has no size reaches to the next. */
        uint64_t size = y->size ? y->size : i + 1 < s->count ? s->list[i + 1].offset - y->offset : 1;
        fprintf(perf, "%lx %lx %s\n", m->start + (y->offset - m->file_offset), size, y->name);
    }
}

static void perf_write_all(void)
{
    for (const struct link_map *l = ours.debug.r_map; l; l = l->l_next)
        perf_write((const struct mapped *)l);
}

/* A file that is there is another process's of this number, long gone. */
static void perf_open(void)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)getpid());
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    perf = fd < 0 ? NULL : fdopen(fd, "w");
    if (!perf)
        fprintf(stderr, "rakis: cannot write %s: %s; perf will show no names\n", path, strerror(errno));
}

static void perf_update(const struct mapped *new)
{
    if (!perf)
        return;
    if (removed) {
        rewind(perf);
        (void)!ftruncate(fileno(perf), 0);
        perf_write_all();
    } else {
        perf_write(new);
    }
    removed = false;
    fflush(perf);
}

/* ---- both ---- */

/* The path of an open file that can be opened by it again; false: it has none. */
static bool path_of(int fd, char path[PATH_MAX])
{
    static const char gone[] = " (deleted)";
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0 || path[0] != '/')
        return false;
    path[n] = '\0';
    size_t end = sizeof gone - 1;
    return (size_t)n < end || strcmp(path + n - end, gone) != 0;
}

/* By how much addresses in the enclave differ from the file's, where its dynamic section is (0: it has none). */
static bool place(int fd, uint64_t address, uint64_t file_offset, uint64_t *bias, uint64_t *dynamic)
{
    Elf64_Ehdr h;
    Elf64_Phdr segments[SEGMENTS_MAX];
    if (pread(fd, &h, sizeof h, 0) != sizeof h || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof *segments || h.e_phnum > SEGMENTS_MAX)
        return false;
    ssize_t size = (ssize_t)(h.e_phnum * sizeof *segments);
    if (pread(fd, segments, (size_t)size, (off_t)h.e_phoff) != size)
        return false;
    bool found = false;
    *dynamic = 0;
    for (int i = 0; i < h.e_phnum; i++) {
        const Elf64_Phdr *p = &segments[i];
        uint64_t begin = p->p_offset & ~(PAGE_SIZE - 1);
        if (p->p_type == PT_DYNAMIC)
            *dynamic = p->p_vaddr;
        if (p->p_type == PT_LOAD && !found && file_offset >= begin &&
            file_offset - begin < p->p_filesz + (p->p_offset - begin)) {
            *bias = address - (p->p_vaddr - p->p_offset + file_offset);
            found = p->p_flags & PF_X; /* a page on the edge is of two */
        }
    }
    if (*dynamic)
        *dynamic += *bias;
    return found;
}

static void remove_range(uint64_t start, uint64_t end)
{
    for (struct link_map *l = ours.debug.r_map, *next; l; l = next) {
        struct mapped *m = (struct mapped *)l;
        next = l->l_next;
        if (m->start >= end || m->end <= start)
            continue;
        list_remove(m);
        free(m);
        removed = true;
    }
}

static void add(const char *path, uint64_t bias, uint64_t dynamic, uint64_t start, uint64_t length,
                uint64_t file_offset)
{
    struct mapped *m = calloc(1, sizeof *m + strlen(path) + 1);
    if (!m)
        return;
    strcpy(m->path, path);
    m->map.l_addr = bias;
    m->map.l_ld = (void *)dynamic;
    m->start = start;
    m->end = start + length;
    m->file_offset = file_offset;
    pthread_mutex_lock(&lock);
    remove_range(m->start, m->end);
    list_add(m);
    perf_update(m);
    pthread_mutex_unlock(&lock);
}

void mapped_add(int fd, uint64_t offset, uint64_t length, uint64_t file_offset)
{
    char path[PATH_MAX];
    uint64_t bias = 0, dynamic, address = host.image.base + offset;
    if (offset < host.image.size && length <= host.image.size - offset &&
        place(fd, address, file_offset, &bias, &dynamic) && path_of(fd, path))
        add(path, bias, dynamic, address, length, file_offset);
}

void mapped_remove(uint64_t offset, uint64_t length)
{
    if (length > UINT64_MAX - offset)
        return;
    pthread_mutex_lock(&lock);
    remove_range(host.image.base + offset, host.image.base + offset + length);
    pthread_mutex_unlock(&lock);
}

void mapped_start(void)
{
    char path[PATH_MAX];
    list_announce();
    if (host.options->perf)
        perf_open();
    int fd = open(host.options->image_path, O_RDONLY | O_CLOEXEC);
    Elf64_Ehdr h;
    if (fd >= 0 && realpath(host.options->image_path, path) && pread(fd, &h, sizeof h, 0) == sizeof h)
        for (int i = 0; i < h.e_phnum; i++) {
            Elf64_Phdr p;
            uint64_t bias, dynamic;
            if (pread(fd, &p, sizeof p, (off_t)(h.e_phoff + (uint64_t)i * sizeof p)) == sizeof p &&
                p.p_type == PT_LOAD && (p.p_flags & PF_X) &&
                place(fd, host.image.libos + p.p_vaddr, p.p_offset, &bias, &dynamic))
                add(path, bias, dynamic, host.image.libos + p.p_vaddr, p.p_memsz, p.p_offset);
        }
    if (fd >= 0)
        close(fd);
}

void mapped_forked(void)
{
    if (!perf)
        return;
    fclose(perf);
    perf_open();
    if (perf) {
        perf_write_all();
        fflush(perf);
    }
    removed = false;
}

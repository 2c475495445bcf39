/* SPDX-License-Identifier: Apache-2.0 */
#include "host/symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"

/* A file mapped whole, its headers checked to lie within. It stays mapped: names point into it. */
struct elf {
    const uint8_t *bytes;
    uint64_t size;
    const Elf64_Ehdr *header;
    const Elf64_Phdr *segments;
    const Elf64_Shdr *sections;
};

struct known {
    struct known *next;
    char *path;
    struct symbols symbols;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known *known;

static bool within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

static void close_elf(struct elf *e)
{
    if (e->bytes)
        munmap((void *)(uintptr_t)e->bytes, e->size);
    e->bytes = NULL;
}

static bool open_elf(struct elf *e, const char *path)
{
    struct stat status;
    *e = (struct elf){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (!fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_size > (off_t)sizeof(Elf64_Ehdr)) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            e->bytes = bytes;
            e->size = (uint64_t)status.st_size;
        }
    }
    close(fd);
    if (!e->bytes)
        return false;
    const Elf64_Ehdr *h = e->header = (const Elf64_Ehdr *)e->bytes;
    e->segments = (const Elf64_Phdr *)(e->bytes + h->e_phoff);
    e->sections = (const Elf64_Shdr *)(e->bytes + h->e_shoff);
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_phentsize != sizeof(Elf64_Phdr) || (h->e_shnum && h->e_shentsize != sizeof(Elf64_Shdr)) ||
        h->e_phoff % 8 || h->e_shoff % 8 || !within(h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr), e->size) ||
        !within(h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr), e->size)) {
        close_elf(e);
        return false;
    }
    return true;
}

static const Elf64_Shdr *section_of(const struct elf *e, uint32_t type)
{
    for (unsigned i = 0; i < e->header->e_shnum; i++)
        if (e->sections[i].sh_type == type && within(e->sections[i].sh_offset, e->sections[i].sh_size, e->size))
            return &e->sections[i];
    return NULL;
}

/* Where an address of the file's is in it: by the segments of the file itself, as those of a debug file have
 * no contents. */
static bool offset_of(const struct elf *file, uint64_t address, uint64_t *offset)
{
    for (unsigned i = 0; i < file->header->e_phnum; i++) {
        const Elf64_Phdr *p = &file->segments[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz) {
            *offset = address - p->p_vaddr + p->p_offset;
            return true;
        }
    }
    return false;
}

static int compare(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static bool read_table(const struct elf *file, const struct elf *e, uint32_t type, struct symbols *out)
{
    const Elf64_Shdr *table = section_of(e, type);
    if (!table || table->sh_offset % 8 || table->sh_link >= e->header->e_shnum)
        return false;
    const Elf64_Shdr *names = &e->sections[table->sh_link];
    if (!within(names->sh_offset, names->sh_size, e->size) || !names->sh_size ||
        e->bytes[names->sh_offset + names->sh_size - 1])
        return false;
    const Elf64_Sym *s = (const Elf64_Sym *)(e->bytes + table->sh_offset);
    size_t room = table->sh_size / sizeof *s;
    out->list = calloc(room ? room : 1, sizeof *out->list);
    for (size_t i = 0; out->list && i < room; i++) {
        unsigned kind = ELF64_ST_TYPE(s[i].st_info);
        uint64_t offset;
        if ((kind == STT_FUNC || kind == STT_GNU_IFUNC || kind == STT_NOTYPE) && s[i].st_shndx != SHN_UNDEF &&
            s[i].st_name && s[i].st_name < names->sh_size && offset_of(file, s[i].st_value, &offset))
            out->list[out->count++] = (struct symbol){
                offset, s[i].st_size, (const char *)e->bytes + names->sh_offset + s[i].st_name};
    }
    if (out->list)
        qsort(out->list, out->count, sizeof *out->list, compare);
    return out->count > 0;
}

/* /usr/lib/debug has a file by build id where the package of debug symbols is installed. */
static bool open_debug(const struct elf *file, struct elf *debug)
{
    char path[PATH_MAX] = "/usr/lib/debug/.build-id/";
    for (unsigned i = 0; i < file->header->e_phnum; i++) {
        const Elf64_Phdr *p = &file->segments[i];
        if (p->p_type != PT_NOTE || !within(p->p_offset, p->p_filesz, file->size))
            continue;
        for (uint64_t at = 0; within(at, sizeof(Elf64_Nhdr) + 4, p->p_filesz);) {
            Elf64_Nhdr n;
            const uint8_t *note = file->bytes + p->p_offset + at;
            memcpy(&n, note, sizeof n);
            uint64_t name = (n.n_namesz + 3ull) & ~3ull, size = sizeof n + name + ((n.n_descsz + 3ull) & ~3ull);
            if (!within(at, size, p->p_filesz))
                break;
            if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && !memcmp(note + sizeof n, "GNU", 4) &&
                n.n_descsz > 2 && n.n_descsz < 64) {
                char *out = path + strlen(path);
                for (uint32_t k = 0; k < n.n_descsz; k++)
                    out += sprintf(out, k == 0 ? "%02x/" : "%02x", note[sizeof n + name + k]);
                strcpy(out, ".debug");
                return open_elf(debug, path);
            }
            at += size;
        }
    }
    return false;
}

static void read_symbols(const char *path, struct symbols *out)
{
    struct elf file, debug;
    if (!open_elf(&file, path))
        return;
    if (read_table(&file, &file, SHT_SYMTAB, out))
        return;
    if (open_debug(&file, &debug)) {
        if (read_table(&file, &debug, SHT_SYMTAB, out))
            return;
        close_elf(&debug);
    }
    if (!read_table(&file, &file, SHT_DYNSYM, out))
        close_elf(&file);
}

const struct symbols *symbols_of(const char *path)
{
    static const struct symbols none;
    pthread_mutex_lock(&lock);
    struct known *k = known;
    while (k && strcmp(k->path, path))
        k = k->next;
    if (!k && (k = calloc(1, sizeof *k)) && (k->path = strdup(path))) {
        read_symbols(path, &k->symbols);
        k->next = known;
        known = k;
    }
    pthread_mutex_unlock(&lock);
    return k ? &k->symbols : &none;
}

const struct symbol *symbols_find(const struct symbols *s, uint64_t offset)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->list[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    /* Of several the one that reaches so far; what has no size reaches to the next. */
    for (size_t i = low; i-- > 0 && low - i < 32;)
        if (offset - s->list[i].offset < s->list[i].size || !s->list[i].size)
            return &s->list[i];
    return NULL;
}

void frame_print(uint32_t number, int kind, uint64_t address, const char *path, size_t length, uint64_t offset)
{
    char name[PATH_MAX] = "";
    if (kind == FRAME_FILE)
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : 0), path);
    else if (kind == FRAME_IMAGE)
        snprintf(name, sizeof name, "%s", host.options->image_path);
    const struct symbol *s = *name ? symbols_find(symbols_of(name), offset) : NULL;
    if (s)
        fprintf(stderr, "rakis:   #%-2u %016lx %s+0x%lx (%s)\n", number, address, s->name, offset - s->offset, name);
    else if (*name)
        fprintf(stderr, "rakis:   #%-2u %016lx %s+0x%lx\n", number, address, name, offset);
    else
        fprintf(stderr, "rakis:   #%-2u %016lx\n", number, address);
}

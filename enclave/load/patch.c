/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window becomes `jmp trampoline`. The trampoline, near by:
 *
 *     instructions of the window before the system call
 *     lea after(%rip), %rcx
 *     jmp *%gs:TB_SYSCALL_ENTRY
 *     how many bytes the instructions after it are: for unwinders (entry/entry.S)
 *   after:
 *     instructions of the window after it
 *     jmp end of the window
 *
 * where, with no instruction after, `after` is the end of the window itself. Nothing touches the
 * stack: the red zone below it is the program's. Where the `syscall` lies beyond the jump it stays: a
 * jump straight to it, against all that the list says, works by way of an exception.
 */
#include "enclave/load/patch.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "enclave/boundary/sites.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/lib/lib.h"
#include "enclave/boundary/log.h"
#include "enclave/os/file.h"
#include "enclave/os/memory.h"

#define JUMP_SIZE 5
#define LEA_SIZE 7
#define ENTRY_SIZE 8
#define LENGTH_SIZE 1
#define SYSCALL_SIZE 2
#define INT3 0xcc
#define NEAR 0x10000 /* bytes between sites that are brought together */
/* Both displacements and the lengths between stay well within 31 bits. */
#define REACH (INT32_MAX - 2 * 4096ll)

static const uint8_t lea_rcx[3] = {0x48, 0x8d, 0x0d};
static const uint8_t jump_entry[ENTRY_SIZE] = {0x65, 0xff, 0x24, 0x25, TB_SYSCALL_ENTRY, 0, 0, 0};

/* The part of a mapping that sites are looked for in. */
struct mapping {
    uint64_t address, length, file_offset;
};

/* Where the window is in memory: NULL when it is not wholly in the mapping or is not a system call. */
static uint8_t *window(const struct mapping *m, const struct site *s)
{
    if (s->offset < m->file_offset)
        return NULL;
    uint64_t at = s->offset - m->file_offset;
    if (at > m->length || site_length(s) > m->length - at)
        return NULL;
    uint8_t *w = (uint8_t *)(m->address + at);
    const uint8_t *call = w + site_syscall(s);
    return call[0] == 0x0f && call[1] == 0x05 ? w : NULL;
}

static uint64_t after_length(const struct site *s)
{
    return site_length(s) - site_syscall(s) - SYSCALL_SIZE;
}

static uint64_t trampoline_size(const struct site *s)
{
    uint64_t after = after_length(s);
    return site_syscall(s) + LEA_SIZE + ENTRY_SIZE + LENGTH_SIZE + (after ? after + JUMP_SIZE : 0);
}

/* The displacement at `p`, last of an instruction, that makes it refer to `target`. */
static uint8_t *emit_relative(uint8_t *p, const uint8_t *target)
{
    int32_t displacement = (int32_t)(target - (p + 4));
    memcpy(p, &displacement, 4);
    return p + 4;
}

static uint8_t *emit_jump(uint8_t *p, const uint8_t *target)
{
    *p = 0xe9;
    return emit_relative(p + 1, target);
}

static uint8_t *emit(uint8_t *p, const uint8_t *from, uint64_t length)
{
    memcpy(p, from, length);
    return p + length;
}

static uint8_t *trampoline_emit(uint8_t *p, const uint8_t *w, const struct site *s)
{
    const uint8_t *call = w + site_syscall(s), *end = w + site_length(s);
    uint64_t after = after_length(s);
    p = emit(p, w, site_syscall(s));
    p = emit(p, lea_rcx, sizeof lea_rcx);
    p = emit_relative(p, after ? p + 4 + ENTRY_SIZE + LENGTH_SIZE : end);
    p = emit(p, jump_entry, sizeof jump_entry);
    *p++ = (uint8_t)after;
    if (after) {
        p = emit(p, call + SYSCALL_SIZE, after);
        p = emit_jump(p, end);
    }
    return p;
}

static void window_replace(uint8_t *w, const struct site *s, const uint8_t *trampoline)
{
    uint64_t call = site_syscall(s), kept = site_length(s);
    if (call >= JUMP_SIZE)
        kept = call;
    emit_jump(w, trampoline);
    memset(w + JUMP_SIZE, INT3, kept - JUMP_SIZE);
}

/* Of a list in order: the first site at or after this offset of the file. */
static uint64_t first_from(const struct site *site, uint64_t count, uint64_t offset)
{
    uint64_t low = 0, high = count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (site[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool reaches(const struct mapping *m, uint64_t trampolines, uint64_t size)
{
    uint64_t low = MIN(m->address, trampolines);
    uint64_t high = MAX(m->address + m->length, trampolines + size);
    return high - low <= (uint64_t)REACH;
}

/* Brings what the sites lie in: those that are near each other together. 0 or -errno. */
static int windows_bring(const struct mapping *m, const struct site *site, uint64_t count)
{
    int error = 0;
    for (uint64_t i = 0, next; i < count && !error; i = next) {
        for (next = i + 1; next < count && site[next].offset - site[next - 1].offset < NEAR; next++)
            ;
        uint64_t start = site[i].offset - m->file_offset;
        uint64_t end = MIN(site[next - 1].offset - m->file_offset + site_length(&site[next - 1]), m->length);
        error = memory_complete(m->address + start, end - start);
    }
    return error;
}

int patch_sites(const struct site *site, uint64_t count, uint64_t address, uint64_t length,
                uint64_t file_offset)
{
    struct mapping m = {address, length, file_offset};
    uint64_t first = first_from(site, count, file_offset), end = first, size = 0;
    while (end < count && site[end].offset - file_offset < length)
        end++;
    int error = windows_bring(&m, site + first, end - first);
    if (error)
        return error;
    for (uint64_t i = first; i < end; i++)
        if (window(&m, &site[i]))
            size += trampoline_size(&site[i]);
    if (!size)
        return 0;

    size = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    int64_t near = memory_map_near(address, size, PROT_READ | PROT_WRITE, AREA_TRAMPOLINE);
    if (near < 0)
        return (int)near;
    if (!reaches(&m, (uint64_t)near, size)) {
        memory_unmap((uint64_t)near, size);
        return -ENOMEM;
    }
    uint8_t *p = (uint8_t *)near;
    int replaced = 0;
    for (uint64_t i = first; i < end; i++)
        if (window(&m, &site[i]))
            p = trampoline_emit(p, window(&m, &site[i]), &site[i]);
    memset(p, INT3, (uint64_t)near + size - (uint64_t)p);
    /* Executable before anything jumps there. */
    error = memory_protect((uint64_t)near, size, PROT_READ | PROT_EXEC);
    if (error) {
        memory_unmap((uint64_t)near, size);
        return error;
    }
    p = (uint8_t *)near;
    for (uint64_t i = first; i < end; i++) {
        uint8_t *w = window(&m, &site[i]);
        if (!w)
            continue;
        window_replace(w, &site[i], p);
        p += trampoline_size(&site[i]);
        replaced++;
    }
    return replaced;
}

int patch_mapped(struct file *file, uint64_t address, uint64_t length, uint64_t file_offset,
                 int protection)
{
    if (!(enclave.configuration->flags & CONFIGURATION_DEVELOPMENT) || file->host_fd < 0 ||
        !(protection & PROT_EXEC))
        return 0;
    struct site *site;
    int64_t count = sites_of_host_file(file->host_fd, address, length, file_offset, &site);
    if (count > 0) {
        int replaced = patch_sites(site, (uint64_t)count, address, length, file_offset);
        alloc_free(site);
        count = replaced;
    }
    const char *name = file->path ? file->path : "a file";
    if (count < 0 && count != -ENOEXEC)
        log_warning("%s: system calls stay slow: no list of their sites (error %d)", name, (int)-count);
    else
        log_debug("%s: %d system call sites rewritten at 0x%lx", name, (int)count, address);
    return (int)count;
}

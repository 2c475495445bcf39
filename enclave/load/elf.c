/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/load/elf.h"

#include <elf.h>
#include <errno.h>

#define PAGE 4096ul

/*@ requires \valid_read(p + (0 .. 1));
    assigns \nothing; */
static uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] + p[1] * 256);
}

/*@ requires \valid_read(p + (0 .. 3));
    assigns \nothing; */
static uint32_t load32(const uint8_t *p)
{
    return load16(p) + load16(p + 2) * 0x10000u;
}

/*@ requires \valid_read(p + (0 .. 7));
    assigns \nothing; */
static uint64_t load64(const uint8_t *p)
{
    return load32(p) + load32(p + 4) * 0x100000000ul;
}

int elf_header(const uint8_t *h, struct elf_file *out)
{
    if (h[0] != 0x7f || h[1] != 'E' || h[2] != 'L' || h[3] != 'F')
        return -ENOEXEC;
    if (h[EI_CLASS] != ELFCLASS64 || h[EI_DATA] != ELFDATA2LSB)
        return -ENOEXEC;
    out->type = load16(h + 16);
    if ((out->type != ET_EXEC && out->type != ET_DYN) || load16(h + 18) != EM_X86_64)
        return -ENOEXEC;
    out->entry = load64(h + 24);
    out->segments_offset = load64(h + 32);
    out->segments = load16(h + 56);
    if (load16(h + 54) != ELF_SEGMENT_SIZE || out->segments == 0 ||
        out->segments > ELF_SEGMENTS_MAX || out->segments_offset > ELF_ADDRESS_MAX ||
        out->entry > ELF_ADDRESS_MAX)
        return -ENOEXEC;
    return 0;
}

/*@ requires \valid_read(p + (0 .. ELF_SEGMENT_SIZE - 1));
    requires \valid(out) && elf_loads_valid(out);
    requires \separated(out, p + (0 .. ELF_SEGMENT_SIZE - 1));
    assigns out->load[0 .. ELF_LOADS_MAX - 1], out->loads, out->segments_address;
    ensures elf_loads_valid(out); */
static int add_load(const uint8_t *p, struct elf_file *out)
{
    struct elf_load l = {.flags = load32(p + 4),
                         .offset = load64(p + 8),
                         .address = load64(p + 16),
                         .file_size = load64(p + 32),
                         .memory_size = load64(p + 40)};
    if (out->loads == ELF_LOADS_MAX)
        return -ENOEXEC;
    if (l.address > ELF_ADDRESS_MAX || l.memory_size > ELF_ADDRESS_MAX || l.offset > ELF_ADDRESS_MAX ||
        l.file_size > l.memory_size || l.address % PAGE != l.offset % PAGE)
        return -ENOEXEC;
    if (!l.memory_size)
        return 0;
    if (out->loads) {
        const struct elf_load *before = &out->load[out->loads - 1];
        uint64_t end = (before->address + before->memory_size + PAGE - 1) & ~(PAGE - 1);
        if ((l.address & ~(PAGE - 1)) < end)
            return -ENOEXEC;
    }
    out->load[out->loads++] = l;
    uint64_t headers = out->segments_offset;
    if (headers >= l.offset && headers - l.offset < l.file_size)
        out->segments_address = l.address + (headers - l.offset);
    return 0;
}

int elf_segments(const uint8_t *headers, size_t size, struct elf_file *out)
{
    out->loads = 0;
    out->interpreter_size = 0;
    out->segments_address = 0;
    if (size / ELF_SEGMENT_SIZE < out->segments)
        return -ENOEXEC;
    /*@ loop invariant 0 <= i <= out->segments;
        loop invariant elf_loads_valid(out) && out->interpreter_size <= 4096;
        loop assigns i, out->load[0 .. ELF_LOADS_MAX - 1], out->loads, out->segments_address,
                     out->interpreter_offset, out->interpreter_size;
        loop variant out->segments - i; */
    for (uint16_t i = 0; i < out->segments; i++) {
        const uint8_t *p = headers + (size_t)i * ELF_SEGMENT_SIZE;
        switch (load32(p)) {
        case PT_LOAD:
            if (add_load(p, out))
                return -ENOEXEC;
            break;
        case PT_INTERP:
            out->interpreter_offset = load64(p + 8);
            out->interpreter_size = load64(p + 32);
            if (out->interpreter_size < 2 || out->interpreter_size > 4096 ||
                out->interpreter_offset > ELF_ADDRESS_MAX)
                return -ENOEXEC;
            break;
        }
    }
    return out->loads ? 0 : -ENOEXEC;
}

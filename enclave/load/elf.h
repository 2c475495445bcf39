/* SPDX-License-Identifier: Apache-2.0 */
/* The header and program headers of an ELF file, checked. Works on bytes: nothing is believed. */
#ifndef LOAD_ELF_H
#define LOAD_ELF_H

#include <stddef.h>
#include <stdint.h>

#define ELF_HEADER_SIZE 64
#define ELF_SEGMENT_SIZE 56
#define ELF_SEGMENTS_MAX 64
#define ELF_LOADS_MAX 16
#define ELF_ADDRESS_MAX (1ul << 47)

/* A PT_LOAD: address and sizes in bytes, checked: page offsets of address and file offset agree, file
 * size at most memory size, no overflow, ascending and disjoint. */
struct elf_load {
    uint64_t address, memory_size, offset, file_size;
    uint32_t flags; /* PF_ */
};

struct elf_file {
    uint16_t type; /* ET_EXEC or ET_DYN */
    uint64_t entry;
    uint64_t segments_offset; /* of the program headers in the file */
    uint16_t segments;
    struct elf_load load[ELF_LOADS_MAX];
    uint32_t loads;
    uint64_t interpreter_offset, interpreter_size; /* PT_INTERP's path with its NUL; size 0: none */
    uint64_t segments_address; /* where the headers are in memory, 0: not mapped */
};

/* What sums of a PT_LOAD may be taken of without wrapping. */
/*@ predicate elf_loads_valid(struct elf_file *f) =
      f->loads <= ELF_LOADS_MAX &&
      (\forall integer i; 0 <= i < f->loads ==>
         f->load[i].address <= ELF_ADDRESS_MAX && f->load[i].offset <= ELF_ADDRESS_MAX &&
         f->load[i].file_size <= f->load[i].memory_size <= ELF_ADDRESS_MAX); */

/* From the first 64 bytes: type, entry, where the program headers are. 0, or -ENOEXEC. */
/*@ requires \valid_read(header + (0 .. ELF_HEADER_SIZE - 1));
    requires \valid(out) && \separated(out, header + (0 .. ELF_HEADER_SIZE - 1));
    assigns out->type, out->entry, out->segments_offset, out->segments;
    ensures \result == 0 ==> 0 < out->segments <= ELF_SEGMENTS_MAX &&
            out->segments_offset <= ELF_ADDRESS_MAX && out->entry <= ELF_ADDRESS_MAX; */
int elf_header(const uint8_t *header, struct elf_file *out);

/* From the program headers, segments × 56 bytes. 0 or -ENOEXEC. */
/*@ requires \valid_read(headers + (0 .. size - 1));
    requires \valid(out) && \separated(out, headers + (0 .. size - 1));
    requires out->segments <= ELF_SEGMENTS_MAX && out->segments_offset <= ELF_ADDRESS_MAX;
    assigns out->load[0 .. ELF_LOADS_MAX - 1], out->loads, out->segments_address,
            out->interpreter_offset, out->interpreter_size;
    ensures elf_loads_valid(out);
    ensures \result == 0 ==> 0 < out->loads && out->interpreter_size <= 4096; */
int elf_segments(const uint8_t *headers, size_t size, struct elf_file *out);

#endif

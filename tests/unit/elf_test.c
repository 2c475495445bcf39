/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files as they are, and as they should not be. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "enclave/load/elf.h"

#define SEGMENTS 4

static Elf64_Ehdr header;
static Elf64_Phdr segment[SEGMENTS];

static int good(void **state)
{
    (void)state;
    header = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_DYN,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = 0x1040,
        .e_phoff = 64,
        .e_ehsize = 64,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = SEGMENTS,
    };
    segment[0] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = 0x318, .p_filesz = 0x1c,
                              .p_memsz = 0x1c};
    segment[1] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = 0x600,
                              .p_memsz = 0x600};
    segment[2] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 0x1000,
                              .p_vaddr = 0x1000, .p_filesz = 0x1500, .p_memsz = 0x1500};
    segment[3] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 0x2df0,
                              .p_vaddr = 0x3df0, .p_filesz = 0x220, .p_memsz = 0x5000};
    return 0;
}

static int parse(struct elf_file *out)
{
    memset(out, 0xa5, sizeof *out); /* nothing may be left as it was */
    int error = elf_header((const uint8_t *)&header, out);
    return error ? error : elf_segments((const uint8_t *)segment, sizeof segment, out);
}

static void a_good_file_is_understood(void **state)
{
    struct elf_file f;
    (void)state;
    assert_int_equal(parse(&f), 0);
    assert_int_equal(f.type, ET_DYN);
    assert_int_equal(f.entry, 0x1040);
    assert_int_equal(f.loads, 3);
    assert_int_equal(f.load[2].address, 0x3df0);
    assert_int_equal(f.load[2].offset, 0x2df0);
    assert_int_equal(f.load[2].file_size, 0x220);
    assert_int_equal(f.load[2].memory_size, 0x5000);
    assert_int_equal(f.load[2].flags, PF_R | PF_W);
    assert_int_equal(f.interpreter_offset, 0x318);
    assert_int_equal(f.interpreter_size, 0x1c);
    assert_int_equal(f.segments_address, 64);
}

static void a_file_without_interpreter_is_static(void **state)
{
    struct elf_file f;
    (void)state;
    segment[0].p_type = PT_NULL;
    assert_int_equal(parse(&f), 0);
    assert_int_equal(f.interpreter_size, 0);
}

static void headers_outside_every_segment_have_no_address(void **state)
{
    struct elf_file f;
    (void)state;
    header.e_phoff = 0x100000;
    assert_int_equal(parse(&f), 0);
    assert_int_equal(f.segments_address, 0);
}

static void empty_segments_are_left_out(void **state)
{
    struct elf_file f;
    (void)state;
    segment[2].p_filesz = segment[2].p_memsz = 0;
    assert_int_equal(parse(&f), 0);
    assert_int_equal(f.loads, 2);
}

static void wrong_headers_are_refused(void **state)
{
    const struct {
        const char *what;
        size_t offset;
        uint8_t byte;
    } cases[] = {
        {"no magic", 0, 0x7e},
        {"no magic", 3, 'f'},
        {"32 bit", EI_CLASS, ELFCLASS32},
        {"big endian", EI_DATA, ELFDATA2MSB},
        {"a relocatable file", offsetof(Elf64_Ehdr, e_type), ET_REL},
        {"a core file", offsetof(Elf64_Ehdr, e_type), ET_CORE},
        {"another machine", offsetof(Elf64_Ehdr, e_machine), EM_AARCH64},
        {"program headers of another size", offsetof(Elf64_Ehdr, e_phentsize), 32},
        {"no program headers", offsetof(Elf64_Ehdr, e_phnum), 0},
        {"too many program headers", offsetof(Elf64_Ehdr, e_phnum), ELF_SEGMENTS_MAX + 1},
        {"too many program headers", offsetof(Elf64_Ehdr, e_phnum) + 1, 0xff},
        {"program headers far away", offsetof(Elf64_Ehdr, e_phoff) + 7, 0xff},
        {"an entry far away", offsetof(Elf64_Ehdr, e_entry) + 7, 0xff},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct elf_file f;
        good(NULL);
        ((uint8_t *)&header)[cases[i].offset] = cases[i].byte;
        if (elf_header((const uint8_t *)&header, &f) != -ENOEXEC)
            fail_msg("%s was accepted", cases[i].what);
    }
}

static void wrong_segments_are_refused(void **state)
{
    const struct {
        const char *what;
        unsigned segment;
        size_t field;
        uint64_t value;
    } cases[] = {
        {"more in the file than in memory", 2, offsetof(Elf64_Phdr, p_filesz), 0x1501},
        {"offset and address in disagreement", 2, offsetof(Elf64_Phdr, p_offset), 0x1008},
        {"an address that overflows", 3, offsetof(Elf64_Phdr, p_vaddr), UINT64_MAX & ~0xfffull},
        {"an address far away", 3, offsetof(Elf64_Phdr, p_vaddr), (1ull << 47) + 0x1df0},
        {"a size that overflows", 3, offsetof(Elf64_Phdr, p_memsz), UINT64_MAX - 0x100},
        {"an offset that overflows", 3, offsetof(Elf64_Phdr, p_offset), UINT64_MAX - 0x20f},
        {"segments that overlap", 2, offsetof(Elf64_Phdr, p_memsz), 0x3000},
        {"segments that share a page", 2, offsetof(Elf64_Phdr, p_memsz), 0x2001},
        {"segments out of order", 3, offsetof(Elf64_Phdr, p_vaddr), 0xdf0},
        {"an interpreter without a name", 0, offsetof(Elf64_Phdr, p_filesz), 1},
        {"an interpreter with an endless name", 0, offsetof(Elf64_Phdr, p_filesz), 4097},
        {"an interpreter's name far away", 0, offsetof(Elf64_Phdr, p_offset), UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct elf_file f;
        good(NULL);
        memcpy((uint8_t *)&segment[cases[i].segment] + cases[i].field, &cases[i].value, 8);
        if (parse(&f) != -ENOEXEC)
            fail_msg("%s: accepted", cases[i].what);
    }
}

static void nothing_to_load_is_refused(void **state)
{
    struct elf_file f;
    (void)state;
    for (int i = 1; i < SEGMENTS; i++)
        segment[i].p_type = PT_NOTE;
    assert_int_equal(parse(&f), -ENOEXEC);
}

static void fewer_bytes_than_headers_are_refused(void **state)
{
    struct elf_file f;
    (void)state;
    assert_int_equal(elf_header((const uint8_t *)&header, &f), 0);
    assert_int_equal(elf_segments((const uint8_t *)segment, sizeof segment - 1, &f), -ENOEXEC);
    assert_int_equal(elf_segments((const uint8_t *)segment, 0, &f), -ENOEXEC);
}

static void too_many_loads_are_refused(void **state)
{
    Elf64_Phdr many[ELF_LOADS_MAX + 1] = {{0}};
    struct elf_file f;
    (void)state;
    for (unsigned i = 0; i < ELF_LOADS_MAX + 1; i++)
        many[i] = (Elf64_Phdr){.p_type = PT_LOAD, .p_vaddr = i * 0x1000ull, .p_memsz = 0x1000};
    f.segments = ELF_LOADS_MAX;
    f.segments_offset = 64;
    assert_int_equal(elf_segments((const uint8_t *)many, sizeof many, &f), 0);
    f.segments = ELF_LOADS_MAX + 1;
    assert_int_equal(elf_segments((const uint8_t *)many, sizeof many, &f), -ENOEXEC);
}

/* What elf.h promises of every load that passes. */
static void check_promises(const struct elf_file *f)
{
    uint64_t end = 0;
    assert_in_range(f->loads, 1, ELF_LOADS_MAX);
    for (uint32_t i = 0; i < f->loads; i++) {
        const struct elf_load *l = &f->load[i];
        uint64_t after;
        assert_true(l->file_size <= l->memory_size);
        assert_int_equal(l->address % 4096, l->offset % 4096);
        assert_false(__builtin_add_overflow(l->address, l->memory_size + 4095, &after));
        assert_false(__builtin_add_overflow(l->offset, l->file_size + 4095, &after));
        assert_true((l->address & ~4095ull) >= end);
        end = (l->address + l->memory_size + 4095) & ~4095ull;
    }
    assert_true(f->interpreter_size <= 4096);
}

static void every_file_that_passes_keeps_the_promises(void **state)
{
    uint32_t random = 7, passed = 0;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        struct elf_file f;
        good(NULL);
        for (int bytes = 0; bytes < 1 + i % 3; bytes++) {
            random = random * 1664525 + 1013904223;
            size_t at = (random >> 8) % (sizeof header + sizeof segment);
            uint8_t *p = at < sizeof header ? (uint8_t *)&header + at
                                            : (uint8_t *)segment + (at - sizeof header);
            *p ^= (uint8_t)(1u << (random >> 5 & 7));
        }
        if (!parse(&f)) {
            passed++;
            check_promises(&f);
        }
    }
    assert_true(passed > 0 && passed < 200000);
}

static void this_very_program_is_understood(void **state)
{
    uint8_t bytes[64], headers[ELF_SEGMENTS_MAX * ELF_SEGMENT_SIZE];
    struct elf_file f;
    (void)state;
    int fd = open("/proc/self/exe", O_RDONLY);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    assert_int_equal(elf_header(bytes, &f), 0);
    ssize_t size = pread(fd, headers, (size_t)f.segments * ELF_SEGMENT_SIZE,
                         (off_t)f.segments_offset);
    assert_int_equal(elf_segments(headers, (size_t)size, &f), 0);
    close(fd);
    check_promises(&f);
    assert_int_not_equal(f.segments_address, 0);
    assert_int_not_equal(f.interpreter_size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_file_is_understood, good),
        cmocka_unit_test_setup(a_file_without_interpreter_is_static, good),
        cmocka_unit_test_setup(headers_outside_every_segment_have_no_address, good),
        cmocka_unit_test_setup(empty_segments_are_left_out, good),
        cmocka_unit_test_setup(wrong_headers_are_refused, good),
        cmocka_unit_test_setup(wrong_segments_are_refused, good),
        cmocka_unit_test_setup(nothing_to_load_is_refused, good),
        cmocka_unit_test_setup(fewer_bytes_than_headers_are_refused, good),
        cmocka_unit_test_setup(too_many_loads_are_refused, good),
        cmocka_unit_test_setup(every_file_that_passes_keeps_the_promises, good),
        cmocka_unit_test_setup(this_very_program_is_understood, good),
    };
    return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}

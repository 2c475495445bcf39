/* SPDX-License-Identifier: Apache-2.0 */
/* The scan over the system's own C library, and over code with every shape that can go wrong; the cache. */
#include <Zydis/Zydis.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/host.h"
#include "host/sites_cache.h"
#include "host/sites_scan.h"

#define SHAPE(name, code)                                                                          \
    ".globl " #name "\n .type " #name ", @function\n" #name ":\n" code "\n .size " #name            \
    ", . - " #name "\n"

/* Run never, scanned only. What follows `ud2` in a shape is not reached by falling through. */
__asm__(".pushsection .text\n"
        SHAPE(shape_before, "endbr64\n mov $39, %eax\n syscall\n ret")
        SHAPE(shape_after, "1: syscall\n cmp $-4096, %rax\n ja 1b\n ret")
        SHAPE(shape_both, "endbr64\n mov %edi, %eax\n syscall\n inc %eax\n ret")
        SHAPE(shape_loop, "mov $39, %eax\n 1: syscall\n cmp $-11, %rax\n je 1b\n ret")
        SHAPE(shape_relative_before, "mov shape_before(%rip), %eax\n syscall\n cmp $-4096, %rax\n ret")
        SHAPE(shape_relative_both, "mov shape_before(%rip), %eax\n syscall\n lea shape_before(%rip), %rdx\n ret")
        SHAPE(shape_call, "call shape_before\n syscall\n ret")
        SHAPE(shape_jump_after, "jrcxz 1f\n mov $39, %eax\n syscall\n 1: cmp $-4096, %rax\n ret")
        SHAPE(shape_jump_both, "mov $39, %eax\n 1: syscall\n 2: cmp $-4096, %rax\n je 1b\n jmp 2b")
        SHAPE(shape_two, "mov $39, %eax\n syscall\n mov $40, %eax\n syscall\n ret")
        SHAPE(shape_tight, "mov $39, %eax\n syscall\n syscall\n ret")
        SHAPE(shape_number, "mov $0x050f050f, %eax\n ret")
        SHAPE(shape_sigreturn, "mov $15, %rax\n syscall\n ud2")
        SHAPE(shape_landmark, "mov $39, %eax\n shape_landmark_at: syscall\n cmp $-4096, %rax\n ret")
        SHAPE(shape_address, "mov $39, %eax\n 1: syscall\n cmp $-4096, %rax\n lea 1b(%rip), %rdx\n ret")
        SHAPE(shape_table, "lea shape_table_data(%rip), %rdx\n movslq (%rdx,%rdi,4), %rcx\n add %rdx, %rcx\n"
                           "jmp *%rcx\n 1: mov $39, %eax\n shape_table_at: syscall\n ret")
        SHAPE(shape_end, "nop")
        /* In no function: only what is before tells. */
        ".globl nowhere\n nowhere: add $1, %al\n syscall\n cmp $-4096, %rax\n"
        " mov $39, %eax\n nop\n nop\n nop\n nop\n syscall\n cmp $-4096, %rax\n mov $0x12345678, %eax\n syscall\n"
        " cmp $-4096, %rax\n mov $39, %eax\n syscall\n"
        ".globl nowhere_end\n nowhere_end: nop\n"
        ".popsection\n"
        ".pushsection .data.rel.ro, \"aw\"\n .balign 8\n .quad shape_landmark_at\n .popsection\n"
        ".pushsection .rodata\n .balign 4\n shape_table_data: .long shape_table_at - shape_table_data\n"
        ".popsection\n");

#define DECLARE(name) extern const uint8_t name[];
DECLARE(shape_before)
DECLARE(shape_after)
DECLARE(shape_both)
DECLARE(shape_loop)
DECLARE(shape_relative_before)
DECLARE(shape_relative_both)
DECLARE(shape_call)
DECLARE(shape_jump_after)
DECLARE(shape_jump_both)
DECLARE(shape_two)
DECLARE(shape_tight)
DECLARE(shape_number)
DECLARE(shape_sigreturn)
DECLARE(shape_landmark)
DECLARE(shape_address)
DECLARE(shape_table)
DECLARE(shape_end)
DECLARE(nowhere)
DECLARE(nowhere_end)

static uint8_t *contents(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY);
    struct stat status;
    assert_true(fd >= 0 && !fstat(fd, &status));
    uint8_t *all = malloc((size_t)status.st_size);
    for (size_t at = 0; at < (size_t)status.st_size;) {
        ssize_t n = read(fd, all + at, (size_t)status.st_size - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    close(fd);
    *size = (size_t)status.st_size;
    return all;
}

static unsigned length_of(const struct site *s)
{
    return s->shape & 0xff;
}

static unsigned call_of(const struct site *s)
{
    return (unsigned)(s->shape >> 8);
}

/* ---- a list holds what the contract says, as far as a second look finds ---- */

/* By bytes alone: any displacement anywhere in text that, as a branch's, leads into a window. */
static void no_branch_leads_into(const uint8_t *file, const struct site_list *list, uint64_t text,
                                 uint64_t text_end)
{
    uint8_t *inside = calloc(list->file_size, 1);
    for (uint64_t i = 0; i < list->count; i++)
        memset(inside + list->sites[i].offset + 1, 1, length_of(&list->sites[i]) - 1);
    ZydisDecoder decoder;
    ZydisDecodedInstruction in;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (uint64_t at = text; at < text_end;) {
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, file + at, text_end - at, &in))) {
            at++;
            continue;
        }
        uint64_t target = at + in.length + (uint64_t)in.raw.imm[0].value.s;
        if (in.raw.imm[0].is_relative && target < list->file_size && inside[target])
            fail_msg("0x%lx leads to 0x%lx, inside a window", at, target);
        at += in.length;
    }
    free(inside);
}

static void list_check(const uint8_t *file, const struct site_list *list)
{
    uint64_t end = 0;
    assert_int_equal(list->magic, SITES_MAGIC);
    for (uint64_t i = 0; i < list->count; i++) {
        const struct site *s = &list->sites[i];
        assert_true(s->offset >= end);
        assert_true(length_of(s) >= 5 && length_of(s) <= SITE_WINDOW_MAX);
        assert_memory_equal(file + s->offset + call_of(s), "\x0f\x05", 2);
        end = s->offset + length_of(s);
    }
    assert_true(end <= list->file_size);
    const Elf64_Ehdr *h = (const void *)file;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        const Elf64_Phdr *p = (const void *)(file + h->e_phoff + i * sizeof *p);
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X))
            no_branch_leads_into(file, list, p->p_offset, p->p_offset + p->p_filesz);
    }
}

static void the_c_library_is_covered(void **state)
{
    (void)state;
    static const char *const paths[] = {"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"};
    for (unsigned i = 0; i < 2; i++) {
        size_t size;
        struct site_list *list;
        if (access(paths[i], R_OK))
            skip();
        uint8_t *file = contents(paths[i], &size);
        assert_int_equal(sites_scan(file, size, &list), 0);
        list_check(file, list);
        assert_true(list->count >= (i ? 20 : 300));
        /* The return from a signal handler, and what a library may have besides. */
        assert_true(list->unlisted <= 1 + list->count / 50);
        free(list);
        free(file);
    }
}

/* ---- shapes ---- */

static struct site_list *own;
static uint8_t *own_file;
static uint64_t own_distance; /* from file offset to address */

static int scan_self(void **state)
{
    (void)state;
    size_t size;
    own_file = contents("/proc/self/exe", &size);
    assert_int_equal(sites_scan(own_file, size, &own), 0);
    list_check(own_file, own);
    /* Where in the file the program's text is. Code that names what it reads there would itself count
     * as a reason not to change it. */
    const uint8_t *volatile text = shape_before;
    const uint8_t *wanted = text;
    for (uint64_t at = 0; at + 64 <= size; at++)
        if (!memcmp(own_file + at, wanted, 64))
            own_distance = (uint64_t)wanted - at;
    return own_distance ? 0 : -1;
}

static int scan_free(void **state)
{
    (void)state;
    free(own);
    free(own_file);
    return 0;
}

struct expected {
    const uint8_t *start, *end;
    unsigned count;
    struct {
        unsigned at, length, call;
    } window[2];
};

static void windows_are(const struct expected *e)
{
    unsigned n = 0;
    for (uint64_t i = 0; i < own->count; i++) {
        const struct site *s = &own->sites[i];
        uint64_t address = s->offset + own_distance;
        if (address < (uint64_t)e->start || address >= (uint64_t)e->end)
            continue;
        assert_true(n < e->count);
        assert_int_equal(address - (uint64_t)e->start, e->window[n].at);
        assert_int_equal(length_of(s), e->window[n].length);
        assert_int_equal(call_of(s), e->window[n].call);
        n++;
    }
    assert_int_equal(n, e->count);
}

static void neighbours_are_displaced(void **state)
{
    (void)state;
    windows_are(&(struct expected){shape_before, shape_after, 1, {{4, 7, 5}}});
    windows_are(&(struct expected){shape_both, shape_loop, 1, {{4, 6, 2}}});
    windows_are(&(struct expected){shape_relative_before, shape_relative_both, 1, {{6, 8, 0}}});
    windows_are(&(struct expected){shape_two, shape_tight, 2, {{0, 7, 5}, {7, 7, 5}}});
}

static void the_syscall_may_be_jumped_to(void **state)
{
    (void)state;
    windows_are(&(struct expected){shape_after, shape_both, 1, {{0, 8, 0}}});
    windows_are(&(struct expected){shape_loop, shape_relative_before, 1, {{5, 6, 0}}});
}

static void what_follows_may_be_jumped_to(void **state)
{
    (void)state;
    windows_are(&(struct expected){shape_jump_after, shape_jump_both, 1, {{2, 7, 5}}});
}

static void what_cannot_be_is_not_listed(void **state)
{
    (void)state;
    windows_are(&(struct expected){shape_relative_both, shape_call, 0, {{0}}});
    windows_are(&(struct expected){shape_call, shape_jump_after, 0, {{0}}});
    windows_are(&(struct expected){shape_jump_both, shape_two, 0, {{0}}});
    windows_are(&(struct expected){shape_tight, shape_number, 1, {{0, 7, 5}}});
    windows_are(&(struct expected){shape_number, shape_sigreturn, 0, {{0}}});
    windows_are(&(struct expected){shape_sigreturn, shape_landmark, 0, {{0}}});
    assert_true(own->unlisted >= 5);
}

static void outside_functions_a_number_is_looked_for(void **state)
{
    (void)state;
    windows_are(&(struct expected){nowhere, nowhere_end, 1, {{40, 7, 5}}});
}

static void addresses_in_code_and_data_are_respected(void **state)
{
    (void)state;
    windows_are(&(struct expected){shape_landmark, shape_address, 1, {{5, 8, 0}}});
    windows_are(&(struct expected){shape_address, shape_table, 1, {{5, 8, 0}}});
    windows_are(&(struct expected){shape_table, shape_end, 0, {{0}}});
}

static void without_section_headers_it_works_too(void **state)
{
    (void)state;
    size_t size;
    struct site_list *list;
    uint8_t *file = contents("/proc/self/exe", &size);
    ((Elf64_Ehdr *)(void *)file)->e_shnum = 0;
    assert_int_equal(sites_scan(file, size, &list), 0);
    list_check(file, list);
    assert_true(list->count > 0);
    free(list);
    free(file);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct site_list *list;
    uint8_t header[64] = "\177ELF\2\1\1";
    assert_int_equal(sites_scan((const uint8_t *)"#!/bin/sh\n", 10, &list), -ENOEXEC);
    assert_int_equal(sites_scan(header, 64, &list), -ENOEXEC);
    assert_int_equal(sites_scan(own_file, 20, &list), -ENOEXEC);
}

/* Damage is survived (under the sanitizers), whatever comes of it. */
static void damaged_files_are_survived(void **state)
{
    (void)state;
    size_t size;
    uint32_t random = 12345;
    uint8_t *file = contents("/bin/true", &size);
    uint8_t *damaged = malloc(size);
    for (unsigned round = 0; round < 60; round++) {
        struct site_list *list;
        memcpy(damaged, file, size);
        for (unsigned i = 0; i < 40; i++) {
            random = random * 1664525 + 1013904223;
            /* Mostly headers: at the start and, of sections, at the end. */
            size_t at = (random >> 8) % 1024;
            if (i % 2)
                at = size - 1 - (random >> 8) % 2048;
            if (at >= 20 && !(at >= 52 && at < 64))
                damaged[at] = (uint8_t)(random >> 3);
        }
        size_t length = round % 4 ? size : (random >> 8) % size;
        if (!sites_scan(damaged, length, &list))
            free(list);
    }
    free(damaged);
    free(file);
}

/* ---- the cache ---- */

static char home[] = "/tmp/sites_test.XXXXXX";
static char path[4096];
static _Alignas(8) uint8_t first[SITES_SIZE_MAX], second[SITES_SIZE_MAX];

static int make_home(void **state)
{
    (void)state;
    strcpy(home + strlen(home) - 6, "XXXXXX");
    return mkdtemp(home) ? setenv("XDG_CACHE_HOME", home, 1) : -1;
}

static void command(const char *format)
{
    char line[4096];
    snprintf(line, sizeof line, format, home);
    assert_int_equal(system(line), 0);
}

static int remove_home(void **state)
{
    (void)state;
    command("rm -rf '%s'");
    return 0;
}

static int64_t ask(const char *name, void *out)
{
    int fd = open(name, O_RDONLY);
    assert_true(fd >= 0);
    int64_t n = sites_of_file(fd, out, SITES_SIZE_MAX);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    close(fd);
    return n;
}

/* The only entry of a kind. */
static const char *entry(const char *kind)
{
    char line[4096];
    snprintf(line, sizeof line, "ls -d '%s/rakis/%s/'* 2>/dev/null", home, kind);
    FILE *p = popen(line, "r");
    bool got = fgets(path, sizeof path, p);
    assert_true(!fgets(line, sizeof line, p));
    pclose(p);
    path[strcspn(path, "\n")] = 0;
    return got ? path : NULL;
}

static void a_list_is_kept(void **state)
{
    (void)state;
    int64_t n = ask("/bin/true", first);
    assert_true(n >= (int64_t)sizeof(struct site_list));
    assert_non_null(entry("sites"));
    assert_non_null(entry("files"));
    assert_int_equal(ask("/bin/true", second), n);
    assert_memory_equal(first, second, (size_t)n);
}

static void what_was_kept_is_used(void **state)
{
    (void)state;
    const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct stat status;
    stat("/bin/true", &status);
    struct site_list made_up = {SITES_MAGIC, 0, 77, (uint64_t)status.st_size};
    sites_cache_set_hash(&status, hash);
    sites_cache_set_list(hash, &made_up);
    assert_int_equal(ask("/bin/true", first), sizeof made_up);
    assert_memory_equal(first, &made_up, sizeof made_up);
}

static void damaged_entries_are_ignored(void **state)
{
    (void)state;
    size_t size;
    int64_t n = ask("/lib64/ld-linux-x86-64.so.2", first);
    uint8_t *kept = contents(entry("sites"), &size);
    free(kept);
    for (size_t at = 0; at < size; at += 13) {
        int fd = open(entry("sites"), O_RDWR);
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        close(fd);
        assert_int_equal(ask("/lib64/ld-linux-x86-64.so.2", second), n);
        assert_memory_equal(first, second, (size_t)n);
    }
    assert_int_equal(truncate(entry("sites"), (off_t)size - 8), 0);
    assert_int_equal(ask("/lib64/ld-linux-x86-64.so.2", second), n);
    assert_memory_equal(first, second, (size_t)n);
    assert_int_equal(truncate(entry("files"), 10), 0);
    assert_int_equal(ask("/lib64/ld-linux-x86-64.so.2", second), n);
    assert_memory_equal(first, second, (size_t)n);
}

static void entries_that_others_can_write_are_ignored(void **state)
{
    (void)state;
    const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct site_list list = {SITES_MAGIC, 0, 0, 1}, *got;
    sites_cache_set_list(hash, &list);
    got = sites_cache_list(hash);
    assert_non_null(got);
    free(got);
    assert_int_equal(chmod(entry("sites"), 0622), 0);
    assert_null(sites_cache_list(hash));
    assert_int_equal(chmod(entry("sites"), 0600), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(entry("sites"), 12345, 12345), 0);
        assert_null(sites_cache_list(hash));
    }
    /* One list does not stand in for another. */
    command("cd '%s/rakis/sites' && mv 0* f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    if (geteuid() == 0)
        assert_int_equal(chown(entry("sites"), 0, 0), 0);
    assert_null(sites_cache_list("f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
}

static void a_changed_file_is_looked_at_again(void **state)
{
    (void)state;
    char copy[64], line[512];
    snprintf(copy, sizeof copy, "%s/program", home);
    snprintf(line, sizeof line, "cp /bin/true '%s' && touch -d '1 hour ago' '%s'", copy, copy);
    assert_int_equal(system(line), 0);
    ask(copy, first);
    /* Its change time is now: too fresh to be told from the next change. */
    assert_null(entry("files"));
    snprintf(line, sizeof line, "cp /lib64/ld-linux-x86-64.so.2 '%s' && touch -d '1 hour ago' '%s'", copy, copy);
    assert_int_equal(system(line), 0);
    int64_t n = ask(copy, first);
    assert_int_equal(ask("/lib64/ld-linux-x86-64.so.2", second), n);
    assert_memory_equal(first, second, (size_t)n);
}

static void no_cache_is_no_obstacle(void **state)
{
    (void)state;
    int64_t n = ask("/lib64/ld-linux-x86-64.so.2", first);
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    assert_int_equal(ask("/lib64/ld-linux-x86-64.so.2", second), n);
    assert_memory_equal(first, second, (size_t)n);
    unsetenv("XDG_CACHE_HOME");
    char *old = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    unsetenv("HOME");
    assert_int_equal(ask("/lib64/ld-linux-x86-64.so.2", second), n);
    if (old)
        setenv("HOME", old, 1);
    free(old);
}

static void what_is_no_program_has_no_list(void **state)
{
    (void)state;
    assert_int_equal(ask("/etc/passwd", first), -ENOEXEC);
    assert_int_equal(ask("/dev/null", first), -ENOEXEC);
    int fd = open("/bin/true", O_RDONLY);
    assert_int_equal(sites_of_file(fd, first, sizeof(struct site_list) - 1), -ENOSPC);
    close(fd);
    assert_int_equal(sites_of_file(-1, first, sizeof first), -EBADF);
}

int main(void)
{
    const struct CMUnitTest scan[] = {
        cmocka_unit_test(the_c_library_is_covered),
        cmocka_unit_test(neighbours_are_displaced),
        cmocka_unit_test(the_syscall_may_be_jumped_to),
        cmocka_unit_test(what_follows_may_be_jumped_to),
        cmocka_unit_test(what_cannot_be_is_not_listed),
        cmocka_unit_test(outside_functions_a_number_is_looked_for),
        cmocka_unit_test(addresses_in_code_and_data_are_respected),
        cmocka_unit_test(without_section_headers_it_works_too),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(damaged_files_are_survived),
    };
#define T(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
    const struct CMUnitTest cache[] = {
        T(a_list_is_kept),
        T(what_was_kept_is_used),
        T(damaged_entries_are_ignored),
        T(entries_that_others_can_write_are_ignored),
        T(a_changed_file_is_looked_at_again),
        T(no_cache_is_no_obstacle),
        T(what_is_no_program_has_no_list),
    };
    return cmocka_run_group_tests(scan, scan_self, scan_free) + cmocka_run_group_tests(cache, NULL, NULL);
}

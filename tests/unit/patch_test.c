/* SPDX-License-Identifier: Apache-2.0 */
/* Code that makes system calls is rewritten, and run: what answers it is below. */
#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/sites.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/lib/lib.h"
#include "enclave/load/patch.h"
#include "enclave/os/file.h"
#include "enclave/os/memory.h"

/* ---- the system call's entry: answers RAX + 1000, clobbers what `syscall` does ---- */

uint64_t seen_number, seen_return, seen_stack;
void answer(void);
__asm__(".pushsection .text\n"
        "answer:\n"
        "    mov %rax, seen_number(%rip)\n"
        "    mov %rcx, seen_return(%rip)\n"
        "    mov %rsp, seen_stack(%rip)\n"
        "    add $1000, %rax\n"
        "    mov $-1, %r11\n"
        "    jmp *%rcx\n"
        ".popsection\n");

static uint64_t gs_block[2];

/* ---- what patch.c and sites.c stand on ---- */

struct enclave enclave;
static struct configuration configuration;
int log_threshold = LOG_ERROR;
static unsigned warnings, violations, pool_taken;
static int near_error, protect_error;
static int64_t site_answer;
static _Alignas(8) uint8_t arena[1 << 20];
static void *trampolines;

void log_line(enum log_level level, const char *format, ...)
{
    (void)format;
    warnings += level == LOG_WARNING;
}

void *alloc(size_t size)
{
    return calloc(1, size);
}

void alloc_free(void *p)
{
    free(p);
}

int64_t memory_map_near(uint64_t address, uint64_t length, int protection, enum area_kind kind)
{
    assert_int_equal(kind, AREA_TRAMPOLINE);
    if (near_error)
        return near_error;
    trampolines = mmap((void *)(address - 0x10000000), length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return (int64_t)trampolines;
}

int memory_protect(uint64_t address, uint64_t length, int protection)
{
    return protect_error ? protect_error : mprotect((void *)address, length, protection);
}

static struct {
    uint64_t start, end;
} brought[4];
static unsigned brought_count;
static int bring_error;

int memory_complete(uint64_t address, uint64_t length)
{
    assert_true(brought_count < ARRAY_SIZE(brought));
    brought[brought_count].start = address;
    brought[brought_count++].end = address + length;
    return bring_error;
}

int memory_unmap(uint64_t address, uint64_t length)
{
    if ((void *)address == trampolines)
        trampolines = NULL;
    return munmap((void *)address, length);
}

uint64_t arena_pool_take(uint64_t size)
{
    assert_true(size <= sizeof arena - 4096);
    pool_taken++;
    return 4096;
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    (void)size;
    assert_int_equal(offset, 4096);
    pool_taken--;
}

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){(uint64_t)arena + offset};
}

void violation_count(void)
{
    violations++;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)maximum, (void)a2, (void)a3, (void)a4, (void)a5;
    assert_int_equal(number, EXIT_SITES);
    assert_int_equal(a0, 7);
    assert_int_equal(a1, 4096);
    return site_answer;
}

/* ---- the program ---- */

#define FILE_OFFSET 0x3000

static const struct shape {
    const char *name;
    uint8_t code[40];
    uint8_t code_length, window, length, call;
    int64_t number, result; /* of f(5, 6) */
} shapes[] = {
    {"before: mov $39, %eax; syscall; ret",
     {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3}, 8, 0, 7, 5, 39, 1039},
    {"before, longer: mov $39, %rax; syscall; ret",
     {0x48, 0xc7, 0xc0, 39, 0, 0, 0, 0x0f, 0x05, 0xc3}, 10, 0, 9, 7, 39, 1039},
    {"before, as short as can be: mov %rdi, %rax; syscall; ret",
     {0x48, 0x89, 0xf8, 0x0f, 0x05, 0xc3}, 6, 0, 5, 3, 5, 1005},
    {"after: mov %rsi, %rax; syscall; cmp $-4096, %rax; ja 1f; add %rdi, %rax; 1: ret",
     {0x48, 0x89, 0xf0, 0x0f, 0x05, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0x77, 0x03, 0x48, 0x01, 0xf8, 0xc3},
     17, 3, 8, 0, 6, 1011},
    {"both: mov %edi, %eax; syscall; inc %eax; ret",
     {0x89, 0xf8, 0x0f, 0x05, 0xff, 0xc0, 0xc3}, 7, 0, 6, 2, 5, 1006},
    {"several: xchg %eax, %edi; cld; nop; syscall; cld; inc %eax; nop; ret",
     {0x97, 0xfc, 0x90, 0x0f, 0x05, 0xfc, 0xff, 0xc0, 0x90, 0xc3}, 10, 0, 9, 3, 5, 1006},
    {"stack: push %rdi; pop %rax; push %rsi; syscall; pop %rdx; add %rdx, %rax; ret",
     {0x57, 0x58, 0x56, 0x0f, 0x05, 0x5a, 0x48, 0x01, 0xd0, 0xc3}, 10, 0, 9, 3, 5, 1011},
    {"red zone: mov %rdi, -8(%rsp); mov %edi, %eax; syscall; add -8(%rsp), %rax; ret",
     {0x48, 0x89, 0x7c, 0x24, 0xf8, 0x89, 0xf8, 0x0f, 0x05, 0x48, 0x03, 0x44, 0x24, 0xf8, 0xc3},
     15, 5, 9, 2, 5, 1010},
};
#define SHAPES ARRAY_SIZE(shapes)
#define STRIDE 64

static uint8_t *code;
static struct site sites[SHAPES];

static int set_up(void **state)
{
    (void)state;
    code = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(code, 0xcc, 8192);
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *s = &shapes[i];
        memcpy(code + i * STRIDE, s->code, s->code_length);
        sites[i] = (struct site){FILE_OFFSET + i * STRIDE + s->window, s->length | s->call << 8};
    }
    configuration.flags = CONFIGURATION_DEVELOPMENT;
    enclave.configuration = &configuration;
    near_error = protect_error = bring_error = 0;
    brought_count = 0;
    warnings = violations = pool_taken = 0;
    trampolines = NULL;
    gs_block[1] = (uint64_t)answer;
    return (int)syscall(SYS_arch_prctl, ARCH_SET_GS, gs_block);
}

static int tear_down(void **state)
{
    (void)state;
    munmap(code, 8192);
    if (trampolines)
        munmap(trampolines, 4096);
    assert_int_equal(pool_taken, 0);
    return 0;
}

static int patch(const struct site *list, uint64_t count)
{
    return patch_sites(list, count, (uint64_t)code, 4096, FILE_OFFSET);
}

__attribute__((no_sanitize("undefined"))) static int64_t run(size_t shape)
{
    int64_t result;
    uint64_t function = (uint64_t)(code + shape * STRIDE);
    /* The called code uses the red zone of its own frame; RSP is below this function's. */
    __asm__ volatile("sub $256, %%rsp\n call *%[f]\n add $256, %%rsp"
                     : "=a"(result)
                     : [f] "b"(function), "D"(5l), "S"(6l)
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}

static void each_shape_runs(void **state)
{
    (void)state;
    assert_int_equal(patch(sites, SHAPES), SHAPES);
    mprotect(code, 8192, PROT_READ | PROT_EXEC);
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *s = &shapes[i];
        seen_number = 0;
        int64_t result = run(i);
        if (result != s->result || (int64_t)seen_number != s->number)
            fail_msg("%s: number %ld, result %ld", s->name, (long)seen_number, (long)result);
    }
}

static void nothing_after_returns_to_the_window(void **state)
{
    (void)state;
    patch(sites, SHAPES);
    mprotect(code, 8192, PROT_READ | PROT_EXEC);
    run(0);
    assert_int_equal(seen_return, (uint64_t)code + 7);
}

static void a_syscall_beyond_the_jump_stays(void **state)
{
    (void)state;
    patch(sites, SHAPES);
    assert_int_equal(code[0], 0xe9);
    assert_memory_equal(code + 5, "\x0f\x05\xc3", 3);
    assert_memory_equal(code + STRIDE + 5, "\xcc\xcc\x0f\x05\xc3", 5);
    assert_memory_equal(code + 3 * STRIDE + 3 + 5, "\xcc\xcc\xcc", 3);
}

static void the_rest_is_untouched(void **state)
{
    (void)state;
    uint8_t before[4096];
    memcpy(before, code, sizeof before);
    patch(sites, SHAPES);
    for (size_t i = 0; i < sizeof before; i++) {
        const struct shape *s = i / STRIDE < SHAPES ? &shapes[i / STRIDE] : NULL;
        if (s && i % STRIDE >= s->window && i % STRIDE < (size_t)s->window + s->length)
            continue;
        assert_int_equal(code[i], before[i]);
    }
}

static void other_bytes_are_not_replaced(void **state)
{
    (void)state;
    code[6] = 0x0b; /* ud2 */
    assert_int_equal(patch(sites, 1), 0);
    assert_int_equal(code[0], 0xb8);
    assert_null(trampolines);
    assert_int_equal(patch(sites, SHAPES), SHAPES - 1);
}

static void windows_across_the_ends_are_left(void **state)
{
    (void)state;
    memcpy(code + 4096 - 6, shapes[0].code, 7);
    const struct site out[] = {
        {FILE_OFFSET - 3, 7 | 3 << 8},
        {FILE_OFFSET + 4096 - 6, 7 | 5 << 8},
        {FILE_OFFSET + 4096, 7 | 5 << 8},
        {INT64_MAX - 24, 7 | 5 << 8},
    };
    assert_int_equal(patch(out, ARRAY_SIZE(out)), 0);
    assert_int_equal(code[4096 - 6], 0xb8);
}

static void without_room_near_by_nothing_is_replaced(void **state)
{
    (void)state;
    near_error = -ENOMEM;
    assert_int_equal(patch(sites, SHAPES), -ENOMEM);
    assert_int_equal(code[0], 0xb8);
    near_error = 0;
    protect_error = -EACCES;
    assert_int_equal(patch(sites, SHAPES), -EACCES);
    assert_int_equal(code[0], 0xb8);
    assert_null(trampolines);
}

/* A long mapping comes when it is touched: what is looked at is brought before, the rest is not. */
static void what_sites_lie_in_is_brought(void **state)
{
    (void)state;
    static const uint64_t at[] = {0x100, 0x8000, 0x50000};
    const uint64_t length = 0x60000, window = shapes[0].length;
    struct site list[ARRAY_SIZE(at)];
    uint8_t *text = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        memcpy(text + at[i], shapes[0].code, shapes[0].code_length);
        list[i] = (struct site){FILE_OFFSET + at[i], window | shapes[0].call << 8};
    }
    bring_error = -EIO;
    assert_int_equal(patch_sites(list, ARRAY_SIZE(at), (uint64_t)text, length, FILE_OFFSET), -EIO);
    assert_int_equal(text[at[0]], 0xb8);
    bring_error = 0;
    brought_count = 0;
    assert_int_equal(patch_sites(list, ARRAY_SIZE(at), (uint64_t)text, length, FILE_OFFSET), ARRAY_SIZE(at));
    assert_int_equal(brought_count, 2);
    assert_int_equal(brought[0].start, text + at[0]);
    assert_int_equal(brought[0].end, text + at[1] + window);
    assert_int_equal(brought[1].start, text + at[2]);
    assert_int_equal(brought[1].end, text + at[2] + window);
    munmap(text, length);
}

/* ---- the host's answer ---- */

static struct file file = {.host_fd = 7, .path = (char *)"/lib/x"};

static int mapped(void)
{
    return patch_mapped(&file, (uint64_t)code, 4096, FILE_OFFSET, PROT_READ | PROT_EXEC);
}

static struct site_list *answer_list(uint64_t count)
{
    struct site_list *list = (void *)(arena + 4096);
    *list = (struct site_list){SITES_MAGIC, count, 1, 1 << 20};
    memcpy(list->sites, sites, MIN(count, SHAPES) * sizeof *sites);
    site_answer = (int64_t)(sizeof *list + count * sizeof *sites);
    return list;
}

static void the_list_of_the_host_is_applied(void **state)
{
    (void)state;
    answer_list(SHAPES);
    assert_int_equal(mapped(), SHAPES);
    assert_int_equal(violations, 0);
}

static void an_empty_list_is_fine(void **state)
{
    (void)state;
    answer_list(0);
    assert_int_equal(mapped(), 0);
    site_answer = -ENOEXEC;
    assert_int_equal(mapped(), -ENOEXEC);
    assert_int_equal(warnings, 0);
    site_answer = -EIO;
    assert_int_equal(mapped(), -EIO);
    assert_int_equal(warnings, 1);
    assert_int_equal(violations, 0);
}

static void outside_development_nothing_is_asked(void **state)
{
    (void)state;
    configuration.flags = 0;
    site_answer = -EIO;
    assert_int_equal(mapped(), 0);
    assert_int_equal(warnings, 0);
}

static void impossible_lists_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned site;
        struct site with;
    } bad[] = {
        {0, {FILE_OFFSET, 4 | 2 << 8}},                  /* too short for a jump */
        {0, {FILE_OFFSET, 25 | 5 << 8}},                 /* too long */
        {0, {FILE_OFFSET, 7 | 6 << 8}},                  /* syscall across its end */
        {0, {FILE_OFFSET, 7 | 5 << 8 | 1ull << 32}},     /* more than fits */
        {1, {FILE_OFFSET + 6, 9 | 7 << 8}},              /* overlaps the one before */
        {1, {0, 9 | 7 << 8}},                            /* out of order */
        {SHAPES - 1, {(1 << 20) - 3, 9 | 7 << 8}},       /* across the end of the file */
        {SHAPES - 1, {UINT64_MAX - 2, 9 | 7 << 8}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct site_list *list = answer_list(SHAPES);
        list->sites[bad[i].site] = bad[i].with;
        assert_int_equal(mapped(), -EPROTO);
        assert_int_equal(violations, i + 1);
        assert_int_equal(code[0], 0xb8);
    }
}

static void impossible_headers_are_refused(void **state)
{
    (void)state;
    answer_list(SHAPES)->magic++;
    assert_int_equal(mapped(), -EPROTO);
    answer_list(SHAPES)->count++;
    assert_int_equal(mapped(), -EPROTO);
    answer_list(SITES_MAX + 1);
    assert_int_equal(mapped(), -EPROTO);
    answer_list(SHAPES)->count = UINT64_MAX / 16 + 2;
    assert_int_equal(mapped(), -EPROTO);
    answer_list(SHAPES);
    site_answer = 8;
    assert_int_equal(mapped(), -EPROTO);
    assert_int_equal(violations, 5);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(each_shape_runs),
        T(nothing_after_returns_to_the_window),
        T(a_syscall_beyond_the_jump_stays),
        T(the_rest_is_untouched),
        T(other_bytes_are_not_replaced),
        T(windows_across_the_ends_are_left),
        T(without_room_near_by_nothing_is_replaced),
        T(what_sites_lie_in_is_brought),
        T(the_list_of_the_host_is_applied),
        T(an_empty_list_is_fine),
        T(outside_development_nothing_is_asked),
        T(impossible_lists_are_refused),
        T(impossible_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

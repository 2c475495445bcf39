/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the enclave reads of files: ELF headers, lists of system call sites and what they make of a mapping, the
 * configuration; and the scan outside that makes such lists. The first byte says which.
 */
#include "fuzz/input.h"

#include <elf.h>
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <setjmp.h>
#include <stdarg.h>

#include "abi/sites.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/sites.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/lib/lib.h"
#include "enclave/load/elf.h"
#include "enclave/load/patch.h"
#include "enclave/os/file.h"
#include "enclave/os/memory.h"
#include "host/configuration.h"
#include "host/sites_scan.h"

#define ANSWER_SIZE (sizeof(struct site_list) + SITES_MAX * sizeof(struct site))
#define MAPPING_SIZE 0x8000u
#define TRAMPOLINES_SIZE 0x80000u

struct enclave enclave;
int log_threshold = LOG_ERROR;

static _Alignas(4096) uint8_t arena[(ANSWER_SIZE + 4096) & ~7ul];
static _Alignas(4096) uint8_t mapping[MAPPING_SIZE + 4096], trampolines[TRAMPOLINES_SIZE];
static uint64_t trampolines_size, violations;
static int64_t answer;
static jmp_buf stopped;

/* ---- the enclave's surroundings ---- */

void panic(const char *format, ...)
{
    (void)format;
    longjmp(stopped, 1);
}

void log_line(enum log_level level, const char *format, ...)
{
    (void)level, (void)format;
}

void *alloc(size_t size)
{
    return calloc(1, size);
}

void alloc_free(void *p)
{
    free(p);
}

void violation_count(void)
{
    violations++;
}

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){(uint64_t)arena + offset};
}

uint64_t arena_pool_take(uint64_t size)
{
    REQUIRE(size <= sizeof arena);
    return 8;
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    (void)offset, (void)size;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    REQUIRE(number == EXIT_SITES && answer <= (int64_t)maximum);
    return answer;
}

int64_t memory_map_near(uint64_t address, uint64_t length, int protection, enum area_kind kind)
{
    (void)address, (void)protection;
    REQUIRE(kind == AREA_TRAMPOLINE && !trampolines_size);
    if (length > sizeof trampolines)
        return -ENOMEM;
    trampolines_size = length;
    memset(trampolines, 0, length);
    return (int64_t)trampolines;
}

int memory_protect(uint64_t address, uint64_t length, int protection)
{
    (void)protection;
    REQUIRE(address == (uint64_t)trampolines && length == trampolines_size);
    return 0;
}

/* All is there. */
int memory_complete(uint64_t address, uint64_t length)
{
    (void)address, (void)length;
    return 0;
}

int memory_unmap(uint64_t address, uint64_t length)
{
    (void)address, (void)length;
    return 0;
}

/* A copy of the rest of an input, of its own size: what reads beyond it is found. */
static uint8_t *rest_of(struct input *in, size_t *size)
{
    *size = (size_t)(in->end - in->at);
    uint8_t *copy = malloc(*size);
    take_bytes(in, copy, *size);
    return copy;
}

/* ---- ELF headers ---- */

static void check_loads(const struct elf_file *e)
{
    uint64_t end = 0;
    REQUIRE(e->loads > 0 && e->loads <= ELF_LOADS_MAX && e->interpreter_size <= 4096);
    for (uint32_t i = 0; i < e->loads; i++) {
        const struct elf_load *l = &e->load[i];
        REQUIRE(l->address <= ELF_ADDRESS_MAX && l->memory_size <= ELF_ADDRESS_MAX && l->memory_size);
        REQUIRE(l->file_size <= l->memory_size && l->offset <= ELF_ADDRESS_MAX);
        REQUIRE(l->address % 4096 == l->offset % 4096);
        REQUIRE((l->address & ~4095ul) >= end);
        end = (l->address + l->memory_size + 4095) & ~4095ul;
    }
    bool inside = e->segments_address == 0;
    for (uint32_t i = 0; i < e->loads; i++)
        inside |= e->segments_address >= e->load[i].address &&
                  e->segments_address - e->load[i].address < e->load[i].file_size;
    REQUIRE(inside);
}

static void read_elf(struct input *in)
{
    uint8_t *header = malloc(ELF_HEADER_SIZE);
    struct elf_file e;
    take_bytes(in, header, ELF_HEADER_SIZE);
    int error = elf_header(header, &e);
    free(header);
    if (error)
        return;
    REQUIRE(e.segments > 0 && e.segments <= ELF_SEGMENTS_MAX);
    size_t size;
    uint8_t *headers = rest_of(in, &size);
    if (!elf_segments(headers, size, &e))
        check_loads(&e);
    free(headers);
}

/* ---- lists of system call sites ---- */

/* Where the window of a site is in the mapping's contents; false: it is not, or no system call. */
static bool window_in(const struct site *s, const uint8_t *contents, uint32_t length, uint64_t offset, uint64_t *at)
{
    *at = s->offset - offset;
    if (s->offset < offset || *at > length || site_length(s) > length - *at)
        return false;
    const uint8_t *call = contents + *at + site_syscall(s);
    return call[0] == 0x0f && call[1] == 0x05;
}

/* Applies a list to the mapping of so many bytes that have come from this offset of the file. */
static void apply(const struct site *site, uint64_t count, uint32_t length, uint64_t offset)
{
    static uint8_t before[MAPPING_SIZE];
    static bool in_window[MAPPING_SIZE];
    uint64_t at;
    uint32_t expected = 0;
    memcpy(before, mapping, length);
    memset(in_window, 0, length);
    for (uint64_t i = 0; i < count; i++) {
        if (!window_in(&site[i], before, length, offset, &at))
            continue;
        expected++;
        memset(in_window + at, 1, site_length(&site[i]));
    }
    trampolines_size = 0;
    /* What lies beyond the mapping is nobody's. */
    ASAN_POISON_MEMORY_REGION(mapping + ((length + 7) & ~7u), sizeof mapping - ((length + 7) & ~7u));
    int replaced = patch_sites(site, count, (uint64_t)mapping, length, offset);
    ASAN_UNPOISON_MEMORY_REGION(mapping, sizeof mapping);
    REQUIRE(replaced == (int)expected || replaced == -ENOMEM);
    for (uint32_t i = 0; i < length; i++)
        REQUIRE(mapping[i] == before[i] || (in_window[i] && replaced > 0));
    uint64_t next = 0; /* of the trampolines, which come in order */
    for (uint64_t i = 0; replaced > 0 && i < count; i++) {
        int32_t displacement;
        if (!window_in(&site[i], before, length, offset, &at))
            continue;
        REQUIRE(mapping[at] == 0xe9);
        memcpy(&displacement, mapping + at + 1, 4);
        uint64_t target = (uint64_t)(mapping + at + 5) + (uint64_t)(int64_t)displacement;
        uint64_t trampoline = target - (uint64_t)trampolines;
        REQUIRE(trampoline < trampolines_size && trampoline >= next);
        next = trampoline + 1;
    }
}

static void check_list(const struct site *site, int64_t count)
{
    uint64_t end = 0;
    REQUIRE(count <= SITES_MAX);
    for (int64_t i = 0; i < count; i++) {
        uint64_t length = site_length(&site[i]);
        REQUIRE(length >= 5 && length <= SITE_WINDOW_MAX && site_syscall(&site[i]) + 2 <= length);
        REQUIRE(site[i].offset >= end);
        end = site[i].offset + length;
        REQUIRE(end >= length);
    }
}

/* The enclave's answer to a list that lies in the arena. */
static void take_list(uint32_t length, uint64_t offset)
{
    struct site *site;
    violations = 0;
    int64_t count = sites_of_host_file(3, (uint64_t)mapping, length, offset, &site);
    REQUIRE((count == -EPROTO) == (violations == 1));
    if (count <= 0) {
        REQUIRE(!site);
        return;
    }
    check_list(site, count);
    apply(site, (uint64_t)count, length, offset);
    free(site);
}

/* A list as the host may write it, and a mapping that it is for. */
static void read_sites(struct input *in)
{
    struct site_list list = {.magic = SITES_MAGIC};
    uint8_t how = take8(in);
    uint32_t length = take16(in) % MAPPING_SIZE;
    uint64_t offset = how & 1 ? take64(in) : 0, at = offset;
    list.count = how & 2 ? take64(in) : take8(in);
    list.file_size = how & 4 ? take64(in) : INT64_MAX;
    answer = how & 8 ? (int64_t)(take32(in) % (ANSWER_SIZE + 1)) : (int64_t)(16 * (list.count % SITES_MAX) + 32);
    if (how & 16)
        take_bytes(in, &list.magic, 8);
    memcpy(arena + 8, &list, sizeof list);
    memset(mapping, 0x90, sizeof mapping);
    for (uint64_t i = 0; i < list.count && i < 64; i++) {
        struct site s = {.offset = at + take8(in), .shape = take16(in)};
        if (how & 32)
            s.offset = take64(in);
        if (how & 64)
            s.shape = take64(in);
        memcpy(arena + 8 + sizeof list + i * sizeof s, &s, sizeof s);
        at = s.offset + (s.shape & 0xff);
        uint64_t call = s.offset - offset + (s.shape >> 8);
        if (!(how & 128) && call < MAPPING_SIZE)
            memcpy(mapping + call, "\x0f\x05", 2);
    }
    uint32_t code = take16(in) % MAPPING_SIZE;
    take_bytes(in, mapping + code, MIN((size_t)(in->end - in->at), MAPPING_SIZE - code));
    take_list(length, offset);
}

/* The scan outside: whatever the file is, its list is one that the enclave takes and can apply. */
static void scan_file(struct input *in)
{
    struct site_list *list = NULL;
    size_t size;
    uint8_t *file = rest_of(in, &size);
    if (!sites_scan(file, size, &list)) {
        answer = (int64_t)sites_size(list);
        memcpy(arena + 8, list, (size_t)answer);
        uint32_t length = (uint32_t)MIN(size, (size_t)MAPPING_SIZE);
        memcpy(mapping, file, length);
        take_list(length, 0);
        REQUIRE(!violations);
        free(list);
    }
    free(file);
}

/* ---- the configuration ---- */

static volatile uint64_t sink;

static void read_strings(const struct configuration_strings *table)
{
    for (uint32_t i = 0; i < table->count && i < 1000; i++)
        sink += strlen(configuration_string(configuration_strings(table, i)));
}

static void read_configuration(struct input *in)
{
    size_t size;
    uint8_t *blob = rest_of(in, &size);
    struct configuration *c = (struct configuration *)blob;
    enclave.configuration = c;
    if (size >= sizeof *c) {
        c->size = size; /* it is measured, and as large as its pages */
        if (!setjmp(stopped))
            sink += strlen(configuration_string(c->program));
        if (!setjmp(stopped))
            read_strings(&c->arguments);
        if (!setjmp(stopped))
            read_strings(&c->environment);
        if (!setjmp(stopped))
            read_strings(&c->interfaces);
    }
    free(blob);
}

/* What is compiled outside reads back as what it was made of. */
static void make_configuration(struct input *in)
{
    char text[9][32], *arguments[5] = {NULL}, *environment[4] = {NULL};
    for (size_t i = 0; i < 9; i++) {
        take_bytes(in, text[i], take8(in) % sizeof text[i]);
        text[i][sizeof text[i] - 1] = 0;
    }
    uint8_t counts = take8(in);
    for (size_t i = 0; i < counts % 5u; i++)
        arguments[i] = text[i];
    for (size_t i = 0; i < counts / 5 % 4u; i++)
        environment[i] = text[4 + i];
    const struct run_options options = {.program = text[8],
                                        .arguments = arguments,
                                        .environment = environment,
                                        .interfaces = {text[7], text[0]},
                                        .interface_count = counts / 20 % 3u};
    struct configuration *c = configuration_make(&options);
    REQUIRE(c);
    enclave.configuration = c;
    REQUIRE(!setjmp(stopped));
    REQUIRE(!strcmp(configuration_string(c->program), text[8]));
    REQUIRE(c->arguments.count == counts % 5u && c->environment.count == counts / 5 % 4u);
    for (uint32_t i = 0; i < c->arguments.count; i++)
        REQUIRE(!strcmp(configuration_string(configuration_strings(&c->arguments, i)), arguments[i]));
    for (uint32_t i = 0; i < c->environment.count; i++)
        REQUIRE(!strcmp(configuration_string(configuration_strings(&c->environment, i)), environment[i]));
    for (uint32_t i = 0; i < c->interfaces.count; i++)
        REQUIRE(!strcmp(configuration_string(configuration_strings(&c->interfaces, i)), options.interfaces[i]));
    free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    switch (take8(&in) % 5) {
    case 0:
        read_elf(&in);
        break;
    case 1:
        read_sites(&in);
        break;
    case 2:
        scan_file(&in);
        break;
    case 3:
        read_configuration(&in);
        break;
    case 4:
        make_configuration(&in);
        break;
    }
    return 0;
}

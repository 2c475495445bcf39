/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/load/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/boundary/log.h"
#include "enclave/load/elf.h"
#include "enclave/os/clock_data.h"
#include "enclave/os/file.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/time.h"

#define PAGE_DOWN(x) ((x) & ~(PAGE_SIZE - 1))
#define PAGE_UP(x) PAGE_DOWN((x) + PAGE_SIZE - 1)
#define STATUS_CANNOT_EXECUTE 126
#define STATUS_NOT_FOUND 127
#define LOW_PROGRAM 0x100000 /* above the start of the range: where position-independent programs go */
#define MINIMUM_SIGNAL_STACK 3632 /* AT_MINSIGSTKSZ: frame and AVX-512 state */

struct program_image program_image;

extern const uint8_t vdso_image[], vdso_image_end[];

static _Noreturn void give_up(const char *path, int error, const char *what)
{
    if (error == -ENOMEM)
        log_error("'%s' does not fit into the enclave of %lu MiB: use a larger --enclave-size", path,
                  enclave.size >> 20);
    else if (error == -ENOENT)
        log_error("'%s': no such file", path);
    else if (error == -ENOEXEC)
        log_error("'%s': %s", path, what);
    else
        log_error("'%s' cannot be loaded: error %d", path, -error);
    process_end(STATUS_EXITED(error == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE));
}

static int protection_of(uint32_t flags)
{
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
           (flags & PF_X ? PROT_EXEC : 0);
}

/* One PT_LOAD at bias: the file's part, then zeros. */
static int map_load(struct file *file, const struct elf_load *l, uint64_t bias)
{
    uint64_t start = PAGE_DOWN(bias + l->address), skip = l->address % PAGE_SIZE;
    uint64_t file_end = bias + l->address + l->file_size, end = bias + l->address + l->memory_size;
    int protection = protection_of(l->flags);
    int64_t at;
    if (l->file_size) {
        at = memory_map(start, skip + l->file_size, protection, MAP_PRIVATE | MAP_FIXED, file,
                        l->offset - skip, AREA_FILE, file->path);
        if (at < 0)
            return (int)at;
        /* The rest of the last page is the file's: zero it, whole as Linux does (ld.so allocates there). */
        if ((protection & PROT_WRITE) && user_zero((void *)file_end, PAGE_UP(file_end) - file_end))
            return -EFAULT;
        start = PAGE_UP(file_end);
    }
    if (PAGE_UP(end) <= start)
        return 0;
    at = memory_map(start, PAGE_UP(end) - start, protection, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS,
                    NULL, 0, AREA_ANONYMOUS, NULL);
    return at < 0 ? (int)at : 0;
}

struct loaded {
    struct elf_file elf;
    uint64_t bias, end;
};

/* Maps all of a file. `low`: near the start of the program's part (else from above). */
static void load(const char *path, bool low, struct loaded *out, struct file **opened)
{
    uint8_t *buffer = alloc(ELF_SEGMENTS_MAX * ELF_SEGMENT_SIZE);
    int error = 0;
    struct file *file = file_open(path, O_RDONLY, 0, &error);
    if (!file)
        give_up(path, error, "");
    if (!buffer)
        give_up(path, -ENOMEM, "");
    int64_t n = file_read_at(file, buffer, ELF_HEADER_SIZE, 0);
    if (n != ELF_HEADER_SIZE || elf_header(buffer, &out->elf))
        give_up(path, -ENOEXEC, "not an x86-64 ELF program");
    uint64_t size = (uint64_t)out->elf.segments * ELF_SEGMENT_SIZE;
    n = file_read_at(file, buffer, size, out->elf.segments_offset);
    if (n != (int64_t)size || elf_segments(buffer, size, &out->elf))
        give_up(path, -ENOEXEC, "its program headers are not whole");
    alloc_free(buffer);
    /* Reserve the whole span, then lay the segments over it. */
    const struct elf_load *first = &out->elf.load[0], *last = &out->elf.load[out->elf.loads - 1];
    uint64_t base = PAGE_DOWN(first->address), span = PAGE_UP(last->address + last->memory_size) - base;
    bool fixed = out->elf.type == ET_EXEC;
    uint64_t hint = fixed ? base : low ? enclave.dynamic + LOW_PROGRAM : 0;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (fixed ? MAP_FIXED_NOREPLACE : 0);
    int64_t at = memory_map(hint, span, PROT_NONE, flags, NULL, 0, AREA_ANONYMOUS, NULL);
    if (at < 0)
        give_up(path, (int)at, "");
    out->bias = (uint64_t)at - base;
    out->end = (uint64_t)at + span;
    for (uint32_t i = 0; i < out->elf.loads; i++) {
        error = map_load(file, &out->elf.load[i], out->bias);
        if (error)
            give_up(path, error, "its segments cannot be mapped");
    }
    *opened = file;
}

static uint64_t map_vdso(void)
{
    uint64_t size = PAGE_UP((uint64_t)(vdso_image_end - vdso_image));
    int64_t at = memory_map(0, PAGE_SIZE + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0,
                            AREA_VDSO, NULL);
    if (at < 0)
        return 0;
    uint64_t image = (uint64_t)at + PAGE_SIZE;
    if (user_write((void *)image, vdso_image, (size_t)(vdso_image_end - vdso_image)) ||
        memory_protect(image, size, PROT_READ | PROT_EXEC))
        return 0;
    time_share((struct clock_data *)at);
    return image;
}

static uint64_t random_word(void)
{
    uint64_t value;
    unsigned char ok;
    do
        __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(ok));
    while (!ok);
    return value;
}

static uint32_t cpu_features(void)
{
    uint32_t a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return d;
}

/* Writes downwards from the top of the stack; failures stick. */
struct stack {
    uint64_t at, low;
    int error;
};

static uint64_t push(struct stack *s, const void *bytes, size_t size)
{
    if (s->at - s->low < size + 64)
        s->error = -E2BIG;
    if (s->error)
        return 0;
    s->at -= size;
    if (user_write((void *)s->at, bytes, size))
        s->error = -EFAULT;
    return s->at;
}

static uint64_t push_string(struct stack *s, const char *text)
{
    return push(s, text, strlen(text) + 1);
}

/* The strings of a table, first at the lowest address; their addresses to pointers[]. */
static void push_strings(struct stack *s, const struct configuration_strings *table, uint64_t *pointers)
{
    for (uint32_t i = table->count; i-- > 0;)
        pointers[i] = push_string(s, configuration_string(configuration_strings(table, i)));
}

static uint64_t build_stack(const struct loaded *program, uint64_t interpreter, uint64_t vdso, uint64_t top,
                            uint64_t size)
{
    const struct configuration *c = enclave.configuration;
    struct stack s = {.at = top, .low = top - size};
    uint32_t argc = c->arguments.count, envc = c->environment.count;
    uint64_t *argv = alloc((argc + 1ul) * 8), *envp = alloc((envc + 1ul) * 8);
    if (!argv || !envp)
        panic("no memory for the program's arguments");

    uint64_t null = 0;
    push(&s, &null, 8);
    uint64_t path = push_string(&s, program_image.path);
    program_image.environment_end = s.at;
    push_strings(&s, &c->environment, envp);
    program_image.environment = program_image.arguments_end = s.at;
    push_strings(&s, &c->arguments, argv);
    program_image.arguments = s.at;
    uint64_t platform = push_string(&s, "x86_64");
    uint64_t words[2] = {random_word(), random_word()};
    uint64_t random = push(&s, words, sizeof words);
    s.at &= ~15ull;

    const uint64_t vector[][2] = {
        {AT_SYSINFO_EHDR, vdso},
        {AT_MINSIGSTKSZ, MINIMUM_SIGNAL_STACK},
        {AT_HWCAP, cpu_features()},
        {AT_PAGESZ, PAGE_SIZE},
        {AT_CLKTCK, enclave.start.clock_tick},
        {AT_PHDR, program->bias + program->elf.segments_address},
        {AT_PHENT, ELF_SEGMENT_SIZE},
        {AT_PHNUM, program->elf.segments},
        {AT_BASE, interpreter},
        {AT_FLAGS, 0},
        {AT_ENTRY, program->bias + program->elf.entry},
        {AT_UID, enclave.start.uid},
        {AT_EUID, enclave.start.euid},
        {AT_GID, enclave.start.gid},
        {AT_EGID, enclave.start.egid},
        {AT_SECURE, 0},
        {AT_RANDOM, random},
        {AT_HWCAP2, enclave.start.hwcap2},
        {AT_EXECFN, path},
        {AT_PLATFORM, platform},
        {AT_NULL, 0},
    };
    /* argc must come to lie 16-aligned. */
    if ((1 + argc + 1 + envc + 1) % 2)
        push(&s, &null, 8);
    program_image.vector_end = s.at;
    program_image.vector = push(&s, vector, sizeof vector);
    _Static_assert(sizeof vector <= sizeof process.vector, "it is kept for /proc");
    memcpy(process.vector, vector, sizeof vector);
    process.vector_size = sizeof vector;
    push(&s, &null, 8);
    push(&s, envp, envc * 8ul);
    push(&s, &null, 8);
    push(&s, argv, argc * 8ul);
    uint64_t count = argc;
    push(&s, &count, 8);
    alloc_free(argv);
    alloc_free(envp);
    if (s.error) {
        log_error("the arguments and the environment do not fit on the program's stack");
        process_end(STATUS_EXITED(STATUS_CANNOT_EXECUTE));
    }
    return s.at;
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

_Noreturn void program_start(void)
{
    static struct loaded program, interpreter; /* large; this runs once */
    struct file *file, *interpreter_file;
    program_image.path = configuration_string(enclave.configuration->program);
    struct thread *t = current();
    size_t length = strnlen(last_component(program_image.path), sizeof t->name - 1);
    memcpy(t->name, last_component(program_image.path), length);
    memcpy(process.name, t->name, sizeof process.name);

    load(program_image.path, true, &program, &file);
    memory_set_brk(program.end);
    uint64_t entry = program.bias + program.elf.entry, base = 0;
    if (program.elf.interpreter_size) {
        char *path = alloc(program.elf.interpreter_size + 1);
        if (!path)
            give_up(program_image.path, -ENOMEM, "");
        int64_t n = file_read_at(file, path, program.elf.interpreter_size, program.elf.interpreter_offset);
        if (n != (int64_t)program.elf.interpreter_size || path[n - 1])
            give_up(program_image.path, -ENOEXEC, "its interpreter's name is not whole");
        load(path, false, &interpreter, &interpreter_file);
        file_put(interpreter_file);
        alloc_free(path);
        entry = interpreter.bias + interpreter.elf.entry;
        base = interpreter.bias;
    }
    file_put(file);

    uint64_t size = PAGE_UP(enclave.configuration->stack_size);
    /* A page without access below, as a guard that stays the stack's. */
    int64_t stack = memory_map(0, size + PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0, AREA_STACK,
                               NULL);
    if (stack < 0 || memory_protect((uint64_t)stack + PAGE_SIZE, size, PROT_READ | PROT_WRITE))
        give_up(program_image.path, -ENOMEM, "");
    uint64_t vdso = map_vdso();
    if (!vdso)
        give_up(program_image.path, -ENOMEM, "");
    uint64_t top = (uint64_t)stack + PAGE_SIZE + size;
    struct registers r;
    memset(&r, 0, sizeof r);
    r.rip = entry;
    r.rsp = program_image.stack_start = build_stack(&program, base, vdso, top, size);
    r.rflags = 0x202;
    r.number = UINT64_MAX;
    return_to_program(&r);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/load/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/random.h"
#include "enclave/boundary/log.h"
#include "enclave/load/elf.h"
#include "enclave/os/clock_data.h"
#include "enclave/os/exec.h"
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

extern const uint8_t vdso_image[], vdso_image_end[];

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
                        l->offset - skip, AREA_FILE, file_real_path(file));
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

/* A file that was looked at, and where it lies once it is mapped. */
struct loaded {
    struct file *file; /* a reference */
    struct elf_file elf;
    uint64_t bias, end;
};

struct loading {
    struct loaded program, interpreter; /* interpreter.file NULL: it has none */
};

static uint64_t span_begin(const struct elf_file *e)
{
    return PAGE_DOWN(e->load[0].address);
}

static uint64_t span_end(const struct elf_file *e)
{
    const struct elf_load *last = &e->load[e->loads - 1];
    return PAGE_UP(last->address + last->memory_size);
}

/* Reads the headers of l->file: 0, or -errno and *why. */
static int look(struct loaded *l, const char **why)
{
    uint8_t *buffer = alloc(ELF_SEGMENTS_MAX * ELF_SEGMENT_SIZE);
    if (!buffer)
        return -ENOMEM;
    int result = -ENOEXEC;
    *why = "not an x86-64 ELF program";
    int64_t n = file_read_at(l->file, buffer, ELF_HEADER_SIZE, 0);
    if (n < 0)
        result = (int)n;
    if (n != ELF_HEADER_SIZE || elf_header(buffer, &l->elf))
        goto out;
    *why = "its program headers are not whole";
    uint64_t size = (uint64_t)l->elf.segments * ELF_SEGMENT_SIZE;
    n = file_read_at(l->file, buffer, size, l->elf.segments_offset);
    if (n < 0)
        result = (int)n;
    if (n != (int64_t)size || elf_segments(buffer, size, &l->elf))
        goto out;
    result = 0;
    if (l->elf.type == ET_EXEC &&
        (span_begin(&l->elf) < enclave.dynamic || span_end(&l->elf) > enclave.program_end)) {
        log_warning("a program at fixed addresses, 0x%lx to 0x%lx, does not fit the enclave's, 0x%lx to 0x%lx",
                    span_begin(&l->elf), span_end(&l->elf), enclave.dynamic, enclave.program_end);
        result = -ENOMEM;
    }
out:
    alloc_free(buffer);
    return result;
}

/* Opens and looks at the interpreter that the program names. */
static int interpreter_look(struct loading *l, const char **why)
{
    const struct elf_file *e = &l->program.elf;
    char *path = alloc(e->interpreter_size + 1);
    int error = 0;
    if (!path)
        return -ENOMEM;
    int64_t n = file_read_at(l->program.file, path, e->interpreter_size, e->interpreter_offset);
    if (n != (int64_t)e->interpreter_size || path[n - 1]) {
        *why = "its interpreter's name is not whole";
        error = n < 0 ? (int)n : -ENOEXEC;
    } else if ((l->interpreter.file = file_open(path, O_RDONLY, 0, &error))) {
        error = look(&l->interpreter, why);
    }
    alloc_free(path);
    return error;
}

int program_check(struct program *p, const char **why)
{
    const char *unused;
    why = why ? why : &unused;
    if (!(p->loading = alloc(sizeof *p->loading)))
        return -ENOMEM;
    p->loading->program.file = p->file;
    p->file = NULL;
    int error = look(&p->loading->program, why);
    if (!error && p->loading->program.elf.interpreter_size)
        error = interpreter_look(p->loading, why);
    return error;
}

void program_files(const struct program *p, struct file *files[PROGRAM_FILES])
{
    files[0] = p->loading->program.file;
    files[1] = p->loading->interpreter.file;
}

void program_drop(struct program *p)
{
    file_put(p->file);
    if (p->loading) {
        file_put(p->loading->program.file);
        file_put(p->loading->interpreter.file);
    }
    alloc_free(p->loading);
    alloc_free(p->name);
    strings_drop(&p->arguments);
    strings_drop(&p->environment);
    *p = (struct program){0};
}

/* Maps all of a file. `low`: near the start of the program's part (else from above). */
static int load(struct loaded *l, bool low)
{
    /* Reserve the whole span, then lay the segments over it. */
    uint64_t base = span_begin(&l->elf), span = span_end(&l->elf) - base;
    bool fixed = l->elf.type == ET_EXEC;
    uint64_t hint = fixed ? base : low ? enclave.dynamic + LOW_PROGRAM : 0;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (fixed ? MAP_FIXED_NOREPLACE : 0);
    int64_t at = memory_map(hint, span, PROT_NONE, flags, NULL, 0, AREA_ANONYMOUS, NULL);
    if (at < 0)
        return (int)at;
    l->bias = (uint64_t)at - base;
    l->end = (uint64_t)at + span;
    for (uint32_t i = 0; i < l->elf.loads; i++) {
        int error = map_load(l->file, &l->elf.load[i], l->bias);
        if (error)
            return error;
    }
    return 0;
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

/* The addresses of the strings, which lie at `at`, downwards from the last; a null before them all. */
static void push_pointers(struct stack *s, const struct strings *strings, uint64_t at)
{
    uint64_t size = (strings->count + 1ul) * 8, *pointers = alloc(size);
    if (!pointers) {
        s->error = -ENOMEM;
        return;
    }
    for (uint64_t i = 0, offset = 0; i < strings->count; i++) {
        pointers[i] = at + offset;
        offset += strlen(strings->bytes + offset) + 1;
    }
    push(s, pointers, size);
    alloc_free(pointers);
}

/* Returns the stack pointer, or -errno. */
static int64_t build_stack(const struct program *p, uint64_t vdso, uint64_t top, uint64_t size)
{
    const struct loaded *program = &p->loading->program, *interpreter = &p->loading->interpreter;
    struct program_image *image = &process.image;
    struct stack s = {.at = top, .low = top - size};
    uint64_t argc = p->arguments.count, envc = p->environment.count;

    uint64_t null = 0;
    push(&s, &null, 8);
    uint64_t path = push_string(&s, p->name);
    image->environment_end = s.at;
    image->environment = push(&s, p->environment.bytes, p->environment.size);
    image->arguments_end = s.at;
    image->arguments = push(&s, p->arguments.bytes, p->arguments.size);
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
        {AT_BASE, interpreter->file ? interpreter->bias : 0},
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
    image->vector_end = s.at;
    image->vector = push(&s, vector, sizeof vector);
    _Static_assert(sizeof vector <= sizeof process.vector, "it is kept for /proc");
    memcpy(process.vector, vector, sizeof vector);
    process.vector_size = sizeof vector;
    push_pointers(&s, &p->environment, image->environment);
    push_pointers(&s, &p->arguments, image->arguments);
    push(&s, &argc, 8);
    return s.error ? s.error : (int64_t)s.at;
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static char *text_copy(const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;
    char *copy = size ? alloc(size) : NULL;
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

static void name_process(const struct program *p)
{
    struct thread *t = current();
    const char *name = last_component(p->name);
    memset(t->name, 0, sizeof t->name);
    memcpy(t->name, name, strnlen(name, sizeof t->name - 1));
    memcpy(process.name, t->name, sizeof process.name);
    /* The first program's arguments are among those that rakis was started with. */
    if (enclave.configuration->flags & CONFIGURATION_DEVELOPMENT)
        host_title(t->name, p->arguments.bytes, process.image.path ? p->arguments.size : 0);
    alloc_free(process.image.path);
    process.image = (struct program_image){.path = text_copy(file_real_path(p->loading->program.file))};
}

int program_run(struct program *p)
{
    struct loaded *program = &p->loading->program, *interpreter = &p->loading->interpreter;
    name_process(p);
    int error = load(program, true);
    if (error)
        return error;
    memory_set_brk(program->end);
    uint64_t entry = program->bias + program->elf.entry;
    if (interpreter->file) {
        if ((error = load(interpreter, false)))
            return error;
        entry = interpreter->bias + interpreter->elf.entry;
    }

    uint64_t size = PAGE_UP(enclave.configuration->stack_size);
    /* A page without access below, as a guard that stays the stack's. */
    int64_t stack = memory_map(0, size + PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0, AREA_STACK,
                               NULL);
    if (stack < 0)
        return (int)stack;
    if ((error = memory_protect((uint64_t)stack + PAGE_SIZE, size, PROT_READ | PROT_WRITE)))
        return error;
    uint64_t vdso = map_vdso();
    if (!vdso)
        return -ENOMEM;
    int64_t rsp = build_stack(p, vdso, (uint64_t)stack + PAGE_SIZE + size, size);
    if (rsp < 0)
        return (int)rsp;
    struct registers r;
    memset(&r, 0, sizeof r);
    r.rip = entry;
    r.rsp = process.image.stack_start = (uint64_t)rsp;
    r.rflags = 0x202;
    r.number = UINT64_MAX;
    program_drop(p);
    struct thread_block *block = thread_block();
    block->fs = (uint64_t)block; /* valid until the program sets its own */
    fs_base_set(block->fs);
    fpu_reset();
    return_to_program(&r);
}

static int strings_configured(struct strings *out, const struct configuration_strings *table)
{
    int error = 0;
    for (uint32_t i = 0; i < table->count && !error; i++)
        error = strings_add(out, configuration_string(configuration_strings(table, i)));
    return error;
}

static _Noreturn void give_up(const char *path, int error, const char *why)
{
    if (error == -ENOMEM)
        log_error("'%s' does not fit into the enclave of %lu MiB: use a larger --enclave-size", path,
                  enclave.size >> 20);
    else if (error == -ENOENT)
        log_error("'%s': no such file", path);
    else if (error == -ENOEXEC)
        log_error("'%s': %s", path, why);
    else if (error == -E2BIG)
        log_error("the arguments and the environment do not fit on the program's stack");
    else
        log_error("'%s' cannot be loaded: error %d", path, -error);
    process_end(STATUS_EXITED(error == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE));
}

_Noreturn void program_start(void)
{
    const struct configuration *c = enclave.configuration;
    const char *path = configuration_string(c->program), *why = "";
    struct program p = {0};
    int error = strings_configured(&p.arguments, &c->arguments);
    if (!error)
        error = strings_configured(&p.environment, &c->environment);
    if (!error && !(p.name = alloc(strlen(path) + 1)))
        error = -ENOMEM;
    if (!error)
        memcpy(p.name, path, strlen(path) + 1);
    if (!error)
        p.file = file_open(path, O_RDONLY, 0, &error);
    if (!error)
        error = program_resolve(&p);
    if (!error)
        error = program_check(&p, &why);
    if (!error)
        error = program_run(&p);
    give_up(path, error, why);
}

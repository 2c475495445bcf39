/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The enclave made: its image read, its layout decided, every page added, and the whole initialised
 * with a signature by the development key.
 */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/configuration.h"
#include "host/trim.h"
#include "platform/measure.h"
#include "platform/sigstruct.h"

#define IMAGE_MAX (64ul << 20)
#define DYNAMIC_OFFSET 0x10000ul  /* Linux lets no program map lower (vm.mmap_min_addr) */
#define DYNAMIC_LEAST (4ul << 20) /* less serves no program */
#define SITES_LEAST_ROOM 16
#define SITES_COUNT_MAX 256
#define THREADS_SHARE 8 /* at most so much of the enclave is for threads: one part in */

struct elf_file {
    const char *path;
    int fd; /* until it is trimmed */
    const uint8_t *bytes;
    uint64_t size;
    const Elf64_Ehdr *header;
    const Elf64_Phdr *segments;
};

/* Where everything goes. */
struct layout {
    const struct elf_file *file;
    const struct configuration *configuration;
    uint64_t configuration_offset;
};

/* What takes the pages. */
struct sink {
    const struct platform *platform;
    struct machine *machine;
    struct measurement *measurement; /* NULL: the machine's will do */
};

/* All that the next enclave is made of as this one was. */
struct blueprint {
    struct elf_file file;
    struct configuration *configuration;
    struct layout layout;
    struct machine_options machine;
    uint64_t sites[SITES_COUNT_MAX];
    struct sgx_sigstruct sigstruct;
};

static uint64_t up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static bool within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

static int unfit(const struct elf_file *f, const char *why)
{
    fprintf(stderr, "rakis: %s is not an enclave image: %s\n", f->path, why);
    return -1;
}

static int elf_check(struct elf_file *f)
{
    f->header = (const Elf64_Ehdr *)f->bytes;
    const Elf64_Ehdr *h = f->header;
    if (f->size < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG))
        return unfit(f, "not an ELF file");
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64 || h->e_type != ET_DYN)
        return unfit(f, "not a position-independent x86-64 executable");
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_shentsize != sizeof(Elf64_Shdr) ||
        h->e_phoff % 8 || h->e_shoff % 8 ||
        !within(h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr), f->size) ||
        !within(h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr), f->size))
        return unfit(f, "its headers lie outside the file");
    f->segments = (const Elf64_Phdr *)(f->bytes + h->e_phoff);

    uint64_t end = 0; /* of the last page so far */
    for (int i = 0; i < h->e_phnum; i++) {
        const Elf64_Phdr *p = &f->segments[i];
        if (p->p_type != PT_LOAD)
            continue;
        if (!within(p->p_offset, p->p_filesz, f->size) || p->p_filesz > p->p_memsz ||
            !within(p->p_vaddr, p->p_memsz, IMAGE_MAX))
            return unfit(f, "a segment lies outside the file");
        if (p->p_vaddr % PAGE_SIZE != p->p_offset % PAGE_SIZE)
            return unfit(f, "a segment does not lie in it as in memory");
        if ((p->p_vaddr & ~(PAGE_SIZE - 1)) < end)
            return unfit(f, "two segments share a page");
        end = up(p->p_vaddr + p->p_memsz, PAGE_SIZE);
    }
    if (!end || h->e_entry >= end)
        return unfit(f, "it has no entry");
    return 0;
}

static int elf_open(struct elf_file *f, const char *path)
{
    struct stat status;
    *f = (struct elf_file){.path = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status)) {
        fprintf(stderr, "rakis: cannot open the enclave image %s: %s\n", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    f->size = (uint64_t)status.st_size;
    void *bytes = f->size && f->size < IMAGE_MAX ? mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    f->fd = fd;
    f->bytes = bytes;
    return bytes != MAP_FAILED ? elf_check(f) : unfit(f, "it cannot be read");
}

static uint64_t elf_end(const struct elf_file *f)
{
    uint64_t end = 0;
    for (int i = 0; i < f->header->e_phnum; i++)
        if (f->segments[i].p_type == PT_LOAD)
            end = up(f->segments[i].p_vaddr + f->segments[i].p_memsz, PAGE_SIZE);
    return end;
}

static bool read_all(int fd, uint8_t *to, uint64_t length)
{
    uint64_t done = 0;
    while (done < length) {
        ssize_t n = pread(fd, to + done, length - done, (off_t)done);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return false;
        done += n > 0 ? (uint64_t)n : 0;
    }
    return true;
}

/* What is loaded is kept, in a copy: most of the file are symbols, and it may be replaced while processes are made of it. Read,
 * not copied out of the mapping, whose pages would have to be touched. 0 or -1. */
static int elf_trim(struct elf_file *f)
{
    const uint64_t headers = f->header->e_phoff + f->header->e_phnum * sizeof(Elf64_Phdr);
    uint64_t end = headers;
    for (int i = 0; i < f->header->e_phnum; i++)
        if (f->segments[i].p_type == PT_LOAD && f->segments[i].p_offset + f->segments[i].p_filesz > end)
            end = f->segments[i].p_offset + f->segments[i].p_filesz;
    uint8_t *bytes =
        mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (bytes == MAP_FAILED) {
        fprintf(stderr, "rakis: no memory for the enclave image\n");
        return -1;
    }
    bool read = read_all(f->fd, bytes, end);
    close(f->fd);
    if (!read || memcmp(bytes, f->bytes, headers))
        return unfit(f, "it changed while it was read");
    munmap((void *)f->bytes, f->size);
    f->bytes = bytes;
    f->size = end;
    f->header = (const Elf64_Ehdr *)bytes;
    f->segments = (const Elf64_Phdr *)(bytes + f->header->e_phoff);
    return 0;
}

/* Section emulated_sites: each entry is the distance from itself to a padded instruction. */
static int64_t elf_sites(const struct elf_file *f, uint64_t sites[SITES_COUNT_MAX])
{
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(f->bytes + f->header->e_shoff);
    if (f->header->e_shstrndx >= f->header->e_shnum)
        return 0;
    const Elf64_Shdr *names = &sections[f->header->e_shstrndx];
    static const char wanted[] = "emulated_sites";
    for (int i = 0; i < f->header->e_shnum; i++) {
        const Elf64_Shdr *s = &sections[i];
        if (!within(names->sh_offset, names->sh_size, f->size) ||
            !within(s->sh_name, sizeof wanted, names->sh_size) ||
            memcmp(f->bytes + names->sh_offset + s->sh_name, wanted, sizeof wanted))
            continue;
        uint64_t count = s->sh_size / sizeof(uint64_t);
        if (!within(s->sh_offset, s->sh_size, f->size) || count > SITES_COUNT_MAX)
            return -1;
        for (uint64_t n = 0; n < count; n++) {
            uint64_t distance;
            memcpy(&distance, f->bytes + s->sh_offset + n * sizeof distance, sizeof distance);
            sites[n] = s->sh_addr + n * sizeof distance + distance;
            if (!within(sites[n], SITES_LEAST_ROOM, elf_end(f)))
                return -1;
        }
        return (int64_t)count;
    }
    return 0;
}

static int put(const struct sink *s, uint64_t offset, const void *contents, uint64_t length,
               uint64_t flags, bool measure)
{
    static const uint8_t zeros[256];
    for (uint64_t page = 0; s->measurement && page < length; page += PAGE_SIZE) {
        measure_add(s->measurement, offset + page, flags);
        for (uint64_t at = page; measure && at < page + PAGE_SIZE; at += sizeof zeros)
            measure_extend(s->measurement, offset + at,
                           contents ? (const uint8_t *)contents + at : zeros);
    }
    return s->platform->add(s->machine, offset, contents, length, flags, measure);
}

/* Of a segment, the page that begins at this address, where the file has not all of it. */
static int put_page(const struct sink *s, const struct elf_file *f, const Elf64_Phdr *p,
                    uint64_t image, uint64_t page, uint64_t flags)
{
    uint8_t contents[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE))) = {0};
    uint64_t begin = page < p->p_vaddr ? p->p_vaddr : page;
    uint64_t end = page + PAGE_SIZE < p->p_vaddr + p->p_filesz ? page + PAGE_SIZE : p->p_vaddr + p->p_filesz;
    memcpy(contents + (begin - page), f->bytes + p->p_offset + (begin - p->p_vaddr), end - begin);
    return put(s, image + page, contents, PAGE_SIZE, flags, true);
}

static int put_segment(const struct sink *s, const struct elf_file *f, const Elf64_Phdr *p,
                       uint64_t image)
{
    uint64_t page = p->p_vaddr & ~(PAGE_SIZE - 1), file_end = p->p_vaddr + p->p_filesz;
    uint64_t end = up(p->p_vaddr + p->p_memsz, PAGE_SIZE), whole = file_end & ~(PAGE_SIZE - 1);
    uint64_t flags = SECINFO_REG | (p->p_flags & PF_R ? SECINFO_R : 0) |
                     (p->p_flags & PF_W ? SECINFO_W : 0) | (p->p_flags & PF_X ? SECINFO_X : 0);
    int error = 0;
    if (page < p->p_vaddr && page < file_end) {
        error = put_page(s, f, p, image, page, flags);
        page += PAGE_SIZE;
    }
    if (!error && page < whole) {
        error = put(s, image + page, f->bytes + p->p_offset + (page - p->p_vaddr), whole - page, flags, true);
        page = whole;
    }
    if (!error && page < file_end) {
        error = put_page(s, f, p, image, page, flags);
        page += PAGE_SIZE;
    }
    return !error && page < end ? put(s, image + page, NULL, end - page, flags, true) : error;
}

static int put_image(const struct sink *s, const struct layout *l)
{
    const struct elf_file *f = l->file;
    int error = 0;
    for (int i = 0; !error && i < f->header->e_phnum; i++)
        if (f->segments[i].p_type == PT_LOAD)
            error = put_segment(s, f, &f->segments[i], l->configuration->image_offset);
    return error;
}

static int put_thread(const struct sink *s, uint64_t area, uint64_t entry)
{
    const uint64_t writable = SECINFO_REG | SECINFO_R | SECINFO_W;
    const struct sgx_tcs tcs __attribute__((aligned(PAGE_SIZE))) = {
        .ossa = area + THREAD_SSA,
        .nssa = THREAD_SSA_FRAMES,
        .oentry = entry,
        .ofsbase = area + THREAD_BLOCK,
        .ogsbase = area + THREAD_BLOCK,
        .fslimit = UINT32_MAX, /* of no effect in 64-bit mode, but EADD wants whole pages */
        .gslimit = UINT32_MAX,
    };
    int error = put(s, area + THREAD_TCS, &tcs, sizeof tcs, SECINFO_TCS, true);
    if (!error)
        error = put(s, area + THREAD_SSA, NULL, THREAD_SSA_FRAMES * PAGE_SIZE, writable, false);
    if (!error)
        error = put(s, area + THREAD_BLOCK, NULL, THREAD_BLOCK_SIZE, writable, true);
    if (!error)
        error = put(s, area + THREAD_EVENT_STACK, NULL, THREAD_EVENT_STACK_SIZE, writable, false);
    if (!error)
        error = put(s, area + THREAD_STACK, NULL, THREAD_STACK_SIZE, writable, false);
    return error;
}

static int put_all(const struct sink *s, const struct layout *l)
{
    const struct configuration *c = l->configuration;
    int error = put_image(s, l);
    if (!error)
        error = put(s, l->configuration_offset, c, up(c->size, PAGE_SIZE), SECINFO_REG | SECINFO_R,
                    true);
    for (uint64_t i = 0; !error && i < c->threads_present; i++)
        error = put_thread(s, c->threads_offset + i * THREAD_AREA_SIZE,
                           c->image_offset + l->file->header->e_entry);
    return error;
}

/* The extended state that the CPU and the kernel offer and the enclave knows how to keep. */
static uint64_t xfrm(void)
{
    uint32_t a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return XFRM_LEGACY;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    uint64_t result = low & (XFRM_LEGACY | XFRM_AVX | XFRM_AVX512);
    if (!(result & XFRM_AVX) || (result & XFRM_AVX512) != XFRM_AVX512)
        result &= ~XFRM_AVX512;
    return result | XFRM_LEGACY;
}

static int too_small(uint64_t given, uint64_t needed)
{
    uint64_t size = 1ul << 20;
    while (size < needed)
        size *= 2;
    fprintf(stderr,
            "rakis: the enclave is too small: --enclave-size %luM does not hold the image and "
            "its threads; give at least %luM\n",
            given >> 20, size >> 20);
    return -1;
}

/* Is the program linked to fixed addresses (ET_EXEC)? Whether the file is one at all is not decided here. */
static bool fixed_addresses(const char *program)
{
    Elf64_Ehdr header;
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool fixed =
        read(fd, &header, sizeof header) == (ssize_t)sizeof header && header.e_type == ET_EXEC;
    close(fd);
    return fixed;
}

/* All pages and the signature. */
static int fill(struct image *image, struct blueprint *b)
{
    const struct machine_options *o = &b->machine;
    struct sigstruct_claims claims = sigstruct_claims_of(o->attributes, o->xfrm, o->miscselect);
    struct sink sink = {.platform = image->platform, .machine = image->machine};
    if (!image->platform->measurement(image->machine, claims.mrenclave) &&
        measure_create(&sink.measurement, o->ssa_frame_pages, o->size)) {
        fprintf(stderr, "rakis: no memory to measure the enclave\n");
        return -1;
    }
    int error = put_all(&sink, &b->layout);
    if (error)
        fprintf(stderr, "rakis: cannot add pages to the enclave: %s\n", platform_error());
    if (sink.measurement)
        measure_final(sink.measurement, claims.mrenclave);
    else
        image->platform->measurement(image->machine, claims.mrenclave);
    if (!error && (error = sigstruct_sign(&b->sigstruct, NULL, &claims)))
        fprintf(stderr, "rakis: cannot sign the enclave: %s\n", platform_error());
    return error;
}

/* Decides where everything goes. */
static int plan(struct blueprint *b, const struct run_options *options)
{
    struct elf_file *f = &b->file;
    struct configuration *c = b->configuration;
    int64_t site_count = elf_sites(f, b->sites);
    if (site_count <= 0)
        return unfit(f, "its list of emulated instructions is missing or wrong");
    if (elf_trim(f))
        return -1;

    /* The image, its configuration and the threads at the top, which in a small enclave are fewer; all
     * below is the program's. */
    c->threads = options->enclave_size / THREADS_SHARE / THREAD_AREA_SIZE;
    c->threads = c->threads > THREADS_MAX       ? THREADS_MAX
                 : c->threads < THREADS_PRESENT ? THREADS_PRESENT
                                                : c->threads;
    c->threads_present = THREADS_PRESENT;
    uint64_t threads = up(elf_end(f) + up(c->size, PAGE_SIZE), THREAD_AREA_SIZE);
    uint64_t top = threads + c->threads * THREAD_AREA_SIZE;
    if (!within(DYNAMIC_OFFSET + DYNAMIC_LEAST, top, options->enclave_size))
        return too_small(options->enclave_size, DYNAMIC_OFFSET + DYNAMIC_LEAST + top);
    c->image_offset = options->enclave_size - top;
    c->threads_offset = c->image_offset + threads;
    c->dynamic_offset = DYNAMIC_OFFSET;
    for (int64_t i = 0; i < site_count; i++)
        b->sites[i] += c->image_offset;

    b->machine = (struct machine_options){
        .size = options->enclave_size,
        .address = 0,
        .ssa_frame_pages = 1,
        .attributes = ATTRIBUTE_MODE64BIT,
        .xfrm = xfrm(),
        .miscselect = MISCSELECT_EXINFO,
        .transition_cycles = options->transition_cycles,
        .sites = b->sites,
        .site_count = (size_t)site_count,
    };
    b->layout = (struct layout){
        .file = f, .configuration = c, .configuration_offset = c->image_offset + elf_end(f)};
    return 0;
}

static int initialise(struct image *image, const struct blueprint *b)
{
    if (image->platform->init(image->machine, &b->sigstruct)) {
        fprintf(stderr, "rakis: cannot initialise the enclave: %s\n", platform_error());
        return -1;
    }
    image->platform->measurement(image->machine, image->mrenclave);
    return 0;
}

static int build(struct image *image, struct blueprint *b, const char *program)
{
    /* From address 0, where programs linked to fixed addresses find theirs: this one, or what it executes. */
    int failed = image->platform->create(&b->machine, &image->machine, &image->base);
    if (failed && !fixed_addresses(program)) {
        b->machine.address = MACHINE_ANYWHERE;
        failed = image->platform->create(&b->machine, &image->machine, &image->base);
    }
    if (failed) {
        fprintf(stderr, "rakis: cannot create the enclave: %s\n", platform_error());
        return -1;
    }
    b->machine.address = image->base;
    image->libos = image->base + b->configuration->image_offset;
    if (!fill(image, b) && !initialise(image, b))
        return 0;
    image->platform->destroy(image->machine);
    return -1;
}

int image_load(struct image *image, const struct run_options *options)
{
    struct blueprint *b = calloc(1, sizeof *b);
    if (!b || elf_open(&b->file, options->image_path))
        return -1;
    b->configuration = configuration_make(options);
    if (!b->configuration) {
        fprintf(stderr, "rakis: cannot pass the arguments and the environment: %s\n",
                strerror(errno));
        return -1;
    }
    if (plan(b, options))
        return -1;
    *image = (struct image){.blueprint = b,
                            .platform = options->platform,
                            .size = b->machine.size,
                            .threads = b->configuration->threads,
                            .threads_offset = b->configuration->threads_offset};
    int failed = build(image, b, options->program);
    trim_library("libcrypto.");
    return failed;
}

int image_again(struct image *image)
{
    const struct blueprint *b = image->blueprint;
    if (image->platform->create(&b->machine, &image->machine, &image->base)) {
        fprintf(stderr, "rakis: cannot create the enclave of a process: %s\n", platform_error());
        return -1;
    }
    const struct sink sink = {.platform = image->platform, .machine = image->machine};
    if (put_all(&sink, &b->layout)) {
        fprintf(stderr, "rakis: cannot add pages to the enclave: %s\n", platform_error());
        return -1;
    }
    return initialise(image, b);
}

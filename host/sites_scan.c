/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A linear sweep over the executable parts, resynchronised at each start of a function that symbols
 * or .eh_frame_hdr tell. Places that may be jumped to are collected on the way, rather too many than
 * too few: targets of branches, addresses taken relative to RIP, words of data that are addresses in
 * text (relocations, function tables), jump tables, ENDBR64, function starts. A window has none inside.
 *
 * A `0f 05` is believed to be an instruction within a function that symbols or frames tell of. Elsewhere it may be data,
 * as tables of constants among the code are: where the file tells of functions, only if one of the few instructions before it
 * sets a system call's number; where it tells of none, if the instructions before set up RAX. What is not believed
 * and is an instruction works by an exception; what is believed and is data would be destroyed.
 */
#include "host/sites_scan.h"

#include <Zydis/Zydis.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define REGIONS_MAX 64
#define NEIGHBOURS 4 /* instructions on either side that may be displaced */
#define HISTORY 16
#define WINDOW_MIN 5 /* jmp rel32 */
#define SYSCALL_SIZE 2
#define TABLE_MAX 4096 /* entries of a jump table */
#define NR_rt_sigreturn 15
#define NUMBERS 1024 /* of system calls, and some more */

/* Bytes [offset, +size) of the file are at `address`. */
struct region {
    uint64_t offset, size, address;
};

struct regions {
    struct region region[REGIONS_MAX];
    size_t count;
};

/* Grows; of uint64_t. */
struct words {
    uint64_t *word;
    size_t count, room;
};

struct found {
    uint64_t offset;
    uint64_t before[HISTORY]; /* where the instructions before begin, nearest first */
    unsigned before_count;
    size_t region; /* of text */
};

struct scan {
    const uint8_t *file;
    size_t size;
    bool fixed; /* ET_EXEC: addresses can be immediate operands */
    struct regions load;
    struct regions text;
    uint8_t *target; /* a bit a byte of the file */
    uint8_t *known;  /* a bit a byte of the file: in a function that something tells of */
    bool tells;      /* there are any */
    struct words start; /* offsets where the sweep begins anew */
    struct words table; /* file offsets that may be jump tables */
    struct found *found;
    size_t found_count, found_room;
    uint64_t unlisted;
    bool no_memory;
    ZydisDecoder decoder;
};

static bool within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

static uint64_t load(const struct scan *s, uint64_t offset, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, s->file + offset, bytes);
    return value;
}

static void bit_set(uint8_t *bits, uint64_t i)
{
    bits[i / 8] |= (uint8_t)(1 << i % 8);
}

static bool bit(const uint8_t *bits, uint64_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

static void words_add(struct scan *s, struct words *w, uint64_t word)
{
    if (w->count == w->room) {
        size_t room = w->room ? w->room * 2 : 1024;
        uint64_t *more = realloc(w->word, room * sizeof *more);
        if (!more) {
            s->no_memory = true;
            return;
        }
        w->word = more;
        w->room = room;
    }
    w->word[w->count++] = word;
}

static int word_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void words_sort(struct words *w)
{
    if (w->count)
        qsort(w->word, w->count, sizeof *w->word, word_order);
}

static void region_add(struct scan *s, struct regions *r, uint64_t offset, uint64_t size,
                       uint64_t address)
{
    if (size && r->count < REGIONS_MAX && within(offset, size, s->size) &&
        size <= UINT64_MAX - address)
        r->region[r->count++] = (struct region){offset, size, address};
}

/* The region that holds the address, NULL: none. */
static const struct region *region_at(const struct regions *r, uint64_t address)
{
    for (size_t i = 0; i < r->count; i++)
        if (address >= r->region[i].address && address - r->region[i].address < r->region[i].size)
            return &r->region[i];
    return NULL;
}

static bool address_offset(const struct regions *r, uint64_t address, uint64_t *offset)
{
    const struct region *in = region_at(r, address);
    if (in)
        *offset = in->offset + (address - in->address);
    return in;
}

static bool target_add(struct scan *s, uint64_t address)
{
    uint64_t offset;
    if (!address_offset(&s->text, address, &offset))
        return false;
    bit_set(s->target, offset);
    return true;
}

static void function_add(struct scan *s, uint64_t address, uint64_t size)
{
    const struct region *in = region_at(&s->text, address);
    if (!in)
        return;
    uint64_t at = address - in->address, offset = in->offset + at;
    bit_set(s->target, offset);
    words_add(s, &s->start, offset);
    if (size > in->size - at)
        size = in->size - at;
    s->tells |= size > 0;
    for (uint64_t i = 0; i < size; i++)
        bit_set(s->known, offset + i);
}

/* ---- what the headers tell ---- */

static int header_check(const struct scan *s, Elf64_Ehdr *h)
{
    if (s->size < sizeof *h)
        return -ENOEXEC;
    memcpy(h, s->file, sizeof *h);
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64 ||
        (h->e_type != ET_EXEC && h->e_type != ET_DYN))
        return -ENOEXEC;
    if (h->e_phentsize != sizeof(Elf64_Phdr) ||
        !within(h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr), s->size))
        return -ENOEXEC;
    return 0;
}

static Elf64_Phdr segment(const struct scan *s, const Elf64_Ehdr *h, unsigned i)
{
    Elf64_Phdr p;
    memcpy(&p, s->file + h->e_phoff + i * sizeof p, sizeof p);
    return p;
}

/* False: there are no (usable) section headers. */
static bool sections_exist(const struct scan *s, const Elf64_Ehdr *h)
{
    return h->e_shnum && h->e_shentsize == sizeof(Elf64_Shdr) &&
           within(h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr), s->size);
}

static Elf64_Shdr section(const struct scan *s, const Elf64_Ehdr *h, unsigned i)
{
    Elf64_Shdr section;
    memcpy(&section, s->file + h->e_shoff + i * sizeof section, sizeof section);
    return section;
}

/* Only what a segment maps executable there counts. */
static bool section_is_text(const struct scan *s, const Elf64_Ehdr *h, const Elf64_Shdr *section)
{
    if (section->sh_type != SHT_PROGBITS || !(section->sh_flags & SHF_EXECINSTR) ||
        !(section->sh_flags & SHF_ALLOC))
        return false;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p = segment(s, h, i);
        if (p.p_type == PT_LOAD && (p.p_flags & PF_X) && section->sh_offset >= p.p_offset &&
            within(section->sh_offset - p.p_offset, section->sh_size, p.p_filesz) &&
            section->sh_addr - section->sh_offset == p.p_vaddr - p.p_offset)
            return true;
    }
    return false;
}

static void regions_find(struct scan *s, const Elf64_Ehdr *h)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p = segment(s, h, i);
        if (p.p_type == PT_LOAD)
            region_add(s, &s->load, p.p_offset, p.p_filesz, p.p_vaddr);
    }
    for (unsigned i = 0; sections_exist(s, h) && i < h->e_shnum; i++) {
        Elf64_Shdr x = section(s, h, i);
        if (section_is_text(s, h, &x))
            region_add(s, &s->text, x.sh_offset, x.sh_size, x.sh_addr);
    }
    for (unsigned i = 0; !s->text.count && i < h->e_phnum; i++) {
        Elf64_Phdr p = segment(s, h, i);
        if (p.p_type == PT_LOAD && (p.p_flags & PF_X))
            region_add(s, &s->text, p.p_offset, p.p_filesz, p.p_vaddr);
    }
}

static void symbols_find(struct scan *s, const Elf64_Ehdr *h)
{
    for (unsigned i = 0; sections_exist(s, h) && i < h->e_shnum; i++) {
        Elf64_Shdr x = section(s, h, i);
        if ((x.sh_type != SHT_SYMTAB && x.sh_type != SHT_DYNSYM) ||
            !within(x.sh_offset, x.sh_size, s->size))
            continue;
        for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= x.sh_size; at += sizeof(Elf64_Sym)) {
            Elf64_Sym symbol;
            memcpy(&symbol, s->file + x.sh_offset + at, sizeof symbol);
            unsigned type = ELF64_ST_TYPE(symbol.st_info);
            if (symbol.st_shndx == SHN_UNDEF || type == STT_TLS || type == STT_FILE)
                continue;
            bool function = type == STT_FUNC || type == STT_GNU_IFUNC;
            function_add(s, symbol.st_value, function ? symbol.st_size : 0);
        }
    }
}

/* DWARF encodings of .eh_frame_hdr as linkers write it: LSB "Linux Standard Base Core", 10.6.2. */
#define FRAME_HEADER 0x3b031b01u /* version 1; pcrel sdata4; udata4; datarel sdata4 */

/* Of a signal's frame: its augmentation, in the CIE that the frame names, has an S. */
static bool frame_is_of_signal(const struct scan *s, uint64_t frame)
{
    uint64_t back = load(s, frame + 4, 4);
    if (back > frame + 4 || !within(frame + 4 - back, 16, s->size))
        return false;
    return memchr(s->file + frame + 4 - back + 9, 'S', 4);
}

static void frames_find(struct scan *s, const Elf64_Ehdr *h)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p = segment(s, h, i);
        if (p.p_type != PT_GNU_EH_FRAME || p.p_filesz < 12 || !within(p.p_offset, p.p_filesz, s->size) ||
            load(s, p.p_offset, 4) != FRAME_HEADER)
            continue;
        uint64_t count = load(s, p.p_offset + 8, 4);
        for (uint64_t n = 0; n < count && 12 + 8 * (n + 1) <= p.p_filesz; n++) {
            uint64_t at = p.p_offset + 12 + 8 * n, frame, size = 0;
            uint64_t address = p.p_vaddr + (uint64_t)(int32_t)load(s, at, 4);
            uint64_t frame_address = p.p_vaddr + (uint64_t)(int32_t)load(s, at + 4, 4);
            /* The range, where the frame says the same start in the usual encoding. */
            if (address_offset(&s->load, frame_address, &frame) && within(frame, 16, s->size) &&
                frame_address + 8 + (uint64_t)(int32_t)load(s, frame + 8, 4) == address)
                size = load(s, frame + 12, 4);
            /* Such frames begin a byte early, for unwinders that look up the address before. */
            bool early = size && frame_is_of_signal(s, frame);
            function_add(s, address + early, size - early);
        }
    }
}

/* ---- the sweep ---- */

static bool is_syscall(const struct scan *s, uint64_t offset, uint64_t end)
{
    return end - offset >= SYSCALL_SIZE && s->file[offset] == 0x0f && s->file[offset + 1] == 0x05;
}

static bool is_relative_operand(const ZydisDecodedInstruction *in)
{
    return (in->attributes & ZYDIS_ATTRIB_HAS_MODRM) && in->raw.modrm.mod == 0 &&
           in->raw.modrm.rm == 5 && in->raw.disp.size == 32;
}

static void targets_of(struct scan *s, const ZydisDecodedInstruction *in, uint64_t address)
{
    uint64_t next = address + in->length, offset;
    if (in->raw.imm[0].is_relative) {
        target_add(s, next + (uint64_t)in->raw.imm[0].value.s);
    } else if (is_relative_operand(in)) {
        uint64_t referred = next + (uint64_t)in->raw.disp.value;
        if (!target_add(s, referred) && in->mnemonic == ZYDIS_MNEMONIC_LEA &&
            address_offset(&s->load, referred, &offset))
            words_add(s, &s->table, offset);
    } else if (s->fixed) {
        if (in->raw.imm[0].size >= 32)
            target_add(s, in->raw.imm[0].value.u);
        if (in->raw.disp.size == 32 && address_offset(&s->load, (uint64_t)in->raw.disp.value, &offset))
            words_add(s, &s->table, offset);
    }
}

static void found_add(struct scan *s, const struct found *f)
{
    if (s->found_count == s->found_room) {
        size_t room = s->found_room ? s->found_room * 2 : 256;
        struct found *more = realloc(s->found, room * sizeof *more);
        if (!more) {
            s->no_memory = true;
            return;
        }
        s->found = more;
        s->found_room = room;
    }
    s->found[s->found_count++] = *f;
}

static void sweep(struct scan *s, size_t index)
{
    const struct region *r = &s->text.region[index];
    uint64_t end = r->offset + r->size;
    size_t next = 0;
    struct found f = {.region = index};
    for (uint64_t at = r->offset; at < end;) {
        ZydisDecodedInstruction in;
        while (next < s->start.count && s->start.word[next] < at)
            next++;
        uint64_t limit = end;
        if (next < s->start.count && s->start.word[next] == at) {
            f.before_count = 0;
            if (next + 1 < s->start.count && s->start.word[next + 1] == at) {
                next++;
                continue;
            }
            next++;
        }
        if (next < s->start.count && s->start.word[next] < end)
            limit = s->start.word[next];
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&s->decoder, NULL, s->file + at, limit - at,
                                                        &in))) {
            f.before_count = 0;
            at++;
            continue;
        }
        if (is_syscall(s, at, end)) {
            f.offset = at;
            found_add(s, &f);
        }
        if (in.mnemonic == ZYDIS_MNEMONIC_ENDBR64)
            bit_set(s->target, at);
        targets_of(s, &in, r->address + (at - r->offset));
        memmove(f.before + 1, f.before, (HISTORY - 1) * sizeof *f.before);
        f.before[0] = at;
        if (f.before_count < HISTORY)
            f.before_count++;
        at += in.length;
    }
}

/* ---- addresses in data ---- */

/* The end of the text that holds this offset of the file, 0: none does. */
static uint64_t text_end(const struct scan *s, uint64_t offset)
{
    for (size_t i = 0; i < s->text.count; i++) {
        const struct region *r = &s->text.region[i];
        if (offset >= r->offset && offset - r->offset < r->size)
            return r->offset + r->size;
    }
    return 0;
}

static void data_find(struct scan *s)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < s->text.count; i++) {
        const struct region *r = &s->text.region[i];
        low = r->address < low ? r->address : low;
        high = r->address + r->size > high ? r->address + r->size : high;
    }
    for (size_t i = 0; i < s->load.count; i++) {
        const struct region *r = &s->load.region[i];
        uint64_t end = r->offset + r->size;
        for (uint64_t at = (r->offset + 7) & ~7ull; within(at, 8, end); at += 8) {
            uint64_t word = load(s, at, 8), skip;
            if (word < low || word >= high)
                continue;
            skip = text_end(s, at);
            if (skip)
                at = (skip & ~7ull) - 8 > at ? (skip & ~7ull) - 8 : at;
            else
                target_add(s, word);
        }
    }
}

/* Tables of 4-byte distances from the table itself, as compilers make them of switches. */
static void tables_find(struct scan *s)
{
    words_sort(&s->table);
    for (size_t i = 0; i < s->table.count; i++) {
        uint64_t base = s->table.word[i], address = 0, end = s->size;
        if (i && base == s->table.word[i - 1])
            continue;
        for (size_t n = 0; n < s->load.count; n++) {
            const struct region *r = &s->load.region[n];
            if (base >= r->offset && base - r->offset < r->size) {
                address = r->address + (base - r->offset);
                end = r->offset + r->size;
            }
        }
        /* The next thing that is referred to is another. */
        for (size_t n = i + 1; n < s->table.count && s->table.word[n] < end; n++)
            if (s->table.word[n] > base)
                end = s->table.word[n];
        for (unsigned n = 0; n < TABLE_MAX && within(base + 4ull * n, 4, end); n++)
            if (!target_add(s, address + (uint64_t)(int32_t)load(s, base + 4ull * n, 4)))
                break;
    }
}

/* ---- windows ---- */

/* One that works as well elsewhere: length, 0: none such at this place. */
static unsigned displaceable(const struct scan *s, uint64_t offset, uint64_t end)
{
    ZydisDecodedInstruction in;
    ZydisDecoderContext context;
    if (offset >= end || !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&s->decoder, &context,
                                                                   s->file + offset, end - offset, &in)))
        return 0;
    if ((in.attributes & ZYDIS_ATTRIB_IS_RELATIVE) || in.raw.imm[0].is_relative ||
        is_relative_operand(&in))
        return 0;
    switch (in.meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_CET:
        return 0;
    default:
        break;
    }
    switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_XABORT:
        return 0;
    default:
        return in.length;
    }
}

/* `mov $imm32, %eax` or `mov $imm32, %rax`: the number, else -1. */
static int64_t number_set(const struct scan *s, uint64_t offset, uint64_t end)
{
    if (within(offset, 5, end) && s->file[offset] == 0xb8)
        return (int64_t)load(s, offset + 1, 4);
    if (within(offset, 7, end) && load(s, offset, 3) == 0xc0c748)
        return (int32_t)load(s, offset + 3, 4);
    return -1;
}

static bool sets_number(const struct scan *s, uint64_t offset, uint64_t end)
{
    int64_t number = number_set(s, offset, end);
    return number >= 0 && number < NUMBERS;
}

static bool sets_rax(const struct scan *s, uint64_t offset, uint64_t end)
{
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&s->decoder, s->file + offset, end - offset, &in, operand)))
        return false;
    return in.operand_count && operand[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           (operand[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
           ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand[0].reg.value) ==
               ZYDIS_REGISTER_RAX;
}

/* False: bytes that look like an instruction where nothing else says that they are one. */
static bool believable(const struct scan *s, const struct found *f, uint64_t end)
{
    if (bit(s->known, f->offset))
        return true;
    unsigned count = s->tells && f->before_count > NEIGHBOURS ? NEIGHBOURS : f->before_count;
    for (unsigned i = 0; i < count; i++)
        if (s->tells ? sets_number(s, f->before[i], end) : sets_rax(s, f->before[i], end))
            return true;
    return false;
}

static bool targets_within(const struct scan *s, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        if (bit(s->target, i))
            return true;
    return false;
}

/*
 * A window with `before` and `after` neighbours; `start` and `end` bound what it may take. False: it
 * cannot be.
 */
static bool window_try(const struct scan *s, const struct found *f, unsigned before, unsigned after,
                       uint64_t start, uint64_t end, struct site *out)
{
    if (before > f->before_count)
        return false;
    uint64_t first = before ? f->before[before - 1] : f->offset;
    uint64_t last = f->offset + SYSCALL_SIZE;
    for (unsigned i = 0; i < before; i++)
        if (!displaceable(s, f->before[i], end))
            return false;
    for (unsigned i = 0; i < after; i++) {
        unsigned length = displaceable(s, last, end);
        if (!length)
            return false;
        last += length;
    }
    uint64_t length = last - first;
    if (first < start || length < WINDOW_MIN || length > SITE_WINDOW_MAX ||
        targets_within(s, first + 1, last))
        return false;
    *out = (struct site){first, length | (f->offset - first) << 8};
    return true;
}

/* The instruction before sets the number as a rule: taking it leaves the `syscall` in place and the
 * return address as it was. */
static bool window_find(const struct scan *s, const struct found *f, uint64_t start, struct site *out)
{
    const struct region *r = &s->text.region[f->region];
    uint64_t end = r->offset + r->size;
    if (!believable(s, f, end))
        return false;
    /* Unwinders know a signal's frame by these very instructions. */
    if (f->before_count && number_set(s, f->before[0], end) == NR_rt_sigreturn)
        return false;
    for (unsigned total = 1; total <= 2 * NEIGHBOURS; total++)
        for (unsigned after = 0; after <= total && after <= NEIGHBOURS; after++)
            if (total - after <= NEIGHBOURS && window_try(s, f, total - after, after, start, end, out))
                return true;
    return false;
}

static int found_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static struct site_list *windows_find(struct scan *s)
{
    size_t room = s->found_count < SITES_MAX ? s->found_count : SITES_MAX;
    struct site_list *list = malloc(sizeof *list + room * sizeof(struct site));
    if (!list)
        return NULL;
    *list = (struct site_list){.magic = SITES_MAGIC, .file_size = s->size};
    if (s->found_count)
        qsort(s->found, s->found_count, sizeof *s->found, found_order);
    uint64_t free_from = 0;
    for (size_t i = 0; i < s->found_count; i++) {
        struct site *site = &list->sites[list->count];
        if (s->found[i].offset < free_from)
            continue; /* the same bytes by another way */
        if (list->count == room || !window_find(s, &s->found[i], free_from, site)) {
            list->unlisted++;
            continue;
        }
        free_from = site->offset + (site->shape & 0xff);
        list->count++;
    }
    return list;
}

static void scan_free(struct scan *s)
{
    free(s->target);
    free(s->known);
    free(s->start.word);
    free(s->table.word);
    free(s->found);
}

int sites_scan(const uint8_t *file, size_t size, struct site_list **out)
{
    struct scan s = {.file = file, .size = size};
    Elf64_Ehdr header;
    int error = header_check(&s, &header);
    if (error)
        return error;
    s.fixed = header.e_type == ET_EXEC;
    ZydisDecoderInit(&s.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    s.target = calloc(size / 8 + 1, 1);
    s.known = calloc(size / 8 + 1, 1);
    *out = NULL;
    if (s.target && s.known) {
        regions_find(&s, &header);
        target_add(&s, header.e_entry);
        symbols_find(&s, &header);
        frames_find(&s, &header);
        words_sort(&s.start);
        for (size_t i = 0; i < s.text.count; i++)
            sweep(&s, i);
        data_find(&s);
        tables_find(&s);
        if (!s.no_memory)
            *out = windows_find(&s);
    }
    scan_free(&s);
    return *out ? 0 : -ENOMEM;
}

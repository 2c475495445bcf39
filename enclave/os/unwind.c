/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/unwind.h"

#include <elf.h>

#include "enclave/boundary/user.h"
#include "enclave/entry/thread_block.h"
#include "enclave/lib/lib.h"
#include "enclave/os/memory.h"

#define SEGMENTS_MAX 64
#define SAVED_MAX 8
#define FDE_MAX 0x100000 /* bytes; more is no sense */

/* Bytes of the program's; once one cannot be read all are 0, and `wrong` is set. */
struct reader {
    uint64_t at, end;
    bool wrong;
};

static uint64_t take(struct reader *r, uint64_t size)
{
    uint64_t value = 0;
    if (r->wrong || size > r->end - r->at || user_read(&value, (const void *)r->at, size)) {
        r->wrong = true;
        return 0;
    }
    r->at += size;
    return value;
}

static uint64_t take_uleb(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = take(r, 1);
        value |= (byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->wrong = true;
    return 0;
}

static int64_t take_sleb(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64;) {
        uint64_t byte = take(r, 1);
        value |= (byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80))
            return (int64_t)(shift < 64 && (byte & 0x40) ? value | ~0ull << shift : value);
    }
    r->wrong = true;
    return 0;
}

static void skip(struct reader *r, uint64_t size)
{
    if (size > r->end - r->at)
        r->wrong = true;
    else
        r->at += size;
}

/* DW_EH_PE: form in the low bits, what it is relative to above. */
enum { FORM = 0x0f, RELATIVE = 0x70, TO_PLACE = 0x10, TO_DATA = 0x30, INDIRECT = 0x80, OMITTED = 0xff };

static uint64_t take_encoded(struct reader *r, uint8_t encoding, uint64_t data)
{
    uint64_t place = r->at, value;
    switch (encoding & FORM) {
    case 0x00:
    case 0x04:
    case 0x0c:
        value = take(r, 8);
        break;
    case 0x02:
        value = take(r, 2);
        break;
    case 0x03:
        value = take(r, 4);
        break;
    case 0x0a:
        value = (uint64_t)(int16_t)take(r, 2);
        break;
    case 0x0b:
        value = (uint64_t)(int32_t)take(r, 4);
        break;
    default:
        r->wrong = true;
        return 0;
    }
    if ((encoding & RELATIVE) == TO_PLACE)
        value += place;
    else if ((encoding & RELATIVE) == TO_DATA)
        value += data;
    else if (encoding & RELATIVE)
        r->wrong = true;
    return value;
}

/* ---- finding the description of a function ---- */

/* Where .eh_frame_hdr of the file that is mapped at pc lies, 0: nowhere. */
static uint64_t frame_header(uint64_t pc)
{
    struct memory_place place;
    Elf64_Ehdr h;
    if (!memory_place(pc, &place) || !place.image || user_get(&h, (const void *)place.image) ||
        memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum > SEGMENTS_MAX)
        return 0;
    uint64_t bias = 0, header = 0;
    bool based = false;
    for (int i = 0; i < h.e_phnum; i++) {
        Elf64_Phdr p;
        if (user_get(&p, (const Elf64_Phdr *)(place.image + h.e_phoff) + i))
            return 0;
        if (p.p_type == PT_LOAD && !based) {
            bias = place.image - (p.p_vaddr - p.p_offset);
            based = true;
        }
        if (p.p_type == PT_GNU_EH_FRAME)
            header = p.p_vaddr;
    }
    return based && header ? bias + header : 0;
}

/* The FDE that covers pc, by the sorted table of the header; 0: none. */
static uint64_t find_fde(uint64_t header, uint64_t pc)
{
    struct reader r = {header, UINT64_MAX, false};
    uint64_t version = take(&r, 1);
    uint8_t frame_form = (uint8_t)take(&r, 1), count_form = (uint8_t)take(&r, 1), table_form = (uint8_t)take(&r, 1);
    if (version != 1 || table_form != (TO_DATA | 0x0b) || frame_form == OMITTED || count_form == OMITTED)
        return 0;
    take_encoded(&r, frame_form, header);
    uint64_t count = take_encoded(&r, count_form, header), table = r.at, low = 0, high = count;
    if (r.wrong || count > FDE_MAX)
        return 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct reader e = {table + middle * 8, UINT64_MAX, false};
        uint64_t start = take_encoded(&e, table_form, header);
        if (e.wrong)
            return 0;
        if (start <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return 0;
    struct reader e = {table + (low - 1) * 8 + 4, UINT64_MAX, false};
    uint64_t fde = take_encoded(&e, table_form, header);
    return e.wrong ? 0 : fde;
}

struct description {
    struct reader common, own; /* instructions of CIE and FDE */
    uint64_t start, length;    /* of the code */
    uint64_t code_factor;
    int64_t data_factor;
    uint8_t encoding;
    bool signal;
};

static bool entry_open(uint64_t at, struct reader *r)
{
    *r = (struct reader){at, UINT64_MAX, false};
    uint64_t length = take(r, 4);
    if (r->wrong || !length || length > FDE_MAX)
        return false;
    r->end = r->at + length;
    return true;
}

static bool read_common(uint64_t at, struct description *d)
{
    struct reader *r = &d->common;
    char augmentation[8];
    if (!entry_open(at, r) || take(r, 4) != 0)
        return false;
    uint64_t version = take(r, 1), n = 0;
    while (n < sizeof augmentation && (augmentation[n] = (char)take(r, 1)))
        n++;
    if (r->wrong || n == sizeof augmentation || (version != 1 && version != 3))
        return false;
    d->code_factor = take_uleb(r);
    d->data_factor = take_sleb(r);
    uint64_t back = version == 1 ? take(r, 1) : take_uleb(r);
    if (back != UNWIND_RIP || augmentation[0] != 'z')
        return false;
    uint64_t length = take_uleb(r), end = r->at + length;
    for (uint64_t i = 1; i < n; i++) {
        uint8_t form;
        switch (augmentation[i]) {
        case 'R':
            d->encoding = (uint8_t)take(r, 1);
            break;
        case 'P':
            form = (uint8_t)take(r, 1);
            take_encoded(r, form & FORM, 0);
            break;
        case 'L':
            take(r, 1);
            break;
        case 'S':
            d->signal = true;
            break;
        default:
            return false;
        }
    }
    r->at = end;
    return !r->wrong && r->at <= r->end;
}

static bool read_description(uint64_t fde, struct description *d)
{
    struct reader *r = &d->own;
    memset(d, 0, sizeof *d);
    if (!entry_open(fde, r))
        return false;
    uint64_t back = take(r, 4);
    if (r->wrong || !back || !read_common(r->at - 4 - back, d))
        return false;
    d->start = take_encoded(r, d->encoding, 0);
    d->length = take_encoded(r, d->encoding & FORM, 0);
    skip(r, take_uleb(r));
    return !r->wrong;
}

/* ---- running it ---- */

enum rule { SAME, UNDEFINED, AT_OFFSET, VALUE_OFFSET, IN_REGISTER, UNKNOWN };

struct row {
    uint8_t rule[UNWIND_REGISTERS];
    int64_t value[UNWIND_REGISTERS];
    uint64_t base;   /* register that the CFA is counted from */
    int64_t offset;
    bool of_plt; /* the expression that linkers give for the PLT */
    bool unknown;
};

static void set(struct row *row, uint64_t reg, enum rule rule, int64_t value)
{
    if (reg >= UNWIND_REGISTERS)
        return; /* vector registers and the like: nobody's frame depends on them */
    row->rule[reg] = (uint8_t)rule;
    row->value[reg] = value;
}

#define PLT_EXPRESSION_SIZE 11
#define DW_OP_BREG7 0x77

static void expression(struct reader *r, struct row *row)
{
    uint64_t size = take_uleb(r), first = 0;
    struct reader look = *r;
    if (size)
        first = take(&look, 1);
    row->of_plt = size == PLT_EXPRESSION_SIZE && first == DW_OP_BREG7;
    row->unknown = !row->of_plt;
    skip(r, size);
}

/* Instructions up to those for code beyond pc. `initial`: what the CIE said, NULL: this is it. */
static bool run(struct reader *r, const struct description *d, uint64_t pc, struct row *row, const struct row *initial)
{
    struct row saved[SAVED_MAX];
    int depth = 0;
    uint64_t at = d->start, reg;
    while (r->at < r->end && !r->wrong) {
        uint8_t op = (uint8_t)take(r, 1), low = op & 0x3f;
        switch (op >> 6) {
        case 1:
            at += low * d->code_factor;
            if (at > pc)
                return !r->wrong;
            continue;
        case 2:
            set(row, low, AT_OFFSET, (int64_t)take_uleb(r) * d->data_factor);
            continue;
        case 3:
            if (initial && low < UNWIND_REGISTERS)
                set(row, low, initial->rule[low], initial->value[low]);
            continue;
        }
        switch (op) {
        case 0x00: /* nop */
            break;
        case 0x01: /* set_loc */
            at = take_encoded(r, d->encoding, 0);
            break;
        case 0x02: /* advance_loc1, 2, 4 */
            at += take(r, 1) * d->code_factor;
            break;
        case 0x03:
            at += take(r, 2) * d->code_factor;
            break;
        case 0x04:
            at += take(r, 4) * d->code_factor;
            break;
        case 0x05: /* offset_extended */
            reg = take_uleb(r);
            set(row, reg, AT_OFFSET, (int64_t)take_uleb(r) * d->data_factor);
            break;
        case 0x06: /* restore_extended */
            reg = take_uleb(r);
            if (initial && reg < UNWIND_REGISTERS)
                set(row, reg, initial->rule[reg], initial->value[reg]);
            break;
        case 0x07:
            set(row, take_uleb(r), UNDEFINED, 0);
            break;
        case 0x08:
            set(row, take_uleb(r), SAME, 0);
            break;
        case 0x09: /* register */
            reg = take_uleb(r);
            set(row, reg, IN_REGISTER, (int64_t)take_uleb(r));
            break;
        case 0x0a: /* remember_state */
            if (depth == SAVED_MAX)
                return false;
            saved[depth++] = *row;
            break;
        case 0x0b: /* restore_state */
            if (!depth)
                return false;
            *row = saved[--depth];
            break;
        case 0x0c: /* def_cfa */
        case 0x12: /* def_cfa_sf */
            row->base = take_uleb(r);
            row->offset = op == 0x0c ? (int64_t)take_uleb(r) : take_sleb(r) * d->data_factor;
            row->of_plt = row->unknown = false;
            break;
        case 0x0d:
            row->base = take_uleb(r);
            break;
        case 0x0e:
            row->offset = (int64_t)take_uleb(r);
            break;
        case 0x13:
            row->offset = take_sleb(r) * d->data_factor;
            break;
        case 0x0f: /* def_cfa_expression */
            expression(r, row);
            break;
        case 0x10: /* expression, val_expression */
        case 0x16:
            reg = take_uleb(r);
            skip(r, take_uleb(r));
            set(row, reg, UNKNOWN, 0);
            break;
        case 0x11: /* offset_extended_sf */
            reg = take_uleb(r);
            set(row, reg, AT_OFFSET, take_sleb(r) * d->data_factor);
            break;
        case 0x14: /* val_offset */
            reg = take_uleb(r);
            set(row, reg, VALUE_OFFSET, (int64_t)take_uleb(r) * d->data_factor);
            break;
        case 0x2e: /* GNU_args_size */
            take_uleb(r);
            break;
        default:
            return false;
        }
        if (at > pc)
            break;
    }
    return !r->wrong;
}

static bool apply(struct unwind *u, const struct row *row)
{
    struct unwind caller = *u;
    uint64_t cfa;
    if (row->unknown || row->base >= UNWIND_REGISTERS)
        return false;
    if (row->of_plt)
        cfa = u->reg[UNWIND_RSP] + 8 + ((u->reg[UNWIND_RIP] & 15) >= 11 ? 8 : 0);
    else
        cfa = u->reg[row->base] + (uint64_t)row->offset;
    for (int i = 0; i < UNWIND_REGISTERS; i++) {
        switch ((enum rule)row->rule[i]) {
        case SAME:
            break;
        case AT_OFFSET:
            if (user_get(&caller.reg[i], (const void *)(cfa + (uint64_t)row->value[i])))
                return false;
            break;
        case VALUE_OFFSET:
            caller.reg[i] = cfa + (uint64_t)row->value[i];
            break;
        case IN_REGISTER:
            if ((uint64_t)row->value[i] < UNWIND_REGISTERS)
                caller.reg[i] = u->reg[row->value[i]];
            break;
        case UNDEFINED:
        case UNKNOWN:
            if (i == UNWIND_RIP)
                return false;
            break;
        }
    }
    if (row->rule[UNWIND_RIP] == SAME)
        return false;
    if (row->rule[UNWIND_RSP] == SAME)
        caller.reg[UNWIND_RSP] = cfa;
    caller.exact = false;
    *u = caller;
    return true;
}

static bool by_description(struct unwind *u, uint64_t fde, uint64_t pc)
{
    struct description d;
    struct row initial, row;
    memset(&initial, 0, sizeof initial);
    if (!read_description(fde, &d) || pc - d.start >= d.length)
        return false;
    struct reader common = d.common, own = d.own;
    if (!run(&common, &d, UINT64_MAX, &initial, NULL))
        return false;
    row = initial;
    return run(&own, &d, pc, &row, &initial) && apply(u, &row);
}

/* The code that a handler returns to: the interrupted frame is in the context that lies there. */
bool unwind_at_signal_return(const struct unwind *u)
{
    static const uint8_t code[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    uint8_t here[sizeof code];
    return !user_read(here, (const void *)u->reg[UNWIND_RIP], sizeof here) && !memcmp(here, code, sizeof code);
}

static bool by_signal_frame(struct unwind *u)
{
    /* DWARF's numbers in the order of the context, which begins with 40 bytes of other things. */
    static const uint8_t order[] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16};
    uint64_t values[sizeof order];
    if (!unwind_at_signal_return(u) ||
        user_read(values, (const void *)(u->reg[UNWIND_RSP] + 40), sizeof values))
        return false;
    for (size_t i = 0; i < sizeof order; i++)
        u->reg[order[i]] = values[i];
    u->exact = true;
    return true;
}

static bool by_frame_pointer(struct unwind *u)
{
    uint64_t words[2], rbp = u->reg[UNWIND_RBP];
    if (rbp < u->reg[UNWIND_RSP] || rbp % 8 || user_read(words, (const void *)rbp, sizeof words) ||
        (words[0] && words[0] <= rbp))
        return false;
    u->reg[UNWIND_RSP] = rbp + sizeof words;
    u->reg[UNWIND_RBP] = words[0];
    u->reg[UNWIND_RIP] = words[1];
    u->exact = false;
    return true;
}

void unwind_start(struct unwind *u, const struct registers *r)
{
    const uint64_t values[UNWIND_REGISTERS] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
                                               r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip};
    memcpy(u->reg, values, sizeof values);
    u->exact = true;
}

bool unwind_step(struct unwind *u)
{
    uint64_t rsp = u->reg[UNWIND_RSP], pc = u->reg[UNWIND_RIP] - !u->exact;
    bool first = u->exact;
    struct memory_place place;
    if (first && !memory_place(pc, &place)) { /* a call to nowhere: its return address is all that it did */
        u->exact = false;
        u->reg[UNWIND_RSP] += 8;
        return !user_read(&u->reg[UNWIND_RIP], (const void *)rsp, sizeof u->reg[UNWIND_RIP]);
    }
    if (by_signal_frame(u))
        return true;
    uint64_t header = frame_header(pc), fde = header ? find_fde(header, pc) : 0;
    bool done = fde ? by_description(u, fde, pc) : by_frame_pointer(u);
    /* Stacks grow downwards: a caller's frame lies above. */
    return done && u->reg[UNWIND_RIP] > 4096 && (u->reg[UNWIND_RSP] > rsp || (first && u->reg[UNWIND_RSP] == rsp));
}

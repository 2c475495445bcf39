/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's address space. What the table of areas says is what the pages are: a change of either is
 * made to both, under one lock. Pages outside every area have no access and read as zero when next mapped.
 */
#include "enclave/os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "abi/exits.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall_fetch.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/sgx.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/boundary/log.h"
#include "enclave/os/area.h"
#include "enclave/os/coherent.h"
#include "enclave/os/common.h"
#include "enclave/os/deferred.h"
#include "enclave/os/file.h"
#include "enclave/os/shared.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"
#include "platform/sgx_arch.h"

#define PAGE_UP(x) (((x) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1))
#define PROTECTIONS (PROT_READ | PROT_WRITE | PROT_EXEC)
#define LIBOS_MAX (1ul << 30)  /* the LibOS's own part at most */
#define FILL_MOST 0x200000ul
#define LIBOS_STEP 0x40000ul   /* mapped at a time */

static struct {
    struct lock lock;
    struct area_table table;
    uint64_t brk_start, brk;
    struct name *names;
    struct shared *shared; /* the files behind shared mappings */
} memory;

uint32_t memory_shared_files;

static uint64_t changes; /* of pages, made so far */

/* The LibOS's own pages, at the top of the enclave: a lock of their own, as the table lives there. */
static struct {
    struct lock lock;
    uint64_t start, next, mapped, end;
} libos;

/* Names of files that areas point to: never freed, one each. */
struct name {
    struct name *next;
    char text[];
};

static int pages(enum pages_operation operation, uint64_t start, uint64_t end, int protection)
{
    if (start == end)
        return 0;
    __atomic_add_fetch(&changes, 1, __ATOMIC_RELAXED);
    return (int)exit_checked(EXIT_PAGES, 0, 0, operation, start - enclave.base, end - start,
                             (uint64_t)protection, 0, 0);
}

void memory_start(void)
{
    uint64_t end = enclave.image, dynamic = end - enclave.dynamic;
    libos.end = end;
    libos.start = libos.next = libos.mapped = end - (MIN(dynamic / 8, LIBOS_MAX) & ~(PAGE_SIZE - 1));
    memory.table.low = enclave.dynamic;
    memory.table.high = libos.next;
    enclave.program_end = libos.next;
    order.bring = memory_bring;
    if (area_reserve(&memory.table, 64))
        panic("the enclave is too small: no memory for the LibOS (--enclave-size)");
}

void *memory_libos_pages(uint64_t length)
{
    void *result = NULL;
    length = PAGE_UP(length);
    lock_take(&libos.lock);
    if (length <= libos.end - libos.next) {
        uint64_t need = libos.next + length;
        if (need > libos.mapped) {
            uint64_t to = MIN(libos.end, MAX(need, libos.mapped + LIBOS_STEP));
            if (!pages(PAGES_MAP, libos.mapped, to, PROT_READ | PROT_WRITE))
                libos.mapped = to;
        }
        if (need <= libos.mapped) {
            result = (void *)libos.next;
            libos.next = need;
        }
    }
    lock_release(&libos.lock);
    return result;
}

static const char *intern(const char *text)
{
    if (!text)
        return NULL;
    for (struct name *n = memory.names; n; n = n->next)
        if (!strcmp(n->text, text))
            return n->text;
    size_t length = strlen(text) + 1;
    struct name *n = alloc(sizeof *n + length);
    if (!n)
        return NULL;
    memcpy(n->text, text, length);
    n->next = memory.names;
    memory.names = n;
    return n->text;
}

/* With the lock held: 0 and the address, or -errno. Honours hint and MAP_FIXED. */
static int64_t place(uint64_t hint, uint64_t length, int flags)
{
    const struct area_table *t = &memory.table;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (hint % PAGE_SIZE)
            return -EINVAL;
        if (hint < t->low || hint > t->high || length > t->high - hint)
            return -ENOMEM;
        if ((flags & MAP_FIXED_NOREPLACE) && area_overlaps(t, hint, hint + length))
            return -EEXIST;
        return (int64_t)hint;
    }
    hint &= ~(PAGE_SIZE - 1);
    if (hint >= t->low && hint <= t->high && length <= t->high - hint &&
        !area_overlaps(t, hint, hint + length))
        return (int64_t)hint;
    uint64_t at = area_gap_below(t, length, t->high);
    return at ? (int64_t)at : -ENOMEM;
}

/* Of a long mapping the file may be a small part. */
static int pages_for_file(uint64_t start, uint64_t end)
{
    return pages(end - start <= FILL_MOST ? PAGES_FILL : PAGES_MAP, start, end, PROT_READ | PROT_WRITE);
}

/* Contents of a private file mapping; the rest of its last page is zero, as are pages past the end. */
static int64_t fill(uint64_t at, uint64_t length, struct file *file, uint64_t offset, bool fresh)
{
    int64_t n = file_read_at(file, (void *)at, length, offset);
    if (n < 0)
        return n;
    if (!fresh && (uint64_t)n < length && user_zero((void *)(at + (uint64_t)n), length - (uint64_t)n))
        return -EFAULT;
    return 0;
}

static int64_t check(uint64_t length, int flags, struct file *file, uint64_t offset)
{
    int sharing = flags & MAP_TYPE;
    if (!length || length > enclave.size || offset % PAGE_SIZE)
        return length > enclave.size ? -ENOMEM : -EINVAL;
    if (sharing != MAP_PRIVATE && sharing != MAP_SHARED && sharing != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (file && ((file->flags & O_ACCMODE) == O_WRONLY || (file->flags & O_PATH)))
        return file->flags & O_PATH ? -EBADF : -EACCES;
    if (file && sharing == MAP_PRIVATE)
        return 0;
    return file && length > INT64_MAX - offset ? -EOVERFLOW : 0;
}

/* ---- shared mappings of files; all with the lock held ---- */

static int area_pages(const struct area *a, int protection)
{
    return pages(PAGES_PROTECT, a->start, a->end, protection);
}

/* [from, to) is of the file. */
static int push_area(const struct area *a, uint64_t from, uint64_t to)
{
    if (!a->shared || !a->shared->shadow)
        return 0;
    if (!a->protection)
        area_pages(a, PROT_READ);
    int error = shared_push(a->shared, a, from, to);
    if (!a->protection)
        area_pages(a, 0);
    return error;
}

/* All that is mapped in [start, end). */
static int push_range(uint64_t start, uint64_t end)
{
    int result = 0;
    for (uint32_t i = area_index(&memory.table, start); i < memory.table.count; i++) {
        const struct area *a = &memory.table.area[i];
        if (a->start >= end)
            break;
        uint64_t from = MAX(a->start, start) - a->start, to = MIN(a->end, end) - a->start;
        int error = push_area(a, a->offset + from, a->offset + to);
        result = result ? result : error;
    }
    return result;
}

static bool made_writable;

static int make_writable(uint64_t start, uint64_t end)
{
    made_writable = true;
    return pages(PAGES_PROTECT, start, end, PROT_READ | PROT_WRITE);
}

static void pull_area(const struct area *a, uint64_t from, uint64_t to)
{
    if (!a->protection)
        area_pages(a, PROT_READ);
    made_writable = false;
    int error = shared_pull(a->shared, a, from, to, make_writable);
    if (error)
        log_debug("a shared mapping of %s stays as it is: error %d", a->name ? a->name : "a file", -error);
    if (made_writable || !a->protection)
        area_pages(a, a->protection);
}

/* Files of which no area is left. */
static void shared_sweep(void)
{
    for (struct shared *s = memory.shared; s; s = s->next)
        s->used = false;
    for (uint32_t i = 0; i < memory.table.count; i++)
        if (memory.table.area[i].shared)
            memory.table.area[i].shared->used = true;
    for (struct shared **at = &memory.shared; *at;) {
        struct shared *s = *at;
        if (s->used) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        memory_shared_files--;
        shared_drop(s);
    }
}

/* Before [start, end) is given up: what was changed there is not lost. */
static void leave(uint64_t start, uint64_t end)
{
    if (coherent_remove(start, end))
        log_warning("shared memory stays as it is: no memory to part it");
    if (memory.shared && push_range(start, end))
        log_warning("changes of a shared mapping could not be written to its file");
}

/* All of the mapping becomes comparable with what the file holds now. */
static int shared_begin_writing(struct shared *s)
{
    int error = s->shadow ? 0 : shared_shadow_make(s);
    for (uint32_t i = 0; !error && i < memory.table.count; i++) {
        const struct area *a = &memory.table.area[i];
        if (a->shared != s)
            continue;
        if (!a->protection)
            area_pages(a, PROT_READ);
        error = shared_note(s, a);
        if (!a->protection)
            area_pages(a, 0);
    }
    return error;
}

/* The protection of [start, end) is about to change. */
static int shared_protect(uint64_t start, uint64_t end, int protection)
{
    int error = 0;
    if (!memory.shared)
        return 0;
    for (uint32_t i = area_index(&memory.table, start); !error && i < memory.table.count; i++) {
        const struct area *a = &memory.table.area[i];
        if (a->start >= end)
            break;
        if (!a->shared)
            continue;
        if (!(protection & PROT_WRITE))
            error = a->protection & PROT_WRITE ? push_area(a, 0, UINT64_MAX) : 0;
        else if (!shared_can_write(a->shared))
            error = -EACCES;
        else if (!a->shared->shadow)
            error = shared_begin_writing(a->shared);
    }
    return error;
}

static void push_same(struct file *file, uint64_t from, uint64_t to)
{
    uint64_t device, inode;
    if (!memory.shared || file_identity(file, &device, &inode))
        return;
    for (uint32_t i = 0; i < memory.table.count; i++) {
        const struct area *a = &memory.table.area[i];
        if (a->shared && shared_is_of(a->shared, device, inode))
            push_area(a, from, to);
    }
}

/* Can the file be written to through a shared mapping? */
static bool written_by_mapping(struct file *file)
{
    uint64_t device, inode;
    if (!memory.shared || file_identity(file, &device, &inode))
        return false;
    for (uint32_t i = 0; i < memory.table.count; i++) {
        const struct shared *s = memory.table.area[i].shared;
        if (s && shared_can_write(s) && shared_is_of(s, device, inode))
            return true;
    }
    return false;
}

void memory_push_file(struct file *f, uint64_t from, uint64_t to)
{
    lock_take(&memory.lock);
    push_same(f, from, to);
    lock_release(&memory.lock);
}

void memory_pull_file(struct file *f, uint64_t from, uint64_t to, bool certain)
{
    uint64_t device, inode;
    if (file_identity(f, &device, &inode))
        return;
    lock_take(&memory.lock);
    for (uint32_t i = 0; i < memory.table.count; i++) {
        const struct area *a = &memory.table.area[i];
        if (a->shared && shared_is_of(a->shared, device, inode) &&
            (certain || !shared_unchanged(a->shared)))
            pull_area(a, from, to);
    }
    lock_release(&memory.lock);
}

void memory_release_common(void)
{
    for (uint32_t i = 0; i < memory.table.count; i++) {
        struct area *a = &memory.table.area[i];
        if (a->shared && common_end_of(a->start) > a->start)
            a->shared = NULL;
    }
    shared_sweep();
}

int memory_push_all(void)
{
    int error = 0;
    if (!memory_shares())
        return 0;
    lock_take(&memory.lock);
    error = push_range(memory.table.low, memory.table.high);
    lock_release(&memory.lock);
    return error;
}

/* ---- what comes when it is touched; all with the lock held ---- */

/* [start, end) of the table is no longer absent. Room was reserved. */
static void appear(uint64_t start, uint64_t end)
{
    struct area a = *area_find(&memory.table, start);
    bool last = a.start == start && a.end == end;
    a.offset += start - a.start;
    a.start = start;
    a.end = end;
    a.absent = NULL;
    a.used = true;
    area_remove(&memory.table, start, end);
    area_insert(&memory.table, &a);
    if (last)
        deferred_sweep(&memory.table);
    __atomic_add_fetch(&changes, 1, __ATOMIC_RELAXED);
}

/* 0 or -errno. */
static int bring_part(const struct area *a, uint64_t address)
{
    uint64_t start, end;
    deferred_part(a, address, &start, &end);
    int error = deferred_fetch(a, start, end, a->protection);
    if (!error)
        appear(start, end);
    return error;
}

/* All of [start, end), which other threads may be reading; `writable`: its pages can be written, for who changes it
 * next, else are as the table has it. */
static int complete(uint64_t start, uint64_t end, bool writable)
{
    const struct area *a;
    int error = 0;
    while (!error && (a = area_absent(&memory.table, start, end))) {
        uint64_t from = MAX(a->start, start), to = MIN(MIN(a->end, end), from + FETCH_MAX);
        error = area_reserve(&memory.table, 3);
        if (error)
            break;
        a = area_find(&memory.table, from);
        int protection = a->protection;
        error = deferred_fetch(a, from, to, writable ? PROT_READ | PROT_WRITE : protection ? protection : PROT_READ);
        if (error)
            break;
        appear(from, to);
        if (!writable && !protection)
            error = pages(PAGES_PROTECT, from, to, protection);
    }
    return error;
}

/* A file that can be written to through a mapping has none to come: what was written would have to be pushed first, in
 * the middle of whatever call touches it. */
static int complete_file(uint64_t device, uint64_t inode)
{
    uint64_t its_device, its_inode;
    int error = 0;
    for (uint64_t at = memory.table.low; !error;) {
        const struct area *a = area_absent(&memory.table, at, memory.table.high);
        if (!a)
            break;
        at = a->end;
        if (!file_identity(a->absent, &its_device, &its_inode) && its_device == device && its_inode == inode)
            error = complete(a->start, at, false);
    }
    return error;
}

/* Changes the pages of what is here. Common memory gets its protection when it comes, and so does what is absent. */
static int pages_here(enum pages_operation operation, uint64_t start, uint64_t end, int protection)
{
    int error = 0;
    common_protect(start, end, protection);
    for (uint64_t at = start, next; at < end && !error; at = next) {
        next = MIN(common_end_of(at), end);
        if (next > at)
            continue;
        next = common_next(at, end);
        const struct area *a = area_absent(&memory.table, at, next);
        if (a && a->start <= at) {
            next = MIN(a->end, next);
            continue;
        }
        next = a ? a->start : next;
        error = pages(operation, at, next, protection);
    }
    return error;
}

/* As memory_map, of a file that processes meet by, all checked. With the lock held. */
static int64_t map_coherent(const struct area *a, struct file *file, bool fresh)
{
    int error = 0;
    leave(a->start, a->end);
    if (!fresh)
        error = pages(PAGES_UNMAP, a->start, a->end, 0);
    if (!error)
        error = coherent_add(file, a->start, a->end, a->offset, a->protection);
    if (error)
        return error;
    area_remove(&memory.table, a->start, a->end);
    area_insert(&memory.table, a);
    if (memory.shared)
        shared_sweep();
    return (int64_t)a->start;
}

int64_t memory_map(uint64_t hint, uint64_t length, int protection, int flags, struct file *file,
                   uint64_t offset, enum area_kind kind, const char *name)
{
    int64_t result = check(length, flags, file, offset);
    if (result)
        return result;
    length = PAGE_UP(length);
    protection &= PROTECTIONS;
    bool private = (flags & MAP_TYPE) == MAP_PRIVATE;
    bool coherent = file && !private && coherent_wanted(file);
    bool deferred = file && private && deferred_wanted(file, length, protection, flags);

    struct area a = {0};
    lock_take(&memory.lock);
    deferred = deferred && !written_by_mapping(file);
    result = area_reserve(&memory.table, 4);
    if (!result)
        result = place(hint, length, flags);
    if (result < 0)
        goto out;
    uint64_t start = (uint64_t)result, end = start + length, first = deferred ? start + DEFERRED_FIRST : end;
    bool fresh = !area_used(&memory.table, start, end), sweep = area_absent(&memory.table, start, end);
    a = (struct area){.start = start, .end = end, .protection = protection, .kind = kind,
                     .offset = offset, .name = intern(name), .sharing = !private, .used = file};
    int error = 0;
    if (coherent) {
        a.kind = AREA_COHERENT;
        result = map_coherent(&a, file, fresh);
        goto out;
    }
    if (file && a.sharing) {
        a.shared = shared_new(file, offset, length, protection, &error);
        if (!a.shared) {
            result = error;
            goto out;
        }
        if (shared_can_write(a.shared))
            error = complete_file(a.shared->device, a.shared->inode);
        if (!error)
            error = area_reserve(&memory.table, 4);
        if (error) {
            shared_drop(a.shared);
            result = error;
            goto out;
        }
        fresh = !area_used(&memory.table, start, end);
    }
    leave(start, end);
    common_forget(start, end);
    if (file) {
        push_same(file, 0, UINT64_MAX); /* other mappings of ours may have changed it */
        if (deferred)
            error = deferred_keep(file);
        if (!error && !fresh && first < end)
            error = pages(PAGES_UNMAP, first, end, 0);
        /* Written through the program's own address, so it is writable first. */
        if (!error)
            error = pages_for_file(start, first);
        if (!error)
            error = (int)fill(start, first - start, file, offset, fresh);
        if (!error && a.shared && a.shared->shadow)
            error = shared_note(a.shared, &a);
    } else {
        if (!fresh)
            error = pages(PAGES_UNMAP, start, end, 0);
        if (!error && protection)
            error = pages(PAGES_MAP, start, end, protection);
    }
    if (error) {
        if (a.shared)
            shared_drop(a.shared);
        if (fresh)
            pages(PAGES_UNMAP, start, end, 0);
        if (deferred)
            deferred_sweep(&memory.table);
        result = error;
        goto out;
    }
    area_remove(&memory.table, start, end);
    a.end = first;
    area_insert(&memory.table, &a);
    if (deferred) {
        a = (struct area){.start = first, .end = end, .protection = protection, .kind = kind, .name = a.name,
                          .offset = offset + DEFERRED_FIRST, .absent = file};
        area_insert(&memory.table, &a);
    }
    if (sweep)
        deferred_sweep(&memory.table);
    if (memory.shared)
        shared_sweep();
    if (a.shared) {
        a.shared->next = memory.shared;
        memory.shared = a.shared;
        memory_shared_files++;
    }
out:
    lock_release(&memory.lock);
    if (result < 0 || !file || coherent)
        return result;
    /* Trampolines are mapped through memory_map_near: the lock is free, the pages still writable. What
     * can be written to the file must stay as the file has it. */
    if ((protection & PROT_EXEC) && !(a.shared && shared_can_write(a.shared)))
        patch_mapped(file, start, length, offset, protection);
    if (protection == (PROT_READ | PROT_WRITE))
        return result;
    lock_take(&memory.lock);
    error = pages_here(PAGES_PROTECT, start, end, protection);
    lock_release(&memory.lock);
    return error ? error : result;
}

void memory_complete_file(struct file *f)
{
    uint64_t device, inode;
    lock_take(&memory.lock);
    if (area_absent(&memory.table, memory.table.low, memory.table.high) && !file_identity(f, &device, &inode))
        complete_file(device, inode); /* what cannot be read now is tried again when it is touched */
    lock_release(&memory.lock);
}

/* As complete(), of what nobody else looks at yet, and is read to where it is to be; whole parts. */
static int complete_new(uint64_t start, uint64_t end)
{
    const struct area *a;
    int error = 0;
    while (!error && (a = area_absent(&memory.table, start, end))) {
        uint64_t from, to, unused;
        deferred_part(a, MAX(a->start, start), &from, &unused);
        deferred_part(a, MIN(a->end, end) - 1, &unused, &to);
        to = MIN(to, from + FETCH_MAX);
        error = area_reserve(&memory.table, 3);
        if (!error)
            error = pages(PAGES_FILL, from, to, PROT_READ | PROT_WRITE);
        if (error)
            break;
        error = deferred_read(area_find(&memory.table, from), from, to, (void *)from);
        if (error)
            pages(PAGES_UNMAP, from, to, 0);
        else
            appear(from, to);
    }
    return error;
}

int memory_complete(uint64_t address, uint64_t length)
{
    lock_take(&memory.lock);
    int error = complete_new(address, address + length);
    lock_release(&memory.lock);
    return error;
}

int64_t memory_map_near(uint64_t address, uint64_t length, int protection, enum area_kind kind)
{
    const uint64_t reach = 1ul << 30;
    length = PAGE_UP(length);
    lock_take(&memory.lock);
    const struct area_table *t = &memory.table;
    uint64_t at = area_gap_below(t, length, address);
    if (!at || address - at > reach) {
        at = area_gap_above(t, length, address);
        if (at && at - address > reach)
            at = 0;
    }
    int64_t result = at && !area_reserve(&memory.table, 3) ? (int64_t)at : -ENOMEM;
    if (result > 0) {
        int error = pages(PAGES_MAP, at, at + length, protection);
        struct area a = {.start = at, .end = at + length, .protection = protection, .kind = kind};
        if (error)
            result = error;
        else
            area_insert(&memory.table, &a);
    }
    lock_release(&memory.lock);
    return result;
}

static int range_check(uint64_t address, uint64_t length)
{
    const struct area_table *t = &memory.table;
    if (address % PAGE_SIZE)
        return -EINVAL;
    if (address < t->low || address > t->high || length > t->high - address)
        return -ENOMEM;
    return 0;
}

int memory_unmap(uint64_t address, uint64_t length)
{
    if (!length || address % PAGE_SIZE)
        return -EINVAL;
    if (length > enclave.size || range_check(address, PAGE_UP(length)))
        return -EINVAL;
    uint64_t end = address + PAGE_UP(length);
    lock_take(&memory.lock);
    int error = area_reserve(&memory.table, 2);
    if (!error && area_overlaps(&memory.table, address, end)) {
        bool sweep = area_absent(&memory.table, address, end);
        leave(address, end);
        common_forget(address, end);
        if (area_used(&memory.table, address, end))
            error = pages(PAGES_UNMAP, address, end, 0);
        if (!error)
            area_remove(&memory.table, address, end);
        if (!error && sweep)
            deferred_sweep(&memory.table);
    }
    if (!error && memory.shared)
        shared_sweep();
    lock_release(&memory.lock);
    return error;
}

int memory_protect(uint64_t address, uint64_t length, int protection)
{
    if (address % PAGE_SIZE || (protection & ~(PROTECTIONS | PROT_GROWSDOWN | PROT_GROWSUP)))
        return -EINVAL;
    if (!length)
        return 0;
    if (length > enclave.size || range_check(address, PAGE_UP(length)))
        return -ENOMEM;
    protection &= PROTECTIONS;
    uint64_t end = address + PAGE_UP(length);
    lock_take(&memory.lock);
    int error = area_reserve(&memory.table, 2);
    if (!error && !area_covered(&memory.table, address, end))
        error = -ENOMEM;
    if (!error)
        error = shared_protect(address, end, protection);
    /* Or it would come with more of its neighbours than Linux would copy. */
    if (!error && (protection & PROT_WRITE))
        error = complete(address, end, true);
    if (!error)
        error = area_reserve(&memory.table, 2);
    if (!error) {
        const struct area *a = area_find(&memory.table, address);
        bool same = a->end >= end && a->protection == protection;
        /* Pages of a reservation without access are added by this, others change. */
        enum pages_operation operation = a->end >= end && !a->protection ? PAGES_MAP : PAGES_PROTECT;
        bool coherent = a->kind == AREA_COHERENT && a->end >= end;
        if (!same && !coherent)
            error = pages_here(operation, address, end, protection);
        if (!same && !error)
            coherent_protect(address, end, protection);
        if (!same && !error)
            area_protect(&memory.table, address, end, protection);
    }
    lock_release(&memory.lock);
    return error;
}

bool memory_allows(uint64_t address, uint64_t length, int protection)
{
    uint64_t end = address + length;
    bool allowed = end >= address;
    lock_take(&memory.lock);
    while (allowed && address < end) {
        const struct area *a = area_find(&memory.table, address);
        allowed = a && (a->protection & protection) == protection;
        if (allowed)
            address = a->end;
    }
    lock_release(&memory.lock);
    return allowed;
}

bool memory_bring(uint64_t address, uint64_t length, bool write)
{
    bool some = common_bring(address, length);
    some |= coherent_bring(address, length, write, false);
    uint64_t end = address + length;
    if (write || end < address)
        return some; /* what is absent cannot be written */
    lock_take(&memory.lock);
    const struct area *a;
    for (uint64_t at = address; (a = area_absent(&memory.table, at, end)); at = a ? a->end : end) {
        at = MAX(a->start, at);
        bool here = (a->protection & PROT_READ) && !area_reserve(&memory.table, 3) &&
                    !bring_part(area_find(&memory.table, at), at);
        some |= here;
        a = area_find(&memory.table, at);
    }
    lock_release(&memory.lock);
    return some;
}

#define FAULT_WRITE 2
#define FAULT_FETCH 16
#define FAULT_REPEATS 16

int memory_fault(uint64_t address, uint64_t error)
{
    if (coherent_bring(address, 1, error & FAULT_WRITE, true))
        return 0;
    int need = error & FAULT_FETCH ? PROT_EXEC : error & FAULT_WRITE ? PROT_WRITE : PROT_READ;
    int code = common_fault(address, need);
    if (code >= 0)
        return code;
    lock_take(&memory.lock);
    uint64_t changed = __atomic_load_n(&changes, __ATOMIC_RELAXED);
    const struct area *a = area_find(&memory.table, address);
    /* The stack's guard page is nobody's, as far as the program is told. */
    int protection = !a || (a->kind == AREA_STACK && !a->protection) ? -1 : a->protection;
    bool absent = a && a->absent && (protection & need);
    int failed = absent ? area_reserve(&memory.table, 3) : 0;
    if (absent && !failed)
        failed = bring_part(area_find(&memory.table, address), address);
    lock_release(&memory.lock);
    if (absent)
        return failed;
    if (protection < 0)
        return SEGV_MAPERR;
    if (!(protection & need))
        return SEGV_ACCERR;
    /* The table allows it: a page added on demand that is to be accepted, or another thread has just
     * changed it. The same address over and over, and nothing has changed, is neither. */
    struct thread *t = current();
    bool same = t->fault_address == address && t->fault_changes == changed;
    t->fault_repeats = same ? t->fault_repeats + 1 : 0;
    t->fault_address = address;
    t->fault_changes = changed;
    if (t->fault_repeats > FAULT_REPEATS)
        return SEGV_ACCERR;
    uint64_t page = address & ~(PAGE_SIZE - 1);
    sgx_accept(page, PAGE_SIZE, SECINFO_R | SECINFO_W | SECINFO_REG | SECINFO_PENDING);
    return 0;
}

bool memory_place(uint64_t address, struct memory_place *out)
{
    memset(out, 0, sizeof *out);
    lock_take(&memory.lock);
    const struct area *a = area_find(&memory.table, address);
    if (a) {
        out->start = a->start;
        out->end = a->end;
        out->name = a->kind == AREA_FILE ? a->name : NULL;
        out->offset = a->offset + (address - a->start);
        out->trampoline = a->kind == AREA_TRAMPOLINE;
    }
    /* Parts of a file lie in order: the nearest one below that shows its beginning. */
    for (const struct area *b = a; out->name && b >= memory.table.area && !out->image; b--)
        if (b->name == out->name && b->offset == 0)
            out->image = b->start;
    lock_release(&memory.lock);
    return a;
}

int memory_look(int (*look)(const struct area *a, void *context), void *context)
{
    lock_take(&memory.lock);
    int error = memory_visit(look, context);
    lock_release(&memory.lock);
    return error;
}

int memory_visit(int (*visit)(const struct area *a, void *context), void *context)
{
    int error = 0;
    for (uint32_t i = 0; i < memory.table.count && !error; i++)
        error = visit(&memory.table.area[i], context);
    return error;
}

void memory_libos_range(uint64_t *start, uint64_t *used, uint64_t *mapped)
{
    *start = libos.start;
    *used = libos.next;
    *mapped = libos.mapped;
}

void memory_files(void (*visit)(struct file *f))
{
    for (struct shared *s = memory.shared; s; s = s->next)
        visit(s->file);
    coherent_files(visit);
    deferred_files(visit);
}

int memory_pages_set(uint64_t start, uint64_t end, int protection)
{
    return pages(PAGES_PROTECT, start, end, protection);
}

int memory_pages_add(uint64_t start, uint64_t end, int protection)
{
    return pages(PAGES_MAP, start, end, protection);
}

int memory_clear(void)
{
    int error = 0;
    time_unshare();
    lock_take(&memory.lock);
    struct area_table *t = &memory.table;
    coherent_remove(t->low, t->high);
    if (memory.shared && push_range(t->low, t->high))
        log_warning("changes of a shared mapping could not be written to its file");
    common_forget(t->low, t->high);
    /* Areas side by side go in one exit. */
    for (uint32_t i = 0, next; i < t->count && !error; i = next) {
        for (next = i + 1; next < t->count && t->area[next].start == t->area[next - 1].end; next++)
            ;
        error = pages(PAGES_UNMAP, t->area[i].start, t->area[next - 1].end, 0);
    }
    if (!error) {
        t->count = 0;
        shared_sweep();
        deferred_sweep(t);
        memory.brk_start = memory.brk = 0;
        while (memory.names) {
            struct name *n = memory.names;
            memory.names = n->next;
            alloc_free(n);
        }
    }
    lock_release(&memory.lock);
    return error;
}

void memory_set_brk(uint64_t start)
{
    memory.brk_start = memory.brk = PAGE_UP(start);
}

SYSCALL(brk)
{
    lock_take(&memory.lock);
    uint64_t now = memory.brk, wanted = a0;
    if (wanted >= memory.brk_start && wanted <= memory.table.high) {
        uint64_t old_end = PAGE_UP(now), new_end = PAGE_UP(wanted);
        int error = area_reserve(&memory.table, 3);
        if (!error && new_end > old_end) {
            struct area a = {.start = old_end, .end = new_end, .protection = PROT_READ | PROT_WRITE,
                             .kind = AREA_HEAP};
            error = area_overlaps(&memory.table, old_end, new_end) ? -ENOMEM : 0;
            if (!error)
                error = pages(PAGES_MAP, old_end, new_end, a.protection);
            if (!error)
                area_insert(&memory.table, &a);
        } else if (!error && new_end < old_end) {
            error = pages(PAGES_UNMAP, new_end, old_end, 0);
            if (!error)
                area_remove(&memory.table, new_end, old_end);
        }
        if (!error)
            memory.brk = wanted;
    }
    now = memory.brk;
    lock_release(&memory.lock);
    return (int64_t)now;
}

SYSCALL(mmap)
{
    int protection = (int)a2, flags = (int)a3;
    struct file *file = NULL;
    if (!(flags & MAP_ANONYMOUS)) {
        file = file_get((int)a4);
        if (!file)
            return -EBADF;
        if (file->path && !strcmp(file->path, "/dev/zero")) { /* as good as no file */
            file_put(file);
            file = NULL;
        }
    }
    int64_t result = memory_map(a0, a1, protection, flags, file, a5, file ? AREA_FILE : AREA_ANONYMOUS,
                                file ? file_real_path(file) : NULL);
    if (file)
        file_put(file);
    return result;
}

SYSCALL(munmap)
{
    return memory_unmap(a0, a1);
}

SYSCALL(mprotect)
{
    return memory_protect(a0, a1, (int)a2);
}

/* Moves to a larger place: the contents are copied, as there are no page tables of ours to change. */
static int64_t move(const struct area *from, uint64_t old, uint64_t old_length, uint64_t new_length,
                    uint64_t target, int flags)
{
    int64_t to = memory_map(target, new_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, NULL, 0,
                            from->kind, NULL);
    if (to < 0)
        return to;
    int error = 0;
    if (!(from->protection & PROT_READ))
        error = memory_protect(old, old_length, PROT_READ);
    if (!error)
        error = user_read((void *)to, (const void *)old, MIN(old_length, new_length));
    if (!error && from->protection != (PROT_READ | PROT_WRITE))
        error = memory_protect((uint64_t)to, new_length, from->protection);
    if (!error)
        error = memory_unmap(old, old_length);
    return error ? error : to;
}

/* Of a file that is mapped shared: mapped again, and the old place given up. */
static int64_t move_shared(const struct area *a, struct file *file, uint64_t old, uint64_t old_length,
                           uint64_t new_length, int flags, uint64_t target)
{
    uint64_t offset = a->offset + (old - a->start);
    int64_t to = -ENOMEM;
    if (!(flags & MREMAP_FIXED) && new_length <= old_length) {
        int error = new_length == old_length ? 0 : memory_unmap(old + new_length, old_length - new_length);
        return error ? error : (int64_t)old;
    }
    if (!(flags & MREMAP_FIXED) && old + old_length == a->end) {
        to = memory_map(a->end, new_length - old_length, a->protection, MAP_SHARED | MAP_FIXED_NOREPLACE, file,
                        offset + old_length, a->kind, a->name);
        if (to > 0)
            return (int64_t)old;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    memory_push_file(file, offset, offset + old_length);
    to = memory_map(target, new_length, a->protection, MAP_SHARED | (flags & MREMAP_FIXED ? MAP_FIXED : 0), file,
                    offset, a->kind, a->name);
    if (to > 0)
        memory_unmap(old, old_length);
    return to;
}

SYSCALL(mremap)
{
    uint64_t old = a0, old_length = PAGE_UP(a1), new_length = PAGE_UP(a2);
    int flags = (int)a3;
    if (old % PAGE_SIZE || !new_length || (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)))
        return -EINVAL;
    if ((flags & MREMAP_FIXED) && (!(flags & MREMAP_MAYMOVE) || a4 % PAGE_SIZE))
        return -EINVAL;
    if (!old_length)
        return -EINVAL;
    if ((flags & MREMAP_FIXED) && a4 < old + old_length && old < a4 + new_length)
        return -EINVAL;

    lock_take(&memory.lock);
    int incomplete = old_length <= memory.table.high - old ? complete(old, old + old_length, false) : 0;
    const struct area *found = area_find(&memory.table, old);
    struct area a = found ? *found : (struct area){0};
    bool whole = found && old_length <= a.end - old;
    bool grows = false;
    struct file *file = whole && a.shared ? a.shared->file : NULL;
    if (file)
        file_hold(file);
    if (whole && !(flags & MREMAP_FIXED) && new_length > old_length && old + old_length == a.end &&
        new_length <= memory.table.high - old &&
        !area_overlaps(&memory.table, a.end, old + new_length) && a.kind != AREA_FILE &&
        a.kind != AREA_COHERENT &&
        !area_reserve(&memory.table, 3)) {
        struct area more = a;
        more.start = a.end;
        more.end = old + new_length;
        grows = !a.protection || !pages(PAGES_MAP, more.start, more.end, a.protection);
        if (grows)
            area_insert(&memory.table, &more);
    }
    lock_release(&memory.lock);

    if (incomplete)
        return incomplete;
    if (!whole)
        return -EFAULT;
    if (a.kind == AREA_COHERENT && (new_length > old_length || (flags & MREMAP_FIXED)))
        return -ENOMEM; /* it is where it is */
    if (file) {
        int64_t result = move_shared(&a, file, old, old_length, new_length, flags, a4);
        file_put(file);
        return result;
    }
    if (grows || (new_length == old_length && !(flags & MREMAP_FIXED)))
        return (int64_t)old;
    if (new_length < old_length && !(flags & MREMAP_FIXED)) {
        int error = memory_unmap(old + new_length, old_length - new_length);
        return error ? error : (int64_t)old;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    if (a.kind == AREA_FILE)
        a.kind = AREA_ANONYMOUS; /* a private copy is all it is */
    return move(&a, old, old_length, new_length, flags & MREMAP_FIXED ? a4 : 0,
                flags & MREMAP_FIXED ? MAP_FIXED : 0);
}

SYSCALL(madvise)
{
    uint64_t end = a0 + PAGE_UP(a1);
    if (a0 % PAGE_SIZE || end < a0)
        return -EINVAL;
    if (a1 == 0)
        return 0;
    switch ((int)a2) {
    case MADV_DONTNEED: {
        int error = range_check(a0, PAGE_UP(a1));
        lock_take(&memory.lock);
        if (!error && !area_covered(&memory.table, a0, end))
            error = -ENOMEM;
        /* A private copy of a file keeps what it has: its pages are not the file's. What is shared is not
         * this mapping's to drop. */
        for (uint32_t i = area_index(&memory.table, a0);
             !error && i < memory.table.count && memory.table.area[i].start < end; i++) {
            const struct area *a = &memory.table.area[i];
            if (a->kind != AREA_FILE && !a->sharing && a->protection)
                error = pages(PAGES_DISCARD, MAX(a->start, a0), MIN(a->end, end), a->protection);
        }
        lock_release(&memory.lock);
        return error;
    }
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_FREE: /* may keep the contents */
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_DONTFORK:
    case MADV_DOFORK:
        return 0;
    }
    return -EINVAL;
}

SYSCALL(mincore)
{
    uint64_t count = PAGE_UP(a1) / PAGE_SIZE;
    uint8_t here = 1;
    if (a0 % PAGE_SIZE)
        return -EINVAL;
    if (range_check(a0, PAGE_UP(a1)))
        return -ENOMEM;
    lock_take(&memory.lock);
    bool covered = area_covered(&memory.table, a0, a0 + PAGE_UP(a1));
    lock_release(&memory.lock);
    if (!covered)
        return -ENOMEM;
    for (uint64_t i = 0; i < count; i++)
        if (user_put((uint8_t *)a2 + i, &here))
            return -EFAULT;
    return 0;
}

/* What others wrote comes in too. */
static void pull_range(uint64_t start, uint64_t end)
{
    for (uint32_t i = area_index(&memory.table, start); i < memory.table.count; i++) {
        const struct area *a = &memory.table.area[i];
        if (a->start >= end)
            break;
        if (a->shared)
            pull_area(a, a->offset, a->offset + (a->end - a->start));
    }
}

/* The first file that is mapped shared in the range, from `start` on; NULL: none. A reference. */
static struct file *file_in(uint64_t *start, uint64_t end)
{
    struct file *f = NULL;
    lock_take(&memory.lock);
    for (uint32_t i = area_index(&memory.table, *start); !f && i < memory.table.count; i++) {
        const struct area *a = &memory.table.area[i];
        if (a->start >= end)
            break;
        *start = a->end;
        if (a->shared && a->shared->shadow)
            file_hold(f = a->shared->file);
    }
    lock_release(&memory.lock);
    return f;
}

SYSCALL(msync)
{
    int flags = (int)a2, error;
    uint64_t end = a0 + PAGE_UP(a1);
    if (a0 % PAGE_SIZE || (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) ||
        (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
        return -EINVAL;
    if (range_check(a0, PAGE_UP(a1)))
        return -ENOMEM;
    lock_take(&memory.lock);
    error = push_range(a0, end);
    if (flags & MS_INVALIDATE)
        pull_range(a0, end);
    bool covered = area_covered(&memory.table, a0, end);
    lock_release(&memory.lock);
    if (flags & MS_SYNC) {
        struct file *f;
        for (uint64_t at = a0; (f = file_in(&at, end)); file_put(f)) {
            int failed = file_sync(f);
            error = error ? error : failed;
        }
    }
    return error ? error : covered ? 0 : -ENOMEM;
}

/* Enclave pages are never written to swap in the clear: there is nothing to lock. */
SYSCALL(mlock)
{
    return 0;
}

SYSCALL(mlock2)
{
    return 0;
}

SYSCALL(munlock)
{
    return 0;
}

SYSCALL(mlockall)
{
    return 0;
}

SYSCALL(munlockall)
{
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/common.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "abi/common.h"
#include "abi/exits.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/pages.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/cipher.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/lib/random.h"
#include "enclave/os/area.h"
#include "enclave/os/clock_data.h"
#include "enclave/os/futex.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/shared.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"

#define LOOK_NS 100000ull /* between two looks at whether a page is given */
/* A page that has come stays for a moment, or two processes would take it from each other without either having used
 * it: parts of a millisecond. */
#define KEEP_TOUCHED 20 /* 50 us, for an access of the program's */
#define KEEP_CALLED 8   /* 125 us, for a system call that copies from there or to there */
#define ARENA_SLOT 8192ul

enum page_state {
    PAGE_GONE,   /* not mapped here any more, or something else is */
    PAGE_ABSENT, /* another process's, or nobody's */
    PAGE_HERE,
};

struct common_page {
    uint64_t version; /* the last that was seen */
    uint64_t until;   /* on the TSC: it stays */
    uint8_t state, protection;
};

struct region {
    struct region *next;
    uint64_t start, end, number;
    uint64_t identity; /* what the tags cover, so that no page is taken for one of another region */
    uint32_t left;     /* pages that are not gone */
    struct common_page page[];
};

/* What else a tag covers. */
struct place {
    uint64_t identity, page, version;
};

static struct {
    struct lock lock; /* guards all that follows; other locks may be held when it is taken, none is taken within */
    struct region *regions;
    bool ended;
    bool fast; /* the CPU encrypts */
    uint64_t key[CIPHER_KEY_SIZE / 8];
    bool has_key;
    /* What this process writes is encrypted under a key of its own, which comes of `key` and these. */
    uint64_t writer[2];
    struct cipher writing;
    uint64_t arena;            /* offset of room for a slot */
    struct common_slot *slot;  /* room inside */
    uint8_t *scratch;          /* a page in which what comes is made ready */
} common;

static uint64_t number_used[COMMON_REGIONS / 64];

static int64_t ask(enum common_operation operation, uint64_t maximum, const struct region *r, uint64_t index,
                   uint64_t value)
{
    return exit_checked(EXIT_COMMON, 0, maximum, operation, r->number, index, value, 0, 0);
}

static int pages(enum pages_operation operation, uint64_t start, uint64_t end, int protection)
{
    return (int)exit_checked(EXIT_PAGES, 0, 0, operation, start - enclave.base, end - start, (uint64_t)protection, 0,
                             0);
}

bool common_any(void)
{
    return __atomic_load_n(&common.regions, __ATOMIC_RELAXED);
}

static struct region *region_of(uint64_t address, struct common_page **page)
{
    for (struct region *r = common.regions; r; r = r->next) {
        if (address < r->start || address >= r->end)
            continue;
        *page = &r->page[(address - r->start) / PAGE_SIZE];
        if ((*page)->state != PAGE_GONE)
            return r;
    }
    return NULL;
}

/* ---- what a page looks like outside ---- */

static void key_of(uint8_t key[CIPHER_KEY_SIZE], const void *writer)
{
    keys_derive(key, CIPHER_KEY_SIZE, common.key, sizeof common.key, writer, sizeof common.writer, "rakis common");
}

static void keys_make(void)
{
    const uint32_t needed = 1u << 1 | 1u << 19 | 1u << 25; /* PCLMULQDQ, SSE4.1, AES */
    uint8_t key[CIPHER_KEY_SIZE];
    if (!common.has_key) {
        uint64_t out[4];
        exit_checked(EXIT_CPUID, 0, 0, 1, 0, bounce().address - arena_at(0).address, 0, 0, 0);
        untrusted_read(out, bounce(), sizeof out);
        common.fast = ((uint32_t)out[2] & needed) == needed;
        for (size_t i = 0; i < ARRAY_SIZE(common.key); i++)
            common.key[i] = random_word();
        common.has_key = true;
    }
    common.writer[0] = random_word();
    common.writer[1] = random_word();
    cipher_begin();
    key_of(key, common.writer);
    cipher_start(&common.writing, key, common.fast);
    cipher_end();
}

/* common.slot is as it is outside: 0, and its bytes are in the clear; or what is wrong. */
static const char *slot_open(const struct region *r, const struct common_page *p, uint64_t index)
{
    struct common_slot *s = common.slot;
    const struct place place = {r->identity, index, s->version};
    uint8_t key[CIPHER_KEY_SIZE];
    struct cipher reading;
    if (s->version < p->version)
        return "it is older than what was here";
    if (!s->version) {
        memset(s->bytes, 0, sizeof s->bytes);
        return NULL;
    }
    cipher_begin();
    key_of(key, s->writer);
    cipher_start(&reading, key, common.fast);
    reading.count = s->count;
    int error = cipher_open(&reading, &place, sizeof place, s->bytes, sizeof s->bytes, s->tag);
    cipher_end();
    return error ? "it was changed outside" : NULL;
}

static void slot_seal(const struct region *r, uint64_t index, uint64_t version)
{
    struct common_slot *s = common.slot;
    const struct place place = {r->identity, index, version};
    s->version = version;
    memcpy(s->writer, common.writer, sizeof s->writer);
    cipher_begin();
    s->count = common.writing.count;
    cipher_seal(&common.writing, &place, sizeof place, s->bytes, sizeof s->bytes, s->tag);
    cipher_end();
}

/* ---- giving and taking; with the lock held ---- */

/* What is in common.slot is the page's, which is not here any more. */
static void hand_out(struct region *r, struct common_page *p)
{
    uint64_t index = (uint64_t)(p - r->page);
    slot_seal(r, index, ++p->version);
    untrusted_write(arena_at(common.arena), common.slot, sizeof *common.slot);
    p->state = PAGE_ABSENT;
    ask(COMMON_GIVE, 0, r, index, common.arena);
}

static void give(struct region *r, struct common_page *p)
{
    uint64_t at = r->start + (uint64_t)(p - r->page) * PAGE_SIZE;
    /* Other threads are not to write to it meanwhile. */
    if (process.threads_live > 1 || !(p->protection & PROT_READ))
        pages(PAGES_PROTECT, at, at + PAGE_SIZE, PROT_READ);
    memcpy(common.slot->bytes, (const void *)at, PAGE_SIZE);
    pages(PAGES_UNMAP, at, at + PAGE_SIZE, 0);
    hand_out(r, p);
}

static void give_all(void)
{
    for (struct region *r = common.regions; r; r = r->next)
        for (uint64_t i = 0; i < (r->end - r->start) / PAGE_SIZE; i++)
            if (r->page[i].state == PAGE_HERE)
                give(r, &r->page[i]);
}

/* The same with the world stopped: pages that follow each other go from here in one exit. */
static void give_all_stopped(void)
{
    for (struct region *r = common.regions; r; r = r->next)
        for (uint64_t i = 0, next, count = (r->end - r->start) / PAGE_SIZE; i < count; i = next + 1) {
            for (next = i; next < count && r->page[next].state == PAGE_HERE; next++) {
                uint64_t at = r->start + next * PAGE_SIZE;
                if (!(r->page[next].protection & PROT_READ))
                    pages(PAGES_PROTECT, at, at + PAGE_SIZE, PROT_READ);
                memcpy(common.slot->bytes, (const void *)at, PAGE_SIZE);
                hand_out(r, &r->page[next]);
            }
            if (next > i)
                pages(PAGES_UNMAP, r->start + i * PAGE_SIZE, r->start + next * PAGE_SIZE, 0);
        }
}

/* The page appears at once with what is in it: other threads may touch it. */
static int install(uint64_t at, int protection)
{
    memcpy(common.scratch, common.slot->bytes, PAGE_SIZE);
    int error = pages_install(at, common.scratch, PAGE_SIZE, protection);
    if (error)
        log_error("a page of memory that processes have in common cannot be put in place: error %d", -error);
    return error;
}

/* 0: it is here; -EAGAIN: another process has it. */
static int take(struct region *r, struct common_page *p, uint64_t keep)
{
    uint64_t index = (uint64_t)(p - r->page);
    int64_t result = ask(COMMON_TAKE, 1, r, index, common.arena);
    if (result < 0)
        return (int)result;
    order_after();
    untrusted_read(common.slot, arena_at(common.arena), sizeof *common.slot);
    const char *wrong = slot_open(r, p, index);
    if (wrong)
        violation("a page of common memory at 0x%lx: %s", r->start + index * PAGE_SIZE, wrong);
    if (result == 1)
        log_warning("a process was killed while it had a page of common memory: what it changed there last is lost");
    int error = install(r->start + index * PAGE_SIZE, p->protection);
    if (error)
        return error;
    p->version = common.slot->version;
    p->until = clock_tsc() + time_tsc_per_ms() / keep;
    p->state = PAGE_HERE;
    return 0;
}

void common_serve(void)
{
    uint64_t wanted[COMMON_ANSWER];
    lock_take(&common.lock);
    for (struct region *r = common.regions; r; r = r->next) {
        int64_t count = ask(COMMON_WANTED, COMMON_ANSWER, r, 0, common.arena);
        if (count > 0)
            untrusted_read(wanted, arena_at(common.arena), (uint64_t)count * sizeof *wanted);
        for (int64_t i = 0; i < count; i++) {
            if (wanted[i] >= (r->end - r->start) / PAGE_SIZE)
                violation("page %lu of common memory is wanted, which has none such", wanted[i]);
            struct common_page *p = &r->page[wanted[i]];
            if (p->state == PAGE_HERE && clock_tsc() >= p->until)
                give(r, p); /* else whoever wants it asks again */
        }
    }
    lock_release(&common.lock);
}

/* Until the page may have been given. Whatever comes meanwhile is seen to later, but for what others want of us. */
static void await(uint64_t number, uint64_t index)
{
    struct thread_block *block = thread_block();
    order_before(); /* what we give is to be seen after what was written, and nobody may wait for us who wait */
    block->pending = 0;
    exit_checked(EXIT_COMMON, EXIT_INTERRUPTIBLE, 0, COMMON_AWAIT, number, index, 0, LOOK_NS, 0);
    block->pending = TB_PENDING_SIGNAL; /* or what came between would be missed */
    common_serve();
}

/* 0: the page is here, or is none of ours. */
static int bring(uint64_t at, uint64_t keep)
{
    for (;;) {
        struct common_page *p;
        lock_take(&common.lock);
        struct region *r = region_of(at, &p);
        bool ended = common.ended;
        uint64_t number = r ? r->number : 0, index = r ? (at - r->start) / PAGE_SIZE : 0;
        int error = r && p->state == PAGE_ABSENT && !ended ? take(r, p, keep) : 0;
        lock_release(&common.lock);
        while (r && ended)
            exit_checked(EXIT_PARK, 0, 0, UINT64_MAX, 0, 0, 0, 0, 0); /* the process is about to end */
        if (error != -EAGAIN)
            return error;
        await(number, index);
    }
}

bool common_bring(uint64_t start, uint64_t length)
{
    uint64_t end = start + length;
    bool some = false;
    for (uint64_t page = start & ~(PAGE_SIZE - 1); (page = common_next(page, end)) < end; page += PAGE_SIZE) {
        if (bring(page, KEEP_CALLED))
            return false;
        some = true;
    }
    return some;
}

int common_fault(uint64_t address, int need)
{
    struct common_page *p;
    if (!common_any())
        return -1;
    lock_take(&common.lock);
    int protection = region_of(address, &p) ? p->protection : -1;
    lock_release(&common.lock);
    if (protection < 0)
        return -1;
    if (!(protection & need))
        return SEGV_ACCERR;
    return bring(address & ~(PAGE_SIZE - 1), KEEP_TOUCHED) ? SEGV_ACCERR : 0;
}

/* ---- which memory it is ---- */

uint64_t common_end_of(uint64_t page)
{
    struct common_page *p;
    if (!common_any())
        return page;
    lock_take(&common.lock);
    while (region_of(page, &p))
        page += PAGE_SIZE;
    lock_release(&common.lock);
    return page;
}

uint64_t common_next(uint64_t page, uint64_t end)
{
    uint64_t nearest = end;
    if (!common_any())
        return end;
    lock_take(&common.lock);
    for (const struct region *r = common.regions; r; r = r->next)
        for (uint64_t at = MAX(page, r->start); at < MIN(nearest, r->end); at += PAGE_SIZE)
            if (r->page[(at - r->start) / PAGE_SIZE].state != PAGE_GONE)
                nearest = at;
    lock_release(&common.lock);
    return nearest;
}

static void region_drop(struct region *r)
{
    struct region **at = &common.regions;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    ask(COMMON_DROP, 0, r, 0, 0);
    number_used[r->number / 64] &= ~(1ull << (r->number % 64));
    alloc_free(r);
}

void common_forget(uint64_t start, uint64_t end)
{
    if (!common_any())
        return;
    lock_take(&common.lock);
    for (struct region *r = common.regions, *next; r; r = next) {
        next = r->next;
        for (uint64_t at = MAX(start, r->start); at < MIN(end, r->end); at += PAGE_SIZE) {
            struct common_page *p = &r->page[(at - r->start) / PAGE_SIZE];
            if (p->state == PAGE_HERE)
                give(r, p);
            r->left -= p->state != PAGE_GONE;
            p->state = PAGE_GONE;
        }
        if (!r->left)
            region_drop(r);
    }
    lock_release(&common.lock);
}

void common_protect(uint64_t start, uint64_t end, int protection)
{
    lock_take(&common.lock);
    for (struct region *r = common.regions; r; r = r->next)
        for (uint64_t at = MAX(start, r->start); at < MIN(end, r->end); at += PAGE_SIZE) {
            struct common_page *p = &r->page[(at - r->start) / PAGE_SIZE];
            if (p->state == PAGE_HERE)
                give(r, p);
            p->protection = (uint8_t)protection;
        }
    lock_release(&common.lock);
}

/* ---- fork ---- */

static int prepare(void)
{
    if (!common.arena && !(common.arena = arena_pool_take(ARENA_SLOT)))
        return -ENOMEM;
    if (!common.slot && !(common.slot = alloc(sizeof *common.slot)))
        return -ENOMEM;
    if (!common.scratch && !(common.scratch = memory_libos_pages(PAGE_SIZE)))
        return -ENOMEM;
    if (!common.has_key)
        keys_make();
    return 0;
}

static int number_take(uint64_t *number)
{
    for (uint64_t i = 0; i < COMMON_REGIONS; i++) {
        if (number_used[i / 64] >> (i % 64) & 1)
            continue;
        number_used[i / 64] |= 1ull << (i % 64);
        *number = i;
        return 0;
    }
    return -ENOSPC;
}

static bool page_zero(uint64_t page)
{
    const uint64_t *p = (const uint64_t *)page;
    for (size_t i = 0; i < PAGE_SIZE / 8; i++)
        if (p[i])
            return false;
    return true;
}

static int region_make(uint64_t start, uint64_t end, const struct area *a)
{
    uint64_t count = (end - start) / PAGE_SIZE;
    int error = prepare();
    struct region *r = error ? NULL : alloc(sizeof *r + count * sizeof *r->page);
    if (!r)
        return -ENOMEM;
    *r = (struct region){.start = start, .end = end, .identity = random_word(), .left = (uint32_t)count};
    error = number_take(&r->number);
    if (!error && (error = (int)ask(COMMON_MAKE, 0, r, count, 0)))
        number_used[r->number / 64] &= ~(1ull << (r->number % 64));
    if (error) {
        alloc_free(r);
        return error;
    }
    if (a->used && !(a->protection & PROT_READ))
        pages(PAGES_PROTECT, start, end, PROT_READ);
    for (uint64_t i = 0; i < count; i++) {
        struct common_page *p = &r->page[i];
        p->protection = (uint8_t)a->protection;
        p->state = PAGE_ABSENT;
        if (!a->used || page_zero(start + i * PAGE_SIZE))
            continue;
        memcpy(common.slot->bytes, (const void *)(start + i * PAGE_SIZE), PAGE_SIZE);
        hand_out(r, p);
    }
    pages(PAGES_UNMAP, start, end, 0);
    r->next = common.regions;
    common.regions = r;
    futex_wake_range(start, end); /* from now on it is waited for outside */
    return 0;
}

/* What of the area is not common yet. */
static int make_common(const struct area *a, void *context)
{
    (void)context;
    /* Coherent memory is shared in its own way already, child or not. */
    if (!a->sharing || a->kind == AREA_COHERENT || (a->shared && !shared_nameless(a->shared)))
        return 0;
    for (uint64_t at = a->start, next; at < a->end; at = next) {
        next = MIN(common_end_of(at), a->end);
        if (next > at)
            continue;
        next = common_next(at, a->end);
        int error = region_make(at, next, a);
        if (error)
            log_warning("memory at 0x%lx is not shared with the child: error %d", at, -error);
    }
    return 0;
}

void common_before_fork(void)
{
    order_before();
    memory_visit(make_common, NULL);
    common_before_vfork();
}

void common_before_vfork(void)
{
    if (common_any())
        memory_release_common();
    lock_take(&common.lock);
    give_all_stopped();
    lock_release(&common.lock);
}

void common_forked(void)
{
    common.lock = (struct lock)LOCK_INIT;
    if (!common.regions)
        return;
    if (prepare())
        panic("no memory for what processes have in common");
    keys_make();
    for (struct region *r = common.regions; r; r = r->next) {
        uint64_t count = (r->end - r->start) / PAGE_SIZE;
        for (uint64_t i = 0, next; i < count; i = next) {
            for (next = i + 1; next < count && (r->page[next].state == PAGE_GONE) == (r->page[i].state == PAGE_GONE);)
                next++;
            if (r->page[i].state != PAGE_GONE)
                pages(PAGES_UNMAP, r->start + i * PAGE_SIZE, r->start + next * PAGE_SIZE, 0);
        }
    }
}

void common_end(void)
{
    lock_take(&common.lock);
    common.ended = true;
    give_all();
    lock_release(&common.lock);
}

/* ---- futexes ---- */

bool common_has(uint64_t address)
{
    struct common_page *p;
    if (!common_any())
        return false;
    lock_take(&common.lock);
    bool has = region_of(address, &p);
    lock_release(&common.lock);
    return has;
}

/* The region's number and the word that stands for the address; false: there is none. */
static bool word_of(uint64_t address, uint64_t *number, uint64_t *word)
{
    struct common_page *p;
    lock_take(&common.lock);
    const struct region *r = region_of(address, &p);
    if (r) {
        *number = r->number;
        *word = (address - r->start) / 4 % COMMON_WORDS;
    }
    lock_release(&common.lock);
    return r;
}

/* Who wakes has changed the futex before, for which it had the page, and changes the word's number after: so whoever saw
 * the futex unchanged after it had read the number either finds another number or is woken. */
int64_t common_futex_wait(uint64_t address, uint32_t expected, uint64_t deadline)
{
    uint64_t number, word;
    uint32_t value;
    bool restart;
    if (!word_of(address, &number, &word))
        return -EFAULT;
    uint64_t before = (uint64_t)exit_checked(EXIT_COMMON, 0, INT32_MAX, COMMON_NUMBER, number, word, 0, 0, 0);
    if (user_get(&value, (const void *)address))
        return -EFAULT;
    if (value != expected)
        return -EAGAIN;
    for (;;) {
        uint64_t left = UINT64_MAX, now = deadline == UINT64_MAX ? 0 : time_monotonic_ns();
        signal_collect();
        if (signal_deliverable(&restart))
            return deadline == UINT64_MAX ? RESTART_SYS : RESTART_NOHAND;
        /* However short, it is waited for once: a program may live on being found waiting. */
        if (deadline != UINT64_MAX)
            left = now < deadline ? deadline - now : 1;
        int64_t result = exit_checked(EXIT_COMMON, EXIT_INTERRUPTIBLE, 0, COMMON_WAIT, number, word, before, left, 0);
        if (result != -EINTR && (result != -ETIMEDOUT || left == 1))
            return result;
    }
}

int common_futex_wake(uint64_t address, int count)
{
    uint64_t number, word;
    if (!word_of(address, &number, &word))
        return 0;
    int64_t woken = exit_checked(EXIT_COMMON, 0, INT32_MAX, COMMON_WAKE, number, word, 0, 0, 0);
    return (int)MIN(MAX(woken, 0), count);
}

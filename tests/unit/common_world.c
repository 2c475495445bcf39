/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/common_world.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/exits.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/cipher.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/common.c" /* a stranger is who has another key */
#include "enclave/os/futex.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/shared.h"
#include "enclave/os/signal.h"
#include "enclave/os/time.h"

#define SCRATCH PAGES /* the LibOS's page */

struct host *host;
struct world world = {.me = 1};

static struct common_slot *stranger; /* memory of all processes */
#define WAITING INT64_MIN /* a child's answer */
#define WAITS_MOST 1000   /* or they wait for ever */

static struct thread_block block;
static struct common_slot arena_slot;
static uint64_t bounce_words[4];
static unsigned within_cipher;
static int to_parent = -1;
static bool twin; /* it tells what comes of something by its status */

#define check(x) ((x) ? (void)0 : broken(#x))

/* The test is wrong, or what is tested: in whichever process. */
static void broken(const char *what)
{
    if (twin || to_parent >= 0) {
        fprintf(stderr, "process %u%s: %s\n", world.me, twin ? ", a twin" : "", what);
        _exit(BROKEN);
    }
    fail_msg("%s", what);
}

/* ---- what common.c stands on ---- */

struct enclave enclave;
struct process process;
int log_threshold = LOG_WARNING;

void fpu_save(struct thread_block *b) { (void)b; }
void fpu_restore(const void *area) { (void)area; }
void fpu_reset(void) {}

/* No FS of its own is needed here, and the sanitizers want theirs. */
void __wrap_cipher_begin(void);
void __wrap_cipher_end(void);
void __wrap_cipher_begin(void) { check(!within_cipher++); }
void __wrap_cipher_end(void) { check(within_cipher--); }

struct untrusted arena_at(uint64_t offset) { return (struct untrusted){offset}; }
struct untrusted bounce(void) { return (struct untrusted){(uint64_t)bounce_words}; }

uint64_t arena_pool_take(uint64_t size)
{
    check(size >= sizeof arena_slot);
    return (uint64_t)&arena_slot;
}

void *alloc(size_t size) { return calloc(1, size); }
void alloc_free(void *p) { free(p); }
void *memory_libos_pages(uint64_t length)
{
    check(length == PAGE);
    return world.program + SCRATCH * PAGE;
}

void lock_slow(struct lock *l)
{
    (void)l;
    broken("a lock is taken twice");
}

void log_line(enum log_level level, const char *format, ...)
{
    (void)format;
    world.warnings += level == LOG_WARNING;
    world.errors += level == LOG_ERROR;
}

void panic(const char *format, ...)
{
    broken(format);
    abort();
}

void violation(const char *format, ...)
{
    if (twin)
        _exit(VIOLATED);
    broken(format);
    abort();
}

uint64_t time_monotonic_ns(void) { return world.clock_ns; }
uint64_t time_tsc_per_ms(void) { return world.tick; }
void signal_collect(void) {}

bool signal_deliverable(bool *restart)
{
    *restart = true;
    return world.signalled;
}

void futex_wake_range(uint64_t start, uint64_t end) { world.woken_inside += (unsigned)((end - start) / PAGE); }
bool shared_nameless(struct shared *s) { return !s->used; }
void memory_release_common(void) { world.released++; }
bool memory_bring(uint64_t address, uint64_t length, bool write)
{
    (void)write;
    return common_bring(address, length);
}

int memory_visit(int (*visit)(const struct area *a, void *context), void *context)
{
    for (unsigned i = 0; i < world.area_count; i++)
        check(!visit(&world.areas[i], context));
    return 0;
}

int user_read(void *to, const void *from, size_t length)
{
    uint64_t page = ((uint64_t)from - enclave.base) / PAGE;
    if (!(world.usable[page] & PROT_READ) && !order_bring(from, length, false))
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

/* ---- the machine's pages ---- */

void set(uint64_t page, int protection)
{
    check(!mprotect(world.program + page * PAGE, PAGE, protection));
    world.usable[page] = protection;
}

int pages_install(uint64_t at, void *from, uint64_t length, int protection)
{
    uint64_t page = (at - enclave.base) / PAGE;
    check(at % PAGE == 0 && page < PAGES && length == PAGE && from == world.program + SCRATCH * PAGE);
    check(world.usable[page] == PROT_NONE);
    if (host->move_result)
        return (int)host->move_result;
    set(page, RW);
    memcpy(world.program + page * PAGE, from, PAGE);
    memset(from, 0, PAGE);
    set(page, protection);
    return 0;
}

static int64_t machine(uint64_t operation, uint64_t offset, uint64_t length, int protection)
{
    uint64_t page = offset / PAGE, count = length / PAGE;
    check(offset % PAGE == 0 && length % PAGE == 0 && page < PAGES && count && count <= PAGES - page);
    for (uint64_t p = page; p < page + count; p++) {
        if (operation == PAGES_PROTECT) {
            set(p, protection);
            continue;
        }
        check(operation == PAGES_UNMAP);
        /* Nobody can have written to it since it was copied. */
        check(process.threads_live == 1 || !(world.usable[p] & PROT_WRITE));
        check(count > 1 || world.usable[p] != PROT_WRITE); /* nor could it be copied */
        set(p, RW);
        memset(world.program + p * PAGE, 0, PAGE);
        set(p, PROT_NONE);
    }
    return 0;
}

/* ---- what the host does ---- */

static void others_serve(unsigned but);

static int64_t host_take(struct host_page *p)
{
    host->takes++;
    if (host->take_lies && host->take_result < 0)
        return host->take_result;
    if (p->holder && p->holder != world.me && !host->take_lies) {
        p->wanted++;
        return -EAGAIN;
    }
    p->holder = world.me;
    arena_slot = p->slot;
    return host->take_lies ? host->take_result : 0;
}

static int64_t host_give(struct host_page *p)
{
    check(p->holder == world.me || !p->holder);
    check(host->gives < GIVEN_MOST);
    memcpy(host->given[host->gives].writer, arena_slot.writer, 16);
    host->given[host->gives++].count = arena_slot.count;
    *p = (struct host_page){.slot = arena_slot};
    return 0;
}

static int64_t host_wanted(const struct host_region *r)
{
    int64_t count = 0;
    if (host->wanted_count) {
        memcpy(&arena_slot, host->wanted, sizeof host->wanted);
        return host->wanted_count;
    }
    for (uint64_t i = 0; i < r->pages && count < COMMON_ANSWER; i++)
        if (r->page[i].wanted && r->page[i].holder == world.me)
            ((uint64_t *)&arena_slot)[count++] = i;
    return count;
}

static int64_t host_await(uint64_t flags, uint64_t ns)
{
    check(host->waits++ < WAITS_MOST);
    check(flags & EXIT_INTERRUPTIBLE);
    check(ns && ns < 1000000000);
    check(!block.pending); /* or it would not wait at all */
    if (twin)
        _exit(WAITED);
    if (to_parent < 0) {
        others_serve(PROCESSES);
        return 0;
    }
    int64_t word = WAITING;
    check(write(to_parent, &word, sizeof word) == sizeof word);
    check(read(to_parent, &word, sizeof word) == sizeof word);
    return 0;
}

static int64_t host_wait(uint32_t *number, uint64_t value, uint64_t flags, uint64_t ns)
{
    check(flags & EXIT_INTERRUPTIBLE);
    world.waited_ns = ns;
    if (world.waits_done < (int)ARRAY_SIZE(world.wait_results) && world.wait_results[world.waits_done])
        return world.wait_results[world.waits_done++];
    check(*number != value); /* or it waits for ever */
    return 0;
}

static int64_t host_common(uint64_t flags, uint64_t operation, uint64_t number, uint64_t index, uint64_t value,
                           uint64_t ns)
{
    check(number < COMMON_REGIONS);
    if (operation == COMMON_MAKE) {
        check(!world.known[number] && index && index <= PAGES && host->regions < REGIONS);
        if (host->make_result)
            return host->make_result;
        world.known[number] = &host->region[host->regions++];
        world.known[number]->pages = index;
        return 0;
    }
    struct host_region *r = world.known[number];
    if (!r)
        broken("a region that there is not");
    check(operation >= COMMON_NUMBER || index < r->pages);
    check(operation < COMMON_NUMBER || index < COMMON_WORDS);
    check((operation != COMMON_TAKE && operation != COMMON_GIVE && operation != COMMON_WANTED) ||
          value == (uint64_t)&arena_slot);
    switch (operation) {
    case COMMON_DROP:
        world.known[number] = NULL;
        return 0;
    case COMMON_TAKE:
        return host_take(&r->page[index]);
    case COMMON_GIVE:
        return host_give(&r->page[index]);
    case COMMON_WANTED:
        return host_wanted(r);
    case COMMON_AWAIT:
        return host_await(flags, ns);
    case COMMON_NUMBER: {
        uint32_t told = r->number[index];
        if (host->on_number)
            host->on_number();
        return told;
    }
    case COMMON_WAIT:
        return host_wait(&r->number[index], value, flags, ns);
    case COMMON_WAKE:
        r->number[index]++;
        return host->wake_lies ? host->wake_result : 1;
    }
    broken("no such operation");
    return 0;
}

static int64_t exit_to_host(uint64_t number, uint64_t flags, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                            uint64_t a4)
{
    switch (number) {
    case EXIT_CPUID: {
        uint32_t r[4];
        __cpuid_count((uint32_t)a0, (uint32_t)a1, r[0], r[1], r[2], r[3]);
        for (int i = 0; i < 4; i++)
            ((uint64_t *)a2)[i] = r[i];
        return 0;
    }
    case EXIT_PAGES:
        return machine(a0, a1, a2, (int)a3);
    case EXIT_COMMON:
        return host_common(flags, a0, a1, a2, a3, a4);
    case EXIT_PARK:
        _exit(PARKED);
    }
    broken("no such exit");
    return 0;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1, uint64_t a2,
                     uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)a5;
    check(!within_cipher);
    int64_t result = exit_to_host(number, flags, a0, a1, a2, a3, a4);
    if (result < -4095 || (result > 0 && (uint64_t)result > maximum))
        violation("exit %lu returned %ld", number, result);
    return result;
}

/* ---- the program ---- */

uint64_t address(uint64_t page) { return enclave.base + page * PAGE; }

/* As a program's access: 0, or what its fault ends with. */
static int touch(uint64_t page, int need)
{
    for (int tries = 0; (world.usable[page] & need) != need; tries++) {
        check(tries < 3); /* it does not fault on and on */
        int error = common_fault(address(page) + 123, need);
        if (error)
            return error;
    }
    return 0;
}

int64_t look(uint64_t page)
{
    int error = touch(page, PROT_READ);
    if (error)
        return FAULT + error;
    const uint64_t *words = (const uint64_t *)address(page);
    for (size_t i = 1; i < PAGE / 8; i++)
        if (words[i] != words[0])
            return TORN;
    return (int64_t)words[0];
}

int64_t fill(uint64_t page, uint64_t value)
{
    int error = touch(page, PROT_WRITE);
    if (error)
        return FAULT + error;
    for (size_t i = 0; i < PAGE / 8; i++)
        ((uint64_t *)address(page))[i] = value;
    return 0;
}

/* ---- processes ---- */

struct order_of {
    enum act act;
    uint64_t page, value;
};

static int64_t act(struct order_of o)
{
    switch (o.act) {
    case LOOK:
        return look(o.page);
    case FILL:
        return fill(o.page, o.value);
    case SERVE:
        common_serve();
        return 0;
    case FORGET:
        common_forget(address(o.page), address(o.page + o.value));
        return 0;
    case PROTECT:
        common_protect(address(o.page), address(o.page + 1), (int)o.value);
        return 0;
    case END:
        common_end();
        return 0;
    case WAIT_WORD:
        return common_futex_wait(address(o.page), (uint32_t)o.value, UINT64_MAX);
    case TRY_LOOK:
        return try(LOOK, o.page, 0);
    case KILL:
        raise(SIGKILL);
        break;
    case LEAVE:
        _exit(0);
    }
    return 0;
}

static _Noreturn void child_run(void)
{
    struct order_of o;
    while (read(to_parent, &o, sizeof o) == sizeof o) {
        int64_t result = act(o);
        check(write(to_parent, &result, sizeof result) == sizeof result);
    }
    _exit(BROKEN);
}

static void hear(unsigned child)
{
    int64_t result;
    if (read(world.child[child].to, &result, sizeof result) != sizeof result)
        fail_msg("child %u has ended", child);
    world.child[child].waits = result == WAITING;
    world.child[child].answer = result;
}

static void go_on(unsigned child)
{
    int64_t go = 0;
    assert_int_equal(write(world.child[child].to, &go, sizeof go), sizeof go);
    hear(child);
}

int64_t have(unsigned child, enum act what, uint64_t page, uint64_t value)
{
    struct order_of o = {what, page, value};
    assert_int_equal(write(world.child[child].to, &o, sizeof o), sizeof o);
    hear(child);
    while (world.child[child].waits) {
        if (world.on_wait)
            world.on_wait();
        common_serve();
        others_serve(child);
        if (world.child[child].waits)
            go_on(child);
    }
    return world.child[child].answer;
}

static void others_serve(unsigned but)
{
    for (unsigned i = 0; i < world.child_count; i++) {
        if (i == but)
            continue;
        if (world.child[i].waits)
            go_on(i);
        else
            have(i, SERVE, 0, 0);
    }
}

/* Its enclave is a new one, with memory as it came, and junk where nothing came. */
static void child_begin(void)
{
    for (uint64_t p = 0; p < PAGES; p++) {
        set(p, RW);
        memset(world.program + p * PAGE, WORLD_JUNK & 0xff, PAGE);
    }
    common_forked();
}

unsigned child_make(void)
{
    int pair[2];
    common_before_fork();
    for (uint64_t p = 0; p < PAGES; p++) /* or it would not be sent */
        check(!common_has(address(p)) || world.usable[p] == PROT_NONE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t pid = fork();
    if (!pid) {
        for (unsigned i = 0; i < world.child_count; i++)
            close(world.child[i].to);
        close(pair[0]);
        to_parent = pair[1];
        world.me += world.child_count + 1;
        world.child_count = 0;
        child_begin();
        child_run();
    }
    assert_true(pid > 0);
    close(pair[1]);
    world.child[world.child_count].to = pair[0];
    world.child[world.child_count].pid = pid;
    return world.child_count++;
}

int child_ends(unsigned child, enum act what, uint64_t page)
{
    struct order_of o = {what, page, 0};
    int status;
    check(child == world.child_count - 1);
    assert_int_equal(write(world.child[child].to, &o, sizeof o), sizeof o);
    assert_int_equal(waitpid(world.child[child].pid, &status, 0), world.child[child].pid);
    close(world.child[child].to);
    world.child_count--;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int try(enum act what, uint64_t page, uint64_t value)
{
    static struct host before;
    before = *host;
    pid_t pid = fork();
    if (!pid) {
        twin = true;
        int64_t result = act((struct order_of){what, page, value});
        _exit(result < 0 ? FAULTED : (int)result);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    *host = before;
    return WEXITSTATUS(status);
}

const struct common_slot *of_another_key(uint64_t page)
{
    static struct host before;
    before = *host;
    pid_t pid = fork();
    if (!pid) {
        twin = true;
        look(page);
        common.has_key = false;
        keys_make();
        common_protect(address(page), address(page + 1), RW);
        *stranger = outside(page)->slot;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    *host = before;
    return stranger;
}

/* ---- before and after each test ---- */

struct host_page *outside(uint64_t page) { return &world.known[page / 10]->page[page % 10]; }

void area_add(uint64_t first, uint64_t count, int protection, bool sharing)
{
    world.areas[world.area_count++] = (struct area){.start = address(first), .end = address(first + count), .used = true,
                                        .protection = protection, .sharing = sharing};
}

int world_fresh(void **state)
{
    (void)state;
    memset(host, 0, sizeof *host);
    world.warnings = world.errors = world.woken_inside = world.released = world.area_count = 0;
    process.threads_live = 1;
    world.tick = 0;
    world.on_wait = NULL;
    block = (struct thread_block){.self = &block};
    syscall(SYS_arch_prctl, ARCH_SET_GS, &block);
    for (uint64_t p = 0; p <= PAGES; p++) {
        set(p, RW);
        memset(world.program + p * PAGE, 0, PAGE);
    }
    area_add(0, 8, RW, true);
    area_add(10, 8, RW, true);
    for (uint64_t p = 0; p < PAGES; p++)
        fill(p, p);
    return 0;
}

int world_over(void **state)
{
    (void)state;
    while (world.child_count)
        assert_int_equal(child_ends(world.child_count - 1, LEAVE, 0), 0);
    common_forget(address(0), address(PAGES));
    assert_false(common_any());
    for (size_t i = 0; i < COMMON_REGIONS; i++)
        assert_null(world.known[i]);
    return 0;
}

static void *for_all(size_t size)
{
    void *at = mmap(NULL, size, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(at != MAP_FAILED);
    return at;
}

int world_start(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    world.program = mmap(NULL, (PAGES + 1) * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(world.program != MAP_FAILED);
    enclave.base = (uint64_t)world.program;
    order.bring = memory_bring; /* as memory_start has it */
    host = for_all(sizeof *host);
    stranger = for_all(sizeof *stranger);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that several enclaves have in turn, and words to wait for: in memory that these host processes share. */
#include "host/helper.h"
#include "host/common.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/common.h"
#include "host/clock.h"
#include "host/thread.h"

#define TRIES_UNTIL_DEAD 16 /* so often it is asked for before we look whether its holder lives */
/* Who has just got a page is left in peace for so long, however many want it: each time it is told it is interrupted. */
#define PEACE_NS 250000

struct page {
    _Atomic uint32_t holder; /* process, 0: none */
    _Atomic uint32_t wanted; /* how often it was asked for in vain */
    _Atomic uint64_t told;   /* when its holder was last told so, ns */
};

struct region {
    _Atomic uint32_t number[COMMON_WORDS];
    struct page page[];
};

/* As it was before a fork it is in both. */
static struct {
    struct region *region;
    uint64_t pages;
} regions[COMMON_REGIONS];

/* Held while regions are looked through: none goes away meanwhile. */
static pthread_mutex_t listening = PTHREAD_MUTEX_INITIALIZER;

/* Rung when a page is wanted. Not by a signal to its holder: who is another user may send none. */
static _Atomic uint32_t *bell;

static size_t size_of(uint64_t pages)
{
    return sizeof(struct region) + pages * (sizeof(struct page) + sizeof(struct common_slot));
}

static struct common_slot *slot_of(uint64_t number, uint64_t page)
{
    return (struct common_slot *)(regions[number].region->page + regions[number].pages) + page;
}

static bool somebody_waits(void)
{
    uint32_t me = (uint32_t)getpid();
    for (size_t number = 0; number < COMMON_REGIONS; number++) {
        const struct region *r = __atomic_load_n(&regions[number].region, __ATOMIC_ACQUIRE);
        for (uint64_t i = 0; r && i < regions[number].pages; i++)
            if (atomic_load_explicit(&r->page[i].wanted, memory_order_relaxed) && atomic_load(&r->page[i].holder) == me)
                return true;
    }
    return false;
}

/* Hears the bell; a thread of the enclave is made to look where it is for this process. */
static void *listen_for_bell(void *unused)
{
    (void)unused;
    for (;;) {
        uint32_t rung = atomic_load(bell);
        pthread_mutex_lock(&listening);
        bool mine = somebody_waits();
        pthread_mutex_unlock(&listening);
        if (mine)
            kill(getpid(), SIGNAL_LOOK);
        syscall(SYS_futex, bell, FUTEX_WAIT, rung, NULL, NULL, 0);
    }
    return NULL;
}

static int listen_start(void)
{
    pthread_t thread;
    int error = helper_start(&thread, listen_for_bell);
    if (!error)
        pthread_detach(thread);
    return error;
}

void common_host_forked(void)
{
    pthread_mutex_init(&listening, NULL);
    if (bell && listen_start())
        fprintf(stderr, "rakis: no thread to hear of pages that other processes want\n");
}

static int bell_make(void)
{
    if (bell)
        return 0;
    void *at = mmap(NULL, sizeof *bell, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -errno;
    bell = at;
    int error = listen_start();
    if (error) {
        munmap(at, sizeof *bell);
        bell = NULL;
    }
    return error;
}

static int64_t make(uint64_t number, uint64_t pages)
{
    if (regions[number].region || pages > UINT32_MAX)
        return -EINVAL;
    int error = bell_make();
    if (error)
        return error;
    void *at = mmap(NULL, size_of(pages), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return -errno;
    regions[number].pages = pages;
    __atomic_store_n(&regions[number].region, at, __ATOMIC_RELEASE);
    return 0;
}

static int64_t drop(uint64_t number)
{
    pthread_mutex_lock(&listening);
    munmap(regions[number].region, size_of(regions[number].pages));
    regions[number].region = NULL;
    regions[number].pages = 0;
    pthread_mutex_unlock(&listening);
    return 0;
}

static int64_t futex(_Atomic uint32_t *word, int operation, uint32_t value, uint64_t ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    const uint64_t argument[] = {(uint64_t)word, (uint64_t)operation, value, ns == UINT64_MAX ? 0 : (uint64_t)&timeout,
                                 0, 0};
    int64_t result = interruptible_syscall(argument, SYS_futex, &self->kicked);
    if (result == -EINTR)
        atomic_store(&self->kicked, 0);
    return result;
}

static void wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Gone, or dead and not yet waited for. */
static bool dead(uint32_t process)
{
    char path[32], line[512], *state;
    snprintf(path, sizeof path, "/proc/%u/stat", process);
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT;
    bool read = fgets(line, sizeof line, f);
    fclose(f);
    state = read ? strrchr(line, ')') : NULL;
    return !read || (state && (state[2] == 'Z' || state[2] == 'X'));
}

static void tell(struct page *p)
{
    uint64_t ns = clock_ns(CLOCK_MONOTONIC), told = atomic_load(&p->told);
    if (ns - told >= PEACE_NS && atomic_compare_exchange_strong(&p->told, &told, ns)) {
        atomic_fetch_add(bell, 1);
        wake(bell);
    }
}

static int64_t take(uint64_t number, uint64_t page, void *out)
{
    struct page *p = &regions[number].region->page[page];
    uint32_t holder = 0, me = (uint32_t)getpid();
    int64_t result = 0;
    if (!atomic_compare_exchange_strong(&p->holder, &holder, me) && holder != me) {
        uint32_t tries = atomic_fetch_add(&p->wanted, 1) + 1;
        if (tries % TRIES_UNTIL_DEAD || !dead(holder)) {
            tell(p);
            return -EAGAIN;
        }
        if (!atomic_compare_exchange_strong(&p->holder, &holder, me))
            return -EAGAIN;
        result = 1;
    }
    memcpy(out, slot_of(number, page), sizeof(struct common_slot));
    return result;
}

static int64_t await(uint64_t number, uint64_t page, uint64_t ns)
{
    struct page *p = &regions[number].region->page[page];
    uint32_t holder = atomic_load(&p->holder);
    int64_t result = holder ? futex(&p->holder, FUTEX_WAIT, holder, ns) : 0;
    return result == -EINTR ? result : 0;
}

static int64_t give(uint64_t number, uint64_t page, const void *in)
{
    struct page *p = &regions[number].region->page[page];
    memcpy(slot_of(number, page), in, sizeof(struct common_slot));
    atomic_store(&p->wanted, 0);
    atomic_store(&p->told, 0);
    atomic_store(&p->holder, 0);
    wake(&p->holder);
    return 0;
}

static int64_t wanted(uint64_t number, uint64_t *out)
{
    uint32_t me = (uint32_t)getpid();
    int64_t count = 0;
    for (uint64_t i = 0; i < regions[number].pages && count < COMMON_ANSWER; i++) {
        const struct page *p = &regions[number].region->page[i];
        if (atomic_load_explicit(&p->wanted, memory_order_relaxed) && atomic_load(&p->holder) == me)
            out[count++] = i;
    }
    return count;
}

#define NUMBER_BITS 0x7fffffffu

static int64_t wait_word(_Atomic uint32_t *word, uint64_t value, uint64_t ns)
{
    uint32_t now = atomic_load(word);
    if ((now & NUMBER_BITS) != value)
        return 0;
    int64_t result = futex(word, FUTEX_WAIT, now, ns);
    return result == -EINTR || result == -ETIMEDOUT ? result : 0;
}

static int64_t wake_word(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int64_t common_host(const uint64_t a[EXIT_ARGUMENTS])
{
    uint64_t number = a[1], index = a[2];
    if (number >= COMMON_REGIONS || (a[0] != COMMON_MAKE && !regions[number].region))
        return -EINVAL;
    switch (a[0]) {
    case COMMON_MAKE:
        return make(number, index);
    case COMMON_DROP:
        return drop(number);
    case COMMON_WANTED: {
        uint64_t *out = arena_place(a[3], COMMON_ANSWER * sizeof *out);
        return out ? wanted(number, out) : -EFAULT;
    }
    case COMMON_TAKE:
    case COMMON_GIVE: {
        void *slot = arena_place(a[3], sizeof(struct common_slot));
        if (!slot || index >= regions[number].pages)
            return -EFAULT;
        return a[0] == COMMON_TAKE ? take(number, index, slot) : give(number, index, slot);
    }
    case COMMON_AWAIT:
        return index < regions[number].pages ? await(number, index, a[4]) : -EFAULT;
    }
    if (index >= COMMON_WORDS)
        return -EFAULT;
    _Atomic uint32_t *word = &regions[number].region->number[index];
    switch (a[0]) {
    case COMMON_NUMBER:
        return atomic_load(word) & NUMBER_BITS;
    case COMMON_WAIT:
        return wait_word(word, a[3], a[4]);
    case COMMON_WAKE:
        return wake_word(word);
    }
    return -EINVAL;
}

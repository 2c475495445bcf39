/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/files_world.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/file.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/flush.h"
#include "enclave/io/uring.h"
#include "enclave/io/ways.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/boundary/log.h"
#include "enclave/net/net.h"
#include "enclave/os/files.h"
#include "enclave/os/ring_watch.h"
#include "enclave/os/stream.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"
#include "host/files.h"
#include "host/host.h"
#include "host/xsk.h"

struct world world;
struct enclave enclave;
struct host host;
struct process process;
int log_threshold = LOG_WARNING;
bool (*world_net_poll)(void);

#define THREADS 4
#define BOUNCE 0x20000
#define POOL_START (THREADS * BOUNCE)
#define POOL 0x2000000
#define WINDOWS (THREADS * BOUNCE + POOL)
#define ARENA (WINDOWS + WINDOWS_MAX * WINDOW_BYTES)

extern const char copy_begin[], copy_end[], copy_fault[];

static struct thread_block blocks[THREADS];
static struct thread threads[THREADS];
static pthread_t handles[THREADS];
static uint8_t *arena;
static uint64_t pool_used = POOL_START;
static struct extent_shared *extents[EXTENTS_MAX];
static unsigned extent_count;
static jmp_buf violated;
static bool expecting;

static void nothing(int signal)
{
    (void)signal;
}

void world_thread(uint32_t index)
{
    struct thread_block *b = &blocks[index];
    b->self = b;
    b->index = index;
    b->thread = &threads[index];
    b->bounce_address = (uint64_t)arena + index * BOUNCE;
    threads[index].index = index;
    threads[index].block = b;
    threads[index].tid = getpid() + (int)index;
    threads[index].live = true;
    handles[index] = pthread_self();
    syscall(SYS_arch_prctl, ARCH_SET_GS, b);
}

int world_start(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    world.no_file = 1024;
    world.per_ms = UINT64_MAX / 2;
    process.pid = getpid();
    process.threads = threads;
    process.thread_count = THREADS;
    process.threads_live = 1;
    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    host.arena = arena;
    host.arena_size = ARENA;
    world_thread(0);
    enclave.start.descriptors[0] = 7;
    file_table_start();
    return 0;
}

/* As the second stage of exceptions does: a copy that faults says so. */
static void copy_faulted(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    (void)info;
    if (rip < (uint64_t)copy_begin || rip >= (uint64_t)copy_end) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(signal, &action, NULL);
        return;
    }
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)copy_fault;
}

void world_catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = copy_faulted, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
}

/* ---- boundary ---- */

struct untrusted bounce(void)
{
    return (struct untrusted){thread_block()->bounce_address};
}

uint64_t bounce_size(void)
{
    return BOUNCE;
}

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){(uint64_t)arena + offset};
}

uint64_t arena_window(uint64_t n)
{
    return WINDOWS + n * WINDOW_BYTES;
}

uint64_t arena_pool_take(uint64_t size)
{
    if (world.no_memory || size > WINDOWS - pool_used)
        return 0;
    if (size == EXTENT_SIZE && extent_count < EXTENTS_MAX)
        extents[extent_count++] = (struct extent_shared *)(arena + pool_used);
    pool_used += size;
    return pool_used - size;
}

static void check_argument(uint64_t number, int index, uint64_t a)
{
    bool offset = number == SYS_lseek ||
                  (index == 3 && (number == SYS_pread64 || number == SYS_pwrite64));
    if (a < 1ull << 32 || a >= 1ull << 47 || offset)
        return;
    if (a - (uint64_t)arena >= ARENA)
        fail_msg("call %lu hands 0x%lx to the host", number, a);
}

static uint64_t next_random(void)
{
    world.hostile = world.hostile * 6364136223846793005ull + 1442695040888963407ull;
    return world.hostile >> 33;
}

struct extent_shared *world_extent(unsigned i)
{
    return i < extent_count ? extents[i] : NULL;
}

/* What a host may do to the answer of any call: a wrong result, wrong bytes where the call wrote.
 */
static int64_t hostile(int64_t result)
{
    static const int64_t lies[] = {0,    1,         2,         3,     7,        64,
                                   4096, INT32_MAX, INT64_MAX, -1,    -EINTR,   -EAGAIN,
                                   -512, -514,      -4095,     -4096, INT64_MIN};
    uint64_t *words = (uint64_t *)bounce().address;
    if (next_random() % 4 == 0)
        for (int n = 0; n < 16; n++)
            words[next_random() % (n < 12 ? 64 : BOUNCE / 8)] =
                next_random() % 2 ? next_random() % 300 : next_random() << 33 | next_random();
    struct extent_shared *extent = world_extent(extent_count ? next_random() % extent_count : 0);
    if (extent && next_random() % 4 == 0) {
        extent->state = next_random() % 6;
        extent->error = next_random() % 2 ? next_random() % 5000 : 0;
        extent->watched = next_random() % 2;
    }
    return next_random() % 8 ? result : lies[next_random() % ARRAY_SIZE(lies)];
}

bool exit_hidden(uint64_t number)
{
    return number >= EXIT_BASE || number == SYS_sched_yield;
}

static int64_t serve_own(uint64_t number, const uint64_t a[6])
{
    switch (number) {
    case EXIT_FILE_FACTS:
        return file_facts((int)a[0], a[1]);
    case EXIT_FILE_SIZE:
        return file_size((int)a[0]);
    case EXIT_FILE_MOVE:
        return file_move((int)a[0], a[1], (int64_t)a[2]);
    case EXIT_FILE_MAP:
        return file_map(a[0], a[1], a[2], a[3], a[4]);
    case EXIT_EXTENT_OPEN:
        return extents_open(a[0], a[1]);
    case EXIT_EXTENT_WRITE:
        return extents_write(a[0]);
    }
    return -ENOSYS;
}

int64_t exit_call(uint64_t number, uint64_t flags, uint64_t a0, uint64_t a1, uint64_t a2,
                  uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct thread_block *block = thread_block();
    if (!exit_hidden(number))
        order_before();
    if ((flags & EXIT_INTERRUPTIBLE) && __atomic_load_n(&block->pending, __ATOMIC_SEQ_CST))
        return -EINTR;
    __atomic_add_fetch(&world.exits, 1, __ATOMIC_RELAXED);
    if (number == EXIT_INTERRUPT) {
        assert_true(a0 < THREADS);
        __atomic_store_n(&blocks[a0].pending, TB_PENDING_SIGNAL, __ATOMIC_SEQ_CST);
        pthread_kill(handles[a0], SIGUSR1);
        return 0;
    }
    if (world.lying) {
        world.lying = false;
        return world.lie;
    }
    uint64_t arguments[] = {a0, a1, a2, a3, a4, a5};
    for (int i = 0; i < 6; i++)
        check_argument(number, i, arguments[i]);
    int64_t result;
    if (number >= EXIT_BASE) {
        result = serve_own(number, arguments);
    } else {
        result = syscall((long)number, a0, a1, a2, a3, a4, a5);
        result = result < 0 ? -errno : result;
        order_after();
    }
    return world.hostile ? hostile(result) : result;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    int64_t result = exit_call(number, flags, a0, a1, a2, a3, a4, a5);
    if (result < -4095 || (result > 0 && (uint64_t)result > maximum))
        violation("call %lu returned %ld", number, result);
    return result;
}

_Noreturn void violation(const char *format, ...)
{
    va_list arguments;
    if (expecting)
        longjmp(violated, 1);
    if (world.hostile)
        _exit(0); /* found out */
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fail();
    abort();
}

void violation_count(void)
{
    world.violations++;
}

void world_interrupt(void)
{
    thread_block()->pending = TB_PENDING_SIGNAL;
}

bool world_violates(void (*fn)(void))
{
    expecting = true;
    bool did = true;
    if (!setjmp(violated)) {
        fn();
        did = false;
    }
    expecting = false;
    world.lying = false;
    return did;
}

int user_range(const void *pointer, size_t length)
{
    return (uint64_t)pointer >= 4096 && length < INT64_MAX ? 0 : -EFAULT;
}

int user_read(void *to, const void *from, size_t length)
{
    if (user_range(from, length))
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

int user_write(void *to, const void *from, size_t length)
{
    if (user_range(to, length))
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

int user_zero(void *to, size_t length)
{
    if (user_range(to, length))
        return -EFAULT;
    memset(to, 0, length);
    return 0;
}

int64_t user_string(char *to, const char *from, size_t size)
{
    if (user_range(from, 1))
        return -EFAULT;
    size_t n = strnlen(from, size);
    memcpy(to, from, n < size ? n + 1 : n);
    return n == size ? -ENAMETOOLONG : (int64_t)n;
}

/* ---- lib, os, io, net ---- */

void *alloc(size_t size)
{
    return calloc(1, size);
}

void *alloc_resize(void *p, size_t old_size, size_t new_size)
{
    uint8_t *q = realloc(p, new_size);
    if (q && new_size > old_size)
        memset(q + old_size, 0, new_size - old_size);
    return q;
}

void alloc_free(void *p)
{
    free(p);
}

void lock_slow(struct lock *l)
{
    while (!lock_try(l))
        sched_yield();
}

void log_line(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

uint32_t memory_shared_files;

void memory_complete_file(struct file *f)
{
    (void)f;
}

void memory_push_file(struct file *f, uint64_t from, uint64_t to)
{
    (void)f, (void)from, (void)to;
}

void memory_pull_file(struct file *f, uint64_t from, uint64_t to, bool certain)
{
    (void)f, (void)from, (void)to, (void)certain;
}

void memory_files(void (*visit)(struct file *f))
{
    (void)visit;
}

int memory_push_all(void)
{
    return 0;
}

void signal_raise_self(int signal)
{
    world.signal_raised = signal;
}

void signal_mask_temporary(const uint64_t *mask)
{
    (void)mask;
    thread_block()->pending = TB_PENDING_SIGNAL;
}

bool signal_pending(void)
{
    if (!__atomic_load_n(&thread_block()->pending, __ATOMIC_SEQ_CST) && !world.signal)
        return false;
    __atomic_store_n(&thread_block()->pending, 0, __ATOMIC_SEQ_CST);
    return world.signal;
}

int signal_take(uint64_t mask, struct signal_cause *cause)
{
    return signal_queue_take(&process.signals, mask, cause);
}

void signal_collect(void)
{
    __atomic_store_n(&thread_block()->pending, 0, __ATOMIC_SEQ_CST);
}

void thread_sleep_prepare(void)
{
    __atomic_store_n(&current()->woken, 0, __ATOMIC_SEQ_CST);
}

static int sleep_until_woken(uint64_t timeout_ns)
{
    uint64_t deadline = timeout_ns == UINT64_MAX ? UINT64_MAX : time_monotonic_ns() + timeout_ns;
    while (!__atomic_load_n(&current()->woken, __ATOMIC_SEQ_CST)) {
        if (__atomic_load_n(&thread_block()->pending, __ATOMIC_SEQ_CST))
            return -EINTR;
        if (time_monotonic_ns() >= deadline)
            return -ETIMEDOUT;
        sched_yield();
    }
    return 0;
}

int thread_sleep(uint64_t timeout_ns)
{
    if (world.sleeps)
        return sleep_until_woken(timeout_ns);
    for (int signal = 1; signal <= SIGNAL_COUNT; signal++)
        if (world.signal_while_asleep & SIGNAL_BIT(signal))
            signal_queue_add(&process.signals, signal, &(struct signal_cause){.code = SI_USER});
    return -EINTR;
}

bool thread_wait_begin(void)
{
    __atomic_store_n(&current()->asleep, SLEEP_HOST, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&current()->woken, __ATOMIC_SEQ_CST);
}

void thread_wait_end(void)
{
    __atomic_store_n(&current()->asleep, SLEEP_NOT, __ATOMIC_SEQ_CST);
}

void thread_wake(struct thread *t)
{
    __atomic_store_n(&t->woken, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&t->asleep, __ATOMIC_SEQ_CST))
        exit_call(EXIT_INTERRUPT, 0, t->index, 0, 0, 0, 0, 0);
}

void world_signal(int signal, int pid)
{
    signal_queue_add(&process.signals, signal, &(struct signal_cause){.code = SI_USER, .pid = pid});
}

uint64_t limit_nofile(void)
{
    return world.no_file;
}

const struct rlimit *limit_nofile_both(void)
{
    static struct rlimit limit;
    limit = (struct rlimit){world.no_file, world.no_file};
    return &limit;
}

struct thread *thread_find(int tid)
{
    uint32_t index = (uint32_t)(tid - process.pid);
    return index < THREADS && threads[index].live ? &threads[index] : NULL;
}

uint64_t time_tsc_per_ms(void)
{
    return world.per_ms;
}

/* The host's monitor never runs by itself here. */
int monitor_start(void)
{
    return 0;
}

void monitor_wanted(void)
{
}

uint64_t time_realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t time_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int memory_print_maps(char *out, uint64_t size, enum maps_detail detail)
{
    (void)detail;
    return snprintf(out, size, "1000-2000 r-xp 00000000 00:00 0\n");
}

void memory_usage(struct memory_use *use)
{
    *use = (struct memory_use){.total = 8 << 20, .resident = 4 << 20, .file = 2 << 20, .code = 1 << 20, .data = 4 << 20};
}

void thread_named(const struct thread *t)
{
    (void)t;
}

static const char strings[] = "/bin/sh\0-c";
static char path[] = "/bin/sh";

__attribute__((constructor)) static void configure(void)
{
    process.image.path = path;
    process.image.arguments = process.image.environment = (uint64_t)strings;
    process.image.arguments_end = (uint64_t)strings + sizeof strings;
    process.image.environment_end = (uint64_t)strings + strlen(strings) + 1;
}

void streams_listen(void)
{
}

bool signal_blocked(int signal)
{
    return process.threads[0].mask & SIGNAL_BIT(signal);
}

struct thread *thread_first(void)
{
    return &process.threads[0];
}

bool net_active(void)
{
    return world.net_active;
}

bool net_poll(uint32_t xsks)
{
    (void)xsks;
    world.net_polls++;
    return world_net_poll && world_net_poll();
}

bool net_nap(uint32_t xsks, uint64_t left_ns)
{
    (void)xsks, (void)left_ns;
    return false; /* no packets come at all, let alone thick */
}

bool net_watch(uint32_t xsks)
{
    (void)xsks;
    return false;
}

void net_count_sleep(uint32_t xsks)
{
    (void)xsks;
    world.net_sleeps++;
}

struct file *udp_socket_file(int host_fd, int family, int flags)
{
    (void)family;
    return host_socket_new(host_fd, SOCK_DGRAM, flags);
}

int xsk_count(void)
{
    return 1;
}

struct xsk *xsk_at(int i)
{
    (void)i;
    return NULL;
}

int xsk_descriptor(const struct xsk *x)
{
    static int one; /* that never receives */
    (void)x;
    if (!one)
        one = fcntl(eventfd(0, EFD_CLOEXEC), F_DUPFD_CLOEXEC, 900);
    return one;
}

void io_flush_along(void)
{
    __atomic_add_fetch(&world.flushes, 1, __ATOMIC_RELAXED);
}

/* ---- a file that the LibOS answers for ---- */

static uint32_t inner_poll(struct file *f, uint32_t events, struct poll_wait *wait)
{
    struct inner *i = f->data;
    __atomic_add_fetch(&i->asked, 1, __ATOMIC_RELAXED);
    if (wait->reported)
        i->reported = wait->reported;
    if (i->on_ask)
        i->on_ask(i);
    wait->host_fd = i->host_fd;
    wait->events = events & POLLIN;
    wait->answer = false;
    wait->xsks = i->net;
    return __atomic_load_n(&i->ready, __ATOMIC_SEQ_CST);
}

static uint64_t inner_arrivals(struct file *f)
{
    return ((struct inner *)f->data)->arrivals;
}

static void inner_release(struct file *f)
{
    __atomic_store_n(&((struct inner *)f->data)->released, true, __ATOMIC_RELAXED);
}

static const struct file_ops inner_ops = {
    .name = "inner", .poll = inner_poll, .arrivals = inner_arrivals, .release = inner_release};

int world_inner(struct inner *i)
{
    struct file *f = file_new(&inner_ops, -1, O_RDWR);
    f->data = i;
    return file_install(f, 0, false);
}

/* ---- io_uring: this thread has none ---- */

void io_flush_along_for_ring(void)
{
    __atomic_add_fetch(&world.flushes, 1, __ATOMIC_RELAXED);
}

struct uring *uring_existing(void)
{
    return NULL;
}

int uring_enter(struct uring *u, uint64_t timeout_ns)
{
    (void)u, (void)timeout_ns;
    fail_msg("there is no io_uring to enter");
    return -EINTR;
}

bool uring_enter_if_news(struct uring *u)
{
    (void)u;
    fail_msg("there is no io_uring to enter");
    return false;
}

int user_exchange(uint32_t *user, uint32_t *expected, uint32_t new)
{
    (void)user, (void)expected, (void)new;
    return 0;
}

void uring_submit(void)
{
}

struct ring_watch *ring_watch_start(struct uring *u, int host_fd, uint32_t events)
{
    (void)u, (void)host_fd, (void)events;
    fail_msg("there is no io_uring to watch in");
    return NULL;
}

bool ring_watch_mine(const struct ring_watch *w)
{
    (void)w;
    return false;
}

uint32_t ring_watch_reported(const struct ring_watch *w)
{
    (void)w;
    return 0;
}

void ring_watch_forget(struct ring_watch *w)
{
    (void)w;
}

uint32_t ring_watch_end(struct ring_watch *w)
{
    (void)w;
    return 0;
}

void uring_flush(void)
{
}

void uring_flush_streams(void)
{
}

int uring_poll(struct uring *u, struct uring_op *op, int host_fd, uint32_t events)
{
    (void)u, (void)op, (void)host_fd, (void)events;
    return -EAGAIN;
}

int uring_cancel(struct uring *u, struct uring_op *op)
{
    (void)u, (void)op;
    return -EAGAIN;
}

/* No socket is ever taken over, so that nothing but the offer is ever called. */
void stream_offer(struct file *f)
{
    (void)f;
}

void stream_offer_listening(struct file *f, int flags)
{
    (void)f, (void)flags;
}

void stream_offer_datagrams(struct file *f, bool sends)
{
    (void)f, (void)sends;
}

int64_t stream_accept(struct file *f, int flags, struct sockaddr_storage *a, socklen_t *n)
{
    (void)f, (void)flags, (void)a, (void)n;
    fail_msg("there are no streams");
    return 0;
}

void streams_service(void)
{
}

#define NO_STREAMS fail_msg("there are no streams")

bool stream_by_ring(const struct file *f)
{
    (void)f;
    return false;
}

bool stream_datagrams(const struct file *f)
{
    (void)f;
    NO_STREAMS;
    return false;
}

int64_t datagrams_receive(struct file *f, struct msghdr *m, int flags)
{
    (void)f, (void)m, (void)flags;
    NO_STREAMS;
    return 0;
}

int64_t datagrams_send(struct file *f, const struct msghdr *m, int flags)
{
    (void)f, (void)m, (void)flags;
    NO_STREAMS;
    return 0;
}

void datagrams_sent(struct file *f, const struct msghdr *m, uint64_t length)
{
    (void)f, (void)m, (void)length;
    NO_STREAMS;
}

void datagrams_forget(struct file *f)
{
    (void)f;
    NO_STREAMS;
}

int datagrams_first_length(struct file *f)
{
    (void)f;
    NO_STREAMS;
    return -1;
}

int64_t stream_receive(struct file *f, const struct iovec *v, int count, int flags)
{
    (void)f, (void)v, (void)count, (void)flags;
    NO_STREAMS;
    return 0;
}

int64_t stream_send(struct file *f, const struct msghdr *m, int flags, bool direct)
{
    (void)f, (void)m, (void)flags, (void)direct;
    NO_STREAMS;
    return 0;
}

bool stream_poll(struct file *f, uint32_t events, struct poll_wait *wait, uint32_t *ready)
{
    (void)f, (void)events, (void)wait, (void)ready;
    NO_STREAMS;
    return false;
}

uint64_t stream_arrivals(struct file *f)
{
    (void)f;
    NO_STREAMS;
    return 0;
}

int64_t stream_splice(struct file *f, int to, uint64_t count, bool wait)
{
    (void)f, (void)to, (void)count, (void)wait;
    NO_STREAMS;
    return 0;
}

uint64_t stream_queued(struct file *f)
{
    (void)f;
    NO_STREAMS;
    return 0;
}

int stream_error(struct file *f)
{
    (void)f;
    NO_STREAMS;
    return 0;
}

void stream_leave(struct file *f)
{
    (void)f;
    NO_STREAMS;
}

void stream_release(struct file *f)
{
    (void)f;
    NO_STREAMS;
}

void stream_offer_ahead(struct file *f)
{
    (void)f;
}

void stream_never_ahead(struct file *f)
{
    (void)f;
    NO_STREAMS;
}

bool stream_reads_ahead(const struct file *f)
{
    (void)f;
    return false;
}

enum stream_look stream_ahead_look(struct file *f)
{
    (void)f;
    NO_STREAMS;
    return STREAM_WAIT;
}

bool stream_ahead_fill(struct file *f)
{
    (void)f;
    NO_STREAMS;
    return false;
}

int64_t stream_ahead_receive(struct file *f, const struct iovec *v, int count, int flags)
{
    (void)f, (void)v, (void)count, (void)flags;
    NO_STREAMS;
    return 0;
}

void stream_watched(struct file *f)
{
    (void)f;
    NO_STREAMS;
}

/* ---- what is cheaper ---- */

bool ways_window(uint64_t bytes)
{
    static int decisions;
    assert_true(bytes > 0);
    return !world.ways || ++decisions % world.ways;
}

void ways_note_window(uint64_t bytes, uint64_t cycles)
{
    assert_true(bytes > 0 && cycles > 0);
}

void ways_note_exit(uint64_t bytes, uint64_t cycles)
{
    assert_true(bytes > 0 && cycles > 0);
}

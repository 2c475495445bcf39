/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an enclave, from loading to the status that its program ends with. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/arena.h"
#include "host/files.h"
#include "host/mapped.h"
#include "host/segments.h"
#include "host/thread.h"
#include "host/uring.h"

struct host host;
extern struct start_parameters start_parameters;

enum { NEWS_END = 1, NEWS_STATISTICS = 2, NEWS_IDENTITY = 4 };

/* What the main thread waits for. */
static _Atomic uint32_t news;
static _Atomic int end_status;

static void news_post(uint32_t bit)
{
    atomic_fetch_or(&news, bit);
    syscall(SYS_futex, &news, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void statistics_request(void)
{
    news_post(NEWS_STATISTICS);
}

/* Who the program has become: on Linux that is a thread's, and its C library sees to all threads of the program. The
 * main thread is the one that others see as the process. */
static struct {
    pthread_mutex_t lock;
    uid_t uid[3];
    gid_t gid[3];
    gid_t groups[NGROUPS_MAX];
    int group_count;
} identity = {.lock = PTHREAD_MUTEX_INITIALIZER};

void identity_changed(void)
{
    pthread_mutex_lock(&identity.lock);
    getresuid(&identity.uid[0], &identity.uid[1], &identity.uid[2]);
    getresgid(&identity.gid[0], &identity.gid[1], &identity.gid[2]);
    identity.group_count = getgroups(NGROUPS_MAX, identity.groups);
    pthread_mutex_unlock(&identity.lock);
    news_post(NEWS_IDENTITY);
}

/* By the calls themselves: the C library's change all threads. */
static void identity_follow(void)
{
    pthread_mutex_lock(&identity.lock);
    if (identity.group_count >= 0)
        syscall(SYS_setgroups, (size_t)identity.group_count, identity.groups);
    syscall(SYS_setresgid, identity.gid[0], identity.gid[1], identity.gid[2]);
    syscall(SYS_setresuid, identity.uid[0], identity.uid[1], identity.uid[2]);
    pthread_mutex_unlock(&identity.lock);
}

_Noreturn void process_end(int status)
{
    atomic_store(&end_status, status);
    news_post(NEWS_END);
    for (;;)
        pause();
}

/* At `where`, whatever is there; NULL: anywhere. A child of fork inherits nothing of it but the addresses. */
static int arena_map(void *where)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (where ? MAP_FIXED : 0);
    void *arena = mmap(where, host.arena_size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (arena == MAP_FAILED)
        return -errno;
    madvise(arena, host.arena_size, MADV_NOHUGEPAGE);
    madvise(arena, host.arena_size, MADV_DONTFORK);
    host.arena = arena;
    return 0;
}

static int arena_make(void)
{
    host.arena_size = ARENA_SIZE(host.image.threads);
    int error = arena_map(NULL);
    if (error)
        return error;
    host.exit_counts = calloc(EXIT_END_, sizeof *host.exit_counts);
    return host.exit_counts ? 0 : -ENOMEM;
}

static uint64_t signals_ignored(void)
{
    uint64_t ignored = 0;
    for (int signal = 1; signal <= 64; signal++) {
        struct sigaction action;
        if (!sigaction(signal, NULL, &action) && action.sa_handler == SIG_IGN)
            ignored |= 1ull << (signal - 1);
    }
    return ignored;
}

/* What we were started with is the program's: all of our own is closed at exec. */
static void descriptors_inherited(uint64_t out[DESCRIPTORS_INHERITED / 64])
{
    for (int fd = 0; fd < DESCRIPTORS_INHERITED; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !(flags & FD_CLOEXEC))
            out[fd / 64] |= 1ull << (fd % 64);
    }
}

static void parameters_fill(const sigset_t *blocked, bool xsk)
{
    uint64_t mask;
    memcpy(&mask, blocked, sizeof mask);
    start_parameters = (struct start_parameters){
        .version = ABI_VERSION,
        .arena_address = (uint64_t)host.arena,
        .arena_size = host.arena_size,
        .pid = (uint64_t)getpid(),
        .parent_pid = (uint64_t)getppid(),
        .tid = (uint64_t)getpid(),
        .uid = getuid(),
        .euid = geteuid(),
        .gid = getgid(),
        .egid = getegid(),
        .cores = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN),
        .signals_ignored = signals_ignored(),
        .signals_blocked = mask,
        .hwcap2 = getauxval(AT_HWCAP2),
        .clock_tick = (uint64_t)sysconf(_SC_CLK_TCK),
        .xsk_allowed = xsk,
    };
    descriptors_inherited(start_parameters.descriptors);
}

_Noreturn void host_end(int status)
{
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        if (!WCOREDUMP(status))
            setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        sigset_t only;
        sigemptyset(&only);
        sigaddset(&only, number);
        raise(number);
        pthread_sigmask(SIG_UNBLOCK, &only, NULL);
        _exit(128 + number);
    }
    /* Threads of the enclave are still about: no clean-up that they could get in the way of. */
    _exit(WEXITSTATUS(status));
}

static int wait_for_end(void)
{
    for (;;) {
        uint32_t seen = atomic_exchange(&news, 0);
        if (seen & NEWS_END)
            return atomic_load(&end_status);
        if (seen & NEWS_STATISTICS)
            statistics_write();
        if (seen & NEWS_IDENTITY)
            identity_follow();
        if (!seen)
            syscall(SYS_futex, &news, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    }
}

int host_run(const struct run_options *options)
{
    host.options = options;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, NULL, &old);

    int xsk = 0;
    if (options->rings)
        xsk = xsk_host_start(options->interfaces, options->queues, options->interface_count,
                             options->xsk_uds);
    if (xsk < 0)
        return -1;
    if (image_load(&host.image, options)) {
        xsk_host_stop();
        return -1;
    }
    mapped_start();
    int error = arena_make();
    if (!error)
        error = threads_start();
    parameters_fill(&old, xsk > 0);
    if (!error)
        error = signals_start();
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (!error)
        error = thread_run(0, false);
    if (error) {
        fprintf(stderr, "rakis: cannot start the enclave: %s\n", strerror(-error));
        xsk_host_stop();
        return -1;
    }
    int status = wait_for_end();
    extents_finish();
    if (options->statistics_path)
        statistics_write();
    xsk_host_stop();
    return status;
}

/* The first process's statistics are where they were asked for, those of others beside them. */
static void statistics_rename(struct run_options *o)
{
    static char first[PATH_MAX], path[PATH_MAX + 16];
    if (!o->statistics_path || !strcmp(o->statistics_path, "-"))
        return;
    if (!*first)
        snprintf(first, sizeof first, "%s", o->statistics_path);
    snprintf(path, sizeof path, "%s.%d", first, (int)getpid());
    o->statistics_path = path;
}

_Noreturn void host_run_forked(int in, int out)
{
    static struct run_options options;
    options = *host.options;
    host.options = &options;
    statistics_rename(&options);
    atomic_store(&news, 0);
    memset(host.exit_counts, 0, EXIT_END_ * sizeof *host.exit_counts);
    threads_forked();
    xsk_host_forked();
    uring_forked();
    segments_forked();
    extents_forked();

    sigset_t none;
    sigemptyset(&none);
    int error = arena_map(host.arena);
    if (!error && image_again(&host.image))
        host_end(SIGKILL);
    mapped_forked();
    parameters_fill(&none, false);
    start_parameters.forked = 1;
    start_parameters.fork_in = (uint64_t)in;
    start_parameters.fork_out = (uint64_t)out;
    if (!error)
        error = thread_run(0, false);
    if (error) {
        fprintf(stderr, "rakis: cannot start the enclave of a process: %s\n", strerror(-error));
        host_end(SIGKILL);
    }
    int status = wait_for_end();
    extents_finish();
    if (options.statistics_path)
        statistics_write();
    host_end(status);
}

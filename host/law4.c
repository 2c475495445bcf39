/* SPDX-License-Identifier: Apache-2.0 */
#include "host/law4.h"

#include <linux/futex.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "host/host.h"

#define KNOWN 0x80
/* The pointers among a call's arguments, first to sixth. */
#define P(...) (KNOWN | P_SUM(__VA_ARGS__, 0, 0, 0, 0))
#define P_SUM(a, b, c, d, ...) (BIT(a) | BIT(b) | BIT(c) | BIT(d))
#define BIT(n) ((1 << (n)) >> 1)

/* Enclaves may begin at address 0, where any number is an address: so it matters which are pointers.
 * Calls that are not listed are held to have none below 4 GiB, and may have them anywhere. */
static const uint8_t pointers[] = {
    [SYS_read] = P(2), [SYS_write] = P(2), [SYS_open] = P(1), [SYS_close] = P(0),
    [SYS_stat] = P(1, 2), [SYS_fstat] = P(2), [SYS_lstat] = P(1, 2), [SYS_poll] = P(1),
    [SYS_lseek] = P(0), [SYS_ioctl] = P(3), [SYS_pread64] = P(2), [SYS_pwrite64] = P(2),
    [SYS_readv] = P(2), [SYS_writev] = P(2), [SYS_access] = P(1), [SYS_pipe] = P(1),
    [SYS_select] = P(2, 3, 4, 5), [SYS_sched_yield] = P(0), [SYS_dup] = P(0), [SYS_dup2] = P(0),
    [SYS_nanosleep] = P(1, 2), [SYS_getitimer] = P(2), [SYS_setitimer] = P(2, 3),
    [SYS_getpid] = P(0), [SYS_sendfile] = P(3), [SYS_socket] = P(0), [SYS_connect] = P(2),
    [SYS_accept] = P(2, 3), [SYS_sendto] = P(2, 5), [SYS_recvfrom] = P(2, 5, 6),
    [SYS_sendmsg] = P(2), [SYS_recvmsg] = P(2), [SYS_shutdown] = P(0), [SYS_bind] = P(2),
    [SYS_listen] = P(0), [SYS_getsockname] = P(2, 3), [SYS_getpeername] = P(2, 3),
    [SYS_socketpair] = P(4), [SYS_setsockopt] = P(4), [SYS_getsockopt] = P(4, 5),
    [SYS_wait4] = P(2, 4), [SYS_waitid] = P(3, 5), [SYS_kill] = P(0), [SYS_setpgid] = P(0),
    [SYS_getpgid] = P(0), [SYS_getsid] = P(0), [SYS_setsid] = P(0), [SYS_getppid] = P(0), [SYS_getpgrp] = P(0),
    [SYS_uname] = P(1), [SYS_fcntl] = P(0), [SYS_flock] = P(0),
    [SYS_fsync] = P(0), [SYS_fdatasync] = P(0), [SYS_truncate] = P(1), [SYS_ftruncate] = P(0),
    [SYS_getcwd] = P(1), [SYS_chdir] = P(1), [SYS_fchdir] = P(0), [SYS_rename] = P(1, 2),
    [SYS_mkdir] = P(1), [SYS_rmdir] = P(1), [SYS_link] = P(1, 2), [SYS_unlink] = P(1),
    [SYS_symlink] = P(1, 2), [SYS_readlink] = P(1, 2), [SYS_chmod] = P(1), [SYS_fchmod] = P(0),
    [SYS_chown] = P(1), [SYS_fchown] = P(0), [SYS_lchown] = P(1), [SYS_umask] = P(0),
    [SYS_gettimeofday] = P(1, 2), [SYS_getrusage] = P(2), [SYS_sysinfo] = P(1), [SYS_times] = P(1),
    [SYS_setuid] = P(0), [SYS_setgid] = P(0), [SYS_setreuid] = P(0), [SYS_setregid] = P(0),
    [SYS_setresuid] = P(0), [SYS_setresgid] = P(0),
    [SYS_getpriority] = P(0), [SYS_setpriority] = P(0),
    [SYS_rt_sigqueueinfo] = P(3), [SYS_alarm] = P(0),
    [SYS_getuid] = P(0), [SYS_getgid] = P(0), [SYS_geteuid] = P(0), [SYS_getegid] = P(0),
    [SYS_getgroups] = P(2), [SYS_getresuid] = P(1, 2, 3), [SYS_getresgid] = P(1, 2, 3),
    [SYS_capget] = P(1, 2), [SYS_statfs] = P(1, 2), [SYS_fstatfs] = P(2), [SYS_sync] = P(0),
    [SYS_sched_setaffinity] = P(3), [SYS_sched_getaffinity] = P(3), [SYS_time] = P(1),
    [SYS_gettid] = P(0), [SYS_readahead] = P(0), [SYS_tkill] = P(0), [SYS_tgkill] = P(0),
    [SYS_setxattr] = P(1, 2, 3), [SYS_lsetxattr] = P(1, 2, 3), [SYS_fsetxattr] = P(2, 3),
    [SYS_getxattr] = P(1, 2, 3), [SYS_lgetxattr] = P(1, 2, 3), [SYS_fgetxattr] = P(2, 3),
    [SYS_listxattr] = P(1, 2), [SYS_llistxattr] = P(1, 2), [SYS_flistxattr] = P(2),
    [SYS_removexattr] = P(1, 2), [SYS_lremovexattr] = P(1, 2), [SYS_fremovexattr] = P(2),
    [SYS_futex] = P(1, 5), [SYS_getdents64] = P(2), [SYS_fadvise64] = P(0),
    [SYS_clock_gettime] = P(2), [SYS_clock_getres] = P(2), [SYS_clock_nanosleep] = P(3, 4),
    [SYS_epoll_wait] = P(2), [SYS_epoll_ctl] = P(4), [SYS_inotify_init] = P(0),
    [SYS_inotify_add_watch] = P(2), [SYS_inotify_rm_watch] = P(0), [SYS_openat] = P(2),
    [SYS_mkdirat] = P(2), [SYS_mknodat] = P(2), [SYS_fchownat] = P(2), [SYS_newfstatat] = P(2, 3),
    [SYS_unlinkat] = P(2), [SYS_renameat] = P(2, 4), [SYS_linkat] = P(2, 4),
    [SYS_symlinkat] = P(1, 3), [SYS_readlinkat] = P(2, 3), [SYS_fchmodat] = P(2),
    [SYS_faccessat] = P(2), [SYS_pselect6] = P(2, 3, 4, 5) | BIT(6), [SYS_ppoll] = P(1, 3, 4),
    [SYS_splice] = P(2, 4), [SYS_tee] = P(0), [SYS_sync_file_range] = P(0), [SYS_vmsplice] = P(2),
    [SYS_utimensat] = P(2, 3), [SYS_epoll_pwait] = P(2, 5), [SYS_signalfd] = P(2),
    [SYS_timer_create] = P(2, 3), [SYS_timer_settime] = P(3, 4), [SYS_timer_delete] = P(0),
    [SYS_timerfd_create] = P(0), [SYS_eventfd] = P(0), [SYS_fallocate] = P(0),
    [SYS_timerfd_settime] = P(3, 4), [SYS_timerfd_gettime] = P(2), [SYS_accept4] = P(2, 3),
    [SYS_signalfd4] = P(2), [SYS_eventfd2] = P(0), [SYS_epoll_create1] = P(0), [SYS_dup3] = P(0),
    [SYS_pipe2] = P(1), [SYS_inotify_init1] = P(0), [SYS_preadv] = P(2), [SYS_pwritev] = P(2),
    [SYS_recvmmsg] = P(2, 5), [SYS_prlimit64] = P(3, 4), [SYS_syncfs] = P(0), [SYS_sendmmsg] = P(2),
    [SYS_setgroups] = P(2), [SYS_capset] = P(1, 2), [SYS_chroot] = P(1), [SYS_setfsuid] = P(0),
    [SYS_setfsgid] = P(0), [SYS_sched_getparam] = P(2), [SYS_sched_setparam] = P(2),
    [SYS_sched_setscheduler] = P(3), [SYS_sched_getattr] = P(2), [SYS_sched_setattr] = P(2),
    [SYS_sched_rr_get_interval] = P(2), [SYS_ioprio_get] = P(0), [SYS_ioprio_set] = P(0),
    [SYS_membarrier] = P(0), [SYS_pidfd_open] = P(0), [SYS_pidfd_send_signal] = P(3),
    [SYS_getcpu] = P(1, 2), [SYS_renameat2] = P(2, 4), [SYS_getrandom] = P(1),
    [SYS_memfd_create] = P(1), [SYS_copy_file_range] = P(2, 4), [SYS_preadv2] = P(2),
    [SYS_pwritev2] = P(2), [SYS_statx] = P(2, 5), [SYS_io_uring_setup] = P(2),
    [SYS_io_uring_enter] = P(5), [SYS_io_uring_register] = P(3), [SYS_openat2] = P(2, 3),
    [SYS_semget] = P(0), [SYS_semop] = P(2), [SYS_semtimedop] = P(2, 4), [SYS_semctl] = P(0), [SYS_msgget] = P(0),
    [SYS_msgsnd] = P(2), [SYS_msgrcv] = P(2), [SYS_msgctl] = P(3), [SYS_shmget] = P(0), [SYS_shmctl] = P(3),
    [SYS_mq_open] = P(1, 4), [SYS_mq_unlink] = P(1), [SYS_mq_timedsend] = P(2, 5), [SYS_mq_notify] = P(2),
    [SYS_mq_timedreceive] = P(2, 4, 5), [SYS_mq_getsetattr] = P(2, 3),
    [SYS_faccessat2] = P(2), [SYS_epoll_pwait2] = P(2, 4, 5),
};

#define UNLISTED_LEAST (1ull << 32)

/* Where the range starts at 0 nothing lies below this: what is less is a number, as ioctl takes for some. */
#define LOWEST_PAGE 0x10000

static bool inside(const struct host *h, uint64_t address)
{
    return address >= LOWEST_PAGE && address >= h->image.base && address - h->image.base < h->image.size;
}

/* Does [address, +length) begin or end in the enclave, or enclose it? */
static bool overlaps(const struct host *h, uint64_t address, uint64_t length)
{
    if (!address || !length)
        return false;
    uint64_t last = length - 1 > UINT64_MAX - address ? UINT64_MAX : address + length - 1;
    return address < h->image.base + h->image.size && last >= h->image.base;
}

/* Copies what lies wholly in the arena. False: it does not. */
static bool take(const struct host *h, void *to, uint64_t address, size_t size)
{
    uint64_t base = (uint64_t)h->arena;
    if (address < base || address - base > h->arena_size ||
        size > h->arena_size - (address - base))
        return false;
    memcpy(to, (const void *)address, size);
    return true;
}

static const char *vector_check(const struct host *h, uint64_t address, uint64_t count)
{
    struct iovec v;
    if (inside(h, address))
        return "an array of buffers";
    for (uint64_t i = 0; i < count && i < 1024 && take(h, &v, address + i * sizeof v, sizeof v); i++)
        if (overlaps(h, (uint64_t)v.iov_base, v.iov_len))
            return "a buffer of an array of buffers";
    return NULL;
}

static const char *message_check(const struct host *h, uint64_t address)
{
    struct msghdr m;
    if (!take(h, &m, address, sizeof m))
        return NULL;
    if (inside(h, (uint64_t)m.msg_name))
        return "msg_name";
    if (inside(h, (uint64_t)m.msg_control))
        return "msg_control";
    return vector_check(h, (uint64_t)m.msg_iov, m.msg_iovlen);
}

static const char *messages_check(const struct host *h, uint64_t address, uint64_t count)
{
    const char *wrong = NULL;
    for (uint64_t i = 0; i < count && i < 1024 && !wrong; i++)
        wrong = message_check(h, address + i * sizeof(struct mmsghdr));
    return wrong;
}

/* A structure with one pointer, at `at`. */
static const char *pointer_check(const struct host *h, uint64_t address, size_t at, const char *what)
{
    uint64_t pointer;
    return take(h, &pointer, address + at, sizeof pointer) && inside(h, pointer) ? what : NULL;
}

#define FILTER_POINTER 8 /* in struct sock_fprog, after len */

static const char *option_check(const struct host *h, const uint64_t a[6])
{
    int name = (int)a[2];
    if ((int)a[1] != SOL_SOCKET || (name != SO_ATTACH_FILTER && name != SO_ATTACH_REUSEPORT_CBPF))
        return NULL;
    return pointer_check(h, a[3], FILTER_POINTER, "the instructions of a socket filter");
}

static const char *ring_enter_check(const struct host *h, const uint64_t a[6])
{
    struct io_uring_getevents_arg extra;
    if (!(a[3] & IORING_ENTER_EXT_ARG) || !take(h, &extra, a[4], sizeof extra))
        return NULL;
    if (inside(h, extra.sigmask))
        return "the signal mask of io_uring_enter";
    return inside(h, extra.ts) ? "the timeout of io_uring_enter" : NULL;
}

/* What the event carries is a pointer only where it goes to a socket. */
static const char *notify_check(const struct host *h, uint64_t address)
{
    struct sigevent event;
    if (!take(h, &event, address, sizeof event) || event.sigev_notify != SIGEV_THREAD)
        return NULL;
    return inside(h, (uint64_t)event.sigev_value.sival_ptr) ? "the cookie of mq_notify" : NULL;
}

static bool futex_has_timeout_or_second(uint64_t operation)
{
    switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_WAIT_REQUEUE_PI:
        return true;
    }
    return false;
}

static const char *nested_check(const struct host *h, uint64_t number, const uint64_t a[6])
{
    switch (number) {
    case SYS_readv:
    case SYS_writev:
    case SYS_preadv:
    case SYS_pwritev:
    case SYS_preadv2:
    case SYS_pwritev2:
    case SYS_vmsplice:
        return vector_check(h, a[1], a[2]);
    case SYS_sendmsg:
    case SYS_recvmsg:
        return message_check(h, a[1]);
    case SYS_sendmmsg:
    case SYS_recvmmsg:
        return messages_check(h, a[1], a[2]);
    case SYS_pselect6:
        return pointer_check(h, a[5], 0, "the signal mask of pselect6");
    case SYS_setsockopt:
        return option_check(h, a);
    case SYS_ioctl:
        return a[1] == SIOCGIFCONF
                   ? pointer_check(h, a[2], offsetof(struct ifconf, ifc_buf), "ifc_buf")
                   : NULL;
    case SYS_fcntl:
        /* Locks and owners: a pointer. The other commands: numbers, all small. */
        return a[2] >= UNLISTED_LEAST && inside(h, a[2]) ? "argument 3" : NULL;
    case SYS_futex:
        return futex_has_timeout_or_second(a[1]) && inside(h, a[3]) ? "argument 4" : NULL;
    case SYS_semctl:
        return a[2] != SETVAL && inside(h, a[3]) ? "argument 4" : NULL;
    case SYS_mq_notify:
        return notify_check(h, a[1]);
    case SYS_io_uring_enter:
        return ring_enter_check(h, a);
    }
    return NULL;
}

const char *law4_check(const struct host *h, uint64_t number, const uint64_t a[6])
{
    static const char *const names[] = {"argument 1", "argument 2", "argument 3",
                                        "argument 4", "argument 5", "argument 6"};
    /* Our own exits carry numbers and offsets, which an enclave at 0 cannot tell from addresses. */
    if (number >= EXIT_BASE && h->image.base == 0)
        return NULL;
    unsigned which = number < sizeof pointers ? pointers[number] : 0;
    uint64_t least = which & KNOWN ? 1 : UNLISTED_LEAST;
    if (!(which & KNOWN))
        which = 0x3f;
    for (unsigned i = 0; i < 6; i++)
        if (which >> i & 1 && a[i] >= least && inside(h, a[i]))
            return names[i];
    return nested_check(h, number, a);
}

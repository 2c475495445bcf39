/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/trace_names.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <asm/unistd_64.h>

#include "enclave/lib/lib.h"

static const char *const errors[] = {
    [1] = "EPERM", [2] = "ENOENT", [3] = "ESRCH", [4] = "EINTR", [5] = "EIO", [6] = "ENXIO",
    [7] = "E2BIG", [8] = "ENOEXEC", [9] = "EBADF", [10] = "ECHILD", [11] = "EAGAIN",
    [12] = "ENOMEM", [13] = "EACCES", [14] = "EFAULT", [15] = "ENOTBLK", [16] = "EBUSY",
    [17] = "EEXIST", [18] = "EXDEV", [19] = "ENODEV", [20] = "ENOTDIR", [21] = "EISDIR",
    [22] = "EINVAL", [23] = "ENFILE", [24] = "EMFILE", [25] = "ENOTTY", [26] = "ETXTBSY",
    [27] = "EFBIG", [28] = "ENOSPC", [29] = "ESPIPE", [30] = "EROFS", [31] = "EMLINK",
    [32] = "EPIPE", [33] = "EDOM", [34] = "ERANGE", [35] = "EDEADLK", [36] = "ENAMETOOLONG",
    [37] = "ENOLCK", [38] = "ENOSYS", [39] = "ENOTEMPTY", [40] = "ELOOP", [42] = "ENOMSG",
    [43] = "EIDRM", [44] = "ECHRNG", [45] = "EL2NSYNC", [46] = "EL3HLT", [47] = "EL3RST",
    [48] = "ELNRNG", [49] = "EUNATCH", [50] = "ENOCSI", [51] = "EL2HLT", [52] = "EBADE",
    [53] = "EBADR", [54] = "EXFULL", [55] = "ENOANO", [56] = "EBADRQC", [57] = "EBADSLT",
    [59] = "EBFONT", [60] = "ENOSTR", [61] = "ENODATA", [62] = "ETIME", [63] = "ENOSR",
    [64] = "ENONET", [65] = "ENOPKG", [66] = "EREMOTE", [67] = "ENOLINK", [68] = "EADV",
    [69] = "ESRMNT", [70] = "ECOMM", [71] = "EPROTO", [72] = "EMULTIHOP", [73] = "EDOTDOT",
    [74] = "EBADMSG", [75] = "EOVERFLOW", [76] = "ENOTUNIQ", [77] = "EBADFD", [78] = "EREMCHG",
    [79] = "ELIBACC", [80] = "ELIBBAD", [81] = "ELIBSCN", [82] = "ELIBMAX", [83] = "ELIBEXEC",
    [84] = "EILSEQ", [85] = "ERESTART", [86] = "ESTRPIPE", [87] = "EUSERS", [88] = "ENOTSOCK",
    [89] = "EDESTADDRREQ", [90] = "EMSGSIZE", [91] = "EPROTOTYPE", [92] = "ENOPROTOOPT",
    [93] = "EPROTONOSUPPORT", [94] = "ESOCKTNOSUPPORT", [95] = "EOPNOTSUPP",
    [96] = "EPFNOSUPPORT", [97] = "EAFNOSUPPORT", [98] = "EADDRINUSE", [99] = "EADDRNOTAVAIL",
    [100] = "ENETDOWN", [101] = "ENETUNREACH", [102] = "ENETRESET", [103] = "ECONNABORTED",
    [104] = "ECONNRESET", [105] = "ENOBUFS", [106] = "EISCONN", [107] = "ENOTCONN",
    [108] = "ESHUTDOWN", [109] = "ETOOMANYREFS", [110] = "ETIMEDOUT", [111] = "ECONNREFUSED",
    [112] = "EHOSTDOWN", [113] = "EHOSTUNREACH", [114] = "EALREADY", [115] = "EINPROGRESS",
    [116] = "ESTALE", [117] = "EUCLEAN", [118] = "ENOTNAM", [119] = "ENAVAIL",
    [120] = "EISNAM", [121] = "EREMOTEIO", [122] = "EDQUOT", [123] = "ENOMEDIUM",
    [124] = "EMEDIUMTYPE", [125] = "ECANCELED", [126] = "ENOKEY", [127] = "EKEYEXPIRED",
    [128] = "EKEYREVOKED", [129] = "EKEYREJECTED", [130] = "EOWNERDEAD",
    [131] = "ENOTRECOVERABLE", [132] = "ERFKILL",
};

static const char *const signatures[] = {
    [__NR_read] = "dbn", [__NR_write] = "dwn", [__NR_open] = "sOo", [__NR_close] = "d",
    [__NR_stat] = "sp", [__NR_fstat] = "dp", [__NR_lstat] = "sp", [__NR_poll] = "fud",
    [__NR_lseek] = "dlW", [__NR_mmap] = "pnPMdx", [__NR_mprotect] = "pnP", [__NR_munmap] = "pn",
    [__NR_brk] = "p", [__NR_rt_sigaction] = "Sppn", [__NR_rt_sigprocmask] = "Hggn",
    [__NR_rt_sigreturn] = "", [__NR_ioctl] = "dIp", [__NR_pread64] = "dbnl",
    [__NR_pwrite64] = "dwnl", [__NR_readv] = "dvu", [__NR_writev] = "dvu", [__NR_access] = "so",
    [__NR_pipe] = "2", [__NR_select] = "dpppT", [__NR_sched_yield] = "", [__NR_mremap] = "pnnxp",
    [__NR_msync] = "pnx", [__NR_mincore] = "pnp", [__NR_madvise] = "pnG", [__NR_dup] = "d",
    [__NR_dup2] = "dd", [__NR_pause] = "", [__NR_nanosleep] = "tp", [__NR_getitimer] = "dp",
    [__NR_alarm] = "u", [__NR_setitimer] = "dpp", [__NR_getpid] = "", [__NR_sendfile] = "ddpn",
    [__NR_socket] = "KYd", [__NR_connect] = "dau", [__NR_accept] = "dAp", [__NR_sendto] = "dwnxau",
    [__NR_recvfrom] = "dbnxAp", [__NR_sendmsg] = "dpx", [__NR_recvmsg] = "dpx",
    [__NR_shutdown] = "dd", [__NR_bind] = "dau", [__NR_listen] = "dd", [__NR_getsockname] = "dAp",
    [__NR_getpeername] = "dAp", [__NR_socketpair] = "KYd2", [__NR_setsockopt] = "dLdpu",
    [__NR_getsockopt] = "dLdpp", [__NR_clone] = "Cpppp", [__NR_fork] = "", [__NR_vfork] = "",
    [__NR_execve] = "spp", [__NR_exit] = "d", [__NR_wait4] = "dpxp", [__NR_kill] = "dS",
    [__NR_uname] = "p", [__NR_fcntl] = "dNx", [__NR_flock] = "dx", [__NR_fsync] = "d",
    [__NR_fdatasync] = "d", [__NR_truncate] = "sl", [__NR_ftruncate] = "dl",
    [__NR_getdents] = "dpu", [__NR_getcwd] = "Bn", [__NR_chdir] = "s", [__NR_fchdir] = "d",
    [__NR_rename] = "ss", [__NR_mkdir] = "so", [__NR_rmdir] = "s", [__NR_creat] = "so",
    [__NR_link] = "ss", [__NR_unlink] = "s", [__NR_symlink] = "ss", [__NR_readlink] = "sbn",
    [__NR_chmod] = "so", [__NR_fchmod] = "do", [__NR_chown] = "sdd", [__NR_fchown] = "ddd",
    [__NR_lchown] = "sdd", [__NR_umask] = "o", [__NR_gettimeofday] = "pp", [__NR_getrlimit] = "Rp",
    [__NR_getrusage] = "dp", [__NR_sysinfo] = "p", [__NR_times] = "p", [__NR_getuid] = "",
    [__NR_getgid] = "", [__NR_setuid] = "u", [__NR_setgid] = "u", [__NR_geteuid] = "",
    [__NR_getegid] = "", [__NR_setpgid] = "dd", [__NR_getppid] = "", [__NR_getpgrp] = "",
    [__NR_setsid] = "", [__NR_setreuid] = "dd", [__NR_setregid] = "dd", [__NR_getgroups] = "dp",
    [__NR_setgroups] = "dp", [__NR_setresuid] = "ddd", [__NR_getresuid] = "ppp",
    [__NR_setresgid] = "ddd", [__NR_getresgid] = "ppp", [__NR_getpgid] = "d",
    [__NR_setfsuid] = "u", [__NR_setfsgid] = "u", [__NR_getsid] = "d", [__NR_capget] = "pp",
    [__NR_capset] = "pp", [__NR_rt_sigpending] = "gn", [__NR_rt_sigtimedwait] = "gptn",
    [__NR_rt_sigqueueinfo] = "dSp", [__NR_rt_sigsuspend] = "gn", [__NR_sigaltstack] = "pp",
    [__NR_utime] = "sp", [__NR_mknod] = "sox", [__NR_personality] = "x", [__NR_statfs] = "sp",
    [__NR_fstatfs] = "dp", [__NR_getpriority] = "dd", [__NR_setpriority] = "ddd",
    [__NR_sched_setparam] = "dp", [__NR_sched_getparam] = "dp", [__NR_sched_setscheduler] = "ddp",
    [__NR_sched_getscheduler] = "d", [__NR_sched_get_priority_max] = "d",
    [__NR_sched_get_priority_min] = "d", [__NR_sched_rr_get_interval] = "dp", [__NR_mlock] = "pn",
    [__NR_munlock] = "pn", [__NR_mlockall] = "x", [__NR_munlockall] = "", [__NR_prctl] = "dxxxx",
    [__NR_arch_prctl] = "xp", [__NR_setrlimit] = "Rp", [__NR_chroot] = "s", [__NR_sync] = "",
    [__NR_gettid] = "", [__NR_readahead] = "dln", [__NR_setxattr] = "sspnx",
    [__NR_getxattr] = "sspn", [__NR_fgetxattr] = "dspn", [__NR_listxattr] = "spn",
    [__NR_removexattr] = "ss", [__NR_tkill] = "dS", [__NR_time] = "p", [__NR_futex] = "pFdxpx",
    [__NR_sched_setaffinity] = "dnp", [__NR_sched_getaffinity] = "dnp", [__NR_epoll_create] = "d",
    [__NR_getdents64] = "dpn", [__NR_set_tid_address] = "p", [__NR_restart_syscall] = "",
    [__NR_fadvise64] = "dlld", [__NR_timer_create] = "cpp", [__NR_timer_settime] = "dxpp",
    [__NR_timer_gettime] = "dp", [__NR_timer_getoverrun] = "d", [__NR_timer_delete] = "d",
    [__NR_clock_gettime] = "cp", [__NR_clock_getres] = "cp", [__NR_clock_nanosleep] = "cxtp",
    [__NR_exit_group] = "d", [__NR_epoll_wait] = "djdd", [__NR_epoll_ctl] = "dEde",
    [__NR_tgkill] = "ddS", [__NR_utimes] = "sp", [__NR_waitid] = "ddpxp", [__NR_inotify_init] = "",
    [__NR_inotify_add_watch] = "dsx", [__NR_inotify_rm_watch] = "dd", [__NR_openat] = "DsOo",
    [__NR_mkdirat] = "Dso", [__NR_mknodat] = "Dsox", [__NR_fchownat] = "Dsddx",
    [__NR_futimesat] = "Dsp", [__NR_newfstatat] = "Dspx", [__NR_unlinkat] = "Dsx",
    [__NR_renameat] = "DsDs", [__NR_linkat] = "DsDsx", [__NR_symlinkat] = "sDs",
    [__NR_readlinkat] = "Dsbn", [__NR_fchmodat] = "Dso", [__NR_faccessat] = "Dso",
    [__NR_pselect6] = "dppptp", [__NR_ppoll] = "futgn", [__NR_set_robust_list] = "pn",
    [__NR_get_robust_list] = "dpp", [__NR_splice] = "dpdpnx", [__NR_tee] = "ddnx",
    [__NR_sync_file_range] = "dllx", [__NR_vmsplice] = "dvux", [__NR_utimensat] = "Dspx",
    [__NR_epoll_pwait] = "djddgn", [__NR_signalfd] = "dgn", [__NR_timerfd_create] = "cx",
    [__NR_eventfd] = "u", [__NR_fallocate] = "dxll", [__NR_timerfd_settime] = "dxpp",
    [__NR_timerfd_gettime] = "dp", [__NR_accept4] = "dApx", [__NR_signalfd4] = "dgnx",
    [__NR_eventfd2] = "ux", [__NR_epoll_create1] = "x", [__NR_dup3] = "ddx", [__NR_pipe2] = "2O",
    [__NR_inotify_init1] = "x", [__NR_preadv] = "dvul", [__NR_pwritev] = "dvul",
    [__NR_rt_tgsigqueueinfo] = "ddSp", [__NR_recvmmsg] = "dpuxt", [__NR_prlimit64] = "dRpp",
    [__NR_syncfs] = "d", [__NR_sendmmsg] = "dpux", [__NR_getcpu] = "pp",
    [__NR_sched_setattr] = "dpx", [__NR_sched_getattr] = "dpux", [__NR_renameat2] = "DsDsx",
    [__NR_getrandom] = "pnx", [__NR_memfd_create] = "sx", [__NR_execveat] = "Dsppx",
    [__NR_membarrier] = "dxd", [__NR_mlock2] = "pnx", [__NR_copy_file_range] = "dpdpnx",
    [__NR_preadv2] = "dvulxx", [__NR_pwritev2] = "dvulxx", [__NR_statx] = "Dsxxp",
    [__NR_rseq] = "puxx", [__NR_pidfd_send_signal] = "dSpx", [__NR_clone3] = "pn",
    [__NR_close_range] = "uux", [__NR_openat2] = "Dspn", [__NR_pidfd_getfd] = "ddx",
    [__NR_faccessat2] = "Dsox", [__NR_epoll_pwait2] = "djdtgn", [__NR_pidfd_open] = "dx",
    [__NR_ioprio_get] = "dd", [__NR_ioprio_set] = "ddx",
};

#define N(name) {(uint64_t)(name), #name},

static const struct trace_name open_flags[] = {
    N(O_RDONLY) N(O_WRONLY) N(O_RDWR) N(O_CREAT) N(O_EXCL) N(O_NOCTTY) N(O_TRUNC) N(O_APPEND)
    N(O_NONBLOCK) N(O_DSYNC) N(O_DIRECT) N(O_DIRECTORY) N(O_NOFOLLOW) N(O_NOATIME) N(O_CLOEXEC)
    N(O_PATH)
};

static const struct trace_name protections[] = {
    N(PROT_NONE) N(PROT_READ) N(PROT_WRITE) N(PROT_EXEC)
};

static const struct trace_name map_flags[] = {
    N(MAP_SHARED) N(MAP_PRIVATE) N(MAP_SHARED_VALIDATE) N(MAP_FIXED) N(MAP_ANONYMOUS)
    N(MAP_GROWSDOWN) N(MAP_DENYWRITE) N(MAP_LOCKED) N(MAP_NORESERVE) N(MAP_POPULATE)
    N(MAP_NONBLOCK) N(MAP_STACK) N(MAP_HUGETLB) N(MAP_FIXED_NOREPLACE)
};

static const struct trace_name signals[] = {
    N(SIGHUP) N(SIGINT) N(SIGQUIT) N(SIGILL) N(SIGTRAP) N(SIGABRT) N(SIGBUS) N(SIGFPE) N(SIGKILL)
    N(SIGUSR1) N(SIGSEGV) N(SIGUSR2) N(SIGPIPE) N(SIGALRM) N(SIGTERM) N(SIGSTKFLT) N(SIGCHLD)
    N(SIGCONT) N(SIGSTOP) N(SIGTSTP) N(SIGTTIN) N(SIGTTOU) N(SIGURG) N(SIGXCPU) N(SIGXFSZ)
    N(SIGVTALRM) N(SIGPROF) N(SIGWINCH) N(SIGIO) N(SIGPWR) N(SIGSYS)
};

static const struct trace_name whences[] = {
    N(SEEK_SET) N(SEEK_CUR) N(SEEK_END) N(SEEK_DATA) N(SEEK_HOLE)
};

static const struct trace_name hows[] = {
    N(SIG_BLOCK) N(SIG_UNBLOCK) N(SIG_SETMASK)
};

static const struct trace_name clocks[] = {
    N(CLOCK_REALTIME) N(CLOCK_MONOTONIC) N(CLOCK_PROCESS_CPUTIME_ID) N(CLOCK_THREAD_CPUTIME_ID)
    N(CLOCK_MONOTONIC_RAW) N(CLOCK_REALTIME_COARSE) N(CLOCK_MONOTONIC_COARSE) N(CLOCK_BOOTTIME)
    N(CLOCK_TAI)
};

static const struct trace_name families[] = {
    N(AF_UNIX) N(AF_INET) N(AF_INET6) N(AF_NETLINK) N(AF_PACKET)
};

static const struct trace_name types[] = {
    N(SOCK_STREAM) N(SOCK_DGRAM) N(SOCK_RAW) N(SOCK_SEQPACKET) N(SOCK_CLOEXEC) N(SOCK_NONBLOCK)
};

static const struct trace_name levels[] = {
    N(SOL_SOCKET) N(IPPROTO_IP) N(IPPROTO_IPV6) N(IPPROTO_TCP) N(IPPROTO_UDP)
};

static const struct trace_name epoll_operations[] = {
    N(EPOLL_CTL_ADD) N(EPOLL_CTL_DEL) N(EPOLL_CTL_MOD)
};

static const struct trace_name epoll_events[] = {
    N(EPOLLIN) N(EPOLLPRI) N(EPOLLOUT) N(EPOLLERR) N(EPOLLHUP) N(EPOLLRDNORM) N(EPOLLWRNORM)
    N(EPOLLRDHUP) N(EPOLLEXCLUSIVE) N(EPOLLONESHOT) N(EPOLLET)
};

static const struct trace_name clone_flags[] = {
    N(SIGCHLD) N(CLONE_VM) N(CLONE_FS) N(CLONE_FILES) N(CLONE_SIGHAND) N(CLONE_PIDFD)
    N(CLONE_VFORK) N(CLONE_THREAD) N(CLONE_SYSVSEM) N(CLONE_SETTLS) N(CLONE_PARENT_SETTID)
    N(CLONE_CHILD_CLEARTID) N(CLONE_CHILD_SETTID)
};

static const struct trace_name futex_operations[] = {
    N(FUTEX_WAIT) N(FUTEX_WAKE) N(FUTEX_REQUEUE) N(FUTEX_CMP_REQUEUE) N(FUTEX_WAKE_OP)
    N(FUTEX_LOCK_PI) N(FUTEX_UNLOCK_PI) N(FUTEX_TRYLOCK_PI) N(FUTEX_WAIT_BITSET)
    N(FUTEX_WAKE_BITSET) N(FUTEX_WAIT_REQUEUE_PI) N(FUTEX_CMP_REQUEUE_PI) N(FUTEX_LOCK_PI2)
    N(FUTEX_PRIVATE_FLAG) N(FUTEX_CLOCK_REALTIME)
};

static const struct trace_name advices[] = {
    N(MADV_NORMAL) N(MADV_RANDOM) N(MADV_SEQUENTIAL) N(MADV_WILLNEED) N(MADV_DONTNEED) N(MADV_FREE)
    N(MADV_HUGEPAGE) N(MADV_NOHUGEPAGE) N(MADV_DONTDUMP) N(MADV_DODUMP)
};

static const struct trace_name fcntl_commands[] = {
    N(F_DUPFD) N(F_GETFD) N(F_SETFD) N(F_GETFL) N(F_SETFL) N(F_GETLK) N(F_SETLK) N(F_SETLKW)
    N(F_OFD_GETLK) N(F_OFD_SETLK) N(F_OFD_SETLKW) N(F_SETOWN) N(F_GETOWN) N(F_DUPFD_CLOEXEC)
    N(F_SETPIPE_SZ) N(F_GETPIPE_SZ) N(F_ADD_SEALS) N(F_GET_SEALS)
};

static const struct trace_name resources[] = {
    N(RLIMIT_CPU) N(RLIMIT_FSIZE) N(RLIMIT_DATA) N(RLIMIT_STACK) N(RLIMIT_CORE) N(RLIMIT_RSS)
    N(RLIMIT_NPROC) N(RLIMIT_NOFILE) N(RLIMIT_MEMLOCK) N(RLIMIT_AS)
};

static const struct trace_name ioctls[] = {
    N(TCGETS) N(TCSETS) N(TCSETSW) N(TCSETSF) N(TIOCGWINSZ) N(TIOCSWINSZ) N(TIOCGPGRP) N(TIOCSPGRP)
    N(FIONREAD) N(FIONBIO) N(FIOCLEX) N(FIONCLEX)
};

#define LIST(list, bits, choice) {list, ARRAY_SIZE(list), bits, choice}

static const struct {
    char letter;
    struct trace_names names;
} words[] = {
    {'O', LIST(open_flags, true, O_ACCMODE)},
    {'P', LIST(protections, true, 0)},
    {'M', LIST(map_flags, true, MAP_TYPE)},
    {'S', LIST(signals, false, 0)},
    {'W', LIST(whences, false, 0)},
    {'H', LIST(hows, false, 0)},
    {'c', LIST(clocks, false, 0)},
    {'K', LIST(families, false, 0)},
    {'Y', LIST(types, true, 0xf)},
    {'L', LIST(levels, false, 0)},
    {'E', LIST(epoll_operations, false, 0)},
    {'V', LIST(epoll_events, true, 0)},
    {'C', LIST(clone_flags, true, 0xff)},
    {'F', LIST(futex_operations, true, FUTEX_CMD_MASK)},
    {'G', LIST(advices, false, 0)},
    {'N', LIST(fcntl_commands, false, 0)},
    {'R', LIST(resources, false, 0)},
    {'I', LIST(ioctls, false, 0)},
};

const char *trace_signature(uint64_t number)
{
    return number < ARRAY_SIZE(signatures) ? signatures[number] : NULL;
}

const struct trace_names *trace_names(char letter)
{
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i].letter == letter)
            return &words[i].names;
    return NULL;
}

const char *trace_error(int64_t error)
{
    return error > 0 && error < (int64_t)ARRAY_SIZE(errors) ? errors[error] : NULL;
}

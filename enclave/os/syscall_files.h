/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls on files, sockets and waiting, for the table of syscalls.c. */
#ifndef OS_SYSCALL_FILES_H
#define OS_SYSCALL_FILES_H

#define SYSCALLS_FILES_FILE(X)                                                                     \
    X(close) X(close_range) X(dup) X(dup2) X(dup3) X(fcntl)

#define SYSCALLS_FILES_FILE_CALLS(X)                                                               \
    X(read) X(write) X(readv) X(writev) X(pread64) X(pwrite64) X(preadv) X(pwritev) X(preadv2)     \
    X(pwritev2) X(lseek) X(fstat) X(ioctl) X(getdents64) X(ftruncate) X(fsync) X(fdatasync)        \
    X(syncfs) X(sync) X(sync_file_range) X(fallocate) X(fadvise64) X(readahead) X(flock)           \
    X(fchmod) X(fchown) X(fchdir) X(umask) X(fstatfs) X(sendfile) X(copy_file_range) X(splice)   \
    X(tee) X(vmsplice)

#define SYSCALLS_FILES_OPEN(X)                                                                     \
    X(open) X(openat) X(creat) X(openat2)

#define SYSCALLS_FILES_PATH_CALLS(X)                                                               \
    X(stat) X(lstat) X(newfstatat) X(statx) X(statfs) X(access) X(faccessat) X(faccessat2)         \
    X(readlink) X(readlinkat) X(mkdir) X(mkdirat) X(rmdir) X(unlink) X(unlinkat) X(mknod)          \
    X(mknodat) X(chmod) X(fchmodat) X(chown) X(lchown) X(fchownat) X(truncate) X(chdir)            \
    X(getcwd) X(rename) X(renameat) X(renameat2) X(link) X(linkat) X(symlink) X(symlinkat)         \
    X(utimensat) X(utimes) X(futimesat) X(utime) X(getxattr) X(setxattr) X(listxattr)              \
    X(removexattr) X(lgetxattr) X(lsetxattr) X(llistxattr) X(lremovexattr) X(fgetxattr)            \
    X(fsetxattr) X(flistxattr) X(fremovexattr)

#define SYSCALLS_FILES_SOCKET(X)                                                                   \
    X(socket) X(socketpair) X(bind) X(connect) X(listen) X(accept) X(accept4) X(getsockname)       \
    X(getpeername) X(setsockopt) X(getsockopt) X(shutdown) X(sendto) X(recvfrom) X(sendmsg)        \
    X(recvmsg) X(sendmmsg) X(recvmmsg)

#define SYSCALLS_FILES_POLL(X)                                                                     \
    X(poll) X(ppoll) X(select) X(pselect6)

#define SYSCALLS_FILES_EPOLL(X)                                                                    \
    X(epoll_ctl) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2) X(epoll_create) X(epoll_create1)

#define SYSCALLS_FILES_PIPE_EVENT(X)                                                               \
    X(pipe) X(pipe2) X(eventfd) X(eventfd2) X(timerfd_create) X(timerfd_settime)                   \
    X(timerfd_gettime) X(memfd_create) X(inotify_init) X(inotify_init1) X(inotify_add_watch)       \
    X(inotify_rm_watch)

#define SYSCALLS_FILES_SIGNAL_FILE(X)                                                              \
    X(signalfd) X(signalfd4)

#define SYSCALLS_FILES(X)                                                                          \
    SYSCALLS_FILES_FILE(X)                                                                         \
    SYSCALLS_FILES_FILE_CALLS(X)                                                                   \
    SYSCALLS_FILES_OPEN(X)                                                                         \
    SYSCALLS_FILES_PATH_CALLS(X)                                                                   \
    SYSCALLS_FILES_SOCKET(X)                                                                       \
    SYSCALLS_FILES_POLL(X)                                                                         \
    SYSCALLS_FILES_EPOLL(X)                                                                        \
    SYSCALLS_FILES_PIPE_EVENT(X)                                                                   \
    SYSCALLS_FILES_SIGNAL_FILE(X)

#endif

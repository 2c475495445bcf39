/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of memory.c. */
#ifndef OS_SYSCALL_MEMORY_H
#define OS_SYSCALL_MEMORY_H

#define SYSCALLS_MEMORY(X)                                                                         \
    X(brk) X(mmap) X(munmap) X(mprotect) X(mremap) X(madvise) X(mincore) X(msync) X(mlock)         \
    X(mlock2) X(munlock) X(mlockall) X(munlockall)

#endif

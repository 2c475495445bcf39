/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_PLAIN_SYSCALL_H
#define HOST_PLAIN_SYSCALL_H

#include <stdint.h>

#include "abi/exits.h"
#include "platform/enclave.h"

/* A system call for a thread of the enclave: its result, or -errno. Where the kernel forgets FS (platform_fs_lost) it is set
 * again, as in interruptible.S. */
static inline int64_t plain_syscall(uint64_t number, const uint64_t a[EXIT_ARGUMENTS])
{
    int64_t result;
    uint64_t fs = 0;
    register uint64_t r10 __asm__("r10") = a[3];
    register uint64_t r8 __asm__("r8") = a[4];
    register uint64_t r9 __asm__("r9") = a[5];
    if (platform_fs_lost)
        __asm__ volatile("rdfsbase %0" : "=r"(fs));
    __asm__ volatile("syscall\n\t"
                     "test %[fs], %[fs]\n\t"
                     "je 1f\n\t"
                     "wrfsbase %[fs]\n"
                     "1:"
                     : "=a"(result)
                     : "0"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9), [fs] "r"(fs)
                     : "rcx", "r11", "cc", "memory");
    return result;
}
#endif

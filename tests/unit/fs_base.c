/* SPDX-License-Identifier: Apache-2.0 */
/* The FS base, by the kernel: not every kernel keeps what WRFSBASE sets. */
#include <asm/prctl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "enclave/entry/thread_block.h"

uint64_t fs_base(void)
{
    uint64_t base = 0;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
    return base;
}

void fs_base_set(uint64_t base)
{
    syscall(SYS_arch_prctl, ARCH_SET_FS, base);
}

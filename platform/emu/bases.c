/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/emu/bases.h"

#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/emu/emu.h"

#define HWCAP2_FSGSBASE (1 << 1)
#define REACH 0x80000000ul /* bytes that an instruction can be away from FS, either way */
#define SIGNAL_SET_SIZE 8

static uint64_t trap; /* what FS is in the kernel's eyes */

static sigjmp_buf probing;

static void illegal(int signal)
{
    siglongjmp(probing, signal);
}

/* Does the CPU execute them? Without, a SIGILL tells. */
static bool executed(void)
{
    struct sigaction action = {.sa_handler = illegal}, old;
    if (sigaction(SIGILL, &action, &old))
        return false;
    int raised = sigsetjmp(probing, true);
    if (!raised)
        bases_write(bases_fs(), bases_gs());
    sigaction(SIGILL, &old, NULL);
    return !raised;
}

int emu_bases_probe(void)
{
    if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE || platform_fs_lost)
        return 0;
    if (!executed())
        return -ENOTSUP;
    void *around = mmap(NULL, 2 * REACH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (around == MAP_FAILED)
        return -errno;
    trap = (uint64_t)around + REACH;
    platform_fs_lost = true;
    return 0;
}

void emu_bases_enter(struct emu_thread *t, const struct emu_tcs *tcs)
{
    if (t->host_gs != tcs->gs) {
        syscall(SYS_arch_prctl, ARCH_SET_GS, tcs->gs);
        t->host_gs = tcs->gs;
    }
    if (t->trapped)
        return;
    const uint64_t set = 1ull << (SIGSEGV - 1);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, NULL, SIGNAL_SET_SIZE);
    /* Without the library, which might access FS before it is right again. */
    int64_t result;
    __asm__ volatile("syscall\n\twrfsbase %4"
                     : "=a"(result)
                     : "0"((int64_t)SYS_arch_prctl), "D"((uint64_t)ARCH_SET_FS), "S"(trap), "r"(t->host_fs)
                     : "rcx", "r11", "memory");
    t->trapped = !result;
}

void emu_bases_settle(struct emu_thread *t)
{
    if (!t || !t->trapped)
        return;
    syscall(SYS_arch_prctl, ARCH_SET_FS, t->host_fs);
    t->trapped = false;
}

bool emu_bases_fault(const struct emu_thread *t, int signal, const siginfo_t *info)
{
    if (signal != SIGSEGV || info->si_code <= 0 || (uint64_t)info->si_addr - (trap - REACH) >= 2 * REACH ||
        bases_fs() != trap)
        return false;
    __asm__ volatile("wrfsbase %0" : : "r"(t->fs));
    return true;
}

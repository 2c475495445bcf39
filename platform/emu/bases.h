/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FS and GS on kernels that do not know of FSGSBASE, on CPUs that execute its instructions all the same (some
 * virtual machines; they say nothing of it in AT_HWCAP2). Such a kernel forgets what WRFSBASE has set when it
 * switches threads, and loads what it was told by arch_prctl(2). To tell it of every change would cost more than a
 * transition does. Instead:
 *
 *   FS  of a thread that enters the kernel is told a place where nothing can be accessed (the trap), whatever
 *       FS is meant to be: the first access after a switch of threads faults, and the handler sets FS to what it is
 *       meant to be, which emu_thread keeps. The enclave's own changes go through listed sites (sites.c).
 *   GS  is the TCS's, inside and outside, which the kernel is told once: nothing outside uses it.
 *
 * A thread that blocks SIGSEGV meanwhile would be killed: it settles first. platform_fs_lost (enclave.h) tells whether this is
 * such a kernel.
 */
#ifndef PLATFORM_EMU_BASES_H
#define PLATFORM_EMU_BASES_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct emu_thread;
struct emu_tcs;

/* Finds out, and sets platform_fs_lost. 0, or -ENOTSUP where the instructions fault, or -ENOMEM. */
int emu_bases_probe(void);

/* Before the current thread enters. */
void emu_bases_enter(struct emu_thread *t, const struct emu_tcs *tcs);

/* The kernel is told the host's FS: until it enters again the current thread may block any signal. */
void emu_bases_settle(struct emu_thread *t);

/* Was that an access by a lost FS? Then it is as it is meant to be, and the access goes on. For handlers: nothing
 * is touched that needs FS. */
bool emu_bases_fault(const struct emu_thread *t, int signal, const siginfo_t *info);

static inline uint64_t bases_fs(void)
{
    uint64_t fs;
    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    return fs;
}

static inline uint64_t bases_gs(void)
{
    uint64_t gs;
    __asm__ volatile("rdgsbase %0" : "=r"(gs));
    return gs;
}

static inline void bases_write(uint64_t fs, uint64_t gs)
{
    __asm__ volatile("wrfsbase %0" : : "r"(fs));
    __asm__ volatile("wrgsbase %0" : : "r"(gs));
}
#endif

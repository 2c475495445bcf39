/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions of the program: the instructions that enclaves lack, pages added on demand, signals. */
#include <errno.h>
#include <signal.h>

#include "abi/exits.h"
#include "abi/stats.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/time.h"
#include "platform/sgx_arch.h"

enum { DE = 0, DB = 1, BP = 3, BR = 5, UD = 6, GP = 13, PF = 14, MF = 16, AC = 17, XM = 19 };

static void fault(int signal, int code, uint64_t address)
{
    struct signal_cause cause = {.code = code, .address = address};
    signal_force(signal, &cause);
}

/* CPUID is illegal in an enclave: the host's answer. What a wrong one can do, a host can do anyway. */
static void emulate_cpuid(struct registers *r)
{
    uint64_t offset = bounce().address - arena_at(0).address;
    exit_checked(EXIT_CPUID, 0, 0, (uint32_t)r->rax, (uint32_t)r->rcx, offset, 0, 0, 0);
    uint64_t out[4];
    untrusted_read(out, bounce(), sizeof out);
    r->rax = (uint32_t)out[0];
    r->rbx = (uint32_t)out[1];
    r->rcx = (uint32_t)out[2];
    r->rdx = (uint32_t)out[3];
}

static void emulate_rdtsc(struct registers *r)
{
    uint64_t offset = bounce().address - arena_at(0).address;
    struct clock_sample sample;
    exit_checked(EXIT_CLOCK, 0, 0, offset, 0, 0, 0, 0, 0);
    untrusted_read(&sample, bounce(), sizeof sample);
    r->rax = (uint32_t)sample.tsc;
    r->rdx = sample.tsc >> 32;
}

/* #UD and #GP of instructions that work outside an enclave. True: done, go on after it. */
static bool emulate(struct registers *r)
{
    uint8_t code[2];
    if (user_read(code, (const void *)r->rip, sizeof code) || code[0] != 0x0f)
        return false;
    switch (code[1]) {
    case 0x05: /* syscall */
        r->rip += 2;
        r->rcx = r->rip;
        r->r11 = r->rflags;
        r->number = r->rax;
        syscall_dispatch(r, true);
        return true;
    case 0xa2:
        r->rip += 2;
        emulate_cpuid(r);
        return true;
    case 0x31:
        r->rip += 2;
        emulate_rdtsc(r);
        return true;
    }
    return false;
}

static uint64_t exceptions;

void os_exception(struct registers *r)
{
    struct thread_block *block = thread_block();
    uint64_t vector = block->trap_vector;
    if (vector == VECTOR_SIGNAL)
        return; /* the way back delivers it */

    uint64_t count = __atomic_add_fetch(&exceptions, 1, __ATOMIC_RELAXED);
    struct untrusted statistics = arena_statistics();
    if (statistics.address)
        untrusted_store(untrusted_at(statistics, offsetof(struct statistics, exceptions)), count);

    switch (vector) {
    case UD:
        if (!emulate(r))
            fault(SIGILL, ILL_ILLOPN, r->rip);
        return;
    case PF: {
        int code = memory_fault(block->trap_address, block->trap_error);
        if (code)
            fault(code < 0 ? SIGBUS : SIGSEGV, code < 0 ? BUS_ADRERR : code, block->trap_address);
        return;
    }
    case GP:
        if (!emulate(r))
            fault(SIGSEGV, SI_KERNEL, 0);
        return;
    case DE:
        fault(SIGFPE, FPE_INTDIV, r->rip);
        return;
    case MF:
    case XM:
        fault(SIGFPE, FPE_FLTINV, r->rip);
        return;
    case BP:
        fault(SIGTRAP, SI_KERNEL, 0);
        return;
    case DB:
        fault(SIGTRAP, TRAP_TRACE, r->rip);
        return;
    case AC:
        fault(SIGBUS, BUS_ADRALN, 0);
        return;
    default:
        fault(SIGSEGV, SI_KERNEL, 0);
        return;
    }
}

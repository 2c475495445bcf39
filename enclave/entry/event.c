/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second stage of exceptions and signals. It runs on a stack of its own while SSA frame 0 holds the
 * interrupted state, does nothing but decide where the thread goes on, and leaves; the host resumes.
 * Everything that takes time or exits happens there, in ordinary code.
 */
#include "abi/exits.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "platform/sgx_arch.h"

extern const char return_window[], return_window_end[], return_restart[];
extern const char copy_begin[], copy_end[], copy_fault[];
extern const char _end[];
void exception_entry(void);
uint64_t event_stage_two(uint64_t event, uint64_t signal);

#define RFLAGS_FIXED 2ull

_Static_assert(offsetof(struct thread_block, self) == TB_SELF, "");
_Static_assert(offsetof(struct thread_block, syscall_entry) == TB_SYSCALL_ENTRY, "");
_Static_assert(offsetof(struct thread_block, state) == TB_STATE, "");
_Static_assert(offsetof(struct thread_block, stack_top) == TB_STACK_TOP, "");
_Static_assert(offsetof(struct thread_block, user_rsp) == TB_USER_RSP, "");
_Static_assert(offsetof(struct thread_block, pending) == TB_PENDING, "");
_Static_assert(offsetof(struct thread_block, exit_rsp) == TB_EXIT_RSP, "");
_Static_assert(TB_EXIT_RSP == THREAD_BLOCK_EXIT_RSP, "");
_Static_assert(offsetof(struct thread_block, host_rsp) == TB_HOST_RSP, "");
_Static_assert(offsetof(struct thread_block, host_rbp) == TB_HOST_RBP, "");
_Static_assert(offsetof(struct thread_block, host_return) == TB_HOST_RETURN, "");
_Static_assert(offsetof(struct thread_block, fs) == TB_FS, "");
_Static_assert(offsetof(struct thread_block, return_rip) == TB_RETURN_RIP, "");
_Static_assert(offsetof(struct thread_block, xsave_mask) == TB_XSAVE_MASK, "");
_Static_assert(offsetof(struct thread_block, event_stack_top) == TB_EVENT_STACK_TOP, "");
_Static_assert(offsetof(struct thread_block, xsave) == TB_XSAVE, "");
_Static_assert(sizeof(struct thread_block) == THREAD_BLOCK_SIZE, "");
_Static_assert(sizeof(struct registers) == 0x98, "entry.S's REGISTERS_SIZE");

bool in_image(uint64_t address)
{
    return address >= enclave.image && address < (uint64_t)_end;
}

static struct sgx_gpr *ssa_gpr(struct thread_block *block)
{
    uint8_t *frame = (uint8_t *)block - THREAD_BLOCK + THREAD_SSA;
    return (struct sgx_gpr *)(frame + PAGE_SIZE - sizeof(struct sgx_gpr));
}

/* The program was interrupted: its stack in the LibOS is empty, so the frame goes to the top of it. */
static void divert(struct thread_block *block, struct sgx_gpr *g)
{
    struct registers *r = (struct registers *)block->stack_top - 1;
    r->r15 = g->r15;
    r->r14 = g->r14;
    r->r13 = g->r13;
    r->r12 = g->r12;
    r->rbp = g->rbp;
    r->rbx = g->rbx;
    r->r11 = g->r11;
    r->r10 = g->r10;
    r->r9 = g->r9;
    r->r8 = g->r8;
    r->rax = g->rax;
    r->rcx = g->rcx;
    r->rdx = g->rdx;
    r->rsi = g->rsi;
    r->rdi = g->rdi;
    r->number = UINT64_MAX;
    r->rip = g->rip;
    r->rflags = g->rflags;
    r->rsp = g->rsp;
    g->rip = (uint64_t)exception_entry;
    g->rsp = (uint64_t)r;
    g->rflags = RFLAGS_FIXED;
}

static struct sgx_gpr crashed;

/* The LibOS itself faulted: a copy from or to the program's memory, or a defect. */
static void libos_fault(struct sgx_gpr *g)
{
    if (g->rip >= (uint64_t)copy_begin && g->rip < (uint64_t)copy_end) {
        g->rip = (uint64_t)copy_fault;
        return;
    }
    crashed = *g;
    g->rdi = (uint64_t)&crashed;
    g->rip = (uint64_t)os_crash;
    g->rsp = ((g->rsp - 256) & ~15ull) - 8;
}

static void exception(struct thread_block *block, struct sgx_gpr *g)
{
    const struct sgx_exinfo *info = (const struct sgx_exinfo *)g - 1;
    if (!(g->exitinfo & EXITINFO_VALID))
        return; /* the CPU reports none: the host made it up */
    block->trap_vector = g->exitinfo & 0xff;
    block->trap_address = info->maddr;
    block->trap_error = info->errcd;
    if (in_image(g->rip))
        libos_fault(g);
    else
        divert(block, g);
}

/* Returns 1 when the signal was only noted: the thread is in the LibOS, and an exit that it is about to
 * make should not block. */
uint64_t event_stage_two(uint64_t event, uint64_t signal)
{
    struct thread_block *block = thread_block();
    struct sgx_gpr *g = ssa_gpr(block);
    bool nobody = block->state == TB_STATE_UNUSED;
    if (nobody || (!block->thread && event == EVENT_EXCEPTION))
        /* Before there are threads a fault is a defect of ours, with nobody inside to report it yet. A signal is
         * noted: this may be a process that is still being made. */
        return event == EVENT_EXCEPTION && (g->exitinfo & EXITINFO_VALID) ? ENTRY_REFUSED : 0;
    if (event == EVENT_EXCEPTION) {
        exception(block, g);
        return 0;
    }
    if (event != EVENT_SIGNAL)
        return 0;
    if (signal >= 1 && signal <= 64)
        __atomic_or_fetch(&block->host_signals, 1ull << (signal - 1), __ATOMIC_RELAXED);
    block->pending = TB_PENDING_SIGNAL;
    if (g->rip >= (uint64_t)return_window && g->rip < (uint64_t)return_window_end) {
        g->rip = (uint64_t)return_restart;
        g->rflags = RFLAGS_FIXED;
        return 0;
    }
    if (in_image(g->rip))
        return 1;
    block->trap_vector = VECTOR_SIGNAL;
    divert(block, g);
    return 0;
}

void thread_block_prepare(struct thread_block *block, uint64_t index)
{
    uint64_t area = (uint64_t)block - THREAD_BLOCK;
    block->self = block;
    block->syscall_entry = (uint64_t)syscall_entry;
    block->stack_top = area + THREAD_STACK + THREAD_STACK_SIZE;
    block->event_stack_top = area + THREAD_EVENT_STACK + THREAD_EVENT_STACK_SIZE;
    block->fs = (uint64_t)block; /* valid until the program sets its own */
    block->index = index;
}

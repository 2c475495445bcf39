/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread block: one per TCS, where GS points while inside. Assembly reads it by the TB_ offsets,
 * which thread_block.c checks. Its first bytes are the only thing that rewritten syscall sites know
 * of the LibOS: they jump through TB_SYSCALL_ENTRY.
 */
#ifndef ENTRY_THREAD_BLOCK_H
#define ENTRY_THREAD_BLOCK_H

#define TB_SELF 0x00
#define TB_SYSCALL_ENTRY 0x08 /* the address that `jmp *%gs:8` of a rewritten site goes to */
#define TB_STATE 0x10
#define TB_STACK_TOP 0x18
#define TB_USER_RSP 0x20
#define TB_PENDING 0x28
#define TB_EXIT_RSP 0x30
#define TB_HOST_RSP 0x38
#define TB_HOST_RBP 0x40
#define TB_HOST_RETURN 0x48
#define TB_FS 0x50
#define TB_RETURN_RIP 0x58
#define TB_RETURN_FRAME 0x60
#define TB_FAULT_RESUME 0x68
#define TB_XSAVE_MASK 0x70
#define TB_EVENT_STACK_TOP 0x78
#define TB_XSAVE 0x1000 /* the second page: FPU state of the program while outside */

/* TB_STATE */
#define TB_STATE_UNUSED 0   /* never entered, or its thread has ended: EENTER is refused */
#define TB_STATE_STARTING 2 /* made by clone: EENTER starts the thread */
#define TB_STATE_INSIDE 3
#define TB_STATE_EXITED 4 /* outside in an exit: EENTER returns from it */

/* TB_PENDING: what must be looked at before going back to the program */
#define TB_PENDING_SIGNAL 1

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

#include "abi/start.h"

/* The program's registers as a system call or an exception left them. Order is entry.S's. */
struct registers {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t number; /* of the system call, -1: an exception */
    uint64_t rip, rflags, rsp;
};

struct thread;
struct exit_slot;

struct thread_block {
    struct thread_block *self;
    uint64_t syscall_entry;
    uint64_t state;
    uint64_t stack_top;
    uint64_t user_rsp;
    uint64_t pending;
    uint64_t exit_rsp;
    uint64_t host_rsp, host_rbp, host_return;
    uint64_t fs;
    uint64_t return_rip;
    struct registers *return_frame;
    uint64_t fault_resume;
    uint64_t xsave_mask;
    uint64_t event_stack_top;

    uint64_t index;         /* of the thread area */
    struct thread *thread;  /* the LibOS's thread that runs here */
    uint64_t slot_address;  /* the exit slot, in the arena: for boundary/exit only */
    uint64_t bounce_address; /* the bounce buffer, in the arena: for boundary only */
    uint64_t host_signals;  /* signals the host says arrived and the LibOS has not yet taken */
    uint64_t trap_vector, trap_address, trap_error; /* of the exception being handled */
    uint64_t exit_flags;         /* that the next exit takes along: for boundary/exit only */
    uint64_t statistics_address; /* struct statistics_thread in the arena, 0: not published */
    uint8_t xsave[4096] __attribute__((aligned(4096)));
};

/* What FS points to; the program's, in the LibOS. */
uint64_t fs_base(void);
void fs_base_set(uint64_t base);

static inline struct thread_block *thread_block(void)
{
    struct thread_block *block;
    __asm__ volatile("movq %%gs:0, %0" : "=r"(block));
    return block;
}
#endif
#endif

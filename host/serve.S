/* SPDX-License-Identifier: Apache-2.0 */
/*
 * int64_t exit_serve_framed(struct host_thread *, uint64_t number, uint64_t flags, const uint64_t argument[6],
 *                           const void *thread_block): exit_serve, for unwinders called from where the enclave
 * left. So a debugger shows what the program and the LibOS wait for below what the host does for them. Its
 * frame is one of a signal's, as stacks change here; enclave_leave has pushed rbx, rbp and r12 to r15.
 */
#include "abi/start.h"

#define DW_CFA_def_cfa_expression 0x0f
#define DW_OP_breg3 0x73 /* rbx */
#define DW_CFA_val_expression 0x16
#define DW_OP_deref 0x06
#define DW_OP_minus 0x1c
#define DW_OP_lit(n) (0x30 + n)
#define RIP 16
#define DW_OP_plus_uconst 0x23
#define LEFT 56 /* bytes: six registers and the return address */

    .text
    .globl exit_serve_framed
    .type exit_serve_framed, @function
    .p2align 4
exit_serve_framed:
    .cfi_startproc
    .cfi_signal_frame
    push %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_offset %rbx, -16
    mov %r8, %rbx
    .cfi_remember_state
    .cfi_escape DW_CFA_def_cfa_expression, 5, DW_OP_breg3, THREAD_BLOCK_EXIT_RSP, DW_OP_deref, DW_OP_plus_uconst, LEFT
    /* Within the call that left, as unwinders take a signal's frame at its word. */
    .cfi_escape DW_CFA_val_expression, RIP, 5, DW_OP_lit(8), DW_OP_minus, DW_OP_deref, DW_OP_lit(1), DW_OP_minus
    .cfi_offset %rbx, -16
    .cfi_offset %rbp, -24
    .cfi_offset %r12, -32
    .cfi_offset %r13, -40
    .cfi_offset %r14, -48
    .cfi_offset %r15, -56
    call exit_serve
    nop /* of a signal's frame unwinders look up the address itself, not the one before */
    .cfi_restore_state
    pop %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .cfi_endproc
    .size exit_serve_framed, . - exit_serve_framed
    .section .note.GNU-stack, "", @progbits

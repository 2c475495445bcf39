/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first instruction, the ways out and the ways back. OENTRY of every TCS is enclave_entry.
 * Convention with the host: EENTER with RDI = enum entry_event, RSI = its argument; we leave to the
 * address that EENTER put in RCX, with the RSP and RBP that we were entered with.
 */
#include "abi/start.h"
#include "enclave/entry/site.h"
#include "enclave/entry/thread_block.h"

#define R15 0x00
#define R14 0x08
#define R13 0x10
#define R12 0x18
#define RBP 0x20
#define RBX 0x28
#define R11 0x30
#define R10 0x38
#define R9 0x40
#define R8 0x48
#define RAX 0x50
#define RCX 0x58
#define RDX 0x60
#define RSI 0x68
#define RDI 0x70
#define NUMBER 0x78
#define RIP 0x80
#define RFLAGS 0x88
#define RSP 0x90
#define REGISTERS_SIZE 0x98

#define LEAF_EEXIT 4

    .cfi_sections .debug_frame /* for debuggers: none of it is loaded */

/*
 * For unwinders: here and on to the next such line `\extra` bytes lie between RSP and the registers that the
 * program came with, in the order of struct registers. A signal's frame, as stacks change.
 */
.macro CFI_REGISTERS extra
    .cfi_def_cfa %rsp, \extra + REGISTERS_SIZE
    .cfi_offset %rsp, RSP - REGISTERS_SIZE
    .cfi_offset %rax, RAX - REGISTERS_SIZE
    .cfi_offset %rbx, RBX - REGISTERS_SIZE
    .cfi_offset %rdx, RDX - REGISTERS_SIZE
    .cfi_offset %rsi, RSI - REGISTERS_SIZE
    .cfi_offset %rdi, RDI - REGISTERS_SIZE
    .cfi_offset %rbp, RBP - REGISTERS_SIZE
    .cfi_offset %r8, R8 - REGISTERS_SIZE
    .cfi_offset %r9, R9 - REGISTERS_SIZE
    .cfi_offset %r10, R10 - REGISTERS_SIZE
    .cfi_offset %r12, R12 - REGISTERS_SIZE
    .cfi_offset %r13, R13 - REGISTERS_SIZE
    .cfi_offset %r14, R14 - REGISTERS_SIZE
    .cfi_offset %r15, R15 - REGISTERS_SIZE
.endm

/* Nothing of ours stays in registers that the host sees. RAX, RBX, RSP, RBP, RDI, RSI are the caller's. */
.macro CLEAR_REGISTERS
    xor %ecx, %ecx
    xor %edx, %edx
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
.endm

.macro FUNCTION name
    .globl \name
    .hidden \name
    .type \name, @function
    .p2align 4
\name:
.endm

    .text

#define DW_CFA_val_expression 0x16
#define DW_OP_deref 0x06
#define DW_OP_const4u 0x0c
#define DW_OP_const8u 0x0e
#define DW_OP_dup 0x12
#define DW_OP_minus 0x1c
#define DW_OP_plus 0x22
#define DW_OP_xor 0x27
#define DW_OP_bra 0x28
#define DW_OP_ne 0x2e
#define DW_OP_lit(n) (0x30 + n)
#define DW_OP_deref_size 0x94
#define BYTES4(n) (n) & 0xff, (n) >> 8 & 0xff, (n) >> 16 & 0xff, (n) >> 24 & 0xff

/*
 * The same, of where the program is: its own code even if a trampoline (load/patch.c) called, of which unwinders
 * know nothing. That is one when `jmp *%gs:TB_SYSCALL_ENTRY` lies before; the byte that follows that says after
 * how many more the trampoline jumps back.
 */
.macro CFI_PROGRAM
    .cfi_escape DW_CFA_val_expression, 16, 46
    .cfi_escape DW_OP_lit(24), DW_OP_minus, DW_OP_deref
    .cfi_escape DW_OP_dup, DW_OP_lit(9), DW_OP_minus, DW_OP_deref
    .cfi_escape DW_OP_const8u, 0x65, 0xff, 0x24, 0x25, BYTES4(TB_SYSCALL_ENTRY), DW_OP_ne, DW_OP_bra, 26, 0
    .cfi_escape DW_OP_dup, DW_OP_lit(1), DW_OP_minus, DW_OP_deref_size, 1, DW_OP_plus
    .cfi_escape DW_OP_dup, DW_OP_lit(1), DW_OP_plus, DW_OP_deref_size, 4
    .cfi_escape DW_OP_const4u, BYTES4(0x80000000), DW_OP_xor, DW_OP_const4u, BYTES4(0x80000000), DW_OP_minus
    .cfi_escape DW_OP_plus, DW_OP_lit(5), DW_OP_plus
.endm

FUNCTION enclave_entry
    .cfi_startproc
    .cfi_undefined %rip /* nothing called it */
    cld
    test %rax, %rax
    jnz event_entry
    cmpq $TB_STATE_EXITED, %gs:TB_STATE
    je exit_return
    cmpq $TB_STATE_STARTING, %gs:TB_STATE
    je thread_entry
    cmpq $TB_STATE_UNUSED, %gs:TB_STATE
    jne refuse
    /* Once, by whichever TCS comes first; start.c sees to it that it is the first area's. */
    lock btsq $0, enclave_started(%rip)
    jc refuse
    mov %rcx, %gs:TB_HOST_RETURN
    mov %rsp, %gs:TB_HOST_RSP
    mov %rbp, %gs:TB_HOST_RBP
    rdgsbase %r10
    lea (THREAD_STACK + THREAD_STACK_SIZE - THREAD_BLOCK)(%r10), %rsp
    movq $TB_STATE_INSIDE, %gs:TB_STATE
    xor %ebp, %ebp
    pushq $2
    popfq
    mov %rsi, %rdi
    mov %r10, %rsi
    call enclave_start
    ud2

/* A thread that clone made: its registers lie at the top of its stack. */
thread_entry:
    mov %rcx, %gs:TB_HOST_RETURN
    mov %rsp, %gs:TB_HOST_RSP
    mov %rbp, %gs:TB_HOST_RBP
    movq $TB_STATE_INSIDE, %gs:TB_STATE
    mov %gs:TB_STACK_TOP, %rsp
    sub $REGISTERS_SIZE, %rsp
    xor %ebp, %ebp
    pushq $2
    popfq
    mov %gs:TB_FS, %rax
    WRFSBASE_SITE
    mov %gs:TB_XSAVE_MASK, %eax
    xor %edx, %edx
    mov %gs:TB_SELF, %rcx
    xrstor64 TB_XSAVE(%rcx)
    jmp return_restart

refuse:
    mov %rcx, %rbx
    mov $-1, %rdi
    xor %esi, %esi
    CLEAR_REGISTERS
    mov $LEAF_EEXIT, %eax
    ENCLU_SITE
    ud2

/*
 * void enclave_leave(void): leave with an exit, return when the host has answered. The program's vector
 * and FPU state is live in the registers (the LibOS has none of its own): it is saved and wiped.
 */
FUNCTION enclave_leave
    .cfi_endproc
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %gs:TB_EXIT_RSP
    RDFSBASE_SITE
    mov %rax, %gs:TB_FS
    mov %gs:TB_XSAVE_MASK, %eax
    xor %edx, %edx
    mov %gs:TB_SELF, %rcx
    xsavec64 TB_XSAVE(%rcx)
    xrstor64 xsave_initial(%rip)
    movq $TB_STATE_EXITED, %gs:TB_STATE
.Lleave:
    mov %gs:TB_HOST_RETURN, %rbx
    mov %gs:TB_HOST_RSP, %rsp
    mov %gs:TB_HOST_RBP, %rbp
    xor %edi, %edi
    xor %esi, %esi
    CLEAR_REGISTERS
    mov $LEAF_EEXIT, %eax
    ENCLU_SITE
    ud2

exit_return:
    mov %rcx, %gs:TB_HOST_RETURN
    mov %rsp, %gs:TB_HOST_RSP
    mov %rbp, %gs:TB_HOST_RBP
    mov %gs:TB_EXIT_RSP, %rsp
    movq $TB_STATE_INSIDE, %gs:TB_STATE
    pushq $2
    popfq
    mov %gs:TB_XSAVE_MASK, %eax
    xor %edx, %edx
    mov %gs:TB_SELF, %rcx
    xrstor64 TB_XSAVE(%rcx)
    mov %gs:TB_FS, %rax
    WRFSBASE_SITE
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/*
 * void enclave_leave_for_good(void): as enclave_leave, and the thread area is free for another thread
 * from the very instruction that gives it up: nothing after it touches the stack or the block.
 */
FUNCTION enclave_leave_for_good
    mov %gs:TB_XSAVE_MASK, %eax
    xor %edx, %edx
    xrstor64 xsave_initial(%rip)
    mov %gs:TB_HOST_RETURN, %rbx
    mov %gs:TB_HOST_RSP, %rsp
    mov %gs:TB_HOST_RBP, %rbp
    movq $TB_STATE_UNUSED, %gs:TB_STATE
    xor %edi, %edi
    xor %esi, %esi
    CLEAR_REGISTERS
    mov $LEAF_EEXIT, %eax
    ENCLU_SITE
    ud2

/* uint64_t fs_base(void) */
FUNCTION fs_base
    RDFSBASE_SITE
    ret

/* void fs_base_set(uint64_t) */
FUNCTION fs_base_set
    mov %rdi, %rax
    WRFSBASE_SITE
    ret

/* void fpu_save(struct thread_block *): the live FPU state into a block's save area. */
FUNCTION fpu_save
    mov %gs:TB_XSAVE_MASK, %eax
    xor %edx, %edx
    xsavec64 TB_XSAVE(%rdi)
    ret

/* void fpu_save_standard(void *): the same in standard format, for signal frames. 64-aligned, zeroed. */
FUNCTION fpu_save_standard
    mov %gs:TB_XSAVE_MASK, %eax
    xor %edx, %edx
    xsave64 (%rdi)
    ret

/* void fpu_restore(const void *) */
FUNCTION fpu_restore
    mov %gs:TB_XSAVE_MASK, %eax
    xor %edx, %edx
    xrstor64 (%rdi)
    ret

/* void fpu_reset(void) */
FUNCTION fpu_reset
    mov %gs:TB_XSAVE_MASK, %eax
    xor %edx, %edx
    xrstor64 xsave_initial(%rip)
    ret

/* An event while the enclave was interrupted: SSA frame 0 holds where. Runs on a stack of its own. */
event_entry:
    cmp $1, %rax
    jne refuse
    cmpq $0, %gs:TB_EVENT_STACK_TOP
    je refuse
    mov %rsp, %r10
    mov %gs:TB_EVENT_STACK_TOP, %rsp
    push %r10
    push %rbp
    push %rcx
    pushq $2
    popfq
    xor %ebp, %ebp
    sub $8, %rsp
    call event_stage_two
    mov %rax, %rdi
    add $8, %rsp
    pop %rbx
    pop %rbp
    pop %rsp
    xor %esi, %esi
    CLEAR_REGISTERS
    mov $LEAF_EEXIT, %eax
    ENCLU_SITE
    ud2

/*
 * A system call from a rewritten site: RCX is the address to return to, all else as at `syscall`.
 * RFLAGS are not kept: no compiler takes them to survive a system call.
 */
FUNCTION syscall_entry
    .cfi_startproc
    .cfi_signal_frame
    .cfi_def_cfa %rsp, 0
    .cfi_register %rip, %rcx
    mov %rsp, %gs:TB_USER_RSP
    mov %gs:TB_STACK_TOP, %rsp
    pushq %gs:TB_USER_RSP
    pushq $0x202
    push %rcx
    push %rax
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    xor %esi, %esi
    xor %ebp, %ebp
    sub $8, %rsp /* 19 words and this: 16-aligned */
    CFI_REGISTERS 8
    CFI_PROGRAM
    cld
    call syscall_dispatch
    add $8, %rsp
    .cfi_def_cfa_offset REGISTERS_SIZE

/*
 * From here to syscall_return_end the frame on the stack stays whole: a signal that arrives within sends
 * the thread to return_restart (event.c), so that none is left pending while the program runs on.
 */
    .globl return_window
    .hidden return_window
return_window:
    cmpq $0, %gs:TB_PENDING
    jne return_restart
    mov R15(%rsp), %r15
    mov R14(%rsp), %r14
    mov R13(%rsp), %r13
    mov R12(%rsp), %r12
    mov RBP(%rsp), %rbp
    mov RBX(%rsp), %rbx
    mov R10(%rsp), %r10
    mov R9(%rsp), %r9
    mov R8(%rsp), %r8
    mov RAX(%rsp), %rax
    mov RDX(%rsp), %rdx
    mov RSI(%rsp), %rsi
    mov RDI(%rsp), %rdi
    mov RIP(%rsp), %rcx
    mov RFLAGS(%rsp), %r11
    mov RSP(%rsp), %rsp
    jmp *%rcx

/* The whole return: every register, flags too. RSP is at the frame. */
    .globl return_full
    .hidden return_full
return_full:
    cmpq $0, %gs:TB_PENDING
    jne return_restart
    mov RIP(%rsp), %rax
    mov %rax, %gs:TB_RETURN_RIP
    pushq RFLAGS(%rsp)
    popfq
    mov R15(%rsp), %r15
    mov R14(%rsp), %r14
    mov R13(%rsp), %r13
    mov R12(%rsp), %r12
    mov RBP(%rsp), %rbp
    mov RBX(%rsp), %rbx
    mov R11(%rsp), %r11
    mov R10(%rsp), %r10
    mov R9(%rsp), %r9
    mov R8(%rsp), %r8
    mov RAX(%rsp), %rax
    mov RCX(%rsp), %rcx
    mov RDX(%rsp), %rdx
    mov RSI(%rsp), %rsi
    mov RDI(%rsp), %rdi
    mov RSP(%rsp), %rsp
    jmp *%gs:TB_RETURN_RIP
    .globl return_window_end
    .hidden return_window_end
return_window_end:

/* Something is to be seen to before the program goes on. RSP is at the frame. */
    .globl return_restart
    .hidden return_restart
return_restart:
    mov %gs:TB_STACK_TOP, %rsp
    sub $REGISTERS_SIZE, %rsp
    mov %rsp, %rdi
    xor %ebp, %ebp
    cld
    sub $8, %rsp
    .cfi_def_cfa_offset 8 + REGISTERS_SIZE
    call os_return
    add $8, %rsp
    .cfi_def_cfa_offset REGISTERS_SIZE
    jmp return_full
    .cfi_endproc

/* _Noreturn void return_to_program(struct registers *): from anywhere in the LibOS. */
FUNCTION return_to_program
    mov %gs:TB_STACK_TOP, %rdx
    sub $REGISTERS_SIZE, %rdx
    mov %rdi, %rsi
    mov %rdx, %rdi
    cmp %rdi, %rsi
    je 1f
    /* The source lies lower in the same stack or elsewhere: copied from its end, nothing is lost. */
    mov $(REGISTERS_SIZE / 8), %ecx
    std
    lea (REGISTERS_SIZE - 8)(%rdi), %rdi
    lea (REGISTERS_SIZE - 8)(%rsi), %rsi
    rep movsq
    cld
1:  mov %rdx, %rsp
    jmp return_full

/* Where event.c sends a thread that was in the program: the frame at the top of its stack says where. */
FUNCTION exception_entry
    .cfi_startproc
    .cfi_signal_frame
    CFI_REGISTERS 0
    .cfi_offset %rip, RIP - REGISTERS_SIZE
    cld
    mov %rsp, %rdi
    xor %ebp, %ebp
    sub $8, %rsp
    .cfi_adjust_cfa_offset 8
    call os_exception
    add $8, %rsp
    .cfi_adjust_cfa_offset -8
    jmp return_full
    .cfi_endproc

/* The saved instruction pointer of a system call that is to run again: RCX has its return address. */
FUNCTION syscall_again
    jmp *%gs:TB_SYSCALL_ENTRY

    .section .rodata
    .p2align 6
    .hidden xsave_initial
xsave_initial:
    .fill 24, 1, 0
    .long 0x1f80, 0xffff
    .fill 480, 1, 0
    .quad 0                  /* XSTATE_BV: all components initial */
    .quad 0x8000000000000000 /* XCOMP_BV: compacted */
    .fill 48, 1, 0

    .bss
    .p2align 3
enclave_started:
    .quad 0
    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EENTER, EEXIT and the other ENCLU leaves in software. Between emu_code_begin and emu_code_end a thread
 * is neither inside nor outside: FS and GS may be either's, and a signal handler treats it as outside.
 */
#include "platform/emu/emu.h"

    .text
    .globl emu_code_begin, emu_code_end
    .hidden emu_code_begin, emu_code_end
emu_code_begin:

/* Until `half` cycles after the reading in r8. Clobbers rax, rdx, r8 stays. */
.macro SPIN half
1:  rdtsc
    shl $32, %rdx
    or %rdx, %rax
    sub %r8, %rax
    cmp \half, %rax
    jb 1b
.endm

/* The emu_thread that is inside, by GS, which the CPU restores from the TCS. */
.macro THREAD_BY_GS register
    rdgsbase \register
    sub emu_first_gs(%rip), \register
    shr $12, \register
    shl $3, \register
    add emu_by_gs(%rip), \register
    mov (\register), \register
    mov EMU_TCS_THREAD(\register), \register
.endm

/* uint64_t emu_eenter(struct emu_thread *, struct emu_tcs *, struct machine_entry *) */
    .globl emu_eenter
    .hidden emu_eenter
    .type emu_eenter, @function
    .p2align 4
emu_eenter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdx
    push %rdi
    mov %rdx, %r10
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    mov %rax, %r8
    SPIN EMU_THREAD_HALF(%rdi)
    mov EMU_TCS_ADDRESS(%rsi), %rbx
    lea .Lback(%rip), %rcx
    mov EMU_TCS_FS(%rsi), %rax
    mov %rax, EMU_THREAD_FS(%rdi)
    wrfsbase %rax
    mov EMU_TCS_GS(%rsi), %rax
    wrgsbase %rax
    movq $EMU_INSIDE, EMU_THREAD_INSIDE(%rdi)
    mov EMU_TCS_ENTRY(%rsi), %r11
    mov EMU_TCS_CSSA(%rsi), %rax
    mov 8(%r10), %rsi
    mov 0(%r10), %rdi
    jmp *%r11
.Lback:
    pop %rdx /* emu_thread */
    pop %rdx
    mov %rdi, 0(%rdx)
    mov %rsi, 8(%rdx)
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    xor %eax, %eax
    ret

/*
 * EEXIT: a patched site comes here with EAX 4, RBX the target. RCX becomes the AEP in the end, so it is
 * free.
 */
    .globl emu_eexit
    .hidden emu_eexit
    .type emu_eexit, @function
    .p2align 4
emu_eexit:
    THREAD_BY_GS %rcx
    mov EMU_THREAD_HOST_FS(%rcx), %rax
    mov %rax, EMU_THREAD_FS(%rcx)
    wrfsbase %rax
    mov EMU_THREAD_HOST_GS(%rcx), %rax
    wrgsbase %rax
    movq $0, EMU_THREAD_INSIDE(%rcx)
    mov %rdx, EMU_THREAD_SCRATCH(%rcx)
    mov %r8, -8(%rsp)
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    mov %rax, %r8
    SPIN EMU_THREAD_HALF(%rcx)
    mov -8(%rsp), %r8
    mov EMU_THREAD_SCRATCH(%rcx), %rdx
    mov $4, %eax
    lea .Lback(%rip), %rcx
    jmp *%rbx

/*
 * Any other leaf: the stub pushed the address after the site. Runs on the enclave's stack, FS and GS as
 * they are, so the C behind it is freestanding.
 */
    .globl emu_leaf_entry
    .hidden emu_leaf_entry
    .type emu_leaf_entry, @function
    .p2align 4
emu_leaf_entry:
    push %rbp
    mov %rsp, %rbp
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %r8
    push %r9
    push %r10
    push %r11
    and $-16, %rsp
    /* Meanwhile the thread is in the middle of one instruction of the enclave. */
    THREAD_BY_GS %r8
    movq $EMU_IN_LEAF, EMU_THREAD_INSIDE(%r8)
    push %r8
    push %r8
    mov %eax, %edi
    mov %rbx, %rsi
    xchg %rcx, %rdx
    call emu_leaf
    pop %r8
    movq $EMU_INSIDE, EMU_THREAD_INSIDE(%r8)
    lea -64(%rbp), %rsp
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    pop %rbp
    ret

/* WRFSBASE and RDFSBASE of RAX at a listed site (bases.h): RCX and the flags are free there. The stub pushed the
 * address after the site. */
    .globl emu_wrfsbase, emu_rdfsbase
    .hidden emu_wrfsbase, emu_rdfsbase
    .type emu_wrfsbase, @function
    .p2align 4
emu_wrfsbase:
    THREAD_BY_GS %rcx
    mov %rax, EMU_THREAD_FS(%rcx)
    wrfsbase %rax
    ret

    .type emu_rdfsbase, @function
    .p2align 4
emu_rdfsbase:
    THREAD_BY_GS %rcx
    mov EMU_THREAD_FS(%rcx), %rax
    ret
emu_code_end:
    .section .note.GNU-stack, "", @progbits

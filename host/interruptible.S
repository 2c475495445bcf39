/* SPDX-License-Identifier: Apache-2.0 */
/*
 * int64_t interruptible_syscall(const uint64_t argument[6], uint64_t number, _Atomic uint32_t *kicked)
 * Where the kernel forgets FS it is set again, which is cheaper than the fault that would do it.
 */

    .text
    .globl interruptible_syscall, interruptible_begin, interruptible_end, interruptible_abort
    .type interruptible_syscall, @function
interruptible_syscall:
    .cfi_startproc
    push %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_offset %rbx, -16
    push %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_offset %rbp, -24
    mov %rdx, %rbx
    mov %rsi, %rax
    mov %rdi, %r11
    mov 0(%r11), %rdi
    mov 8(%r11), %rsi
    mov 16(%r11), %rdx
    mov 24(%r11), %r10
    mov 32(%r11), %r8
    mov 40(%r11), %r9
    cmpb $0, platform_fs_lost(%rip)
    je interruptible_begin
    rdfsbase %rbp
interruptible_begin:
    cmpl $0, (%rbx)
    jne interruptible_abort
    syscall
interruptible_end:
    cmpb $0, platform_fs_lost(%rip)
    je 1f
    wrfsbase %rbp
1:
    .cfi_remember_state
    pop %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    pop %rbx
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_restore_state
interruptible_abort:
    movl $0, (%rbx)
    mov $-4, %rax
    pop %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    pop %rbx
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size interruptible_syscall, . - interruptible_syscall
    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * int sgx_call(struct machine_entry *entry, struct sgx_enclave_run *run, uint32_t leaf, void *enter)
 *
 * __vdso_sgx_enter_enclave() keeps RBX, RBP and RSP; what else the ABI asks to be kept is kept here.
 * RDI and RSI go in and come back.
 */
    .text
    .globl sgx_call
    .hidden sgx_call
    .type sgx_call, @function
    .p2align 4
sgx_call:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    sub $8, %rsp
    push %rdi
    push %rsi /* its seventh argument; the call finds the stack 16-aligned */
    mov %rcx, %rax
    mov %edx, %ecx
    mov 8(%rdi), %rsi
    mov (%rdi), %rdi
    xor %edx, %edx
    xor %r8d, %r8d
    xor %r9d, %r9d
    call *%rax
    pop %rdx
    pop %rdx
    mov %rdi, (%rdx)
    mov %rsi, 8(%rdx)
    add $8, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    cld
    ret
    .section .note.GNU-stack, "", @progbits

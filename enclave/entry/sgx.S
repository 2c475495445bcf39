/* SPDX-License-Identifier: Apache-2.0 */
/* uint64_t sgx_leaf(uint32_t leaf, const void *rbx, uint64_t rcx, uint64_t rdx): one ENCLU. */
#include "enclave/entry/site.h"

    .text
    .globl sgx_leaf
    .hidden sgx_leaf
    .type sgx_leaf, @function
    .p2align 4
sgx_leaf:
    push %rbx
    mov %edi, %eax
    mov %rsi, %rbx
    xchg %rdx, %rcx
    ENCLU_SITE
    pop %rbx
    ret
    .section .note.GNU-stack, "", @progbits

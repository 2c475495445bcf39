/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that may touch the program's memory. They use no stack, so that a fault between copy_begin and
 * copy_end can be answered by going to copy_fault, which returns -EFAULT to the caller.
 */
    .text
    .globl copy_begin, copy_end, copy_fault
    .hidden copy_begin, copy_end, copy_fault
copy_begin:

/*
 * int copy_words(void *to, const void *from, size_t words): whole 8-byte accesses in ascending order.
 * The side that is untrusted is 8-aligned. Long runs by REP MOVSQ, which Intel names among the accesses
 * that the mitigations of SA-00657 and SA-00615 allow when 8-aligned in address and size.
 */
    .globl copy_words
    .hidden copy_words
    .type copy_words, @function
    .p2align 4
copy_words:
    mov %rdx, %rcx
    cmp $48, %rdx
    jae 2f
    sub $4, %rcx
    jb 3f
1:  mov (%rsi), %rax
    mov 8(%rsi), %rdx
    mov 16(%rsi), %r8
    mov 24(%rsi), %r9
    mov %rax, (%rdi)
    mov %rdx, 8(%rdi)
    mov %r8, 16(%rdi)
    mov %r9, 24(%rdi)
    add $32, %rsi
    add $32, %rdi
    sub $4, %rcx
    jae 1b
3:  add $4, %rcx
    jz 5f
4:  mov (%rsi), %rax
    mov %rax, (%rdi)
    add $8, %rsi
    add $8, %rdi
    dec %rcx
    jnz 4b
5:  xor %eax, %eax
    ret
2:  rep movsq
    xor %eax, %eax
    ret

/* int copy_bytes(void *to, const void *from, size_t n): between the program and the LibOS. */
    .globl copy_bytes
    .hidden copy_bytes
    .type copy_bytes, @function
    .p2align 4
copy_bytes:
    mov %rdx, %rcx
    cmp $8, %rdx
    je 6f
    rep movsb
    xor %eax, %eax
    ret
6:  mov (%rsi), %rax
    mov %rax, (%rdi)
    xor %eax, %eax
    ret

/* int fill_zero(void *to, size_t n) */
    .globl fill_zero
    .hidden fill_zero
    .type fill_zero, @function
    .p2align 4
fill_zero:
    mov %rsi, %rcx
    xor %eax, %eax
    rep stosb
    ret

/* int64_t copy_string(char *to, const char *from, size_t size): bytes before the NUL, or size: no NUL. */
    .globl copy_string
    .hidden copy_string
    .type copy_string, @function
    .p2align 4
copy_string:
    xor %eax, %eax
7:  cmp %rdx, %rax
    jae 8f
    mov (%rsi, %rax), %cl
    mov %cl, (%rdi, %rax)
    test %cl, %cl
    jz 8f
    inc %rax
    jmp 7b
8:  ret

/* int exchange_word(uint32_t *word, uint32_t *expected, uint32_t new): if *word is *expected it becomes new, and
 * the answer is 1; else *expected becomes what it is, and the answer is 0. Atomic. */
    .globl exchange_word
    .hidden exchange_word
    .type exchange_word, @function
    .p2align 4
exchange_word:
    mov (%rsi), %eax
    lock cmpxchg %edx, (%rdi)
    jne 9f
    mov $1, %eax
    ret
9:  mov %eax, (%rsi)
    xor %eax, %eax
    ret

copy_end:
copy_fault:
    cld
    mov $-14, %rax
    ret
    .section .note.GNU-stack, "", @progbits

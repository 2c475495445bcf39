/* SPDX-License-Identifier: Apache-2.0 */
/* entry.S and event.c as the rest sees them, and what they expect of the LibOS. */
#ifndef ENTRY_ENTRY_H
#define ENTRY_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/entry/thread_block.h"

/* The first instruction: OENTRY of every TCS. */
void enclave_entry(void);

/* Leave with an exit (the slot is filled) and return when the host has answered. */
void enclave_leave(void);
_Noreturn void enclave_leave_for_good(void);
_Noreturn void return_to_program(struct registers *registers);
void syscall_entry(void);
void syscall_again(void);

/* The program's vector and FPU state, which is live in the registers while the LibOS runs. */
void fpu_save(struct thread_block *block);
void fpu_save_standard(void *area);
void fpu_restore(const void *area);
void fpu_reset(void); /* as a program finds it at its start */

/* Prepares the block of a thread area: all but state, registers and thread. */
void thread_block_prepare(struct thread_block *block, uint64_t index);

/* Exceptions of the program, besides the CPU's vectors. */
#define VECTOR_SIGNAL 0x100 /* nothing happened but that a signal arrived */

/* Provided by os/: the frame is where the program was, and is what it returns to. */
void os_start(void);
void os_exception(struct registers *registers);
void os_return(struct registers *registers);
struct sgx_gpr;
/* The LibOS itself faulted, there. */
_Noreturn void os_crash(const struct sgx_gpr *where);
void syscall_dispatch(struct registers *registers, bool trapped);

/* Where the image lies: [enclave.image, _end). */
bool in_image(uint64_t address);

#endif

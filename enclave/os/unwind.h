/* SPDX-License-Identifier: Apache-2.0 */
/* The program's frames, by the call frame information that its files carry (.eh_frame, as the Linux Standard
 * Base has it), by frame pointers where there is none. All that is read is the program's. */
#ifndef OS_UNWIND_H
#define OS_UNWIND_H

#include <stdbool.h>
#include <stdint.h>

struct registers;

/* By DWARF's numbers: 6 rbp, 7 rsp, 16 the instruction. */
#define UNWIND_REGISTERS 17
#define UNWIND_RBP 6
#define UNWIND_RSP 7
#define UNWIND_RIP 16

struct unwind {
    uint64_t reg[UNWIND_REGISTERS];
    bool exact; /* reg[16] is where the frame is, not where a call returns to */
};

void unwind_start(struct unwind *u, const struct registers *r);
/* Is the frame the code that a signal handler returns to? */
bool unwind_at_signal_return(const struct unwind *u);
/* To the caller; false: there is none, or it cannot be told. */
bool unwind_step(struct unwind *u);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Where a thread is, shown to whoever develops: lines with the names of functions, which the host knows. */
#ifndef BOUNDARY_BACKTRACE_H
#define BOUNDARY_BACKTRACE_H

#include <stdbool.h>
#include <stdint.h>

/* Only for a development configuration: registers and stacks are nobody's business else. */
bool backtrace_allowed(void);

/* One frame: an address, and which place of which file is mapped there. path NULL: it is in no file; "": in
 * the enclave's image. */
void backtrace_frame(uint32_t number, uint64_t address, const char *path, uint64_t file_offset);

/* The LibOS's frames on this thread's stack, from there on: how many. */
uint32_t backtrace_own(uint64_t rip, uint64_t rbp);

#endif

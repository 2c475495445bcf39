/* SPDX-License-Identifier: Apache-2.0 */
/* --log trace: a line for each system call, in the manner of strace. */
#ifndef OS_TRACE_H
#define OS_TRACE_H

#include <stdbool.h>
#include <stdint.h>

/* The calls of the program as they end; those that do not return, before they are made. */
void trace_call(int tid, uint64_t number, const uint64_t argument[6], int64_t result, bool trapped);
void trace_last_call(int tid, uint64_t number, const uint64_t argument[6]);

#endif

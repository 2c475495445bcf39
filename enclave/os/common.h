/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that processes have in common: what is mapped MAP_SHARED and anonymous when a process forks. Enclaves share no
 * pages. So each page is at any time with one of the processes, or with none; who touches it and has not got it faults,
 * asks for it, and whoever has it hands it over, encrypted under a key that only these processes know. Atomic operations
 * are atomic for that. A futex in such a page is waited for outside.
 *
 * The host keeps the pages that nobody has and tells who has the others. It can hold a page back, as it can hold a
 * process back. What it hands out is of the right place and never older than what this process has itself seen.
 */
#ifndef OS_COMMON_H
#define OS_COMMON_H

#include <stdbool.h>
#include <stdint.h>

/* With the world stopped, before it is copied: what is mapped for sharing becomes common, and none of it is here. */
void common_before_fork(void);
/* The same before a vfork whose child shares all memory, and tells what it changed: what is not common yet stays so. */
void common_before_vfork(void);
/* In the child. */
void common_forked(void);
/* Has this process any? */
bool common_any(void);
/* The process ends: all that is here is for the others. Threads that still run stop where they touch it. */
void common_end(void);

/* [start, end) is mapped anew, or no longer. The address space is locked. */
void common_forget(uint64_t start, uint64_t end);
/* Its protection changes. The address space is locked. */
void common_protect(uint64_t start, uint64_t end, int protection);

/* The end of the common memory that `page` lies in; `page` itself if it lies in none. */
uint64_t common_end_of(uint64_t page);
/* Where common memory begins next, at `page` or beyond, but before `end`; or `end`. */
uint64_t common_next(uint64_t page, uint64_t end);

/* The program's access with these protection bits faulted: 0: again, SEGV_ACCERR; -1: that is no common memory. */
int common_fault(uint64_t address, int need);
/* Has [start, +length) here, as far as it is common memory: false: none of it is, or it cannot be had. */
bool common_bring(uint64_t start, uint64_t length);
/* Others want pages that are here. */
void common_serve(void);

/* A futex word there? */
bool common_has(uint64_t address);
int64_t common_futex_wait(uint64_t address, uint32_t expected, uint64_t deadline);
/* How many were woken, `count` at most as far as is told. */
int common_futex_wake(uint64_t address, int count);

#endif

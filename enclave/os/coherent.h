/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared mappings of files in /dev/shm: memory by which processes meet (POSIX's semaphores and shared memory). No
 * two enclaves see one page, so a page is of one process at a time: who touches it takes the file's lock of the
 * host and reads the page, and gives both back before its next exit, or after a millisecond. Between the two it
 * computes as if alone, so atomic instructions and their order mean what they do natively. The contents are
 * the file's: the host's to see and to change, as files are.
 */
#ifndef OS_COHERENT_H
#define OS_COHERENT_H

#include <stdbool.h>
#include <stdint.h>

struct file;

/* Is a shared mapping of this file to be such memory? */
bool coherent_wanted(struct file *f);
/* With the address space's lock held, whose pages there have no access. 0 or -errno. */
int coherent_add(struct file *f, uint64_t start, uint64_t end, uint64_t offset, int protection);
/* [start, end) is mapped no more; or has another protection from now on. With the same lock. */
int coherent_remove(uint64_t start, uint64_t end);
void coherent_protect(uint64_t start, uint64_t end, int protection);

/* Is the address in such memory? */
bool coherent_covers(uint64_t address);
/* Makes [address, +length) usable for a moment, or says so though a signal came before it could be. False: none of it is
 * such memory, it is not allowed so, or cannot be had. */
bool coherent_bring(uint64_t address, uint64_t length, bool write, bool interruptible);
/* All that is held goes back. */
void coherent_give_up(void);
/* The same, of a thread that computes: it has had its time. */
void coherent_take_away(void);

void coherent_files(void (*visit)(struct file *f)); /* as memory_files */
void coherent_forked(void);                         /* in the child: the locks are the parent's */

#endif

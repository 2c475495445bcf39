/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfork: a child that shares its parent's memory until it executes a program or ends, while the parent's thread
 * waits. Here it has a copy; what it changes in it goes back to the parent at that moment, by lines of 64
 * bytes, so that what other threads of the parent have written meanwhile stays.
 */
#ifndef OS_VFORK_H
#define OS_VFORK_H

#include <stdbool.h>

struct channel;

/* In the child, when its memory is what the parent's is: takes note of that. The channel stays the child's. */
void vfork_begin(struct channel *c, bool shares_memory);
/* In the child, before its memory goes: lets the parent go on. Does nothing in any other process. */
void vfork_release(void);
/* In a copy of such a child: it is none. */
void vfork_forget(void);

/* In the parent: until the child lets it go on, or is gone. */
void vfork_wait(struct channel *c);

#endif

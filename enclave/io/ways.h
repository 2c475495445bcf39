/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way a read of a file is cheaper, by a window or by an exit. A window costs what the kernel and the machine take to
 * show pages at another address, which differs much: next to nothing, or, in virtual machines that keep page tables of
 * their own, more than to have the kernel copy. So both are measured as they are used, by the size of the read; what is dearer
 * is tried again now and then. What is measured is the machine's, so all files share it. Wrong figures cost time, nothing else.
 */
#ifndef IO_WAYS_H
#define IO_WAYS_H

#include <stdbool.h>
#include <stdint.h>

/* For the next read, of `bytes`. */
bool ways_window(uint64_t bytes);

/* So many TSC counts it took to read so much by windows, their moves included; by an exit. */
void ways_note_window(uint64_t bytes, uint64_t cycles);
void ways_note_exit(uint64_t bytes, uint64_t cycles);

#endif

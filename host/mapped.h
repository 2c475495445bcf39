/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What debuggers and profilers are told of the code in the enclave: the LibOS's image, and each ELF file that
 * the program maps executable. A debugger finds them in the list of a dynamic linker (struct r_debug, of a
 * name space of its own), so that `gdb -p` shows names without more ado; `perf` in /tmp/perf-PID.map, if
 * --perf asks for it. For development: what it says of the program is what the program's own mmap told the host.
 */
#ifndef HOST_MAPPED_H
#define HOST_MAPPED_H

#include <stdint.h>

/* The LibOS's image is in the enclave. Once, before the first thread. */
void mapped_start(void);
/* [file_offset, +length) of the file is at `offset` of the enclave, executable. Other files than ELF: nothing. */
void mapped_add(int fd, uint64_t offset, uint64_t length, uint64_t file_offset);
/* Nothing is at [offset, +length) of the enclave any more. */
void mapped_remove(uint64_t offset, uint64_t length);
/* In the child of a fork: the same is mapped there, in a process of another number. */
void mapped_forked(void);

#endif

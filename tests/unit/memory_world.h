/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's address space, over a range of this process whose pages are changed as the emulator
 * changes an enclave's: what a test reads and writes is what a program would.
 */
#ifndef TESTS_MEMORY_WORLD_H
#define TESTS_MEMORY_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/prctl.h>
#include <cmocka.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/sgx.h"
#include "enclave/entry/thread_block.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/load/patch.h"
#include "enclave/os/file.h"
#include "enclave/os/coherent.h"
#include "enclave/os/common.h"
#include "enclave/os/memory.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/syscall_memory.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"

#define SIZE (64ull << 20)
#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define FILE_LENGTH 10000
#define LARGE_LENGTH 1000000
#define LARGE_HOST_FD 77
#define NO_ADDRESS 0x10000ull /* in nobody's range */

#define DECLARE(name)                                                                              \
    int64_t sys_##name(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
SYSCALLS_MEMORY(DECLARE)

struct memory_world {
    int exits;       /* made so far */
    int page_error;  /* of page operations: what they return, 0: they work */
    int read_error;  /* of the file */
    int write_error;
    int synced, opened_again, reads, fetches;
    int asked; /* which file it is */
    uint64_t fetched; /* bytes asked for */
    bool move_lies;   /* pages are said to have come that have not */
    jmp_buf violated;
    bool to_accept;   /* the enclave copies pages, as on a CPU */
    uint64_t written; /* bytes */
    bool sealed;
    long modified;
    uint64_t tick; /* TSC counts that pass for a millisecond */
    int patched;     /* executable mappings */
    bool patched_writable;
    int accepted;
};
extern struct memory_world world;

extern struct file file;         /* descriptor 5, FILE_LENGTH bytes; no descriptor of the host */
extern uint8_t contents[FILE_LENGTH];
extern struct file large;        /* descriptor 6, LARGE_LENGTH bytes, each as large_byte has it */
static inline uint8_t large_byte(uint64_t offset)
{
    return (uint8_t)(offset % 251 + offset / 4096 % 7 + 1);
}
extern struct thread thread;

/* PROT_ bits of what may be done with the page. */
int access_of(uint64_t address);
int memory_world_start(void **state);
/* Every test begins with an address space that is empty. */
int fresh(void **state);
/* mmap that must succeed. */
uint64_t map(uint64_t hint, uint64_t length, int protection, int flags, int fd, uint64_t offset);
uint64_t map_anonymous(uint64_t pages, int protection);
bool is_zero(uint64_t at, uint64_t length);

#endif

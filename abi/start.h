/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two sides agree on before the first instruction: the enclave's own layout (measured) and
 * what the host tells at start-up (not measured, checked once).
 */
#ifndef ABI_START_H
#define ABI_START_H

#ifndef __ASSEMBLER__
#include <stdint.h>
#endif

#define ABI_VERSION 1u
#define PAGE_SIZE 4096ul

/*
 * Pages of the enclave, in order:
 *   dynamic          from configuration.dynamic_offset: pages added as they are needed
 *   image            the ELF's segments, linked at 0, at configuration.image_offset
 *   configuration    struct configuration (abi/config.h), read-only, measured, on the page after the
 *                    image's end (symbol _end, rounded up)
 *   threads          one area of THREAD_AREA_SIZE bytes each, at configuration.threads_offset; of the
 *                    configuration.threads of them, threads_present are measured
 * A program with fixed addresses gets an enclave whose range starts at 0: they are then dynamic pages.
 */

/* Offsets within a thread's area. Pages not named are never added: they catch overflows. */
#define THREAD_AREA_SIZE 0x10000
#define THREAD_TCS 0x0000
#define THREAD_SSA 0x1000 /* two frames of one page */
#define THREAD_SSA_FRAMES 2
#define THREAD_BLOCK 0x3000           /* struct thread_block, where GS points; two pages, measured */
#define THREAD_BLOCK_SIZE 0x2000
#define THREAD_BLOCK_EXIT_RSP 0x30    /* in the block, while its thread is outside in an exit: where its stack stands,
                                         as enclave_leave left it. For debuggers, which unwind by it */
#define THREAD_EVENT_STACK 0x6000     /* for the second stage of exceptions; two pages */
#define THREAD_EVENT_STACK_SIZE 0x2000
#define THREAD_STACK 0x9000           /* the LibOS's stack; seven pages, up to the end of the area */
#define THREAD_STACK_SIZE 0x7000

/* Areas that are there, measured, from the start; the enclave adds others when it has more threads. */
#define THREADS_PRESENT 16
#define THREADS_MAX 1024

/* Descriptors from this number on are not handed over to the program. */
#define DESCRIPTORS_INHERITED 256

#ifndef __ASSEMBLER__
/* RSI at the first EENTER: address of this, outside the enclave. */
struct start_parameters {
    uint64_t version; /* ABI_VERSION */
    uint64_t arena_address;
    uint64_t arena_size; /* ARENA_SIZE(threads) of abi/arena.h, to the byte */
    uint64_t pid;
    uint64_t parent_pid;
    uint64_t tid;
    uint64_t uid, euid, gid, egid;
    uint64_t cores;
    uint64_t signals_ignored; /* bit n-1: signal n was ignored at start (nohup) */
    uint64_t signals_blocked;
    uint64_t hwcap2;      /* the host's AT_HWCAP2 */
    uint64_t clock_tick;  /* AT_CLKTCK */
    uint64_t xsk_allowed; /* 1: the host believes that XSK_OPEN will work on some interface */
    uint64_t descriptors[DESCRIPTORS_INHERITED / 64]; /* bit n: the program gets descriptor n from the start */
    uint64_t forked;      /* 1: this enclave is to become the copy of one that forked, by way of */
    uint64_t fork_in;     /* this host descriptor, to read from, */
    uint64_t fork_out;    /* and this one, to write to */
};
#endif

#endif

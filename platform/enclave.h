/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that runs enclaves: the CPU through /dev/sgx_enclave (platform/sgx) or SGX in software
 * (platform/emu). Nothing above this line knows which. Offsets are from the base of the enclave's
 * range; lengths in bytes; all errors are negative errno with a sentence in platform_error().
 */
#ifndef PLATFORM_ENCLAVE_H
#define PLATFORM_ENCLAVE_H

#include <signal.h>
#include <ucontext.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/sgx_arch.h"

struct machine; /* an enclave on its platform */

#define MACHINE_ANYWHERE UINT64_MAX

struct machine_options {
    uint64_t size;               /* power of two */
    uint64_t address;            /* where the range starts, a multiple of its size; or MACHINE_ANYWHERE */
    uint32_t ssa_frame_pages;
    uint64_t attributes, xfrm;
    uint32_t miscselect;
    uint64_t transition_cycles;  /* emu: of one exit and return, 0: no cost */
    const uint64_t *sites;       /* emu: offsets of padded instructions that it stands in for, patched after init */
    size_t site_count;
};

/* What a thread brings to an entry. Returned values are the enclave's RDI, RSI at EEXIT. */
struct machine_entry {
    uint64_t rdi, rsi;
};

/*
 * Called when the thread left the enclave without meaning to, for an exception (vector valid): the SSA
 * is filled; may machine_enter() the same TCS (CSSA is now 1); on return the enclave is resumed
 * (ERESUME). On the emulator this runs in a signal handler: async-signal-safe code only.
 */
typedef void machine_exception_handler(void *context, uint64_t tcs_offset);

/*
 * Called for a signal of the host, in a signal handler. inside: the thread was interrupted within the enclave: the
 * handler may enter() and the enclave is resumed after it returns. Else *context is what was interrupted of the host,
 * which the handler may change. The mask of *context it may change in either case.
 */
typedef void machine_signal_handler(int signal, siginfo_t *info, ucontext_t *context, bool inside);

struct platform {
    const char *name;
    /* 0, or -errno and why not. */
    int (*probe)(void);
    int (*create)(const struct machine_options *options, struct machine **out, uint64_t *base);
    /* One or more pages with the same flags; contents NULL: zeros. measure: EEXTEND every chunk. */
    int (*add)(struct machine *m, uint64_t offset, const void *contents, uint64_t length,
               uint64_t secinfo_flags, bool measure);
    int (*init)(struct machine *m, const struct sgx_sigstruct *sigstruct);
    /* SGX2 page management: enum pages_operation of abi/exits.h. */
    int (*pages)(struct machine *m, int operation, uint64_t offset, uint64_t length, int protection, uint64_t source);
    /* A page that the enclave filled in as a TCS becomes one (EMODT); the enclave accepts it. */
    int (*thread_page)(struct machine *m, uint64_t offset);
    /* A host thread that will enter: once per thread, before its first enter. */
    int (*thread_start)(struct machine *m, machine_exception_handler *handler, void *context);
    void (*thread_end)(struct machine *m);
    /* Of any thread, before it blocks all signals outside: the emulator may need one of them until then, and again
     * once the thread has entered. */
    void (*thread_settle)(struct machine *m);
    /* EENTER; returns at EEXIT with 0, or -errno when the TCS cannot be entered. */
    int (*enter)(struct machine *m, uint64_t tcs_offset, struct machine_entry *entry);
    int (*signal)(int signal, machine_signal_handler *handler);
    /* MRENCLAVE, of what has been added so far. False: not before EINIT, as the CPU does not tell. */
    bool (*measurement)(const struct machine *m, uint8_t mrenclave[32]);
    uint64_t (*asynchronous_exits)(const struct machine *m); /* AEX so far */
    void (*destroy)(struct machine *m);
    /* Around fork(2): the enclave is not inherited, as the CPU has it. Before, in the parent; and after, in the
     * child, which gives the machine back there and may create another one. */
    void (*fork_begin)(struct machine *m);
    void (*forked)(struct machine *m);
};

extern const struct platform platform_sgx, platform_emu;

/* The kernel forgets FS when it switches threads: a thread of the enclave that has slept outside finds it by a fault,
 * unless it sets it again itself. */
extern bool platform_fs_lost;

/* The last failure of this thread, for people. */
const char *platform_error(void);
void platform_set_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

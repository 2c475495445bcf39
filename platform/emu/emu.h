/* SPDX-License-Identifier: Apache-2.0 */
/* SGX in software: what its parts share. Offsets used by enter.S are checked in emu.c. */
#ifndef PLATFORM_EMU_EMU_H
#define PLATFORM_EMU_EMU_H

/* struct emu_thread */
#define EMU_THREAD_HOST_FS 0
#define EMU_THREAD_HOST_GS 8
#define EMU_THREAD_INSIDE 16
#define EMU_THREAD_HALF 24 /* TSC cycles that one direction of a transition takes */
#define EMU_THREAD_SCRATCH 32
#define EMU_THREAD_FS 40
/* EMU_THREAD_INSIDE */
#define EMU_INSIDE 1
#define EMU_IN_LEAF 2 /* in the C code of an ENCLU leaf */
/* struct emu_tcs */
#define EMU_TCS_ADDRESS 0
#define EMU_TCS_ENTRY 8
#define EMU_TCS_FS 16
#define EMU_TCS_GS 24
#define EMU_TCS_THREAD 32
#define EMU_TCS_CSSA 40

#ifndef __ASSEMBLER__
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "platform/enclave.h"
#include "platform/measure.h"

/* A host thread that enters. It lies at the bottom of its alternate signal stack, so that a handler
 * finds it before anything that needs the host's FS. */
struct emu_thread {
    uint64_t host_fs, host_gs;
    uint64_t inside; /* EMU_INSIDE between EENTER or ERESUME and EEXIT or AEX; 0: outside */
    uint64_t half;
    uint64_t scratch;
    uint64_t fs;  /* what FS is meant to be: bases.h; else only its last change by a transition */
    bool trapped; /* bases.h */
    struct machine *machine;
    struct emu_tcs *tcs; /* where it is inside */
    machine_exception_handler *handler;
    void *context;
};

#define EMU_STACK_SIZE 0x10000

struct emu_tcs {
    uint64_t address, entry, fs, gs; /* absolute */
    struct emu_thread *thread;       /* who is inside, NULL: not busy */
    uint64_t cssa;
    uint64_t nssa, ossa;             /* ossa: absolute */
    struct emu_tcs *next;
};

/* What reports and keys are made of besides SECS: the processor's own. */
struct emu_fuses {
    uint8_t key[16];       /* the same for all processes of a machine */
    uint8_t report_id[32]; /* CR_REPORT_KEYID */
    uint8_t sbox[256];     /* AES's table */
};

struct machine {
    struct machine_options options;
    uint64_t base;
    struct measurement *measurement;
    uint8_t mrenclave[32];
    bool initialised;
    uint8_t mrsigner[32];
    uint16_t isvprodid, isvsvn;
    struct emu_fuses fuses;
    pthread_mutex_t lock;        /* of adding TCSs */
    struct emu_tcs *threads;     /* all TCSs */
    uint8_t *stubs;              /* where patched sites jump to */
    size_t stubs_size;
    struct emu_tcs **by_gs;      /* indexed by page of OGSBASE, from emu_first_gs on */
    _Atomic uint64_t aex;
};

extern struct machine *emu_machine; /* one enclave a process, as the patched sites and the filter need */

int emu_signals_start(struct machine *m);
int emu_signal(int signal, machine_signal_handler *handler);
int emu_sites_patch(struct machine *m);
void emu_sites_release(struct machine *m);
/* report.c */
int emu_fuses_read(struct emu_fuses *f);
/* leaf_report.c: EREPORT and EGETKEY (SDM 3D), called from inside. False: the operands are not as they must
 * be, which is #GP. */
bool emu_ereport(const struct machine *m, const struct sgx_targetinfo *target, const uint8_t *data,
                 struct sgx_report *out);
bool emu_egetkey(const struct machine *m, const struct sgx_keyrequest *request, uint8_t *key, uint64_t *error);
void emu_cmac(const struct emu_fuses *f, const uint8_t key[16], const uint8_t *data, uint64_t length,
              uint8_t mac[16]);
uint64_t emu_eenter(struct emu_thread *t, struct emu_tcs *tcs, struct machine_entry *entry);
uint64_t emu_leaf(uint32_t leaf, const void *rbx, uint64_t rcx, uint64_t rdx);
struct emu_tcs *emu_tcs_find(struct machine *m, uint64_t offset);
extern __thread struct emu_thread *emu_self;

/* enter.S */
extern const char emu_code_begin[], emu_code_end[], emu_eexit[], emu_leaf_entry[], emu_wrfsbase[], emu_rdfsbase[];
/* Read by enter.S: by_gs and the base it counts from. */
extern struct emu_tcs **emu_by_gs;
extern uint64_t emu_first_gs;
#endif
#endif

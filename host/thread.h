/* SPDX-License-Identifier: Apache-2.0 */
/* A host thread on a TCS: enters, serves what the enclave exits with, enters again. */
#ifndef HOST_THREAD_H
#define HOST_THREAD_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "host/host.h"

enum thread_phase {
    PHASE_OUTSIDE,  /* serving an exit: a signal is handed over with its answer */
    PHASE_ENTERING, /* the answer is written, EENTER not yet done: a signal must be tried again */
};

struct host_thread {
    uint32_t index;           /* of the thread area */
    volatile struct exit_slot *slot;
    _Atomic uint64_t pending; /* signals that arrived while outside, bit n-1 */
    _Atomic uint32_t kicked;  /* the next interruptible exit returns -EINTR at once */
    _Atomic uint32_t phase;
    _Atomic int ring;         /* its io_uring, plus 1; 0: none */
    _Atomic bool entering;    /* it is in that */
    _Atomic uint32_t park;    /* 1: an unpark came */
    _Atomic uint32_t busy;    /* a host thread is on this TCS; futex for the next one */
    _Atomic int tid;
    timer_t retry;            /* fires SIGNAL_LOOK at this thread */
    bool retry_made;
    bool background;          /* takes no signals of the kernel's */
};

struct host_thread *host_thread(uint32_t index); /* NULL: no such thread area */
uint32_t threads_started(void); /* areas from this one on never had a thread */
extern __thread struct host_thread *self;

int threads_start(void); /* makes the table */
void threads_forked(void); /* in the child of a fork: no host thread is on any area */
/* Start a host thread on that area: 0 or -EAGAIN, -EINVAL. */
int thread_run(uint32_t index, bool background);

/* The monitor's: interrupts the threads that have asked for it by exit_slot.deferred before that TSC. True: one has asked,
 * and is to be looked after further. */
bool threads_remind(uint64_t before);
/* Tells all threads of the enclave whether what they put into rings is sent without being asked for. */
void threads_served(bool served);

/* exits.c */
int64_t exit_serve(struct host_thread *t, uint64_t number, uint64_t flags,
                   const uint64_t argument[EXIT_ARGUMENTS]);
const char *exit_name(uint64_t number);
/* serve.S: the same, by way of a frame from which debuggers find what left. `block`: of the enclave's thread. */
int64_t exit_serve_framed(struct host_thread *t, uint64_t number, uint64_t flags,
                          const uint64_t argument[EXIT_ARGUMENTS], const void *block);

/* signals.c */
int signals_start(void);
void signal_interrupt(struct host_thread *t);
int64_t signal_way(int signal, int way, int flags); /* enum signal_way; SA_NOCLDSTOP, SA_NOCLDWAIT */
int signal_stop(int signal);

/* interruptible.S: the system call, unless *kicked is or becomes nonzero before it is made or while it
 * waits: then -EINTR. The handler moves a thread that is between begin and end to abort. */
int64_t interruptible_syscall(const uint64_t argument[EXIT_ARGUMENTS], uint64_t number,
                              _Atomic uint32_t *kicked);
extern const char interruptible_begin[], interruptible_end[], interruptible_abort[];

/* run.c */
_Noreturn void process_end(int status);
/* In the child of a fork, by its only thread: an enclave that is to be the copy of the parent's, and its life. */
_Noreturn void host_run_forked(int in, int out);
void identity_changed(void); /* by the calling thread: the main thread follows */
void statistics_request(void); /* async-signal-safe: the main thread writes them */

#endif

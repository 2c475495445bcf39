/* SPDX-License-Identifier: Apache-2.0 */
/* What all threads of the program share, and how it ends. */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stdint.h>
#include <sys/resource.h>

#include "enclave/lib/lock.h"
#include "enclave/os/signal.h"
#include "enclave/os/thread.h"

/* The program that runs, for /proc/self; addresses are of the program's memory. */
struct program_image {
    char *path; /* of its file, links resolved; alloc'ed */
    uint64_t arguments, arguments_end;
    uint64_t environment, environment_end;
    uint64_t vector, vector_end; /* auxiliary */
    uint64_t stack_start;
};

struct process {
    int pid, parent_pid;
    struct program_image image;
    struct lock threads_lock; /* guards the table and live flags */
    struct thread *threads;   /* one per thread area */
    uint32_t thread_count;    /* areas that there are, */
    uint32_t thread_room;     /* and may be */
    uint32_t threads_live;
    uint32_t first;      /* index of the thread whose tid is the pid */
    struct thread *last; /* waits for all others to end; atomic */
    char name[16];
    uint64_t vector[48]; /* the auxiliary vector, as the program got it */
    uint64_t vector_size; /* bytes */
    bool adopts;             /* PR_SET_CHILD_SUBREAPER: it may have children that it did not make */
    int parent_death_signal; /* PR_SET_PDEATHSIG */

    struct lock signal_lock; /* guards what follows, and the signals of all threads */
    struct signal_queue signals; /* directed at the process */
    uint64_t signals_held;       /* so many wait that the host keeps more of these back; at least one of each waits here */
    struct signal_action actions[SIGNAL_COUNT + 1];
};

extern struct process process;

void process_start(void);

/* RLIMIT_NOFILE as the program has set it, */
const struct rlimit *limit_nofile_both(void);
/* and what the soft limit comes to here. */
uint64_t limit_nofile(void);

/* End the program: what waits for a kick leaves first. `status` as wait(2) encodes it. */
_Noreturn void process_end(int status);
#define STATUS_EXITED(code) (((code)&0xff) << 8)
#define STATUS_SIGNALLED(signal) (signal)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What files and waiting stand on, for tests of them: exits are real system calls of this process,
 * with one check: no argument points anywhere but into the arena. A made-up file stands for those
 * that the LibOS answers for.
 */
#ifndef UNIT_FILES_WORLD_H
#define UNIT_FILES_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/os/file.h"
#include "enclave/os/syscall_files.h"
#include "enclave/os/syscalls.h"

#define DECLARE(name) SYSCALL(name);
SYSCALLS_FILES(DECLARE)
#undef DECLARE

/* A system call of the program; pointers and numbers alike. */
#define CALL(name, ...) CALL_(name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(name, a, b, c, d, e, f, ...)                                                         \
    sys_##name((uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e),          \
               (uint64_t)(f))

struct world {
    uint64_t exits; /* so far */
    int64_t lie;    /* the next exit gives this instead of its result, if lying */
    bool lying;
    bool net_active;
    int net_polls, net_sleeps, flushes;
    int signal_raised;            /* by signal_raise_self */
    bool signal;                  /* there is a signal to be handled */
    uint64_t signal_while_asleep; /* becomes pending in thread_sleep */
    bool sleeps;                  /* threads do sleep in thread_sleep, until they are woken */
    uint64_t no_file;             /* RLIMIT_NOFILE */
    int ways;                     /* decisions, of which every one that this divides is for an exit; 0: none */
    uint64_t per_ms;              /* TSC counts that are held to be a millisecond */
    bool no_memory;               /* the arena's pool is used up */
    int violations;
    uint64_t hostile; /* not 0: the seed by which the host lies and scribbles */
};
extern struct world world;

/* In each thread of a test, before anything else. */
void world_thread(uint32_t index);
/* cmocka group set-up: the descriptor table is made, with 0, 1, 2. */
int world_start(void **state);

/* A file that the LibOS answers for. */
struct inner {
    uint32_t ready; /* poll events that hold */
    uint64_t arrivals;
    uint32_t reported; /* what poll was told of the host */
    int host_fd;       /* what stands behind it, -1: none */
    bool net;
    uint32_t asked; /* how often */
    void (*on_ask)(struct inner *);
    bool released;
};
/* Its descriptor. */
int world_inner(struct inner *i);
/* Runs when net_poll is called; true: packets came. */
extern bool (*world_net_poll)(void);

/* Something has happened that the thread is to look at before it sleeps. */
void world_interrupt(void);

/* A signal that is blocked becomes pending. */
void world_signal(int signal, int pid);

/* For the rest of the test: a copy to or from memory that is not there returns -EFAULT. */
void world_catch_faults(void);

/* What the host has of the i-th extent that was opened, NULL: there is none. */
struct extent_shared;
struct extent_shared *world_extent(unsigned i);

/* A violation ends the process: true if fn() is one. */
bool world_violates(void (*fn)(void));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for tests of memory that processes have in common: processes, each with pages of its own, and a host in
 * memory of them all, which keeps to abi/common.h or lies. A process does what it is told, and waits and serves in
 * between as a machine would have it.
 */
#ifndef TESTS_COMMON_WORLD_H
#define TESTS_COMMON_WORLD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/common.h"
#include "enclave/os/area.h"

#define PAGE 4096ul
#define PAGES 24u             /* of the program; one for the LibOS follows */
#define RW (PROT_READ | PROT_WRITE)
#define REGIONS 16            /* that are ever made in a test */
#define GIVEN_MOST 4096       /* pages, too */
#define PROCESSES 4

/* ---- the host: one for all processes ---- */

struct host_page {
    uint32_t holder, wanted;
    struct common_slot slot;
};

struct host_region {
    uint64_t pages;
    uint32_t number[COMMON_WORDS];
    struct host_page page[PAGES];
};

struct host {
    struct host_region region[REGIONS];
    unsigned regions;
    struct {
        uint8_t writer[16];
        uint64_t count;
    } given[GIVEN_MOST];
    unsigned gives, takes, waits;
    /* How it lies. */
    int64_t make_result, take_result, move_result, wake_result;
    bool take_lies, wake_lies;
    int64_t wanted_count; /* 0: the truth */
    uint64_t wanted[COMMON_ANSWER];
    void (*on_number)(void); /* called once, when a word's number has been told */
};

extern struct host *host;

/* ---- this process ---- */

struct world {
    uint32_t me;
    struct host_region *known[COMMON_REGIONS]; /* by number, as this process knows them */
    uint8_t *program;
    int usable[PAGES + 1]; /* protection, as the machine has it */
    struct area areas[4];  /* what is mapped */
    unsigned area_count;
    unsigned warnings, errors, released, woken_inside;
    bool signalled;
    uint64_t tick; /* TSC counts to a millisecond; 0: no page stays */
    uint64_t clock_ns, waited_ns;
    int wait_results[3], waits_done; /* of COMMON_WAIT, one after the other; then the truth */
    unsigned child_count;
    struct {
        int to;
        pid_t pid;
        bool waits;
        int64_t answer;
    } child[PROCESSES];
    void (*on_wait)(void); /* called when a child waits for a page */
};

extern struct world world;

int world_start(void **state);
/* Before a test: pages 0 to 7 and 10 to 17 are mapped shared, page n full of n. */
int world_fresh(void **state);
/* After it: all processes leave, and nothing is common. */
int world_over(void **state);

uint64_t address(uint64_t page);
void area_add(uint64_t first, uint64_t count, int protection, bool sharing);
void set(uint64_t page, int protection); /* by the machine */
/* What of the page is outside, as this process knows it. */
struct host_page *outside(uint64_t page);

/* The program reads a page: what all its words are. Or writes it: 0. Or faults: FAULT and the code. */
int64_t look(uint64_t page);
int64_t fill(uint64_t page, uint64_t value);
#define FAULT (-10000)

/* What a process can be told to do, with a page and a value; it answers as the function does. */
enum act { LOOK, FILL, SERVE, FORGET, PROTECT, END, WAIT_WORD, TRY_LOOK, KILL, LEAVE };

/* Fork: a child's number. Its memory is as it came, and else full of junk. */
#define WORLD_JUNK 0x0d0d0d0d0d0d0d0d
unsigned child_make(void);
/* Have a child do it. Those who wait are served by all others. */
int64_t have(unsigned child, enum act what, uint64_t page, uint64_t value);
/* The youngest does what it ends by: its status, or minus the signal. */
int child_ends(unsigned child, enum act what, uint64_t page);

/* What comes of it in this process, as a twin of it tells: a small value, or what it ended with. Nothing changes here
 * or outside. */
int try(enum act what, uint64_t page, uint64_t value);
/* The page as a process would give it that is like this one, but has another key. */
const struct common_slot *of_another_key(uint64_t page);
enum { TORN = 200, FAULTED, VIOLATED, WAITED, PARKED, BROKEN };

#endif

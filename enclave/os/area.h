/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of areas: what is mapped where, sorted by address, never overlapping, neighbours of the same
 * kind merged. Pure bookkeeping: no page is touched here.
 */
#ifndef OS_AREA_H
#define OS_AREA_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/os/memory.h"

struct area {
    uint64_t start, end; /* page-aligned, start < end */
    int protection;      /* PROT_ bits */
    bool used;           /* there may be something in it: it had access at some time, and is not absent */
    enum area_kind kind;
    uint64_t offset;  /* in the file, of start */
    const char *name; /* of the file, as /proc/self/maps shows it; NULL: none. Not owned. */
    bool sharing;           /* MAP_SHARED */
    struct shared *shared;  /* the file behind a shared mapping; NULL: none */
    struct file *absent; /* no page of it is here yet: what comes is this file's, at `offset`. NULL: else. Not owned. */
};

struct area_table {
    struct area *area;
    uint32_t count, room;
    uint64_t low, high; /* bounds of the address space */
};

/* Index of the first area whose end is beyond `address` (count: none). */
uint32_t area_index(const struct area_table *t, uint64_t address);

/* The area that contains `address`, NULL: none. */
const struct area *area_find(const struct area_table *t, uint64_t address);

/* Room for `extra` more areas: 0 or -ENOMEM. Insert and remove cannot fail after it with extra ≥ 2. */
int area_reserve(struct area_table *t, uint32_t extra);

/* Adds an area whose range is free. */
void area_insert(struct area_table *t, const struct area *a);
/* Makes [start, end) free, splitting at the edges. */
void area_remove(struct area_table *t, uint64_t start, uint64_t end);
/* Sets the protection of all that lies in [start, end); no holes there. */
void area_protect(struct area_table *t, uint64_t start, uint64_t end, int protection);
/* May there be something in [start, end)? */
bool area_used(const struct area_table *t, uint64_t start, uint64_t end);
/* The first absent area that overlaps with [start, end). NULL: none. */
const struct area *area_absent(const struct area_table *t, uint64_t start, uint64_t end);
/* Is all of [start, end) covered by areas? */
bool area_covered(const struct area_table *t, uint64_t start, uint64_t end);
bool area_overlaps(const struct area_table *t, uint64_t start, uint64_t end);

/* The highest free range of that length below `below`; 0: none. */
uint64_t area_gap_below(const struct area_table *t, uint64_t length, uint64_t below);
/* The lowest free range of that length at or above `above`; 0: none. */
uint64_t area_gap_above(const struct area_table *t, uint64_t length, uint64_t above);

/* The invariant, for tests: sorted, aligned, disjoint, within bounds. */
bool area_table_valid(const struct area_table *t);

#endif

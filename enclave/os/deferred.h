/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private mappings of files, of which a program touches a part: a page comes when it is touched, and its neighbours with
 * it. In the table of areas what has not come yet is an area apart (area.absent). As on Linux, what it will hold is
 * what the file holds then. All is called with the address space's lock held.
 */
#ifndef OS_DEFERRED_H
#define OS_DEFERRED_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/os/area.h"

struct file;

#define DEFERRED_FIRST 0x10000ul /* bytes that are there from the start */

/* Is a private mapping like this one to be deferred? */
bool deferred_wanted(struct file *f, uint64_t length, int protection, int flags);
/* Areas are about to be absent that are of this file: a reference to it is kept. 0 or -ENOMEM. */
int deferred_keep(struct file *f);
/* Areas that were absent are gone or have come: files of which there is none any more are let go. */
void deferred_sweep(const struct area_table *t);
/* The files that are kept, a reference each. */
void deferred_files(void (*visit)(struct file *f));

/* What comes when `address` in the absent area is touched: *start to *end, whole pages. */
void deferred_part(const struct area *a, uint64_t address, uint64_t *start, uint64_t *end);
/* What is in that part, FETCH_MAX bytes at most; `to` is zero. 0, or -errno and `to` is zero again. The bounce buffer stays
 * as it is. */
int deferred_read(const struct area *a, uint64_t start, uint64_t end, void *to);
/* Makes that part, FETCH_MAX bytes at most, appear at once, with what is in it; the table is the caller's to change. The
 * bounce buffer stays as it is. 0 or -errno. */
int deferred_fetch(const struct area *a, uint64_t start, uint64_t end, int protection);

#endif

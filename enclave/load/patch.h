/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrites system call sites to jumps when a file is mapped executable. */
#ifndef LOAD_PATCH_H
#define LOAD_PATCH_H

#include <stdint.h>

#include "abi/sites.h"

struct file;

/*
 * [address, +length) holds the contents of `file` from `file_offset`, still writable, about to become
 * executable. Replaces the listed sites within; makes trampolines near by, which stay. How many were
 * replaced, or a negative errno: nothing was, and every site works by way of an exception.
 */
int patch_mapped(struct file *file, uint64_t address, uint64_t length, uint64_t file_offset,
                 int protection);

/* The same with a list: `count` windows in order, disjoint, well formed. */
int patch_sites(const struct site *site, uint64_t count, uint64_t address, uint64_t length,
                uint64_t file_offset);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the system call sites of an x86-64 ELF file that a jump can replace. */
#ifndef HOST_SITES_SCAN_H
#define HOST_SITES_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "abi/sites.h"

#define SITES_SIZE_MAX (sizeof(struct site_list) + SITES_MAX * sizeof(struct site))

/*
 * The list of the file whose contents these are, to be given back with free(). Site number SITES_MAX
 * and what follows count as unlisted. -ENOEXEC: not an ELF file for x86-64; -ENOMEM.
 */
int sites_scan(const uint8_t *file, size_t size, struct site_list **out);

static inline size_t sites_size(const struct site_list *list)
{
    return sizeof *list + list->count * sizeof(struct site);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a file's system call sites, as the host says in a development configuration. */
#ifndef BOUNDARY_SITES_H
#define BOUNDARY_SITES_H

#include <stdint.h>

#include "abi/sites.h"

/* Length of the window and offset of its `syscall`, of a checked site. */
static inline uint64_t site_length(const struct site *s)
{
    return s->shape & 0xff;
}

static inline uint64_t site_syscall(const struct site *s)
{
    return s->shape >> 8;
}

/*
 * For a file that is being mapped executable: [file_offset, +length) of it at `address`, of which the host tells
 * debuggers. How many sites of host descriptor `fd` are in *out, which the caller gives back by alloc_free (NULL
 * when there are none). Their windows are in order, disjoint, within the file's size as the host
 * says it, and hold a `syscall` as far as numbers can tell. -errno of the host; -ENOMEM; -EPROTO: an
 * impossible list, counted.
 */
int64_t sites_of_host_file(int fd, uint64_t address, uint64_t length, uint64_t file_offset, struct site **out);

#endif

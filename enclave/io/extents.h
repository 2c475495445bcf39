/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write-behind: small writes to a file are gathered in the arena and leave as one (abi/file.h).
 *
 * Each file of the host has at most one extent: whoever writes to it takes over what was gathered,
 * by whichever of its open files that came. So what was written first is there first.
 *
 * An extent leaves when it is full, when the next write does not adjoin it, before anything that the
 * outside could notice (boundary/order.h), and within about a millisecond by the host itself.
 *
 * An error of a write that was accepted is kept for the file that it was accepted for.
 */
#ifndef IO_EXTENTS_H
#define IO_EXTENTS_H

#include <stdint.h>
#include <sys/uio.h>

struct extent;

/* An open file, as extents know it. Kept by the caller, zeroed at first but for the first three;
 * must not move. Calls for one file do not overlap, but for those that other files' calls cause. */
struct extent_file {
    int host_fd;
    uint64_t device, inode;
    int error; /* negative errno of a late write, 0: none */
    struct extent *extent;
};

/*
 * Bytes of v's buffers, which may be the program's, are accepted for the file: `offset` in it, or
 * -1: at the position that the host keeps (which must be the end for O_APPEND). At most
 * EXTENT_BYTES / 2 in all. Returns how many; -EFAULT; -EAGAIN: there is no room to gather in, write
 * as usual.
 */
int64_t extent_write(struct extent_file *f, int64_t offset, const struct iovec *v, int count);

/* Takes what was gathered for the file (any open file of it) to the host. */
void extent_settle(uint64_t device, uint64_t inode);
/* The file is about to be closed: the same, and the extent is given back. */
void extent_release(struct extent_file *f);
/* The error of a late write, told once; 0: none. */
int extent_error(struct extent_file *f);

/* All that was gathered to the host. */
void extents_write_out(void);
/* In a process that has the memory of another: nothing is known to the host any more. */
void extents_restart(void);

/* TSC counts in a millisecond. */
void extents_start(uint64_t tsc_per_ms);

#endif

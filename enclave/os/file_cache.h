/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular files of the host, with few exits: their position is kept here, small writes are gathered
 * (io/extents.h), and reads are served from windows on the kernel's own pages (io/windows.h).
 * Nobody can tell, but by the clock: see docs/decisions.md.
 *
 * A file begins as any other, an exit a call. When it has been read or written in sequence a few
 * times, the host is asked what it is; where it is fit for this, its position is taken over.
 */
#ifndef OS_FILE_CACHE_H
#define OS_FILE_CACHE_H

#include <stdint.h>
#include <sys/uio.h>

struct file;

enum file_caching {
    CACHING_NONE,   /* an exit each call */
    CACHING_SHARED, /* its position is not ours alone: that stays with the host */
    CACHING_CLAIMS, /* so it is here, but it is likely that nobody uses it meanwhile */
    CACHING_FULL,
};

/* The file operations, for a file with f->caching not NONE. */
int64_t file_cache_read(struct file *f, const struct iovec *v, int count, int64_t offset,
                        int flags);
int64_t file_cache_write(struct file *f, const struct iovec *v, int count, int64_t offset,
                         int flags);
int64_t file_cache_lseek(struct file *f, int64_t offset, int whence);
/* The last reference is gone: before the host closes it. */
void file_cache_release(struct file *f);

/*
 * For what the host does by the descriptor's own position or flags (sendfile, splice, F_SETFL,
 * ...): the position is the host's until file_cache_return. Any file.
 */
void file_cache_lend(struct file *f);
void file_cache_return(struct file *f);

/* The descriptor goes to another process as well: from now on position and flags are theirs too.
 * Any file. */
void file_cache_surrender(struct file *f);
/* In a process that got this one's memory by fork, before anything else that touches files. They
 * were surrendered before, and its host has called extents_forked. */
void file_cache_restart(void);
/* There too, of every file: what is still the other process's to read is not this one's. */
void file_cache_disown(struct file *f);

/* A write that was accepted failed later: its error as a negative errno, told once. 0: none. Any
 * file. What was gathered is with the host when this returns. */
int file_cache_settle(struct file *f);

/* RLIMIT_FSIZE is another. */
void file_cache_limit(uint64_t bytes);

#endif

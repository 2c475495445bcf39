/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the host: what is known of one, writes that are gathered in the arena, windows on files that
 * the host maps there. Words only. Nothing here is believed further than that a wrong answer loses or
 * changes bytes of the host's own files, which it can anyway.
 */
#ifndef ABI_FILE_H
#define ABI_FILE_H

#include <stdint.h>

/* EXIT_FILE_FACTS: of an open descriptor. */
struct file_facts {
    uint64_t mode, device, inode, size; /* as fstat says */
    uint64_t position;                  /* FILE_NO_POSITION: it has none */
    uint64_t file_system;               /* f_type of statfs, 0: not known */
    uint64_t free;                      /* bytes that can still be written there; UINT64_MAX: no end */
    uint64_t limit;                     /* RLIMIT_FSIZE, UINT64_MAX: none */
};

#define FILE_NO_POSITION UINT64_MAX

/*
 * An extent: bytes that the program has written to a file and that the host is to write there. The
 * enclave fills it (EMPTY or READY to FILLING to READY); the host writes it, when asked by an exit or when
 * it has been READY for a while (READY to WRITING to EMPTY). EXTENT_DATA bytes after the start: the data.
 */
enum extent_state { EXTENT_EMPTY, EXTENT_FILLING, EXTENT_READY, EXTENT_WRITING };

struct extent_shared {
    uint64_t state;
    uint64_t sequence; /* enclave → host: another each time it was EMPTY */
    uint64_t file;     /* enclave → host: descriptor */
    uint64_t offset;   /* enclave → host: in the file, or EXTENT_AT_POSITION: by write(2) */
    uint64_t length;   /* enclave → host */
    uint64_t error;    /* host → enclave: errno of a write that failed; the enclave clears it */
    uint64_t watched;  /* host → enclave: 1: it looks at extents by itself. Else READY ones wait for an exit */
    uint64_t reserved;
};

#define EXTENTS_MAX 8
#define EXTENT_DATA 0x1000ul
#define EXTENT_BYTES 0x80000ul /* more would not stay in the cache of a core, where it is copied to and from */
#define EXTENT_SIZE (EXTENT_DATA + EXTENT_BYTES)
#define EXTENT_AT_POSITION UINT64_MAX

/* A window: part of a file, mapped over the arena for reading, and made ready there by steps. */
#define WINDOWS_MAX 8
#define WINDOW_BYTES 0x2000000ul
#define WINDOW_STEP 0x100000ul /* the most that is made ready at once */
#define FILE_ANYWHERE UINT64_MAX /* EXIT_FILE_MOVE: wherever the position is */
#define WINDOW_NO_FILE UINT64_MAX /* in EXIT_FILE_MAP's place of a descriptor: nothing any more */

#endif

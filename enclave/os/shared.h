/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared mappings of files. The kernel must not see enclave memory, so the pages are a copy of the file:
 * what the program changed is found by comparing with what the file held when last looked at (the shadow),
 * and written back; what others changed is read. All is called with the address space's lock held.
 */
#ifndef OS_SHARED_H
#define OS_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/os/area.h"

struct file;

struct shared {
    struct shared *next; /* of all, and whether an area still is of it: the address space's */
    bool used;
    struct file *file; /* a reference: the program may close its descriptor */
    uint64_t device, inode;
    uint64_t offset, length;   /* of the file's part that was mapped; whole pages */
    uint8_t *shadow;           /* length bytes; NULL: the program could not write so far */
    int64_t second, nanosecond, size; /* of the file when last looked at: when it was changed, its size */
    uint64_t since; /* TSC when it was first seen so; */
    bool settled;   /* so long before the last look that a change since then has another time */
};

/* A file that had a name and has none any more: only who has it open or mapped, and his children, can have it. */
bool shared_nameless(struct shared *s);
/* What the file is, for a mapping of it that does not exist yet. NULL and *error: -ENODEV (no regular
 * file), -EACCES, -EPERM (sealed), -ENOMEM. Takes a reference. */
struct shared *shared_new(struct file *file, uint64_t offset, uint64_t length, int protection, int *error);
void shared_drop(struct shared *s);

bool shared_is_of(const struct shared *s, uint64_t device, uint64_t inode);
/* May the program be given write access? */
bool shared_can_write(const struct shared *s);

/* A shadow, empty: 0 or -ENOMEM. Each area has to be noted before it becomes writable. */
int shared_shadow_make(struct shared *s);
/* The area's pages, which are readable, hold what the file does. 0 or -EFAULT. */
int shared_note(struct shared *s, const struct area *a);

/* What the program changed of [from, to) of the file goes there. The area's pages are readable. 0 or the
 * first error; what could not be written is tried again next time. */
int shared_push(struct shared *s, const struct area *a, uint64_t from, uint64_t to);

/* What others changed of [from, to) of the file comes in, but for bytes that the program has changed too.
 * `writable` makes pages of the area writable, where they have to be. 0 or -errno. */
int shared_pull(struct shared *s, const struct area *a, uint64_t from, uint64_t to,
                int (*writable)(uint64_t start, uint64_t end));

/* Can it be told without reading the file that it is as when last looked at? Notes how it is now. */
bool shared_unchanged(struct shared *s);

#endif

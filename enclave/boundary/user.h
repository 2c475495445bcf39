/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's memory, as system calls get it: a pointer that may be wrong. Checked to lie in the
 * part of the enclave that belongs to the program (never the LibOS's own pages, never outside the
 * enclave), copied with faults caught.
 */
#ifndef BOUNDARY_USER_H
#define BOUNDARY_USER_H

#include <stddef.h>
#include <stdint.h>

/* 0, or -EFAULT: not wholly within the program's part of the enclave. Says nothing of permissions. */
int user_range(const void *pointer, size_t length);

/* 0 or -EFAULT. */
int user_read(void *to, const void *from, size_t length);
int user_write(void *to, const void *from, size_t length);
int user_zero(void *to, size_t length);

/* Copies a string and its NUL, at most `size` bytes: its length, -EFAULT, or -ENAMETOOLONG. */
int64_t user_string(char *to, const char *from, size_t size);

/* Atomic: if *user is *expected it becomes `new`: 1. Else *expected becomes what it is: 0. Or -EFAULT. */
int user_exchange(uint32_t *user, uint32_t *expected, uint32_t new);

#define user_get(to, from) user_read((to), (from), sizeof *(to))
#define user_put(to, from) user_write((to), (from), sizeof *(from))

#endif

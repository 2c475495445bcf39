/* SPDX-License-Identifier: Apache-2.0 */
/* The copies of copy.S: for boundary/ only. A fault in the program's memory returns -EFAULT. */
#ifndef BOUNDARY_COPY_H
#define BOUNDARY_COPY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

int copy_words(void *to, const void *from, size_t words);
int copy_bytes(void *to, const void *from, size_t n);
int fill_zero(void *to, size_t n);
int exchange_word(uint32_t *word, uint32_t *expected, uint32_t new);
int64_t copy_string(char *to, const char *from, size_t size);

#endif

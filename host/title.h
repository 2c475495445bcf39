/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_TITLE_H
#define HOST_TITLE_H

#include <stddef.h>

/* This process and the calling thread are called `name`, and the arguments are these strings, each with its NUL;
 * size 0: what they were. */
void title_set(const char *name, const char *strings, size_t size);

#endif

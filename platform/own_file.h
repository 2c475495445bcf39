/* SPDX-License-Identifier: Apache-2.0 */
/* What this user keeps for himself from run to run, below ${XDG_CACHE_HOME:-~/.cache}/rakis. */
#ifndef PLATFORM_OWN_FILE_H
#define PLATFORM_OWN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* The folder's path; made or not. False: there is none, or no room for it and for 200 bytes more. */
bool own_folder(char *out, size_t size);
/* A file that is this user's own and nobody else's to write: its descriptor and what it is; or -1. */
int own_file_open(const char *path, struct stat *status);
/* Whole or not at all: what `write` puts into a new file beside it, of mode 0600, goes there; folders on the way, which
 * `path` shows meanwhile, are made. Failing is no error. */
void own_file_replace(char *path, bool (*write)(int fd, void *context), void *context);

#endif

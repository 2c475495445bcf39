/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of sites that were made before, below ${XDG_CACHE_HOME:-$HOME/.cache}/rakis:
 *
 *   sites/HASH   the list of the file with this SHA-256, and a sum of it
 *   files/KEY    the hash of the file that has this device, inode, size and times
 *
 * Entries that others own or can write, or that are damaged, are ignored. Without a directory to
 * write, all is as if nothing had been made before.
 */
#ifndef HOST_SITES_CACHE_H
#define HOST_SITES_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "abi/sites.h"

#define SITES_HASH_SIZE 65 /* in hexadecimal, with its NUL */

/* The hash of the file that was seen with this status. False: not known. */
bool sites_cache_hash(const struct stat *status, char hash[SITES_HASH_SIZE]);
void sites_cache_set_hash(const struct stat *status, const char *hash);

/* The list: to be given back with free(). NULL: none. */
struct site_list *sites_cache_list(const char *hash);
void sites_cache_set_list(const char *hash, const struct site_list *list);

#endif

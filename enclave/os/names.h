/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that are the host's to give: its own, and who resolves others. A program gets them only where the
 * configuration says so (CONFIGURATION_HOST_NAMES); else the files that libraries take them from are made up, by
 * the paths that libraries use, and say that there is this machine and no other.
 */
#ifndef OS_NAMES_H
#define OS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* The text of a file that is made up; NULL: the path is none of them, or the host's files are what is wanted. */
const char *names_text(const char *path);

/* The host's name as it came, of `size` bytes, becomes what the program is told: "localhost", where the host's is not
 * wanted or not one that a host can have (RFC 952, 1123, and "_" as is common). */
void names_settle(char *name, size_t size);
#endif

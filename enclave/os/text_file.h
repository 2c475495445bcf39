/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories whose content is made when they are opened. */
#ifndef OS_TEXT_FILE_H
#define OS_TEXT_FILE_H

#include <stdint.h>
#include <sys/stat.h>

#include "enclave/os/file.h"

/* `text` is alloc'ed and is taken over. NULL: no memory, and text is freed. */
struct file *text_file_new(char *text, uint64_t size, const char *path);

/* A directory that is being listed. */
struct listing {
    char *bytes; /* NULL: no memory */
    uint64_t size, room;
};

/* With "." and "..". */
void listing_start(struct listing *d);
/* type: DT_REG, ... */
void listing_add(struct listing *d, const char *name, uint8_t type);
/* Takes the listing over. 0 or -ENOMEM. */
int listing_open(struct listing *d, const char *path, struct file **out);

/* What stat says of a file that is made up, with that type and those permissions. */
void made_up_stat_fill(struct stat *out, uint32_t mode);
#endif

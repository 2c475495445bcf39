/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_ROOM 4096

bool own_folder(char *out, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (cache && cache[0] == '/')
        n = snprintf(out, size, "%s/rakis", cache);
    else if (home && home[0] == '/')
        n = snprintf(out, size, "%s/.cache/rakis", home);
    return n > 0 && (size_t)n + 200 < size;
}

int own_file_open(const char *path, struct stat *status)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && !fstat(fd, status) && S_ISREG(status->st_mode) && status->st_uid == geteuid() &&
        !(status->st_mode & (S_IWGRP | S_IWOTH)))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void folders_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

void own_file_replace(char *path, bool (*write)(int fd, void *context), void *context)
{
    char temporary[PATH_ROOM + 8];
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0 && errno == ENOENT) {
        folders_make(path);
        snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
        fd = mkostemp(temporary, O_CLOEXEC);
    }
    if (fd < 0)
        return;
    bool written = write(fd, context);
    if (close(fd) || !written || rename(temporary, path))
        unlink(temporary);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/host.h"
#include "host/sites_cache.h"
#include "host/sites_scan.h"
#include "platform/hash.h"

#define FILE_SIZE_MAX (1ll << 30)

/* Whole contents, without moving the descriptor's position. */
static int contents_read(int fd, size_t size, uint8_t **out)
{
    uint8_t *contents = malloc(size);
    if (!contents)
        return -ENOMEM;
    for (size_t at = 0; at < size;) {
        ssize_t n = pread(fd, contents + at, size - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int error = n < 0 ? -errno : -EIO;
            free(contents);
            return error;
        }
        at += (size_t)n;
    }
    *out = contents;
    return 0;
}

static void contents_hash(const uint8_t *contents, size_t size, char hash[SITES_HASH_SIZE])
{
    uint8_t digest[32];
    struct hash h;
    hash_begin(&h);
    hash_add(&h, contents, size);
    hash_end(&h, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hash + 2 * i, 3, "%02x", digest[i]);
}

static bool is_elf(int fd)
{
    char magic[4];
    return pread(fd, magic, sizeof magic, 0) == sizeof magic && !memcmp(magic, "\177ELF", 4);
}

/* From the contents: by their hash, or by looking. */
static int list_make(int fd, const struct stat *status, struct site_list **out)
{
    uint8_t *contents = NULL;
    char hash[SITES_HASH_SIZE];
    int error = contents_read(fd, (size_t)status->st_size, &contents);
    if (error)
        return error;
    contents_hash(contents, (size_t)status->st_size, hash);
    *out = sites_cache_list(hash);
    if (!*out) {
        error = sites_scan(contents, (size_t)status->st_size, out);
        if (!error)
            sites_cache_set_list(hash, *out);
    }
    free(contents);
    if (!error)
        sites_cache_set_hash(status, hash);
    return error;
}

int64_t sites_of_file(int fd, void *out, size_t size)
{
    struct stat status;
    struct site_list *list = NULL;
    char hash[SITES_HASH_SIZE];
    if (fstat(fd, &status))
        return -errno;
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_SIZE_MAX || !is_elf(fd))
        return -ENOEXEC;
    if (sites_cache_hash(&status, hash))
        list = sites_cache_list(hash);
    if (list && list->file_size != (uint64_t)status.st_size) {
        free(list);
        list = NULL;
    }
    if (!list) {
        int error = list_make(fd, &status, &list);
        if (error)
            return error;
    }
    size_t bytes = sites_size(list);
    if (bytes <= size)
        memcpy(out, list, bytes);
    free(list);
    return bytes <= size ? (int64_t)bytes : -ENOSPC;
}

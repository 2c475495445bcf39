/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sites_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/sites_scan.h"

#define ROOM 4096
/* Grows when the scan finds other windows than before: older entries then count as damaged. */
#define SCAN_VERSION 2
/* A file may change twice within one tick of its clock: one that changed lately is hashed again. */
#define SETTLED_SECONDS 2

/* rakis's directory; false: there is none. */
static bool directory(char out[ROOM])
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (cache && cache[0] == '/')
        n = snprintf(out, ROOM, "%s/rakis", cache);
    else if (home && home[0] == '/')
        n = snprintf(out, ROOM, "%s/.cache/rakis", home);
    return n > 0 && n < ROOM - 200;
}

static void entry_path(char out[ROOM], const char *root, const char *kind, const char *name)
{
    snprintf(out, ROOM, "%.*s/%s/%.120s", ROOM - 200, root, kind, name);
}

static void make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

/* At most `size` bytes of an entry that is ours alone to write; how many, 0: none. */
static size_t entry_read(const char *kind, const char *name, void *out, size_t size)
{
    char root[ROOM], path[ROOM];
    struct stat status;
    size_t at = 0;
    if (!directory(root))
        return 0;
    entry_path(path, root, kind, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    if (!fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
        !(status.st_mode & (S_IWGRP | S_IWOTH)) && (uint64_t)status.st_size <= size) {
        ssize_t n;
        while (at < size && (n = read(fd, (char *)out + at, size - at)) > 0)
            at += (size_t)n;
    }
    close(fd);
    return at;
}

static void entry_write(const char *kind, const char *name, const void *data, size_t size)
{
    char root[ROOM], path[ROOM], temporary[ROOM + 64];
    if (!directory(root))
        return;
    entry_path(path, root, kind, name);
    snprintf(temporary, sizeof temporary, "%s.%d.%ld", path, getpid(), syscall(SYS_gettid));
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(temporary, flags, 0600);
    if (fd < 0 && errno == ENOENT) {
        make_directories(path);
        fd = open(temporary, flags, 0600);
    }
    if (fd < 0)
        return;
    bool whole = write(fd, data, size) == (ssize_t)size;
    if (close(fd) || !whole || rename(temporary, path))
        unlink(temporary);
}

static void file_key(const struct stat *s, char out[128])
{
    snprintf(out, 128, "%lx-%lx-%lx-%lx.%lx-%lx.%lx", (unsigned long)s->st_dev,
             (unsigned long)s->st_ino, (unsigned long)s->st_size, (unsigned long)s->st_mtim.tv_sec,
             (unsigned long)s->st_mtim.tv_nsec, (unsigned long)s->st_ctim.tv_sec,
             (unsigned long)s->st_ctim.tv_nsec);
}

static bool is_hash(const char *s)
{
    return strlen(s) == SITES_HASH_SIZE - 1 && strspn(s, "0123456789abcdef") == SITES_HASH_SIZE - 1;
}

bool sites_cache_hash(const struct stat *status, char hash[SITES_HASH_SIZE])
{
    char key[128];
    file_key(status, key);
    size_t n = entry_read("files", key, hash, SITES_HASH_SIZE - 1);
    hash[n] = 0;
    return is_hash(hash);
}

void sites_cache_set_hash(const struct stat *status, const char *hash)
{
    char key[128];
    time_t now = time(NULL);
    if (status->st_mtim.tv_sec > now - SETTLED_SECONDS ||
        status->st_ctim.tv_sec > now - SETTLED_SECONDS)
        return;
    file_key(status, key);
    entry_write("files", key, hash, SITES_HASH_SIZE - 1);
}

/* FNV-1a over words: finds damage. Binds the list to the hash of its file and to the scan's version. */
static uint64_t sum(const char *hash, const struct site_list *list)
{
    uint64_t sum = 0xcbf29ce484222325ull ^ SCAN_VERSION, word;
    for (size_t i = 0; i + 8 < SITES_HASH_SIZE; i += 8) {
        memcpy(&word, hash + i, 8);
        sum = (sum ^ word) * 0x100000001b3ull;
    }
    for (size_t i = 0; i < sites_size(list); i += 8) {
        memcpy(&word, (const char *)list + i, 8);
        sum = (sum ^ word) * 0x100000001b3ull;
        sum ^= sum >> 32;
    }
    return sum;
}

struct site_list *sites_cache_list(const char *hash)
{
    size_t room = SITES_SIZE_MAX + sizeof(uint64_t);
    struct site_list *list = malloc(room);
    if (!list)
        return NULL;
    size_t n = entry_read("sites", hash, list, room);
    uint64_t stored;
    if (n >= sizeof *list + sizeof stored && list->magic == SITES_MAGIC &&
        list->count <= SITES_MAX && n == sites_size(list) + sizeof stored) {
        memcpy(&stored, (char *)list + sites_size(list), sizeof stored);
        if (stored == sum(hash, list))
            return list;
    }
    free(list);
    return NULL;
}

void sites_cache_set_list(const char *hash, const struct site_list *list)
{
    size_t size = sites_size(list);
    uint64_t check = sum(hash, list);
    uint8_t *entry = malloc(size + sizeof check);
    if (!entry)
        return;
    memcpy(entry, list, size);
    memcpy(entry + size, &check, sizeof check);
    entry_write("sites", hash, entry, size + sizeof check);
    free(entry);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sites_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/sites_scan.h"
#include "platform/own_file.h"

#define ROOM 4096
/* Grows when the scan finds other windows than before: older entries then count as damaged. */
#define SCAN_VERSION 3
/* A file may change twice within one tick of its clock: one that changed lately is hashed again. */
#define SETTLED_SECONDS 2

static bool entry_path(char out[ROOM], const char *kind, const char *name)
{
    char root[ROOM];
    if (!own_folder(root, sizeof root))
        return false;
    snprintf(out, ROOM, "%.*s/%s/%.120s", ROOM - 200, root, kind, name);
    return true;
}

/* At most `size` bytes of an entry; how many, 0: none. */
static size_t entry_read(const char *kind, const char *name, void *out, size_t size)
{
    char path[ROOM];
    struct stat status;
    size_t at = 0;
    ssize_t n;
    int fd = entry_path(path, kind, name) ? own_file_open(path, &status) : -1;
    if (fd < 0)
        return 0;
    while ((uint64_t)status.st_size <= size && at < size && (n = read(fd, (char *)out + at, size - at)) > 0)
        at += (size_t)n;
    close(fd);
    return at;
}

struct entry {
    const void *data;
    size_t size;
};

static bool put(int fd, void *context)
{
    const struct entry *e = context;
    return write(fd, e->data, e->size) == (ssize_t)e->size;
}

static void entry_write(const char *kind, const char *name, const void *data, size_t size)
{
    char path[ROOM];
    struct entry e = {data, size};
    if (entry_path(path, kind, name))
        own_file_replace(path, put, &e);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/signed.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/own_file.h"

#define PATH_ROOM 4096

struct entry {
    uint64_t key[6]; /* another key, another signature */
    struct sgx_sigstruct sigstruct;
};

static void identify(uint64_t out[6], const struct stat *key)
{
    const uint64_t identity[6] = {
        key->st_dev,          key->st_ino, (uint64_t)key->st_size, (uint64_t)key->st_mtim.tv_sec,
        (uint64_t)key->st_mtim.tv_nsec, (uint64_t)key->st_ctim.tv_sec,
    };
    memcpy(out, identity, sizeof identity);
}

static void path_of(char out[PATH_ROOM], const char *folder, const uint8_t mrenclave[32])
{
    snprintf(out, PATH_ROOM, "%.*s/signed/%02x", PATH_ROOM - 16, folder, mrenclave[0]);
}

bool signed_find(struct sgx_sigstruct *out, const char *folder, const struct stat *key, const uint8_t mrenclave[32])
{
    char path[PATH_ROOM];
    struct entry e;
    struct stat status;
    uint64_t identity[6];
    path_of(path, folder, mrenclave);
    int fd = own_file_open(path, &status);
    if (fd < 0)
        return false;
    bool whole = read(fd, &e, sizeof e) == (ssize_t)sizeof e;
    close(fd);
    identify(identity, key);
    if (!whole || memcmp(e.key, identity, sizeof identity))
        return false;
    *out = e.sigstruct;
    return true;
}

static bool entry_write(int fd, void *context)
{
    return write(fd, context, sizeof(struct entry)) == (ssize_t)sizeof(struct entry);
}

void signed_keep(const struct sgx_sigstruct *s, const char *folder, const struct stat *key)
{
    char path[PATH_ROOM];
    struct entry e = {.sigstruct = *s};
    identify(e.key, key);
    path_of(path, folder, s->enclavehash);
    own_file_replace(path, entry_write, &e);
}

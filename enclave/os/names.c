/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/names.h"

#include "abi/config.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"

static const char own_name[] = "localhost";

static const struct {
    const char *path, *text;
} files[] = {
    {"/etc/hostname", "localhost\n"},
    {"/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"},
    {"/etc/resolv.conf", "# The host's name servers are not told.\n"},
};

static bool wanted(void)
{
    return enclave.configuration->flags & CONFIGURATION_HOST_NAMES;
}

const char *names_text(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (!strcmp(path, files[i].path))
            return wanted() ? NULL : files[i].text;
    return NULL;
}

static bool valid(const char *name, size_t size)
{
    size_t n = 0;
    for (; n < size && name[n]; n++) {
        char c = name[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        bool inner = n && (c == '-' || c == '.');
        if (!plain && !inner)
            return false;
    }
    return n && n < size;
}

void names_settle(char *name, size_t size)
{
    if (wanted() && valid(name, size))
        return;
    memset(name, 0, size);
    memcpy(name, own_name, MIN(sizeof own_name, size - 1));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/sites.h"

#include <errno.h>
#include <stdbool.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"

#define ANSWER_SIZE (sizeof(struct site_list) + SITES_MAX * sizeof(struct site))
#define SITE_WINDOW_MIN 5 /* jmp rel32 */
#define SYSCALL_SIZE 2

static bool header_possible(const struct site_list *h, uint64_t bytes)
{
    return h->magic == SITES_MAGIC && h->count <= SITES_MAX && h->file_size <= INT64_MAX &&
           bytes == sizeof *h + h->count * sizeof(struct site);
}

static bool list_possible(const struct site *site, uint64_t count, uint64_t file_size)
{
    uint64_t end = 0; /* of the windows so far; never above file_size */
    for (uint64_t i = 0; i < count; i++) {
        const struct site *s = &site[i];
        uint64_t length = site_length(s);
        if (length < SITE_WINDOW_MIN || length > SITE_WINDOW_MAX ||
            site_syscall(s) > length - SYSCALL_SIZE || s->offset < end || s->offset > file_size ||
            length > file_size - s->offset)
            return false;
        end = s->offset + length;
    }
    return true;
}

/* Copies the answer of `bytes` bytes in and checks it. */
static int64_t answer_take(struct untrusted answer, uint64_t bytes, struct site **out)
{
    struct site_list header;
    if (bytes < sizeof header)
        return -EPROTO;
    untrusted_read(&header, answer, sizeof header);
    if (!header_possible(&header, bytes))
        return -EPROTO;
    if (header.count == 0)
        return 0;
    uint64_t size = header.count * sizeof(struct site);
    struct site *site = alloc(size);
    if (!site)
        return -ENOMEM;
    untrusted_read(site, untrusted_at(answer, sizeof header), size);
    if (!list_possible(site, header.count, header.file_size)) {
        alloc_free(site);
        return -EPROTO;
    }
    *out = site;
    return (int64_t)header.count;
}

int64_t sites_of_host_file(int fd, uint64_t address, uint64_t length, uint64_t file_offset, struct site **out)
{
    *out = NULL;
    uint64_t offset = arena_pool_take(ANSWER_SIZE);
    if (!offset)
        return -ENOMEM;
    int64_t result = exit_checked(EXIT_SITES, 0, ANSWER_SIZE, (uint64_t)fd, offset, ANSWER_SIZE,
                                  address - enclave.base, length, file_offset);
    if (result >= 0)
        result = answer_take(arena_at(offset), (uint64_t)result, out);
    arena_pool_free(offset, ANSWER_SIZE);
    if (result == -EPROTO)
        violation_count();
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/configuration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define STACK_DEFAULT (8ul << 20) /* and at most: it is given whole, not as it grows */
#define STACK_LEAST (128ul << 10)
#define BLOB_MAX (64ul << 20)

static uint64_t stack_size(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur > STACK_DEFAULT)
        return STACK_DEFAULT;
    uint64_t size = limit.rlim_cur & ~(PAGE_SIZE - 1);
    return size < STACK_LEAST ? STACK_LEAST : size;
}

static uint64_t strings_count(char *const *strings)
{
    uint64_t n = 0;
    while (strings[n])
        n++;
    return n;
}

static uint64_t strings_size(char *const *strings, uint64_t count)
{
    uint64_t size = 0;
    for (uint64_t i = 0; i < count; i++)
        size += sizeof(uint32_t) + strlen(strings[i]) + 1;
    return size;
}

/* Where the next table of offsets and the next string go. */
struct writer {
    uint8_t *blob;
    uint64_t table, text;
};

static uint32_t write_string(struct writer *w, const char *string)
{
    size_t size = strlen(string) + 1;
    uint32_t at = (uint32_t)w->text;
    memcpy(w->blob + at, string, size);
    w->text += size;
    return at;
}

static struct configuration_strings write_strings(struct writer *w, char *const *strings,
                                                  uint64_t count)
{
    struct configuration_strings result = {.count = (uint32_t)count, .offsets = (uint32_t)w->table};
    for (uint64_t i = 0; i < count; i++) {
        uint32_t at = write_string(w, strings[i]);
        memcpy(w->blob + w->table, &at, sizeof at);
        w->table += sizeof at;
    }
    return result;
}

struct configuration *configuration_make(const struct run_options *options)
{
    char *const *interfaces = (char *const *)options->interfaces;
    uint64_t argument_count = strings_count(options->arguments);
    uint64_t variable_count = strings_count(options->environment);
    uint64_t size = sizeof(struct configuration) + strlen(options->program) + 1 +
                    strings_size(options->arguments, argument_count) +
                    strings_size(options->environment, variable_count) +
                    strings_size(interfaces, options->interface_count);
    if (size > BLOB_MAX) {
        errno = E2BIG;
        return NULL;
    }
    uint64_t room = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    struct configuration *c = aligned_alloc(PAGE_SIZE, room);
    if (!c)
        return NULL;
    memset(c, 0, room);

    struct writer w = {.blob = (uint8_t *)c, .table = sizeof *c};
    w.text =
        w.table + sizeof(uint32_t) * (argument_count + variable_count + options->interface_count);
    c->magic = CONFIGURATION_MAGIC;
    c->version = ABI_VERSION;
    c->size = size;
    c->enclave_size = options->enclave_size;
    c->flags = CONFIGURATION_DEVELOPMENT | (options->rings ? CONFIGURATION_RINGS : 0u) |
               (options->sqpoll ? CONFIGURATION_SQPOLL : 0u) |
               (options->statistics_path ? CONFIGURATION_STATISTICS : 0u) |
               (options->host_names ? CONFIGURATION_HOST_NAMES : 0u);
    c->net_threads = options->net_threads;
    c->log_level = (uint64_t)options->log_level;
    c->stack_size = stack_size();
    c->program = write_string(&w, options->program);
    c->arguments = write_strings(&w, options->arguments, argument_count);
    c->environment = write_strings(&w, options->environment, variable_count);
    c->interfaces = write_strings(&w, interfaces, options->interface_count);
    return c;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* --stats: what happened so far, as JSON. The enclave's own counters are as it published them. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/arena.h"
#include "abi/syscall_names.h"
#include "host/poller.h"
#include "host/thread.h"
#include "host/xsk.h"

static void set(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static const char *exit_key(uint64_t number, char *room, size_t size)
{
    const char *name = exit_name(number);
    if (number < EXIT_BASE)
        return name;
    size_t i = 0;
    for (; name[i] && i + 1 < size; i++)
        room[i] = (char)tolower((unsigned char)name[i]);
    room[i] = '\0';
    return room;
}

static json_t *exits(void)
{
    json_t *by_name = json_object();
    uint64_t total = 0;
    for (uint64_t number = 0; number < EXIT_END_; number++) {
        char room[32];
        uint64_t count = __atomic_load_n(&host.exit_counts[number], __ATOMIC_RELAXED);
        if (count)
            set(by_name, exit_key(number, room, sizeof room), count);
        total += count;
    }
    return json_pack("{s:I, s:o}", "total", (json_int_t)total, "by_name", by_name);
}

static json_t *syscalls(const struct statistics *s)
{
    json_t *by_name = json_object();
    uint64_t rewritten_total = 0, trapped_total = 0;
    for (uint64_t number = 0; number < STATISTICS_SYSCALLS; number++) {
        uint64_t rewritten = 0, trapped = 0;
        for (uint64_t thread = 0; thread < threads_started(); thread++) {
            rewritten += s->thread[thread].rewritten[number];
            trapped += s->thread[thread].trapped[number];
        }
        rewritten_total += rewritten;
        trapped_total += trapped;
        if (rewritten + trapped == 0)
            continue;
        char unnamed[32];
        const char *name = NULL;
        if (number < sizeof syscall_names / sizeof *syscall_names)
            name = syscall_names[number];
        if (!name) {
            snprintf(unnamed, sizeof unnamed, "%lu", number);
            name = unnamed;
        }
        json_object_set_new(by_name, name,
                            json_pack("{s:I, s:I}", "rewritten", (json_int_t)rewritten, "trapped",
                                      (json_int_t)trapped));
    }
    return json_pack("{s:I, s:I, s:o}", "rewritten", (json_int_t)rewritten_total, "trapped",
                     (json_int_t)trapped_total, "by_name", by_name);
}

static json_t *drops(const uint64_t counts[DROP_COUNT])
{
    static const char *const names[] = {
#define NAME(name) #name,
        DROP_LIST(NAME)
#undef NAME
    };
    json_t *result = json_object();
    for (int i = 0; i < DROP_COUNT; i++)
        set(result, names[i], counts[i]);
    return result;
}

static json_t *losses(uint64_t xsk)
{
    struct xsk_losses l = {0};
    json_t *result = json_object();
    xsk_host_losses(xsk, &l);
    set(result, "no_frame", l.no_frame);
    set(result, "ring_full", l.ring_full);
    set(result, "invalid", l.invalid);
    return result;
}

static json_t *xsks(const struct statistics *s)
{
    json_t *result = json_array();
    for (int i = 0; i < STATISTICS_XSKS; i++) {
        const struct statistics_xsk *x = &s->xsk[i];
        if (!x->interface_index)
            continue;
        char name[IF_NAMESIZE] = "";
        if (!if_indextoname((unsigned)x->interface_index, name))
            snprintf(name, sizeof name, "%lu", x->interface_index);
        uint64_t busy_polls;
        json_t *entry = json_object();
        json_object_set_new(entry, "interface", json_string(name));
        set(entry, "queue", xsk_host_queue(x->interface_index, x->queue));
        set(entry, "packets_in", x->packets_in);
        set(entry, "bytes_in", x->bytes_in);
        set(entry, "packets_out", x->packets_out);
        set(entry, "bytes_out", x->bytes_out);
        set(entry, "kicks", x->kicks);
        set(entry, "wakeups", x->wakeups);
        set(entry, "busy_poll_us", xsk_host_busy_poll((uint64_t)i, &busy_polls));
        set(entry, "busy_polls", busy_polls);
        json_object_set_new(entry, "drops", drops(x->drops));
        json_object_set_new(entry, "kernel", losses((uint64_t)i));
        json_array_append_new(result, entry);
    }
    return result;
}

static json_t *sockets(const struct statistics *s)
{
    json_t *result = json_array();
    for (int i = 0; i < STATISTICS_SOCKETS; i++) {
        const struct statistics_socket *x = &s->socket[i];
        if (!x->local_port)
            continue;
        json_t *entry = json_object();
        set(entry, "port", x->local_port);
        set(entry, "packets_in", x->packets_in);
        set(entry, "bytes_in", x->bytes_in);
        set(entry, "packets_out", x->packets_out);
        set(entry, "bytes_out", x->bytes_out);
        set(entry, "host_in", x->host_in);
        set(entry, "host_out", x->host_out);
        json_object_set_new(entry, "drops", drops(x->drops));
        json_array_append_new(result, entry);
    }
    return result;
}

static json_t *report(void)
{
    const struct statistics *s =
        (const struct statistics *)(host.arena + ARENA_STATISTICS(host.image.threads));
    char mrenclave[65];
    for (int i = 0; i < 32; i++)
        snprintf(mrenclave + 2 * i, 3, "%02x", host.image.mrenclave[i]);
    json_t *result = json_object();
    json_object_set_new(result, "exits", exits());
    set(result, "aex", host.image.platform->asynchronous_exits(host.image.machine));
    json_object_set_new(result, "syscalls", syscalls(s));
    json_object_set_new(result, "xsk", xsks(s));
    json_object_set_new(result, "sockets", sockets(s));
    set(result, "arena_bytes", s->arena_bytes);
    set(result, "host_violations", s->violations);
    set(result, "polled", poller_times());
    set(result, "polled_ms", poller_ms());
    set(result, "transition_cycles", host.options->transition_cycles);
    json_object_set_new(result, "mrenclave", json_string(mrenclave));
    json_object_set_new(result, "platform", json_string(host.image.platform->name));
    return result;
}

static int write_to(int fd, const json_t *json)
{
    if (fd < 0)
        return -errno;
    FILE *file = fdopen(fd, "w");
    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    int error = json_dumpf(json, file, JSON_INDENT(2) | JSON_PRESERVE_ORDER) ? -EIO : 0;
    fputc('\n', file);
    return fclose(file) ? -errno : error;
}

/* Readers see the old file or the new one: written beside it, then renamed. */
static int replace(const char *path, const json_t *json)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return -ENAMETOOLONG;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    int error = write_to(fd, json);
    if (!error && rename(temporary, path))
        error = -errno;
    if (error)
        unlink(temporary);
    return error;
}

void statistics_write(void)
{
    const char *path = host.options->statistics_path;
    struct stat status;
    json_t *json = report();
    int error;
    if (!strcmp(path, "-"))
        error = write_to(fcntl(host.options->statistics_fd, F_DUPFD_CLOEXEC, 3), json);
    else if (!lstat(path, &status) && !S_ISREG(status.st_mode))
        error = write_to(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), json); /* a pipe, a link */
    else
        error = replace(path, json);
    json_decref(json);
    if (error)
        fprintf(stderr, "rakis: cannot write statistics to %s: %s\n", path, strerror(-error));
}

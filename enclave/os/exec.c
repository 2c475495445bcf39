/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execve: the program is replaced within the enclave. All that can fail is done first; from the point of no
 * return on a failure ends the process, as on Linux.
 */
#include "enclave/os/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/shm.h"
#include "enclave/os/signal.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/timer.h"
#include "enclave/os/vfork.h"
#include "enclave/os/world.h"

#define STRING_MAX (32 * PAGE_SIZE) /* one argument or variable with its NUL: Linux's MAX_ARG_STRLEN */
#define SCRIPT_DEPTH 5              /* interpreters that are scripts themselves */
#define SCRIPT_LINE 256             /* of the first line of a script: Linux's BINPRM_BUF_SIZE */

/* ---- strings ---- */

static int strings_room(struct strings *s, uint64_t extra)
{
    if (extra <= s->room - s->size)
        return 0;
    uint64_t room = MAX(MAX(s->room * 2, 4096), s->size + extra);
    char *bytes = alloc_resize(s->bytes, s->size, room);
    if (!bytes)
        return -ENOMEM;
    s->bytes = bytes;
    s->room = room;
    return 0;
}

int strings_add(struct strings *s, const char *text)
{
    size_t length = strlen(text) + 1;
    if (strings_room(s, length))
        return -ENOMEM;
    memcpy(s->bytes + s->size, text, length);
    s->size += length;
    s->count++;
    return 0;
}

void strings_drop(struct strings *s)
{
    alloc_free(s->bytes);
    *s = (struct strings){0};
}

uint64_t program_strings_max(void)
{
    return MAX(enclave.configuration->stack_size / 4, STRING_MAX);
}

/* The strings of an array of pointers in the program's memory, terminated by a null pointer; NULL: none. */
static int strings_take(struct strings *s, uint64_t array, uint64_t *left)
{
    for (uint64_t at = array; array; at += 8) {
        uint64_t pointer;
        if (user_get(&pointer, (const void *)at))
            return -EFAULT;
        if (!pointer)
            break;
        if (strings_room(s, STRING_MAX))
            return -ENOMEM;
        int64_t n = user_string(s->bytes + s->size, (const char *)pointer, STRING_MAX);
        if (n < 0)
            return n == -ENAMETOOLONG ? -E2BIG : (int)n;
        uint64_t cost = (uint64_t)n + 1 + 8;
        if (cost > *left)
            return -E2BIG;
        *left -= cost;
        s->size += (uint64_t)n + 1;
        s->count++;
    }
    return 0;
}

static char *text_copy(const char *text, size_t length)
{
    char *copy = alloc(length + 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

/* ---- the file ---- */

/* 0, or why not: it is a regular file that may be executed. */
static int may_execute(struct file *f)
{
    struct stat s;
    if (!f->ops->stat || f->ops->stat(f, &s) || !S_ISREG(s.st_mode) || f->host_fd < 0)
        return -EACCES;
    return host_path_at(__NR_faccessat2, f->host_fd, "", X_OK, AT_EACCESS | AT_EMPTY_PATH, 0);
}

/* An interpreter, or what else the LibOS has the name of. */
static int open_named(const char *path, struct file **out)
{
    int error = NOT_OURS;
    size_t length = strlen(path);
    char *copy = path[0] == '/' && length < HOST_PATH_MAX ? alloc(HOST_PATH_MAX) : NULL;
    if (copy)
        memcpy(copy, path, length);
    if (copy && path_canonical(copy) && made_up_place(copy)) {
        bool behind = made_up_behind_descriptor(copy, false);
        error = behind ? made_up_to_host(copy, true) : made_up_open(copy, O_RDONLY, out);
        if (behind && !error) {
            path = copy;
            error = NOT_OURS;
        }
    }
    if (error == NOT_OURS) {
        error = 0;
        *out = file_open(path, O_RDONLY, 0, &error);
    }
    alloc_free(copy);
    return error;
}

/* The file as execveat names it, and what it is to be called. */
static int open_given(struct program *p, int directory, uint64_t user, int flags)
{
    struct path path;
    int error = path_take(&path, directory, user, flags & AT_EMPTY_PATH);
    if (error)
        return error;
    char name[32];
    const char *text = path.text;
    if (path.text[0] != '/' && directory != AT_FDCWD) {
        print_format(name, sizeof name, "/dev/fd/%d", directory);
        text = name;
        p->unreachable = file_closed_on_exec(directory);
    }
    size_t head = strlen(text), tail = text == name && path.text[0] ? strlen(path.text) + 1 : 0;
    if (!(p->name = alloc(head + tail + 1))) {
        error = -ENOMEM;
    } else {
        memcpy(p->name, text, head);
        if (tail) {
            p->name[head] = '/';
            memcpy(p->name + head + 1, path.text, tail - 1);
        }
    }
    if (!error && !path.text[0]) {
        p->file = path.directory; /* takes the reference over */
        path.directory = NULL;
        error = p->file ? 0 : -ENOENT;
    } else if (!error && path.made_up) {
        error = made_up_open(path.text, O_RDONLY, &p->file);
    } else if (!error) {
        error = NOT_OURS;
    }
    if (error == NOT_OURS) {
        int nofollow = flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
        int fd = host_openat(path.host_directory, path.text, O_RDONLY | O_NONBLOCK | nofollow, 0);
        p->file = fd < 0 ? NULL : host_file_new(fd, O_RDONLY, path.text);
        error = fd < 0 ? fd : p->file ? 0 : -ENOMEM;
    }
    path_drop(&path);
    return error;
}

/* The first line of a script, after "#!": the interpreter and perhaps one argument. */
static int script_parse(char *line, char **interpreter, char **argument)
{
    char *p = line, *end = strchr(line, '\n');
    if (end) {
        *end = 0;
    } else {
        end = line + strlen(line);
        /* Cut off: the interpreter's name must at least be whole. */
        char *q = line;
        while (*q == ' ' || *q == '\t')
            q++;
        while (*q && *q != ' ' && *q != '\t')
            q++;
        if (!*q && end - line >= SCRIPT_LINE - 2)
            return -ENOEXEC;
    }
    while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = 0;
    while (*p == ' ' || *p == '\t')
        p++;
    if (!*p)
        return -ENOEXEC;
    *interpreter = p;
    while (*p && *p != ' ' && *p != '\t')
        p++;
    *argument = NULL;
    if (*p) {
        *p++ = 0;
        while (*p == ' ' || *p == '\t')
            p++;
        *argument = p;
    }
    return 0;
}

/* What a script makes of the arguments: interpreter, its argument, the script, and the rest without the
 * first. */
static int script_arguments(struct program *p, const char *interpreter, const char *argument,
                            const char *script)
{
    struct strings old = p->arguments, new = {0};
    uint64_t first = old.count ? strlen(old.bytes) + 1 : 0;
    int error = strings_add(&new, interpreter);
    if (!error && argument)
        error = strings_add(&new, argument);
    if (!error)
        error = strings_add(&new, script);
    if (!error)
        error = strings_room(&new, old.size - first);
    if (error) {
        strings_drop(&new);
        return error;
    }
    memcpy(new.bytes + new.size, old.bytes + first, old.size - first);
    new.size += old.size - first;
    new.count += old.count ? old.count - 1 : 0;
    strings_drop(&old);
    p->arguments = new;
    return 0;
}

int program_resolve(struct program *p)
{
    char *name = p->name; /* of what p->file is */
    for (int depth = 0;; depth++) {
        char line[SCRIPT_LINE + 1];
        int error = may_execute(p->file);
        int64_t n = error ? error : file_read_at(p->file, line, SCRIPT_LINE, 0);
        if (n < 0)
            error = (int)n;
        bool script = n >= 2 && line[0] == '#' && line[1] == '!';
        char *interpreter = NULL, *argument = NULL;
        if (!error && script) {
            line[n] = 0;
            error = depth == SCRIPT_DEPTH ? -ELOOP : p->unreachable ? -ENOENT : script_parse(line + 2, &interpreter, &argument);
        }
        if (!error && script)
            error = script_arguments(p, interpreter, argument, name);
        if (name != p->name)
            alloc_free(name);
        if (error || !script)
            return error;
        file_put(p->file);
        p->file = NULL;
        if (!(name = text_copy(interpreter, strlen(interpreter))))
            return -ENOMEM;
        error = open_named(name, &p->file);
        if (error) {
            alloc_free(name);
            return error;
        }
    }
}

static int prepare(struct program *p, int directory, uint64_t user, uint64_t arguments, uint64_t environment,
                   int flags)
{
    uint64_t left = program_strings_max();
    int error = open_given(p, directory, user, flags);
    if (!error)
        error = strings_take(&p->arguments, arguments, &left);
    if (!error && !p->arguments.count)
        error = strings_add(&p->arguments, ""); /* never without a name, since Linux 5.18 */
    if (!error)
        error = strings_take(&p->environment, environment, &left);
    if (!error)
        error = program_resolve(p);
    if (!error)
        error = program_check(p, NULL);
    return error;
}

static int64_t execute(int directory, uint64_t user, uint64_t arguments, uint64_t environment, int flags)
{
    struct program p = {0};
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    int error = prepare(&p, directory, user, arguments, environment, flags);
    if (error) {
        program_drop(&p);
        return error == -EINTR ? RESTART_ALWAYS : error; /* no signal keeps Linux from it */
    }
    /* The point of no return. */
    struct file *files[PROGRAM_FILES];
    threads_abandon();
    world_end_others();
    thread_become_first();
    program_files(&p, files);
    files_recount(files, PROGRAM_FILES);
    files_close_on_exec();
    timers_forget(false);
    shm_forget();
    signal_reset();
    vfork_release();
    /* As the kernel has it of a process that executes a program. */
    exit_checked(__NR_prctl, 0, 0, PR_SET_DUMPABLE, 1, 0, 0, 0, 0);
    error = memory_clear();
    if (!error)
        error = program_run(&p);
    log_warning("%s cannot be started after all (error %d)", p.name, -error);
    process_end(STATUS_SIGNALLED(SIGKILL));
}

SYSCALL(execve)
{
    return execute(AT_FDCWD, a0, a1, a2, 0);
}

SYSCALL(execveat)
{
    return execute((int)a0, a1, a2, a3, (int)a4);
}

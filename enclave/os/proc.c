/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says of the process itself: the host's would tell of its own. Under /proc/self and
 * /proc/<own pid>; files there that are not named here, and the rest of /proc, are the host's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/memory.h"
#include "enclave/os/names.h"
#include "enclave/os/process.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/text_file.h"
#include "enclave/os/thread.h"

#define TEXT_MAX 16384
#define MAPS_MAX (16 << 20)

/* ---- the name of a thread, which can be written ---- */

static int64_t comm_write(struct file *f, const struct iovec *v, int count, int64_t offset,
                          int flags)
{
    struct thread *t = f->data;
    char name[sizeof t->name] = {0};
    int64_t total = 0;
    (void)offset;
    (void)flags;
    if (count && user_read(name, v[0].iov_base, MIN(v[0].iov_len, sizeof name - 1)))
        return -EFAULT;
    for (int i = 0; i < count; i++)
        total += (int64_t)v[i].iov_len;
    memcpy(t->name, name, sizeof name);
    thread_named(t);
    return total;
}

static int comm_stat(struct file *f, struct stat *out)
{
    (void)f;
    made_up_stat_fill(out, S_IFREG | 0644);
    return 0;
}

static const struct file_ops comm_ops = {.name = "proc", .write = comm_write, .stat = comm_stat};

/* ---- texts ---- */

static const char *thread_name(const struct thread *t)
{
    return t->name[0] ? t->name : process.name[0] ? process.name : "rakis";
}

static char *print_comm(struct thread *t, uint64_t *size)
{
    char *out = alloc(32);
    if (out)
        *size = (uint64_t)print_format(out, 32, "%.15s\n", thread_name(t));
    return out;
}

/* strlen of what fits, for texts that are built piece by piece. */
static uint64_t add(char *out, uint64_t room, uint64_t at, const char *s, uint64_t n)
{
    n = MIN(n, room - at);
    memcpy(out + at, s, n);
    return at + n;
}

/* What the program's memory holds there now; it may have written over it. */
static char *print_strings(uint64_t from, uint64_t to, uint64_t *size)
{
    char *out = alloc(to - from + 1);
    *size = out && user_read(out, (const void *)from, to - from) ? 0 : to - from;
    return out;
}

static char *print_cmdline(struct thread *t, uint64_t *size)
{
    (void)t;
    return print_strings(process.image.arguments, process.image.arguments_end, size);
}

static char *print_environ(struct thread *t, uint64_t *size)
{
    (void)t;
    return print_strings(process.image.environment, process.image.environment_end, size);
}

static char *print_auxv(struct thread *t, uint64_t *size)
{
    char *out = alloc(sizeof process.vector);
    (void)t;
    if (out)
        memcpy(out, process.vector, process.vector_size);
    *size = process.vector_size;
    return out;
}

static char *print_mappings(enum maps_detail detail, uint64_t *size)
{
    for (uint64_t room = TEXT_MAX; room <= MAPS_MAX; room *= 2) {
        char *out = alloc(room);
        if (!out)
            return NULL;
        uint64_t n = (uint64_t)memory_print_maps(out, room, detail);
        if (n < room) {
            *size = n;
            return out;
        }
        alloc_free(out);
    }
    return NULL;
}

static char *print_maps(struct thread *t, uint64_t *size)
{
    (void)t;
    return print_mappings(MAPS_LINES, size);
}

static char *print_smaps(struct thread *t, uint64_t *size)
{
    (void)t;
    return print_mappings(MAPS_DETAILS, size);
}

static char *print_smaps_rollup(struct thread *t, uint64_t *size)
{
    (void)t;
    return print_mappings(MAPS_ROLLUP, size);
}

static char *print_statm(struct thread *t, uint64_t *size)
{
    struct memory_use use;
    char *out = alloc(128);
    (void)t;
    if (!out)
        return NULL;
    memory_usage(&use);
    *size = (uint64_t)print_format(out, 128, "%lu %lu %lu %lu 0 %lu 0\n", use.total / PAGE_SIZE, use.resident / PAGE_SIZE,
                                   use.file / PAGE_SIZE, use.code / PAGE_SIZE, use.data / PAGE_SIZE);
    return out;
}

/* What the host says in /proc/self/<name>, terminated; NULL: nothing. */
static char *host_text(const char *path, uint64_t *size)
{
    char *out = alloc(TEXT_MAX);
    int fd;
    do
        fd = out ? host_openat(AT_FDCWD, path, O_RDONLY, 0) : -ENOMEM;
    while (fd == -EINTR && !signal_pending());
    int64_t n = fd < 0 ? fd : host_pread(fd, out, TEXT_MAX - 1, 0);
    if (fd >= 0)
        host_close(fd);
    if (n > 0) {
        *size = (uint64_t)n;
        return out;
    }
    alloc_free(out);
    return NULL;
}

static char thread_state(const struct thread *t)
{
    return t != current() && __atomic_load_n(&t->asleep, __ATOMIC_RELAXED) ? 'S' : 'R';
}

/*
 * /proc/<pid>/stat is one line of fields, of which the host knows the times and the like. Ours are,
 * by number (proc(5)): 1 pid, 2 (comm), 20 num_threads, 23 vsize, 24 rss; addresses are 0.
 */
static char *print_stat(struct thread *t, uint64_t *size)
{
    struct memory_use use;
    uint64_t n, at;
    char *host = host_text("/proc/self/stat", &n), *out = alloc(TEXT_MAX);
    char *p = host ? strrchr(host, ')') : NULL;
    if (!p || !out) {
        alloc_free(host);
        alloc_free(out);
        return NULL;
    }
    memory_usage(&use);
    at = (uint64_t)print_format(out, TEXT_MAX, "%d (%.15s)", t->tid, thread_name(t));
    p++;
    for (int field = 3; *p == ' ' && at < TEXT_MAX - 64; field++) {
        char *end = p + 1;
        while (*end && *end != ' ' && *end != '\n')
            end++;
        uint64_t room = TEXT_MAX - at;
        if (field == 3)
            at += (uint64_t)print_format(out + at, room, " %c", thread_state(t));
        else if (field == 20)
            at += (uint64_t)print_format(out + at, room, " %u", process.threads_live);
        else if (field == 23)
            at += (uint64_t)print_format(out + at, room, " %lu", use.total);
        else if (field == 24)
            at += (uint64_t)print_format(out + at, room, " %lu", use.resident / PAGE_SIZE);
        else if ((field >= 26 && field <= 30) || (field >= 45 && field <= 51))
            at += (uint64_t)print_format(out + at, room, " 0");
        else
            at = add(out, TEXT_MAX - 1, at, p, (uint64_t)(end - p));
        p = end;
    }
    at = add(out, TEXT_MAX, at, "\n", 1);
    alloc_free(host);
    *size = at;
    return out;
}

/* A line of /proc/<pid>/status that is ours to tell. 0: the host's stands. */
static int status_line(struct thread *t, const char *key, char *out, uint64_t room)
{
    const char *colon = strchr(key, ':');
    uint64_t n = colon ? (uint64_t)(colon - key) : 0;
    static const char *const sizes[] = {"VmPeak", "VmSize", "VmHWM", "VmRSS", "RssAnon", "VmData"};
    struct memory_use use;
    uint64_t ignored = 0, caught = 0;
    memory_usage(&use);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        if (n == strlen(sizes[i]) && !strncmp(key, sizes[i], n)) {
            uint64_t bytes = i == 5 ? use.data : i < 2 ? use.total : use.resident - (i == 4 ? use.file : 0);
            return print_format(out, room, "%s:\t%8lu kB\n", sizes[i], bytes / 1024);
        }
    for (int s = 1; s <= SIGNAL_COUNT; s++) {
        uint64_t handler = process.actions[s].handler;
        ignored |= handler == 1 ? SIGNAL_BIT(s) : 0;
        caught |= handler > 1 ? SIGNAL_BIT(s) : 0;
    }
#define KEY(name) (n == sizeof(name) - 1 && !strncmp(key, name, n))
    if (KEY("Name"))
        return print_format(out, room, "Name:\t%.15s\n", thread_name(t));
    if (KEY("State"))
        return print_format(out, room, "State:\t%s\n", thread_state(t) == 'R' ? "R (running)" : "S (sleeping)");
    if (KEY("Pid"))
        return print_format(out, room, "Pid:\t%d\n", t->tid);
    if (KEY("Threads"))
        return print_format(out, room, "Threads:\t%u\n", process.threads_live);
    if (KEY("FDSize"))
        return print_format(out, room, "FDSize:\t%u\n", file_table_size());
    if (KEY("SigPnd"))
        return print_format(out, room, "SigPnd:\t%016lx\n", t->signals.pending);
    if (KEY("ShdPnd"))
        return print_format(out, room, "ShdPnd:\t%016lx\n", process.signals.pending);
    if (KEY("SigBlk"))
        return print_format(out, room, "SigBlk:\t%016lx\n", t->mask);
    if (KEY("SigIgn"))
        return print_format(out, room, "SigIgn:\t%016lx\n", ignored);
    if (KEY("SigCgt"))
        return print_format(out, room, "SigCgt:\t%016lx\n", caught);
#undef KEY
    return 0;
}

/* As above, of /proc/<pid>/limits: the host has some descriptors more, for itself. */
static int limits_line(struct thread *t, const char *line, char *out, uint64_t room)
{
    static const char key[] = "Max open files";
    const struct rlimit *limit = limit_nofile_both();
    (void)t;
    if (strncmp(line, key, strlen(key)))
        return 0;
    return print_format(out, room, "%-25s %-20lu %-20lu %-10s\n", key, limit->rlim_cur, limit->rlim_max, "files");
}

/* What the host says, but for the lines that `line` prints. */
static char *print_lines(const char *path, int (*line)(struct thread *t, const char *line, char *out, uint64_t room),
                         struct thread *t, uint64_t *size)
{
    uint64_t n, at = 0;
    char *host = host_text(path, &n), *out = alloc(TEXT_MAX);
    if (!host || !out) {
        alloc_free(host);
        alloc_free(out);
        return NULL;
    }
    for (char *from = host; *from && at < TEXT_MAX - 128;) {
        char *end = strchr(from, '\n');
        uint64_t length = end ? (uint64_t)(end - from) + 1 : strlen(from);
        int ours = line(t, from, out + at, TEXT_MAX - at);
        at = ours ? at + (uint64_t)ours : add(out, TEXT_MAX, at, from, length);
        from += length;
    }
    alloc_free(host);
    *size = at;
    return out;
}

static char *print_status(struct thread *t, uint64_t *size)
{
    return print_lines("/proc/self/status", status_line, t, size);
}

static char *print_limits(struct thread *t, uint64_t *size)
{
    return print_lines("/proc/self/limits", limits_line, t, size);
}

static const struct {
    const char *name;
    char *(*print)(struct thread *t, uint64_t *size);
} texts[] = {
    {"maps", print_maps},   {"status", print_status},   {"stat", print_stat},
    {"statm", print_statm}, {"cmdline", print_cmdline}, {"environ", print_environ},
    {"comm", print_comm},   {"auxv", print_auxv},       {"smaps", print_smaps},
    {"smaps_rollup", print_smaps_rollup}, {"limits", print_limits},
};

/* ---- directories ---- */

static int open_descriptors(const char *path, struct file **out)
{
    struct listing d;
    char number[16];
    bool own = true; /* the list's own descriptor will be the first that is free */
    listing_start(&d);
    for (uint32_t fd = 0; fd < file_table_size() || own; fd++)
        if (file_listed(fd) || own) {
            own = own && file_listed(fd);
            print_format(number, sizeof number, "%u", fd);
            listing_add(&d, number, DT_LNK);
        }
    return listing_open(&d, path, out);
}

/* The host's word for a descriptor of its own; of files that it does not know the position is ours. */
static int open_descriptor_info(int fd, const char *path, struct file **out)
{
    char host[40], *text = NULL;
    uint64_t size = 0;
    struct file *f = file_get(fd);
    if (!f)
        return -ENOENT;
    if (f->host_fd >= 0) {
        print_format(host, sizeof host, "/proc/self/fdinfo/%d", f->host_fd);
        text = host_text(host, &size);
    } else if ((text = alloc(128))) {
        size = (uint64_t)print_format(text, 128, "pos:\t%ld\nflags:\t%lo\nmnt_id:\t0\n", f->position,
                                      (uint64_t)f->flags);
    }
    file_put(f);
    *out = text_file_new(text, size, path);
    return *out ? 0 : -ENOMEM;
}

static int open_tasks(const char *path, struct file **out)
{
    struct listing d;
    char number[16];
    listing_start(&d);
    for (uint32_t i = 0; i < process.thread_count; i++)
        if (process.threads[i].live) {
            print_format(number, sizeof number, "%d", process.threads[i].tid);
            listing_add(&d, number, DT_DIR);
        }
    return listing_open(&d, path, out);
}

static int open_task(const char *path, struct file **out)
{
    struct listing d;
    listing_start(&d);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        listing_add(&d, texts[i].name, DT_REG);
    return listing_open(&d, path, out);
}

/* ---- paths ---- */

enum place_kind {
    PLACE_HOST,
    PLACE_NONE,
    PLACE_TEXT,
    PLACE_EXE,
    PLACE_FDS,
    PLACE_FD,
    PLACE_BEHIND_FD, /* a name in the directory that a descriptor is */
    PLACE_FD_INFO,
    PLACE_TASKS,
    PLACE_TASK,
    PLACE_NAMES, /* the files of names.h */
    PLACE_DENIED
};

struct place {
    enum place_kind kind;
    size_t text; /* index of texts[] */
    int fd;
    const char *rest; /* of the path, behind the descriptor */
    struct thread *thread;
};

/* A number that ends the string or a part of the path: the rest after it, NULL: none. */
static const char *number(const char *s, int *out)
{
    int64_t n = 0;
    const char *p = s;
    for (; *p >= '0' && *p <= '9' && n < INT32_MAX; p++)
        n = n * 10 + (*p - '0');
    *out = (int)MIN(n, INT32_MAX);
    return p > s && (!*p || *p == '/') ? p : NULL;
}

/* What follows "name/" or is empty after "name"; NULL: another name. */
static const char *after(const char *path, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(path, name, n) || (path[n] && path[n] != '/'))
        return NULL;
    return path[n] ? path + n + 1 : path + n;
}

static struct place text_place(const char *name, struct thread *t)
{
    struct place p = {.kind = PLACE_HOST, .thread = t};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (!strcmp(name, texts[i].name)) {
            p.kind = PLACE_TEXT;
            p.text = i;
        }
    return p;
}

static struct place fd_place(const char *rest)
{
    struct place p = {.kind = PLACE_FDS};
    if (*rest) {
        p.rest = number(rest, &p.fd);
        p.kind = !p.rest ? PLACE_NONE : *p.rest ? PLACE_BEHIND_FD : PLACE_FD;
    }
    return p;
}

static struct place process_place(const char *name)
{
    const char *rest;
    int tid;
    if ((rest = after(name, "fd")))
        return fd_place(rest);
    if ((rest = after(name, "fdinfo"))) {
        struct place p = fd_place(rest);
        p.kind = p.kind == PLACE_FD ? PLACE_FD_INFO : p.kind == PLACE_BEHIND_FD ? PLACE_NONE : p.kind;
        return p;
    }
    if ((rest = after(name, "task"))) {
        if (!*rest)
            return (struct place){.kind = PLACE_TASKS};
        const char *end = number(rest, &tid);
        struct thread *t = end ? thread_find(tid) : NULL;
        if (!t)
            return (struct place){.kind = PLACE_NONE};
        if (!*end || !end[1])
            return (struct place){.kind = PLACE_TASK};
        struct place p = text_place(end + 1, t);
        if (p.kind == PLACE_HOST) /* by the thread's number, which the host does not know */
            p = process_place(end + 1);
        return p.kind == PLACE_HOST ? (struct place){.kind = PLACE_NONE} : p;
    }
    if (!strcmp(name, "exe"))
        return (struct place){.kind = PLACE_EXE};
    if (!strcmp(name, "mem") || after(name, "map_files"))
        return (struct place){.kind = PLACE_DENIED};
    return text_place(name, thread_first());
}

static struct place place_of(const char *path)
{
    const char *rest;
    int n;
    if (!strcmp(path, "/dev/stdin") || !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/stderr"))
        return (struct place){.kind = PLACE_FD, .fd = path[8] == 'i' ? 0 : path[8] == 'o' ? 1 : 2, .rest = ""};
    if ((rest = after(path, "/dev/fd")))
        return fd_place(rest);
    if (!(rest = after(path, "/proc")))
        return (struct place){.kind = names_text(path) ? PLACE_NAMES : PLACE_HOST};
    const char *name = after(rest, "self");
    if (!name)
        name = after(rest, "thread-self");
    if (!name && number(rest, &n) && n == process.pid) {
        name = number(rest, &n);
        name += *name == '/';
    }
    if (!name || !*name)
        return (struct place){.kind = PLACE_HOST};
    return process_place(name);
}

/* ---- the program's own file ---- */

/* Links resolved. */
static const char *program_path(void)
{
    return process.image.path ? process.image.path : "";
}

/* ---- what the system calls ask ---- */

static void descriptor_path(char *out, size_t size, int host_fd)
{
    print_format(out, size, "/proc/self/fd/%d", host_fd);
}

static int descriptor_to_host(char *path, int fd, const char *rest)
{
    char link[32];
    const char *name = NULL;
    struct file *f = file_get(fd);
    if (!f)
        return -ENOENT;
    int host_fd = host_fd_of(f);
    if (host_fd >= 0) {
        descriptor_path(link, sizeof link, host_fd);
        name = link;
    } else if (f->path && f->path[0] == '/') {
        name = f->path;
    }
    int error = name ? path_put(path, name, rest) : -EPERM;
    file_put(f);
    return error;
}

int made_up_to_host(char *path, bool follow)
{
    struct place p = place_of(path);
    switch (p.kind) {
    case PLACE_FD:
    case PLACE_BEHIND_FD:
        return descriptor_to_host(path, p.fd, p.rest);
    case PLACE_EXE:
        return follow ? path_put(path, program_path(), "") : 0;
    case PLACE_NONE:
        return -ENOENT;
    default:
        return 0;
    }
}

bool made_up_behind_descriptor(const char *path, bool directory)
{
    enum place_kind kind = place_of(path).kind;
    return kind == PLACE_BEHIND_FD || (directory && kind == PLACE_FD);
}

/* Opening /proc/self/fd/N opens the file anew. */
static int descriptor_open(int fd, int flags, struct file **out)
{
    char link[32];
    struct file *f = file_get(fd);
    if (!f)
        return -ENOENT;
    int result = local_on(f) && file_kind(f) == S_IFIFO ? local_leave(f) : -ENXIO;
    if (f->ops == &host_file_ops) {
        descriptor_path(link, sizeof link, f->host_fd);
        result = host_openat(AT_FDCWD, link, flags, 0);
        if (result >= 0) {
            *out = host_file_new(result, flags & ~O_CLOEXEC, f->path);
            result = *out ? 0 : -ENOMEM;
        }
    } else if (f->path) {
        result = made_up_open(f->path, flags, out);
    }
    file_put(f);
    return result == NOT_OURS ? -ENXIO : result;
}

static int64_t descriptor_link(int fd, char *out, uint64_t size)
{
    char link[32];
    struct file *f = file_get(fd);
    if (!f)
        return -ENOENT;
    int64_t n;
    if (f->local) {
        n = local_link(f, out, size);
    } else if (f->host_fd >= 0) {
        descriptor_path(link, sizeof link, f->host_fd);
        n = host_readlink(AT_FDCWD, link, out, size);
    } else {
        const char *name = f->path ? f->path : f->ops->name;
        n = (int64_t)MIN(strlen(name), size);
        memcpy(out, name, (uint64_t)n);
    }
    file_put(f);
    return n;
}

static int names_open(const char *path, int flags, struct file **out)
{
    const char *text = names_text(path);
    uint64_t size = strlen(text);
    if ((flags & O_ACCMODE) != O_RDONLY)
        return -EACCES;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    char *bytes = alloc(size);
    if (bytes)
        memcpy(bytes, text, size);
    *out = text_file_new(bytes, size, path);
    return *out ? 0 : -ENOMEM;
}

static int text_open(const struct place *p, const char *path, int flags, struct file **out)
{
    bool comm = texts[p->text].print == print_comm;
    if ((flags & O_ACCMODE) != O_RDONLY) {
        if (!comm)
            return -EACCES;
        *out = file_new(&comm_ops, -1, flags & O_ACCMODE);
        if (*out)
            (*out)->data = p->thread;
        return *out ? 0 : -ENOMEM;
    }
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    uint64_t size = 0;
    char *bytes = texts[p->text].print(p->thread, &size);
    if (!bytes && signal_pending()) /* which kept the host's from being read */
        return RESTART_SYS;
    *out = text_file_new(bytes, size, path);
    return *out ? 0 : -ENOMEM;
}

int made_up_open(const char *path, int flags, struct file **out)
{
    int result = dev_open(path, flags, out);
    if (result != NOT_OURS)
        return result;
    struct place p = place_of(path);
    switch (p.kind) {
    case PLACE_HOST:
    case PLACE_BEHIND_FD:
        return NOT_OURS;
    case PLACE_NONE:
        return -ENOENT;
    case PLACE_DENIED:
        return -EACCES;
    case PLACE_TEXT:
        return text_open(&p, path, flags, out);
    case PLACE_NAMES:
        return names_open(path, flags, out);
    case PLACE_EXE: {
        int error = 0;
        if (flags & O_NOFOLLOW)
            return flags & O_PATH ? NOT_OURS : -ELOOP;
        *out = file_open(program_path(), flags & ~(O_CREAT | O_EXCL | O_TRUNC), 0, &error);
        return error;
    }
    case PLACE_FD:
        return descriptor_open(p.fd, flags, out);
    case PLACE_FDS:
        return open_descriptors(path, out);
    case PLACE_FD_INFO:
        return open_descriptor_info(p.fd, path, out);
    case PLACE_TASKS:
        return open_tasks(path, out);
    case PLACE_TASK:
        return open_task(path, out);
    }
    return -ENOENT;
}

static int descriptor_stat(int fd, struct stat *out)
{
    struct file *f = file_get(fd);
    if (!f)
        return -ENOENT;
    int result = f->ops->stat ? f->ops->stat(f, out) : -ENOENT;
    file_put(f);
    return result;
}

int made_up_stat(const char *path, bool follow, struct stat *out)
{
    struct place p = place_of(path);
    switch (p.kind) {
    case PLACE_HOST:
    case PLACE_BEHIND_FD:
        return NOT_OURS;
    case PLACE_NONE:
        return -ENOENT;
    case PLACE_DENIED:
        made_up_stat_fill(out, S_IFREG | 0600);
        return 0;
    case PLACE_TEXT:
        made_up_stat_fill(out, S_IFREG | (texts[p.text].print == print_comm ? 0644 : 0444));
        return 0;
    case PLACE_EXE:
        if (follow)
            return host_stat(AT_FDCWD, program_path(), 0, out);
        made_up_stat_fill(out, S_IFLNK | 0777);
        return 0;
    case PLACE_FD:
        if (follow)
            return descriptor_stat(p.fd, out);
        made_up_stat_fill(out, S_IFLNK | 0700);
        return file_listed((uint32_t)p.fd) ? 0 : -ENOENT;
    case PLACE_NAMES:
        made_up_stat_fill(out, S_IFREG | 0444);
        out->st_size = (int64_t)strlen(names_text(path));
        return 0;
    case PLACE_FD_INFO:
        made_up_stat_fill(out, S_IFREG | 0444);
        return file_listed((uint32_t)p.fd) ? 0 : -ENOENT;
    case PLACE_FDS:
    case PLACE_TASKS:
    case PLACE_TASK:
        made_up_stat_fill(out, S_IFDIR | 0555);
        return 0;
    }
    return -ENOENT;
}

int64_t made_up_readlink(const char *path, char *out, uint64_t size)
{
    struct place p = place_of(path);
    switch (p.kind) {
    case PLACE_HOST:
    case PLACE_BEHIND_FD:
        return NOT_OURS;
    case PLACE_NONE:
        return -ENOENT;
    case PLACE_EXE: {
        const char *name = program_path();
        uint64_t n = MIN(strlen(name), size);
        memcpy(out, name, n);
        return (int64_t)n;
    }
    case PLACE_FD:
        if (!strncmp(path, "/dev/", 5) && strncmp(path, "/dev/fd/", 8))
            return NOT_OURS; /* /dev/stdin is a link to /proc/self/fd/0, as the host has it too */
        return descriptor_link(p.fd, out, size);
    default:
        return -EINVAL;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The program's descriptors: a table of references to open files. */
#include "enclave/os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/reference.h"
#include "enclave/os/file_cache.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/syscalls.h"

#define TABLE_MAX 1048576u
#define TABLE_FIRST 64u
#define CLOSE_ON_EXEC 1ul

/* An entry is a pointer to the file, with CLOSE_ON_EXEC in its lowest bit; 0: free. */
static struct {
    struct lock lock; /* guards all of it; a reference is taken under it */
    uintptr_t *entries;
    uint32_t size;
    uint32_t lowest; /* no descriptor below this is free */
} table;

/* Every struct file, in the table or only referred to. */
static struct {
    struct lock lock;
    struct list list;
} every;

static struct file *entry_file(uintptr_t entry)
{
    return (struct file *)(entry & ~CLOSE_ON_EXEC);
}

struct file *file_new(const struct file_ops *ops, int host_fd, int flags)
{
    struct file *f = alloc(sizeof *f);
    if (!f)
        return NULL;
    f->ops = ops;
    f->references = 1;
    f->host_fd = host_fd;
    f->flags = flags;
    lock_take(&every.lock);
    if (!every.list.next)
        list_init(&every.list);
    list_append(&every.list, &f->all);
    lock_release(&every.lock);
    return f;
}

struct file *file_get(int fd)
{
    struct file *f = NULL;
    lock_take(&table.lock);
    if ((uint32_t)fd < table.size && (f = entry_file(table.entries[fd])))
        reference_take(&f->references);
    lock_release(&table.lock);
    return f;
}

bool file_still(struct file *f)
{
    uint32_t n = __atomic_load_n(&f->references, __ATOMIC_RELAXED);
    while (n && !__atomic_compare_exchange_n(&f->references, &n, n + 1, false, __ATOMIC_ACQUIRE,
                                             __ATOMIC_RELAXED))
        ;
    return n;
}

void file_hold(struct file *f)
{
    reference_take(&f->references);
}

int file_identity(struct file *f, uint64_t *device, uint64_t *inode)
{
    struct stat s;
    if (!__atomic_load_n(&f->identified, __ATOMIC_ACQUIRE)) {
        int error = f->ops->stat ? f->ops->stat(f, &s) : -EBADF;
        if (error)
            return error;
        __atomic_store_n(&f->device, s.st_dev, __ATOMIC_RELAXED);
        __atomic_store_n(&f->inode, s.st_ino, __ATOMIC_RELAXED);
        __atomic_store_n(&f->identified, true, __ATOMIC_RELEASE);
    }
    *device = f->device;
    *inode = f->inode;
    return 0;
}

void file_put(struct file *f)
{
    if (!f || !reference_drop(&f->references))
        return;
    lock_take(&every.lock);
    list_remove(&f->all);
    lock_release(&every.lock);
    if (f->watchers)
        epoll_forget(f);
    if (f->local)
        local_release(f);
    else if (f->ops->release)
        f->ops->release(f);
    alloc_free(f->path);
    alloc_free(f->real_path);
    alloc_free(f);
}

/* Called with the lock held: make `fd` an index of the table. */
static int grow(uint32_t fd)
{
    if (fd < table.size)
        return 0;
    uint64_t limit = MIN(limit_nofile(), (uint64_t)TABLE_MAX);
    if (fd >= limit)
        return -EMFILE;
    uint64_t size = MAX(table.size, TABLE_FIRST);
    while (size <= fd)
        size *= 2;
    uintptr_t *entries =
        alloc_resize(table.entries, table.size * sizeof *entries, size * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    memset(entries + table.size, 0, (size - table.size) * sizeof *entries);
    table.entries = entries;
    table.size = (uint32_t)size;
    return 0;
}

int file_install(struct file *f, int from, bool close_on_exec)
{
    lock_take(&table.lock);
    uint32_t fd = MAX((uint32_t)from, table.lowest);
    while (fd < table.size && table.entries[fd])
        fd++;
    int error = fd >= limit_nofile() ? -EMFILE : grow(fd);
    if (!error) {
        table.entries[fd] = (uintptr_t)f | (close_on_exec ? CLOSE_ON_EXEC : 0);
        if ((uint32_t)from <= table.lowest)
            table.lowest = fd + 1;
    }
    lock_release(&table.lock);
    return error ? error : (int)fd;
}

int64_t file_install_or_put(struct file *f, int flags)
{
    int fd = file_install(f, 0, flags & O_CLOEXEC);
    if (fd < 0)
        file_put(f);
    return fd;
}

bool file_closed_on_exec(int fd)
{
    lock_take(&table.lock);
    bool closed = fd >= 0 && (uint32_t)fd < table.size && (table.entries[fd] & CLOSE_ON_EXEC);
    lock_release(&table.lock);
    return closed;
}

bool file_listed(uint32_t fd)
{
    lock_take(&table.lock);
    bool listed = fd < table.size && table.entries[fd];
    lock_release(&table.lock);
    return listed;
}

uint32_t file_table_size(void)
{
    return table.size;
}

void files_surrender(void)
{
    for (uint32_t fd = 0; fd < table.size; fd++) {
        struct file *f = file_get((int)fd);
        if (f)
            file_cache_surrender(f);
        file_put(f);
    }
}

void file_table_start(void)
{
    for (int fd = 0; fd < DESCRIPTORS_INHERITED; fd++) {
        if (!(enclave.start.descriptors[fd / 64] >> (fd % 64) & 1))
            continue;
        struct file *f = host_file_adopt(fd);
        if (!f)
            continue; /* closed since */
        lock_take(&table.lock);
        if (!grow((uint32_t)fd))
            table.entries[fd] = (uintptr_t)f;
        lock_release(&table.lock);
    }
}

/* Takes the entry out; the caller has its reference. NULL: was free. */
static struct file *uninstall(uint32_t fd)
{
    struct file *f = NULL;
    lock_take(&table.lock);
    if (fd < table.size && table.entries[fd]) {
        f = entry_file(table.entries[fd]);
        table.entries[fd] = 0;
        table.lowest = MIN(table.lowest, fd);
    }
    lock_release(&table.lock);
    return f;
}

int files_install_pair(struct file *a, struct file *b, int flags, int fds[2], uint64_t user)
{
    int error = a && b ? 0 : -ENOMEM;
    fds[0] = error ? error : file_install(a, 0, flags & O_CLOEXEC);
    fds[1] = fds[0] < 0 ? fds[0] : file_install(b, 0, flags & O_CLOEXEC);
    if (fds[0] < 0)
        file_put(a);
    if (fds[1] < 0)
        file_put(b);
    if (fds[1] >= 0 && !user_write((void *)user, fds, 2 * sizeof fds[0]))
        return 0;
    error = fds[1] < 0 ? fds[1] : -EFAULT;
    if (fds[0] >= 0)
        file_put(uninstall((uint32_t)fds[0]));
    if (fds[1] >= 0)
        file_put(uninstall((uint32_t)fds[1]));
    return error;
}

/* The descriptor is closed, the file perhaps not: as on Linux that ends the process's locks of it. */
static void locks_drop(struct file *f)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    if (!f->locked || __atomic_load_n(&f->references, __ATOMIC_RELAXED) < 2)
        return;
    f->locked = false;
    if (memory_shares())
        memory_push_file(f, 0, UINT64_MAX);
    host_fd_struct(__NR_fcntl, 0, host_fd_of(f), F_SETLK, &all, sizeof all, 0);
}

static struct file *file_unreferenced(void)
{
    list_for_each(i, &every.list)
    {
        struct file *f = container_of(i, struct file, all);
        if (!f->references)
            return f;
    }
    return NULL;
}

static void count_reference(struct file *f)
{
    f->references++;
}

void files_recount(struct file *const *keep, int count)
{
    if (!every.list.next)
        return;
    list_for_each(i, &every.list) container_of(i, struct file, all)->references = 0;
    for (uint32_t fd = 0; fd < table.size; fd++)
        if (table.entries[fd])
            entry_file(table.entries[fd])->references++;
    memory_files(count_reference);
    local_files_within(count_reference);
    for (int i = 0; i < count; i++)
        if (keep[i])
            keep[i]->references++;
    for (struct file *f; (f = file_unreferenced());) {
        f->references = 1;
        file_put(f);
    }
}

void files_visit(void (*visit)(struct file *f))
{
    lock_take(&every.lock);
    if (every.list.next)
        list_for_each(i, &every.list) visit(container_of(i, struct file, all));
    lock_release(&every.lock);
}

void files_close_on_exec(void)
{
    for (uint32_t fd = 0; fd < table.size; fd++)
        if (table.entries[fd] & CLOSE_ON_EXEC)
            file_put(uninstall(fd));
}

SYSCALL(close)
{
    struct file *f = uninstall((uint32_t)a0);
    if (!f)
        return -EBADF;
    locks_drop(f);
    int64_t error = file_cache_settle(f);
    file_put(f);
    return error;
}

SYSCALL(close_range)
{
    uint32_t first = (uint32_t)a0, last = (uint32_t)a1, flags = (uint32_t)a2;
    if (first > last || flags & ~(uint32_t)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
        return -EINVAL;
    for (uint32_t fd = first; fd <= last && fd < table.size; fd++) {
        if (!(flags & CLOSE_RANGE_CLOEXEC)) {
            file_put(uninstall(fd));
            continue;
        }
        lock_take(&table.lock);
        if (table.entries[fd])
            table.entries[fd] |= CLOSE_ON_EXEC;
        lock_release(&table.lock);
    }
    return 0;
}

static int64_t duplicate(int fd, int from, bool close_on_exec)
{
    struct file *f = file_get(fd);
    if (!f)
        return -EBADF;
    int new = file_install(f, from, close_on_exec);
    if (new < 0)
        file_put(f);
    return new;
}

SYSCALL(dup)
{
    return duplicate((int)a0, 0, false);
}

static int64_t duplicate_to(int fd, int to, bool close_on_exec)
{
    if (to < 0 || (uint64_t)to >= limit_nofile())
        return -EBADF;
    struct file *f = file_get(fd), *old = NULL;
    if (!f)
        return -EBADF;
    lock_take(&table.lock);
    int error = grow((uint32_t)to);
    if (!error) {
        old = entry_file(table.entries[to]);
        table.entries[to] = (uintptr_t)f | (close_on_exec ? CLOSE_ON_EXEC : 0);
    }
    lock_release(&table.lock);
    file_put(error ? f : old);
    return error ? error : to;
}

SYSCALL(dup2)
{
    if ((int)a0 != (int)a1)
        return duplicate_to((int)a0, (int)a1, false);
    return file_listed((uint32_t)a0) ? (int64_t)(int)a0 : -EBADF;
}

SYSCALL(dup3)
{
    if ((int)a0 == (int)a1 || (int)a2 & ~O_CLOEXEC)
        return -EINVAL;
    return duplicate_to((int)a0, (int)a1, a2 & O_CLOEXEC);
}

static int64_t descriptor_flags(uint32_t fd, bool set, bool close_on_exec)
{
    int64_t result = -EBADF;
    lock_take(&table.lock);
    if (fd < table.size && table.entries[fd]) {
        result = set ? 0 : table.entries[fd] & CLOSE_ON_EXEC ? FD_CLOEXEC : 0;
        if (set)
            table.entries[fd] =
                (table.entries[fd] & ~CLOSE_ON_EXEC) | (close_on_exec ? CLOSE_ON_EXEC : 0);
    }
    lock_release(&table.lock);
    return result;
}

#define SETTABLE (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

int file_set_flags(struct file *f, int flags)
{
    int error = f->ops->set_flags ? f->ops->set_flags(f, flags & SETTABLE) : 0;
    if (error)
        return error;
    lock_take(&f->lock);
    f->flags = (f->flags & ~SETTABLE) | (flags & SETTABLE);
    lock_release(&f->lock);
    return 0;
}

static int64_t lock_command(struct file *f, int command, uint64_t user)
{
    struct flock l;
    bool get = command == F_GETLK || command == F_OFD_GETLK;
    bool wait = command == F_SETLKW || command == F_OFD_SETLKW;
    int fd = host_fd_of(f);
    if (user_get(&l, (const void *)user))
        return -EFAULT;
    if (fd < 0)
        return -EBADF;
    if (wait)
        file_may_sleep(f);
    /* A lock is what processes that map a file wait for before they look at it, and after they changed it. */
    if (!get && memory_shares())
        memory_push_file(f, 0, UINT64_MAX);
    if ((command == F_SETLK || command == F_SETLKW) && l.l_type != F_UNLCK)
        memory_complete_file(f);
    int64_t result = host_fd_struct(__NR_fcntl, wait ? EXIT_INTERRUPTIBLE : 0, fd,
                                    (uint64_t)command, &l, sizeof l, get ? sizeof l : 0);
    if (!result && get && user_put((void *)user, &l))
        return -EFAULT;
    if (!result && !get && l.l_type != F_UNLCK) {
        f->locked |= command == F_SETLK || command == F_SETLKW;
        if (memory_shares())
            memory_pull_file(f, 0, UINT64_MAX, false);
    }
    return interrupted(result);
}

/* By F_SETOWN_EX and F_GETOWN_EX, which the C library uses for the plain ones. Threads of the host are not the program's. */
static int64_t owner_command(struct file *f, int command, uint64_t user)
{
    struct f_owner_ex owner = {0};
    bool set = command == F_SETOWN_EX;
    int fd = host_fd_of(f);
    if (set && user_get(&owner, (const void *)user))
        return -EFAULT;
    if (fd < 0 || (set && owner.type == F_OWNER_TID))
        return -EINVAL;
    int64_t result = host_fd_struct(__NR_fcntl, 0, fd, (uint64_t)command, &owner, set ? sizeof owner : 0,
                                    set ? 0 : sizeof owner);
    return !result && !set && user_put((void *)user, &owner) ? -EFAULT : result;
}

static int64_t control(struct file *f, int command, uint64_t argument)
{
    switch (command) {
    case F_GETFL:
        if (f->ops == &host_file_ops && f->host_fd >= 0) /* others may share it and change it */
            return host_plain(__NR_fcntl, 0, INT32_MAX, (uint32_t)f->host_fd, F_GETFL, 0, 0, 0);
        return f->flags & ~O_CLOEXEC;
    case F_SETFL:
        return file_set_flags(f, (int)argument);
    case F_SETOWN_EX:
    case F_GETOWN_EX:
        return owner_command(f, command, argument);
    case F_GETPIPE_SZ:
        if (local_on(f) && local_pipe_size(f) > 0)
            return local_pipe_size(f);
        break;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return lock_command(f, command, argument);
    case F_SETOWN:
    case F_GETOWN:
    case F_SETSIG:
    case F_GETSIG:
    case F_SETPIPE_SZ:
    case F_ADD_SEALS:
    case F_GET_SEALS:
    case F_SETLEASE:
    case F_GETLEASE:
    case F_NOTIFY:
        break;
    default:
        return -EINVAL;
    }
    if (local_on(f) && local_leave(f))
        return -ENFILE;
    if (f->host_fd < 0)
        return -EINVAL;
    /* Numbers all, or nothing, where whatever is in the register may be an address. */
    return host_plain(__NR_fcntl, 0, INT32_MAX, (uint32_t)f->host_fd, (uint64_t)command, (uint32_t)argument, 0, 0);
}

SYSCALL(fcntl)
{
    int fd = (int)a0, command = (int)a1;
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if ((int)a2 < 0 || a2 >= limit_nofile())
            return -EINVAL;
        return duplicate(fd, (int)a2, command == F_DUPFD_CLOEXEC);
    case F_GETFD:
        return descriptor_flags((uint32_t)fd, false, false);
    case F_SETFD:
        return descriptor_flags((uint32_t)fd, true, a2 & FD_CLOEXEC);
    }
    struct file *f = file_get(fd);
    if (!f)
        return -EBADF;
    int64_t result = control(f, command, a2);
    file_put(f);
    return result;
}

int64_t iovecs_one(struct iovecs *v, uint64_t user, uint64_t length)
{
    v->v = v->small;
    v->count = 1;
    v->vector = false;
    v->small[0] = (struct iovec){(void *)user, MIN(length, TRANSFER_MAX)};
    if (length && user_range((const void *)user, v->small[0].iov_len))
        return -EFAULT;
    return (int64_t)v->small[0].iov_len;
}

int64_t iovecs_take(struct iovecs *v, uint64_t user, uint64_t count)
{
    v->v = v->small;
    v->count = 0;
    v->vector = true;
    if (count > HOST_IOV_MAX)
        return -EINVAL;
    if (count > IOVECS_SMALL && !(v->v = alloc(count * sizeof *v->v)))
        return -ENOMEM;
    if (count && user_read(v->v, (const void *)user, count * sizeof *v->v))
        goto fault;
    uint64_t total = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (v->v[i].iov_len > INT64_MAX) {
            iovecs_drop(v);
            return -EINVAL;
        }
        v->v[i].iov_len = MIN(v->v[i].iov_len, TRANSFER_MAX - total);
        if (v->v[i].iov_len && user_range(v->v[i].iov_base, v->v[i].iov_len))
            goto fault;
        total += v->v[i].iov_len;
    }
    v->count = (int)count;
    return (int64_t)total;
fault:
    iovecs_drop(v);
    return -EFAULT;
}

void iovecs_drop(struct iovecs *v)
{
    if (v->v != v->small)
        alloc_free(v->v);
    v->v = v->small;
}

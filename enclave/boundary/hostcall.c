/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and bytes. */
#include "enclave/boundary/hostcall.h"

#include <asm/unistd_64.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "abi/file.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall_room.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

/*
 * The descriptors of the host that the enclave holds, a bit each. Pages of the map are made as they
 * are needed and stay.
 */
#define PAGE_BITS 32768
static struct {
    struct lock lock;
    uint64_t *page[HOST_FD_LIMIT / PAGE_BITS];
} held;

static uint64_t *held_word(uint32_t fd)
{
    uint64_t *page = held.page[fd / PAGE_BITS];
    return page ? &page[fd % PAGE_BITS / 64] : NULL;
}

int host_fd_adopt(int64_t fd)
{
    if (fd < 0)
        return (int)fd;
    if (fd >= HOST_FD_LIMIT)
        violation("descriptor %ld is not one", fd);
    uint32_t n = (uint32_t)fd;
    uint64_t bit = 1ull << (n % 64);
    lock_take(&held.lock);
    if (!held.page[n / PAGE_BITS])
        held.page[n / PAGE_BITS] = alloc(PAGE_BITS / 8);
    uint64_t *word = held_word(n);
    bool twice = word && (*word & bit);
    if (word)
        *word |= bit;
    lock_release(&held.lock);
    if (twice)
        violation("new descriptor %ld is one that is in use", fd);
    if (!word) {
        room_call(__NR_close, 0, 0, n, 0, 0, 0, 0, 0);
        return -ENOMEM;
    }
    return (int)n;
}

int host_close(int fd)
{
    if (fd < 0 || fd >= HOST_FD_LIMIT)
        return -EBADF;
    uint32_t n = (uint32_t)fd;
    /* Before the host closes it: from then on it may hand it out again, to another thread. */
    lock_take(&held.lock);
    uint64_t *word = held_word(n);
    if (word)
        *word &= ~(1ull << (n % 64));
    lock_release(&held.lock);
    return (int)room_call(__NR_close, 0, 0, n, 0, 0, 0, 0, 0);
}

int64_t host_plain(uint64_t number, uint64_t exit_flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                   uint64_t a2, uint64_t a3, uint64_t a4)
{
    return room_call(number, exit_flags, maximum, a0, a1, a2, a3, a4, 0);
}

int host_plain_fd(uint64_t number, uint64_t exit_flags, uint64_t a0, uint64_t a1, uint64_t a2)
{
    return host_fd_adopt(room_call(number, exit_flags, INT_MAX, a0, a1, a2, 0, 0, 0));
}

static int pair(int64_t result, uint64_t at, int fds[2])
{
    int32_t got[2];
    if (result)
        return (int)result;
    room_get(got, at, sizeof got);
    if (got[0] < 0 || got[1] < 0)
        violation("a pair of descriptors is %d and %d", got[0], got[1]);
    fds[0] = host_fd_adopt(got[0]);
    fds[1] = host_fd_adopt(got[1]);
    if (fds[0] >= 0 && fds[1] >= 0)
        return 0;
    host_close(fds[0]);
    host_close(fds[1]);
    return -ENOMEM;
}

int host_pipe(int fds[2], int flags)
{
    return pair(room_call(__NR_pipe2, 0, 0, room_address(0), (uint32_t)flags, 0, 0, 0, 0), 0, fds);
}

int host_socketpair(int fds[2], int family, int type, int protocol)
{
    return pair(room_call(__NR_socketpair, 0, 0, (uint32_t)family, (uint32_t)type,
                          (uint32_t)protocol, room_address(0), 0, 0),
                0, fds);
}

uint64_t iovec_length(const struct iovec *v, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        if (v[i].iov_len > UINT64_MAX - sum)
            return UINT64_MAX;
        sum += v[i].iov_len;
    }
    return sum;
}

int64_t room_scatter(const struct iovec *v, int count, uint64_t skip, uint64_t at, uint64_t length)
{
    int64_t done = 0;
    for (int i = 0; i < count && length; i++) {
        if (skip >= v[i].iov_len) {
            skip -= v[i].iov_len;
            continue;
        }
        uint64_t n = MIN(v[i].iov_len - skip, length);
        if (room_get_user((uint8_t *)v[i].iov_base + skip, at, n))
            return done ? done : -EFAULT;
        at += n;
        length -= n;
        done += (int64_t)n;
        skip = 0;
    }
    return done;
}

int64_t room_gather(const struct iovec *v, int count, uint64_t skip, uint64_t table, uint64_t slots,
                    uint64_t at, uint64_t end, uint64_t *used)
{
    uint64_t total = 0;
    *used = 0;
    for (int i = 0; i < count && *used < slots && at < end; i++) {
        if (skip >= v[i].iov_len) {
            skip -= v[i].iov_len;
            continue;
        }
        uint64_t n = MIN(v[i].iov_len - skip, end - at);
        if (room_put(at, (const uint8_t *)v[i].iov_base + skip, n))
            return -EFAULT;
        room_store(table + *used * 16, room_address(at));
        room_store(table + *used * 16 + 8, n);
        ++*used;
        total += n;
        at = room_align(at + n);
        skip = 0;
    }
    return (int64_t)total;
}

/* The positioned and flagged forms of one read or write: which call, and its arguments after the
 * length. */
static int64_t transfer(uint64_t plain, uint64_t positioned, uint64_t fd, uint64_t address,
                        uint64_t length, int64_t offset, uint64_t limit, uint64_t exit_flags)
{
    if (offset < 0)
        return room_call(plain, exit_flags, limit, fd, address, length, 0, 0, 0);
    return room_call(positioned, exit_flags, limit, fd, address, length, (uint64_t)offset, 0, 0);
}

int64_t host_readv(int fd, const struct iovec *v, int count, uint64_t skip, int64_t offset, int rwf,
                   uint64_t exit_flags, uint64_t *asked)
{
    uint64_t total = iovec_length(v, count), table = bounce_size() - 16;
    uint64_t n = MIN(total - MIN(skip, total), table);
    int64_t result;
    *asked = n;
    if (!rwf) {
        result = transfer(__NR_read, __NR_pread64, (uint32_t)fd, room_address(0), n, offset, n,
                          exit_flags);
    } else {
        room_store(table, room_address(0));
        room_store(table + 8, n);
        result = room_call(__NR_preadv2, exit_flags, n, (uint32_t)fd, room_address(table), 1,
                           (uint64_t)offset, 0, (uint32_t)rwf);
    }
    if (result <= 0)
        return result;
    int64_t stored = room_scatter(v, count, skip, 0, (uint64_t)result);
    if (stored < result && offset < 0) /* what could not be stored was not read, where it can be read again */
        room_call(__NR_lseek, 0, INT64_MAX, (uint32_t)fd, (uint64_t)(MAX(stored, 0) - result), SEEK_CUR, 0, 0, 0);
    return stored;
}

int64_t host_writev(int fd, const struct iovec *v, int count, uint64_t skip, int64_t offset,
                    int rwf, uint64_t exit_flags, uint64_t *asked)
{
    uint64_t used, slots = MIN((uint64_t)count, (uint64_t)HOST_IOV_MAX);
    uint64_t table = bounce_size() - slots * 16;
    int64_t n = room_gather(v, count, skip, table, slots, 0, table, &used);
    if (n < 0)
        return n;
    uint64_t limit = *asked = (uint64_t)n;
    if (rwf)
        return room_call(__NR_pwritev2, exit_flags, limit, (uint32_t)fd, room_address(table), used,
                         (uint64_t)offset, 0, (uint32_t)rwf);
    if (used <= 1)
        return transfer(__NR_write, __NR_pwrite64, (uint32_t)fd, room_address(0), limit, offset,
                        limit, exit_flags);
    return transfer(__NR_writev, __NR_pwritev, (uint32_t)fd, room_address(table), used, offset,
                    limit, exit_flags);
}

int64_t host_read(int fd, void *to, uint64_t length, uint64_t exit_flags)
{
    struct iovec v = {to, length};
    uint64_t asked;
    return host_readv(fd, &v, 1, 0, -1, 0, exit_flags, &asked);
}

int64_t host_write(int fd, const void *from, uint64_t length, uint64_t exit_flags)
{
    struct iovec v = {(void *)(uintptr_t)from, length};
    uint64_t asked;
    return host_writev(fd, &v, 1, 0, -1, 0, exit_flags, &asked);
}

int64_t host_pread(int fd, void *to, uint64_t length, uint64_t offset)
{
    struct iovec v = {to, length};
    uint64_t asked;
    if (offset > INT64_MAX)
        return -EINVAL;
    return host_readv(fd, &v, 1, 0, (int64_t)offset, 0, 0, &asked);
}

int64_t host_fd_struct(uint64_t number, uint64_t exit_flags, int fd, uint64_t command,
                       void *argument, size_t in, size_t out)
{
    if (in > HOST_PATH_MAX || out > HOST_PATH_MAX)
        return -EINVAL;
    if (room_put(0, argument, in))
        return -EFAULT;
    for (uint64_t at = room_align(in); at < out; at += 8)
        room_store(at, 0); /* what the host does not fill reads as zero */
    int64_t result =
        room_call(number, exit_flags, INT_MAX, (uint32_t)fd, command, room_address(0), 0, 0, 0);
    if (result >= 0 && out)
        room_get(argument, 0, out);
    return result;
}

/* An optional offset, in and out, as a word of the room. The pointer to hand over, 0: none. */
static uint64_t offset_put(uint64_t at, const int64_t *offset)
{
    if (!offset)
        return 0;
    room_store(at, (uint64_t)*offset);
    return room_address(at);
}

static void offset_get(uint64_t at, int64_t *offset, int64_t moved)
{
    if (!offset || moved < 0)
        return;
    int64_t now = (int64_t)room_load(at);
    if (now < *offset || now - *offset > moved)
        violation("an offset went from %ld to %ld by %ld bytes", *offset, now, moved);
    *offset = now;
}

int64_t host_sendfile(int to, int from, int64_t *offset, uint64_t count, uint64_t exit_flags)
{
    int64_t moved = room_call(__NR_sendfile, exit_flags, count, (uint32_t)to, (uint32_t)from,
                              offset_put(0, offset), count, 0, 0);
    offset_get(0, offset, moved);
    return moved;
}

int64_t host_copy_range(int from, int64_t *from_offset, int to, int64_t *to_offset, uint64_t count,
                        uint32_t flags)
{
    uint64_t a = offset_put(0, from_offset), b = offset_put(8, to_offset);
    int64_t moved =
        room_call(__NR_copy_file_range, 0, count, (uint32_t)from, a, (uint32_t)to, b, count, flags);
    offset_get(0, from_offset, moved);
    offset_get(8, to_offset, moved);
    return moved;
}

int64_t host_splice(int from, int64_t *from_offset, int to, int64_t *to_offset, uint64_t count,
                    uint32_t flags, uint64_t exit_flags)
{
    uint64_t a = offset_put(0, from_offset), b = offset_put(8, to_offset);
    int64_t moved =
        room_call(__NR_splice, exit_flags, count, (uint32_t)from, a, (uint32_t)to, b, count, flags);
    offset_get(0, from_offset, moved);
    offset_get(8, to_offset, moved);
    return moved;
}

void host_title(const char *name, const char *arguments, uint64_t size)
{
    uint64_t length = strlen(name), offset = room_address(0) - arena_at(0).address;
    size = MIN(size, bounce_size() - length);
    room_put(0, name, length);
    untrusted_insert(untrusted_at(bounce(), length), arguments, size);
    room_call(EXIT_TITLE, 0, 0, offset, length, size, 0, 0, 0);
}

void host_thread_name(const char *name)
{
    room_put(0, name, strlen(name) + 1);
    room_call(__NR_prctl, 0, 0, PR_SET_NAME, room_address(0), 0, 0, 0, 0);
}

void host_nap(uint32_t ns)
{
    const uint64_t time[2] = {0, ns}; /* struct timespec */
    untrusted_write(bounce(), time, sizeof time);
    exit_checked(__NR_nanosleep, EXIT_INTERRUPTIBLE, 0, bounce().address, 0, 0, 0, 0, 0);
}

int host_timer_create(clockid_t clock)
{
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGNAL_LOOK;
    event.sigev_value.sival_int = SIGNAL_LOOK_TIMER;
    room_put(8, &event, sizeof event);
    int64_t result = room_call(__NR_timer_create, 0, 0, (uint64_t)(int64_t)clock, room_address(8),
                               room_address(0), 0, 0, 0);
    if (result)
        return (int)result;
    int32_t timer = (int32_t)room_load(0);
    if (timer < 0)
        violation("timer %d is not one", timer);
    return timer;
}

int host_timer_settime(int timer, const struct itimerspec *value)
{
    room_put(0, value, sizeof *value);
    return (int)room_call(__NR_timer_settime, 0, 0, (uint32_t)timer, 0, room_address(0), 0, 0, 0);
}

void host_timer_delete(int timer)
{
    room_call(__NR_timer_delete, 0, 0, (uint32_t)timer, 0, 0, 0, 0, 0);
}

int host_thread_id(uint32_t index)
{
    int64_t result = room_call(EXIT_THREAD_ID, 0, INT_MAX, index, 0, 0, 0, 0, 0);
    return result ? (int)result : -ESRCH;
}

int host_file_facts(int fd, struct file_facts *out)
{
    uint64_t offset = room_address(0) - arena_at(0).address;
    int result = (int)room_call(EXIT_FILE_FACTS, 0, 0, (uint32_t)fd, offset, 0, 0, 0, 0);
    if (result)
        return result;
    room_get(out, 0, sizeof *out);
    if (out->size > INT64_MAX || (out->position > INT64_MAX && out->position != FILE_NO_POSITION))
        violation("file %d has size %lu and position %lu", fd, out->size, out->position);
    return 0;
}

int64_t host_file_size(int fd)
{
    return room_call(EXIT_FILE_SIZE, 0, INT64_MAX, (uint32_t)fd, 0, 0, 0, 0, 0);
}

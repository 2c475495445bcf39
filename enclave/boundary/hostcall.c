/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and bytes. */
#include "enclave/boundary/hostcall_bytes.h"

#include <asm/unistd_64.h>
#include <errno.h>
#include <limits.h>
#include <linux/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "abi/exits.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall_room.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#ifdef __FRAMAC__
#define SIGEV_SIGNAL 0 /* which its <signal.h> lacks */
#endif

/* The descriptors of the host that the enclave holds. */
static struct held_descriptors held;
static struct lock held_lock;

/*@ requires held_is_valid(&held);
    assigns held, held_lock, held_bytes[0 .. HOST_FD_LIMIT - 1];
    ensures held_is_valid(&held);
    ensures \result >= 0 ==> !\old(held_has(&held, fd)) && held_has(&held, fd); */
int host_fd_adopt(int64_t fd)
{
    if (fd < 0)
        return (int)fd;
    if (fd >= HOST_FD_LIMIT)
        violation("descriptor %ld is not one", fd);
    lock_take(&held_lock);
    int error = held_add(&held, (uint32_t)fd);
    lock_release(&held_lock);
    if (error == -EEXIST)
        violation("new descriptor %ld is one that is in use", fd);
    if (!error)
        return (int)fd;
    room_call(__NR_close, 0, 0, (uint64_t)fd, 0, 0, 0, 0, 0);
    return -ENOMEM;
}

/*@ requires held_is_valid(&held);
    assigns held_lock, held_bytes[0 .. HOST_FD_LIMIT - 1];
    ensures held_is_valid(&held);
    ensures 0 <= fd < HOST_FD_LIMIT ==> !held_has(&held, fd); */
int host_close(int fd)
{
    if (fd < 0 || fd >= HOST_FD_LIMIT)
        return -EBADF;
    /* Before the host closes it: from then on it may hand it out again, to another thread. */
    lock_take(&held_lock);
    held_remove(&held, (uint32_t)fd);
    lock_release(&held_lock);
    return (int)room_call(__NR_close, 0, 0, (uint32_t)fd, 0, 0, 0, 0, 0);
}

int64_t host_plain(uint64_t number, uint64_t exit_flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                   uint64_t a2, uint64_t a3, uint64_t a4)
{
    return room_call(number, exit_flags, maximum, a0, a1, a2, a3, a4, 0);
}

/*@ requires held_is_valid(&held);
    assigns held, held_lock, held_bytes[0 .. HOST_FD_LIMIT - 1];
    ensures held_is_valid(&held); */
int host_plain_fd(uint64_t number, uint64_t exit_flags, uint64_t a0, uint64_t a1, uint64_t a2)
{
    return host_fd_adopt(room_call(number, exit_flags, INT_MAX, a0, a1, a2, 0, 0, 0));
}

/* A call that gave a pair of descriptors has put them at offset 0 of the room. */
/*@ requires held_is_valid(&held) && \valid(fds + (0 .. 1)) && call_result(result, 0);
    assigns held, held_lock, held_bytes[0 .. HOST_FD_LIMIT - 1], fds[0 .. 1];
    ensures held_is_valid(&held) && call_result(\result, 0);
    ensures \result == 0 ==> 0 <= fds[0] < HOST_FD_LIMIT && 0 <= fds[1] < HOST_FD_LIMIT; */
static int pair(int64_t result, int fds[2])
{
    if (result)
        return (int)result;
    uint64_t word = room_load(0);
    uint32_t low = (uint32_t)(word & UINT32_MAX), high = (uint32_t)(word >> 32);
    if (low > INT32_MAX || high > INT32_MAX)
        violation("a pair of descriptors is %d and %d", (int32_t)low, (int32_t)high);
    int first = host_fd_adopt(low), second = host_fd_adopt(high);
    fds[0] = first;
    fds[1] = second;
    if (first >= 0 && second >= 0)
        return 0;
    host_close(first);
    host_close(second);
    return -ENOMEM;
}

/*@ requires held_is_valid(&held);
    assigns held, held_lock, held_bytes[0 .. HOST_FD_LIMIT - 1], fds[0 .. 1];
    ensures held_is_valid(&held); */
int host_pipe(int fds[2], int flags)
{
    return pair(room_call(__NR_pipe2, 0, 0, room_address(0), (uint32_t)flags, 0, 0, 0, 0), fds);
}

/*@ requires held_is_valid(&held);
    assigns held, held_lock, held_bytes[0 .. HOST_FD_LIMIT - 1], fds[0 .. 1];
    ensures held_is_valid(&held); */
int host_socketpair(int fds[2], int family, int type, int protocol)
{
    return pair(room_call(__NR_socketpair, 0, 0, (uint32_t)family, (uint32_t)type,
                          (uint32_t)protocol, room_address(0), 0, 0),
                fds);
}

uint64_t iovec_length(const struct iovec *v, int count)
{
    uint64_t sum = 0;
    /*@ loop invariant 0 <= i && (i <= count || i == 0);
        loop invariant (i == 0 ==> sum == 0) && (i == 1 ==> sum == v[0].iov_len);
        loop assigns i, sum;
        loop variant count - i; */
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
    /*@ loop invariant 0 <= i && (i <= count || i == 0);
        loop invariant 0 <= done && done + length == \at(length, Pre) && at == \at(at, Pre) + done;
        loop assigns i, skip, at, length, done, caller_bytes;
        loop variant count - i; */
    for (int i = 0; i < count && length; i++) {
        if (skip >= v[i].iov_len) {
            skip -= v[i].iov_len;
            continue;
        }
        uint64_t n = MIN(v[i].iov_len - skip, length);
        //@ assert n <= length && skip + n <= v[i].iov_len;
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
    /*@ loop invariant 0 <= i && (i <= count || i == 0);
        loop invariant \at(at, Pre) <= at <= end && at % 8 == 0 && *used <= slots;
        loop invariant total <= at - \at(at, Pre);
        loop invariant (i == 0 ==> total == 0) && (i == 1 ==> total <= v[0].iov_len);
        loop assigns i, skip, at, total, *used;
        loop variant count - i; */
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
/*@ assigns \result \from \nothing;
    ensures call_result(\result, limit); */
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
    /*@ loop invariant at % 8 == 0 && at <= HOST_PATH_MAX + 8;
        loop assigns at;
        loop variant out - at; */
    for (uint64_t at = room_align(in); at < out; at += 8)
        room_store(at, 0); /* what the host does not fill reads as zero */
    int64_t result =
        room_call(number, exit_flags, INT_MAX, (uint32_t)fd, command, room_address(0), 0, 0, 0);
    if (result >= 0 && out)
        room_get(argument, 0, out);
    return result;
}

/* An optional offset, in and out, as a word of the room. The pointer to hand over, 0: none. */
/*@ requires (offset == \null || \valid_read(offset)) && at % 8 == 0 && within_room(at, 8);
    assigns \nothing; */
static uint64_t offset_put(uint64_t at, const int64_t *offset)
{
    if (!offset)
        return 0;
    room_store(at, (uint64_t)*offset);
    return room_address(at);
}

/*@ requires (offset == \null || \valid(offset)) && at % 8 == 0 && within_room(at, 8);
    assigns *offset;
    ensures offset != \null && moved >= 0 ==> offset_moved(\old(*offset), *offset, moved);
    ensures moved < 0 && offset != \null ==> *offset == \old(*offset); */
static void offset_get(uint64_t at, int64_t *offset, int64_t moved)
{
    if (!offset || moved < 0)
        return;
    int64_t now = (int64_t)room_load(at);
    if (now < *offset || (*offset < 0 ? now > *offset + moved : now - *offset > moved))
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
    uint64_t length = strnlen(name, HOST_PATH_MAX), offset = room_address(0) - arena_at(0).address;
    size = MIN(size, bounce_size() - length);
    room_put(0, name, length);
    room_insert(length, arguments, size);
    room_call(EXIT_TITLE, 0, 0, offset, length, size, 0, 0, 0);
}

void host_thread_name(const char *name)
{
    room_put(0, name, strnlen(name, HOST_PATH_MAX - 1) + 1);
    room_call(__NR_prctl, 0, 0, PR_SET_NAME, room_address(0), 0, 0, 0, 0);
}

int64_t host_recv_arena(int fd, struct untrusted to, uint64_t length, int flags, uint64_t exit_flags)
{
    return room_call(__NR_recvfrom, exit_flags, length, (uint32_t)fd, to.address, length, (uint32_t)flags, 0, 0);
}

void host_nap(uint32_t ns)
{
    room_store(0, 0); /* struct timespec */
    room_store(8, ns);
    room_call(__NR_nanosleep, EXIT_INTERRUPTIBLE, 0, room_address(0), 0, 0, 0, 0, 0);
}

/* Static: the padding is zero. */
static const struct sigevent look = {
    .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGNAL_LOOK, .sigev_value.sival_int = SIGNAL_LOOK_TIMER};

/*@ assigns \nothing; */
static void look_put(void)
{
    room_put(8, &look, sizeof look);
}

int host_timer_create(clockid_t clock)
{
    look_put();
    int64_t result = room_call(__NR_timer_create, 0, 0, (uint64_t)(int64_t)clock, room_address(8),
                               room_address(0), 0, 0, 0);
    if (result)
        return (int)result;
    uint32_t timer = (uint32_t)(room_load(0) % 0x100000000);
    if (timer > INT32_MAX)
        violation("timer %d is not one", (int32_t)timer);
    return (int)timer;
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
    out->mode = room_load(offsetof(struct file_facts, mode));
    out->device = room_load(offsetof(struct file_facts, device));
    out->inode = room_load(offsetof(struct file_facts, inode));
    out->size = room_load(offsetof(struct file_facts, size));
    out->position = room_load(offsetof(struct file_facts, position));
    out->file_system = room_load(offsetof(struct file_facts, file_system));
    out->free = room_load(offsetof(struct file_facts, free));
    out->limit = room_load(offsetof(struct file_facts, limit));
    if (out->size > INT64_MAX || (out->position > INT64_MAX && out->position != FILE_NO_POSITION))
        violation("file %d has size %lu and position %lu", fd, out->size, out->position);
    return 0;
}

int64_t host_file_size(int fd)
{
    return room_call(EXIT_FILE_SIZE, 0, INT64_MAX, (uint32_t)fd, 0, 0, 0, 0, 0);
}

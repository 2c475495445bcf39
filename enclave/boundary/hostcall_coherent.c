/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/hostcall_coherent.h"

#include <fcntl.h>
#include <limits.h>

#include <asm/unistd_64.h>

#include "abi/start.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_room.h"
#include "enclave/lib/lib.h"

#define LOCK_AT PAGE_SIZE /* in the room, behind a page */
#define ROOM_SIZE (2 * PAGE_SIZE)
#define LOCK_OFFSET (1ll << 62) /* of the byte that is locked: no file is so long */

static uint64_t room; /* offset in the arena, 0: none yet */

int host_coherent_start(void)
{
    if (!room)
        room = arena_pool_take(ROOM_SIZE);
    return room ? 0 : -ENOMEM;
}

static struct untrusted place(uint64_t at)
{
    return untrusted_at(arena_at(room), at);
}

int host_coherent_open(int fd)
{
    char link[32];
    int length = print_format(link, sizeof link, "/proc/self/fd/%d", fd);
    untrusted_write(place(0), link, (size_t)length + 1);
    return host_fd_adopt(room_call(__NR_openat, 0, INT_MAX, (uint64_t)(int64_t)AT_FDCWD, place(0).address,
                                   O_RDWR | O_CLOEXEC, 0, 0, 0));
}

static int lock_call(int fd, uint64_t flags, int command, short type)
{
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = LOCK_OFFSET;
    lock.l_len = 1;
    untrusted_write(place(LOCK_AT), &lock, sizeof lock);
    return (int)room_call(__NR_fcntl, flags, 0, (uint32_t)fd, (uint64_t)command, place(LOCK_AT).address, 0, 0, 0);
}

int host_coherent_lock(int fd, enum coherent_wait wait)
{
    return lock_call(fd, wait == COHERENT_WAIT ? EXIT_INTERRUPTIBLE : 0,
                     wait == COHERENT_TRY ? F_OFD_SETLK : F_OFD_SETLKW, F_WRLCK);
}

void host_coherent_unlock(int fd)
{
    lock_call(fd, 0, F_OFD_SETLK, F_UNLCK);
}

int64_t host_coherent_read(int fd, uint8_t *page, uint64_t offset)
{
    int64_t n = room_call(__NR_pread64, 0, PAGE_SIZE, (uint32_t)fd, place(0).address, PAGE_SIZE, offset, 0, 0);
    if (n < 0)
        return n;
    untrusted_read(page, place(0), (size_t)n);
    memset(page + n, 0, PAGE_SIZE - (size_t)n);
    return n;
}

int64_t host_coherent_write(int fd, const uint8_t *page, uint64_t length, uint64_t offset)
{
    length = MIN(length, PAGE_SIZE);
    untrusted_write(place(0), page, length);
    return room_call(__NR_pwrite64, 0, length, (uint32_t)fd, place(0).address, length, offset, 0, 0);
}

void host_coherent_timer(int timer, uint64_t ns)
{
    const uint64_t once[4] = {0, 0, 0, ns}; /* struct itimerspec */
    untrusted_write(place(LOCK_AT), once, sizeof once);
    room_call(__NR_timer_settime, 0, 0, (uint32_t)timer, 0, place(LOCK_AT).address, 0, 0, 0);
}

void host_coherent_nap(uint64_t ns)
{
    const uint64_t time[2] = {0, ns}; /* struct timespec */
    untrusted_write(place(LOCK_AT), time, sizeof time);
    room_call(__NR_nanosleep, 0, 0, place(LOCK_AT).address, 0, 0, 0, 0, 0);
}

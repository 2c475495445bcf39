/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/hostcall_ipc.h"

#include <limits.h>

#include <asm/unistd_64.h>

#include "abi/start.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_room.h"
#include "enclave/lib/lib.h"

#define NANOSECONDS 1000000000ull
#define SEMBUF_SIZE 6
#define TIMEOUT_AT 4096 /* in the room, behind HOST_SEMOPS_MAX operations */
#define MESSAGE_AT 64   /* behind a time and a priority */
#define SEMAPHORES_MAX 32768
#define SETALL_ 17 /* linux/sem.h, which does not go with the C library's headers */

int64_t host_ipc_get(uint64_t number, uint64_t key, uint64_t size, uint64_t flags)
{
    return room_call(number, 0, INT_MAX, (uint32_t)key, size, (uint32_t)flags, 0, 0, 0);
}

/* What the host does not fill reads as zero. */
static void room_clear(uint64_t from, uint64_t to)
{
    for (uint64_t at = room_align(from); at < to; at += 8)
        room_store(at, 0);
}

int64_t host_ipc_control(uint64_t number, int id, int index, int command, uint64_t value, void *user, size_t in,
                         size_t out)
{
    if (in > PAGE_SIZE || out > PAGE_SIZE)
        return -EINVAL;
    if (in && room_put(0, user, in))
        return -EFAULT;
    room_clear(in, out);
    uint64_t last = in || out ? room_address(0) : value;
    int64_t result = number == __NR_semctl
                         ? room_call(number, 0, INT_MAX, (uint32_t)id, (uint32_t)index, (uint32_t)command, last, 0, 0)
                         : room_call(number, 0, INT_MAX, (uint32_t)id, (uint32_t)command, last, 0, 0, 0);
    return result >= 0 && out && room_get_user(user, 0, out) ? -EFAULT : result;
}

int64_t host_semaphores(int id, int command, void *user, uint64_t count)
{
    uint64_t size = count * sizeof(uint16_t);
    if (count > SEMAPHORES_MAX || size > bounce_size())
        return -EINVAL;
    room_clear(0, size);
    if (command == SETALL_ && room_put(0, user, size))
        return -EFAULT;
    int64_t result = room_call(__NR_semctl, 0, 0, (uint32_t)id, 0, (uint32_t)command, room_address(0), 0, 0);
    return !result && command != SETALL_ && room_get_user(user, 0, size) ? -EFAULT : result;
}

int64_t host_semop(int id, const void *user, unsigned count, uint64_t timeout_ns)
{
    if (count > HOST_SEMOPS_MAX)
        return -E2BIG;
    if (room_put(0, user, count * SEMBUF_SIZE))
        return -EFAULT;
    room_store(TIMEOUT_AT, timeout_ns / NANOSECONDS);
    room_store(TIMEOUT_AT + 8, timeout_ns % NANOSECONDS);
    return room_call(__NR_semtimedop, EXIT_INTERRUPTIBLE, 0, (uint32_t)id, room_address(0), count,
                     timeout_ns == NO_TIMEOUT ? 0 : room_address(TIMEOUT_AT), 0, 0);
}

/* Type and text. */
static bool fits(uint64_t size)
{
    return size <= bounce_size() - sizeof(int64_t);
}

int64_t host_msgsnd(int id, const void *user, uint64_t size, int flags)
{
    if (!fits(size))
        return -EINVAL;
    if (room_put(0, user, sizeof(int64_t) + size))
        return -EFAULT;
    return room_call(__NR_msgsnd, EXIT_INTERRUPTIBLE, 0, (uint32_t)id, room_address(0), size, (uint32_t)flags, 0, 0);
}

int64_t host_msgrcv(int id, void *user, uint64_t size, int64_t type, int flags)
{
    size = fits(size) ? size : bounce_size() - sizeof(int64_t); /* none is longer, as none that is was sent */
    int64_t n = room_call(__NR_msgrcv, EXIT_INTERRUPTIBLE, size, (uint32_t)id, room_address(0), size, (uint64_t)type,
                          (uint32_t)flags, 0);
    return n >= 0 && room_get_user(user, 0, sizeof(int64_t) + (uint64_t)n) ? -EFAULT : n;
}

int host_mq_open(const char *name, int flags, unsigned mode, const struct mq_attr *attributes)
{
    size_t length = strlen(name) + 1;
    if (length > HOST_PATH_MAX)
        return -ENAMETOOLONG;
    if (attributes)
        room_put(0, attributes, sizeof *attributes);
    room_put(sizeof *attributes, name, length);
    return host_fd_adopt(room_call(__NR_mq_open, 0, INT_MAX, room_address(sizeof *attributes), (uint32_t)flags, mode,
                                   attributes ? room_address(0) : 0, 0, 0));
}

static uint64_t until_put(const struct timespec *until)
{
    if (!until)
        return 0;
    room_put(0, until, sizeof *until);
    return room_address(0);
}

int64_t host_mq_send(int fd, const void *user, uint64_t size, unsigned priority, const struct timespec *until)
{
    if (size > bounce_size() - MESSAGE_AT)
        return -EMSGSIZE;
    if (room_put(MESSAGE_AT, user, size))
        return -EFAULT;
    return room_call(__NR_mq_timedsend, EXIT_INTERRUPTIBLE, 0, (uint32_t)fd, room_address(MESSAGE_AT), size, priority,
                     until_put(until), 0);
}

int64_t host_mq_receive(int fd, void *user, uint64_t size, unsigned *priority, const struct timespec *until)
{
    const uint64_t priority_at = sizeof *until;
    size = MIN(size, bounce_size() - MESSAGE_AT);
    room_store(priority_at, 0);
    int64_t n = room_call(__NR_mq_timedreceive, EXIT_INTERRUPTIBLE, size, (uint32_t)fd, room_address(MESSAGE_AT), size,
                          room_address(priority_at), until_put(until), 0);
    if (n < 0)
        return n;
    *priority = (uint32_t)room_load(priority_at);
    return room_get_user(user, MESSAGE_AT, (uint64_t)n) ? -EFAULT : n;
}

int host_mq_attributes(int fd, const struct mq_attr *new, struct mq_attr *old)
{
    const uint64_t old_at = sizeof *new;
    if (new)
        room_put(0, new, sizeof *new);
    room_clear(old_at, old_at + sizeof *old);
    int result = (int)room_call(__NR_mq_getsetattr, 0, 0, (uint32_t)fd, new ? room_address(0) : 0, room_address(old_at),
                                0, 0, 0);
    if (!result && old)
        room_get(old, old_at, sizeof *old);
    return result;
}

int host_mq_notify(int fd, const struct sigevent *event, int socket, const uint8_t cookie[HOST_MQ_COOKIE])
{
    struct sigevent copy;
    if (!event)
        return (int)room_call(__NR_mq_notify, 0, 0, (uint32_t)fd, 0, 0, 0, 0, 0);
    copy = *event;
    if (event->sigev_notify == SIGEV_THREAD) {
        copy.sigev_signo = socket;
        copy.sigev_value.sival_ptr = (void *)room_address(sizeof copy);
        room_put(sizeof copy, cookie, HOST_MQ_COOKIE);
    }
    room_put(0, &copy, sizeof copy);
    return (int)room_call(__NR_mq_notify, 0, 0, (uint32_t)fd, room_address(0), 0, 0, 0, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V's semaphores and message queues: the host's, as other processes have to see them. Who may do what, in
 * which order waiters go on, and what messages say is thus the host's word, as with pipes.
 */
#include <errno.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <time.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_ipc.h"
#include "enclave/boundary/user.h"
#include "enclave/io/flush.h"
#include "enclave/lib/lib.h"
#include "enclave/os/poll.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"

#define TYPE_SIZE sizeof(int64_t) /* of a message, before its text */

/* semctl and its like know these of their argument. */
struct command {
    int command;
    uint16_t in, out; /* bytes that it points to; neither: a number */
};

static const struct command *command_find(const struct command *list, size_t count, int command)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].command == command)
            return &list[i];
    return NULL;
}

static int64_t control(uint64_t number, int id, int index, const struct command *c, uint64_t argument)
{
    size_t size = MAX(c->in, c->out);
    if (size && user_range((void *)argument, size))
        return -EFAULT;
    return host_ipc_control(number, id, index, c->command, argument, (void *)argument, c->in, c->out);
}

/* ---- semaphores ---- */

SYSCALL(semget)
{
    return host_ipc_get(__NR_semget, a0, (uint32_t)a1, a2);
}

/* A signal with a handler ends it, whatever SA_RESTART says. */
static int64_t semaphores_change(int id, uint64_t operations, uint64_t count, uint64_t deadline)
{
    if (!count)
        return -EINVAL;
    if (count > HOST_SEMOPS_MAX)
        return -E2BIG;
    if (user_range((const void *)operations, count * sizeof(struct sembuf)))
        return -EFAULT;
    io_flush_along();
    for (;;) {
        int64_t result = signal_pending() ? -EINTR
                                          : host_semop(id, (const void *)operations, (unsigned)count,
                                                       deadline == DEADLINE_NEVER ? NO_TIMEOUT : deadline_left(deadline));
        if (result != -EINTR || signal_pending())
            return result;
    }
}

SYSCALL(semop)
{
    return semaphores_change((int)a0, a1, (uint32_t)a2, DEADLINE_NEVER);
}

SYSCALL(semtimedop)
{
    uint64_t deadline;
    int error = deadline_of_timespec(a3, &deadline);
    return error ? error : semaphores_change((int)a0, a1, (uint32_t)a2, deadline);
}

static int64_t semaphores_all(int id, int command, uint64_t argument)
{
    struct semid_ds about;
    int64_t result = host_ipc_control(__NR_semctl, id, 0, IPC_STAT, 0, &about, 0, sizeof about);
    if (result < 0)
        return result;
    if (user_range((void *)argument, about.sem_nsems * sizeof(uint16_t)))
        return -EFAULT;
    return host_semaphores(id, command, (void *)argument, about.sem_nsems);
}

SYSCALL(semctl)
{
    static const struct command known[] = {
        {IPC_RMID, 0, 0},
        {IPC_STAT, 0, sizeof(struct semid_ds)},
        {IPC_SET, sizeof(struct semid_ds), 0},
        {SEM_STAT, 0, sizeof(struct semid_ds)},
        {SEM_STAT_ANY, 0, sizeof(struct semid_ds)},
        {IPC_INFO, 0, sizeof(struct seminfo)},
        {SEM_INFO, 0, sizeof(struct seminfo)},
        {GETVAL, 0, 0},
        {GETPID, 0, 0},
        {GETNCNT, 0, 0},
        {GETZCNT, 0, 0},
    };
    int command = (int)a2;
    if (command == GETALL || command == SETALL)
        return semaphores_all((int)a0, command, a3);
    if (command == SETVAL) /* its argument is an int: no more of it than that */
        return (int)a3 < 0 || (int)a3 > INT16_MAX
                   ? -ERANGE
                   : host_ipc_control(__NR_semctl, (int)a0, (int)a1, command, (uint32_t)a3, NULL, 0, 0);
    const struct command *c = command_find(known, ARRAY_SIZE(known), command);
    return c ? control(__NR_semctl, (int)a0, (int)a1, c, c->in || c->out ? a3 : 0) : -EINVAL;
}

/* ---- message queues ---- */

SYSCALL(msgget)
{
    return host_ipc_get(__NR_msgget, a0, (uint32_t)a1, 0);
}

SYSCALL(msgsnd)
{
    if (a2 > INT64_MAX)
        return -EINVAL;
    if (a2 < UINT32_MAX && user_range((const void *)a1, TYPE_SIZE + a2))
        return -EFAULT;
    io_flush_along();
    for (;;) {
        int64_t result = signal_pending() ? -EINTR : host_msgsnd((int)a0, (const void *)a1, a2, (int)a3);
        if (result != -EINTR || signal_pending())
            return result;
    }
}

SYSCALL(msgrcv)
{
    if (a2 > INT64_MAX)
        return -EINVAL;
    if (user_range((const void *)a1, TYPE_SIZE + MIN(a2, UINT32_MAX)))
        return -EFAULT;
    io_flush_along();
    for (;;) {
        int64_t result = signal_pending() ? -EINTR : host_msgrcv((int)a0, (void *)a1, a2, (int64_t)a3, (int)a4);
        if (result != -EINTR || signal_pending())
            return result;
    }
}

SYSCALL(msgctl)
{
    static const struct command known[] = {
        {IPC_RMID, 0, 0},
        {IPC_STAT, 0, sizeof(struct msqid_ds)},
        {IPC_SET, sizeof(struct msqid_ds), 0},
        {MSG_STAT, 0, sizeof(struct msqid_ds)},
        {MSG_STAT_ANY, 0, sizeof(struct msqid_ds)},
        {IPC_INFO, 0, sizeof(struct msginfo)},
        {MSG_INFO, 0, sizeof(struct msginfo)},
    };
    const struct command *c = command_find(known, ARRAY_SIZE(known), (int)a1);
    return c ? control(__NR_msgctl, (int)a0, 0, c, c->in || c->out ? a2 : 0) : -EINVAL;
}

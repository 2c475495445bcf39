/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V's shared memory. Keys, ids, permissions and sizes are the host's, so that processes agree on them; the
 * memory is the enclave's, which no other can see. So a segment can be attached by the process that made it
 * (and by what that forks, which shares it as in common.h); one that another made is refused, aloud. Every attachment of a
 * segment is at the same address, as there is only one place where it is.
 */
#include "enclave/os/shm.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall_ipc.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/memory.h"
#include "enclave/os/syscalls.h"

struct segment {
    struct segment *next;
    int id;
    uint64_t size;
    uint64_t address;  /* 0: not attached yet; else its memory stays there, attached or not */
    uint32_t attached; /* how many times */
    bool removed;      /* goes with its last attachment */
};

static struct {
    struct lock lock;
    struct segment *list;
} shm;

static struct segment *segment_find(int id)
{
    struct segment *s = shm.list;
    while (s && s->id != id)
        s = s->next;
    return s;
}

/* Made by this process: from the host's own word that there was none. 0; -EIO: it has said so of another. */
static int segment_add(int id, uint64_t size)
{
    struct segment *s = alloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct segment){.id = id, .size = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1)};
    lock_take(&shm.lock);
    bool known = segment_find(id);
    if (!known) {
        s->next = shm.list;
        shm.list = s;
    }
    lock_release(&shm.lock);
    if (!known)
        return 0;
    violation_count();
    alloc_free(s);
    return -EIO;
}

/* Is it too small, as far as is known here? */
static bool segment_small(int id, uint64_t size)
{
    lock_take(&shm.lock);
    const struct segment *s = segment_find(id);
    bool small = s && size > s->size;
    lock_release(&shm.lock);
    return small;
}

/* With the lock held. */
static void segment_drop(struct segment *s)
{
    struct segment **at = &shm.list;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    if (s->address)
        memory_unmap(s->address, s->size);
    alloc_free(s);
}

SYSCALL(shmget)
{
    int key = (int)a0, flags = (int)a2;
    bool made = key == IPC_PRIVATE || (flags & IPC_CREAT);
    if (made && a1 > enclave.size)
        return -ENOMEM;
    int64_t id = host_ipc_get(__NR_shmget, a0, a1, (uint32_t)flags | (made ? IPC_CREAT | IPC_EXCL : 0));
    if (id == -EEXIST && made && (key == IPC_PRIVATE || !(flags & IPC_EXCL))) {
        made = false;
        id = host_ipc_get(__NR_shmget, a0, a1, (uint32_t)flags);
    }
    if (id < 0)
        return id;
    if (!made) /* Linux would have said so */
        return segment_small((int)id, a1) ? -EINVAL : id;
    int error = segment_add((int)id, a1);
    if (error == -ENOMEM)
        host_ipc_control(__NR_shmctl, (int)id, 0, IPC_RMID, 0, NULL, 0, 0);
    return error ? error : id;
}

/* Why a segment that is not of this process cannot be attached. */
static int refuse(int id)
{
    struct shmid_ds about;
    int64_t result = host_ipc_control(__NR_shmctl, id, 0, IPC_STAT, 0, &about, 0, sizeof about);
    if (result < 0)
        return (int)result;
    log_warning("shmat: segment %d was made by another process: memory cannot be shared between enclaves: ENOSYS", id);
    return -ENOSYS;
}

static int64_t attach(struct segment *s, uint64_t address, int flags)
{
    int protection = flags & SHM_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;
    if (flags & SHM_EXEC)
        protection |= PROT_EXEC;
    if (address && (flags & SHM_RND))
        address &= ~(PAGE_SIZE - 1);
    if (address % PAGE_SIZE)
        return -EINVAL;
    if (s->address && address && address != s->address) {
        log_warning("shmat: segment %d is at 0x%lx and cannot be at a second address: EINVAL", s->id, s->address);
        return -EINVAL;
    }
    if (!s->address) {
        int fixed = !address ? 0 : flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
        int64_t at = memory_map(address, s->size, protection, MAP_SHARED | MAP_ANONYMOUS | fixed, NULL, 0,
                                AREA_ANONYMOUS, "/SYSV00000000 (deleted)");
        if (at < 0)
            return at == -EEXIST ? -EINVAL : at;
        s->address = (uint64_t)at;
    } else if (!s->attached || (protection & PROT_WRITE)) {
        int error = memory_protect(s->address, s->size, protection);
        if (error)
            return error;
    }
    s->attached++;
    return (int64_t)s->address;
}

SYSCALL(shmat)
{
    lock_take(&shm.lock);
    struct segment *s = segment_find((int)a0);
    int64_t result = s ? attach(s, a1, (int)a2) : 0;
    lock_release(&shm.lock);
    return s ? result : refuse((int)a0);
}

SYSCALL(shmdt)
{
    int result = -EINVAL;
    lock_take(&shm.lock);
    struct segment *s = shm.list;
    while (s && !(s->attached && s->address == a0))
        s = s->next;
    if (s && --s->attached == 0 && s->removed) {
        segment_drop(s);
        result = 0;
    } else if (s) {
        /* What it holds is there when it is attached again. */
        result = s->attached ? 0 : memory_protect(s->address, s->size, PROT_NONE);
    }
    lock_release(&shm.lock);
    return result;
}

static void segment_removed(int id)
{
    lock_take(&shm.lock);
    struct segment *s = segment_find(id);
    if (s && s->attached)
        s->removed = true;
    else if (s)
        segment_drop(s);
    lock_release(&shm.lock);
}

static uint64_t attachments(int id)
{
    lock_take(&shm.lock);
    const struct segment *s = segment_find(id);
    uint64_t n = s ? s->attached : 0;
    lock_release(&shm.lock);
    return n;
}

static int64_t statistics(int id, int command, uint64_t user)
{
    struct shmid_ds about;
    int64_t result = host_ipc_control(__NR_shmctl, id, 0, command, 0, &about, 0, sizeof about);
    if (result < 0)
        return result;
    about.shm_nattch += attachments(command == IPC_STAT ? id : (int)result); /* of which the host knows nothing */
    return user_put((void *)user, &about) ? -EFAULT : result;
}

SYSCALL(shmctl)
{
    struct shmid_ds about;
    struct shminfo limits; /* the larger of the two that there are */
    int id = (int)a0, command = (int)a1;
    int64_t result;
    switch (command) {
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
        return statistics(id, command, a2);
    case IPC_SET:
        if (user_get(&about, (const void *)a2))
            return -EFAULT;
        return host_ipc_control(__NR_shmctl, id, 0, command, 0, &about, sizeof about, 0);
    case IPC_INFO:
    case SHM_INFO: {
        size_t size = command == IPC_INFO ? sizeof limits : sizeof(struct shm_info);
        result = host_ipc_control(__NR_shmctl, id, 0, command, 0, &limits, 0, size);
        return result >= 0 && user_write((void *)a2, &limits, size) ? -EFAULT : result;
    }
    case IPC_RMID:
        result = host_ipc_control(__NR_shmctl, id, 0, command, 0, NULL, 0, 0);
        if (!result)
            segment_removed(id);
        return result;
    case SHM_LOCK:
    case SHM_UNLOCK:
        return host_ipc_control(__NR_shmctl, id, 0, command, 0, NULL, 0, 0);
    }
    return -EINVAL;
}

void shm_forget(void)
{
    while (shm.list) {
        struct segment *s = shm.list;
        shm.list = s->next;
        alloc_free(s);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/host.h"
#include "host/thread.h"

/* Newer than the headers of Debian 12. */
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1u << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1u << 13)
#endif
#define SETUP_NO_MMAP (1u << 14)    /* in memory of ours: sq_off.resv2 and cq_off.resv2 are its addresses */
#define SETUP_NO_SQARRAY (1u << 16) /* SQE i is entry i */

#define RINGS_MAX 1024
#define SQPOLL_IDLE_MS 1 /* without anything to submit the kernel's thread sleeps after so long */

/* For the check of law 4: where the SQEs of each ring are. And where all of it is. */
struct ring {
    int fd; /* -1: free */
    const uint32_t *head, *tail;
    const struct io_uring_sqe *sqes;
    uint32_t mask;
    uint64_t ring_offset, ring_space, sqes_space; /* of the arena */
};

static struct {
    pthread_mutex_t lock;
    struct ring ring[RINGS_MAX];
    uint32_t count;
    bool told;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What the enclave uses, and nothing else. */
static const uint8_t operations[] = {IORING_OP_NOP,     IORING_OP_POLL_ADD, IORING_OP_SEND,
                                     IORING_OP_RECV,    IORING_OP_ASYNC_CANCEL, IORING_OP_ACCEPT,
                                     IORING_OP_SENDMSG, IORING_OP_RECVMSG};

static int restrict_ring(int fd)
{
    struct io_uring_restriction r[sizeof operations + 1] = {0};
    unsigned n = 0;
    for (; n < sizeof operations; n++) {
        r[n].opcode = IORING_RESTRICTION_SQE_OP;
        r[n].sqe_op = operations[n];
    }
    r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    r[n++].sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_IO_HARDLINK | IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS, r, n))
        return -errno;
    return syscall(SYS_io_uring_register, fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) ? -errno : 0;
}

static int buffers_register(int fd, uint16_t group, uint64_t offset, uint64_t count)
{
    struct io_uring_buf_reg r = {.ring_addr = (uint64_t)(host.arena + offset),
                                 .ring_entries = (uint32_t)count,
                                 .bgid = group};
    return syscall(SYS_io_uring_register, fd, IORING_REGISTER_PBUF_RING, &r, 1) ? -errno : 0;
}

static int rings_check(struct uring_setup *s, const struct io_uring_params *p)
{
    if (p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe) > s->ring_space)
        return -EMSGSIZE;
    s->sq_head = p->sq_off.head;
    s->sq_tail = p->sq_off.tail;
    s->cq_head = p->cq_off.head;
    s->cq_tail = p->cq_off.tail;
    s->cqes = p->cq_off.cqes;
    s->sq_flags = p->sq_off.flags;
    return 0;
}

static int remember(int fd, const struct uring_setup *s)
{
    uint32_t i = 0;
    while (i < all.count && all.ring[i].fd >= 0)
        i++;
    if (i == RINGS_MAX)
        return -ENFILE;
    const uint8_t *base = host.arena + s->ring_offset;
    all.ring[i] = (struct ring){
        .fd = fd,
        .head = (const uint32_t *)(base + s->sq_head),
        .tail = (const uint32_t *)(base + s->sq_tail),
        .sqes = (const struct io_uring_sqe *)(host.arena + s->sqes_offset),
        .ring_offset = s->ring_offset,
        .ring_space = s->ring_space,
        .sqes_space = s->sqes_space,
        .mask = (uint32_t)s->sq_entries - 1,
    };
    if (i == all.count)
        all.count++;
    return 0;
}

static void tell(int error)
{
    char value[8] = "";
    if (all.told)
        return;
    all.told = true;
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, value, sizeof value - 1) < 0)
            value[0] = 0;
        close(fd);
    }
    if (error == EPERM && (value[0] == '1' || value[0] == '2'))
        fprintf(stderr, "rakis: I/O goes by exits: io_uring is forbidden by the sysctl "
                        "kernel.io_uring_disabled=%c (set it to 0)\n", value[0]);
    else if (error == EPERM || error == EACCES)
        fprintf(stderr, "rakis: I/O goes by exits: io_uring is forbidden by a seccomp filter (a container's "
                        "profile?): allow io_uring_setup, io_uring_enter, io_uring_register\n");
    else
        fprintf(stderr, "rakis: I/O goes by exits: no io_uring as it is needed (Linux 6.14): %s\n",
                strerror(error));
}

static int ring_make(int fd, struct uring_setup *s, const struct io_uring_params *p)
{
    if (p->sq_entries != s->sq_entries || p->cq_entries != s->cq_entries ||
        !(p->features & IORING_FEAT_EXT_ARG))
        return -EOPNOTSUPP;
    int error = rings_check(s, p);
    if (!error)
        error = buffers_register(fd, URING_BUFFER_GROUP, s->buffers_offset, s->buffers_count);
    if (!error)
        error = buffers_register(fd, URING_DATAGRAM_GROUP, s->datagrams_offset, s->datagrams_count);
    if (!error)
        error = restrict_ring(fd);
    return error;
}

/* One thread of the kernel submits for all rings of the process: who else is there to attach to? */
static int other_ring(void)
{
    for (uint32_t i = 0; i < all.count; i++)
        if (all.ring[i].fd >= 0)
            return all.ring[i].fd;
    return -1;
}

static void want_sqpoll(struct io_uring_params *p)
{
    int other = other_ring();
    p->sq_thread_idle = SQPOLL_IDLE_MS;
    if (other < 0)
        return;
    p->flags |= IORING_SETUP_ATTACH_WQ;
    p->wq_fd = (uint32_t)other;
}

int64_t uring_open(struct uring_setup *s)
{
    struct io_uring_params p = {
        .flags = (s->sqpoll ? IORING_SETUP_SQPOLL : IORING_SETUP_DEFER_TASKRUN) |
                 IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_CQSIZE |
                 IORING_SETUP_SUBMIT_ALL | SETUP_NO_MMAP | SETUP_NO_SQARRAY,
        .cq_entries = (uint32_t)s->cq_entries,
        .sq_off.resv2 = (uint64_t)(host.arena + s->sqes_offset),
        .cq_off.resv2 = (uint64_t)(host.arena + s->ring_offset),
    };
    if (!arena_pages(s->ring_offset, s->ring_space) || !arena_pages(s->sqes_offset, s->sqes_space) ||
        s->sq_entries > 1u << 15 || s->buffers_count > 1u << 15 ||
        !arena_pages(s->buffers_offset, s->buffers_count * sizeof(struct io_uring_buf)) ||
        s->datagrams_count > 1u << 15 ||
        !arena_pages(s->datagrams_offset, s->datagrams_count * sizeof(struct io_uring_buf)))
        return -EINVAL;
    pthread_mutex_lock(&all.lock);
    if (s->sqpoll)
        want_sqpoll(&p);
    int fd = (int)syscall(SYS_io_uring_setup, (uint32_t)s->sq_entries, &p), error = fd < 0 ? -errno : 0;
    if (!error) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        error = ring_make(fd, s, &p);
        if (!error)
            error = remember(fd, s);
        if (error)
            close(fd);
    }
    if (error)
        tell(-error);
    pthread_mutex_unlock(&all.lock);
    if (!error)
        atomic_store(&self->ring, fd + 1);
    return error ? error : fd;
}

static bool inside(uint64_t address, uint64_t length)
{
    return address && address < host.image.base + host.image.size &&
           address + length > host.image.base;
}

/* What a message to be sent consists of. The memory is the host's own: it may be read. */
static bool message_inside(uint64_t address)
{
    const struct msghdr *m = (const struct msghdr *)address;
    if (inside(address, sizeof *m))
        return true;
    if (inside((uint64_t)m->msg_name, m->msg_namelen) || inside((uint64_t)m->msg_control, m->msg_controllen) ||
        inside((uint64_t)m->msg_iov, m->msg_iovlen * sizeof *m->msg_iov))
        return true;
    for (size_t i = 0; i < m->msg_iovlen; i++)
        if (inside((uint64_t)m->msg_iov[i].iov_base, m->msg_iov[i].iov_len))
            return true;
    return false;
}

const char *uring_check(int fd)
{
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_ACQUIRE); i++) {
        const struct ring *r = &all.ring[i];
        if (r->fd != fd)
            continue;
        uint32_t tail = __atomic_load_n(r->tail, __ATOMIC_ACQUIRE);
        for (uint32_t at = __atomic_load_n(r->head, __ATOMIC_ACQUIRE); at != tail; at++) {
            const struct io_uring_sqe *s = &r->sqes[at & r->mask];
            if ((s->opcode == IORING_OP_SEND || s->opcode == IORING_OP_RECV) && inside(s->addr, s->len))
                return "the buffer of an io_uring operation";
            if ((s->opcode == IORING_OP_SENDMSG || s->opcode == IORING_OP_RECVMSG) && message_inside(s->addr))
                return "the message of an io_uring operation";
        }
        return NULL;
    }
    return NULL;
}

void uring_forked(void)
{
    all.count = 0;
    pthread_mutex_init(&all.lock, NULL);
}

/* The kernel ends a ring some time after it was closed, and may yet write its indices then. So it keeps the pages that
 * it has, and whoever gets the place next has others. */
static void pages_part(const struct ring *r)
{
    madvise(host.arena + r->ring_offset, r->ring_space, MADV_DONTNEED);
    madvise((void *)(uintptr_t)r->sqes, r->sqes_space, MADV_DONTNEED);
}

void uring_closed(int fd)
{
    if (atomic_load(&self->ring) == fd + 1)
        atomic_store(&self->ring, 0);
    for (uint32_t i = 0; i < __atomic_load_n(&all.count, __ATOMIC_ACQUIRE); i++)
        if (all.ring[i].fd == fd) {
            pages_part(&all.ring[i]);
            all.ring[i].fd = -1;
        }
}

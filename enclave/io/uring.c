/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/uring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stddef.h>
#include <sys/socket.h>

#include <asm/unistd_64.h>

#include "abi/exits.h"
#include "abi/start.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/datagram.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/hostcall_room.h"
#include "enclave/boundary/order.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/expectation.h"
#include "enclave/io/uring_buffers.h"
#include "enclave/lib/lib.h"

#define SQ_ENTRIES 512u
#define CQ_ENTRIES 2048u
#define RING_SPACE (0x1000ul + CQ_ENTRIES * URING_CQE_SIZE)
#define SQES_SPACE (SQ_ENTRIES * (uint64_t)URING_SQE_SIZE)
#define BUFFER_RING_SPACE ((uint64_t)URING_BUFFERS * URING_BUFFER_ENTRY)
#define BUFFERS_SPACE ((uint64_t)URING_BUFFERS * URING_BUFFER_SIZE)
#define NANOSECONDS 1000000000ull
#define OPERATIONS_MAX 65536u
#define STALE_PART 10 /* of a millisecond */
#define LATE_PART 50  /* of a millisecond: what waits longer to be submitted keeps its receiver waiting */
#define NO_SLOT UINT32_MAX
#define BUFFERS_STEP 64u
#define DATAGRAM_RING_SPACE 0x1000ul
#define DATAGRAM_HEADER 0x800ul /* behind the ring: the struct msghdr that says what room there is in a buffer */
#define DATAGRAMS_SPACE ((uint64_t)URING_DATAGRAMS * DATAGRAM_BUFFER)
#define DATAGRAMS_STEP 32u
#define CQE_BUFFER_SHIFT 16
/* Newer than the headers of Debian 12. */
#define RECV_MULTISHOT (1u << 1)
#define ENTER_SQ_WAIT (1u << 2)
#define ACCEPT_MULTISHOT (1u << 0)

/* An operation in flight. What the kernel says of it names the place and the generation. */
struct place {
    struct uring_op *op; /* NULL: free */
    uint32_t generation;
    uint32_t next; /* of the free ones */
};

struct uring {
    struct uring_ring ring;
    struct untrusted sq_flags;
    int host_fd;
    uint32_t thread;
    struct place *places;
    uint32_t place_count, place_free;
    struct list deferred;
    uint64_t last; /* TSC of the last enter */
    uint64_t exits; /* of the process, by then */
    uint64_t wants; /* enum exit_deferred, as the host has been told */
    bool taking;   /* completions are being taken */
    uint32_t sending; /* sends in flight, */
    uint32_t messages; /* of them datagrams */
    bool own;       /* since the last enter one was started that is for this process itself */
    uint32_t sends; /* quiet ones since the last enter, and whatever else completes at once */
    uint32_t came;  /* completions of others that the last enter brought */
    struct expectation expectation;

    struct uring_buffers bytes, datagrams; /* the latter once they are needed: their count is not 0 */
    struct uring_setup setup;
};

static struct {
    struct uring *of_thread[THREADS_MAX];
    bool unavailable; /* the host has said why */
    uint64_t per_ms;
} all = {.per_ms = 2000000};

void uring_start(uint64_t tsc_per_ms)
{
    all.per_ms = tsc_per_ms;
}

/* ---- buffers ---- */

struct untrusted uring_buffer(const struct uring *u, uint32_t buffer)
{
    return uring_buffers_at(&u->bytes, buffer);
}

void uring_buffer_give(struct uring *u, uint32_t buffer)
{
    uring_buffers_give(&u->bytes, buffer);
}

uint32_t uring_buffers_left(const struct uring *u)
{
    return uring_buffers_count(&u->bytes);
}

bool uring_datagrams(struct uring *u)
{
    struct untrusted ring = arena_at(u->setup.datagrams_offset);
    if (u->datagrams.count)
        return true;
    uint64_t offset = arena_pool_take(DATAGRAMS_SPACE);
    if (!offset)
        return false;
    const struct msghdr room = {.msg_namelen = DATAGRAM_NAME, .msg_controllen = DATAGRAM_CONTROL};
    (void)untrusted_write(untrusted_at(ring, DATAGRAM_HEADER), &room, sizeof room);
    uring_buffers_start(&u->datagrams, ring, arena_at(offset), URING_DATAGRAMS, DATAGRAM_BUFFER, DATAGRAMS_STEP);
    return true;
}

struct untrusted uring_datagram(const struct uring *u, uint32_t buffer)
{
    return uring_buffers_at(&u->datagrams, buffer);
}

void uring_datagram_give(struct uring *u, uint32_t buffer)
{
    uring_buffers_give(&u->datagrams, buffer);
}

uint32_t uring_datagrams_left(const struct uring *u)
{
    return uring_buffers_count(&u->datagrams);
}

/* ---- making one ---- */

_Static_assert(URING_DATAGRAMS * URING_BUFFER_ENTRY <= DATAGRAM_HEADER, "");

static void space_free(const struct uring_setup *s, uint64_t buffers)
{
    if (s->ring_offset)
        arena_pool_free(s->ring_offset, RING_SPACE);
    if (s->sqes_offset)
        arena_pool_free(s->sqes_offset, SQES_SPACE);
    if (s->buffers_offset)
        arena_pool_free(s->buffers_offset, BUFFER_RING_SPACE);
    if (s->datagrams_offset)
        arena_pool_free(s->datagrams_offset, DATAGRAM_RING_SPACE);
    if (buffers)
        arena_pool_free(buffers, BUFFERS_SPACE);
}

/* The host descriptor, or -errno. *answer is the kernel's layout, everything else as we asked. */
static int open_ring(struct uring_setup *s)
{
    struct uring_setup answer;
    untrusted_write(bounce(), s, sizeof *s);
    uint64_t offset = bounce().address - arena_at(0).address;
    int64_t fd = exit_checked(EXIT_URING_OPEN, 0, INT32_MAX, offset, 0, 0, 0, 0, 0);
    if (fd < 0)
        return (int)fd;
    (void)untrusted_read(&answer, bounce(), sizeof answer);
    s->sq_head = answer.sq_head;
    s->sq_tail = answer.sq_tail;
    s->cq_head = answer.cq_head;
    s->cq_tail = answer.cq_tail;
    s->cqes = answer.cqes;
    s->sq_flags = answer.sq_flags;
    return (int)fd;
}

static struct uring *make(void)
{
    struct uring *u = alloc(sizeof *u);
    if (!u)
        return NULL;
    struct uring_setup *s = &u->setup;
    *s = (struct uring_setup){
        .sq_entries = SQ_ENTRIES,
        .cq_entries = CQ_ENTRIES,
        .ring_offset = arena_pool_take(RING_SPACE),
        .ring_space = RING_SPACE,
        .sqes_offset = arena_pool_take(SQES_SPACE),
        .sqes_space = SQES_SPACE,
        .buffers_offset = arena_pool_take(BUFFER_RING_SPACE),
        .buffers_count = URING_BUFFERS,
        .datagrams_offset = arena_pool_take(DATAGRAM_RING_SPACE),
        .datagrams_count = URING_DATAGRAMS,
        .sqpoll = enclave.sqpoll,
    };
    uint64_t buffers = arena_pool_take(BUFFERS_SPACE);
    bool whole = s->ring_offset && s->sqes_offset && s->buffers_offset && s->datagrams_offset && buffers;
    int fd = whole ? open_ring(s) : -ENOMEM;
    if (fd < 0) {
        all.unavailable |= whole; /* another thread may end, and leave room */
        space_free(s, buffers);
        alloc_free(u);
        return NULL;
    }
    if (!uring_ring_start(&u->ring, arena_at(s->ring_offset), arena_at(s->sqes_offset), s))
        violation("io_uring: indices at %lu, %lu, %lu, %lu, CQEs at %lu of %lu bytes", s->sq_head,
                  s->sq_tail, s->cq_head, s->cq_tail, s->cqes, s->ring_space);
    u->host_fd = fd;
    u->sq_flags = untrusted_at(arena_at(s->ring_offset), s->sq_flags);
    u->thread = (uint32_t)thread_block()->index;
    u->place_free = NO_SLOT;
    list_init(&u->deferred);
    uring_buffers_start(&u->bytes, arena_at(s->buffers_offset), arena_at(buffers), URING_BUFFERS, URING_BUFFER_SIZE,
                        BUFFERS_STEP);
    return u;
}

struct uring *uring_existing(void)
{
    return all.of_thread[thread_block()->index];
}

struct uring *uring_mine(void)
{
    struct uring **u = &all.of_thread[thread_block()->index];
    if (!*u && enclave.rings && !__atomic_load_n(&all.unavailable, __ATOMIC_RELAXED))
        *u = make();
    return *u;
}

uint32_t uring_thread(const struct uring *u)
{
    return u->thread;
}

static void discard(struct uring **mine)
{
    struct uring *u = *mine;
    if (!u)
        return;
    *mine = NULL;
    host_close(u->host_fd);
    space_free(&u->setup, u->bytes.memory.address - arena_at(0).address);
    if (u->datagrams.count)
        arena_pool_free(u->datagrams.memory.address - arena_at(0).address, DATAGRAMS_SPACE);
    alloc_free(u->places);
    alloc_free(u);
}

void uring_forked(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(all.of_thread); i++)
        discard(&all.of_thread[i]);
    all.unavailable = false;
}

/* ---- operations ---- */

static int place_take(struct uring *u, struct uring_op *op)
{
    if (u->place_free == NO_SLOT) {
        uint32_t count = u->place_count ? u->place_count * 2 : 64;
        if (count > OPERATIONS_MAX)
            return -EAGAIN;
        struct place *p =
            alloc_resize(u->places, u->place_count * sizeof *p, (size_t)count * sizeof *p);
        if (!p)
            return -EAGAIN;
        for (uint32_t i = count; i-- > u->place_count;) {
            p[i] = (struct place){.next = u->place_free};
            u->place_free = i;
        }
        u->places = p;
        u->place_count = count;
    }
    uint32_t slot = u->place_free;
    u->place_free = u->places[slot].next;
    u->places[slot].op = op;
    u->sending += op->sends;
    u->messages += op->message;
    op->slot = slot + 1;
    return 0;
}

static void place_give(struct uring *u, uint32_t slot)
{
    u->sending -= u->places[slot].op->sends;
    u->messages -= u->places[slot].op->message;
    u->places[slot].op->slot = 0;
    u->places[slot].op = NULL;
    u->places[slot].generation++;
    u->places[slot].next = u->place_free;
    u->place_free = slot;
}

/* What the host is to remind the thread of: enum exit_deferred. */
static void want_interrupt(struct uring *u, uint64_t of)
{
    struct untrusted slot = {thread_block()->slot_address};
    if (of == u->wants)
        return;
    u->wants = of;
    untrusted_store(untrusted_at(slot, offsetof(struct exit_slot, deferred_since)), __builtin_ia32_rdtsc());
    untrusted_store(untrusted_at(slot, offsetof(struct exit_slot, deferred)), of);
}

void uring_end(void)
{
    struct uring *u = uring_existing();
    /* What is still in flight is another thread's to wait for: it is told, or would wait for a ring that is no more. */
    for (uint32_t slot = 0; u && slot < u->place_count; slot++) {
        struct uring_op *op = u->places[slot].op;
        if (!op)
            continue;
        place_give(u, slot);
        op->done(op, -ECANCELED, URING_NO_BUFFER, false);
    }
    if (u)
        want_interrupt(u, DEFERRED_NOTHING);
    discard(&all.of_thread[thread_block()->index]);
}

static uint64_t user_data(const struct uring *u, uint32_t slot)
{
    return slot | (uint64_t)u->places[slot].generation << 32;
}

#define NOBODY UINT64_MAX /* user_data of operations whose completion says nothing */

static int64_t enter(struct uring *u, uint64_t timeout_ns, bool ends);

/* Where there is no place in the ring, what there is is submitted first. */
static int start(struct uring *u, struct uring_op *op, struct io_uring_sqe *sqe)
{
    uint64_t words[URING_SQE_SIZE / 8];
    _Static_assert(sizeof *sqe == sizeof words, "");
    if (!uring_ring_space(&u->ring)) {
        enter(u, 0, false); /* completions stay where they are: who starts something may hold a lock */
        if (u->setup.sqpoll && !uring_ring_space(&u->ring))
            exit_checked(__NR_io_uring_enter, 0, SQ_ENTRIES, (uint32_t)u->host_fd, 0, 0, ENTER_SQ_WAIT, 0, 0);
        if (!uring_ring_space(&u->ring))
            return -EAGAIN;
    }
    if (op) {
        int error = place_take(u, op);
        if (error)
            return error;
        sqe->user_data = user_data(u, op->slot - 1);
    } else {
        sqe->user_data = NOBODY;
    }
    memcpy(words, sqe, sizeof words);
    uring_ring_put(&u->ring, words);
    want_interrupt(u, DEFERRED_SUBMISSION);
    return 0;
}

int uring_receive_multishot(struct uring *u, struct uring_op *op, int host_fd)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_RECV,
                               .flags = IOSQE_BUFFER_SELECT,
                               .fd = host_fd,
                               .ioprio = RECV_MULTISHOT,
                               .buf_group = URING_BUFFER_GROUP};
    op->limit = URING_BUFFER_SIZE;
    op->receives = true;
    return start(u, op, &sqe);
}

int uring_receive_datagrams(struct uring *u, struct uring_op *op, int host_fd)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_RECVMSG,
                               .flags = IOSQE_BUFFER_SELECT,
                               .fd = host_fd,
                               .ioprio = RECV_MULTISHOT,
                               .addr = untrusted_at(arena_at(u->setup.datagrams_offset), DATAGRAM_HEADER).address,
                               .len = 1,
                               .buf_group = URING_DATAGRAM_GROUP};
    op->limit = DATAGRAM_BUFFER;
    op->receives = op->datagrams = true;
    return start(u, op, &sqe);
}

int uring_accept_multishot(struct uring *u, struct uring_op *op, int host_fd, int flags)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_ACCEPT,
                               .fd = host_fd,
                               .ioprio = ACCEPT_MULTISHOT,
                               .accept_flags = (uint32_t)(flags | SOCK_CLOEXEC)};
    op->limit = INT32_MAX;
    op->receives = true;
    return start(u, op, &sqe);
}

int uring_send(struct uring *u, struct uring_op *op, int host_fd, struct untrusted data, uint32_t length, bool quiet)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_SEND,
                               .fd = host_fd,
                               .addr = data.address,
                               .len = length,
                               .msg_flags = MSG_NOSIGNAL | MSG_WAITALL};
    op->limit = length;
    op->sends = true;
    u->sends += quiet;
    return start(u, op, &sqe);
}

int uring_send_message(struct uring *u, struct uring_op *op, int host_fd, struct untrusted header, uint32_t length,
                       int flags, bool own)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_SENDMSG,
                               .fd = host_fd,
                               .addr = header.address,
                               .len = 1,
                               .msg_flags = (uint32_t)flags | MSG_NOSIGNAL};
    op->limit = length;
    op->sends = op->message = true;
    u->sends++;
    u->own |= own;
    return start(u, op, &sqe);
}

int uring_poll(struct uring *u, struct uring_op *op, int host_fd, uint32_t events)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_POLL_ADD, .fd = host_fd, .poll32_events = events};
    op->limit = INT32_MAX;
    op->receives = true;
    return start(u, op, &sqe);
}

int uring_cancel(struct uring *u, struct uring_op *op)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_ASYNC_CANCEL};
    if (!op->slot)
        return 0;
    sqe.addr = user_data(u, op->slot - 1);
    int error = start(u, NULL, &sqe);
    if (error)
        return error;
    u->sends += 2; /* both complete at once: nothing to wake up for */
    op->receives = false;
    return 0;
}

/* ---- completions ---- */

static void complete(struct uring *u, const struct uring_completion *c)
{
    uint32_t slot = (uint32_t)c->user_data, buffer = URING_NO_BUFFER;
    if (c->user_data == NOBODY)
        return;
    struct place *p = slot < u->place_count ? &u->places[slot] : NULL;
    if (!p || !p->op || p->generation != c->user_data >> 32) {
        violation_count();
        return;
    }
    struct uring_op *op = p->op;
    int32_t result = c->result;
    if (c->flags & IORING_CQE_F_BUFFER) {
        buffer = c->flags >> CQE_BUFFER_SHIFT;
        if (!uring_buffers_accept(op->datagrams ? &u->datagrams : &u->bytes, buffer)) {
            violation_count();
            buffer = URING_NO_BUFFER;
            result = -EIO;
        }
    }
    if (result < -4095 || (result > 0 && (uint32_t)result > op->limit)) {
        violation_count();
        result = -EIO;
    }
    bool more = c->flags & IORING_CQE_F_MORE;
    if (op->receives) {
        u->came++;
        expectation_heard(&u->expectation, &op->heard);
    }
    if (!more)
        place_give(u, slot);
    op->done(op, result, buffer, more);
}

static void take_completions(struct uring *u)
{
    struct uring_completion c;
    u->taking = true;
    /* No more than there can be at once: a kernel that goes on for ever does not keep us. */
    for (uint32_t n = 0; n < CQ_ENTRIES && uring_ring_take(&u->ring, &c); n++) {
        if (n % 64 == 63)
            uring_ring_taken(&u->ring);
        complete(u, &c);
    }
    uring_ring_taken(&u->ring);
    u->taking = false;
}

/* ---- entering ---- */

void uring_defer(struct uring *u, struct uring_deferred *d)
{
    if (!list_empty(&d->in_ring))
        return;
    list_append(&u->deferred, &d->in_ring);
    uring_soon(u);
}

/* So long after the last enter the next is due. */
static bool late(const struct uring *u)
{
    return u->setup.sqpoll || __builtin_ia32_rdtsc() - u->last > all.per_ms / LATE_PART;
}

void uring_soon(struct uring *u)
{
    if (late(u) && !u->taking)
        uring_enter(u, 0);
    else
        want_interrupt(u, DEFERRED_SUBMISSION);
}

void uring_defer_not(struct uring_deferred *d)
{
    list_remove(&d->in_ring);
}

static void submit_deferred(struct uring *u)
{
    /* Those that find no room defer themselves again. */
    struct list now;
    list_init(&now);
    while (!list_empty(&u->deferred)) {
        struct list *l = u->deferred.next;
        list_remove(l);
        list_append(&now, l);
    }
    while (!list_empty(&now)) {
        struct uring_deferred *d = container_of(now.next, struct uring_deferred, in_ring);
        list_remove(&d->in_ring);
        d->submit(d);
    }
    want_interrupt(u, DEFERRED_NOTHING);
}

/* A thread of the kernel takes what it is shown, and completions come by themselves: no exit, unless it sleeps. */
static int64_t wake(struct uring *u)
{
    uring_ring_show(&u->ring);
    u->own = false;
    if (!uring_ring_waiting(&u->ring) || !uring_ring_asleep(u->sq_flags))
        return 0;
    return exit_checked(__NR_io_uring_enter, 0, SQ_ENTRIES, (uint32_t)u->host_fd, 0, 0, IORING_ENTER_SQ_WAKEUP, 0, 0);
}

static struct expectation_wait how_many(struct uring *u, uint32_t sends, bool ends)
{
    return ends ? expectation_ends(&u->expectation, sends)
                : expectation_next(&u->expectation, sends, __builtin_ia32_rdtsc(), all.per_ms);
}

static int64_t enter(struct uring *u, uint64_t timeout_ns, bool ends)
{
    if (u->setup.sqpoll && !timeout_ns)
        return wake(u);
    const uint64_t time = sizeof(struct io_uring_getevents_arg);
    uint64_t flags = IORING_ENTER_GETEVENTS, argument = 0, size = 0;
    struct expectation_wait w = {0, 0};
    uring_ring_show(&u->ring);
    u->own = false;
    uint32_t waiting = uring_ring_waiting(&u->ring);
    if (timeout_ns)
        w = how_many(u, u->setup.sqpoll ? 0 : u->sends, ends);
    /* The kernel takes the longer of the two. */
    if (timeout_ns != NO_TIMEOUT)
        w.us = (uint32_t)MIN(w.us, timeout_ns / 1000);
    u->sends = 0;
    if (u->setup.sqpoll)
        flags |= IORING_ENTER_SQ_WAKEUP;
    if (w.us || (timeout_ns && timeout_ns != NO_TIMEOUT)) {
        struct io_uring_getevents_arg a = {.ts = timeout_ns == NO_TIMEOUT ? 0 : room_address(time),
                                           .pad = w.us}; /* min_wait_usec, since Linux 6.12 */
        room_store(time, timeout_ns / NANOSECONDS);
        room_store(time + 8, timeout_ns % NANOSECONDS);
        room_put(0, &a, sizeof a);
        flags |= IORING_ENTER_EXT_ARG;
        argument = room_address(0);
        size = sizeof a;
    }
    return exit_checked(__NR_io_uring_enter, timeout_ns ? EXIT_INTERRUPTIBLE : 0, SQ_ENTRIES,
                        (uint32_t)u->host_fd, waiting, w.least, flags, argument, size);
}

/* Is there something to be submitted? */
static bool waits(const struct uring *u)
{
    return !list_empty(&u->deferred) || u->ring.sq_shown != u->ring.sq_own;
}

/* Before a sleep, where completions come by themselves: was there anything to wake up for? */
static bool found_something(struct uring *u)
{
    u->came = 0;
    take_completions(u);
    if (!u->came && list_empty(&u->deferred))
        return false;
    submit_deferred(u);
    wake(u);
    return true;
}

static int enter_and_take(struct uring *u, uint64_t timeout_ns, bool ends)
{
    submit_deferred(u);
    if (u->setup.sqpoll && timeout_ns && found_something(u))
        return 0;
    int64_t result = enter(u, timeout_ns, ends);
    u->last = __builtin_ia32_rdtsc();
    u->exits = __atomic_load_n(&order.exits, __ATOMIC_RELAXED);
    u->came = 0;
    take_completions(u);
    want_interrupt(u, waits(u) ? DEFERRED_SUBMISSION : u->sending ? DEFERRED_COMPLETION : DEFERRED_NOTHING);
    if (timeout_ns)
        expectation_came(&u->expectation, u->came, u->last);
    return result == -EINTR ? -EINTR : 0;
}

int uring_enter(struct uring *u, uint64_t timeout_ns)
{
    return enter_and_take(u, timeout_ns, false);
}

int uring_enter_for_ends(struct uring *u, uint64_t timeout_ns)
{
    return enter_and_take(u, timeout_ns, true);
}

bool uring_enter_if_news(struct uring *u)
{
    if (!u->own && !u->setup.sqpoll && u->exits == __atomic_load_n(&order.exits, __ATOMIC_RELAXED) &&
        __builtin_ia32_rdtsc() - u->last < all.per_ms / STALE_PART)
        return false;
    uring_enter(u, 0);
    return true;
}

bool uring_submitted(const struct uring *u)
{
    return !waits(u);
}

void uring_submit(void)
{
    struct uring *u = uring_existing();
    if (u && waits(u))
        uring_enter(u, 0);
}

void uring_flush(void)
{
    struct uring *u = uring_existing();
    if (u && (waits(u) || u->sending))
        uring_enter(u, 0);
}

void uring_flush_streams(void)
{
    const struct uring *u = uring_existing();
    if (u && (u->sending > u->messages || !list_empty(&u->deferred) || late(u)))
        uring_flush();
}

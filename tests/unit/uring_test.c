/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's io_uring against a kernel that is made up: an honest one, and one that lies. */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/exits.h"
#include "abi/uring.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/datagram.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/uring.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define RING 77
#define SOCKET 5
#define NEVER_STALE (UINT64_MAX / 2)

struct enclave enclave = {.rings = true};

static struct thread_block block;
static struct exit_slot slot;
static uint64_t bounce_buffer[512];
static jmp_buf stopped;

/* ---- the kernel's side; offsets in the arena are addresses here ---- */

static struct {
    struct uring_setup setup;
    void (*spoil)(struct uring_setup *);
    int64_t refuse;
    int64_t busy;      /* what enter answers, and takes nothing; 0: it works */
    unsigned spaces;   /* in the arena, that may be taken still, and */
    bool few, no_memory; /* whether they are counted */
    unsigned enters, violations;
    uint64_t submitted; /* SQEs taken in all */
    struct io_uring_sqe last[8];
    uint32_t buffers_head;
    void (*work)(void); /* in the next enter */
    bool polls;         /* a thread of its own takes the SQEs */
    uint64_t least; /* completions that the last enter waited for */
    struct io_uring_getevents_arg waits; /* what the last enter said of times */
} kernel;

static uint32_t *index_at(uint64_t offset)
{
    return (uint32_t *)(kernel.setup.ring_offset + offset);
}

static void post(uint64_t user_data, int32_t result, uint32_t flags)
{
    struct io_uring_cqe *cqes = (struct io_uring_cqe *)(kernel.setup.ring_offset + kernel.setup.cqes);
    struct io_uring_cqe *c = &cqes[*index_at(kernel.setup.cq_tail) % kernel.setup.cq_entries];
    c->user_data = user_data;
    c->res = result;
    c->flags = flags;
    ++*index_at(kernel.setup.cq_tail);
}

/* The next buffer of the ring of them: its number. */
static uint32_t take_buffer(void **at)
{
    struct io_uring_buf_ring *ring = (struct io_uring_buf_ring *)kernel.setup.buffers_offset;
    struct io_uring_buf b = ring->bufs[kernel.buffers_head % kernel.setup.buffers_count];
    assert_true((uint16_t)kernel.buffers_head != ring->tail);
    assert_int_equal(b.len, URING_BUFFER_SIZE);
    kernel.buffers_head++;
    *at = (void *)b.addr;
    return b.bid;
}

static int64_t serve_open(struct uring_setup *s)
{
    if (kernel.refuse)
        return kernel.refuse;
    s->sq_head = 0;
    s->sq_tail = 4;
    s->cq_head = 8;
    s->cq_tail = 12;
    s->sq_flags = 16;
    s->cqes = 64;
    kernel.setup = *s;
    if (kernel.spoil)
        kernel.spoil(s);
    return RING;
}

static int64_t serve_enter(uint32_t count)
{
    const struct io_uring_sqe *sqes = (const struct io_uring_sqe *)kernel.setup.sqes_offset;
    kernel.enters++;
    if (kernel.busy)
        return kernel.busy;
    if (kernel.polls)
        count = *index_at(kernel.setup.sq_tail) - *index_at(kernel.setup.sq_head);
    assert_int_equal(count, *index_at(kernel.setup.sq_tail) - *index_at(kernel.setup.sq_head));
    for (uint32_t i = 0; i < count; i++)
        kernel.last[kernel.submitted++ % 8] =
            sqes[(*index_at(kernel.setup.sq_head))++ % kernel.setup.sq_entries];
    if (kernel.work)
        kernel.work();
    kernel.work = NULL;
    return count;
}

/* ---- the enclave's surroundings ---- */

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)maximum;
    if (number == EXIT_URING_OPEN)
        return serve_open((struct uring_setup *)a0);
    assert_int_equal(number, __NR_io_uring_enter);
    assert_int_equal(a0, RING);
    assert_true(a3 & (kernel.polls ? IORING_ENTER_SQ_WAKEUP : IORING_ENTER_GETEVENTS));
    kernel.least = a2;
    kernel.waits = (struct io_uring_getevents_arg){0};
    if (a3 & IORING_ENTER_EXT_ARG) {
        assert_int_equal(a5, sizeof kernel.waits);
        memcpy(&kernel.waits, (void *)a4, sizeof kernel.waits);
    }
    return serve_enter((uint32_t)a1);
}

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){offset};
}

/* What an enclave that stopped had is still reachable. */
static void *kept(void *p)
{
    static void *everything[512];
    static size_t count;
    assert_true(count < ARRAY_SIZE(everything));
    return everything[count++] = p;
}

uint64_t arena_pool_take(uint64_t size)
{
    if (kernel.few && !kernel.spaces--)
        return 0;
    void *p = aligned_alloc(4096, (size + 4095) & ~4095ul);
    memset(p, 0, size);
    return (uint64_t)kept(p);
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    (void)size;
    free((void *)offset);
}

struct untrusted bounce(void)
{
    return (struct untrusted){(uint64_t)bounce_buffer};
}

void violation(const char *format, ...)
{
    (void)format;
    longjmp(stopped, 1);
}

void violation_count(void)
{
    kernel.violations++;
}

void lock_slow(struct lock *l)
{
    (void)l;
    fail_msg("a lock is taken twice");
}

void *alloc(size_t size)
{
    return kernel.no_memory ? NULL : kept(calloc(1, size));
}

void *alloc_resize(void *p, size_t old_size, size_t new_size)
{
    char *q = kernel.no_memory ? NULL : realloc(p, new_size);
    if (!q)
        return NULL;
    memset(q + old_size, 0, new_size - old_size);
    return q;
}

void alloc_free(void *p)
{
    free(p);
}

int host_close(int fd)
{
    assert_int_equal(fd, RING);
    return 0;
}

/* ---- an operation that notes what it is told ---- */

struct noted {
    struct uring_op op;
    unsigned calls;
    int32_t result;
    uint32_t buffer;
    bool more;
};

static void note(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct noted *n = container_of(op, struct noted, op);
    n->calls++;
    n->result = result;
    n->buffer = buffer;
    n->more = more;
}

static struct uring *ring;
static struct noted one, two;

static int fresh(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    one = two = (struct noted){.op.done = note};
    block.self = &block;
    block.slot_address = (uint64_t)&slot;
    syscall(SYS_arch_prctl, ARCH_SET_GS, &block);
    uring_start(NEVER_STALE);
    ring = uring_mine();
    return ring ? 0 : -1;
}

static int over(void **state)
{
    (void)state;
    uring_end();
    return 0;
}

static uint64_t name_of(unsigned nth_last)
{
    return kernel.last[(kernel.submitted - 1 - nth_last) % 8].user_data;
}

/* ---- tests ---- */

static void both_end(void)
{
    post(name_of(1), 3, 0);
    post(name_of(0), -EPIPE, 0);
}

static void one_enter_submits_and_brings_back(void **state)
{
    (void)state;
    kernel.work = both_end;
    assert_int_equal(uring_send(ring, &one.op, SOCKET, (struct untrusted){4096}, 3, true), 0);
    assert_int_equal(uring_poll(ring, &two.op, SOCKET + 1, 1), 0);
    assert_int_equal(kernel.enters, 0);
    assert_int_equal(uring_enter(ring, 0), 0);
    assert_int_equal(kernel.enters, 1);
    assert_int_equal(kernel.last[0].opcode, IORING_OP_SEND);
    assert_int_equal(kernel.last[0].fd, SOCKET);
    assert_int_equal(kernel.last[0].addr, 4096);
    assert_int_equal(kernel.last[0].len, 3);
    assert_int_equal(kernel.last[1].opcode, IORING_OP_POLL_ADD);
    assert_int_equal(one.calls, 1);
    assert_int_equal(one.result, 3);
    assert_int_equal(one.op.slot, 0);
    assert_int_equal(two.result, -EPIPE);
    assert_int_equal(kernel.violations, 0);
}

static unsigned rounds;

static void fills_one(void)
{
    void *at;
    uint32_t b = take_buffer(&at);
    memset(at, (int)(rounds & 0xff), 10);
    post(name_of(0), 10, IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | b << 16);
}

/* Every buffer many times over, so that their ring and its indices wrap. */
static void buffers_go_round(void **state)
{
    (void)state;
    assert_int_equal(uring_receive_multishot(ring, &one.op, SOCKET), 0);
    for (rounds = 0; rounds < 70000; rounds++) {
        kernel.work = fills_one;
        uring_enter(ring, 1000);
        assert_int_equal(one.calls, rounds + 1);
        assert_int_equal(one.result, 10);
        assert_true(one.more && one.op.slot);
        assert_int_equal(uring_buffers_left(ring), URING_BUFFERS - 1);
        const uint8_t *bytes = (const uint8_t *)uring_buffer(ring, one.buffer).address;
        assert_int_equal(bytes[9], rounds & 0xff);
        uring_buffer_give(ring, one.buffer);
    }
    assert_int_equal(kernel.submitted, 1);
    assert_int_equal(kernel.violations, 0);
}

static uint64_t stale;

static void ends_for_nobody(void)
{
    post(name_of(0), 1, 0);
}

static void lies_for_nobody(void)
{
    post(stale, 1, 0);              /* that one has ended */
    post(stale + (2ull << 32), 1, 0); /* a generation to come */
    post(63, 1, 0);                 /* a free place */
    post(64, 1, 0);                 /* beyond the table */
    post(UINT32_MAX, 1, 0);
    post(UINT64_MAX - 1, 1, 0);
}

static void what_nobody_waits_for_is_dropped(void **state)
{
    (void)state;
    uring_send(ring, &one.op, SOCKET, (struct untrusted){4096}, 3, true);
    kernel.work = ends_for_nobody;
    uring_enter(ring, 0);
    stale = name_of(0);
    assert_int_equal(one.calls, 1);
    uring_send(ring, &two.op, SOCKET, (struct untrusted){4096}, 3, true); /* in the same place */
    kernel.work = lies_for_nobody;
    uring_enter(ring, 0);
    assert_int_equal(one.calls, 1);
    assert_int_equal(two.calls, 0);
    assert_int_equal(kernel.violations, 6);
    kernel.work = ends_for_nobody;
    uring_enter(ring, 0);
    assert_int_equal(two.calls, 1);
}

static int32_t claimed;

static void lies_of_result(void)
{
    post(name_of(0), claimed, 0);
}

static void impossible_results_are_errors(void **state)
{
    static const int32_t table[] = {4, INT32_MAX, INT32_MIN, -4096};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        uring_send(ring, &one.op, SOCKET, (struct untrusted){4096}, 3, true);
        claimed = table[i];
        kernel.work = lies_of_result;
        uring_enter(ring, 0);
        assert_int_equal(one.calls, i + 1);
        assert_int_equal(one.result, -EIO);
        assert_int_equal(kernel.violations, i + 1);
    }
}

static uint32_t claimed_buffer;

static void fills_of_buffer(void)
{
    void *at;
    claimed_buffer = take_buffer(&at);
    post(name_of(0), 10, IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | claimed_buffer << 16);
}

static void lies_of_buffer(void)
{
    post(name_of(0), 10, IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | claimed_buffer << 16);
}

static void a_buffer_that_is_not_the_kernels_is_not_taken(void **state)
{
    (void)state;
    uring_receive_multishot(ring, &one.op, SOCKET);
    kernel.work = fills_of_buffer;
    uring_enter(ring, 0);
    assert_int_equal(one.buffer, claimed_buffer);
    kernel.work = lies_of_buffer; /* it is ours, and being read */
    uring_enter(ring, 0);
    assert_int_equal(one.calls, 2);
    assert_int_equal(one.result, -EIO);
    assert_int_equal(one.buffer, URING_NO_BUFFER);
    assert_int_equal(kernel.violations, 1);
    static const uint32_t beyond[] = {URING_BUFFERS, 0xffff};
    for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
        claimed_buffer = beyond[i];
        kernel.work = lies_of_buffer;
        uring_enter(ring, 0);
        assert_int_equal(one.buffer, URING_NO_BUFFER);
        assert_int_equal(kernel.violations, i + 2);
    }
    assert_int_equal(uring_buffers_left(ring), URING_BUFFERS - 1);
}

static void fills_a_datagram(void)
{
    post(name_of(0), DATAGRAM_BUFFER, IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | claimed_buffer << 16);
}

/* Those of datagrams are others than those of bytes, though they have the same numbers. */
static void datagrams_have_buffers_of_their_own(void **state)
{
    (void)state;
    assert_true(uring_datagrams(ring));
    const struct io_uring_buf_ring *r = (const void *)kernel.setup.datagrams_offset;
    assert_int_equal(uring_receive_datagrams(ring, &one.op, SOCKET), 0);
    claimed_buffer = 3;
    kernel.work = fills_a_datagram;
    uring_enter(ring, 0);
    assert_int_equal(kernel.last[0].opcode, IORING_OP_RECVMSG);
    assert_int_equal(kernel.last[0].buf_group, URING_DATAGRAM_GROUP);
    const struct msghdr *room = (const void *)kernel.last[0].addr;
    assert_int_equal(room->msg_namelen, DATAGRAM_NAME);
    assert_int_equal(room->msg_controllen, DATAGRAM_CONTROL);
    assert_int_equal(one.result, DATAGRAM_BUFFER);
    assert_int_equal(one.buffer, 3);
    assert_int_equal(uring_datagrams_left(ring), URING_DATAGRAMS - 1);
    assert_int_equal(uring_buffers_left(ring), URING_BUFFERS);
    assert_int_equal(r->bufs[3].addr, uring_datagram(ring, 3).address);
    assert_int_equal(r->bufs[3].len, DATAGRAM_BUFFER);
    kernel.work = fills_a_datagram; /* it is ours, and being read */
    uring_enter(ring, 0);
    assert_int_equal(one.buffer, URING_NO_BUFFER);
    assert_int_equal(kernel.violations, 1);
    uring_datagram_give(ring, 3);
    assert_int_equal(uring_datagrams_left(ring), URING_DATAGRAMS);
    claimed_buffer = URING_DATAGRAMS; /* there is such a one, of the others */
    kernel.work = fills_a_datagram;
    uring_enter(ring, 0);
    assert_int_equal(one.result, -EIO);
    assert_int_equal(kernel.violations, 2);
}

static void a_message_is_sent_by_its_header(void **state)
{
    (void)state;
    assert_int_equal(uring_send_message(ring, &one.op, SOCKET, (struct untrusted){4096}, 3, MSG_CONFIRM, false), 0);
    claimed = 4; /* more than it has */
    kernel.work = lies_of_result;
    uring_enter(ring, 0);
    assert_int_equal(kernel.last[0].opcode, IORING_OP_SENDMSG);
    assert_int_equal(kernel.last[0].addr, 4096);
    assert_int_equal(kernel.last[0].msg_flags, MSG_CONFIRM | MSG_NOSIGNAL);
    assert_int_equal(one.result, -EIO);
    assert_int_equal(kernel.violations, 1);
}

/* Datagrams that were just sent wait for others; bytes do not. */
static void datagrams_are_not_flushed_at_once(void **state)
{
    (void)state;
    uring_enter(ring, 0);
    unsigned enters = kernel.enters;
    uring_send_message(ring, &one.op, SOCKET, (struct untrusted){4096}, 3, 0, false);
    uring_flush_streams();
    assert_int_equal(kernel.enters, enters);
    uring_send(ring, &two.op, SOCKET, (struct untrusted){4096}, 3, true);
    kernel.work = both_end;
    uring_flush_streams();
    assert_int_equal(kernel.enters, enters + 1);
    uring_flush_streams();
    assert_int_equal(kernel.enters, enters + 1);
}

static void others_are_not_waited_for_beyond_the_time(void **state)
{
    (void)state;
    static const struct {
        uint64_t timeout_ns;
        uint32_t us; /* pad, where newer kernels have min_wait_usec */
    } table[] = {{NO_TIMEOUT, 100000}, {1000000000, 100000}, {5000000, 5000}, {1500, 1}, {999, 0}};
    static struct noted sent[ARRAY_SIZE(table)];
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        sent[i].op.done = note;
        uring_send(ring, &sent[i].op, SOCKET, (struct untrusted){4096}, 3, true);
        uring_enter(ring, table[i].timeout_ns);
        assert_int_equal(kernel.waits.pad, table[i].us);
        assert_int_equal(!kernel.waits.ts, table[i].timeout_ns == NO_TIMEOUT);
    }
}

static struct noted crowd[20];
static uint64_t crowd_names[20];
static unsigned crowd_next;

static void half_of_the_crowd_speaks(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(crowd) / 2; i++)
        post(crowd_names[crowd_next++ % ARRAY_SIZE(crowd)], 1, IORING_CQE_F_MORE);
}

static void of_many_that_speak_again_and_again_a_part_is_waited_for(void **state)
{
    (void)state;
    uring_start(2000000);
    for (unsigned i = 0; i < ARRAY_SIZE(crowd); i++) {
        crowd[i] = (struct noted){.op.done = note};
        assert_int_equal(uring_poll(ring, &crowd[i].op, SOCKET, 1), 0);
        uring_enter(ring, 0);
        crowd_names[i] = name_of(0);
    }
    for (unsigned i = 0; i < 60; i++) {
        kernel.work = half_of_the_crowd_speaks;
        uring_enter(ring, NO_TIMEOUT);
    }
    assert_in_range(kernel.least, 2, ARRAY_SIZE(crowd) / 2);
    assert_in_range(kernel.waits.pad, 1, 1000);
}

static void the_end_asks_for_no_reminder(void **state)
{
    (void)state;
    uring_poll(ring, &one.op, SOCKET, 1);
    assert_int_not_equal(slot.deferred, 0);
    uring_end();
    assert_int_equal(slot.deferred, 0);
    assert_int_equal(one.result, -ECANCELED);
}

static void what_is_for_oneself_is_news(void **state)
{
    (void)state;
    uring_enter(ring, 0);
    uring_send_message(ring, &one.op, SOCKET, (struct untrusted){4096}, 3, 0, false);
    assert_false(uring_enter_if_news(ring));
    uring_send_message(ring, &two.op, SOCKET, (struct untrusted){4096}, 3, 0, true);
    assert_true(uring_enter_if_news(ring));
    assert_false(uring_enter_if_news(ring));
}

struct later {
    struct uring_deferred d;
    unsigned submits;
};

static void submit(struct uring_deferred *d)
{
    container_of(d, struct later, d)->submits++;
}

static void what_is_put_off_goes_with_the_next_enter(void **state)
{
    struct later a = {.d.submit = submit}, b = {.d.submit = submit};
    (void)state;
    list_init(&a.d.in_ring);
    list_init(&b.d.in_ring);
    uring_enter(ring, 0); /* just now: no reason to hurry */
    unsigned before = kernel.enters;
    uint64_t began = __builtin_ia32_rdtsc();
    uring_defer(ring, &a.d);
    uring_defer(ring, &a.d);
    uring_defer(ring, &b.d);
    assert_int_equal(kernel.enters, before);
    assert_int_equal(slot.deferred, 1); /* the host is to remind us */
    assert_true(slot.deferred_since > began && slot.deferred_since <= __builtin_ia32_rdtsc());
    uring_defer_not(&b.d);
    uring_flush();
    assert_int_equal(kernel.enters, before + 1);
    assert_int_equal(a.submits, 1);
    assert_int_equal(b.submits, 0);
    assert_int_equal(slot.deferred, 0);
    uring_flush();
    assert_int_equal(kernel.enters, before + 1); /* nothing is there: no exit */
    uring_start(0); /* the last enter is long ago */
    uring_defer(ring, &a.d);
    assert_int_equal(kernel.enters, before + 2);
    assert_int_equal(a.submits, 2);
}

static void a_full_ring_is_submitted(void **state)
{
    static struct noted many[2000];
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
        many[i].op.done = note;
        assert_int_equal(uring_poll(ring, &many[i].op, SOCKET, 1), 0);
    }
    assert_true(kernel.submitted > 1000);
    uring_enter(ring, 0);
    assert_int_equal(kernel.submitted, ARRAY_SIZE(many));
}

static void cancelling_names_the_operation(void **state)
{
    (void)state;
    uring_receive_multishot(ring, &one.op, SOCKET);
    uring_enter(ring, 0);
    uint64_t name = name_of(0);
    uring_cancel(ring, &one.op);
    uring_enter(ring, 0);
    assert_int_equal(kernel.last[1].opcode, IORING_OP_ASYNC_CANCEL);
    assert_int_equal(kernel.last[1].addr, name);
    assert_true(kernel.last[1].user_data != name);
    uint64_t submitted = kernel.submitted;
    assert_int_equal(uring_cancel(ring, &two.op), 0); /* is not in flight */
    uring_enter(ring, 0);
    assert_int_equal(kernel.submitted, submitted);
}

static void a_kernel_that_takes_nothing_leaves_no_room(void **state)
{
    static struct noted many[1000];
    unsigned i = 0;
    (void)state;
    kernel.busy = -EBUSY;
    for (; i < ARRAY_SIZE(many); i++) {
        many[i].op.done = note;
        if (uring_poll(ring, &many[i].op, SOCKET, 1))
            break;
    }
    assert_int_equal(i, kernel.setup.sq_entries);
    assert_int_equal(uring_poll(ring, &many[i].op, SOCKET, 1), -EAGAIN);
    assert_int_equal(many[i].op.slot, 0);
    kernel.busy = 0;
    assert_int_equal(uring_poll(ring, &many[i].op, SOCKET, 1), 0);
    uring_enter(ring, 0);
    assert_int_equal(kernel.submitted, i + 1);
}

static void operations_have_an_end(void **state)
{
    static struct noted many[65536 + 1];
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
        many[i].op.done = note;
    kernel.no_memory = true;
    assert_int_equal(uring_poll(ring, &many[0].op, SOCKET, 1), -EAGAIN);
    kernel.no_memory = false;
    for (unsigned i = 0; i < ARRAY_SIZE(many) - 1; i++)
        assert_int_equal(uring_poll(ring, &many[i].op, SOCKET, 1), 0);
    assert_int_equal(uring_poll(ring, &many[65536].op, SOCKET, 1), -EAGAIN);
}

static void interrupts_are_told(void **state)
{
    (void)state;
    assert_int_equal(uring_thread(ring), 0);
    kernel.busy = -EINTR;
    assert_int_equal(uring_enter(ring, 1000), -EINTR);
    kernel.busy = -EBUSY; /* completions are taken, and it is tried again */
    assert_int_equal(uring_enter(ring, 1000), 0);
}

static void one_enters_again_after_a_while_only(void **state)
{
    (void)state;
    uring_enter(ring, 0);
    unsigned enters = kernel.enters;
    assert_false(uring_enter_if_news(ring));
    assert_int_equal(kernel.enters, enters);
    uring_start(0);
    assert_true(uring_enter_if_news(ring));
    assert_int_equal(kernel.enters, enters + 1);
}

static void in_the_child_of_fork_nobody_has_one(void **state)
{
    (void)state;
    kernel.refuse = -EPERM;
    uring_forked();
    assert_null(uring_existing());
    uring_flush(); /* nothing to do */
    assert_null(uring_mine());
    kernel.refuse = 0;
    uring_forked(); /* it may be asked for again */
    ring = uring_mine();
    assert_non_null(ring);
}

static void without_room_there_is_none(void **state)
{
    (void)state;
    for (unsigned spaces = 0; spaces < 4; spaces++) {
        uring_forked();
        kernel.few = true;
        kernel.spaces = spaces;
        assert_null(uring_mine());
        kernel.few = false;
    }
    uring_forked();
    kernel.no_memory = true;
    assert_null(uring_mine());
    kernel.no_memory = false;
    enclave.rings = false;
    assert_null(uring_mine());
    enclave.rings = true;
    ring = uring_mine();
    assert_non_null(ring);
}

static void overlap(struct uring_setup *s)
{
    s->cq_tail = s->sq_tail;
}

static void a_layout_that_does_not_hold_up_stops_the_enclave(void **state)
{
    (void)state;
    uring_end();
    kernel.spoil = overlap;
    if (!setjmp(stopped)) {
        uring_mine();
        fail_msg("indices that lie over one another are believed");
    }
    kernel.spoil = NULL;
    ring = uring_mine();
    assert_non_null(ring);
}

/* Nothing is submitted by an exit where a thread of the kernel does it, but to wake it. */
static void a_thread_of_the_kernel_is_woken_when_it_sleeps(void **state)
{
    struct later a = {.d.submit = submit};
    (void)state;
    list_init(&a.d.in_ring);
    uring_end();
    enclave.sqpoll = true;
    ring = uring_mine();
    enclave.sqpoll = false;
    assert_int_equal(kernel.setup.sqpoll, 1);
    kernel.polls = true;
    uring_defer(ring, &a.d);
    assert_int_equal(a.submits, 1); /* at once */
    assert_int_equal(uring_poll(ring, &one.op, SOCKET, 1), 0);
    assert_int_equal(uring_enter(ring, 0), 0);
    assert_int_equal(kernel.enters, 0);
    assert_int_equal(*index_at(kernel.setup.sq_tail), 1);
    *index_at(kernel.setup.sq_flags) = 1;
    uring_enter(ring, 0);
    assert_int_equal(kernel.enters, 1);
    *index_at(kernel.setup.sq_flags) = 0;
    post(name_of(0), 1, 0); /* comes by itself */
    assert_int_equal(uring_enter(ring, 1000), 0);
    assert_int_equal(one.calls, 1);
    assert_int_equal(kernel.enters, 1); /* no sleep: there was something */
    uring_enter(ring, 1000);
    assert_int_equal(kernel.enters, 2);
}

/* Another thread may wait for it. */
static void what_is_in_flight_ends_with_its_ring(void **state)
{
    (void)state;
    assert_int_equal(uring_poll(ring, &one.op, SOCKET, 1), 0);
    assert_int_equal(uring_poll(ring, &two.op, SOCKET, 1), 0);
    uring_enter(ring, 0);
    post(name_of(1), 1, 0);
    uring_enter(ring, 0);
    assert_int_equal(one.calls, 1);
    uring_end();
    assert_int_equal(one.calls, 1);
    assert_int_equal(two.calls, 1);
    assert_int_equal(two.result, -ECANCELED);
    assert_int_equal(two.op.slot, 0);
    ring = uring_mine();
}

static void where_it_is_refused_it_is_not_asked_for_again(void **state)
{
    (void)state;
    uring_end();
    kernel.refuse = -EPERM;
    assert_null(uring_mine());
    kernel.refuse = 0;
    assert_null(uring_mine());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(datagrams_have_buffers_of_their_own),
        TEST(a_message_is_sent_by_its_header),
        TEST(others_are_not_waited_for_beyond_the_time),
        TEST(of_many_that_speak_again_and_again_a_part_is_waited_for),
        TEST(the_end_asks_for_no_reminder),
        TEST(datagrams_are_not_flushed_at_once),
        TEST(what_is_for_oneself_is_news),
        TEST(one_enter_submits_and_brings_back),
        TEST(buffers_go_round),
        TEST(what_nobody_waits_for_is_dropped),
        TEST(impossible_results_are_errors),
        TEST(a_buffer_that_is_not_the_kernels_is_not_taken),
        TEST(what_is_put_off_goes_with_the_next_enter),
        TEST(a_full_ring_is_submitted),
        TEST(cancelling_names_the_operation),
        TEST(a_kernel_that_takes_nothing_leaves_no_room),
        TEST(operations_have_an_end),
        TEST(interrupts_are_told),
        TEST(one_enters_again_after_a_while_only),
        TEST(in_the_child_of_fork_nobody_has_one),
        TEST(without_room_there_is_none),
        TEST(a_layout_that_does_not_hold_up_stops_the_enclave),
        TEST(a_thread_of_the_kernel_is_woken_when_it_sleeps),
        TEST(what_is_in_flight_ends_with_its_ring),
        TEST(where_it_is_refused_it_is_not_asked_for_again), /* last: it stays so */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

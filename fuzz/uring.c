/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread's io_uring whose kernel completes what it likes, as often as it likes, with any result and any
 * buffer, and moves the indices as it likes. The model says what each completion must come to: a call
 * of the operation that it names, with a result and a buffer that can be, or a violation counted.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz/input.h"

#include "enclave/io/uring.c" /* all of it: the model looks inside */

#define RING 77
#define OPERATIONS 48

struct enclave enclave = {.rings = true};

/* ---- the enclave's surroundings; offsets in the arena are addresses here ---- */

static struct thread_block block;
static struct exit_slot slot;
static uint64_t bounce_buffer[512];
static _Alignas(4096) uint8_t arena[0x580000];
static uint64_t arena_used, violations;
static jmp_buf stopped;
static struct input *input;

static struct {
    void *block[256];
    size_t count;
} memory;

static void *note_memory(void *p)
{
    REQUIRE(memory.count < ARRAY_SIZE(memory.block));
    return memory.block[memory.count++] = p;
}

void *alloc(size_t size)
{
    return note_memory(calloc(1, size));
}

void alloc_free(void *p)
{
    for (size_t i = 0; p && i < memory.count; i++)
        if (memory.block[i] == p)
            memory.block[i] = NULL;
    free(p);
}

void *alloc_resize(void *p, size_t old_size, size_t new_size)
{
    void *q = alloc(new_size);
    if (old_size)
        memcpy(q, p, old_size);
    alloc_free(p);
    return q;
}

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){offset};
}

uint64_t arena_pool_take(uint64_t size)
{
    uint64_t at = (uint64_t)arena + arena_used;
    arena_used += (size + 4095) & ~4095ul;
    REQUIRE(arena_used <= sizeof arena);
    return at;
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    (void)offset, (void)size;
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
    violations++;
}

void lock_slow(struct lock *l)
{
    (void)l;
    REQUIRE(!"a lock is taken twice");
}

int host_close(int fd)
{
    REQUIRE(fd == RING);
    return 0;
}

/* ---- the model ---- */

/* An operation as its user knows it. */
struct known {
    struct uring_op op;
    bool flying;
    uint64_t name; /* its user_data */
};

/* What is to be seen of an SQE. */
struct submission {
    uint8_t opcode;
    int fd;
    uint64_t address;
    uint32_t length;
    uint64_t name;
};

struct call {
    struct known *of;
    int32_t result;
    uint32_t buffer;
    bool more;
};

static struct {
    struct uring *u;
    struct uring_setup setup;
    struct known known[OPERATIONS];
    struct submission submitted[SQ_ENTRIES * 2]; /* in the order that they were started */
    uint32_t first, last;
    struct lending {
        uint32_t count, step;
        bool lent[URING_BUFFERS]; /* to the kernel */
        uint32_t left, used;      /* lent; and those below it ever were */
        uint32_t held[URING_BUFFERS], holds;
    } bytes, datagrams;
    struct call expected[CQ_ENTRIES];
    uint32_t expects, called;
    uint64_t bad;
    uint32_t taken; /* SQEs, by the kernel */
    bool blind; /* the kernel has lied of what it took: SQEs cannot be followed any more */
} model;

static uint32_t *index_at(uint64_t offset)
{
    return (uint32_t *)(model.setup.ring_offset + offset);
}

/* Buffers that are lent as the others run low. */
static void lend_more(struct lending *l)
{
    for (uint32_t i = 0; i < l->step && l->used < l->count; i++, l->left++)
        l->lent[l->used++] = true;
}

static struct lending *lending_of(const struct uring_op *op)
{
    return op->datagrams ? &model.datagrams : &model.bytes;
}

/* What the enclave is told of an operation is what the rules make of the completion. */
static void done(struct uring_op *op, int32_t result, uint32_t buffer, bool more)
{
    struct known *k = container_of(op, struct known, op);
    REQUIRE(model.called < model.expects);
    const struct call *c = &model.expected[model.called++];
    REQUIRE(c->of == k && c->result == result && c->buffer == buffer && c->more == more);
    REQUIRE(more == (op->slot != 0));
    if (buffer != URING_NO_BUFFER)
        lending_of(op)->held[lending_of(op)->holds++] = buffer;
}

static void expect(uint64_t name, int32_t result, uint32_t flags)
{
    struct known *k = NULL;
    uint32_t buffer = URING_NO_BUFFER;
    if (name == UINT64_MAX)
        return;
    for (size_t i = 0; i < OPERATIONS; i++)
        if (model.known[i].flying && model.known[i].name == name)
            k = &model.known[i];
    if (!k) {
        model.bad++;
        return;
    }
    if (flags & IORING_CQE_F_BUFFER) {
        struct lending *l = lending_of(&k->op);
        buffer = flags >> 16;
        if (buffer < l->count && l->lent[buffer]) {
            l->lent[buffer] = false;
            if (--l->left < l->step / 2)
                lend_more(l);
        } else {
            model.bad++;
            buffer = URING_NO_BUFFER;
            result = -EIO;
        }
    }
    if (result < -4095 || (result > 0 && (uint32_t)result > k->op.limit)) {
        model.bad++;
        result = -EIO;
    }
    bool more = flags & IORING_CQE_F_MORE;
    if (!more)
        k->flying = false;
    model.expected[model.expects++] = (struct call){k, result, buffer, more};
}

/* ---- the kernel ---- */

static void look_at_sqe(const struct io_uring_sqe *sqe)
{
    if (model.blind)
        return;
    REQUIRE(model.first != model.last);
    const struct submission *k = &model.submitted[model.first++ % ARRAY_SIZE(model.submitted)];
    REQUIRE(sqe->opcode == k->opcode && sqe->fd == k->fd && sqe->addr == k->address);
    REQUIRE(sqe->len == k->length && sqe->user_data == k->name);
}

static struct io_uring_cqe *next_completion(void)
{
    struct io_uring_cqe *cqes = (struct io_uring_cqe *)(model.setup.ring_offset + model.setup.cqes);
    return &cqes[*index_at(model.setup.cq_tail) % CQ_ENTRIES];
}

static uint64_t some_name(uint8_t how)
{
    if (how < 10)
        return take64(input);
    if (how < 20)
        return take8(input) | (uint64_t)take8(input) << 32;
    const struct known *k = &model.known[take8(input) % OPERATIONS];
    for (size_t i = 0; how >= 60 && i < OPERATIONS && !k->flying; i++)
        k = &model.known[(size_t)(k - model.known + 1) % OPERATIONS];
    return k->name;
}

static uint32_t some_buffer(void)
{
    uint8_t how = take8(input);
    return how < 20 ? take16(input) : how;
}

static void post(void)
{
    struct io_uring_cqe *c = next_completion();
    c->user_data = some_name(take8(input));
    uint8_t how = take8(input);
    c->res = how < 10 ? (int32_t)take32(input) : how < 40 ? -(int32_t)how : (int32_t)take16(input) % (how & 4 ? 5000 : 70000);
    c->flags = (how & 1 ? IORING_CQE_F_MORE : 0) | (how & 2 ? IORING_CQE_F_BUFFER | some_buffer() << 16 : 0) |
               (how & 0x80 ? take16(input) & 0xfffc : 0);
    ++*index_at(model.setup.cq_tail);
}

static int64_t kernel_enters(uint32_t count)
{
    const struct io_uring_sqe *sqes = (const struct io_uring_sqe *)model.setup.sqes_offset;
    uint8_t how = take8(input), taken = how % 4 == 0 ? take8(input) : 255;
    for (uint32_t i = 0; i < count && i < taken && model.taken != model.u->ring.sq_own; i++, model.taken++) {
        look_at_sqe(&sqes[model.taken % SQ_ENTRIES]);
        ++*index_at(model.setup.sq_head);
    }
    return how >= 250 ? -EINTR : how >= 245 ? -EBUSY : (int)count;
}

static void kernel_posts(void)
{
    for (uint8_t n = take8(input) % 8; n; n--)
        post();
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)maximum, (void)a2, (void)a4, (void)a5;
    if (number == EXIT_URING_OPEN) {
        struct uring_setup *s = (struct uring_setup *)a0;
        s->sq_head = 0;
        s->sq_tail = 4;
        s->cq_head = 8;
        s->cq_tail = 12;
        s->cqes = 64;
        s->sq_flags = 16;
        model.setup = *s;
        return RING;
    }
    REQUIRE(number == __NR_io_uring_enter && a0 == RING && (a3 & IORING_ENTER_GETEVENTS));
    REQUIRE(!a5 || (a4 >= (uint64_t)bounce_buffer && a4 + a5 <= (uint64_t)bounce_buffer + sizeof bounce_buffer));
    return kernel_enters((uint32_t)a1);
}

static void kernel_lies_of_an_index(void)
{
    uint8_t how = take8(input);
    uint32_t *index = index_at(how & 1 ? model.setup.cq_tail : model.setup.sq_head);
    if (how & 2)
        *index = take32(input);
    else
        *index += (uint32_t)(int8_t)take8(input);
    model.blind |= !(how & 1);
}

/* Is each index that the kernel shows one that the protocol allows? */
static bool indices_possible(void)
{
    const struct uring_ring *r = &model.u->ring;
    return r->sq_own - *index_at(model.setup.sq_head) <= r->sq_own - r->sq_other &&
           *index_at(model.setup.cq_tail) - r->cq_own <= r->cq_entries;
}

/* ---- the enclave ---- */

static void started(struct submission what)
{
    model.submitted[model.last++ % ARRAY_SIZE(model.submitted)] = what;
    if (model.last - model.first > ARRAY_SIZE(model.submitted))
        model.blind = true;
}

static void start_one(void)
{
    struct known *k = &model.known[take8(input) % OPERATIONS];
    uint8_t how = take8(input);
    struct submission what = {.opcode = IORING_OP_RECV, .fd = how};
    int result;
    if (k->flying)
        return;
    *k = (struct known){.op.done = done};
    switch (how % 5) {
    case 3:
        what.opcode = IORING_OP_RECVMSG;
        what.address = model.setup.datagrams_offset + DATAGRAM_HEADER;
        what.length = 1;
        result = uring_receive_datagrams(model.u, &k->op, what.fd);
        break;
    case 4:
        what.opcode = IORING_OP_SENDMSG;
        what.address = (uint64_t)arena;
        what.length = 1;
        result = uring_send_message(model.u, &k->op, what.fd, (struct untrusted){what.address}, take16(input), 0, how & 0x80);
        break;
    case 0:
        result = uring_receive_multishot(model.u, &k->op, what.fd);
        break;
    case 1:
        what.opcode = IORING_OP_SEND;
        what.address = (uint64_t)arena;
        what.length = take16(input);
        result = uring_send(model.u, &k->op, what.fd, (struct untrusted){what.address}, what.length, how & 0x80);
        break;
    default:
        what.opcode = IORING_OP_POLL_ADD;
        result = uring_poll(model.u, &k->op, what.fd, take8(input));
        break;
    }
    REQUIRE(result == 0 || result == -EAGAIN);
    if (result)
        return;
    REQUIRE(k->op.slot > 0 && k->op.slot <= model.u->place_count);
    k->flying = true;
    k->name = what.name = user_data(model.u, k->op.slot - 1);
    for (size_t i = 0; i < OPERATIONS; i++)
        REQUIRE(&model.known[i] == k || !model.known[i].flying || model.known[i].name != k->name);
    started(what);
}

static void cancel_one(void)
{
    struct known *k = &model.known[take8(input) % OPERATIONS];
    bool flying = k->flying;
    if (!uring_cancel(model.u, &k->op) && flying)
        started((struct submission){IORING_OP_ASYNC_CANCEL, 0, k->name, 0, UINT64_MAX});
}

/* All completions that are there, as they must be understood if they are taken now. */
static void expect_all(void)
{
    const struct io_uring_cqe *cqes = (const void *)(model.setup.ring_offset + model.setup.cqes);
    uint32_t own = model.u->ring.cq_own, tail = *index_at(model.setup.cq_tail);
    if (tail - own > CQ_ENTRIES)
        return; /* it must stop */
    for (uint32_t i = own; i != tail; i++) {
        const struct io_uring_cqe *c = &cqes[i % CQ_ENTRIES];
        expect(c->user_data, c->res, c->flags);
    }
}

static void enter_it(void)
{
    static const uint64_t timeouts[] = {0, 1000, 5000000000, NO_TIMEOUT};
    expect_all();
    int result = uring_enter(model.u, timeouts[take8(input) % ARRAY_SIZE(timeouts)]);
    REQUIRE(result == 0 || result == -EINTR);
    REQUIRE(model.called == model.expects && model.u->ring.cq_own == *index_at(model.setup.cq_tail));
    REQUIRE(*index_at(model.setup.cq_head) == model.u->ring.cq_own);
    model.called = model.expects = 0;
}

static struct {
    struct uring_deferred d;
    unsigned submits;
} later;

static void submit_later(struct uring_deferred *d)
{
    (void)d;
    later.submits++;
}

/* It may enter or not: completions are taken, all of them, or none. */
static void put_off(void)
{
    static typeof(model) before;
    uint32_t own = model.u->ring.cq_own;
    before = model;
    expect_all();
    if (take8(input) % 2)
        uring_defer(model.u, &later.d);
    else
        uring_flush();
    if (model.u->ring.cq_own == own && !model.called) {
        before.first = model.first;
        before.taken = model.taken;
        model = before;
    }
    REQUIRE(model.called == model.expects);
    model.called = model.expects = 0;
}

static void give_of(struct lending *l, bool datagrams)
{
    if (!l->holds)
        return;
    uint32_t i = take8(input) % l->holds, buffer = l->held[i];
    l->held[i] = l->held[--l->holds];
    REQUIRE(!l->lent[buffer]);
    l->lent[buffer] = true;
    l->left++;
    struct untrusted at = datagrams ? uring_datagram(model.u, buffer) : uring_buffer(model.u, buffer);
    if (datagrams)
        uring_datagram_give(model.u, buffer);
    else
        uring_buffer_give(model.u, buffer);
    uint64_t offset = datagrams ? model.setup.datagrams_offset : model.setup.buffers_offset;
    const struct io_uring_buf_ring *ring = (const void *)offset;
    const struct io_uring_buf *b = &ring->bufs[(uint16_t)(ring->tail - 1) % l->count];
    REQUIRE(b->bid == buffer && b->len == (datagrams ? DATAGRAM_BUFFER : URING_BUFFER_SIZE) && b->addr == at.address);
}

static void give_one(void)
{
    bool datagrams = model.datagrams.holds && (!model.bytes.holds || take8(input) % 2);
    give_of(datagrams ? &model.datagrams : &model.bytes, datagrams);
}

static void check_lending(const struct lending *l, const struct uring_buffers *b)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        REQUIRE(b->lent[i] == l->lent[i]);
        left += l->lent[i];
    }
    REQUIRE(left == l->left && uring_buffers_count(b) == left + l->count - l->used);
}

static void check(void)
{
    const struct uring_ring *r = &model.u->ring;
    check_lending(&model.bytes, &model.u->bytes);
    check_lending(&model.datagrams, &model.u->datagrams);
    REQUIRE(r->sq_own - r->sq_other <= r->sq_entries && r->cq_other - r->cq_own <= r->cq_entries);
    REQUIRE(violations == model.bad);
    for (size_t i = 0; i < OPERATIONS; i++)
        REQUIRE(model.known[i].flying == (model.known[i].op.slot != 0));
}

static void step(void)
{
    switch (take8(input) % 12) {
    case 0:
    case 1:
    case 2:
        start_one();
        break;
    case 3:
        cancel_one();
        break;
    case 4:
    case 5:
    case 6:
        kernel_posts();
        break;
    case 7:
    case 8:
        enter_it();
        break;
    case 9:
        give_one();
        break;
    case 10:
        kernel_lies_of_an_index();
        break;
    case 11:
        fuzz_tsc += take32(input);
        put_off();
        break;
    }
    check();
}

static void start_world(void)
{
    memset(&model, 0, sizeof model);
    memset(&all, 0, sizeof all);
    memset(&block, 0, sizeof block);
    memset(arena, 0, RING_SPACE);
    arena_used = 0;
    violations = 0;
    memory.count = 0;
    block.self = &block;
    block.slot_address = (uint64_t)&slot;
    syscall(SYS_arch_prctl, ARCH_SET_GS, &block);
    later.d = (struct uring_deferred){.submit = submit_later};
    list_init(&later.d.in_ring);
    uring_start(2000000);
    model.u = uring_mine();
    REQUIRE(model.u && uring_datagrams(model.u));
    model.bytes.count = URING_BUFFERS;
    model.bytes.step = BUFFERS_STEP;
    lend_more(&model.bytes);
    model.datagrams.count = URING_DATAGRAMS;
    model.datagrams.step = DATAGRAMS_STEP;
    lend_more(&model.datagrams);
}

/* The rings as if they had been in use for long: their indices are about to wrap, or anywhere. */
static void wind_on(uint32_t index)
{
    struct uring_ring *r = &model.u->ring;
    r->sq_own = r->sq_other = r->sq_shown = r->cq_own = r->cq_other = model.taken = index;
    const uint64_t at[] = {model.setup.sq_head, model.setup.sq_tail, model.setup.cq_head, model.setup.cq_tail};
    for (size_t i = 0; i < ARRAY_SIZE(at); i++)
        *index_at(at[i]) = index;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    input = &in;
    start_world();
    uint8_t how = take8(input);
    if (how)
        wind_on(how < 128 ? UINT32_MAX - how * 8u : take32(input));
    if (!setjmp(stopped)) {
        while (!input_over(input))
            step();
    } else {
        REQUIRE(!indices_possible()); /* nothing else stops it */
    }
    for (size_t i = 0; i < memory.count; i++)
        free(memory.block[i]);
    return 0;
}

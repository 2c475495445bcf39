/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AF_XDP socket whose kernel writes anything into the four rings, at any time between two calls. What
 * must hold is kept beside it by a model that knows nothing but the rules: whose a frame is, which
 * descriptors are to be accepted, which indices must stop the enclave, what is counted.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz/input.h"

#include "enclave/entry/thread_block.h"
#include "enclave/io/xsk.c" /* all of it: the model looks inside */

#define PRODUCER 0u
#define CONSUMER 64u
#define FLAGS 128u
#define ENTRIES_AT 192u
#define FRAMES 3072u /* of 2048 bytes */
#define RX_FRAMES 2048u
#define FRAME 2048u
#define HELD_MAX 4096u

/* ---- the enclave's surroundings; offsets in the arena are addresses here ---- */

static _Alignas(4096) uint8_t umem[XSK_UMEM_BYTES];
static _Alignas(4096) uint8_t ring_space_at[XSK_RINGS][0xa000];
static uint64_t bounce_buffer[256];
static struct statistics statistics;
static uint64_t violations;
static jmp_buf stopped;
static struct xsk_setup setup;
static struct input *input;
static unsigned kicks;
static unsigned asked;
static bool served; /* as last said */
static int takes;

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){offset};
}

uint64_t arena_pool_take(uint64_t size)
{
    if (takes++ == 0) {
        REQUIRE(size == sizeof umem);
        return (uint64_t)umem;
    }
    REQUIRE(size <= sizeof ring_space_at[0] && takes <= 1 + XSK_RINGS);
    return (uint64_t)ring_space_at[takes - 2];
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    (void)offset, (void)size;
}

struct untrusted arena_statistics(void)
{
    return (struct untrusted){(uint64_t)&statistics};
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

void *alloc(size_t size)
{
    return calloc(1, size);
}

void alloc_free(void *p)
{
    free(p);
}

/* A host may say so at any time. */
bool exit_served(void)
{
    served = asked++ % 64 >= 56;
    return served;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)maximum, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    if (number == EXIT_XSK_OPEN) {
        struct xsk_setup *s = (struct xsk_setup *)a0;
        setup = *s;
        s->index = 0;
        for (int i = 0; i < XSK_RINGS; i++)
            s->layout[i] = (struct xsk_ring_layout){PRODUCER, CONSUMER, FLAGS, ENTRIES_AT};
        return 7;
    }
    REQUIRE(number == EXIT_XSK_KICK && a0 == 0);
    kicks++;
    return take8(input) % 4 == 0 ? -EAGAIN : 0;
}

/* ---- the kernel's side ---- */

static uint64_t *word(int kind, uint64_t at)
{
    return (uint64_t *)(ring_space_at[kind] + at);
}

static uint64_t *entry(int kind, uint32_t index)
{
    size_t size = kind == XSK_RING_RX || kind == XSK_RING_TX ? 16 : 8;
    return word(kind, ENTRIES_AT + index % setup.entries[kind] * size);
}

/* ---- the model ---- */

enum whose { OURS, THEIRS, USERS }; /* free; in a ring; received and not given back, or taken to send from */

static struct {
    struct xsk *x;
    uint8_t whose[FRAMES];
    uint32_t fill_seen, tx_seen;              /* what the enclave has put into its rings and was looked at */
    uint64_t fill[XSK_RX_ENTRIES], tx[XSK_TX_ENTRIES]; /* addresses that the kernel has from there */
    uint32_t fill_first, fill_last, tx_first, tx_last;
    uint32_t user[HELD_MAX]; /* frames of the users', in any order */
    uint32_t users, received; /* all of them; those among them that were received */
    uint64_t bad, packets_in, bytes_in, packets_out, bytes_out;
    uint64_t bad_descriptors, bad_completions;
} model;

static void users_add(uint32_t frame)
{
    REQUIRE(model.whose[frame] != USERS);
    model.whose[frame] = USERS;
    model.user[model.users++] = frame;
    model.received += frame < RX_FRAMES;
}

static void users_remove(uint32_t frame, enum whose now)
{
    for (uint32_t i = 0; i < model.users; i++) {
        if (model.user[i] == frame) {
            model.user[i] = model.user[--model.users];
            model.whose[frame] = now;
            model.received -= frame < RX_FRAMES;
            return;
        }
    }
    REQUIRE(!"the frame is a user's");
}

/* What the enclave has put into the fill ring since: each a whole frame that was free. */
static void look_at_fill(void)
{
    for (; model.fill_seen != model.x->rx.fill.own; model.fill_seen++) {
        uint64_t address = *entry(XSK_RING_FILL, model.fill_seen);
        REQUIRE(address % FRAME == 0 && address / FRAME < RX_FRAMES);
        REQUIRE(model.whose[address / FRAME] == OURS);
        model.whose[address / FRAME] = THEIRS;
        model.fill[model.fill_last++ % XSK_RX_ENTRIES] = address;
    }
}

/* Would the rules have a descriptor or a completion accepted? */
static bool acceptable(uint64_t address, uint64_t length, uint32_t first, uint32_t count)
{
    uint64_t frame = address / FRAME;
    return frame >= first && frame < first + count && length <= FRAME - address % FRAME &&
           model.whose[frame] == THEIRS;
}

/* Completions that the enclave has taken since, from `before` on. */
static void look_at_completions(uint32_t before)
{
    for (uint32_t i = before; i != model.x->tx.completion.own; i++) {
        uint64_t address = *entry(XSK_RING_COMPLETION, i);
        if (acceptable(address, 0, RX_FRAMES, FRAMES - RX_FRAMES)) {
            model.whose[address / FRAME] = OURS;
        } else {
            model.bad++;
            model.bad_completions++;
        }
    }
}

/* ---- what must hold after each step ---- */

static bool reached(const struct ring *r, uint32_t value)
{
    uint32_t from = r->produces ? r->own - r->other : r->other - r->own; /* what is known to be in it */
    uint32_t now = r->produces ? r->own - value : value - r->own;
    return r->produces ? now <= from : now <= r->entries && now >= from;
}

/* Is each index that the kernel shows one that the protocol allows? */
static bool indices_possible(const struct xsk *x)
{
    const struct ring *rings[] = {&x->rx.fill, &x->tx.completion, &x->rx.rx, &x->tx.tx};
    for (size_t i = 0; i < ARRAY_SIZE(rings); i++)
        if (!reached(rings[i], (uint32_t)untrusted_load(rings[i]->other_index)))
            return false;
    return true;
}

static void check(void)
{
    const struct xsk *x = model.x;
    const struct statistics_xsk *s = &statistics.xsk[0];
    REQUIRE(ring_valid(&x->rx.fill) && ring_valid(&x->tx.completion) && ring_valid(&x->rx.rx) &&
            ring_valid(&x->tx.tx));
    REQUIRE(violations == model.bad);
    REQUIRE(s->packets_in == model.packets_in && s->bytes_in == model.bytes_in);
    REQUIRE(s->drops[DROP_bad_descriptor] == model.bad_descriptors);
    REQUIRE(s->drops[DROP_bad_completion] == model.bad_completions);
    REQUIRE(x->tx.packets == model.packets_out && x->tx.bytes == model.bytes_out);
    REQUIRE(xsk_frames_low(x) == RX_FRAMES - model.received);
}

static void check_owners(const struct frames *f, uint32_t first, uint32_t count)
{
    static bool on_stack[FRAMES_MAX];
    memset(on_stack, 0, sizeof on_stack);
    REQUIRE(f->count == count && f->free_count <= count);
    for (uint32_t i = 0; i < f->free_count; i++) {
        REQUIRE(f->free[i] < count && !on_stack[f->free[i]]);
        on_stack[f->free[i]] = true;
    }
    for (uint32_t i = 0; i < count; i++) {
        static const enum frame_owner owner[] = {FRAME_FREE, FRAME_KERNEL, FRAME_HELD};
        REQUIRE(f->owner[i] == owner[model.whose[first + i]]);
        REQUIRE(on_stack[i] == (f->owner[i] == FRAME_FREE));
    }
}

/* ---- steps of the kernel ---- */

/* An address of some frame, or any number. */
static uint64_t some_address(void)
{
    uint8_t how = take8(input);
    if (how < 40)
        return take64(input);
    if (how < 80 && model.users)
        return (uint64_t)model.user[take16(input) % model.users] * FRAME + take16(input) % FRAME;
    return (uint64_t)(take16(input) % (FRAMES + 2)) * FRAME + take16(input) % (FRAME + 8);
}

static uint32_t some_length(void)
{
    uint8_t how = take8(input);
    return how < 20 ? take32(input) : take16(input) % (FRAME + 8);
}

static void put_packet(uint64_t address, uint64_t length)
{
    uint32_t at = (uint32_t)*word(XSK_RING_RX, PRODUCER);
    entry(XSK_RING_RX, at)[0] = address;
    entry(XSK_RING_RX, at)[1] = length;
    *word(XSK_RING_RX, PRODUCER) = at + 1u;
}

static void put_completion(uint64_t address)
{
    uint32_t at = (uint32_t)*word(XSK_RING_COMPLETION, PRODUCER);
    *entry(XSK_RING_COMPLETION, at) = address;
    *word(XSK_RING_COMPLETION, PRODUCER) = at + 1u;
}

/* As an honest kernel: from the fill ring to the rx ring. */
static void kernel_receives(void)
{
    for (unsigned n = take8(input) % 80; n && model.fill_first != model.fill_last; n--) {
        uint64_t address = model.fill[model.fill_first++ % XSK_RX_ENTRIES];
        *word(XSK_RING_FILL, CONSUMER) = (uint32_t)*word(XSK_RING_FILL, CONSUMER) + 1u;
        put_packet(address + XSK_HEADROOM_KERNEL + HEADROOM, take8(input) * 6);
    }
}

static void kernel_sends(void)
{
    for (unsigned n = take8(input) % 80; n && model.tx_first != model.tx_last; n--) {
        put_completion(model.tx[model.tx_first++ % XSK_TX_ENTRIES]);
        *word(XSK_RING_TX, CONSUMER) = (uint32_t)*word(XSK_RING_TX, CONSUMER) + 1u;
    }
}

static void kernel_lies_of_an_index(void)
{
    static const struct {
        int ring;
        uint64_t at;
    } indices[] = {{XSK_RING_FILL, CONSUMER},
                   {XSK_RING_TX, CONSUMER},
                   {XSK_RING_RX, PRODUCER},
                   {XSK_RING_COMPLETION, PRODUCER}};
    uint8_t how = take8(input);
    uint64_t *index = word(indices[how % 4].ring, indices[how % 4].at);
    if (how & 4)
        *index = take64(input);
    else
        *index = (uint32_t)*index + (uint64_t)(int64_t)(int8_t)take8(input);
}

/* What only the enclave writes is scribbled over: it has no use for it. */
static void kernel_scribbles(void)
{
    uint64_t value = take64(input);
    uint16_t where = take16(input);
    switch (where % 6) {
    case 0:
        *word(XSK_RING_FILL, PRODUCER) = value;
        break;
    case 1:
        *word(XSK_RING_TX, PRODUCER) = value;
        break;
    case 2:
        *word(XSK_RING_RX, CONSUMER) = value;
        break;
    case 3:
        *word(XSK_RING_COMPLETION, CONSUMER) = value;
        break;
    case 4:
        *entry(XSK_RING_FILL, where / 8) = value;
        break;
    case 5:
        *entry(XSK_RING_TX, where / 8) = value;
        break;
    }
}

/* ---- steps of the enclave ---- */

static void enclave_receives(void)
{
    struct xsk_packet out[XSK_BATCH];
    uint32_t from = model.x->rx.rx.own, n = 0;
    int count = xsk_receive(model.x, out, take8(input) % 70);
    for (uint32_t i = from; i != model.x->rx.rx.own; i++) {
        uint64_t address = entry(XSK_RING_RX, i)[0], length = entry(XSK_RING_RX, i)[1] & UINT32_MAX;
        if (!acceptable(address, length, 0, RX_FRAMES)) {
            model.bad++;
            model.bad_descriptors++;
            continue;
        }
        REQUIRE(n < (uint32_t)count && out[n].frame == address / FRAME &&
                out[n].offset == address % FRAME && out[n].length == length);
        users_add(out[n].frame);
        model.packets_in++;
        model.bytes_in += length;
        n++;
    }
    REQUIRE(n == (uint32_t)count);
}

static void enclave_releases(void)
{
    uint8_t how = take8(input);
    uint32_t frame = how < 10 || !model.users ? take32(input) : model.user[take16(input) % model.users];
    bool users = frame < RX_FRAMES && model.whose[frame] == USERS;
    xsk_release(model.x, frame);
    if (users)
        users_remove(frame, OURS);
}

static void enclave_takes(void)
{
    uint32_t completed = model.x->tx.completion.own;
    int frame = xsk_frame_take(model.x);
    look_at_completions(completed);
    if (frame < 0) {
        REQUIRE(frame == -ENOBUFS);
        return;
    }
    REQUIRE((uint32_t)frame >= RX_FRAMES && (uint32_t)frame < FRAMES && model.whose[frame] == OURS);
    users_add((uint32_t)frame);
}

static int some_frame(void)
{
    uint8_t how = take8(input);
    return how < 10 || !model.users ? (int)take32(input) : (int)model.user[take16(input) % model.users];
}

static bool may_send_from(int frame)
{
    return frame >= (int)RX_FRAMES && frame < (int)FRAMES && model.whose[frame] == USERS;
}

static void enclave_gives(void)
{
    int frame = some_frame();
    bool good = may_send_from(frame);
    xsk_frame_give(model.x, frame);
    if (good)
        users_remove((uint32_t)frame, OURS);
}

static void enclave_sends(void)
{
    int frame = some_frame();
    uint8_t how = take8(input);
    uint32_t start = how < 10 ? take32(input) : XSK_TX_OFFSET + how % 8, length = some_length();
    uint32_t completed = model.x->tx.completion.own, put = model.x->tx.tx.own;
    int result = xsk_send(model.x, frame, start, length, how & 8);
    if (result == 0) {
        REQUIRE(may_send_from(frame) && start >= XSK_TX_OFFSET && start + (uint64_t)length <= FRAME);
        REQUIRE(model.x->tx.tx.own == put + 1);
        uint64_t address = (uint64_t)frame * FRAME + start;
        REQUIRE(entry(XSK_RING_TX, put)[0] == address);
        REQUIRE(entry(XSK_RING_TX, put)[1] ==
                (length | (uint64_t)(how & 8 ? XSK_OPTION_METADATA : 0) << 32));
        users_remove((uint32_t)frame, THEIRS);
        model.tx[model.tx_last++ % XSK_TX_ENTRIES] = address;
        model.packets_out++;
        model.bytes_out += length;
    } else {
        REQUIRE(model.x->tx.tx.own == put);
        REQUIRE(result == -EAGAIN || result == -EMSGSIZE || (result == -EINVAL && !may_send_from(frame)));
    }
    look_at_completions(completed);
}

static void enclave_flushes(void)
{
    uint32_t completed = model.x->tx.completion.own, waiting = model.x->kick.waiting;
    unsigned before = kicks;
    xsk_flush();
    look_at_completions(completed);
    REQUIRE(model.x->kick.waiting == 0 && (kicks > before) == (waiting > 0 && !served));
}

static void step(void)
{
    switch (take8(input) % 16) {
    case 0:
    case 1:
        kernel_receives();
        return;
    case 2:
        put_packet(some_address(), some_length() | (uint64_t)take8(input) << 32);
        return;
    case 3:
        kernel_sends();
        return;
    case 4:
        put_completion(some_address());
        return;
    case 5:
        kernel_lies_of_an_index();
        return;
    case 6:
        kernel_scribbles();
        return;
    case 7:
        fuzz_tsc += take32(input);
        return;
    case 8:
    case 9:
        enclave_receives();
        break;
    case 10:
        enclave_releases();
        break;
    case 11:
        enclave_takes();
        break;
    case 12:
        enclave_gives();
        break;
    case 13:
    case 14:
        enclave_sends();
        break;
    case 15:
        if (take8(input) % 2)
            enclave_flushes();
        else
            xsk_readable(model.x);
        break;
    }
    look_at_fill();
    check();
}

/* All four rings as if they had been in use for long: their indices are about to wrap, or anywhere. */
static void wind_on(uint32_t index)
{
    struct xsk *x = model.x;
    struct ring *rings[] = {&x->rx.fill, &x->tx.completion, &x->rx.rx, &x->tx.tx};
    uint64_t filled[XSK_RX_ENTRIES];
    for (uint32_t i = 0; i < XSK_RX_ENTRIES; i++)
        filled[i] = *entry(XSK_RING_FILL, i);
    for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
        rings[i]->own += index;
        rings[i]->other += index;
        untrusted_store(rings[i]->own_index, rings[i]->own);
        untrusted_store(rings[i]->other_index, rings[i]->other);
    }
    for (uint32_t i = 0; i < XSK_RX_ENTRIES; i++)
        *entry(XSK_RING_FILL, index + i) = filled[i];
    model.fill_seen += index;
}

static void open_one(void)
{
    static struct thread_block block; /* of the thread that uses it */
    block.self = &block;
    syscall(SYS_arch_prctl, ARCH_SET_GS, &block);
    const struct interface_info interface = {.index = 3, .mtu = 1500, .queues = 1};
    kick_start(2000000);
    REQUIRE(xsk_open(&interface, 0, &model.x) == 0);
    look_at_fill();
}

/* Opening one takes as long as a thousand steps: it is done once, and kept. */
static void start(void)
{
    static struct {
        struct xsk x;
        uint8_t rings[XSK_RINGS][sizeof ring_space_at[0]];
        struct statistics_xsk statistics;
        typeof(model) model;
    } kept;
    if (!model.x) {
        open_one();
        kept.x = *model.x;
        memcpy(kept.rings, ring_space_at, sizeof kept.rings);
        kept.statistics = statistics.xsk[0];
        kept.model = model;
    }
    model = kept.model;
    *model.x = kept.x;
    memcpy(ring_space_at, kept.rings, sizeof kept.rings);
    statistics.xsk[0] = kept.statistics;
    violations = 0;
    kicks = asked = 0;
    uint8_t how = take8(input);
    if (how)
        wind_on(how < 128 ? UINT32_MAX - how * 8u : take32(input));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    input = &in;
    start();
    if (!setjmp(stopped)) {
        while (!input_over(input))
            step();
        check_owners(&model.x->rx.frames, 0, RX_FRAMES);
        check_owners(&model.x->tx.frames, RX_FRAMES, FRAMES - RX_FRAMES);
    } else {
        REQUIRE(!indices_possible(model.x)); /* nothing else stops it */
    }
    return 0;
}

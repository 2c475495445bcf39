/* SPDX-License-Identifier: Apache-2.0 */
/* An AF_XDP socket against a kernel that is made up: an honest one, and one that lies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/prctl.h>

#include <cmocka.h>

#include "abi/stats.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/kick.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define FD 77
#define PRODUCER 0u
#define CONSUMER 64u
#define FLAGS 128u
#define ENTRIES_AT 192u
#define HEADROOM (256u + 6u) /* the kernel's and ours */
#define NEVER_QUIET (UINT64_MAX / 2)

/* The kernel's side. Offsets in the arena are addresses here. */
static struct {
    struct xsk_setup setup; /* as asked last */
    int64_t open_result;
    void (*spoil)(struct xsk_setup *); /* the answer */
    unsigned opens, kicks, spaces;
    uint64_t alone; /* as the last kick said */
    unsigned room; /* spaces that there are in the arena, 0: enough */
    bool no_memory;
    unsigned unwilling; /* kicks that will be answered with EAGAIN */
    uint64_t violations;
    uint64_t bounce[256];
    struct statistics statistics;
} kernel;

static jmp_buf stopped;
static struct thread_block block; /* of the thread that a test acts as */

/* ---- the enclave's surroundings ---- */

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){offset};
}

uint64_t arena_pool_take(uint64_t size)
{
    if (kernel.room && kernel.spaces == kernel.room)
        return 0;
    void *space = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(space, MAP_FAILED);
    kernel.spaces++;
    return (uint64_t)space;
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    kernel.spaces--;
    munmap((void *)offset, size);
}

struct untrusted arena_statistics(void)
{
    return (struct untrusted){(uint64_t)&kernel.statistics};
}

struct untrusted bounce(void)
{
    return (struct untrusted){(uint64_t)kernel.bounce};
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

/* What an enclave that stopped had is still reachable. */
static void *everything[64];

void *alloc(size_t size)
{
    static size_t count;
    if (kernel.no_memory)
        return NULL;
    assert_true(count < ARRAY_SIZE(everything));
    everything[count] = calloc(1, size);
    return everything[count++];
}

void alloc_free(void *p)
{
    free(p);
}

static int64_t serve_open(struct xsk_setup *s)
{
    kernel.opens++;
    kernel.setup = *s;
    if (kernel.open_result < 0)
        return kernel.open_result;
    s->index = (uint64_t)xsk_count();
    for (int i = 0; i < XSK_RINGS; i++)
        s->layout[i] = (struct xsk_ring_layout){PRODUCER, CONSUMER, FLAGS, ENTRIES_AT};
    if (kernel.spoil)
        kernel.spoil(s);
    return FD;
}

static bool served;

bool exit_served(void)
{
    return served;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)maximum, (void)a2, (void)a3, (void)a4, (void)a5;
    if (number == EXIT_XSK_OPEN)
        return serve_open((struct xsk_setup *)a0);
    assert_int_equal(number, EXIT_XSK_KICK);
    assert_int_equal(a0, xsk_count() - 1);
    kernel.kicks++;
    kernel.alone = a1;
    if (kernel.unwilling) {
        kernel.unwilling--;
        return -EAGAIN;
    }
    return 0;
}

/* ---- the kernel's side of the rings ---- */

static uint64_t *word(int ring, uint64_t at)
{
    return (uint64_t *)(kernel.setup.ring_offset[ring] + at);
}

static uint32_t produced(int ring)
{
    assert_int_equal(*word(ring, PRODUCER) >> 32, 0); /* the padding stays 0 */
    return (uint32_t)*word(ring, PRODUCER);
}

static uint32_t consumed(int ring)
{
    assert_int_equal(*word(ring, CONSUMER) >> 32, 0);
    return (uint32_t)*word(ring, CONSUMER);
}

static uint64_t *entry(int ring, uint32_t index)
{
    size_t size = ring == XSK_RING_RX || ring == XSK_RING_TX ? 16 : 8;
    return word(ring, ENTRIES_AT + index % kernel.setup.entries[ring] * size);
}

static void put_descriptor(uint64_t address, uint64_t length)
{
    uint32_t at = produced(XSK_RING_RX);
    entry(XSK_RING_RX, at)[0] = address;
    entry(XSK_RING_RX, at)[1] = length;
    *word(XSK_RING_RX, PRODUCER) = at + 1;
}

static void put_completion(uint64_t address)
{
    uint32_t at = produced(XSK_RING_COMPLETION);
    *entry(XSK_RING_COMPLETION, at) = address;
    *word(XSK_RING_COMPLETION, PRODUCER) = at + 1;
}

/* The address that the next frame of the fill ring has; takes it. */
static uint64_t take_fill(void)
{
    uint32_t at = consumed(XSK_RING_FILL);
    assert_int_not_equal(at, produced(XSK_RING_FILL));
    *word(XSK_RING_FILL, CONSUMER) = at + 1;
    return *entry(XSK_RING_FILL, at);
}

static uint64_t deliver(uint64_t length)
{
    uint64_t address = take_fill() + HEADROOM;
    put_descriptor(address, length);
    return address;
}

/* Sends what is in the TX ring: the addresses. */
static unsigned sent(uint64_t *addresses, unsigned room)
{
    unsigned n = 0;
    for (uint32_t at = consumed(XSK_RING_TX); at != produced(XSK_RING_TX); at++) {
        assert_true(n < room);
        addresses[n++] = entry(XSK_RING_TX, at)[0];
        *word(XSK_RING_TX, CONSUMER) = at + 1;
    }
    return n;
}

/* ---- tests ---- */

static int reset(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    xsk_leave();
    kick_start(NEVER_QUIET);
    return 0;
}

static int open_with(uint64_t mtu, struct xsk **x)
{
    const struct interface_info interface = {.index = 3, .mtu = mtu, .queues = 1};
    return xsk_open(&interface, 0, x);
}

static struct xsk *opened(void)
{
    struct xsk *x;
    assert_int_equal(open_with(1500, &x), 0);
    return x;
}

static const struct statistics_xsk *counters(void)
{
    return &kernel.statistics.xsk[xsk_count() - 1];
}

static void open_chooses_frames_by_mtu(void **state)
{
    (void)state;
    static const struct {
        uint64_t mtu;
        int result;
        uint64_t frame;
    } table[] = {
        {1500, 0, 2048},
        {1772, 0, 2048},
        {1773, 0, 4096},
        {3820, 0, 4096},
        {3821, -EMSGSIZE, 0},
        {65535, -EMSGSIZE, 0},
        {UINT64_MAX, -EMSGSIZE, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct xsk *x;
        kernel.opens = 0;
        assert_int_equal(open_with(table[i].mtu, &x), table[i].result);
        assert_int_equal(kernel.opens, !table[i].result);
        if (table[i].result)
            continue;
        assert_int_equal(xsk_frame_size(x), table[i].frame);
        assert_int_equal(kernel.setup.frame_size, table[i].frame);
        assert_true(kernel.setup.umem_size <= 6 << 20); /* RLIMIT_MEMLOCK is 8 MiB */
        assert_int_equal(xsk_descriptor(x), FD);
    }
}

static void open_fills_the_fill_ring(void **state)
{
    (void)state;
    static uint8_t seen[4096];
    memset(seen, 0, sizeof seen);
    opened();
    uint32_t count = produced(XSK_RING_FILL);
    assert_int_equal(count, 2048);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = take_fill();
        assert_int_equal(address % 2048, 0);
        assert_true(address < kernel.setup.umem_size);
        assert_false(seen[address / 2048]++);
    }
}

static void open_passes_errors_on_and_gives_space_back(void **state)
{
    (void)state;
    struct xsk *x;
    int before = xsk_count();
    kernel.open_result = -EBUSY;
    assert_int_equal(open_with(1500, &x), -EBUSY);
    assert_int_equal(kernel.spaces, 0);
    assert_int_equal(xsk_count(), before);
}

static void open_needs_room(void **state)
{
    (void)state;
    struct xsk *x;
    int before = xsk_count();
    for (kernel.room = 1; kernel.room < 1 + XSK_RINGS; kernel.room++) {
        assert_int_equal(open_with(1500, &x), -ENOMEM);
        assert_int_equal(kernel.spaces, 0);
    }
    kernel.room = 0;
    kernel.no_memory = true;
    assert_int_equal(open_with(1500, &x), -ENOMEM);
    assert_int_equal(kernel.opens, 0);
    assert_int_equal(xsk_count(), before);
}

static void there_are_so_many_at_most(void **state)
{
    (void)state;
    struct xsk *x;
    xsk_leave(); /* in the child of fork there are none, */
    assert_int_equal(xsk_count(), 0);
    for (int i = 0; i < XSK_MAX; i++) {
        assert_int_equal(open_with(1500, &x), 0);
        assert_ptr_equal(xsk_at(i), x);
        assert_int_equal(xsk_interface(x), 3);
    }
    assert_int_equal(open_with(1500, &x), -ENFILE);
    xsk_leave();
    opened(); /* but there can be again */
    assert_int_equal(xsk_count(), 1);
}

static void wrong_index(struct xsk_setup *s)
{
    s->index++;
}

static void outside(struct xsk_setup *s)
{
    s->layout[XSK_RING_TX].descriptors = s->ring_space[XSK_RING_TX] - 8;
}

static void misaligned(struct xsk_setup *s)
{
    s->layout[XSK_RING_FILL].producer = 4;
}

static void overlapping(struct xsk_setup *s)
{
    s->layout[XSK_RING_RX].consumer = s->layout[XSK_RING_RX].producer;
}

static void huge(struct xsk_setup *s)
{
    s->layout[XSK_RING_COMPLETION].descriptors = UINT64_MAX - 7;
}

static void open_believes_no_impossible_answer(void **state)
{
    (void)state;
    void (*const table[])(struct xsk_setup *) = {wrong_index, outside, misaligned, overlapping, huge};
    for (volatile size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct xsk *x;
        kernel.spoil = table[i];
        if (!setjmp(stopped)) {
            open_with(1500, &x);
            fail_msg("answer %zu is believed", i);
        }
    }
}

static void receive_gives_packets_in_order(void **state)
{
    (void)state;
    struct xsk_packet p[XSK_BATCH];
    struct xsk *x = opened();
    assert_false(xsk_readable(x));
    assert_int_equal(xsk_receive(x, p, XSK_BATCH), 0);
    uint64_t first = deliver(60), second = deliver(2048 - HEADROOM);
    assert_true(xsk_readable(x));
    assert_int_equal(xsk_receive(x, p, XSK_BATCH), 2);
    assert_int_equal(p[0].frame * 2048 + p[0].offset, first);
    assert_int_equal(p[0].offset, HEADROOM);
    assert_int_equal(p[0].length, 60);
    assert_int_equal(p[1].frame * 2048 + p[1].offset, second);
    assert_int_equal(p[1].length, 2048 - HEADROOM);
    assert_int_equal(xsk_frame_at(x, p[0].frame, p[0].offset).address,
                     kernel.setup.umem_offset + first);
    assert_false(xsk_readable(x));
    assert_int_equal(consumed(XSK_RING_RX), 2);
    assert_int_equal(counters()->packets_in, 2);
    assert_int_equal(counters()->bytes_in, 60 + 2048 - HEADROOM);
    assert_int_equal(kernel.kicks, 0);
}

static void receive_takes_no_more_than_asked(void **state)
{
    (void)state;
    struct xsk_packet p[XSK_BATCH];
    struct xsk *x = opened();
    for (int i = 0; i < XSK_BATCH + 5; i++)
        deliver(60);
    assert_int_equal(xsk_receive(x, p, 3), 3);
    assert_int_equal(xsk_receive(x, p, 1000), XSK_BATCH);
    assert_int_equal(xsk_receive(x, p, XSK_BATCH), 2);
}

static void held_frames_are_told_and_come_back(void **state)
{
    (void)state;
    struct xsk_packet p[XSK_BATCH];
    static uint32_t held[2048];
    struct xsk *x = opened();
    uint32_t all = xsk_frames_low(x), n = 0;
    for (; n < all; n++) {
        deliver(60);
        assert_int_equal(xsk_receive(x, p, XSK_BATCH), 1);
        held[n] = p[0].frame;
        assert_int_equal(xsk_frames_low(x), all - n - 1);
    }
    assert_int_equal(consumed(XSK_RING_FILL), produced(XSK_RING_FILL));
    for (n = 0; n < all; n++)
        xsk_release(x, held[n]);
    assert_int_equal(xsk_frames_low(x), all);
    assert_int_equal(produced(XSK_RING_FILL) - consumed(XSK_RING_FILL), all);
    xsk_release(x, held[0]); /* nobody holds it: nothing happens */
    assert_int_equal(xsk_frames_low(x), all);
}

static void bad_descriptors_are_dropped_and_counted(void **state)
{
    (void)state;
    struct xsk_packet p[XSK_BATCH];
    struct xsk *x = opened();
    uint64_t frame = take_fill(), size = kernel.setup.umem_size;
    const struct {
        uint64_t address, length;
    } table[] = {
        {frame, 2049},                    /* beyond the frame */
        {frame + 2047, 2},                /* the same by a byte */
        {frame + HEADROOM, UINT32_MAX},   /* */
        {2048ul * 2048, 60},              /* a frame to send from */
        {size, 60},                       /* beyond the UMEM */
        {size - 1, 1},                    /* its last frame is one to send from */
        {UINT64_MAX, 1},                  /* */
        {UINT64_MAX - 2047, 60},          /* */
        {frame | 1ul << 48, 60},          /* the offset field of unaligned mode */
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        put_descriptor(table[i].address, table[i].length);
        assert_int_equal(xsk_receive(x, p, XSK_BATCH), 0);
        assert_int_equal(kernel.violations, i + 1);
        assert_int_equal(counters()->drops[DROP_bad_descriptor], i + 1);
    }
    /* Good ones beside a bad one get through; what is held already does not come again. */
    put_descriptor(frame + HEADROOM, 60);
    put_descriptor(frame + HEADROOM, 60);
    uint64_t other = deliver(61);
    assert_int_equal(xsk_receive(x, p, XSK_BATCH), 2);
    assert_int_equal(p[0].length, 60);
    assert_int_equal(p[1].frame * 2048 + p[1].offset, other);
    assert_int_equal(kernel.violations, ARRAY_SIZE(table) + 1);
    assert_int_equal(counters()->packets_in, 2);
}

static void a_packet_after_quiet_is_kicked_at_once(void **state)
{
    (void)state;
    uint64_t address;
    struct xsk *x = opened();
    kick_start(0);
    for (unsigned i = 1; i <= 3; i++) {
        int frame = xsk_frame_take(x);
        assert_true(frame >= 0);
        assert_int_equal(xsk_send(x, frame, XSK_TX_OFFSET, 60 + i, i == 3), 0);
        assert_int_equal(kernel.kicks, i);
        const uint64_t *d = entry(XSK_RING_TX, consumed(XSK_RING_TX));
        assert_int_equal(d[0], (uint64_t)frame * 2048 + XSK_TX_OFFSET);
        uint64_t options = i == 3 ? XSK_OPTION_METADATA : 0;
        assert_int_equal(d[1], (60 + i) | options << 32);
        assert_int_equal(sent(&address, 1), 1);
        put_completion(address);
    }
    assert_int_equal(counters()->kicks, 3);
    assert_int_equal(counters()->packets_out, 3);
    assert_int_equal(counters()->bytes_out, 61 + 62 + 63);
}

static void send_some(struct xsk *x, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int frame = xsk_frame_take(x);
        assert_true(frame >= 0);
        assert_int_equal(xsk_send(x, frame, XSK_TX_OFFSET, 60, false), 0);
    }
}

static void packets_in_a_row_share_a_kick(void **state)
{
    (void)state;
    struct xsk *x = opened();
    send_some(x, KICK_BATCH - 1);
    assert_int_equal(kernel.kicks, 0);
    assert_int_equal(produced(XSK_RING_TX), KICK_BATCH - 1); /* the monitor may take them */
    send_some(x, 1);
    assert_int_equal(kernel.kicks, 1);
    send_some(x, 1);
    assert_int_equal(kernel.kicks, 1);
    xsk_flush();
    assert_int_equal(kernel.kicks, 2);
    xsk_flush();
    assert_int_equal(kernel.kicks, 2); /* nothing waits: no exit */
}

/* As long as what follows a kick closely, times two. */
static void pause_after_a_kick(uint64_t per_ms)
{
    for (uint64_t end = __builtin_ia32_rdtsc() + 2 * per_ms / KICK_ALONE_PART; __builtin_ia32_rdtsc() < end;)
        continue;
}

static void packets_that_go_alone_are_kicked_and_not_looked_after(void **state)
{
    (void)state;
    const uint64_t per_ms = 1000000000; /* nothing is quiet */
    struct xsk *x = opened();
    kick_start(per_ms);
    for (unsigned i = 0; i < KICK_ALONE_FROM; i++) { /* the first is after quiet */
        send_some(x, 1);
        assert_int_equal(kernel.alone, 0);
        xsk_flush();
    }
    unsigned kicks = kernel.kicks;
    for (unsigned i = 1; i <= 3; i++) {
        pause_after_a_kick(per_ms);
        send_some(x, 1);
        assert_int_equal(kernel.kicks, kicks + i);
        assert_int_equal(kernel.alone, 1);
    }
    /* What follows closely is kicked for once more, and then gathered. */
    send_some(x, 1);
    assert_int_equal(kernel.kicks, kicks + 4);
    assert_int_equal(kernel.alone, 0);
    send_some(x, 2);
    assert_int_equal(kernel.kicks, kicks + 4);
    /* Nor is alone what an exit takes along, which begins the row anew. */
    xsk_flush();
    for (unsigned i = 0; i < 2 * KICK_ALONE_FROM; i++) {
        send_some(x, 1);
        if (i % 2)
            xsk_flush();
        else
            assert_true(xsk_put_off());
    }
    pause_after_a_kick(per_ms);
    kicks = kernel.kicks;
    send_some(x, 1);
    assert_int_equal(kernel.kicks, kicks);
    xsk_flush();
}

static void where_the_host_serves_nobody_kicks(void **state)
{
    (void)state;
    struct xsk *x = opened();
    served = true;
    kick_start(0);
    send_some(x, 3 * KICK_BATCH);
    assert_int_equal(counters()->packets_out, 3 * KICK_BATCH); /* whoever sends on and on is counted too */
    assert_false(xsk_put_off());
    send_some(x, 1);
    xsk_flush();
    assert_int_equal(kernel.kicks, 0);
    assert_int_equal(produced(XSK_RING_TX), 3 * KICK_BATCH + 1);
    assert_int_equal(counters()->packets_out, 3 * KICK_BATCH + 1);
    assert_int_equal(counters()->kicks, 0);
    /* It no longer says so. */
    kick_start(NEVER_QUIET);
    send_some(x, 1);
    served = false;
    assert_true(xsk_put_off());
    send_some(x, 1);
    xsk_flush();
    assert_int_equal(kernel.kicks, 1);
    /* It says so, and does nothing: what has no room is kicked for. */
    served = true;
    int frame;
    while (!kernel.kicks || kernel.kicks == 1) {
        frame = xsk_frame_take(x);
        if (frame < 0 || xsk_send(x, frame, XSK_TX_OFFSET, 60, false))
            break;
    }
    assert_int_equal(kernel.kicks, 2);
    served = false;
}

static void a_sleep_kicks_for_its_own_thread(void **state)
{
    (void)state;
    struct xsk *x = opened();
    block.index = 1;
    send_some(x, 1);
    block.index = 2;
    unsigned before = kernel.kicks;
    xsk_flush(); /* another's: it is not asleep */
    assert_int_equal(kernel.kicks, before);
    send_some(x, 1);
    block.index = 1;
    xsk_flush(); /* both have something there: either sees to it */
    assert_int_equal(kernel.kicks, before + 1);
    send_some(x, 1);
    block.index = 2;
    xsk_flush();
    assert_int_equal(kernel.kicks, before + 1);
    xsk_flush_all();
    assert_int_equal(kernel.kicks, before + 2);
    block.index = 0;
}

static void a_kick_is_repeated_within_bounds(void **state)
{
    (void)state;
    struct xsk *x = opened();
    send_some(x, 1);
    kernel.unwilling = 2;
    xsk_flush();
    assert_int_equal(kernel.kicks, 3);
    send_some(x, 1);
    kernel.unwilling = UINT32_MAX;
    xsk_flush();
    assert_true(kernel.kicks < 1000);
}

static void frames_run_out_and_come_back(void **state)
{
    (void)state;
    static uint64_t addresses[2048];
    struct xsk *x = opened();
    send_some(x, 1024);
    unsigned kicks = kernel.kicks;
    assert_int_equal(xsk_frame_take(x), -ENOBUFS);
    assert_true(kernel.kicks - kicks <= 1);
    assert_int_equal(sent(addresses, ARRAY_SIZE(addresses)), 1024);
    assert_int_equal(xsk_frame_take(x), -ENOBUFS); /* sent, and not yet completed */
    put_completion(addresses[7]);
    assert_int_equal(xsk_frame_take(x), addresses[7] / 2048);
    xsk_frame_give(x, (int)(addresses[7] / 2048)); /* unsent */
    assert_int_equal(xsk_frame_take(x), addresses[7] / 2048);
    assert_int_equal(xsk_frame_take(x), -ENOBUFS);
    xsk_flush();
}

static void bad_completions_free_nothing(void **state)
{
    (void)state;
    uint64_t addresses[2];
    struct xsk *x = opened();
    int held = xsk_frame_take(x);
    send_some(x, 1);
    xsk_flush();
    assert_int_equal(sent(addresses, 2), 1);
    const uint64_t table[] = {
        (uint64_t)held * 2048 + XSK_TX_OFFSET, /* being written to */
        addresses[0] + 9 * 2048,               /* free */
        0,                                     /* a frame to receive into */
        kernel.setup.umem_size,                /* outside */
        UINT64_MAX,
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        put_completion(table[i]);
    put_completion(addresses[0]);
    put_completion(addresses[0]); /* once more */
    send_some(x, 1);
    xsk_flush(); /* looks at completions */
    int first = xsk_frame_take(x), frame;
    assert_int_equal(kernel.violations, ARRAY_SIZE(table) + 1);
    assert_int_equal(counters()->drops[DROP_bad_completion], ARRAY_SIZE(table) + 1);
    /* All that are free: each once, none of them `held`, 1024 with those and the one in the ring. */
    static uint8_t seen[4096];
    memset(seen, 0, sizeof seen);
    unsigned n = 0;
    for (frame = first; frame >= 0; frame = xsk_frame_take(x), n++) {
        assert_int_not_equal(frame, held);
        assert_false(seen[frame]++);
    }
    assert_int_equal(n, 1024 - 2);
}

static void only_what_is_held_is_sent(void **state)
{
    (void)state;
    struct xsk *x = opened();
    int frame = xsk_frame_take(x);
    const int table[] = {-1, 0, 2047, frame + 1, 2048 + 1024, INT32_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        assert_true(xsk_send(x, table[i], XSK_TX_OFFSET, 60, false) < 0);
    assert_int_equal(xsk_send(x, frame, XSK_TX_OFFSET, 2048 - XSK_TX_OFFSET + 1, false), -EMSGSIZE);
    assert_int_equal(xsk_send(x, frame, XSK_TX_OFFSET - 1, 60, false), -EMSGSIZE);
    assert_int_equal(xsk_send(x, frame, 2049, 0, false), -EMSGSIZE);
    assert_int_equal(produced(XSK_RING_TX), 0);
    assert_int_equal(xsk_send(x, frame, XSK_TX_OFFSET, 2048 - XSK_TX_OFFSET, false), 0);
    assert_true(xsk_send(x, frame, XSK_TX_OFFSET, 60, false) < 0); /* the kernel's by now */
    assert_int_equal(produced(XSK_RING_TX), 1);
    xsk_flush();
}

/* What the kernel does not know of is told to it when there is no room for more. */
static void a_full_ring_is_kicked(void **state)
{
    (void)state;
    static uint64_t addresses[2048];
    struct xsk *x = opened();
    int last = -1;
    send_some(x, 1023);
    last = xsk_frame_take(x);
    assert_int_equal(xsk_frame_take(x), -ENOBUFS); /* kicks what waits, in vain */
    unsigned kicks = kernel.kicks;
    assert_int_equal(xsk_send(x, last, XSK_TX_OFFSET, 60, false), 0);
    /* All frames are lent; the kernel completes them without taking them off the ring. */
    for (uint32_t i = 0; i < 2; i++)
        put_completion(entry(XSK_RING_TX, i)[0]);
    last = xsk_frame_take(x);
    assert_true(last >= 0);
    assert_int_equal(xsk_send(x, last, XSK_TX_OFFSET, 60, false), -EAGAIN); /* no place: kicked */
    assert_int_equal(kernel.kicks, kicks + 1);
    assert_int_equal(xsk_send(x, last, XSK_TX_OFFSET, 60, false), -EAGAIN); /* nothing waits: not again */
    assert_int_equal(kernel.kicks, kicks + 1);
    assert_int_equal(sent(addresses, ARRAY_SIZE(addresses)), 1024);
    assert_int_equal(xsk_send(x, last, XSK_TX_OFFSET, 60, false), 0);
    xsk_flush();
}

static void an_impossible_index_stops_the_enclave(void **state)
{
    (void)state;
    struct xsk_packet p[XSK_BATCH];
    struct xsk *x = opened();
    *word(XSK_RING_RX, PRODUCER) = 2049;
    if (!setjmp(stopped)) {
        xsk_receive(x, p, XSK_BATCH);
        fail_msg("an index beyond the rx ring is believed");
    }
    send_some(x, 1);
    *word(XSK_RING_COMPLETION, PRODUCER) = UINT32_MAX;
    if (!setjmp(stopped)) {
        xsk_flush();
        fail_msg("an index beyond the completion ring is believed");
    }
}

#define TEST(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
    block.self = &block;
    syscall(SYS_arch_prctl, ARCH_SET_GS, &block);
    const struct CMUnitTest tests[] = {
        TEST(open_chooses_frames_by_mtu),
        TEST(open_fills_the_fill_ring),
        TEST(open_passes_errors_on_and_gives_space_back),
        TEST(open_believes_no_impossible_answer),
        TEST(receive_gives_packets_in_order),
        TEST(receive_takes_no_more_than_asked),
        TEST(held_frames_are_told_and_come_back),
        TEST(bad_descriptors_are_dropped_and_counted),
        TEST(a_packet_after_quiet_is_kicked_at_once),
        TEST(packets_in_a_row_share_a_kick),
        TEST(packets_that_go_alone_are_kicked_and_not_looked_after),
        TEST(where_the_host_serves_nobody_kicks),
        TEST(a_sleep_kicks_for_its_own_thread),
        TEST(a_kick_is_repeated_within_bounds),
        TEST(frames_run_out_and_come_back),
        TEST(bad_completions_free_nothing),
        TEST(only_what_is_held_is_sent),
        TEST(open_needs_room),
        TEST(a_full_ring_is_kicked),
        TEST(there_are_so_many_at_most),
        TEST(an_impossible_index_stops_the_enclave), /* last: leaves a lock taken */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

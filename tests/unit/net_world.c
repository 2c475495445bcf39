/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net_world.h"

#include <asm/prctl.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/flush.h"
#include "enclave/io/segments.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/boundary/log.h"
#include "enclave/net/bytes.h"
#include "enclave/net/checksum.h"
#include "enclave/net/net.h"
#include "enclave/net/udp.h"
#include "enclave/os/files.h"
#include "enclave/os/interface_name.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"

struct world world;
struct enclave enclave;
int log_threshold = LOG_WARNING;

/* ---- the enclave's surroundings ---- */

static struct thread_block blocks[WORLD_THREADS];

static struct {
    uint8_t none[4096]; /* offset 0 is no place */
    uint8_t bounce[WORLD_THREADS][0x10000];
    _Alignas(4096) uint8_t statistics[0x10000];
    _Alignas(4096) uint8_t frames[WORLD_QUEUES * WORLD_FRAMES][WORLD_FRAME_SIZE];
} arena __attribute__((aligned(4096)));

static struct statistics *const statistics = (struct statistics *)arena.statistics;

void world_thread(uint64_t index)
{
    thread_block()->index = index;
}

void world_thread_enter(uint64_t index)
{
    struct thread_block *block = &blocks[index];
    memset(block, 0, sizeof *block);
    block->self = block;
    block->index = index;
    syscall(SYS_arch_prctl, ARCH_SET_GS, block);
}

/* What stands for the host and the kernel is used by one thread at a time. */
static pthread_mutex_t outside = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static bool outside_take(void)
{
    if (world.threaded)
        pthread_mutex_lock(&outside);
    return world.threaded;
}

static void outside_give(const bool *taken)
{
    if (*taken)
        pthread_mutex_unlock(&outside);
}

#define OUTSIDE bool outside_taken __attribute__((cleanup(outside_give), unused)) = outside_take()

static uint32_t nudged[WORLD_THREADS]; /* where world.threaded: the next sleep ends at once */

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){(uint64_t)&arena + offset};
}

struct untrusted arena_statistics(void)
{
    if (world.no_statistics)
        return (struct untrusted){0};
    return (struct untrusted){(uint64_t)arena.statistics};
}

struct untrusted bounce(void)
{
    return (struct untrusted){(uint64_t)arena.bounce[thread_block() - blocks]};
}

uint64_t bounce_size(void)
{
    return sizeof *arena.bounce;
}

const struct statistics *world_statistics(void)
{
    return statistics;
}

/* What net/ counts of XSKs it counts for as long as it lives, over all worlds. */
static uint64_t drops_before[DROP_COUNT], wakeups_before;

static void statistics_reset(void)
{
    const struct statistics_xsk *x = &statistics->xsk[0];
    for (int i = 0; i < DROP_COUNT; i++)
        drops_before[i] = MAX(drops_before[i], x->drops[i]);
    wakeups_before = MAX(wakeups_before, x->wakeups);
    memset(arena.statistics, 0, sizeof arena.statistics);
}

uint64_t world_drops(enum drop_cause cause)
{
    uint64_t now = statistics->xsk[0].drops[cause];
    return now ? now - drops_before[cause] : 0;
}

uint64_t world_wakeups(void)
{
    uint64_t now = statistics->xsk[0].wakeups;
    return now ? now - wakeups_before : 0;
}

void violation_count(void)
{
    statistics->violations++;
}

void lock_slow(struct lock *l)
{
    if (!world.threaded)
        fail_msg("a lock is taken twice");
    while (!lock_try(l))
        sched_yield();
}

void log_line(enum log_level level, const char *format, ...)
{
    (void)level, (void)format;
}

void *alloc(size_t size)
{
    return world.no_memory ? NULL : calloc(1, size);
}

void alloc_free(void *p)
{
    free(p);
}

bool signal_pending(void)
{
    thread_block()->pending = 0;
    return world.signal;
}

/* The program's memory is everything but the first page. */
int user_range(const void *pointer, size_t length)
{
    return (uint64_t)pointer >= 4096 && length < INT64_MAX ? 0 : -EFAULT;
}

int user_read(void *to, const void *from, size_t length)
{
    if (user_range(from, length))
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

int user_write(void *to, const void *from, size_t length)
{
    if (user_range(to, length))
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

uint64_t time_realtime_at(uint64_t tsc)
{
    return 1700000000000000000ull + tsc;
}

static struct file *all_files[WORLD_HOST_SOCKETS];

struct file *file_new(const struct file_ops *ops, int host_fd, int flags)
{
    struct file *f = calloc(1, sizeof *f);
    f->ops = ops;
    f->host_fd = host_fd;
    f->flags = flags;
    f->references = 1;
    OUTSIDE;
    for (size_t i = 0; i < ARRAY_SIZE(all_files); i++) {
        if (!all_files[i]) {
            all_files[i] = f;
            return f;
        }
    }
    fail();
    return f;
}

static void file_forget(const struct file *f)
{
    OUTSIDE;
    for (size_t i = 0; i < ARRAY_SIZE(all_files); i++)
        if (all_files[i] == f)
            all_files[i] = NULL;
}

void file_put(struct file *f)
{
    if (__atomic_sub_fetch(&f->references, 1, __ATOMIC_ACQ_REL))
        return;
    file_forget(f);
    f->ops->release(f);
    free(f);
}

struct file *host_socket_new(int host_fd, int type, int flags)
{
    (void)host_fd, (void)type, (void)flags;
    return NULL;
}

static int host_set_flags(struct file *f, int flags)
{
    (void)f, (void)flags;
    return 0;
}

const struct file_ops host_file_ops = {.name = "of the host", .set_flags = host_set_flags};

int64_t interface_name(struct file *f, uint64_t argument)
{
    (void)f, (void)argument;
    return -ENOTTY;
}

int64_t host_file_ioctl(struct file *f, uint64_t command, uint64_t argument)
{
    (void)f, (void)command, (void)argument;
    return -ENOTTY;
}

/* ---- exits ---- */

static struct world_host_socket *host_socket_at(int fd);

static int64_t serve_port(uint64_t operation, struct ip_address address, uint16_t port)
{
    world.steerings++;
    if (operation == PORT_ADD && world.port_error)
        return world.port_error;
    for (size_t i = 0; i < ARRAY_SIZE(world.steered); i++) {
        bool same = world.steered[i].steered && ip_equal(world.steered[i].address, address) &&
                    world.steered[i].port == port;
        if (operation == PORT_ADD && same)
            fail_msg("port %u is steered twice", port);
        if (operation == PORT_ADD && !world.steered[i].steered) {
            world.steered[i].steered = true;
            world.steered[i].address = address;
            world.steered[i].port = port;
            return 0;
        }
        if (operation == PORT_REMOVE && same) {
            world.steered[i].steered = false;
            return 0;
        }
    }
    fail_msg("port %u: nothing to do for operation %lu", port, operation);
    return -EINVAL;
}

bool world_steered_ip(struct ip_address address, uint16_t port)
{
    for (size_t i = 0; i < ARRAY_SIZE(world.steered); i++)
        if (world.steered[i].steered && ip_equal(world.steered[i].address, address) &&
            world.steered[i].port == port)
            return true;
    return false;
}

bool world_steered(uint32_t address, uint16_t port)
{
    return world_steered_ip(ip_four(address), port);
}

int world_steered_count(void)
{
    int count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(world.steered); i++)
        count += world.steered[i].steered;
    return count;
}

int64_t exit_call(uint64_t number, uint64_t flags, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                  uint64_t a4, uint64_t a5)
{
    uint8_t *place = (uint8_t *)&arena + a0;
    OUTSIDE;
    (void)flags, (void)a3, (void)a4, (void)a5;
    world.exits.total++;
    switch (number) {
    case EXIT_INTERFACES:
        world.exits.interfaces++;
        if (world.interfaces_error)
            return world.interfaces_error;
        assert_int_equal(a1, sizeof world.interfaces);
        memcpy(place, &world.interfaces, sizeof world.interfaces);
        return 0;
    case EXIT_ROUTE: {
        struct route_query q;
        world.exits.routes++;
        memcpy(&q, place, sizeof q);
        world.asked = q;
        struct route_query answer = ip_is_four(q.destination) ? world.route : world.route_six;
        if (!ip_is_any(q.source))
            answer.source = q.source;
        memcpy(place, &answer, sizeof answer);
        return world.route_error;
    }
    case EXIT_PORT: {
        struct port_key key;
        memcpy(&key, (uint8_t *)&arena + a1, sizeof key);
        /* With a socket that has the port. */
        if (a0 == PORT_ADD)
            assert_int_equal(host_socket_at((int)key.socket)->port, key.port);
        return serve_port(a0, key.address, (uint16_t)key.port);
    }
    case EXIT_NEIGHBOUR:
        world.neighbour.count++;
        world.neighbour.interface = a0;
        world.neighbour.length = a2;
        memcpy(world.neighbour.frame, (uint8_t *)&arena + a1, MIN(a2, sizeof world.neighbour.frame));
        return 0;
    case EXIT_INTERRUPT:
        world.exits.interrupts++;
        world.exits.interrupted |= 1ull << a0;
        __atomic_store_n(&nudged[a0], 1, __ATOMIC_RELEASE);
        return 0;
    case EXIT_CLOCK: {
        struct clock_sample sample = {.tsc_hz = 1000000000};
        memcpy(place, &sample, sizeof sample);
        return 0;
    }
    }
    fail_msg("unexpected exit %lu", number);
    return -ENOSYS;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    int64_t result = exit_call(number, flags, a0, a1, a2, a3, a4, a5);
    assert_true(result >= -4095 && result <= (int64_t)maximum);
    return result;
}

/* ---- XSK ---- */

struct xsk {
    enum { FREE, RECEIVED, HELD, SENDING } owner[WORLD_FRAMES];
    struct xsk_packet ring[WORLD_FRAMES];
    int ring_count;
};

static struct xsk xsks[WORLD_QUEUES];
static int open_count;

int xsk_open(const struct interface_info *interface, uint64_t queue, struct xsk **out)
{
    assert_int_equal(interface->index, INTERFACE_INDEX);
    if (world.xsk_error)
        return world.xsk_error;
    assert_int_equal(queue, open_count);
    *out = &xsks[open_count++];
    return 0;
}

int xsk_count(void)
{
    return open_count;
}

struct xsk *xsk_at(int i)
{
    assert_true(i >= 0 && i < open_count);
    return &xsks[i];
}

int xsk_descriptor(const struct xsk *x)
{
    return XSK_DESCRIPTOR + (int)(x - xsks);
}

static uint8_t *frame_of(const struct xsk *x, uint32_t frame)
{
    return arena.frames[(x - xsks) * WORLD_FRAMES + frame];
}

uint64_t xsk_interface(const struct xsk *x)
{
    (void)x;
    return INTERFACE_INDEX;
}

uint32_t xsk_frame_size(const struct xsk *x)
{
    (void)x;
    return WORLD_FRAME_SIZE;
}

uint32_t xsk_waiting(const struct xsk *x)
{
    OUTSIDE;
    return (uint32_t)x->ring_count;
}

uint64_t xsk_received(const struct xsk *x)
{
    (void)x;
    return world.received; /* never so many that a nap is worth it, unless the test says so */
}

void host_nap(uint32_t ns)
{
    world.napped_ns += ns;
}

bool xsk_readable(const struct xsk *x)
{
    OUTSIDE;
    return x->ring_count > 0;
}

static int frame_free(struct xsk *x)
{
    for (int i = 0; i < WORLD_FRAMES; i++)
        if (x->owner[i] == FREE)
            return i;
    return -1;
}

int xsk_receive(struct xsk *x, struct xsk_packet *out, int count)
{
    OUTSIDE;
    int n = MIN(MIN(count, XSK_BATCH), x->ring_count);
    for (int i = 0; i < n; i++) {
        out[i] = x->ring[i];
        x->owner[out[i].frame] = HELD;
        world.frames_out++;
    }
    memmove(x->ring, x->ring + n, (size_t)(x->ring_count - n) * sizeof *x->ring);
    x->ring_count -= n;
    return n;
}

void xsk_release(struct xsk *x, uint32_t frame)
{
    OUTSIDE;
    assert_int_equal(x->owner[frame], HELD);
    x->owner[frame] = FREE;
    world.frames_out--;
}

uint32_t xsk_frames_low(const struct xsk *x)
{
    OUTSIDE;
    (void)x;
    return MAX((uint32_t)(WORLD_FRAMES - world.frames_out), world.frames_low);
}

int xsk_frame_take(struct xsk *x)
{
    OUTSIDE;
    int i = frame_free(x);
    if (i < 0)
        return -ENOBUFS;
    x->owner[i] = SENDING;
    world.frames_taken++;
    return i;
}

void xsk_frame_give(struct xsk *x, int frame)
{
    OUTSIDE;
    assert_int_equal(x->owner[frame], SENDING);
    x->owner[frame] = FREE;
    world.frames_taken--;
}

bool xsk_checksums(const struct xsk *x)
{
    (void)x;
    return world.checksums;
}

/* As the kernel does: the field holds the pseudo-header's sum, what is summed begins at the UDP header. */
static void fill_in_checksum(uint8_t *bytes, uint32_t length)
{
    struct xsk_metadata m;
    memcpy(&m, bytes - sizeof m, sizeof m);
    assert_int_equal(m.flags, XSK_METADATA_CHECKSUM);
    uint32_t field = (uint32_t)m.checksum_start + m.checksum_offset;
    assert_true(field + 2 <= length);
    uint32_t end = m.checksum_start + (uint32_t)(bytes[m.checksum_start + 4] << 8 |
                                                 bytes[m.checksum_start + 5]);
    assert_true(end <= length);
    uint16_t sum = (uint16_t)(0xffff - checksum_fold(checksum_sum(bytes + m.checksum_start,
                                                                  end - m.checksum_start)));
    store_be16(bytes + field, sum ? sum : 0xffff);
}

int xsk_send(struct xsk *x, int frame, uint32_t start, uint32_t length, bool metadata)
{
    OUTSIDE;
    assert_int_equal(x->owner[frame], SENDING);
    assert_int_equal(metadata, world.checksums);
    if (world.full_after && world.sent == world.full_after) {
        world.transmit_full = true;
        world.full_after = 0;
    }
    if (world.transmit_full)
        return -EAGAIN;
    assert_true(start >= XSK_TX_OFFSET);
    assert_true(length <= WORLD_FRAME_SIZE - start);
    if (world.threaded)
        world.sent %= WORLD_WIRE;
    assert_true(world.sent < WORLD_WIRE);
    if (metadata)
        fill_in_checksum(frame_of(x, (uint32_t)frame) + start, length);
    world.wire[world.sent].length = length;
    memcpy(world.wire[world.sent++].bytes, frame_of(x, (uint32_t)frame) + start, length);
    xsk_frame_give(x, frame);
    return 0;
}

void io_flush(void)
{
    OUTSIDE;
    world.exits.flushes++;
}

void io_flush_along(void)
{
    io_flush();
}

void xsk_leave(void)
{
    open_count = 0;
}

void files_visit(void (*visit)(struct file *f))
{
    for (size_t i = 0; i < ARRAY_SIZE(all_files); i++)
        if (all_files[i])
            visit(all_files[i]);
}

void xsk_flush_all(void)
{
    OUTSIDE;
    world.exits.flushes++;
}

bool xsk_zerocopy(const struct xsk *x)
{
    (void)x;
    return world.zerocopy;
}

/* ---- segments: one set, which the test sends ---- */

struct segments {
    int unused;
};

struct segments *segments_take(void)
{
    OUTSIDE;
    static struct segments one_set;
    if (!world.segments.offered || world.segments.taken)
        return NULL;
    world.segments.taken = true;
    return &one_set;
}

int segments_send(struct segments *s)
{
    OUTSIDE;
    (void)s;
    if (world.segments.blocked)
        return -EAGAIN;
    world.segments.sent += world.segments.gathered;
    world.segments.gathered = 0;
    return 0;
}

void segments_give(struct segments *s)
{
    OUTSIDE;
    segments_send(s);
    world.segments.taken = false;
}

int segments_add(struct segments *s, int host_fd, const void *name, size_t name_length,
                 const void *payload, uint32_t length)
{
    OUTSIDE;
    (void)s, (void)host_socket_at(host_fd);
    if (world.segments.blocked)
        return -EAGAIN;
    world.segments.name_length = name_length;
    if (name_length)
        memcpy(&world.segments.name, name, name_length);
    memcpy(world.segments.last, payload, MIN(length, (uint32_t)sizeof world.segments.last));
    world.segments.last_length = length;
    world.segments.gathered++;
    return 0;
}

int segments_error(struct segments *s)
{
    OUTSIDE;
    int error = world.segments.error;
    (void)s;
    world.segments.error = 0;
    return -error;
}

struct untrusted xsk_frame_at(const struct xsk *x, uint32_t frame, uint32_t offset)
{
    OUTSIDE;
    assert_true(x->owner[frame] == HELD || x->owner[frame] == SENDING);
    assert_true(offset <= WORLD_FRAME_SIZE);
    return (struct untrusted){(uint64_t)frame_of(x, frame) + offset};
}

void world_receive_frame(const void *bytes, size_t length)
{
    static uint32_t offset = 262; /* the kernel's headroom and ours */
    OUTSIDE;
    struct xsk *x = &xsks[world.queue];
    int i = frame_free(x);
    assert_true(i >= 0);
    memset(frame_of(x, (uint32_t)i), 0xaa, WORLD_FRAME_SIZE);
    memcpy(frame_of(x, (uint32_t)i) + offset, bytes, length);
    x->owner[i] = RECEIVED;
    x->ring[x->ring_count++] = (struct xsk_packet){(uint32_t)i, offset, (uint32_t)length};
}

void world_receive_ip(struct ip_address source, uint16_t source_port, struct ip_address destination,
                      uint16_t port, const void *payload, size_t length, enum world_checksum checksum)
{
    uint8_t frame[WORLD_FRAME_SIZE] = {0};
    uint32_t overhead = udp_overhead(destination);
    uint8_t *field = frame + overhead - 2;
    const struct udp_fields f = {
        .source_mac = PEER_MAC,
        .destination_mac = OUR_MAC,
        .source = source,
        .destination = destination,
        .source_port = source_port,
        .destination_port = port,
        .length = (uint16_t)length,
        .payload_sum = (uint16_t)checksum_sum(payload, length),
        .ttl = 33,
        .tos = 0x28,
        .flow_label = 0x12345,
    };
    udp_build(frame, &f);
    memcpy(frame + overhead, payload, length);
    if (checksum == CHECKSUM_NONE)
        store_be16(field, 0);
    if (checksum == CHECKSUM_PARTIAL)
        store_be16(field, (uint16_t)checksum_pseudo(source, destination, (uint32_t)length + UDP_HEADER));
    if (checksum == CHECKSUM_WRONG)
        store_be16(field, load_be16(field) ^ 0x0101);
    world_receive_frame(frame, overhead + length);
}

void world_receive(uint32_t source, uint16_t source_port, uint32_t destination, uint16_t port,
                   const void *payload, size_t length, enum world_checksum checksum)
{
    world_receive_ip(ip_four(source), source_port, ip_four(destination), port, payload, length, checksum);
}

void world_receive_by(int queue, uint32_t source, uint16_t source_port, uint16_t port, const void *payload,
                      size_t length)
{
    OUTSIDE;
    world.queue = queue;
    world_receive(source, source_port, OUR_ADDRESS, port, payload, length, CHECKSUM_PARTIAL);
}

int world_waiting_by(int queue)
{
    OUTSIDE;
    return xsks[queue].ring_count;
}

void world_scribble(void)
{
    for (int i = 0; i < WORLD_QUEUES * WORLD_FRAMES; i++)
        memset(arena.frames[i], 0xbb, WORLD_FRAME_SIZE);
}

struct world_datagram world_sent(int i)
{
    struct world_datagram out = {0};
    struct udp_datagram d;
    const uint8_t *bytes = world.wire[i].bytes;
    assert_true(i < world.sent);
    assert_int_equal(udp_parse(bytes, world.wire[i].length, world.wire[i].length, &d), 0);
    assert_int_equal(checksum_fold(d.sum + checksum_sum(bytes + d.offset, d.length)), 0xffff);
    out.source_ip = d.source;
    out.destination_ip = d.destination;
    out.source = ip_to_four(d.source);
    out.destination = ip_to_four(d.destination);
    out.ttl = d.ttl;
    out.tos = d.tos;
    out.flow = d.flow;
    out.source_port = d.source_port;
    out.destination_port = d.destination_port;
    out.length = d.length;
    memcpy(out.bytes, bytes + d.offset, d.length);
    return out;
}

/* ---- the host's sockets: descriptors 100 and up ---- */

#define FIRST_DESCRIPTOR WORLD_FIRST_DESCRIPTOR

static struct world_host_socket *host_socket_at(int fd)
{
    assert_true(fd >= FIRST_DESCRIPTOR && fd < FIRST_DESCRIPTOR + WORLD_HOST_SOCKETS);
    struct world_host_socket *s = &world.host[fd - FIRST_DESCRIPTOR];
    assert_true(s->open);
    return s;
}

int world_host_socket(void)
{
    OUTSIDE;
    for (int i = 0; i < WORLD_HOST_SOCKETS; i++) {
        if (world.host[i].open)
            continue;
        world.host[i] = (struct world_host_socket){.open = true, .receive_buffer = 212992};
        return FIRST_DESCRIPTOR + i;
    }
    fail();
    return -1;
}

int world_host_socket_six(void)
{
    int fd = world_host_socket();
    world.host[fd - FIRST_DESCRIPTOR].six = true;
    return fd;
}

/* An address of the socket's family: true; else it is not one. */
static bool host_address(const struct world_host_socket *s, const struct sockaddr *a, socklen_t n,
                         struct ip_address *address, uint16_t *port)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
    if (s->six ? n < sizeof *in6 || a->sa_family != AF_INET6 : n < sizeof *in || a->sa_family != AF_INET)
        return false;
    *address = s->six ? load_ip(in6->sin6_addr.s6_addr) : ip_four(ntohl(in->sin_addr.s_addr));
    *port = ntohs(in->sin_port);
    return true;
}

static socklen_t host_sockaddr(const struct world_host_socket *s, struct ip_address address,
                               uint16_t port, void *out)
{
    if (s->six) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        store_ip(in6.sin6_addr.s6_addr, address);
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    const struct sockaddr_in in = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(ip_to_four(address)),
                                   .sin_port = htons(port)};
    memcpy(out, &in, sizeof in);
    return sizeof in;
}

int host_close(int fd)
{
    OUTSIDE;
    if (fd >= XSK_DESCRIPTOR)
        return 0;
    host_socket_at(fd)->open = false;
    return 0;
}

static void autobind(struct world_host_socket *s)
{
    if (!s->port)
        s->port = world.port_next++;
}

int host_bind(int fd, const struct sockaddr *a, socklen_t n)
{
    OUTSIDE;
    struct world_host_socket *s = host_socket_at(fd);
    world.exits.total++;
    if (s->port || !host_address(s, a, n, &s->address, &s->port))
        return -EINVAL;
    if (ip_is_link_local(s->address))
        s->device = (int)((const struct sockaddr_in6 *)a)->sin6_scope_id;
    autobind(s);
    return 0;
}

int host_connect(int fd, const struct sockaddr *a, socklen_t n, uint64_t exit_flags)
{
    OUTSIDE;
    struct world_host_socket *s = host_socket_at(fd);
    struct ip_address peer;
    uint16_t port;
    (void)exit_flags;
    world.exits.total++;
    if (n < sizeof(sa_family_t))
        return -EINVAL;
    memset(&s->peer, 0, sizeof s->peer);
    if (a->sa_family == AF_UNSPEC)
        return 0;
    if (!host_address(s, a, n, &peer, &port))
        return -EINVAL;
    memcpy(&s->peer, a, n);
    autobind(s);
    if (ip_is_any(s->address) && ip_is_four(peer))
        s->address = ip_four(ip_is_loopback(peer) ? INADDR_LOOPBACK : OUR_ADDRESS);
    else if (ip_is_any(s->address))
        s->address = ip_is_link_local(peer) ? OUR_LOCAL : OUR_SIX;
    if (ip_is_link_local(peer))
        s->device = (int)((const struct sockaddr_in6 *)a)->sin6_scope_id;
    return 0;
}

int host_getsockname(int fd, struct sockaddr_storage *a, socklen_t *n)
{
    OUTSIDE;
    struct world_host_socket *s = host_socket_at(fd);
    world.exits.total++;
    *n = host_sockaddr(s, s->address, s->port, a);
    return 0;
}

int host_getpeername(int fd, struct sockaddr_storage *a, socklen_t *n)
{
    struct world_host_socket *s = host_socket_at(fd);
    *a = s->peer;
    *n = s->six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    return s->peer.ss_family ? 0 : -ENOTCONN;
}

int host_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    OUTSIDE;
    struct world_host_socket *s = host_socket_at(fd);
    if (level == SOL_SOCKET && name == SO_RCVBUF && n == sizeof(int)) {
        memcpy(&s->receive_buffer, value, sizeof(int));
        s->receive_buffer = (int)MIN((unsigned)s->receive_buffer, 4u << 20) * 2; /* net.core.rmem_max */
    }
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
        memcpy(&s->only_six, value, sizeof(int));
    if (level == SOL_SOCKET && name == SO_BINDTOIFINDEX)
        memcpy(&s->device, value, sizeof(int));
    if (level == IPPROTO_IP && name == IP_MTU_DISCOVER) {
        memcpy(&s->discover, value, sizeof(int));
        s->discover_set = true;
    }
    return 0;
}

int host_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    OUTSIDE;
    struct world_host_socket *s = host_socket_at(fd);
    int error = -s->error;
    world.exits.total++;
    if (level == SOL_SOCKET && name == SO_ERROR)
        s->error = 0;
    int answer = level == SOL_SOCKET && name == SO_RCVBUF         ? s->receive_buffer
                 : level == SOL_SOCKET && name == SO_ERROR         ? error
                 : level == SOL_SOCKET && name == SO_BINDTOIFINDEX ? s->device
                 : level == IPPROTO_IPV6 && name == IPV6_V6ONLY    ? s->only_six
                 : level == IPPROTO_IPV6 && name == IPV6_AUTOFLOWLABEL ? 1
                 : level == IPPROTO_IP && name == IP_MTU_DISCOVER  ? (s->discover_set ? s->discover : IP_PMTUDISC_WANT)
                                                                   : 0;
    memcpy(value, &answer, sizeof answer);
    *n = sizeof answer;
    return 0;
}

int64_t host_plain(uint64_t number, uint64_t exit_flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                   uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)exit_flags, (void)maximum, (void)a1, (void)a2, (void)a3, (void)a4;
    assert_int_equal(number, SYS_shutdown);
    return host_socket_at((int)a0)->peer.ss_family ? 0 : -ENOTCONN;
}

int host_fstat(int fd, struct stat *out)
{
    (void)host_socket_at(fd);
    memset(out, 0, sizeof *out);
    out->st_mode = S_IFSOCK;
    return 0;
}

int64_t host_sendmsg(int fd, const struct msghdr *m, uint64_t skip, int flags, uint64_t exit_flags,
                     uint64_t *asked)
{
    OUTSIDE;
    struct world_host_socket *s = host_socket_at(fd);
    const struct sockaddr *to = m->msg_namelen ? m->msg_name : (const struct sockaddr *)&s->peer;
    (void)exit_flags;
    assert_int_equal(skip, 0);
    assert_true(flags & MSG_DONTWAIT);
    world.exits.total++;
    s->sends++;
    memset(&s->last, 0, sizeof s->last);
    if (!host_address(s, to, m->msg_namelen ? m->msg_namelen : sizeof s->peer, &s->last.destination_ip,
                      &s->last.destination_port) ||
        !s->last.destination_port)
        return -EDESTADDRREQ;
    autobind(s);
    s->last.destination = ip_to_four(s->last.destination_ip);
    *asked = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        size_t n = MIN(m->msg_iov[i].iov_len, sizeof s->last.bytes - s->last.length);
        memcpy(s->last.bytes + s->last.length, m->msg_iov[i].iov_base, n);
        s->last.length += n;
        *asked += m->msg_iov[i].iov_len;
    }
    if (*asked > 65507)
        return -EMSGSIZE;
    return (int64_t)*asked;
}

int64_t host_recvmsg(int fd, struct msghdr *m, uint64_t skip, int flags, uint64_t exit_flags,
                     uint64_t *asked)
{
    OUTSIDE;
    struct world_host_socket *s = host_socket_at(fd);
    (void)exit_flags, (void)asked;
    assert_int_equal(skip, 0);
    assert_true(flags & MSG_DONTWAIT);
    world.exits.total++;
    s->receives++;
    if (s->error) {
        int error = s->error;
        s->error = 0;
        return error;
    }
    if (!s->queued)
        return -EAGAIN;
    struct world_datagram d = s->queue[0];
    if (!(flags & MSG_PEEK))
        memmove(s->queue, s->queue + 1, (size_t)--s->queued * sizeof d);
    size_t done = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        size_t n = MIN(m->msg_iov[i].iov_len, d.length - done);
        memcpy(m->msg_iov[i].iov_base, d.bytes + done, n);
        done += n;
    }
    m->msg_flags = done < d.length ? MSG_TRUNC : 0;
    m->msg_controllen = 0;
    if (m->msg_name)
        m->msg_namelen = host_sockaddr(s, ip_four(d.source), d.source_port, m->msg_name);
    return (int64_t)(flags & MSG_TRUNC ? d.length : done);
}

void world_host_receive(int fd, uint32_t source, uint16_t source_port, const void *payload,
                        size_t length)
{
    struct world_host_socket *s = host_socket_at(fd);
    struct world_datagram *d = &s->queue[s->queued++];
    d->source = source;
    d->source_port = source_port;
    d->length = length;
    memcpy(d->bytes, payload, length);
}

int host_ppoll(struct pollfd *p, unsigned count, uint64_t *timeout_ns, uint64_t exit_flags)
{
    OUTSIDE;
    int ready = 0;
    bool sleeps = *timeout_ns != 0;
    assert_int_equal(sleeps, (exit_flags & EXIT_INTERRUPTIBLE) != 0);
    bool nudge = __atomic_exchange_n(&nudged[thread_block()->index], 0, __ATOMIC_ACQUIRE);
    if (sleeps && (thread_block()->pending || (nudge && world.threaded)))
        return -EINTR;
    world.exits.total++;
    world.exits.sleeps += sleeps;
    world.slept_ns = *timeout_ns;
    if (sleeps && world.full_sleeps && --world.full_sleeps == 0)
        world.transmit_full = false;
    if (sleeps && world.on_sleep)
        world.on_sleep();
    if (sleeps && world.sleep_result) {
        int result = world.sleep_result;
        world.sleep_result = 0;
        return result;
    }
    world.looked_at_xsks = false;
    world.slept_for = 0;
    for (unsigned i = 0; i < count; i++) {
        short events = 0;
        if (p[i].fd >= XSK_DESCRIPTOR) {
            world.looked_at_xsks = true;
            world.slept_for |= 1u << (p[i].fd - XSK_DESCRIPTOR);
            events = (short)((xsks[p[i].fd - XSK_DESCRIPTOR].ring_count ? POLLIN : 0) | (world.transmit_full ? 0 : POLLOUT));
        } else if (p[i].fd >= 0) {
            const struct world_host_socket *s = host_socket_at(p[i].fd);
            events = (short)((s->queued ? POLLIN : 0) | POLLOUT | (s->error ? POLLERR : 0));
        }
        p[i].revents = events & (p[i].events | POLLERR);
        ready += p[i].revents != 0;
    }
    if (world.threaded)
        return ready;
    if (!ready && *timeout_ns == NO_TIMEOUT && !world.full_sleeps)
        fail_msg("sleeps for ever");
    if (!ready && *timeout_ns != NO_TIMEOUT)
        *timeout_ns = 0;
    return ready;
}

/* ---- */

void world_start(void)
{
    world_start_queues(1);
}

void world_start_queues(int queues)
{
    memset(&world, 0, sizeof world);
    memset(xsks, 0, sizeof xsks);
    open_count = 0;
    statistics_reset();
    world_thread_enter(0);
    world.port_next = 33000;
    world.interfaces.count = 1;
    world.interfaces.interface[0] = (struct interface_info){
        .index = INTERFACE_INDEX,
        .mac = OUR_MAC,
        .mtu = 1500,
        .mtu_six = 1500,
        .queues = (uint64_t)queues,
        .up = 1,
        .address_count = 3,
        .address = {{ip_four(OUR_ADDRESS), 24}, {OUR_SIX, 64}, {OUR_LOCAL, 64}},
    };
    world.route = (struct route_query){
        .source = ip_four(OUR_ADDRESS),
        .interface_index = INTERFACE_INDEX,
        .kind = ROUTE_UNICAST,
        .mtu = 1500,
        .hop_limit = 64,
        .next_hop = ip_four(PEER_ADDRESS),
        .mac = PEER_MAC,
        .neighbour_known = 1,
    };
    world.route_six = world.route;
    world.route_six.source = OUR_SIX;
    world.route_six.next_hop = PEER_SIX;
    world.route_six.hop_limit = 63;
    enclave.rings = true;
    enclave.start.xsk_allowed = 1;
    net_start();
    assert_true(net_active());
    memset(&world.exits, 0, sizeof world.exits);
}

void world_end(void)
{
    assert_int_equal(world.frames_out, 0);
    assert_int_equal(world.frames_taken, 0);
    for (int i = 0; i < WORLD_HOST_SOCKETS; i++)
        assert_false(world.host[i].open);
    for (size_t i = 0; i < ARRAY_SIZE(world.steered); i++)
        assert_false(world.steered[i].steered);
    for (int i = 0; i < STATISTICS_SOCKETS; i++)
        assert_int_equal(statistics->socket[i].local_port, 0);
}

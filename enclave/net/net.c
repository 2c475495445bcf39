/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing the network up, and taking in what it receives. */
#include "enclave/net/net.h"

#include <errno.h>
#include <poll.h>

#include "abi/net.h"
#include "abi/stats.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/network.h"
#include "enclave/enclave.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/flush.h"
#include "enclave/io/moderate.h"
#include "enclave/io/watch.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/boundary/log.h"
#include "enclave/net/endpoint.h"
#include "enclave/net/ethernet.h"
#include "enclave/net/interface.h"
#include "enclave/net/route.h"
#include "enclave/net/udp.h"

/* Whole words that hold the headers of any datagram, wherever the frame begins. */
#define HEAD_WORDS ((UDP_OVERHEAD_MAX + 7 + 7) / 8)

/* When an XSK has fewer frames than this to receive into, payloads that wait move inside. */
#define FRAMES_LOW 256u

static struct {
    struct {
        struct lock lock; /* held from taking packets off the ring until they are queued: keeps order */
        uint32_t place, places; /* of its interface's XSKs */
        struct interface_copy *interfaces; /* guarded by lock */
        uint64_t drops[DROP_COUNT];
        uint64_t sleeps;
    } drain[XSK_MAX];
    bool active;
    uint64_t second;      /* in ticks */
    uint64_t reload_next; /* TSC: addresses may be asked for again from then on */
    uint64_t sleeps;
    uint32_t served;      /* XSKs that have threads of their own */
    struct moderation moderation[THREADS_MAX]; /* of each thread its own, and so are ... */
    struct watch watch[THREADS_MAX];
    uint64_t sent[THREADS_MAX];                /* datagrams, by each */
    bool reload;          /* a packet came for an address that is not known here */
} net;

bool net_active(void)
{
    return net.active;
}

uint64_t net_second(void)
{
    return net.second;
}

void net_place(int index, uint32_t *place, uint32_t *places)
{
    *place = net.drain[index].place;
    *places = net.drain[index].places;
}

/* An XSK a queue, `most` at most. What comes by a queue that has none takes the host's way. */
static void open_interface(const struct interface_info *interface, uint32_t most)
{
    int first = xsk_count();
    uint32_t opened = 0;
    int error = 0;
    for (uint64_t queue = 0; queue < interface->queues && opened < most && (!error || error == -EBUSY); queue++) {
        struct xsk *x;
        int index = first + (int)opened;
        if (!net.drain[index].interfaces && !(net.drain[index].interfaces = interface_copy_new()))
            error = -ENOMEM;
        else
            error = xsk_open(interface, queue, &x);
        if (error)
            log_warning("queue %lu of interface %lu has no AF_XDP socket (error %d): its datagrams "
                        "take the host's way",
                        queue, interface->index, -error);
        else
            net.drain[index].place = opened++;
    }
    for (uint32_t i = 0; i < opened; i++)
        net.drain[first + (int)i].places = opened;
    if (!error && opened < interface->queues)
        log_info("interface %lu has %lu queues, of which %u have AF_XDP sockets", interface->index,
                 interface->queues, opened);
}

void net_start(void)
{
    if (!enclave.rings || !enclave.start.xsk_allowed)
        return; /* the host has said why */
    int error = interfaces_load();
    if (error) {
        log_warning("UDP goes over host sockets: the host does not tell its interfaces (error %d)",
                    -error);
        return;
    }
    net.second = network_tick_rate();
    net.reload_next = 0;
    error = route_start(net.second);
    if (error) {
        log_warning("UDP goes over host sockets: no memory for routes");
        return;
    }
    uint32_t most = XSK_MAX / (uint32_t)MAX(interface_count(), 1);
    for (uint64_t i = 0; i < interface_count(); i++) {
        struct interface_info interface;
        interface_at(i, &interface);
        open_interface(&interface, most);
    }
    net.active = xsk_count() > 0;
}

void net_serve(uint32_t xsks)
{
    net.served = xsks;
}

uint32_t net_unserved(uint32_t xsks)
{
    return xsks & ~net.served;
}

void net_leave(void)
{
    net.active = false;
    net.served = 0;
    for (int i = 0; i < xsk_count(); i++)
        host_close(xsk_descriptor(xsk_at(i)));
    xsk_leave();
    udp_ports_leave();
}

static struct untrusted statistics_of(int index)
{
    struct untrusted s = arena_statistics();
    if (!s.address)
        return s;
    return untrusted_at(s, offsetof(struct statistics, xsk) +
                               (uint64_t)index * sizeof(struct statistics_xsk));
}

static void count_drop(int index, enum drop_cause cause)
{
    struct untrusted s = statistics_of(index);
    uint64_t count = ++net.drain[index].drops[cause];
    if (s.address)
        untrusted_store(untrusted_at(s, offsetof(struct statistics_xsk, drops) + cause * 8), count);
}

/* What a batch shares. */
struct batch {
    int index;
    struct xsk *xsk;
    const struct interface_list *interfaces;
    struct thread_set wake;
    uint64_t tsc;               /* when it was taken off the ring */
    struct ip_address accepted; /* one that is known to be the interface's, or none yet */
    struct ip_address believed; /* one that is known to be another's */
};

static bool accepts(struct batch *b, struct ip_address destination)
{
    if (ip_is_none(destination))
        return false;
    if (ip_equal(destination, b->accepted))
        return true;
    if (!interface_list_accepts(b->interfaces, xsk_interface(b->xsk), destination)) {
        __atomic_store_n(&net.reload, true, __ATOMIC_RELAXED);
        return false;
    }
    b->accepted = destination;
    return true;
}

/* Could an honest sender elsewhere have this address? The kernel takes no other from a network either: what
 * claims to be local must have come by loopback (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). */
static bool believable(struct batch *b, struct ip_address source)
{
    if (ip_is_none(source))
        return false;
    if (ip_equal(source, b->believed))
        return true;
    if (ip_is_loopback(source) || ip_is_multicast(source) || interface_list_owns(b->interfaces, 0, source))
        return false;
    if (ip_is_four(source) && (ip_to_four(source) >> 24 == 0 || ip_to_four(source) == UINT32_MAX))
        return false;
    b->believed = source;
    return true;
}

/* Not dropped: the host has seen to it. */
#define DROP_none DROP_COUNT

/* True: a queue owns the frame. False: *cause. */
static bool input(struct batch *b, const struct xsk_packet *p, enum drop_cause *cause)
{
    uint64_t head[HEAD_WORDS];
    struct udp_datagram d;
    uint32_t skip = p->offset % 8;
    uint32_t words = MIN((skip + p->length + 7) / 8, (uint32_t)HEAD_WORDS);
    uint32_t known = MIN(words * 8 - skip, p->length);
    untrusted_read(head, xsk_frame_at(b->xsk, p->frame, p->offset - skip), words * 8);
    int error = udp_parse((const uint8_t *)head + skip, known, p->length, &d);
    if (error && ethernet_is_neighbour((const uint8_t *)head + skip, known)) {
        network_neighbour(xsk_interface(b->xsk), xsk_frame_at(b->xsk, p->frame, p->offset), p->length);
        *cause = DROP_none;
        return false;
    }
    if (error) {
        *cause = error == -EBADMSG ? DROP_checksum : DROP_malformed;
        return false;
    }
    if (!accepts(b, d.destination)) {
        *cause = DROP_no_socket;
        return false;
    }
    if (!believable(b, d.source)) {
        *cause = DROP_malformed;
        return false;
    }
    const struct udp_arrival arrival = {.xsk = b->xsk,
                                        .index = b->index,
                                        .place = net.drain[b->index].place,
                                        .places = net.drain[b->index].places,
                                        .frame = p->frame,
                                        .offset = p->offset + d.offset,
                                        .tsc = b->tsc};
    return udp_deliver(&d, &arrival, &b->wake, cause);
}

static int drain(int index, struct xsk *x)
{
    struct xsk_packet packets[XSK_BATCH];
    struct batch b = {.index = index, .xsk = x};
    if (!lock_try(&net.drain[index].lock))
        return 0;
    int count = xsk_receive(x, packets, XSK_BATCH);
    if (count > 0) {
        b.tsc = __builtin_ia32_rdtsc();
        b.interfaces = interface_copy_list(net.drain[index].interfaces);
        udp_deliver_begin(index);
        for (int i = 0; i < count; i++) {
            enum drop_cause cause;
            if (input(&b, &packets[i], &cause))
                continue;
            if (cause != DROP_none)
                count_drop(index, cause);
            xsk_release(x, packets[i].frame);
        }
        udp_deliver_end(index);
    }
    lock_release(&net.drain[index].lock);
    thread_set_wake(&b.wake);
    if (count > 0 && xsk_frames_low(x) < FRAMES_LOW)
        udp_evacuate(x, FRAMES_LOW);
    return count;
}

/* An interface may have got another address since it was asked for. */
static void reload(void)
{
    uint64_t now = __builtin_ia32_rdtsc();
    if (now < __atomic_load_n(&net.reload_next, __ATOMIC_RELAXED))
        return;
    __atomic_store_n(&net.reload_next, now + net.second, __ATOMIC_RELAXED);
    __atomic_store_n(&net.reload, false, __ATOMIC_RELAXED);
    interfaces_load();
}

static bool crowded(const struct xsk *x)
{
    return xsk_waiting(x) >= XSK_BATCH;
}

bool net_poll(uint32_t xsks)
{
    bool any = false;
    int count = xsk_count();
    for (int i = 0; i < count; i++) {
        struct xsk *x = xsk_at(i);
        if (xsks >> i & 1 ? xsk_readable(x) : crowded(x))
            any |= drain(i, x) > 0;
    }
    if (__atomic_load_n(&net.reload, __ATOMIC_RELAXED))
        reload();
    return any;
}

/* As many rounds as empty full rings. */
#define CATCH_UP_ROUNDS 32

void net_catch_up(void)
{
    for (int i = 0; i < CATCH_UP_ROUNDS && net_poll(NET_ALL); i++)
        continue;
}

void net_count_sent(void)
{
    net.sent[thread_block()->index]++;
}

void net_count_sleep(uint32_t xsks)
{
    int count = xsk_count();
    __atomic_add_fetch(&net.sleeps, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < count; i++) {
        if (!(xsks >> i & 1))
            continue;
        uint64_t sleeps = __atomic_add_fetch(&net.drain[i].sleeps, 1, __ATOMIC_RELAXED);
        struct untrusted s = statistics_of(i);
        if (s.address)
            untrusted_store(untrusted_at(s, offsetof(struct statistics_xsk, wakeups)), sleeps);
    }
}

uint64_t net_sleeps(void)
{
    return __atomic_load_n(&net.sleeps, __ATOMIC_RELAXED);
}

static uint64_t received(uint32_t xsks)
{
    uint64_t packets = 0;
    int count = xsk_count();
    for (int i = 0; i < count; i++)
        packets += xsks >> i & 1 ? xsk_received(xsk_at(i)) : 0;
    return packets;
}

static bool readable(uint32_t xsks)
{
    bool result = false;
    int count = xsk_count();
    for (int i = 0; i < count; i++)
        result |= xsks >> i & 1 && xsk_readable(xsk_at(i));
    return result;
}

bool net_thick(uint32_t xsks)
{
    uint64_t self = thread_block()->index;
    return moderate(&net.moderation[self], received(xsks), net.sent[self], __builtin_ia32_rdtsc(), net.second / 1000);
}

bool net_watch(uint32_t xsks)
{
    const struct thread_block *block = thread_block();
    struct watch *w = &net.watch[block->index];
    uint64_t per_ms = net.second / 1000, now = __builtin_ia32_rdtsc();
    if (!xsks || !watch_pays(w, received(xsks), net.sent[block->index], now, per_ms))
        return false;
    io_flush(); /* what is waited for answers it */
    bool came = false;
    for (uint64_t end = __builtin_ia32_rdtsc() + per_ms / 1000 * WATCH_US; !came && __builtin_ia32_rdtsc() < end;) {
        if (__atomic_load_n(&block->pending, __ATOMIC_RELAXED))
            return false;
        came = readable(xsks);
        __builtin_ia32_pause();
    }
    watch_note(w, came);
    return came;
}

bool net_nap(uint32_t xsks, uint64_t left_ns)
{
    if (!net_thick(xsks) || left_ns < 2 * NAP_NS)
        return false;
    host_nap(NAP_NS);
    return readable(xsks);
}

int net_sleep(int host_fd, uint32_t events, uint32_t xsks, uint32_t *reported, uint64_t *timeout_ns)
{
    struct pollfd p[XSK_MAX + 1];
    unsigned count = 1;
    p[0] = (struct pollfd){.fd = host_fd, .events = (short)events};
    for (int i = 0; i < xsk_count(); i++)
        if (xsks >> i & 1)
            p[count++] = (struct pollfd){.fd = xsk_descriptor(xsk_at(i)), .events = POLLIN};
    io_flush_along();
    if (xsks)
        net_count_sleep(xsks);
    int ready = host_ppoll(p, count, timeout_ns, EXIT_INTERRUPTIBLE);
    *reported = ready > 0 ? (uint32_t)(uint16_t)p[0].revents : 0;
    if (ready < 0)
        return ready;
    return ready ? 0 : -ETIMEDOUT;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/endpoint.h"

#include <errno.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/network.h"
#include "enclave/boundary/sum.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"

#define BUCKETS 256 /* power of two */
#define QUEUE_FIRST 64u
#define QUEUE_MAX 0x10000u

_Static_assert(sizeof(struct udp_counters) == sizeof(struct statistics_socket) - sizeof(uint64_t),
               "counters are published as they are");

/* Lock order: steering, table, an endpoint. */
static struct {
    struct lock steering; /* held over the exits that steer, so that they come in order */
    struct lock lock;     /* guards buckets, their endpoints' keys and statistics */
    struct udp_endpoint *bucket[BUCKETS];
    uint64_t statistics[STATISTICS_SOCKETS / 64]; /* entries in use */
} ports;

static struct udp_endpoint **bucket(uint16_t port)
{
    return &ports.bucket[(port ^ port >> 8) & (BUCKETS - 1)];
}

static void thread_set_add(struct thread_set *s, uint64_t index)
{
    s->words[index / 64] |= 1ull << (index % 64);
    s->any = true;
}

/* The caller itself needs no exit: its next one will not sleep. */
void thread_set_wake(const struct thread_set *s)
{
    uint64_t own = thread_block()->index;
    if (!s->any)
        return;
    for (uint64_t i = 0; i < ARRAY_SIZE(s->words); i++) {
        for (uint64_t w = s->words[i]; w; w &= w - 1) {
            uint64_t thread = i * 64 + (uint64_t)__builtin_ctzll(w);
            if (thread == own)
                thread_block()->pending = TB_PENDING_SIGNAL;
            else
                network_interrupt(thread);
        }
    }
}

/* ---- queue ---- */

int udp_endpoint_prepare(struct udp_endpoint *e)
{
    memset(e, 0, sizeof *e);
    e->limit = UDP_RECEIVE_BUFFER;
    e->capacity = QUEUE_FIRST;
    e->queue = alloc(QUEUE_FIRST * sizeof *e->queue);
    return e->queue ? 0 : -ENOMEM;
}

static bool queue_grow(struct udp_endpoint *e)
{
    uint32_t bigger = e->capacity * 2;
    struct udp_packet *queue;
    if (bigger > QUEUE_MAX || !(queue = alloc(bigger * sizeof *queue)))
        return false;
    for (uint32_t i = e->head; i != e->tail; i++)
        queue[i & (bigger - 1)] = e->queue[i & (e->capacity - 1)];
    alloc_free(e->queue);
    e->queue = queue;
    e->capacity = bigger;
    return true;
}

/* A place for a datagram, NULL: the receive buffer is full. */
static struct udp_packet *queue_place(struct udp_endpoint *e)
{
    if (e->charged > e->limit || (e->tail - e->head == e->capacity && !queue_grow(e)))
        return NULL;
    return &e->queue[e->tail & (e->capacity - 1)];
}

static struct udp_packet *queue_first(struct udp_endpoint *e)
{
    return e->head == e->tail ? NULL : &e->queue[e->head & (e->capacity - 1)];
}

bool udp_endpoint_empty(const struct udp_endpoint *e)
{
    return __atomic_load_n(&e->head, __ATOMIC_ACQUIRE) == __atomic_load_n(&e->tail, __ATOMIC_ACQUIRE);
}

bool udp_endpoint_take(struct udp_endpoint *e, struct udp_packet *out)
{
    lock_take(&e->lock);
    struct udp_packet *first = queue_first(e);
    if (first) {
        *out = *first;
        e->charged -= first->length + UDP_CHARGE;
        __atomic_store_n(&e->head, e->head + 1, __ATOMIC_RELEASE);
    }
    lock_release(&e->lock);
    return first;
}

void udp_packet_release(struct udp_packet *p)
{
    if (p->xsk)
        xsk_release(p->xsk, p->frame);
    alloc_free(p->inside);
}

/* The payload gets one content, once and for all, and the frame is free for others. */
static int move_inside(struct udp_packet *p)
{
    if (!p->xsk)
        return 0;
    void *inside = alloc(MAX(p->length, 1));
    if (!inside)
        return -ENOMEM;
    untrusted_read(inside, xsk_frame_at(p->xsk, p->frame, p->offset), p->length);
    xsk_release(p->xsk, p->frame);
    p->xsk = NULL;
    p->inside = inside;
    return 0;
}

int udp_endpoint_look(struct udp_endpoint *e, struct udp_packet *out)
{
    lock_take(&e->lock);
    struct udp_packet *first = queue_first(e);
    int result = first ? move_inside(first) : 0;
    if (first && !result) {
        *out = *first;
        return 1;
    }
    lock_release(&e->lock);
    return result;
}

int udp_endpoint_first_length(struct udp_endpoint *e)
{
    lock_take(&e->lock);
    const struct udp_packet *first = queue_first(e);
    int length = first ? first->length : -1;
    lock_release(&e->lock);
    return length;
}

void udp_endpoint_wait(struct udp_endpoint *e)
{
    lock_take(&e->lock);
    thread_set_add(&e->waiters, thread_block()->index);
    lock_release(&e->lock);
}

void udp_endpoint_wait_end(struct udp_endpoint *e)
{
    uint64_t index = thread_block()->index;
    if (!__atomic_load_n(&e->waiters.any, __ATOMIC_RELAXED))
        return;
    lock_take(&e->lock);
    e->waiters.words[index / 64] &= ~(1ull << (index % 64));
    lock_release(&e->lock);
}

static void move_waiters(struct udp_endpoint *e, struct thread_set *wake)
{
    if (!e->waiters.any)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(wake->words); i++) {
        wake->words[i] |= e->waiters.words[i];
        e->waiters.words[i] = 0;
    }
    e->waiters.any = false;
    wake->any = true;
}

void udp_endpoint_wake(struct udp_endpoint *e)
{
    struct thread_set wake = {.any = false};
    lock_take(&e->lock);
    move_waiters(e, &wake);
    lock_release(&e->lock);
    thread_set_wake(&wake);
}

/* ---- port table ---- */

/* Another endpoint that is steered by the same key. */
static bool steered_by_another(const struct udp_endpoint *e)
{
    for (const struct udp_endpoint *i = *bucket(e->port); i; i = i->next)
        if (i != e && i->port == e->port && i->address == e->address)
            return true;
    return false;
}

static void statistics_claim(struct udp_endpoint *e)
{
    struct untrusted s = arena_statistics();
    if (!s.address || e->published.address)
        return;
    for (uint64_t i = 0; i < STATISTICS_SOCKETS; i++) {
        if (ports.statistics[i / 64] >> (i % 64) & 1)
            continue;
        ports.statistics[i / 64] |= 1ull << (i % 64);
        e->published = untrusted_at(s, offsetof(struct statistics, socket) +
                                           i * sizeof(struct statistics_socket));
        untrusted_write(untrusted_at(e->published, sizeof(uint64_t)), &e->counters,
                        sizeof e->counters);
        break;
    }
}

static void statistics_give_up(struct udp_endpoint *e)
{
    if (!e->published.address)
        return;
    uint64_t i = (e->published.address - arena_statistics().address -
                  offsetof(struct statistics, socket)) /
                 sizeof(struct statistics_socket);
    untrusted_store(e->published, 0);
    ports.statistics[i / 64] &= ~(1ull << (i % 64));
    e->published.address = 0;
}

static void unlink(struct udp_endpoint *e)
{
    struct udp_endpoint **i = bucket(e->port);
    while (*i != e)
        i = &(*i)->next;
    *i = e->next;
    e->attached = false;
}

int udp_endpoint_attach(struct udp_endpoint *e, uint32_t address, uint16_t port)
{
    int error = 0;
    lock_take(&ports.steering);
    lock_take(&ports.lock);
    e->address = address;
    e->port = port;
    bool first = !steered_by_another(e);
    e->next = *bucket(port);
    *bucket(port) = e;
    e->attached = true;
    statistics_claim(e);
    lock_release(&ports.lock);
    if (e->published.address)
        untrusted_store(e->published, port);
    if (first && (error = network_port(PORT_ADD, address, port))) {
        lock_take(&ports.lock);
        unlink(e);
        lock_release(&ports.lock);
    }
    lock_release(&ports.steering);
    return error;
}

void udp_endpoint_detach(struct udp_endpoint *e)
{
    lock_take(&ports.steering);
    lock_take(&ports.lock);
    bool attached = e->attached, last = attached && !steered_by_another(e);
    if (attached)
        unlink(e);
    lock_release(&ports.lock);
    if (last)
        network_port(PORT_REMOVE, e->address, e->port);
    lock_release(&ports.steering);
}

void udp_endpoint_connect(struct udp_endpoint *e, uint32_t peer, uint16_t peer_port)
{
    lock_take(&ports.lock);
    e->peer = peer;
    e->peer_port = peer_port;
    lock_release(&ports.lock);
}

void udp_endpoint_finish(struct udp_endpoint *e)
{
    struct udp_packet p;
    udp_endpoint_detach(e);
    while (udp_endpoint_take(e, &p))
        udp_packet_release(&p);
    lock_take(&ports.lock);
    statistics_give_up(e);
    lock_release(&ports.lock);
    alloc_free(e->queue);
    e->queue = NULL;
}

void udp_ports_leave(void)
{
    memset(&ports, 0, sizeof ports);
}

void udp_endpoint_leave(struct udp_endpoint *e)
{
    struct udp_packet p;
    while (udp_endpoint_take(e, &p))
        alloc_free(p.inside);
    e->attached = false;
    e->next = NULL;
    e->published.address = 0;
    memset(&e->waiters, 0, sizeof e->waiters);
}

static uint32_t next_random(uint32_t x)
{
    return x * 1664525 + 1013904223;
}

/* The endpoint that wants the datagram most: a connected one, one bound to the address, any. Among equals
 * the newest, or of those that share the port (SO_REUSEPORT) always the same one for one sender. */
static struct udp_endpoint *find(const struct udp_datagram *d)
{
    struct udp_endpoint *best = NULL;
    int best_score = -1;
    uint32_t equals = 1, hash = (d->source ^ (uint32_t)d->source_port << 16) * 0x9e3779b1u;
    for (struct udp_endpoint *e = *bucket(d->destination_port); e; e = e->next) {
        int score = 0;
        if (e->port != d->destination_port || (e->address && e->address != d->destination))
            continue;
        if (e->peer_port && (e->peer_port != d->source_port || e->peer != d->source))
            continue;
        score = (e->peer_port ? 2 : 0) + (e->address ? 1 : 0);
        if (score > best_score) {
            best = e;
            best_score = score;
            equals = 1;
        } else if (score == best_score && e->shares && best->shares) {
            hash = next_random(hash);
            if ((uint64_t)hash * ++equals >> 32 == 0)
                best = e;
        }
    }
    return best;
}

static bool checksum_holds(const struct udp_datagram *d, struct xsk *x, uint32_t frame, uint32_t offset)
{
    if (d->checksum == UDP_CHECKSUM_GOOD)
        return true;
    uint32_t sum = d->sum + untrusted_sum(xsk_frame_at(x, frame, offset), d->length);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

void udp_deliver_begin(void)
{
    lock_take(&ports.lock);
}

void udp_deliver_end(void)
{
    lock_release(&ports.lock);
}

bool udp_deliver(const struct udp_datagram *d, int index, struct xsk *x, uint32_t frame,
                 uint32_t offset, struct thread_set *wake, enum drop_cause *cause)
{
    struct udp_endpoint *e = find(d);
    bool queued = false;
    if (!e) {
        *cause = DROP_no_socket;
        return false;
    }
    lock_take(&e->lock);
    struct udp_packet *p = queue_place(e);
    if (!p) {
        *cause = DROP_queue_full;
        udp_count(e, drops[DROP_queue_full], 1);
    } else if (!checksum_holds(d, x, frame, offset)) {
        *cause = DROP_checksum;
        udp_count(e, drops[DROP_checksum], 1);
    } else {
        *p = (struct udp_packet){
            .xsk = x,
            .frame = frame,
            .offset = offset,
            .source = d->source,
            .destination = d->destination,
            .source_port = d->source_port,
            .length = (uint16_t)d->length,
            .ttl = d->ttl,
            .tos = d->tos,
            .interface = (uint16_t)index,
        };
        e->charged += d->length + UDP_CHARGE;
        e->arrivals++;
        udp_count(e, packets_in, 1);
        udp_count(e, bytes_in, d->length);
        __atomic_store_n(&e->tail, e->tail + 1, __ATOMIC_RELEASE);
        move_waiters(e, wake);
        queued = true;
    }
    lock_release(&e->lock);
    return queued;
}

static uint32_t evacuate(struct udp_endpoint *e, struct xsk *x, uint32_t count)
{
    uint32_t moved = 0;
    lock_take(&e->lock);
    for (uint32_t i = e->head; i != e->tail && moved < count; i++) {
        struct udp_packet *p = &e->queue[i & (e->capacity - 1)];
        if (p->xsk != x)
            continue;
        if (move_inside(p))
            break;
        moved++;
    }
    lock_release(&e->lock);
    return moved;
}

/* So few frames in queues are not what makes them scarce: the rings are full of packets then. */
#define QUEUED_FEW 256u

static bool many_queued(void)
{
    uint32_t queued = 0;
    for (int b = 0; b < BUCKETS; b++)
        for (const struct udp_endpoint *e = ports.bucket[b]; e; e = e->next)
            queued += __atomic_load_n(&e->tail, __ATOMIC_RELAXED) -
                      __atomic_load_n(&e->head, __ATOMIC_RELAXED);
    return queued > QUEUED_FEW;
}

void udp_evacuate(struct xsk *x, uint32_t count)
{
    lock_take(&ports.lock);
    if (!many_queued())
        count = 0;
    for (int b = 0; b < BUCKETS && count; b++)
        for (struct udp_endpoint *e = ports.bucket[b]; e && count; e = e->next)
            count -= evacuate(e, x, count);
    lock_release(&ports.lock);
}

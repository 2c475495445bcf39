/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/endpoint.h"

#include <errno.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/network.h"
#include "enclave/boundary/sum.h"
#include "enclave/entry/thread_block.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/net/interface.h"
#include "enclave/net/net.h"

#define BUCKETS 256 /* power of two */
#define QUEUE_FIRST 64u
#define QUEUE_MAX 0x10000u

_Static_assert(sizeof(struct udp_counters) == sizeof(struct statistics_socket) - sizeof(uint64_t),
               "counters are published as they are");

/* Something that the steering program sends to the XSKs. */
struct steered {
    struct steered *next; /* of the same bucket */
    struct ip_address address;
    uint16_t port;
    bool wanted;
};

/*
 * Lock order: steering, table, deliveries, an endpoint. Who changes the table holds all but the last: so
 * whoever holds any of them may read it, and XSKs that deliver at the same time share no lock.
 */
static struct {
    struct lock steering; /* guards steered; held over the exits that steer, so that they come in order */
    struct lock lock;     /* guards buckets, their endpoints' names and statistics */
    struct {
        struct lock lock; /* held by whoever delivers what came by this XSK */
        uint8_t apart[60];
    } delivery[XSK_MAX];
    struct steered *steered[BUCKETS];
    struct udp_endpoint *bucket[BUCKETS];
    uint64_t statistics[STATISTICS_SOCKETS / 64]; /* entries in use */
} ports;

static uint32_t bucket_of(uint16_t port)
{
    return (port ^ port >> 8) & (BUCKETS - 1);
}

static void thread_set_add(struct thread_set *s, uint64_t index)
{
    s->words[index / 64] |= 1ull << (index % 64);
    __atomic_store_n(&s->any, true, __ATOMIC_RELAXED);
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

/* With the lock held. */
static void take_first(struct udp_endpoint *e, const struct udp_packet *first, struct udp_packet *out)
{
    *out = *first;
    e->charged -= first->length + UDP_CHARGE;
    __atomic_store_n(&e->head, e->head + 1, __ATOMIC_RELEASE);
}

bool udp_endpoint_take(struct udp_endpoint *e, struct udp_packet *out)
{
    lock_take(&e->lock);
    struct udp_packet *first = queue_first(e);
    if (first)
        take_first(e, first, out);
    lock_release(&e->lock);
    return first;
}

static bool continues(const struct udp_packet *first, const struct udp_packet *p)
{
    return p->length && p->length <= first->length && p->source_port == first->source_port &&
           p->interface == first->interface && p->ttl == first->ttl && p->tos == first->tos &&
           p->flow == first->flow && ip_equal(p->source, first->source) &&
           ip_equal(p->destination, first->destination);
}

bool udp_endpoint_take_more(struct udp_endpoint *e, const struct udp_packet *first, size_t room,
                            struct udp_packet *out)
{
    lock_take(&e->lock);
    struct udp_packet *next = queue_first(e);
    bool takes = next && next->length <= room && continues(first, next);
    if (takes)
        take_first(e, next, out);
    lock_release(&e->lock);
    return takes;
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
    __atomic_store_n(&e->waiters.any, false, __ATOMIC_RELAXED);
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

static void table_lock(void)
{
    lock_take(&ports.lock);
    for (int i = 0; i < XSK_MAX; i++)
        lock_take(&ports.delivery[i].lock);
}

static void table_unlock(void)
{
    for (int i = 0; i < XSK_MAX; i++)
        lock_release(&ports.delivery[i].lock);
    lock_release(&ports.lock);
}

/* With all locks. */
static void table_remove(struct udp_endpoint *e)
{
    struct udp_endpoint **i = &ports.bucket[bucket_of(e->name.port)];
    while (*i && *i != e)
        i = &(*i)->next;
    if (*i) /* else it was of the process that this one is a copy of */
        *i = e->next;
}

static void table_add(struct udp_endpoint *e)
{
    struct udp_endpoint **first = &ports.bucket[bucket_of(e->name.port)];
    e->next = *first;
    *first = e;
}

/* What must be steered for a name to be served: one or two keys. */
static int keys_of(const struct udp_name *n, struct ip_address keys[2])
{
    int count = 0;
    if (!ip_is_any(n->address)) {
        keys[count++] = n->address;
        return count;
    }
    if (n->four)
        keys[count++] = ip_four(0);
    if (n->six)
        keys[count++] = ip_none;
    return count;
}

/* May a datagram that the key steers be for this name? Its port is the key's. */
static bool claims(const struct udp_name *n, struct ip_address key)
{
    if (n->device && !interface_exists(n->device))
        return false;
    if (!(ip_is_four(key) ? n->four : n->six))
        return false;
    return ip_is_any(n->address) || ip_is_any(key) || ip_equal(n->address, key);
}

/* Nothing is steered that a socket might want which the kernel serves: no kernel socket gets it then. */
static bool claimed_by_host(uint16_t port, struct ip_address key)
{
    for (const struct udp_endpoint *e = ports.bucket[bucket_of(port)]; e; e = e->next)
        if (e->name.port == port && !e->name.served && claims(&e->name, key))
            return true;
    return false;
}

static struct steered *steered_find(uint16_t port, struct ip_address key)
{
    for (struct steered *s = ports.steered[bucket_of(port)]; s; s = s->next)
        if (s->port == port && ip_equal(s->address, key))
            return s;
    return NULL;
}

static int steered_add(uint16_t port, struct ip_address key, int host)
{
    struct steered *s = alloc(sizeof *s);
    int error = s ? network_port(PORT_ADD, key, port, host) : -ENOMEM;
    if (error) {
        alloc_free(s);
        return error;
    }
    *s = (struct steered){ports.steered[bucket_of(port)], key, port, true};
    ports.steered[bucket_of(port)] = s;
    return 0;
}

/* Those that are no longer wanted; were there any? */
static bool steered_sweep(uint16_t port)
{
    bool any = false;
    struct steered **i = &ports.steered[bucket_of(port)];
    while (*i) {
        struct steered *s = *i;
        if (s->port != port || s->wanted) {
            i = &s->next;
            continue;
        }
        network_port(PORT_REMOVE, s->address, port, -1);
        *i = s->next;
        alloc_free(s);
        any = true;
    }
    return any;
}

/* ---- who gets what of a port that several share ---- */

/*
 * Which of `count` equals a datagram that came by one of its interface's XSKs is for. As long as there are XSKs
 * enough, all that comes by one goes to one socket, whose thread then drains it alone; else those of an XSK are
 * chosen from by the sender, whose XSK is always the same too.
 */
static uint32_t share_of(uint32_t place, uint32_t places, uint32_t count, uint32_t hash)
{
    if (count <= places)
        return place % count;
    uint32_t own = (count - place + places - 1) / places;
    return place + places * (uint32_t)((uint64_t)hash * own >> 32);
}

/* May one that came by that XSK be for the one with this index? */
static bool share_may_be(uint32_t place, uint32_t places, uint32_t count, uint32_t index)
{
    return count <= places ? place % count == index : index % places == place;
}

/* Do they want the same datagrams, as much? */
static bool equals(const struct udp_name *a, const struct udp_name *b)
{
    return ip_equal(a->address, b->address) && ip_equal(a->peer, b->peer) && a->device == b->device &&
           a->port == b->port && a->peer_port == b->peer_port && a->four == b->four && a->six == b->six;
}

/* Where it is among those that share its port, in the order of the table. False: they are not all alike, so that
 * each datagram has sharers of its own. */
static bool share_find(const struct udp_endpoint *e, uint32_t *index, uint32_t *count)
{
    *index = *count = 0;
    for (const struct udp_endpoint *i = ports.bucket[bucket_of(e->name.port)]; i; i = i->next) {
        if (i->name.port != e->name.port || !i->name.served || !i->name.shares)
            continue;
        if (!equals(&i->name, &e->name))
            return false;
        if (i == e)
            *index = *count;
        ++*count;
    }
    return true;
}

/* The XSKs by which something may come to it. */
static uint32_t xsks_of(const struct udp_endpoint *e)
{
    uint32_t mask = 0, index, count, place, places;
    bool alike = e->name.shares && share_find(e, &index, &count);
    for (int i = 0; i < xsk_count(); i++) {
        if (e->name.device && e->name.device != xsk_interface(xsk_at(i)))
            continue;
        net_place(i, &place, &places);
        if (!alike || share_may_be(place, places, count, index))
            mask |= 1u << i;
    }
    return mask;
}

/* By which XSKs does anything come to it? Who sleeps for others, or its host socket alone, is woken. */
static void xsks_update(struct udp_endpoint *e)
{
    struct ip_address keys[2];
    int count = keys_of(&e->name, keys);
    bool steered = false;
    for (int i = 0; i < count && e->name.served && !steered; i++)
        steered = steered_find(e->name.port, keys[i]);
    uint32_t now = steered ? xsks_of(e) : 0, before = e->xsks;
    __atomic_store_n(&e->xsks, now, __ATOMIC_RELAXED);
    if (now & ~before)
        udp_endpoint_wake(e);
}

/* With the steering lock: make the steering of a port what its endpoints ask for. More is steered before
 * less is: what comes meanwhile reaches a socket either way. */
static int steer(uint16_t port)
{
    int error = 0;
    for (struct steered *s = ports.steered[bucket_of(port)]; s; s = s->next)
        s->wanted &= s->port != port;
    for (struct udp_endpoint *e = ports.bucket[bucket_of(port)]; e; e = e->next) {
        struct ip_address keys[2];
        int count = e->name.port == port && e->name.served ? keys_of(&e->name, keys) : 0;
        for (int i = 0; i < count; i++) {
            struct steered *s = steered_find(port, keys[i]);
            if (claimed_by_host(port, keys[i]))
                continue;
            if (s)
                s->wanted = true;
            else if (!error)
                error = steered_add(port, keys[i], e->name.host);
        }
    }
    if (steered_sweep(port))
        net_catch_up(); /* what was steered before is in the rings, and still has its socket */
    for (struct udp_endpoint *e = ports.bucket[bucket_of(port)]; e; e = e->next)
        if (e->name.port == port)
            xsks_update(e);
    return error;
}

static bool port_known(uint16_t port)
{
    lock_take(&ports.lock);
    const struct udp_endpoint *e = ports.bucket[bucket_of(port)];
    while (e && e->name.port != port)
        e = e->next;
    lock_release(&ports.lock);
    return e;
}

int udp_endpoint_rename(struct udp_endpoint *e, const struct udp_name *name)
{
    int error = 0;
    /* What has come by now came for the old name, or for others of that port. If there was none of either, it may be
     * the answer to what was sent to bind the socket: it is to be found under the new name. */
    if (e->name.port || port_known(name->port))
        net_catch_up();
    lock_take(&ports.steering);
    uint16_t old = e->name.port;
    table_lock();
    if (old)
        table_remove(e);
    e->name = *name;
    if (name->port)
        table_add(e);
    if (name->served)
        statistics_claim(e);
    table_unlock();
    if (e->published.address)
        untrusted_store(e->published, name->port);
    if (name->port)
        error = steer(name->port);
    else
        __atomic_store_n(&e->xsks, 0, __ATOMIC_RELAXED);
    if (old && old != name->port)
        steer(old);
    lock_release(&ports.steering);
    return error;
}

void udp_endpoint_finish(struct udp_endpoint *e)
{
    static const struct udp_name none;
    struct udp_packet p;
    if (e->name.port)
        udp_endpoint_rename(e, &none);
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
    for (int b = 0; b < BUCKETS; b++)
        for (struct steered *s = ports.steered[b], *next; s; s = next) {
            next = s->next;
            alloc_free(s);
        }
    memset(&ports, 0, sizeof ports);
}

void udp_endpoint_leave(struct udp_endpoint *e)
{
    struct udp_packet p;
    while (udp_endpoint_take(e, &p))
        alloc_free(p.inside);
    e->xsks = 0;
    e->published.address = 0;
    memset(&e->waiters, 0, sizeof e->waiters);
    if (e->name.port)
        table_add(e); /* it has its name still, in a table that is empty */
}

/* Of one sender it is always the same. */
static uint32_t sender_hash(const struct udp_datagram *d)
{
    uint64_t mixed = (d->source.low ^ d->source.high * 3 ^ (uint64_t)d->source_port << 32) *
                     0x9e3779b97f4a7c15ull;
    return (uint32_t)(mixed >> 32);
}

/* How much a name wants a datagram that came by this interface, -1: not at all. As the kernel has it: what
 * is bound to an address before what is not, then connected ones, then those bound to a device. */
static int score_of(const struct udp_name *n, const struct udp_datagram *d, uint64_t device)
{
    bool four = ip_is_four(d->destination), any = ip_is_any(n->address);
    if (n->port != d->destination_port || !(four ? n->four : n->six))
        return -1;
    if (!any && !ip_equal(n->address, d->destination))
        return -1;
    if (n->peer_port && (n->peer_port != d->source_port || !ip_equal(n->peer, d->source)))
        return -1;
    if (n->device && n->device != device)
        return -1;
    return (any ? 0 : 16) + (n->peer_port ? 8 : 0) + (n->device ? 4 : 0) + (four && !n->six ? 1 : 0);
}

/* The endpoint that wants the datagram most. Among equals the newest, or of those that share the port
 * (SO_REUSEPORT) always the same one for one sender. */
static struct udp_endpoint *find(const struct udp_datagram *d, const struct udp_arrival *a)
{
    struct udp_endpoint *first = ports.bucket[bucket_of(d->destination_port)], *best = NULL;
    uint64_t device = xsk_interface(a->xsk);
    uint32_t count = 0;
    int best_score = -1;
    for (struct udp_endpoint *e = first; e; e = e->next) {
        int score = score_of(&e->name, d, device);
        if (score > best_score) {
            best = e;
            best_score = score;
            count = 1;
        } else if (score >= 0 && score == best_score && e->name.shares && best->name.shares) {
            count++;
        }
    }
    if (count < 2)
        return best;
    uint32_t chosen = share_of(a->place, a->places, count, sender_hash(d));
    for (struct udp_endpoint *e = best; e; e = e->next)
        if (score_of(&e->name, d, device) == best_score && e->name.shares && chosen-- == 0)
            return e;
    return best;
}

static bool checksum_holds(const struct udp_datagram *d, const struct udp_arrival *a)
{
    if (d->checksum == UDP_CHECKSUM_GOOD)
        return true;
    uint32_t sum = d->sum + untrusted_sum(xsk_frame_at(a->xsk, a->frame, a->offset), d->length);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

void udp_deliver_begin(int index)
{
    lock_take(&ports.delivery[index].lock);
}

void udp_deliver_end(int index)
{
    lock_release(&ports.delivery[index].lock);
}

bool udp_deliver(const struct udp_datagram *d, const struct udp_arrival *a, struct thread_set *wake,
                 enum drop_cause *cause)
{
    struct udp_endpoint *e = find(d, a);
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
    } else if (!checksum_holds(d, a)) {
        *cause = DROP_checksum;
        udp_count(e, drops[DROP_checksum], 1);
    } else {
        *p = (struct udp_packet){
            .xsk = a->xsk,
            .arrived = a->tsc,
            .frame = a->frame,
            .offset = a->offset,
            .source = d->source,
            .destination = d->destination,
            .flow = d->flow,
            .source_port = d->source_port,
            .length = (uint16_t)d->length,
            .ttl = d->ttl,
            .tos = d->tos,
            .interface = (uint16_t)a->index,
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
    if (!lock_try(&ports.lock))
        return; /* another thread is at it, or the table changes: the next drain tries again */
    if (!many_queued())
        count = 0;
    for (int b = 0; b < BUCKETS && count; b++)
        for (struct udp_endpoint *e = ports.bucket[b]; e && count; e = e->next)
            count -= evacuate(e, x, count);
    lock_release(&ports.lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP endpoints: the port table and the queue of each. An endpoint is a socket's part in net/; os/ embeds
 * it. Its queue holds datagrams whose payload is still in the frame that it came in; only what is looked
 * at twice, or stays while frames are scarce, moves into the enclave.
 */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/start.h"
#include "abi/stats.h"
#include "enclave/boundary/untrusted.h"
#include "enclave/lib/address.h"
#include "enclave/lib/lock.h"
#include "enclave/net/udp.h"

struct xsk;

/* A datagram in a queue. */
struct udp_packet {
    struct xsk *xsk; /* whose frame holds the payload; NULL: it is at `inside` */
    void *inside;    /* alloc'ed */
    uint64_t arrived; /* TSC */
    struct ip_address source, destination;
    uint32_t frame, offset; /* of the payload within the frame */
    uint32_t flow;          /* IPv6: traffic class and flow label */
    uint16_t source_port, length;
    uint8_t ttl, tos;
    uint16_t interface; /* which XSK it came by: xsk_at() */
};

/* As in struct statistics_socket after local_port. */
struct udp_counters {
    uint64_t packets_in, bytes_in, packets_out, bytes_out, host_in, host_out;
    uint64_t drops[DROP_COUNT];
};

/* Threads, a bit each by index. */
struct thread_set {
    uint64_t words[THREADS_MAX / 64];
    bool any; /* false: all words are 0 */
};

/* What an endpoint is bound and connected to, and who serves it. */
struct udp_name {
    struct ip_address address; /* local; any: of the families that it takes */
    struct ip_address peer;
    uint64_t device;    /* the interface that datagrams must have come by, 0: any */
    uint16_t port;      /* local, 0: not bound */
    uint16_t peer_port; /* 0: not connected */
    int host;           /* the descriptor of the socket behind it, which has that port */
    bool four, six;     /* which datagrams it takes */
    bool served;        /* by XSKs; else the kernel delivers to the host socket */
    bool shares;        /* SO_REUSEPORT */
};

struct udp_endpoint {
    struct lock lock; /* guards the queue and waiters */
    struct udp_packet *queue;
    uint32_t head, tail, capacity; /* free-running; capacity is a power of two */
    uint64_t charged, limit;       /* bytes, as SO_RCVBUF counts them */
    uint64_t arrivals;             /* datagrams that were queued so far */
    struct thread_set waiters;     /* threads that looked at the queue, found nothing and may sleep */

    /* Guarded by the port table's lock: */
    struct udp_endpoint *next; /* of the same bucket, older */
    struct udp_name name;
    uint32_t xsks; /* by which something may come to it, a bit each by index; read without the lock too */

    struct udp_counters counters;
    struct untrusted published; /* struct statistics_socket, address 0: none */
};

/* SO_RCVBUF's default of Linux, as getsockopt tells it. */
#define UDP_RECEIVE_BUFFER 212992u
/* What a datagram is charged beyond its payload: never more than the kernel does, so that none is dropped
 * that the kernel would have kept. */
#define UDP_CHARGE 512u

/* 0 or -ENOMEM. */
int udp_endpoint_prepare(struct udp_endpoint *e);
/* Drops the queue; detaches if need be. */
void udp_endpoint_finish(struct udp_endpoint *e);

/*
 * This is its name from now on; port 0: none. What it takes is steered here, unless a socket that the kernel
 * serves has a claim to some of it. 0, or -errno of the steering: then (some of) it comes by the host
 * socket. What is in the queue stays. Exits where steering changes.
 */
int udp_endpoint_rename(struct udp_endpoint *e, const struct udp_name *name);
/* In a process that has no XSKs any more, and whose memory says that it had: it is attached no longer, and what
 * it has queued is another process's. After udp_ports_leave. */
void udp_endpoint_leave(struct udp_endpoint *e);
void udp_ports_leave(void);

/* How a datagram came. */
struct udp_arrival {
    struct xsk *xsk;
    int index; /* xsk_at(index) is that XSK */
    uint32_t place, places; /* which of its interface's XSKs it is, and how many those are */
    uint32_t frame, offset; /* where its payload begins in the frame */
    uint64_t tsc;
};

/*
 * Queue a datagram. True: the queue owns the frame now, and threads that wait for it are added to `wake`.
 * False: *cause says why.
 */
bool udp_deliver(const struct udp_datagram *d, const struct udp_arrival *a, struct thread_set *wake,
                 enum drop_cause *cause);
/* Around any number of udp_deliver of what came by this XSK. XSKs share no lock here. */
void udp_deliver_begin(int index);
void udp_deliver_end(int index);

/* Take the first datagram; its payload is the caller's to release. */
bool udp_endpoint_take(struct udp_endpoint *e, struct udp_packet *out);
void udp_packet_release(struct udp_packet *p);
/* The same if it continues a row that `first` began (UDP_GRO): of the same flow, no longer than it is nor than
 * `room`, and not empty. */
bool udp_endpoint_take_more(struct udp_endpoint *e, const struct udp_packet *first, size_t room,
                            struct udp_packet *out);
/* Moves the first datagram's payload inside; *out is a view of it, valid while e->lock is held, as it is
 * on return with 1. 0: no datagram (lock not held); -ENOMEM. */
int udp_endpoint_look(struct udp_endpoint *e, struct udp_packet *out);
bool udp_endpoint_empty(const struct udp_endpoint *e);
/* Length of the first datagram's payload, -1: none. */
int udp_endpoint_first_length(struct udp_endpoint *e);

/* The current thread may sleep until a datagram comes / no longer. */
void udp_endpoint_wait(struct udp_endpoint *e);
void udp_endpoint_wait_end(struct udp_endpoint *e);

/* Frames of this XSK are scarce: moves up to `count` payloads that wait in queues inside. */
void udp_evacuate(struct xsk *x, uint32_t count);

/* Add to a member of struct udp_counters and show it. The caller is the only one to count there now. */
#define udp_count(e, member, n)                                                                    \
    udp_publish((e), offsetof(struct udp_counters, member), (e)->counters.member += (n))

static inline void udp_publish(const struct udp_endpoint *e, uint64_t offset, uint64_t value)
{
    if (e->published.address)
        untrusted_store(untrusted_at(e->published, sizeof(uint64_t) + offset), value);
}

/* Threads that wait for this endpoint are to look again. */
void udp_endpoint_wake(struct udp_endpoint *e);

/* Interrupts the exits that these threads are in or about to make. No endpoint's lock is held. */
void thread_set_wake(const struct thread_set *s);

#endif

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
#include "enclave/lib/lock.h"
#include "enclave/net/udp.h"

struct xsk;

/* A datagram in a queue. */
struct udp_packet {
    struct xsk *xsk; /* whose frame holds the payload; NULL: it is at `inside` */
    void *inside;    /* alloc'ed */
    uint32_t frame, offset; /* of the payload within the frame */
    uint32_t source, destination;
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

struct udp_endpoint {
    struct lock lock; /* guards the queue and waiters */
    struct udp_packet *queue;
    uint32_t head, tail, capacity; /* free-running; capacity is a power of two */
    uint64_t charged, limit;       /* bytes, as SO_RCVBUF counts them */
    uint64_t arrivals;             /* datagrams that were queued so far */
    struct thread_set waiters;     /* threads that looked at the queue, found nothing and may sleep */

    /* Guarded by the port table's lock: */
    struct udp_endpoint *next; /* of the same bucket, older */
    bool attached;
    bool shares;      /* SO_REUSEPORT */
    uint32_t address; /* bound to; 0: any. Host order */
    uint16_t port;
    uint16_t peer_port; /* 0: not connected */
    uint32_t peer;

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
 * Into the port table with this address and port, and steered here if it is the first with them. 0, or
 * -errno of the steering: then it is not attached. One exit at most.
 */
int udp_endpoint_attach(struct udp_endpoint *e, uint32_t address, uint16_t port);
/* Out of it. What is in the queue stays. */
void udp_endpoint_detach(struct udp_endpoint *e);
/* In a process that has no XSKs any more, and whose memory says that it had: it is attached no longer, and what
 * it has queued is another process's. After udp_ports_leave. */
void udp_endpoint_leave(struct udp_endpoint *e);
void udp_ports_leave(void);
/* Datagrams of this peer only; port 0: of all. */
void udp_endpoint_connect(struct udp_endpoint *e, uint32_t peer, uint16_t peer_port);

/*
 * Queue a datagram that came by xsk_at(index) in `frame`; its payload begins `offset` bytes into it. True:
 * the queue owns the frame now, and threads that wait for it are added to `wake`. False: *cause says why.
 */
bool udp_deliver(const struct udp_datagram *d, int index, struct xsk *x, uint32_t frame,
                 uint32_t offset, struct thread_set *wake, enum drop_cause *cause);
/* Around any number of udp_deliver. */
void udp_deliver_begin(void);
void udp_deliver_end(void);

/* Take the first datagram; its payload is the caller's to release. */
bool udp_endpoint_take(struct udp_endpoint *e, struct udp_packet *out);
void udp_packet_release(struct udp_packet *p);
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

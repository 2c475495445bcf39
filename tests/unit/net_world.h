/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for tests of net/ and of UDP sockets: XSKs whose frames are ordinary memory, a host that has
 * sockets, routes and interfaces, and counts what it is asked.
 */
#ifndef TESTS_NET_WORLD_H
#define TESTS_NET_WORLD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "abi/net.h"
#include "abi/stats.h"
#include "enclave/lib/address.h"

#define WORLD_FRAMES 1024
#define WORLD_FRAME_SIZE 2048
#define WORLD_HOST_SOCKETS 16
#define WORLD_WIRE 256
#define WORLD_FIRST_DESCRIPTOR 100 /* of the host's sockets */
#define WORLD_QUEUES 4  /* at most */
#define WORLD_THREADS 16

#define INTERFACE_INDEX 7
#define OUR_ADDRESS 0x0a000002u  /* 10.0.0.2 */
#define PEER_ADDRESS 0x0a000001u /* 10.0.0.1 */
#define OUR_SIX ((struct ip_address){0x20010db800000000, 2})  /* 2001:db8::2 */
#define PEER_SIX ((struct ip_address){0x20010db800000000, 1}) /* 2001:db8::1 */
#define OUR_LOCAL ((struct ip_address){0xfe80000000000000, 2})
#define PEER_LOCAL ((struct ip_address){0xfe80000000000000, 1})
#define OUR_MAC 0x020000000002ull
#define PEER_MAC 0x020000000001ull
#define XSK_DESCRIPTOR 900

struct world_datagram {
    uint32_t source, destination; /* of IPv4 */
    struct ip_address source_ip, destination_ip;
    uint16_t source_port, destination_port;
    size_t length;
    uint8_t ttl, tos;
    uint32_t flow;
    uint8_t bytes[2048];
};

struct world_host_socket {
    bool open;
    bool six;                  /* AF_INET6 */
    int only_six;              /* IPV6_V6ONLY */
    int device;                /* SO_BINDTOIFINDEX */
    int discover;              /* IP_MTU_DISCOVER */
    bool discover_set;
    struct ip_address address;
    uint16_t port;
    struct sockaddr_storage peer;
    int receive_buffer; /* as getsockopt answers */
    int error;          /* of the next receive, 0: none */
    struct world_datagram queue[8];
    int queued;
    int sends, receives; /* calls */
    struct world_datagram last; /* that was sent */
};

struct world {
    /* what the host says */
    struct interface_list interfaces;
    struct route_query route; /* the answer to any query, of IPv4 */
    struct route_query route_six;
    struct route_query asked; /* the last */
    int route_error, port_error;
    int interfaces_error, xsk_error;
    uint64_t received; /* by XSKs in all, as they tell */
    uint64_t napped_ns;
    bool no_memory, no_statistics; /* the enclave has none, nobody asked for them */

    /* what it was asked */
    struct {
        int total, routes, interfaces, interrupts, sleeps, flushes;
        uint64_t interrupted; /* bit n: thread n */
    } exits;
    struct {
        bool steered;
        struct ip_address address;
        uint16_t port;
    } steered[16];
    int steerings; /* exits */
    struct {
        int count;
        uint64_t interface, length;
        uint8_t frame[128];
    } neighbour; /* the last frame about neighbours that was handed to it */

    struct world_host_socket host[WORLD_HOST_SOCKETS];
    uint16_t port_next; /* for sockets that are bound to none */

    /* Called when the enclave sleeps, before the host looks what there is. */
    void (*on_sleep)(void);
    int sleep_result; /* -EINTR: once, instead of sleeping */
    uint64_t slept_ns; /* the timeout of the last sleep */
    bool signal;       /* signal_pending() */
    bool looked_at_xsks; /* the last sleep was for XSKs too: */
    uint32_t slept_for;  /* these */
    bool threaded;       /* several threads at once: locks wait, sleeps end early, the wire keeps nothing */

    /* the wire */
    int queue; /* that what arrives comes by */
    bool checksums;     /* the XSK fills in checksums that metadata asks for */
    bool transmit_full; /* no room in the TX ring */
    int full_after;     /* there is none from then on that so many were sent, 0: always */
    int full_sleeps;    /* after that many sleeps there is */
    int frames_taken;   /* from the transmit side and not sent */
    int sent;
    struct {
        uint32_t length;
        uint8_t bytes[WORLD_FRAME_SIZE];
    } wire[WORLD_WIRE];
    bool zerocopy;
    struct {
        bool offered; /* there is a set to take */
        bool taken, blocked;
        int gathered, sent, error;
        struct sockaddr_in name;
        size_t name_length;
        uint32_t last_length;
        uint8_t last[2048];
    } segments;
    int frames_out; /* received ones that the enclave holds */
    uint32_t frames_low; /* what xsk_frames_low answers at least; 0: the truth */
};

extern struct world world;

/* A fresh world, with one interface, one XSK and net_start() done. */
void world_start(void);
/* The same, and the interface has so many queues, with an XSK each. */
void world_start_queues(int queues);
/* Nothing may be held any more: call after all files are released. */
void world_end(void);
/* Act as this thread from now on. */
void world_thread(uint64_t index);
/* A thread of its own becomes this one. */
void world_thread_enter(uint64_t index);

enum world_checksum { CHECKSUM_FULL, CHECKSUM_PARTIAL, CHECKSUM_NONE, CHECKSUM_WRONG };

/* A datagram arrives at the XSK. */
void world_receive(uint32_t source, uint16_t source_port, uint32_t destination, uint16_t port,
                   const void *payload, size_t length, enum world_checksum checksum);
void world_receive_ip(struct ip_address source, uint16_t source_port, struct ip_address destination,
                      uint16_t port, const void *payload, size_t length, enum world_checksum checksum);
/* By one of several XSKs, from a thread of the kernel's. */
void world_receive_by(int queue, uint32_t source, uint16_t source_port, uint16_t port, const void *payload,
                      size_t length);
int world_waiting_by(int queue);
/* Any bytes do. */
void world_receive_frame(const void *frame, size_t length);
/* A datagram arrives at the host socket. */
void world_host_receive(int fd, uint32_t source, uint16_t source_port, const void *payload,
                        size_t length);
/* Overwrite the payloads of all frames: what a hostile host does. */
void world_scribble(void);

int world_host_socket(void);
int world_host_socket_six(void);
bool world_steered(uint32_t address, uint16_t port);
bool world_steered_ip(struct ip_address address, uint16_t port);
int world_steered_count(void);
const struct statistics *world_statistics(void);
/* Of the XSK, as published, since world_start. */
uint64_t world_drops(enum drop_cause cause);
uint64_t world_wakeups(void);
/* What was sent as number i, read and checked. */
struct world_datagram world_sent(int i);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of UDP sockets share. */
#ifndef OS_UDP_SOCKET_H
#define OS_UDP_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/lib/lock.h"
#include "enclave/net/endpoint.h"
#include "enclave/os/file.h"

#define UDP_TTL_DEFAULT 64

struct udp_socket {
    struct udp_endpoint endpoint;

    bool six; /* AF_INET6: IPv4 peers have mapped addresses; IPv6 itself is the host socket's */

    struct lock lock;  /* guards the rest; held while a datagram is put together, never while sleeping */
    uint32_t address;  /* local, host order; as the host last told */
    uint16_t port;     /* 0: not bound */
    uint16_t peer_port; /* 0: not connected */
    uint32_t peer;
    uint8_t ttl, tos;
    bool may_fragment;
    bool bound_six, peer_six; /* to an address of IPv6 proper: nothing for an XSK */
    bool send_by_host;    /* an option is set that only the kernel's way of sending honours */
    bool receive_by_host; /* the same for receiving */
    bool shared;          /* with a child of fork */
    bool shut_read, shut_write;
    bool report_interface, report_ttl, report_tos; /* IP_PKTINFO, IP_RECVTTL, IP_RECVTOS */
    uint64_t receive_timeout, send_timeout;        /* ns, NO_TIMEOUT: none */
    uint8_t *staging; /* TRANSMIT_MAX bytes, from the first datagram on */

    /* What is known of the host socket; racing threads at worst ask it once too often. */
    uint32_t host_reported; /* poll events that hold as far as is known */
    bool host_likely;       /* its last receive got something: there may be more */
    bool found_empty;       /* poll saw nothing last time: a sleep since then looked at the host socket */
    uint64_t sleeps_seen;   /* net_sleeps() then */
    uint64_t host_looked;   /* TSC: when it was last looked at and found empty, 0: never */
    uint64_t sends_seen;    /* host_sends, before that look */
    uint64_t host_arrivals;
};

static inline struct udp_socket *socket_of(struct file *f)
{
    return f->data;
}

/* Datagrams for the port come here, or no longer, as the socket's state has it. s->lock is held. */
void udp_steer(struct udp_socket *s);

/*
 * Around fork. A socket is its parent's and its child's from then on, and datagrams for it are to reach whoever
 * asks: both receive by the host socket. share: before fork, in the parent; leave: in the child, which has no XSK;
 * reclaim: in the parent when it has no children any more.
 */
void udp_sockets_share(void);
void udp_sockets_leave(void);
void udp_sockets_reclaim(void);

/* udp_options.c */
int udp_setsockopt(struct file *f, int level, int name, const void *value, socklen_t n);
int udp_getsockopt(struct file *f, int level, int name, void *value, socklen_t *n);

#endif

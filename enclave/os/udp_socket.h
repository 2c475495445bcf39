/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of UDP sockets share. Datagrams of both families go over XSKs. Behind each socket stands
 * a socket of the host, bound to the same port: it reserves the port, tells errors, receives what does not
 * come by an XSK (loopback, other interfaces, fragments, multicast) and sends what cannot go by one.
 *
 *   udp_socket.c   names, steering, the socket as a file
 *   udp_send.c     sending
 *   udp_stream.c   sending many alike
 *   udp_receive.c  receiving
 *   udp_control.c  control data, both ways
 *   udp_options.c  options
 *   udp_zerocopy.c MSG_ZEROCOPY
 */
#ifndef OS_UDP_SOCKET_H
#define OS_UDP_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/lib/lock.h"
#include "enclave/net/endpoint.h"
#include "enclave/net/net.h"
#include "enclave/os/file.h"
#include "enclave/os/udp_stream.h"

/* Of <linux/in6.h>, which cannot be had along with <netinet/in.h>. */
#define IPV6_FLOWINFO 11
#define IPV6_FLOWLABEL_MGR 32
#define IPV6_FLOWINFO_SEND 33

/* What control data a program wants with datagrams. */
struct udp_reports {
    bool interface, ttl, tos;              /* IP_PKTINFO, IP_RECVTTL, IP_RECVTOS */
    bool interface_six, hop_limit, class;  /* IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS */
    bool flow;                             /* IPV6_FLOWINFO */
    int timestamp; /* SO_TIMESTAMP, SO_TIMESTAMPNS or their newer forms: the name that was set, 0: none */
};

/* A datagram that is to be sent, or a row of them: what the socket is set to, then what this call says. */
struct udp_sending {
    struct ip_address address;
    struct ip_address source; /* none: the socket's */
    uint64_t device;  /* the interface that it must leave by, 0: whichever */
    uint16_t port;
    uint16_t segment; /* UDP_SEGMENT: bytes of each datagram of a row, 0: there is one */
    uint8_t ttl, tos; /* of either family; ttl 0: the route's */
};

struct udp_socket {
    struct udp_endpoint endpoint; /* its name is what the host last told, with `lock` held to change it */

    bool six; /* AF_INET6 */

    struct lock lock;  /* guards the rest; held while a datagram is put together, never while sleeping */
    bool odd_peer;     /* connected to "this host", or to no port: the host's to serve */
    uint8_t ttl, tos;              /* of IPv4; ttl 0: the route's */
    uint8_t hop_limit, class;      /* of IPv6; hop_limit 0: the route's */
    bool may_fragment, no_flow_label;
    bool discover_set, flow_label_set; /* by the program; else they are the host's defaults */
    uint16_t segment;     /* UDP_SEGMENT */
    bool coalesces;       /* UDP_GRO */
    bool queues_errors;   /* IP_RECVERR or IPV6_RECVERR */
    struct {
        bool on;             /* SO_ZEROCOPY */
        uint32_t next, told; /* calls with MSG_ZEROCOPY so far, and those of which the program has been told */
    } zerocopy;
    bool limit_known;     /* the endpoint's, by the host's SO_RCVBUF */
    uint32_t longest_six; /* IPV6_MTU: what is longer the kernel cuts up; 0: not set */
    bool send_by_host;    /* an option is set that only the kernel's way of sending honours */
    bool receive_by_host; /* the same for receiving */
    bool bound_to_device; /* it was, once: the host knows whether it still is */
    bool shared;          /* with a child of fork */
    bool shares;          /* SO_REUSEPORT */
    bool shut_read, shut_write;
    struct udp_reports reports;
    uint64_t receive_timeout, send_timeout;        /* ns, NO_TIMEOUT: none */
    bool no_stream; /* what is sent belongs together otherwise: UDP_CORK, MSG_MORE, UDP_SEGMENT */
    struct udp_stream stream;
    uint8_t *staging; /* from the first datagram on */
    size_t staging_size;

    /* What is known of the host socket, by hint() and hint_set(). */
    uint32_t host_reported; /* poll events that hold as far as is known */
    uint64_t looked_at;     /* place in the queue, plus 1, of the datagram that MSG_PEEK has shown last; 0: none */
    bool host_likely;       /* its last receive got something: there may be more */
    bool host_peeked;       /* its last receive was a look at something: that comes next */
    bool found_empty;       /* poll saw nothing last time: a sleep since then looked at the host socket */
    uint64_t sleeps_seen;   /* net_sleeps() then */
    uint64_t host_looked;   /* TSC: when it was last looked at and found empty, 0: never */
    uint32_t sends_seen;    /* udp_host_sends(), before that look */
    uint64_t error_looked;  /* TSC: when it was last asked for a pending error */
    uint64_t host_arrivals;
    uint64_t last_arrived;  /* TSC: of the datagram that was received last; 0: by the host socket, or none */
};

/* Of what several threads read and write at once: at worst they ask once too often. */
#define hint(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)
#define hint_set(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELAXED)

static inline struct udp_socket *socket_of(struct file *f)
{
    return f->data;
}

/* By which XSKs does anything come to it? */
static inline uint32_t udp_xsks(const struct udp_socket *s)
{
    return __atomic_load_n(&s->endpoint.xsks, __ATOMIC_RELAXED);
}

static inline uint64_t udp_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

bool udp_nonblocking(const struct file *f, int flags);

/* ---- a time limit ---- */

struct udp_deadline {
    uint64_t timeout_ns; /* NO_TIMEOUT: none */
    uint64_t started;    /* TSC */
};

struct udp_deadline udp_deadline_after(uint64_t timeout_ns);
uint64_t udp_deadline_left(const struct udp_deadline *d);

/* ---- names: s->lock is held ---- */

/* An address of the socket's family as the program gives it: false: of another family, or not whole. An
 * unspecified one stays that of the socket's family. */
bool udp_address_of(const struct udp_socket *s, const void *sockaddr, size_t n,
                    struct ip_address *address, uint16_t *port);
/* The host has bound the socket, or bound it anew: ask to what, and have datagrams for that come here. */
void udp_learn_name(struct file *f);
/* The same name, but what it means for steering may have changed. */
void udp_steer(struct file *f);

/* ---- the host socket ---- */

/* How many datagrams the enclave has sent by host sockets: any may have come back to one of its own. */
uint32_t udp_host_sends(void);
void udp_host_sent(void); /* one more */
/* Was the host socket found empty less than this part of a second ago? */
bool udp_looked_within(const struct udp_socket *s, uint64_t part);
/* Can it only be empty still? */
bool udp_believed_empty(const struct udp_socket *s);
/* Ask it by an exit what poll(2) says now. */
void udp_host_look(struct file *f);

/* While datagrams keep coming by an XSK, the host socket is looked at this often, in parts of a second. */
#define UDP_LOOK_PART 100
/* After a look at the host socket that found nothing, -EAGAIN is believed for so long. */
#define UDP_BELIEF_PART 1000

/* udp_send.c, udp_receive.c */
int64_t udp_sendmsg(struct file *f, const struct msghdr *m, int flags);
int64_t udp_recvmsg(struct file *f, struct msghdr *m, int flags);

/*
 * udp_control.c: the sender's address and the control data that go with a datagram, or with a row of them
 * that is given as one (row_of: bytes of each, 0: there is one). Sets msg_namelen, msg_controllen (from the
 * room there is to what is used) and adds to msg_flags.
 */
void udp_fill_header(const struct udp_socket *s, const struct udp_packet *p, uint16_t row_of,
                     struct msghdr *m);
/* One element more, as put_cmsg() of the kernel: of msg_controllen bytes so far, in a buffer of `room`. What
 * does not fit is cut, header and all only when not even that fits. */
void udp_put_control(struct msghdr *m, size_t room, int level, int type, const void *data, size_t n);
/* What a call's control data asks for, to *out. False: the host knows what to make of it. */
bool udp_take_control(const struct msghdr *m, struct udp_sending *out);
/* udp_zerocopy.c: a message with MSG_ZEROCOPY is sent; is the program told of all? Tell it: 0, -EAGAIN. */
void udp_zerocopy_sent(struct udp_socket *s);
bool udp_zerocopy_told(const struct udp_socket *s);
int64_t udp_zerocopy_receive(struct udp_socket *s, struct msghdr *m);
/* The error that the host's socket has met with since it was asked last, as a negative errno; 0: none, as
 * far as is known. */
int udp_pending_error(struct file *f);

/* Where a message's bytes are: in the program's one buffer if it may be `unseen` (nobody looks twice), else
 * gathered. With s->lock: 0, -EFAULT, -ENOMEM. */
int udp_payload(struct udp_socket *s, const struct msghdr *m, bool unseen, size_t length,
                const void **out);

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
/* Ask the host how much may wait to be received. */
void udp_learn_limit(struct file *f);
/* What the host's settings (sysctl) have for sockets that are not told otherwise; asked once a second. */
void udp_learn_defaults(struct file *f);
/* What comes from now on comes by the host's socket. */
void udp_by_kernel(struct file *f);
int udp_getsockopt(struct file *f, int level, int name, void *value, socklen_t *n);

#endif

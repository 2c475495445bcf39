/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host tells about its network: nothing here is believed further than that a wrong answer
 * sends datagrams astray, as a host can anyway. Words only, as everything in the arena.
 */
#ifndef ABI_NET_H
#define ABI_NET_H

#include <stdint.h>

#define INTERFACES_MAX 8
#define INTERFACE_ADDRESSES_MAX 64

/* An address in host order, of IPv6, or of IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). All zero: none, or
 * any of IPv6; ::ffff:0.0.0.0: any of IPv4. */
struct ip_address {
    uint64_t high, low;
};

struct interface_address {
    struct ip_address address;
    uint64_t prefix; /* length, in bits of the address's own family */
};

/* An interface that was named with --iface and that XSKs can be opened on. */
struct interface_info {
    uint64_t index;   /* ifindex */
    uint64_t mac;     /* low 48 bits, first byte on the wire highest */
    uint64_t mtu;     /* bytes of IP datagram */
    uint64_t mtu_six; /* of IPv6; 0: it has no IPv6 */
    uint64_t queues;  /* receive queues, at least 1 */
    uint64_t up;      /* 1: up with carrier */
    uint64_t address_count;
    struct interface_address address[INTERFACE_ADDRESSES_MAX];
};

struct interface_list {
    uint64_t count;
    struct interface_info interface[INTERFACES_MAX];
};

/* Where a datagram for `destination` goes by the host's tables. Query and answer in one. */
struct route_query {
    struct ip_address destination; /* in */
    struct ip_address source;      /* in: bound source address or none; out: preferred source */
    uint64_t device;          /* in: ifindex of the only way out allowed, 0: any */
    uint64_t interface_index; /* out: ifindex of the way out (0: none) */
    uint64_t kind;            /* out: enum route_kind */
    uint64_t mtu;             /* out: of the path as far as it is known, else of the interface */
    uint64_t hop_limit;       /* out: of datagrams whose socket sets none, 1 to 255 */
    struct ip_address next_hop; /* out: the gateway or the destination itself */
    uint64_t mac;             /* out: of the next hop, as above; valid if neighbour_known */
    uint64_t neighbour_known; /* out: 0 unknown or failed, 1 usable, 2 usable but stale */
};

enum route_kind { ROUTE_UNREACHABLE, ROUTE_UNICAST, ROUTE_LOCAL, ROUTE_BROADCAST, ROUTE_MULTICAST };

/* EXIT_PORT: what is to be steered. */
struct port_key {
    struct ip_address address; /* or any of its family */
    uint64_t port;             /* host order */
    uint64_t socket;           /* the host's descriptor of one that is bound to it: proof that it may be */
};

/* The four rings of an XSK, in this order. */
enum xsk_ring_kind { XSK_RING_FILL, XSK_RING_COMPLETION, XSK_RING_RX, XSK_RING_TX, XSK_RINGS };

/* Offsets within a ring's map, as the kernel reports them (struct xdp_ring_offset). */
struct xsk_ring_layout {
    uint64_t producer, consumer, flags, descriptors;
};

#define XSK_HEADROOM_KERNEL 256u /* bytes of each frame that are the kernel's: XDP_PACKET_HEADROOM */

/*
 * EXIT_XSK_OPEN. The enclave chooses the sizes and the places in the arena; the host makes the
 * socket, registers the UMEM, maps the rings at the given offsets over the arena (MAP_FIXED), binds
 * it to the queue and enters it into the steering map.
 */
struct xsk_setup {
    uint64_t interface_index; /* in */
    uint64_t queue;           /* in */
    uint64_t umem_offset;     /* in: arena offset, page-aligned */
    uint64_t umem_size;       /* in */
    uint64_t frame_size;      /* in: power of two, 2048 or 4096 */
    uint64_t headroom;        /* in: bytes beyond the kernel's own */
    uint64_t entries[XSK_RINGS];     /* in: powers of two */
    uint64_t ring_offset[XSK_RINGS]; /* in: arena offsets, page-aligned, ring_space[] bytes there */
    uint64_t ring_space[XSK_RINGS];  /* in */
    struct xsk_ring_layout layout[XSK_RINGS]; /* out */
    uint64_t index;    /* out: number of this XSK for XSK_KICK: equals how many were opened before */
    uint64_t zerocopy; /* out */
    uint64_t alone;     /* out: 1: all that comes goes to the XSK, so that host sockets may know no neighbours */
    uint64_t checksums; /* out: 1: the kernel fills in a checksum that a frame's metadata asks for */
};

/*
 * What lies before a frame that is sent, when `checksums` is 1 and its descriptor has the option
 * XSK_OPTION_METADATA (Documentation/networking/xsk-tx-metadata.rst).
 */
struct xsk_metadata {
    uint64_t flags; /* XSK_METADATA_CHECKSUM */
    uint16_t checksum_start, checksum_offset; /* from the frame's first byte; from there to the field */
    uint32_t padding;
    uint64_t launch_time;
};

#define XSK_METADATA_CHECKSUM (1u << 1)
#define XSK_OPTION_METADATA (1u << 1)

#define SEGMENTS_MAX 64        /* streams */
#define SEGMENTS_COUNT 256u    /* datagrams in one; a power of two */
#define SEGMENTS_BYTES 262144u /* of payload in one */

/*
 * A stream of datagrams for one destination, which the host sends by as few calls as it can (UDP_SEGMENT): a
 * ring that the enclave fills. The host sends by EXIT_SEGMENTS_SEND, or by its monitor when nobody did for a
 * millisecond. Socket and name change only while the ring is empty. The indices are 32 bits of a word, run
 * freely, and have a cache line each.
 */
struct segments_shared {
    uint64_t producer; /* the enclave's: datagrams put in */
    uint64_t socket;   /* host descriptor */
    uint64_t name_length; /* 0: the socket is connected */
    uint64_t name[4];     /* struct sockaddr_in or sockaddr_in6 */
    uint64_t reserved;
    uint64_t consumer; /* the host's: datagrams sent, or given up */
    uint64_t error;    /* host → enclave: errno of a send that failed; the enclave takes it */
    uint64_t reserved_too[6];
    uint64_t datagram[SEGMENTS_COUNT]; /* SEGMENTS_DATAGRAM() of each */
    uint8_t payload[];
};

#define SEGMENTS_DATAGRAM(offset, length) ((uint64_t)(offset) << 32 | (length)) /* within the payload */
#define SEGMENT_LONGEST 9000u
#define SEGMENT_STRIDE(length) (((length) + 7) & ~7u)
#define SEGMENTS_SIZE (sizeof(struct segments_shared) + SEGMENTS_BYTES)

#endif

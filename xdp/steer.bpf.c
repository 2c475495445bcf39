// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The steering program: a UDP datagram to an address of the interface and a port that a client owns goes to
 * the client's XSK on the queue it came in on, if it has one; everything else to the kernel, as if nothing
 * were here: fragments, VLAN tags, options and extension headers, frames for other stations, multicast.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steering_maps.h"

#define FRAGMENT bpf_htons(0x3fff) /* "more fragments" and the offset */

/* The interface's own addresses. The daemon follows their changes. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, STEERING_ADDRESSES);
    __type(key, struct steering_address);
    __type(value, __u8);
} addresses SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, STEERING_PORTS);
    __type(key, struct steering_port);
    __type(value, struct steering_sharers);
} ports SEC(".maps");

/* By client: its XSKs by queue. A map for each, so that none can put an XSK where another's is looked for. */
struct xsk_map {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, STEERING_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, STEERING_CLIENTS);
    __type(key, __u32);
    __array(values, struct xsk_map);
} xsks SEC(".maps");

/* By client: the longest frame that its XSKs take. A longer one is the kernel's: an XSK would drop it. */
volatile __u16 rooms[STEERING_CLIENTS];

/* The interface's own, as the first six bytes lie in memory; 0: it has none. */
volatile __u64 own_mac;

static __always_inline void mapped(struct steering_address *a, __u32 four)
{
    a->byte[10] = a->byte[11] = 0xff;
    __builtin_memcpy(a->byte + 12, &four, sizeof four);
}

/* The clients that want the datagram: the address itself goes before any, as in the kernel. */
static __always_inline struct steering_sharers *wanted_by(struct steering_port *key, int four)
{
    struct steering_sharers *sharers = bpf_map_lookup_elem(&ports, key);
    if (sharers)
        return sharers;
    __builtin_memset(&key->address, 0, sizeof key->address);
    if (four)
        mapped(&key->address, 0);
    return bpf_map_lookup_elem(&ports, key);
}

/* Seen by the verifier, and not removed by the compiler. */
#define bounded(client) asm volatile("%0 &= %1" : "+r"(client) : "i"(STEERING_CLIENTS - 1))

/* `length` is the frame's by what its IP header says: what the frame itself says (data_end - data) only who may see
 * addresses of the kernel (CAP_PERFMON) can compute. */
static __always_inline int redirect(struct xdp_md *context, struct steering_port *key, int four,
                                    __u32 length)
{
    if (!bpf_map_lookup_elem(&addresses, &key->address))
        return XDP_PASS;
    struct steering_sharers *sharers = wanted_by(key, four);
    if (!sharers)
        return XDP_PASS;
    /* Unrolled, for the same reason: no address is computed in two ways at one place. */
#pragma clang loop unroll(full)
    for (int i = 0; i < STEERING_SHARERS && sharers->client[i]; i++) {
        __u32 client = sharers->client[i] - 1, at = client;
        void *map = bpf_map_lookup_elem(&xsks, &client);
        bounded(at);
        if (!map || length > rooms[at])
            continue;
        if (bpf_redirect_map(map, context->rx_queue_index, XDP_PASS) == XDP_REDIRECT)
            return XDP_REDIRECT;
    }
    return XDP_PASS;
}

SEC("xdp")
int steer(struct xdp_md *context)
{
    void *end = (void *)(long)context->data_end;
    struct ethhdr *ethernet = (void *)(long)context->data;
    struct steering_port key = {};
    struct udphdr *udp;
    __u64 mac = 0;
    __u32 length;
    int four;

    if ((void *)(ethernet + 1) > end)
        return XDP_PASS;
    __builtin_memcpy(&mac, ethernet->h_dest, ETH_ALEN);
    if (own_mac && mac != own_mac)
        return XDP_PASS;
    if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl != 5 ||
            ip->protocol != IPPROTO_UDP || ip->frag_off & FRAGMENT)
            return XDP_PASS;
        four = 1;
        length = sizeof *ethernet + bpf_ntohs(ip->tot_len);
        mapped(&key.address, ip->daddr);
        udp = (void *)(ip + 1);
    } else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
            return XDP_PASS;
        four = 0;
        length = sizeof *ethernet + sizeof *ip + bpf_ntohs(ip->payload_len);
        __builtin_memcpy(&key.address, &ip->daddr, sizeof key.address);
        udp = (void *)(ip + 1);
    } else {
        return XDP_PASS;
    }
    if ((void *)(udp + 1) > end)
        return XDP_PASS;
    key.port = udp->dest;
    return redirect(context, &key, four, length);
}

char steer_license[] SEC("license") = "Dual BSD/GPL";

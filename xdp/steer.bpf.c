// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The steering program: a UDP datagram to an address of the interface and a port that an enclave owns goes
 * to the XSK of the queue it came in on, if that is the enclave's; everything else to the kernel, as if
 * nothing were here: fragments, VLAN tags, options and extension headers, frames for other stations, multicast.
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

/* The value has a bit for each client that asked. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, STEERING_PORTS);
    __type(key, struct steering_port);
    __type(value, __u64);
} ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, STEERING_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} xsks SEC(".maps");

/* The bit of the client whose XSK is on the queue, 0: none. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, STEERING_QUEUES);
    __type(key, __u32);
    __type(value, __u64);
} owners SEC(".maps");

/* The interface's own, as the first six bytes lie in memory; 0: it has none. */
volatile __u64 own_mac;

static __always_inline void mapped(struct steering_address *a, __u32 four)
{
    a->byte[10] = a->byte[11] = 0xff;
    __builtin_memcpy(a->byte + 12, &four, sizeof four);
}

/* The clients that want the datagram: the address itself goes before any, as in the kernel. */
static __always_inline __u64 wanted_by(struct steering_port *key, int four)
{
    __u64 *clients = bpf_map_lookup_elem(&ports, key);
    if (clients)
        return *clients;
    __builtin_memset(&key->address, 0, sizeof key->address);
    if (four)
        mapped(&key->address, 0);
    clients = bpf_map_lookup_elem(&ports, key);
    return clients ? *clients : 0;
}

static __always_inline int redirect(struct xdp_md *context, struct steering_port *key, int four)
{
    __u32 queue = context->rx_queue_index;
    __u64 *owner = bpf_map_lookup_elem(&owners, &queue);
    if (!owner || !*owner || !bpf_map_lookup_elem(&addresses, &key->address))
        return XDP_PASS;
    if (!(wanted_by(key, four) & *owner))
        return XDP_PASS;
    return (int)bpf_redirect_map(&xsks, queue, XDP_PASS);
}

SEC("xdp")
int steer(struct xdp_md *context)
{
    void *end = (void *)(long)context->data_end;
    struct ethhdr *ethernet = (void *)(long)context->data;
    struct steering_port key = {};
    struct udphdr *udp;
    __u64 mac = 0;
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
        mapped(&key.address, ip->daddr);
        udp = (void *)(ip + 1);
    } else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
            return XDP_PASS;
        four = 0;
        __builtin_memcpy(&key.address, &ip->daddr, sizeof key.address);
        udp = (void *)(ip + 1);
    } else {
        return XDP_PASS;
    }
    if ((void *)(udp + 1) > end)
        return XDP_PASS;
    key.port = udp->dest;
    return redirect(context, &key, four);
}

char steer_license[] SEC("license") = "Dual BSD/GPL";

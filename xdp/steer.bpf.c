// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The steering program: a UDP datagram to an address of the interface and a port that an enclave
 * owns goes to the XSK of the queue it came in on; everything else to the kernel, as if nothing were
 * here. Without an XSK on the queue it goes to the kernel too.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steering_maps.h"

#define FRAGMENT bpf_htons(0x3fff) /* "more fragments" and the offset */

/* The interface's own IPv4 addresses, network order. The daemon follows their changes. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, STEERING_ADDRESSES);
    __type(key, __u32);
    __type(value, __u8);
} addresses SEC(".maps");

/* The value counts the clients that asked. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, STEERING_PORTS);
    __type(key, struct steering_port);
    __type(value, __u32);
} ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, STEERING_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} xsks SEC(".maps");

static __always_inline int steered(__u32 address, __u16 port)
{
    struct steering_port key = {.address = address, .port = port};
    if (bpf_map_lookup_elem(&ports, &key))
        return 1;
    key.address = 0;
    return bpf_map_lookup_elem(&ports, &key) != 0;
}

SEC("xdp")
int steer(struct xdp_md *context)
{
    void *end = (void *)(long)context->data_end;
    struct ethhdr *ethernet = (void *)(long)context->data;
    struct iphdr *ip = (void *)(ethernet + 1);

    if ((void *)(ip + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP))
        return XDP_PASS;
    if (ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_UDP || ip->frag_off & FRAGMENT)
        return XDP_PASS;
    struct udphdr *udp = (void *)ip + ip->ihl * 4;
    if ((void *)(udp + 1) > end)
        return XDP_PASS;
    __u32 address = ip->daddr;
    if (!bpf_map_lookup_elem(&addresses, &address) || !steered(address, udp->dest))
        return XDP_PASS;
    return (int)bpf_redirect_map(&xsks, context->rx_queue_index, XDP_PASS);
}

char steer_license[] SEC("license") = "Dual BSD/GPL";

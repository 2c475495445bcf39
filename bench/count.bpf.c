// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Counts the UDP datagrams for one port and drops them: a receiver that costs next to nothing, so
 * that it is never what limits a sender. Everything else goes to the kernel.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const volatile __u16 port = 0; /* network order, set before it is loaded */

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} datagrams SEC(".maps");

SEC("xdp")
int count(struct xdp_md *context)
{
    void *end = (void *)(long)context->data_end;
    struct ethhdr *ethernet = (void *)(long)context->data;
    struct iphdr *ip = (void *)(ethernet + 1);
    struct udphdr *udp = (void *)(ip + 1);

    if ((void *)(udp + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP) ||
        ip->protocol != IPPROTO_UDP || ip->ihl != 5 || udp->dest != port)
        return XDP_PASS;
    __u32 key = 0;
    __u64 *counter = bpf_map_lookup_elem(&datagrams, &key);
    if (counter)
        ++*counter;
    return XDP_DROP;
}

char count_license[] SEC("license") = "Dual BSD/GPL";

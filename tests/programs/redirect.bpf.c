// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* As the program of an AF_XDP device plugin: all that comes on a queue with an XSK goes to it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, __u32);
} xsks_map SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *context)
{
    return (int)bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_PASS);
}

char redirect_license[] SEC("license") = "Dual BSD/GPL";

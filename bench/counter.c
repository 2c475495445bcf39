/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/counter.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count.skel.h"

static struct count *program;

static int say_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level, (void)format, (void)arguments;
    return 0;
}

int counter_start(const char *interface, uint16_t port)
{
    /* Not the generic mode: that one sees a segmented stream of many datagrams as one. */
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
    libbpf_set_print(say_nothing);
    program = count__open();
    if (program)
        program->rodata->port = htons(port);
    if (!program || count__load(program)) {
        perror("cannot load the counting program");
        return -1;
    }
    int link = bpf_link_create(bpf_program__fd(program->progs.count),
                               (int)if_nametoindex(interface), BPF_XDP, &options);
    if (link < 0) {
        fprintf(stderr, "cannot attach to %s: %s\n", interface, strerror(-link));
        return -1;
    }
    return 0;
}

uint64_t counter_read(void)
{
    static uint64_t *each;
    const uint32_t key = 0;
    int cpus = libbpf_num_possible_cpus();
    uint64_t sum = 0;
    if (!each)
        each = calloc((size_t)cpus, sizeof *each);
    if (!each || bpf_map_lookup_elem(bpf_map__fd(program->maps.datagrams), &key, each))
        return 0;
    for (int i = 0; i < cpus; i++)
        sum += each[i];
    return sum;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The steering program on one interface, and its maps. */
#include "xdp/steering.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "steer.skel.h"

static int say_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level, (void)format, (void)arguments;
    return 0;
}

static int attach(struct steering *s, enum xdp_mode mode)
{
    LIBBPF_OPTS(bpf_link_create_opts, options,
                .flags = mode == XDP_MODE_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
    int fd = bpf_link_create(bpf_program__fd(s->program->progs.steer), (int)s->interface_index,
                             BPF_XDP, &options);
    if (fd < 0)
        return -errno;
    s->link = fd;
    s->mode = mode;
    return 0;
}

static int attach_failed(const char *interface, enum xdp_mode mode, int error)
{
    if (error == -EBUSY || error == -EEXIST)
        fprintf(stderr, "rakis-xdpd: cannot attach to %s: it has an XDP program already (another "
                        "rakis-xdpd? see ip link show %s)\n", interface, interface);
    else if (error == -EPERM || error == -EACCES)
        fprintf(stderr, "rakis-xdpd: cannot attach to %s: no privilege for XDP: needs "
                        "CAP_NET_ADMIN and CAP_BPF\n", interface);
    else if (mode == XDP_MODE_NATIVE)
        fprintf(stderr, "rakis-xdpd: cannot attach to %s: its driver takes no native XDP now (%s); "
                        "try --xdp-mode skb\n", interface, strerror(-error));
    else
        fprintf(stderr, "rakis-xdpd: cannot attach to %s: %s\n", interface, strerror(-error));
    return -1;
}

int steering_start(struct steering *s, const char *interface, unsigned index, enum xdp_mode mode)
{
    *s = (struct steering){.link = -1, .interface_index = index};
    libbpf_set_print(say_nothing);
    s->program = steer__open();
    if (!s->program || steer__load(s->program)) {
        if (errno == EPERM || errno == EACCES)
            fprintf(stderr, "rakis-xdpd: no privilege for XDP: needs CAP_NET_ADMIN and CAP_BPF\n");
        else
            fprintf(stderr, "rakis-xdpd: cannot load the steering program: %s\n", strerror(errno));
        steering_stop(s);
        return -1;
    }
    enum xdp_mode tried = mode == XDP_MODE_AUTO ? XDP_MODE_NATIVE : mode;
    int error = attach(s, tried);
    if (error && mode == XDP_MODE_AUTO && error != -EBUSY && error != -EEXIST && error != -EPERM)
        error = attach(s, tried = XDP_MODE_SKB);
    if (error) {
        attach_failed(interface, tried, error);
        steering_stop(s);
        return -1;
    }
    return 0;
}

void steering_stop(struct steering *s)
{
    if (s->link >= 0)
        close(s->link);
    s->link = -1;
    steer__destroy(s->program);
    s->program = NULL;
}

static int result(int failed)
{
    return failed ? -errno : 0;
}

int steering_addresses(struct steering *s, const struct steering_address *addresses, size_t count)
{
    int map = bpf_map__fd(s->program->maps.addresses), error = 0;
    const uint8_t present = 1;
    for (size_t i = 0; i < count && !error; i++)
        error = result(bpf_map_update_elem(map, &addresses[i], &present, BPF_ANY));

    /* Of those not among them, find one and begin again: deleting disturbs the walk. */
    struct steering_address key;
    for (const struct steering_address *previous = NULL; !bpf_map_get_next_key(map, previous, &key);) {
        size_t i = 0;
        while (i < count && memcmp(&addresses[i], &key, sizeof key))
            i++;
        if (i < count) {
            previous = &addresses[i];
        } else {
            bpf_map_delete_elem(map, &key);
            previous = NULL;
        }
    }
    return error;
}

void steering_mac(struct steering *s, const uint8_t mac[6])
{
    uint64_t word = 0;
    if (mac)
        memcpy(&word, mac, 6);
    s->program->bss->own_mac = word;
}

int steering_port_add(struct steering *s, const struct steering_port *port, unsigned client)
{
    int map = bpf_map__fd(s->program->maps.ports);
    uint64_t clients = 0;
    if (bpf_map_lookup_elem(map, port, &clients))
        clients = 0;
    clients |= 1ull << client;
    return result(bpf_map_update_elem(map, port, &clients, BPF_ANY));
}

int steering_port_remove(struct steering *s, const struct steering_port *port, unsigned client)
{
    int map = bpf_map__fd(s->program->maps.ports);
    uint64_t clients;
    if (bpf_map_lookup_elem(map, port, &clients))
        return -errno;
    clients &= ~(1ull << client);
    if (clients)
        return result(bpf_map_update_elem(map, port, &clients, BPF_EXIST));
    return result(bpf_map_delete_elem(map, port));
}

int steering_xsk_add(struct steering *s, uint32_t queue, int fd, unsigned client)
{
    const uint64_t owner = 1ull << client;
    int error = result(bpf_map_update_elem(bpf_map__fd(s->program->maps.xsks), &queue, &fd,
                                           BPF_NOEXIST));
    if (!error)
        error = result(bpf_map_update_elem(bpf_map__fd(s->program->maps.owners), &queue, &owner,
                                           BPF_ANY));
    return error == -EEXIST ? -EBUSY : error;
}

void steering_xsk_remove(struct steering *s, uint32_t queue)
{
    const uint64_t none = 0;
    bpf_map_update_elem(bpf_map__fd(s->program->maps.owners), &queue, &none, BPF_ANY);
    bpf_map_delete_elem(bpf_map__fd(s->program->maps.xsks), &queue);
}

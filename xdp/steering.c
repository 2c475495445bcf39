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
#include "xdp/maker.h"

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
    *s = (struct steering){.link = -1, .interface_index = index, .maker = -1};
    libbpf_set_print(say_nothing);
    /* Before there is a link, which it would keep alive until it gets to close what it has inherited. */
    s->maker = maker_start();
    if (s->maker < 0) {
        fprintf(stderr, "rakis-xdpd: cannot make a process: %s\n", strerror(-s->maker));
        return -1;
    }
    s->program = steer__open();
    if (!s->program || steer__load(s->program)) {
        if (errno == EPERM)
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

void steering_detach(struct steering *s)
{
    if (s->link >= 0)
        close(s->link);
    s->link = -1;
}

void steering_stop(struct steering *s)
{
    if (s->maker >= 0)
        close(s->maker);
    s->maker = -1;
    steering_detach(s);
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
    struct steering_sharers sharers;
    size_t i = 0;
    if (bpf_map_lookup_elem(map, port, &sharers))
        memset(&sharers, 0, sizeof sharers);
    while (i < STEERING_SHARERS && sharers.client[i] && sharers.client[i] != client + 1)
        i++;
    if (i == STEERING_SHARERS)
        return -ENOSPC;
    sharers.client[i] = (uint8_t)(client + 1);
    return result(bpf_map_update_elem(map, port, &sharers, BPF_ANY));
}

int steering_port_remove(struct steering *s, const struct steering_port *port, unsigned client)
{
    int map = bpf_map__fd(s->program->maps.ports);
    struct steering_sharers old, sharers = {0};
    size_t left = 0;
    if (bpf_map_lookup_elem(map, port, &old))
        return -errno;
    for (size_t i = 0; i < STEERING_SHARERS; i++)
        if (old.client[i] && old.client[i] != client + 1)
            sharers.client[left++] = old.client[i];
    if (left)
        return result(bpf_map_update_elem(map, port, &sharers, BPF_EXIST));
    return result(bpf_map_delete_elem(map, port));
}

/* What it might answer yet is not to be taken for another answer. */
static int maker_answered(struct steering *s, int answer)
{
    if (answer == -ETIMEDOUT) {
        close(s->maker);
        s->maker = -1;
    }
    return answer;
}

int steering_xsk(struct steering *s, int xsk)
{
    return s->busy_poll ? maker_answered(s, busy_poll_request(s->maker, xsk, s->busy_poll)) : 0;
}

int steering_client_add(struct steering *s, unsigned client)
{
    int map = maker_answered(s, map_request(s->maker));
    if (map < 0)
        return map;
    const uint32_t key = client;
    steering_room(s, client, UINT32_MAX);
    int error = result(bpf_map_update_elem(bpf_map__fd(s->program->maps.xsks), &key, &map, BPF_ANY));
    if (!error)
        return map;
    close(map);
    return error;
}

void steering_client_remove(struct steering *s, unsigned client)
{
    const uint32_t key = client;
    bpf_map_delete_elem(bpf_map__fd(s->program->maps.xsks), &key);
}

int steering_xsk_add(int map, uint32_t queue, int xsk)
{
    return result(bpf_map_update_elem(map, &queue, &xsk, BPF_ANY));
}

void steering_room(struct steering *s, unsigned client, uint32_t bytes)
{
    s->program->bss->rooms[client] = (uint16_t)(bytes < UINT16_MAX ? bytes : UINT16_MAX);
}

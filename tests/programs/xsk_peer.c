/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of AF_XDP without an enclave: opens an XSK by way of rakis-xdpd and does what a test
 * tells it, a line of standard input at a time. Each command is answered by one line.
 *
 *   xsk_peer IFACE [QUEUE]     says "ready INDEX ZEROCOPY", or "none" when no XSK can be opened
 *   add PORT | del PORT | add ADDRESS PORT | del ADDRESS PORT    → "ok" or "error N"
 *   own PORT           binds a socket to any address of IPv4 and that port, which later "add"s show → "ok" or
 *                      "error N"
 *   receive N MS       → "got N", how many of N datagrams came to the XSK in time
 *   send ADDRESS PORT TEXT COUNT KICK                            → "sent", "error N"; KICK 0: only
 *                      the first of them is kicked for, the monitor does the rest
 *   drained MS         → "drained" or "left N", packets in the TX ring
 *   route ADDRESS      → "route KIND IFINDEX MTU NEXTHOP MAC KNOWN SOURCE"
 *   interfaces         → "interface INDEX MAC MTU QUEUES UP ADDRESS/PREFIX..."
 *   quit
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "host/host.h"
#include "host/thread.h"

#define FRAME 2048
#define FRAMES 1024 /* the second half is for sending */
#define ENTRIES 512
#define PAGE 4096

struct host host;

/* There are no threads of an enclave to be reminded. */
bool threads_remind(uint64_t before)
{
    (void)before;
    return false;
}

void threads_served(bool now)
{
    (void)now;
}

static struct xsk_setup setup;
static struct interface_info interface;
static uint32_t sent; /* frames given to the TX ring */

static uint32_t *word(int ring, uint64_t offset)
{
    return (uint32_t *)(host.arena + setup.ring_offset[ring] + offset);
}

static uint32_t load(int ring, uint64_t offset)
{
    return __atomic_load_n(word(ring, offset), __ATOMIC_ACQUIRE);
}

static void store(int ring, uint64_t offset, uint32_t value)
{
    __atomic_store_n(word(ring, offset), value, __ATOMIC_RELEASE);
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

/* Of either family, IPv4 as ::ffff:a.b.c.d. */
static struct ip_address address_of(const char *text)
{
    uint64_t word[2] = {0, 0};
    uint32_t four;
    if (inet_pton(AF_INET, text, &four) == 1)
        return (struct ip_address){0, 0xffffull << 32 | ntohl(four)};
    inet_pton(AF_INET6, text, word);
    return (struct ip_address){be64toh(word[0]), be64toh(word[1])};
}

static void fill(uint64_t address)
{
    const struct xsk_ring_layout *l = &setup.layout[XSK_RING_FILL];
    uint32_t at = load(XSK_RING_FILL, l->producer);
    uint64_t *entry = (void *)word(XSK_RING_FILL, l->descriptors);
    entry[at % ENTRIES] = address;
    store(XSK_RING_FILL, l->producer, at + 1);
}

static bool open_xsk(const char *name, uint64_t queue)
{
    struct interface_list list;
    if (xsk_host_start(&name, NULL, 1, getenv("XSK_UDS")) <= 0 || netinfo_interfaces(&name, 1, &list))
        return false;
    interface = list.interface[0];
    setup = (struct xsk_setup){.interface_index = interface.index,
                               .queue = queue,
                               .umem_size = FRAMES * FRAME,
                               .frame_size = FRAME};
    for (int i = 0; i < XSK_RINGS; i++) {
        setup.entries[i] = ENTRIES;
        setup.ring_offset[i] = FRAMES * FRAME + (uint64_t)i * 8 * PAGE;
        setup.ring_space[i] = 8 * PAGE;
    }
    int64_t fd = xsk_host_open(&setup);
    if (fd < 0)
        fprintf(stderr, "xsk_host_open: %s\n", strerror((int)-fd));
    for (uint64_t i = 0; fd >= 0 && i < FRAMES / 2; i++)
        fill(i * FRAME);
    return fd >= 0;
}

static long receive(long wanted, long ms)
{
    const struct xsk_ring_layout *l = &setup.layout[XSK_RING_RX];
    const struct xdp_desc *entry = (void *)word(XSK_RING_RX, l->descriptors);
    long got = 0;
    for (long left = 2 * ms; left >= 0 && got < wanted; left--) {
        uint32_t at = load(XSK_RING_RX, l->consumer);
        for (; at != load(XSK_RING_RX, l->producer); at++, got++)
            fill(entry[at % ENTRIES].addr / FRAME * FRAME);
        store(XSK_RING_RX, l->consumer, at);
        if (got < wanted)
            wait_a_little();
    }
    return got;
}

static void be16(uint8_t *at, uint64_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void be32(uint8_t *at, uint64_t value)
{
    be16(at, value >> 16);
    be16(at + 2, value);
}

static void mac_put(uint8_t *at, uint64_t mac)
{
    be16(at, mac >> 32);
    be32(at + 2, mac);
}

/* UDP without a checksum, as IPv4 allows. */
static uint32_t packet_make(uint8_t *p, const struct route_query *route, uint16_t port,
                            const char *text)
{
    uint32_t length = (uint32_t)strlen(text), sum = 0;
    memset(p, 0, 42);
    mac_put(p, route->mac);
    mac_put(p + 6, interface.mac);
    be16(p + 12, 0x0800);
    uint8_t *ip = p + 14, *udp = ip + 20;
    ip[0] = 0x45;
    be16(ip + 2, 28 + length);
    ip[8] = 64;
    ip[9] = 17;
    be32(ip + 12, route->source.low);
    be32(ip + 16, route->destination.low);
    for (int i = 0; i < 20; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    be16(ip + 10, ~((sum & 0xffff) + (sum >> 16)));
    be16(udp, 4444);
    be16(udp + 2, port);
    be16(udp + 4, 8 + length);
    memcpy(udp + 8, text, length);
    return 42 + length;
}

static int64_t kick(void)
{
    int64_t error = -EAGAIN;
    for (int i = 0; i < 1000 && error == -EAGAIN; i++)
        error = xsk_host_kick(setup.index, false);
    return error;
}

static void route_of(const char *destination, struct route_query *route)
{
    *route = (struct route_query){.destination = address_of(destination)};
    for (int i = 0; i < 400; i++) {
        route->source = (struct ip_address){0, 0};
        if (netinfo_route(route) || route->kind != ROUTE_UNICAST || route->neighbour_known)
            return;
        wait_a_little();
    }
}

static int64_t transmit(const char *destination, int port, const char *text, int count, bool kicks)
{
    const struct xsk_ring_layout *l = &setup.layout[XSK_RING_TX],
                                 *c = &setup.layout[XSK_RING_COMPLETION];
    struct xdp_desc *entry = (void *)word(XSK_RING_TX, l->descriptors);
    struct route_query route;
    int64_t error = 0;
    route_of(destination, &route);
    if (!route.neighbour_known)
        return -EHOSTUNREACH;
    for (int i = 0; i < count && !error; i++) {
        /* Completions are in order: a frame is free again when they come round to it. */
        while (sent - load(XSK_RING_COMPLETION, c->producer) >= FRAMES / 2)
            wait_a_little();
        store(XSK_RING_COMPLETION, c->consumer, load(XSK_RING_COMPLETION, c->producer));
        uint32_t at = load(XSK_RING_TX, l->producer);
        /* Room before it for metadata, which the kernel may ask for. */
        uint64_t address = (FRAMES / 2 + sent++ % (FRAMES / 2)) * (uint64_t)FRAME + 64;
        uint32_t length = packet_make(host.arena + address, &route, (uint16_t)port, text);
        entry[at % ENTRIES] = (struct xdp_desc){.addr = address, .len = length};
        store(XSK_RING_TX, l->producer, at + 1);
        if (kicks || i == 0)
            error = kick();
    }
    return error;
}

static uint32_t tx_left(long ms)
{
    const struct xsk_ring_layout *l = &setup.layout[XSK_RING_TX];
    uint32_t left = 0;
    for (long i = 0; i < 2 * ms; i++) {
        left = load(XSK_RING_TX, l->producer) - load(XSK_RING_TX, l->consumer);
        if (!left)
            break;
        wait_a_little();
    }
    return left;
}

static void answer(int64_t error, const char *good)
{
    if (error)
        printf("error %ld\n", (long)-error);
    else
        printf("%s\n", good);
}

static void say_address(struct ip_address a)
{
    char text[INET6_ADDRSTRLEN];
    const uint64_t word[2] = {htobe64(a.high), htobe64(a.low)};
    bool four = a.high == 0 && (a.low == 0 || a.low >> 32 == 0xffff);
    printf(" %s", inet_ntop(four ? AF_INET : AF_INET6, (const uint8_t *)word + (four ? 12 : 0), text,
                            sizeof text));
}

static void say_route(const char *destination)
{
    struct route_query route = {.destination = address_of(destination)};
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int error = netinfo_route(&route);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (error) {
        answer(error, "");
        return;
    }
    printf("route %lu %lu %lu", route.kind, route.interface_index, route.mtu);
    say_address(route.next_hop);
    printf(" %012lx %lu", route.mac, route.neighbour_known);
    say_address(route.source);
    printf("\n");
    fprintf(stderr, "asked in %ld ns\n",
            (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
}

static void say_interfaces(const char *name)
{
    struct interface_list list;
    int error = netinfo_interfaces(&name, 1, &list);
    if (error) {
        answer(error, "");
        return;
    }
    const struct interface_info *i = &list.interface[0];
    printf("interface %lu %012lx %lu %lu %lu", i->index, i->mac, i->mtu, i->queues, i->up);
    for (uint64_t n = 0; n < i->address_count; n++) {
        say_address(i->address[n].address);
        printf("/%lu", i->address[n].prefix);
    }
    printf("\n");
}

static int owned = -1;

static int own(int port)
{
    const struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    owned = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return bind(owned, (const struct sockaddr *)&name, sizeof name) ? -errno : 0;
}

static int steer(int operation, const char *address, int port)
{
    const struct port_key key = {.address = address_of(address), .port = (uint64_t)port,
                                 .socket = (uint64_t)(int64_t)owned};
    return port_steer(operation, &key);
}

static void command(const char *name, const char *line)
{
    char text[256], address[64];
    int port, count, kicks;
    long ms;
    if (sscanf(line, "add %63s %d", address, &port) == 2)
        answer(steer(PORT_ADD, address, port), "ok");
    else if (sscanf(line, "del %63s %d", address, &port) == 2)
        answer(steer(PORT_REMOVE, address, port), "ok");
    else if (sscanf(line, "add %d", &port) == 1)
        answer(steer(PORT_ADD, "0.0.0.0", port), "ok");
    else if (sscanf(line, "del %d", &port) == 1)
        answer(steer(PORT_REMOVE, "0.0.0.0", port), "ok");
    else if (sscanf(line, "own %d", &port) == 1)
        answer(own(port), "ok");
    else if (sscanf(line, "receive %d %ld", &count, &ms) == 2)
        printf("got %ld\n", receive(count, ms));
    else if (sscanf(line, "send %63s %d %255s %d %d", address, &port, text, &count, &kicks) == 5)
        answer(transmit(address, port, text, count, kicks), "sent");
    else if (sscanf(line, "drained %ld", &ms) == 1) {
        uint32_t left = tx_left(ms);
        if (left)
            printf("left %u\n", left);
        else
            printf("drained\n");
    } else if (sscanf(line, "route %63s", address) == 1)
        say_route(address);
    else if (!strncmp(line, "interfaces", 10))
        say_interfaces(name);
    else
        printf("what\n");
}

int main(int count, char **arguments)
{
    char line[512];
    if (count != 2 && count != 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    host.arena_size = FRAMES * FRAME + XSK_RINGS * 8 * PAGE;
    host.arena = mmap(NULL, host.arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    if (host.arena == MAP_FAILED)
        return 1;
    if (!open_xsk(arguments[1], count == 3 ? (uint64_t)atoi(arguments[2]) : 0)) {
        printf("none\n");
        xsk_host_stop();
        return 1;
    }
    printf("ready %lu %lu\n", setup.index, setup.zerocopy);
    while (fgets(line, sizeof line, stdin) && strncmp(line, "quit", 4))
        command(arguments[1], line);
    xsk_host_stop();
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of equal datagrams at a rate that the kernel's sockets do not reach: through an AF_XDP
 * socket of its own. Replies are counted, and dropped, by an XDP program.
 *
 *   xsk_generator IFACE ADDRESS PORT SIZE RATE SECONDS
 *
 * RATE in datagrams a second, 0: as fast as it goes; SIZE of the payload. Counts for SECONDS, after
 * a warm-up. Prints JSON: datagrams sent and replies in that time, and both in all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/counter.h"

#define ENTRIES 2048u /* of each ring, and frames */
#define FRAME 2048u
#define BATCH 32u /* what the kernel takes a call in copy mode */
#define HEADERS 42u
#define SIZE_MAX_ (1500u - 28u)
#define SOURCE_PORT 40000
#define DISCARD_PORT 9
#define WARM_UP 0.2
#define AHEAD 50e-6  /* seconds: sleep when this much is sent in advance */
#define BEHIND 20e-3 /* seconds: do not try to make up for more than this */

struct ring {
    uint32_t *producer, *consumer;
    void *entries;
};

static struct {
    int fd;
    uint8_t *umem;
    struct ring transmit, completion;
    uint32_t put;       /* into the TX ring */
    uint32_t completed; /* and come back */
} xsk;

struct way {
    uint8_t source_mac[6], destination_mac[6];
    uint32_t source, destination; /* network order */
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void nap(long microseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, NULL);
}

static bool fail(const char *what)
{
    fprintf(stderr, "xsk_generator: %s: %s\n", what, strerror(errno));
    return false;
}

/* ---- where to ---- */

/* The kernel resolves the neighbour of a datagram that we send to it. */
static bool neighbour(int fd, const char *interface, uint32_t address, uint8_t mac[6])
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(DISCARD_PORT), .sin_addr.s_addr = address};
    struct arpreq request = {0};
    memcpy(&request.arp_pa, &to, sizeof to);
    snprintf(request.arp_dev, sizeof request.arp_dev, "%s", interface);
    for (int i = 0; i < 1000; i++) {
        if (i % 100 == 0)
            sendto(fd, "", 0, 0, (const struct sockaddr *)&to, sizeof to);
        if (!ioctl(fd, SIOCGARP, &request) && request.arp_flags & ATF_COM) {
            memcpy(mac, request.arp_ha.sa_data, 6);
            return true;
        }
        nap(2000);
    }
    errno = EHOSTUNREACH;
    return fail("no answer to ARP");
}

static bool way_find(const char *interface, const char *destination, struct way *way)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request))
        return fail(interface);
    memcpy(way->source_mac, request.ifr_hwaddr.sa_data, 6);
    if (ioctl(fd, SIOCGIFADDR, &request))
        return fail("address of the interface");
    way->source = ((const struct sockaddr_in *)(const void *)&request.ifr_addr)->sin_addr.s_addr;
    if (inet_pton(AF_INET, destination, &way->destination) != 1) {
        errno = EINVAL;
        return fail(destination);
    }
    bool found = neighbour(fd, interface, way->destination, way->destination_mac);
    close(fd);
    return found;
}

/* ---- the packet ---- */

static void be16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t sum(uint32_t so_far, const uint8_t *data, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        so_far += i & 1 ? data[i] : (uint32_t)data[i] << 8;
    return so_far;
}

static uint32_t fold(uint32_t value)
{
    value = (value & 0xffff) + (value >> 16);
    return ~((value & 0xffff) + (value >> 16)) & 0xffff;
}

static void packet_make(uint8_t *p, const struct way *way, uint16_t port, uint32_t size)
{
    uint8_t *ip = p + 14, *udp = ip + 20;
    memset(p, 0, HEADERS);
    memcpy(p, way->destination_mac, 6);
    memcpy(p + 6, way->source_mac, 6);
    be16(p + 12, 0x0800);
    ip[0] = 0x45;
    be16(ip + 2, 28 + size);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    memcpy(ip + 12, &way->source, 4);
    memcpy(ip + 16, &way->destination, 4);
    be16(ip + 10, fold(sum(0, ip, 20)));
    be16(udp, SOURCE_PORT);
    be16(udp + 2, port);
    be16(udp + 4, 8 + size);
    for (uint32_t i = 0; i < size; i++)
        udp[8 + i] = (uint8_t)i;
    /* The pseudo-header is the addresses, the protocol and the length. */
    uint32_t check = fold(sum(sum(IPPROTO_UDP + 8 + size, ip + 12, 8), udp, 8 + size));
    be16(udp + 6, check ? check : 0xffff);
}

/* ---- the socket ---- */

static bool ring_map(struct ring *ring, uint64_t map, const struct xdp_ring_offset *at,
                     size_t entry)
{
    uint8_t *memory = mmap(NULL, at->desc + ENTRIES * entry, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_POPULATE, xsk.fd, (off_t)map);
    if (memory == MAP_FAILED)
        return fail("mmap of a ring");
    *ring = (struct ring){.producer = (uint32_t *)(void *)(memory + at->producer),
                          .consumer = (uint32_t *)(void *)(memory + at->consumer),
                          .entries = memory + at->desc};
    return true;
}

static bool xsk_open(const char *interface)
{
    const uint32_t entries = ENTRIES;
    const size_t length = ENTRIES * FRAME;
    xsk.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (xsk.fd < 0)
        return fail("socket(AF_XDP)");
    xsk.umem = mmap(NULL, length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (xsk.umem == MAP_FAILED)
        return fail("memory for packets");
    const struct xdp_umem_reg umem = {
        .addr = (uint64_t)(uintptr_t)xsk.umem, .len = length, .chunk_size = FRAME};
    if (setsockopt(xsk.fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem))
        return fail("XDP_UMEM_REG");
    /* Nothing is received, but an XSK is bound with a fill ring only. */
    static const int made[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_TX_RING};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (setsockopt(xsk.fd, SOL_XDP, made[i], &entries, sizeof entries))
            return fail("size of a ring");
    struct xdp_mmap_offsets offsets;
    socklen_t size = sizeof offsets;
    if (getsockopt(xsk.fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size))
        return fail("XDP_MMAP_OFFSETS");
    if (!ring_map(&xsk.transmit, XDP_PGOFF_TX_RING, &offsets.tx, sizeof(struct xdp_desc)) ||
        !ring_map(&xsk.completion, XDP_UMEM_PGOFF_COMPLETION_RING, &offsets.cr, sizeof(uint64_t)))
        return false;
    const struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
                                         .sxdp_ifindex = if_nametoindex(interface)};
    if (bind(xsk.fd, (const struct sockaddr *)&address, sizeof address))
        return fail("bind of the AF_XDP socket");
    return true;
}

/* ---- sending ---- */

static void complete(void)
{
    uint32_t producer = __atomic_load_n(xsk.completion.producer, __ATOMIC_ACQUIRE);
    xsk.completed = producer;
    __atomic_store_n(xsk.completion.consumer, producer, __ATOMIC_RELEASE);
}

/* Frames are equal and never change, so a slot of the ring always has the frame of its number. */
static void put_batch(uint32_t length)
{
    struct xdp_desc *entry = xsk.transmit.entries;
    if (ENTRIES - (xsk.put - xsk.completed) < BATCH)
        return; /* the kernel is behind: it is kicked again */
    for (uint32_t i = 0; i < BATCH; i++, xsk.put++)
        entry[xsk.put % ENTRIES] =
            (struct xdp_desc){.addr = (xsk.put % ENTRIES) * FRAME, .len = length};
    __atomic_store_n(xsk.transmit.producer, xsk.put, __ATOMIC_RELEASE);
}

static bool kick(void)
{
    if (sendto(xsk.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
        return true;
    /* ENETDOWN: the other end's program is being attached. */
    return errno == EAGAIN || errno == EBUSY || errno == ENOBUFS || errno == ENETDOWN ||
           fail("transmitting");
}

struct count {
    double time;
    uint64_t sent, replies;
};

static struct count count_now(uint64_t sent)
{
    return (struct count){.time = seconds_now(), .sent = sent, .replies = counter_read()};
}

static bool generate(uint32_t length, double rate, double seconds)
{
    double start = seconds_now(), paced = start; /* paced: from when on the rate is kept */
    double end = start + WARM_UP + seconds;
    uint64_t total = 0, since = 0; /* since `paced` */
    uint32_t completed = 0;
    struct count begin = {0};
    for (double now = start; now < end; now = seconds_now()) {
        if (!begin.time && now >= start + WARM_UP)
            begin = count_now(total);
        double due = rate ? paced + (double)since / rate : now;
        if (due > now + AHEAD) {
            nap((long)((due - now) * 1e6));
            continue;
        }
        if (now - due > BEHIND) {
            paced = now;
            since = 0;
        }
        put_batch(length);
        if (!kick())
            return false;
        complete();
        since += xsk.completed - completed;
        total += xsk.completed - completed;
        completed = xsk.completed;
    }
    struct count last = count_now(total);
    nap(100000); /* replies that are still on their way count in the totals */
    printf("{\"sent\": %" PRIu64 ", \"replies\": %" PRIu64 ", \"seconds\": %.6f, "
           "\"sent_total\": %" PRIu64 ", \"replies_total\": %" PRIu64 "}\n",
           last.sent - begin.sent, last.replies - begin.replies, last.time - begin.time, total,
           counter_read());
    return true;
}

int main(int words, char **word)
{
    struct way way;
    if (words != 7) {
        fprintf(stderr, "usage: xsk_generator IFACE ADDRESS PORT SIZE RATE SECONDS\n");
        return 2;
    }
    uint32_t size = (uint32_t)atoi(word[4]);
    if (size > SIZE_MAX_) {
        fprintf(stderr, "xsk_generator: at most %u bytes\n", SIZE_MAX_);
        return 2;
    }
    /* Sleeps between batches are to be as short as they are asked for. */
    prctl(PR_SET_TIMERSLACK, 1000);
    if (counter_start(word[1], SOURCE_PORT) || !way_find(word[1], word[2], &way) ||
        !xsk_open(word[1]))
        return 1;
    for (uint32_t i = 0; i < ENTRIES; i++)
        packet_make(xsk.umem + i * FRAME, &way, (uint16_t)atoi(word[3]), size);
    return generate(HEADERS + size, atof(word[5]), atof(word[6])) ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/neighbours.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/address.h"
#include "host/host.h"

#define KEPT 1024 /* power of two */
#define OLD_MS 15000  /* asked after from then on, once a second */
#define GONE_MS 60000 /* not believed from then on */
#define AGAIN_MS 1000
#define FRAME_MAX 512 /* enough for all options that matter */

struct neighbour {
    unsigned interface;
    struct ip_address address;
    uint64_t mac;
    int64_t learnt, asked; /* ms of the monotonic clock */
};

static struct {
    pthread_mutex_t lock;
    int socket; /* to send frames by, 0: not made yet */
    struct interface_info own; /* of the interface last asked for, up to a second ago */
    int64_t own_since;
    struct neighbour kept[KEPT];
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- addresses ---- */

static void four_store(uint8_t *p, struct ip_address a)
{
    const uint32_t word = htonl((uint32_t)a.low);
    memcpy(p, &word, sizeof word);
}

static void six_store(uint8_t *p, struct ip_address a)
{
    const uint64_t word[2] = {htobe64(a.high), htobe64(a.low)};
    memcpy(p, word, sizeof word);
}

static void mac_store(uint8_t *p, uint64_t mac)
{
    for (int i = 0; i < ETH_ALEN; i++)
        p[i] = (uint8_t)(mac >> (8 * (ETH_ALEN - 1 - i)));
}

/* One station's. */
static bool mac_plausible(uint64_t mac)
{
    return mac && !(mac >> 40 & 1);
}

/* With the lock: the interface as it is, or was within a second. NULL: it is gone. */
static const struct interface_info *own_of(unsigned index)
{
    struct interface_list list;
    char name[IF_NAMESIZE];
    const char *names[] = {name};
    if (all.own.index == index && now_ms() - all.own_since < AGAIN_MS)
        return &all.own;
    if (!if_indextoname(index, name) || netinfo_interfaces(names, 1, &list))
        return NULL;
    all.own = list.interface[0];
    all.own_since = now_ms();
    return &all.own;
}

static bool owns(const struct interface_info *own, struct ip_address address)
{
    for (uint64_t i = 0; i < own->address_count; i++)
        if (address_equal(own->address[i].address, address))
            return true;
    return false;
}

/* One to speak from: of the family, and of a network with the other, if there is one. */
static struct ip_address source_for(const struct interface_info *own, struct ip_address other)
{
    struct ip_address any = {0, 0};
    for (uint64_t i = 0; i < own->address_count; i++) {
        struct ip_address a = own->address[i].address;
        uint64_t bits = own->address[i].prefix + (address_is_four(a) ? 96 : 0);
        uint64_t high = bits >= 64 ? ~0ull : bits ? ~0ull << (64 - bits) : 0;
        uint64_t low = bits <= 64 ? 0 : bits >= 128 ? ~0ull : ~0ull << (128 - bits);
        if (address_is_four(a) != address_is_four(other))
            continue;
        any = a;
        if (!((a.high ^ other.high) & high) && !((a.low ^ other.low) & low))
            break;
    }
    return any;
}

/* ---- sending ---- */

/* With the lock. */
static void frame_send(unsigned interface, const uint8_t *frame, size_t length)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_ifindex = (int)interface,
                             .sll_halen = ETH_ALEN};
    memcpy(to.sll_addr, frame, ETH_ALEN);
    memcpy(&to.sll_protocol, frame + 12, sizeof to.sll_protocol);
    if (all.socket <= 0)
        all.socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (all.socket > 0)
        sendto(all.socket, frame, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to);
}

static void arp_send(unsigned interface, uint16_t operation, uint64_t to, uint64_t mac,
                     struct ip_address source, struct ip_address target)
{
    uint8_t frame[60] = {0}; /* the least that Ethernet carries */
    struct ether_arp *arp = (void *)(frame + ETH_HLEN);
    mac_store(frame, to);
    mac_store(frame + ETH_ALEN, mac);
    frame[12] = ETHERTYPE_ARP >> 8;
    frame[13] = ETHERTYPE_ARP & 0xff;
    arp->arp_hrd = htons(ARPHRD_ETHER);
    arp->arp_pro = htons(ETHERTYPE_IP);
    arp->arp_hln = ETH_ALEN;
    arp->arp_pln = 4;
    arp->arp_op = htons(operation);
    mac_store(arp->arp_sha, mac);
    four_store(arp->arp_spa, source);
    if (operation == ARPOP_REPLY)
        mac_store(arp->arp_tha, to);
    four_store(arp->arp_tpa, target);
    frame_send(interface, frame, sizeof frame);
}

/* Of a packet of ICMPv6 without extension headers: 0xffff over one whose checksum holds. */
static uint16_t sum_of(const uint8_t *ip, size_t length)
{
    uint32_t sum = (uint32_t)length + IPPROTO_ICMPV6;
    for (size_t i = 8; i < sizeof(struct ip6_hdr) + length; i += 2)
        sum += (uint32_t)ip[i] << 8 | (i + 1 < sizeof(struct ip6_hdr) + length ? ip[i + 1] : 0);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

struct discovery {
    uint8_t type;
    uint32_t flags;
    uint64_t to_mac, mac;
    struct ip_address source, to, target;
};

/* With one option, which tells our address. */
static void discovery_send(unsigned interface, const struct discovery *d)
{
    uint8_t frame[ETH_HLEN + sizeof(struct ip6_hdr) + sizeof(struct nd_neighbor_solicit) + 8] = {0};
    const size_t length = sizeof(struct nd_neighbor_solicit) + 8;
    uint8_t *ip = frame + ETH_HLEN, *message = ip + sizeof(struct ip6_hdr);
    struct ip6_hdr header = {.ip6_flow = htonl(6u << 28),
                             .ip6_plen = htons(length),
                             .ip6_nxt = IPPROTO_ICMPV6,
                             .ip6_hlim = 255};
    mac_store(frame, d->to_mac);
    mac_store(frame + ETH_ALEN, d->mac);
    frame[12] = ETHERTYPE_IPV6 >> 8;
    frame[13] = ETHERTYPE_IPV6 & 0xff;
    six_store((uint8_t *)&header.ip6_src, d->source);
    six_store((uint8_t *)&header.ip6_dst, d->to);
    memcpy(ip, &header, sizeof header);
    message[0] = d->type;
    const uint32_t flags = d->flags;
    memcpy(message + 4, &flags, sizeof flags);
    six_store(message + 8, d->target);
    message[24] = d->type == ND_NEIGHBOR_ADVERT ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR;
    message[25] = 1;
    mac_store(message + 26, d->mac);
    const uint16_t sum = htons((uint16_t)~sum_of(ip, length));
    memcpy(message + 2, &sum, sizeof sum);
    frame_send(interface, frame, sizeof frame);
}

/* ---- what is kept ---- */

static struct neighbour *slot(unsigned interface, struct ip_address a)
{
    uint64_t mixed = (a.low ^ a.high * 3 ^ interface * 5ull) * 0x9e3779b97f4a7c15ull;
    return &all.kept[mixed >> 48 & (KEPT - 1)];
}

static bool holds(const struct neighbour *n, unsigned interface, struct ip_address a)
{
    return n->interface == interface && address_equal(n->address, a);
}

/* With the lock. */
static void learn(unsigned interface, struct ip_address address, uint64_t mac)
{
    if (address_is_any(address) || !mac_plausible(mac))
        return;
    netinfo_neighbour_set(interface, address, mac); /* where that is not allowed: */
    *slot(interface, address) = (struct neighbour){
        .interface = interface, .address = address, .mac = mac, .learnt = now_ms()};
}

static void ask_after(struct neighbour *n)
{
    const struct interface_info *own = own_of(n->interface);
    if (!own)
        return;
    struct ip_address source = source_for(own, n->address);
    n->asked = now_ms();
    if (address_is_any(source))
        return;
    if (address_is_four(n->address))
        arp_send(n->interface, ARPOP_REQUEST, n->mac, own->mac, source, n->address);
    else
        discovery_send(n->interface, &(struct discovery){.type = ND_NEIGHBOR_SOLICIT,
                                                         .to_mac = n->mac,
                                                         .mac = own->mac,
                                                         .source = source,
                                                         .to = n->address,
                                                         .target = n->address});
}

void neighbours_find(struct route_query *query)
{
    unsigned interface = (unsigned)query->interface_index;
    int64_t now = now_ms();
    pthread_mutex_lock(&all.lock);
    struct neighbour *n = slot(interface, query->next_hop);
    bool known = holds(n, interface, query->next_hop) && now - n->learnt < GONE_MS;
    if (known) {
        query->mac = n->mac;
        query->neighbour_known = 1;
        if (now - n->learnt > OLD_MS && now - n->asked > AGAIN_MS)
            ask_after(n);
    }
    pthread_mutex_unlock(&all.lock);
}

/* ---- what comes ---- */

static void arp_take(unsigned interface, const struct interface_info *own, const uint8_t *frame,
                     size_t length)
{
    struct ether_arp arp;
    if (length < ETH_HLEN + sizeof arp)
        return;
    memcpy(&arp, frame + ETH_HLEN, sizeof arp);
    if (arp.arp_hrd != htons(ARPHRD_ETHER) || arp.arp_pro != htons(ETHERTYPE_IP) ||
        arp.arp_hln != ETH_ALEN || arp.arp_pln != 4)
        return;
    struct ip_address sender = address_load(arp.arp_spa, 4), target = address_load(arp.arp_tpa, 4);
    uint64_t mac = mac_load(arp.arp_sha);
    if (!owns(own, target) || owns(own, sender) || !mac_plausible(mac))
        return;
    learn(interface, sender, mac);
    if (arp.arp_op == htons(ARPOP_REQUEST))
        arp_send(interface, ARPOP_REPLY, mac, own->mac, target, sender);
}

/* The link-layer address that an option of a message tells, 0: none. */
static uint64_t option_of(const uint8_t *message, size_t length, uint8_t type)
{
    for (size_t at = sizeof(struct nd_neighbor_solicit); at + 8 <= length; at += 8u * message[at + 1]) {
        if (!message[at + 1])
            return 0;
        if (message[at] == type)
            return mac_load(message + at + 2);
    }
    return 0;
}

static void solicited(unsigned interface, const struct interface_info *own, struct ip_address from,
                      struct ip_address target, uint64_t mac)
{
    const struct ip_address all_nodes = {0xff02ull << 48, 1};
    bool probe = address_is_any(from); /* whether an address is free */
    if (!owns(own, target) || owns(own, from) || (!probe && !mac_plausible(mac)))
        return;
    if (!probe)
        learn(interface, from, mac);
    discovery_send(interface,
                   &(struct discovery){.type = ND_NEIGHBOR_ADVERT,
                                       .flags = ND_NA_FLAG_OVERRIDE | (probe ? 0 : ND_NA_FLAG_SOLICITED),
                                       .to_mac = probe ? 0x333300000001 : mac,
                                       .mac = own->mac,
                                       .source = target,
                                       .to = probe ? all_nodes : from,
                                       .target = target});
}

static void discovery_take(unsigned interface, const struct interface_info *own, const uint8_t *frame,
                           size_t length)
{
    struct ip6_hdr ip;
    const size_t headers = ETH_HLEN + sizeof ip;
    if (length < headers + sizeof(struct nd_neighbor_solicit))
        return;
    memcpy(&ip, frame + ETH_HLEN, sizeof ip);
    const uint8_t *message = frame + headers;
    size_t size = ntohs(ip.ip6_plen);
    if (size > length - headers || size < sizeof(struct nd_neighbor_solicit) ||
        ip.ip6_nxt != IPPROTO_ICMPV6 || ip.ip6_hlim != 255 || message[1] ||
        sum_of(frame + ETH_HLEN, size) != 0xffff)
        return;
    struct ip_address from = address_load((const uint8_t *)&ip.ip6_src, 16), target = address_load(message + 8, 16);
    if (message[0] == ND_NEIGHBOR_SOLICIT)
        solicited(interface, own, from, target,
                  option_of(message, size, ND_OPT_SOURCE_LINKADDR) ?: mac_load(frame + ETH_ALEN));
    else if (message[0] == ND_NEIGHBOR_ADVERT && !owns(own, target))
        learn(interface, target,
              option_of(message, size, ND_OPT_TARGET_LINKADDR) ?: mac_load(frame + ETH_ALEN));
}

void neighbours_take(unsigned interface_index, const uint8_t *shared, size_t length)
{
    uint8_t frame[FRAME_MAX];
    length = length < sizeof frame ? length : sizeof frame;
    if (length < ETH_HLEN)
        return;
    memcpy(frame, shared, length);
    pthread_mutex_lock(&all.lock);
    const struct interface_info *own = own_of(interface_index);
    if (own && frame[12] == ETHERTYPE_ARP >> 8)
        arp_take(interface_index, own, frame, length);
    else if (own)
        discovery_take(interface_index, own, frame, length);
    pthread_mutex_unlock(&all.lock);
}

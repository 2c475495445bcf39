/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/ethernet.h"

#include "enclave/net/bytes.h"

uint16_t ethernet_type(const uint8_t *p)
{
    return load_be16(p + 2 * MAC_BYTES);
}

/* Right behind the header of IPv6: no extension headers go before neighbour discovery. */
#define NEXT_HEADER (ETHERNET_HEADER + 6)
#define ICMPV6_TYPE (ETHERNET_HEADER + 40)
#define NEXT_ICMPV6 58
#define ROUTER_SOLICITATION 133
#define NEIGHBOUR_ADVERTISEMENT 136

bool ethernet_is_neighbour(const uint8_t *p, uint32_t n)
{
    if (n < ETHERNET_HEADER)
        return false;
    if (ethernet_type(p) == ETHERNET_TYPE_ARP)
        return true;
    return ethernet_type(p) == ETHERNET_TYPE_IPV6 && n > ICMPV6_TYPE &&
           p[NEXT_HEADER] == NEXT_ICMPV6 && p[ICMPV6_TYPE] >= ROUTER_SOLICITATION &&
           p[ICMPV6_TYPE] <= NEIGHBOUR_ADVERTISEMENT;
}

/*@ requires \valid(p + (0 .. MAC_BYTES - 1));
    assigns p[0 .. MAC_BYTES - 1]; */
static void store_mac(uint8_t *p, uint64_t mac)
{
    store_be16(p, (uint16_t)((mac >> 32) & 0xffff));
    store_be32(p + 2, (uint32_t)(mac & 0xffffffff));
}

void ethernet_build(uint8_t *p, uint64_t destination, uint64_t source, uint16_t type)
{
    store_mac(p, destination);
    store_mac(p + MAC_BYTES, source);
    store_be16(p + 2 * MAC_BYTES, type);
}

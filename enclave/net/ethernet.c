/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/net/ethernet.h"

#include "enclave/net/bytes.h"

uint16_t ethernet_type(const uint8_t *p)
{
    return load_be16(p + 2 * MAC_BYTES);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* The interfaces that have XSKs, as the host described them last. */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/net.h"

/* Ask the host. 0 or -errno: then what was known stays. One exit. */
int interfaces_load(void);
/* How many there are, and a copy of one. */
uint64_t interface_count(void);
void interface_at(uint64_t i, struct interface_info *out);

/* Does a packet to this address belong to the interface: one of its addresses, or a broadcast? */
bool interface_accepts(uint64_t index, struct ip_address address);
/* Is this an address of the interface (index 0: of any)? */
bool interface_owns(uint64_t index, struct ip_address address);
/*
 * A copy of what is known, for one who asks often and shares nothing with others meanwhile. NULL: no memory. The
 * list is valid until the next call for the same copy.
 */
struct interface_copy;
struct interface_copy *interface_copy_new(void);
const struct interface_list *interface_copy_list(struct interface_copy *c);
/* As the two above. */
bool interface_list_accepts(const struct interface_list *list, uint64_t index, struct ip_address address);
bool interface_list_owns(const struct interface_list *list, uint64_t index, struct ip_address address);

/* Is there one with this index? */
bool interface_exists(uint64_t index);

/* What sending by an interface takes. */
struct interface_link {
    uint64_t mac, mtu; /* the MTU is of the family of the source; 0: it has none of that */
    bool owns; /* the source address */
};
/* Of the one with this index: false: none. */
bool interface_link(uint64_t index, struct ip_address source, struct interface_link *out);

#endif

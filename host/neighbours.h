/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbours on an interface whose XSKs get all that comes (a device plugin's): the kernel hears no answers there,
 * and nobody hears its own. So what the enclave finds of ARP and of IPv6's neighbour discovery is looked at here:
 * questions about the interface's addresses are answered, and what is learnt is told to the kernel where
 * that is allowed, and kept here where it is not.
 */
#ifndef HOST_NEIGHBOURS_H
#define HOST_NEIGHBOURS_H

#include <stddef.h>
#include <stdint.h>

#include "abi/net.h"

/* A frame that came. Thread-safe. */
void neighbours_take(unsigned interface_index, const uint8_t *frame, size_t length);
/* Of the next hop, if it is kept here: mac and neighbour_known of the query. Asks after it before it grows old. */
void neighbours_find(struct route_query *query);

#endif

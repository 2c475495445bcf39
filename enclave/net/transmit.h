/* SPDX-License-Identifier: Apache-2.0 */
/* Sending a datagram over an XSK. */
#ifndef NET_TRANSMIT_H
#define NET_TRANSMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/net/route.h"

/* Longest payload that any frame can carry. */
#define TRANSMIT_MAX 4096u

struct transmission {
    struct route route; /* a direct one */
    uint16_t source_port, destination_port;
    uint8_t ttl; /* 0: the route's */
    uint8_t tos;
    bool may_fragment;
    bool no_flow_label;
};

/* Can a datagram with this much payload take the route, in one piece? */
bool transmit_fits(const struct route *r, uint64_t length);

/* Does nobody here look at the payload on that route? It is then written once, from wherever it is. */
bool transmit_unseen(const struct route *r);

/* `payload` is the LibOS's memory, or with transmit_unseen perhaps the program's. 0; -EAGAIN: no frame or
 * no place in the ring; -EFAULT: the program's memory cannot be read. */
int transmit(const struct transmission *t, const void *payload, uint32_t length);

/* After -EAGAIN, for the `attempt`th time: wait for room in an exit: 0: try again, -EINTR, -ETIMEDOUT. */
int transmit_wait(const struct route *r, int attempt, uint64_t *timeout_ns);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host knows about its network, asked by exits. Answers are copied in and checked for what
 * they could be at all; whether they are true only the host knows.
 */
#ifndef BOUNDARY_NETWORK_H
#define BOUNDARY_NETWORK_H

#include <stdint.h>

#include "abi/exits.h"
#include "abi/net.h"
#include "enclave/boundary/untrusted.h"

#define INTERFACE_QUEUES_MAX 1024
#define INTERFACE_MTU_MIN 68       /* RFC 791 */
#define INTERFACE_MTU_SIX_MIN 1280 /* RFC 8200, 5 */

/* The interfaces named at start. 0; -errno of the host; -EPROTO: an impossible answer, counted. */
int network_interfaces(struct interface_list *out);
/* Answers q for q->destination, q->source and q->device. As above. */
int network_route(struct route_query *q);
/* Steer datagrams for this address (or any of its family) and port to the enclave, or no more. `socket` is the
 * host's descriptor of one that is bound so, which shows that it may be. */
int network_port(enum port_operation operation, struct ip_address address, uint16_t port,
                 int socket);
/* A frame about neighbours, which came by an XSK that takes all that comes: the host's to look at. */
void network_neighbour(uint64_t interface, struct untrusted frame, uint32_t length);
/* A thread that sleeps in an interruptible exit, or is about to, is to look again (-EINTR). */
void network_interrupt(uint64_t thread);
/* Ticks of the TSC in a second, as the host says; something plausible when it does not. */
uint64_t network_tick_rate(void);

#endif

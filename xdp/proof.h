/* SPDX-License-Identifier: Apache-2.0 */
/* Whether somebody may have a port: who has bound a socket to it may. */
#ifndef XDP_PROOF_H
#define XDP_PROOF_H

#include "xdp/steering_maps.h"

/* A descriptor that a stranger sent (-1: sent none): is it a UDP socket of our network namespace that would get
 * what comes for that port and address? 0 or -EACCES. */
int proof_check(int fd, const struct steering_port *port);

#endif

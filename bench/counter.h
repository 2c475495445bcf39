/* SPDX-License-Identifier: Apache-2.0 */
/* The counting XDP program (count.bpf.c) on an interface, for as long as this process lives. */
#ifndef BENCH_COUNTER_H
#define BENCH_COUNTER_H

#include <stdint.h>

/* Attaches in the driver's own mode, which can take the link down for a moment. A port in host
 * order. 0, or -1 after a message on stderr. */
int counter_start(const char *interface, uint16_t port);

/* Datagrams so far. */
uint64_t counter_read(void);

#endif

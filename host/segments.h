/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams gathered in the arena, sent by one call (abi/net.h). */
#ifndef HOST_SEGMENTS_H
#define HOST_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

/* EXIT_SEGMENTS_OPEN and EXIT_SEGMENTS_SEND: 0 or -errno. Where one waits, what the socket does not take then
 * is given up. */
int64_t segments_open(uint64_t number, uint64_t offset);
int64_t segments_send(uint64_t number, uint64_t wait_ms);
/* EXIT_FLUSH: of all rings. */
void segments_send_all(void);

/* Sends all that is ready, without waiting. False: a socket took nothing. */
bool segments_flush(void);
/* Datagrams that have been sent in all, modulo 2^32. */
uint32_t segments_sent(void);
/* For a thread that polls: sends what is there. Did anything go? */
bool segments_serve(void);

/* In the child of a fork: there are none. */
void segments_forked(void);

#endif

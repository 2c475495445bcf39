/* SPDX-License-Identifier: Apache-2.0 */
/* UDP in the enclave: what os/ may ask of net/. */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stdint.h>

struct file;

/* Opens the XSKs of the configured interfaces if there are any and --io rings. Never fails: without an
 * XSK, UDP goes over host sockets, and one line says why. */
void net_start(void);
/* Is there an XSK at all? */
bool net_active(void);
/* In the copy of a process that had XSKs: they are the other's. */
void net_leave(void);
/* Ticks of the TSC in a second. */
uint64_t net_second(void);

/* socket(AF_INET or AF_INET6, SOCK_DGRAM): a file whose ops are os/udp_socket.c's. It takes over
 * `host_fd`, the host socket that stands behind it. NULL: no memory, and it is closed. */
struct file *udp_socket_file(int host_fd, int family, int flags);

/*
 * Drain all receive rings once into the sockets' queues: true if any packet was taken. A thread that
 * may be asleep for one of them, having found its queue empty, is interrupted: its exit returns -EINTR
 * while signal_pending() is false, and it looks again. So is the caller itself: after a queue that it
 * found empty has got something, its next interruptible exit does not sleep.
 */
bool net_poll(void);
/* Drain all that has come by now. */
void net_catch_up(void);

/*
 * Sleep in one exit until an XSK has received (where `xsks`), the host's descriptor has one of `events`
 * (reported in *reported), or the time is over. 0; -ETIMEDOUT; -EINTR: interrupted, by a signal or by
 * net_poll(). *timeout_ns: as for host_ppoll.
 */
int net_sleep(int host_fd, uint32_t events, bool xsks, uint32_t *reported, uint64_t *timeout_ns);
/*
 * To be called where a thread would sleep for XSKs, after xsk_flush(): where packets come thick it naps in
 * an exit (io/moderate.h) instead. True: it has, and something has come; look before sleeping. `left_ns`:
 * of the caller's time.
 */
bool net_nap(uint64_t left_ns);
/* A thread is about to sleep for XSKs, and for the host descriptors that its files named, in an exit of its
 * own. */
void net_count_sleep(void);
/* A datagram was sent, whichever way. */
void net_count_sent(void);
/* How many such sleeps there were. */
uint64_t net_sleeps(void);

#endif

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

/* Sets of XSKs are a bit each, by index. */
#define NET_ALL UINT32_MAX

/*
 * Drain the receive rings of these XSKs once into the sockets' queues, and those of others that are crowded
 * because nobody has found the time: true if any packet was taken. What another thread is draining is left to
 * it. A thread that may be asleep for one of them, having found its queue empty, is interrupted: its exit
 * returns -EINTR while signal_pending() is false, and it looks again. So is the caller itself: after a queue
 * that it found empty has got something, its next interruptible exit does not sleep.
 */
bool net_poll(uint32_t xsks);
/* Drain all that has come by now. */
void net_catch_up(void);
/* Which of its interface's XSKs one is, and how many those are. */
void net_place(int index, uint32_t *place, uint32_t *places);

/*
 * Sleep in one exit until one of these XSKs has received, the host's descriptor has one of `events`
 * (reported in *reported), or the time is over. 0; -ETIMEDOUT; -EINTR: interrupted, by a signal or by
 * net_poll(). *timeout_ns: as for host_ppoll.
 */
int net_sleep(int host_fd, uint32_t events, uint32_t xsks, uint32_t *reported, uint64_t *timeout_ns);
/*
 * To be called where a thread would sleep for XSKs, after xsk_flush(): where packets come thick it naps in
 * an exit (io/moderate.h) instead. True: it has, and something has come; look before sleeping. `left_ns`:
 * of the caller's time.
 */
bool net_nap(uint32_t xsks, uint64_t left_ns);
/*
 * The same, before io_flush_along(): who answers at once, and is answered at once, watches the XSKs for a moment (io/watch.h).
 * True: something has come.
 */
bool net_watch(uint32_t xsks);
/* The decision to nap alone. */
bool net_thick(uint32_t xsks);
/* Threads of their own drain these from now on: nobody need sleep for them, being woken when something has come. */
void net_serve(uint32_t xsks);
/* Of these, those that a thread must sleep for itself. */
uint32_t net_unserved(uint32_t xsks);
/* A thread is about to sleep for these XSKs, and for the host descriptors that its files named, in an exit of
 * its own. */
void net_count_sleep(uint32_t xsks);
/* The thread has sent a datagram, whichever way. */
void net_count_sent(void);
/* How many such sleeps there were. */
uint64_t net_sleeps(void);

#endif

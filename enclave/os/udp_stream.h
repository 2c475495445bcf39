/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a socket send a stream: datagrams of one size to one place, one after the other? Such a stream is
 * gathered and leaves by the kernel's segmentation (io/segments), wherever AF_XDP would copy. Others are
 * sent as they come.
 */
#ifndef OS_UDP_STREAM_H
#define OS_UDP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct file;
struct segments;
struct udp_socket;

struct udp_stream {
    struct segments *set; /* NULL: what is sent is not gathered */
    uint64_t name[4];
    size_t name_length;
    uint32_t length; /* of the datagrams */
    uint32_t run;    /* of them so far */
    uint64_t last;   /* TSC of the last one */
    bool blocked;    /* the host's socket took nothing, and has not said otherwise since */
};

#define UDP_NO_STREAM 1

/*
 * A datagram of `length` bytes is to be sent; the socket's lock is held. 0: it is gathered or sent.
 * UDP_NO_STREAM: the caller sends it, and all before it are on their way. -EAGAIN: wait for the host's
 * socket; -EFAULT, -ENOMEM, or the error of a datagram before.
 */
int udp_stream_send(struct file *f, const struct msghdr *m, int flags, uint32_t length);

/* Before anything that changes the socket, and before it is closed: what is gathered is sent. */
void udp_stream_end(struct udp_stream *s);

/* The error of a datagram sent before, told once. The socket's lock is not held. */
int udp_stream_error(struct udp_socket *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets over the thread's io_uring. A socket that a thread waits for by epoll, and that carries small
 * messages, is taken over by that thread's ring: what arrives lies in buffers before it is asked for, and
 * what is sent is gathered and leaves with the next enter. When anything else is done with it, or another
 * thread uses it, it becomes a socket of the host again, losing nothing.
 */
#ifndef OS_STREAM_H
#define OS_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "enclave/os/file.h"

/* No result of a call: the host's socket is to be asked. */
#define STREAM_NOT INT64_MIN

/* A stream socket of the host has received a little, as a server does: take it over if that pays. */
void stream_offer(struct file *f);
/* A listening socket of the host has accepted several connections, with these flags: the same. */
void stream_offer_listening(struct file *f, int flags);
/* A UDP socket of the host has received, or sent, much in a short time: the same. */
void stream_offer_datagrams(struct file *f, bool sends);
/* Does it go over a ring, or is there something left of it inside? */
static inline bool stream_on(const struct file *f)
{
    return __atomic_load_n(&f->stream, __ATOMIC_ACQUIRE);
}

/* Is it a thread's ring that receives by it, not the host's socket? */
bool stream_by_ring(const struct file *f);

/* As accept4: a descriptor of the host, or STREAM_NOT. */
int64_t stream_accept(struct file *f, int flags, struct sockaddr_storage *a, socklen_t *n);
/* As recvmsg and sendmsg on a connected socket; or STREAM_NOT. */
int64_t stream_receive(struct file *f, const struct iovec *v, int count, int flags);
/* direct: much at once may be left to the host's socket, by STREAM_NOT; if that takes nothing, call again without. */
int64_t stream_send(struct file *f, const struct msghdr *m, int flags, bool direct);
/*
 * UDP: as recvmsg and sendmsg, or STREAM_NOT. What is sent may meet with its error after that: the next call tells it. sent:
 * the host's socket has sent this one. forget: what was learned of where it sends to holds no longer. length: of
 * the first that waits inside, -1: none.
 */
bool stream_datagrams(const struct file *f);
int64_t datagrams_receive(struct file *f, struct msghdr *m, int flags);
int64_t datagrams_send(struct file *f, const struct msghdr *m, int flags);
void datagrams_sent(struct file *f, const struct msghdr *m, uint64_t length);
void datagrams_forget(struct file *f);
int datagrams_first_length(struct file *f);
/*
 * A stream of the host by which much arrives, and that one thread reads, is read ahead: what was not asked for waits
 * inside, as what a ring has left there. look: how to wait for what comes: as ever; by looking at once, as there may be more; or after a nap of
 * NAP_NS, as so little comes in one that sleeping costs more than it (io/moderate.h). fill: reads what there is, without
 * sleeping; was there something? receive: as recv, or STREAM_NOT. never: from now on it must not be (of one that has a stream).
 */
void stream_offer_ahead(struct file *f);
void stream_never_ahead(struct file *f);
bool stream_reads_ahead(const struct file *f);
enum stream_look { STREAM_WAIT, STREAM_LOOK, STREAM_NAP };
enum stream_look stream_ahead_look(struct file *f);
bool stream_ahead_fill(struct file *f);
int64_t stream_ahead_receive(struct file *f, const struct iovec *v, int count, int flags);
/* It is waited for by epoll from now on, too. */
void stream_watched(struct file *f);

/* True: *ready is the file's state. */
bool stream_poll(struct file *f, uint32_t events, struct poll_wait *wait, uint32_t *ready);
uint64_t stream_arrivals(struct file *f);
/* What waits inside goes to a pipe of the host, as by splice, whether the stream was left or not; STREAM_NOT: nothing does. */
int64_t stream_splice(struct file *f, int to, uint64_t count, bool wait);
/* Bytes that wait inside to be received. */
uint64_t stream_queued(struct file *f);
/* Its errors that have not been told, as SO_ERROR; 0: none. */
int stream_error(struct file *f);

/* The host's socket again: what was sent is on its way; what has arrived stays inside and is read first. */
void stream_leave(struct file *f);
/* The last reference to the file is gone: closes the host's descriptor, now or when all is sent. */
void stream_release(struct file *f);

/* What other threads ask of this one's streams. */
void streams_service(void);
/* The thread ends. */
void streams_end(void);
/* The process ends, by this thread: with the next enter its ring lets go of ports, which the kernel would only do a while
 * after others have been told of the end. */
void streams_quit(void);

/*
 * Around fork. suspend: nothing of this thread's is in flight; what arrives stays with the socket, for whichever process
 * asks for it first. resume: what was taken for sending goes on. listen: the thread looks at its sockets
 * again, and its streams receive. forked: in the child, where the sockets are the host's.
 */
void streams_suspend(void);
void streams_resume(void);
void streams_listen(void);
void streams_forked(void);

#endif

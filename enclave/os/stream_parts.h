/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of sockets over io_uring share: stream.c, stream_receive.c, stream_send.c, stream_accept.c; and, where
 * what comes and goes is datagrams, stream_datagram.c and stream_datagram_send.c.
 */
#ifndef OS_STREAM_PARTS_H
#define OS_STREAM_PARTS_H

#include "enclave/boundary/untrusted.h"
#include "enclave/io/uring.h"
#include "enclave/lib/list.h"
#include "enclave/lib/lock.h"
#include "enclave/os/stream.h"

#define SEND_LIMIT 65536u     /* bytes that were taken and are not sent */
#define SEND_WRITABLE 43690u  /* of them, when there is room again: a third is free, as Linux has it */
#define RECEIVE_PAUSE 65536u  /* bytes that wait inside: the peer is to slow down */

#define STREAM_AHEAD (URING_NO_BUFFER - 1) /* no buffer of a ring, see struct piece */

struct chunk; /* of what is to be sent: see stream_send.c */
struct ahead; /* see stream_ahead.c */
struct datagrams; /* what is known of a socket of datagrams: see stream_datagram.c */

/* A piece of what has arrived; of a socket of datagrams: one of them. */
struct piece {
    struct piece *next;
    uint32_t buffer; /* of the ring; STREAM_AHEAD: what was read ahead; URING_NO_BUFFER: the bytes follow */
    uint32_t offset, length;
    uint32_t charge; /* what it counts for */
    uint32_t row;    /* 0: it is one datagram, else a row of such that are so long, and a last one */
    uint8_t bytes[]; /* of a datagram: first what goes with it */
};

enum stream_state {
    STREAM_ACTIVE,
    STREAM_LEAVING, /* its operations are being ended by its thread */
    STREAM_OFF,     /* the host's; pieces may still be here */
};

struct stream {
    struct lock lock;
    struct file *file; /* NULL: closed, and to be freed when nothing is in flight */
    int host_fd;
    enum stream_state state;
    struct uring *ring;
    uint32_t thread; /* whose ring it is */
    struct list of_thread;
    bool leave_wanted; /* another thread asks its thread */
    bool suspended;    /* nothing is to be started: the process forks */
    bool listening;    /* what arrives are connections, to be accepted */
    int accept_flags;  /* with these: SOCK_NONBLOCK or 0 */
    struct datagrams *datagrams; /* UDP; NULL: bytes or connections */
    uint32_t outgoing; /* datagrams in flight */
    bool joined;       /* the kernel may join datagrams that come */
    uint64_t slow_until; /* datagrams go by exits until then: there was no room for them */
    uint16_t peer_port; /* of whom it is connected to */
    uint64_t receive_timeout, send_timeout; /* of datagrams: ns, NO_TIMEOUT: none */
    bool by_sending;   /* it was taken over because much was sent by it */
    bool local;        /* a Unix socket, whose end is told at once */
    bool contested;    /* that happened: several threads use it, and a ring is one thread's; or it had to leave often */
    uint32_t left;     /* so often */
    bool lingering;    /* off, but what is still here is reported from here */
    struct ahead *ahead; /* off, and read ahead; NULL: it is not */
    bool crowded;      /* it is not to be: several threads received by it at once, as a rule */

    struct uring_op receiving, sending;
    struct uring_deferred arm, push;
    bool paused; /* receiving was cancelled: too much waits */
    bool end;    /* the peer has shut down */
    bool dead;   /* the connection is no more: a reset, as a rule */
    bool unread; /* it is closed with bytes that nobody has read: the peer gets a reset */
    int receive_error, send_error;
    struct piece *first, **last;
    uint64_t queued, arrivals;
    uint32_t bulk;

    struct chunk *chunk, **chunk_last; /* the first is what is in flight, if something is */
    uint32_t pending;
    bool was_full;
};

/* The current thread's, and is this one of them? */
struct list *streams_mine(void);
bool stream_home(const struct stream *s);
/* The file's, made if there is none; NULL: it does not suit, no memory, or another thread was first. */
struct stream *stream_of(struct file *f);
/* The end of a completion, with the lock, which is released. False: the stream is gone. */
bool stream_completed(struct stream *s);
/* Its thread makes it leave when it next looks. */
void stream_leave_soon(struct stream *s);
/* Is anything of it the kernel's still? */
bool stream_in_flight(const struct stream *s);
/* Is anything here that the host does not know of any more? */
bool stream_holds(const struct stream *s);
/* Waits for the ring: 0, or what an interrupted call returns. */
int64_t stream_wait(struct uring *u);
/* The same up to a time of the monotonic clock: -EAGAIN: it has come. */
int64_t stream_wait_until(struct uring *u, uint64_t deadline);

/* ---- stream_accept.c; the lock is held ---- */

/* So much waits that no more is to come. */
bool stream_full(const struct stream *s);
/* A connection has come, or an error. */
void stream_accepted(struct stream *s, int32_t result);
/* A connection that nobody will accept any more. */
void stream_turn_away(int host_fd);

/* ---- stream_receive.c; the lock is held ---- */

/* Descriptors of connections wait as bytes do. 0 or -ENOMEM; the first of at least one. */
int stream_descriptor_push(struct stream *s, int fd);
int stream_descriptor_pop(struct stream *s);

void stream_piece_push(struct stream *s, struct piece *p);
void stream_piece_pop(struct stream *s);
void stream_pieces_drop(struct stream *s);
/* The same in another process, to which the buffers do not belong. */
void stream_pieces_forget(struct stream *s);
/* Copies all that has arrived out of the ring's buffers: 0 or -ENOMEM. */
int stream_move_inside(struct stream *s);

/* Of the operations, as they are started and as they complete. */
void stream_received(struct uring_op *op, int32_t result, uint32_t buffer, bool more);
void stream_arm(struct uring_deferred *d);

/* Whatever it is that comes: */

/* After a look for what has come, with the lock, which is released: `again`: more is to come. Where the last of a
 * stream that is off was taken, the host answers for the file from now on. */
void stream_looked(struct file *f, bool again);
/* Nothing had come: 0: look again; -EAGAIN: there is nothing for who does not wait; or as stream_wait. *asked, false at
 * first: the ring was asked for news. */
int64_t stream_look_later(struct file *f, bool wait, bool *asked);

/* ---- stream_ahead.c; the lock is held, or the stream is nobody's any more ---- */

struct untrusted stream_ahead_data(const struct stream *s);
void stream_ahead_free(struct stream *s);

/* ---- stream_datagram.c ---- */

/* A socket of the host: what a ring needs to know of it; NULL: it does not suit, or no memory. */
struct datagrams *datagrams_new(struct file *f);
void datagrams_free(struct datagrams *d);
/* With the lock, as stream_move_inside and the operations' own. */
int datagrams_move_inside(struct stream *s);
void datagrams_received(struct uring_op *op, int32_t result, uint32_t buffer, bool more);
bool datagrams_full(const struct stream *s);
/* An error has been told: what comes after it is asked for, without the lock. */
void datagrams_resume(struct file *f);
/* POLLIN... that hold. */
uint32_t datagrams_state(const struct stream *s);
/* SO_RCVTIMEO and SO_SNDTIMEO as the host knows them. */
void datagrams_learn_timeouts(struct stream *s);
/* May a datagram that goes there be sent after the call that asks for it has returned? note: one came from there, or
 * one of so many bytes was sent there. */
bool datagrams_known(const struct datagrams *d, const void *name, socklen_t n, uint64_t length);
void datagrams_note(struct datagrams *d, const void *name, socklen_t n, uint64_t length);

/* One that lies inside: with its control data and payload. NULL: no memory. */
struct datagram;
struct piece *datagrams_piece(const struct datagram *d, const uint8_t *control, const uint8_t *payload);

/* ---- stream_datagram_row.c ---- */

/* Have the kernel join them: does it? */
bool datagrams_join(const struct stream *s);
/* No more: what is joined already comes inside. Nothing is in flight; without the lock. */
void datagrams_part(struct stream *s);

/* ---- stream_datagram_send.c ---- */

/* Which port it has, and is connected to. */
void datagrams_learn_names(struct stream *s);
/* The thread's ring goes; nothing is in flight. */
void datagrams_end(void);
/* In a process that has the memory of another. */
void datagrams_forked(void);

/* ---- stream_send.c ---- */

void stream_chunks_drop(struct stream *s);
void stream_sent(struct uring_op *op, int32_t result, uint32_t buffer, bool more);
void stream_push(struct uring_deferred *d);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread's io_uring: operations in flight, and buffers that the kernel fills. Only the thread itself
 * submits, waits and takes completions (the kernel runs its work when the thread enters it, and no
 * other can enter); buffers may be given back by any.
 *
 * One exit (io_uring_enter) submits what was started since the last, sleeps, and brings what has come.
 */
#ifndef IO_URING_H
#define IO_URING_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/boundary/untrusted.h"
#include "enclave/boundary/uring_ring.h"
#include "enclave/lib/list.h"

#define URING_BUFFER_SIZE 4096u
#define URING_BUFFERS 256u
#define URING_DATAGRAMS 64u /* buffers of DATAGRAM_BUFFER bytes */
#define URING_NO_BUFFER UINT32_MAX

struct uring;

/* A part of whatever starts an operation; stays where it is until `done` was called for the last time. */
struct uring_op {
    /* `more`: it is not the last completion. `buffer`: of the ring, with `result` bytes in it, the
     * callee's to give back; or URING_NO_BUFFER. result: as the operation gives it, checked against
     * `limit`. */
    void (*done)(struct uring_op *op, int32_t result, uint32_t buffer, bool more);
    uint32_t slot; /* in the table of operations in flight, plus 1; 0: not in flight */
    bool receives;  /* its completions are what one sleeps for */
    bool sends;     /* the kernel goes on with it only when its thread enters */
    bool message;   /* what it sends is a datagram, which can wait for a moment */
    bool datagrams; /* `buffer` is one of those for datagrams */
    uint32_t limit; /* the most that `result` can be */
    uint32_t heard; /* for expectation_heard */
};

/* Something that is to be submitted with the next enter, if it is still wanted then. */
struct uring_deferred {
    struct list in_ring; /* list_init'ed */
    void (*submit)(struct uring_deferred *d);
};

/* The current thread's; NULL: it has none, and there is none to be had. */
struct uring *uring_mine(void);
/* The current thread's if it has one already. */
struct uring *uring_existing(void);
/* The thread whose ring it is. */
uint32_t uring_thread(const struct uring *u);
/* Before the thread ends: what is in flight still ends with -ECANCELED. */
void uring_end(void);

/* In a process that has the memory of another: no thread has one. Their operations are the other's. */
void uring_forked(void);

/* Start an operation on a descriptor of the host. 0, -EAGAIN: no room. */
int uring_receive_multishot(struct uring *u, struct uring_op *op, int host_fd);
int uring_accept_multishot(struct uring *u, struct uring_op *op, int host_fd, int flags);
/* quiet: there is nothing to do when it completes, as it does at once where the socket has room: no reason to wake up. */
int uring_send(struct uring *u, struct uring_op *op, int host_fd, struct untrusted data, uint32_t length, bool quiet);
int uring_poll(struct uring *u, struct uring_op *op, int host_fd, uint32_t events);
/* Datagrams, each in a buffer as boundary/datagram.h has it; only after uring_datagrams. */
int uring_receive_datagrams(struct uring *u, struct uring_op *op, int host_fd);
/* One datagram of `length` bytes, of which a struct msghdr tells. All stays where it is until it completes. flags: MSG_CONFIRM
 * or 0. own: for a socket of this process: that is news. */
int uring_send_message(struct uring *u, struct uring_op *op, int host_fd, struct untrusted header, uint32_t length,
                       int flags, bool own);
/* Ask for its end; its last completion tells. */
int uring_cancel(struct uring *u, struct uring_op *op);

/* Have it submitted with the next enter, or at once if there was none for 20 microseconds. */
void uring_defer(struct uring *u, struct uring_deferred *d);
void uring_defer_not(struct uring_deferred *d);
/* The same for what was started. */
void uring_soon(struct uring *u);

/* Submit and take what there is, sleeping up to timeout_ns (0: not at all) for the first completion.
 * 0, -EINTR. One exit. */
int uring_enter(struct uring *u, uint64_t timeout_ns);
/* The same, sleeping for the ends of what was started, as nothing else is to come. */
int uring_enter_for_ends(struct uring *u, uint64_t timeout_ns);
/* The same, without sleeping, if there may be something that the last has not brought: it was a while ago, or
 * a thread of the process has heard something from outside since. Was there an enter? */
bool uring_enter_if_news(struct uring *u);
/* Has the kernel all that was started, as far as is known? What has not completed then waits for something. */
bool uring_submitted(const struct uring *u);
/* Submit, if there is something to submit. */
void uring_submit(void);
/* The same before this thread waits elsewhere, where what is being sent would wait with it. */
void uring_flush(void);
/* Before this thread goes on: datagrams that were sent just now may wait for others. */
void uring_flush_streams(void);

struct untrusted uring_buffer(const struct uring *u, uint32_t buffer);
void uring_buffer_give(struct uring *u, uint32_t buffer);
/* How many the kernel has left to fill. */
uint32_t uring_buffers_left(const struct uring *u);
/* The same for datagrams, of which each takes a buffer that is large enough for any. False: no room for them. */
bool uring_datagrams(struct uring *u);
struct untrusted uring_datagram(const struct uring *u, uint32_t buffer);
void uring_datagram_give(struct uring *u, uint32_t buffer);
uint32_t uring_datagrams_left(const struct uring *u);

/* TSC counts in a millisecond. */
void uring_start(uint64_t tsc_per_ms);

#endif

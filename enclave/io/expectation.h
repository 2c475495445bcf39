/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many completions a thread sleeps for, because each wake-up is an exit: network cards moderate interrupts for the
 * same reason. A send completes as it is submitted: that is nothing to wake up for.
 *
 * Many sockets, each of which is heard again and again: clients that ask and wait for their answer. As many messages
 * are waited for as come in a fifth of a round, in which each is heard once. However fast the clients are, no round
 * is longer by more than that, and at most by EXPECT_TURN_US; and a client that works no less than the thread does not
 * wake it for each of its requests.
 *
 * Few sockets, of which several messages came with each of the last sleeps: a stream. As many are waited for.
 *
 * Whoever has one message in flight never waits for a second, nor programs a timer that is due soon: in a virtual machine
 * that costs more than the exit.
 */
#ifndef IO_EXPECTATION_H
#define IO_EXPECTATION_H

#include <stdbool.h>
#include <stdint.h>

#define EXPECT_FROM 16u     /* so many at once are a stream of them; fewer come as answers to answers */
#define EXPECT_MOST 64u
#define EXPECT_US 40u       /* the longest that the first is kept waiting for the others */
#define EXPECT_SENDS_US 100000u /* sends that do not complete at once are looked at after so long */
#define EXPECT_PAUSE 16u    /* sleeps before one more is tried again after that failed */
#define EXPECT_SAMPLE 128u  /* messages, of which is counted how many sockets they came from, and how fast */
#define EXPECT_SAMPLE_MS 20u /* longer than that they are no crowd */
#define EXPECT_TURN 5u      /* the part of a round that one waits for */
#define EXPECT_TURN_US 250u

struct expectation {
    uint32_t wanted; /* at the last sleep */
    uint32_t came;   /* with it */
    uint32_t pause;  /* sleeps for which no more than came is tried */
    uint32_t sample; /* its number: who was heard in it bears it */
    uint32_t heard;  /* messages in this sample, */
    uint32_t distinct; /* of so many sockets */
    uint64_t began;  /* TSC */
    uint32_t sockets; /* of the last sample */
    uint64_t gap;    /* TSC from one message to the next, in it */
};

struct expectation_wait {
    uint32_t least; /* completions to sleep for */
    uint32_t us;    /* for so long; then any will do. 0: for the first, however long */
};

/* The next sleep, which submits so many sends. */
/*@ requires \valid(e) && 0 < tsc_per_ms <= 0xffffffff && sends <= 0x10000;
    assigns *e;
    ensures sends < \result.least <= sends + EXPECT_MOST; */
struct expectation_wait expectation_next(struct expectation *e, uint32_t sends, uint64_t now, uint64_t tsc_per_ms);

/* The same for who waits for the ends of what it has begun, and for no message. */
/*@ requires \valid(e); assigns e->wanted; ensures \result.least >= 1 && \result.us == 0; */
struct expectation_wait expectation_ends(struct expectation *e, uint32_t sends);

/* A message came of a socket that bears *sample. */
/*@ requires \valid(e) && \valid(sample) && \separated(e, sample);
    assigns e->heard, e->distinct, *sample; */
void expectation_heard(struct expectation *e, uint32_t *sample);

/* A sleep ended, which brought so many messages. */
/*@ requires \valid(e); assigns *e; */
void expectation_came(struct expectation *e, uint32_t came, uint64_t now);

#endif

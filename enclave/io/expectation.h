/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many completions a thread sleeps for. A send completes as it is submitted: that is nothing to wake up
 * for. And where several messages came with each of the last sleeps, as many are worth waiting for a little,
 * because each wake-up is an exit: network cards moderate interrupts for the same reason. Whoever has one
 * message in flight never waits for a second, nor programs a timer that is due soon: in a virtual machine that costs more
 * than the exit.
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

struct expectation {
    uint32_t wanted; /* at the last sleep */
    uint32_t came;   /* with it */
    uint32_t pause;  /* sleeps for which no more than came is tried */
};

struct expectation_wait {
    uint32_t least; /* completions to sleep for */
    uint32_t us;    /* for so long; then any will do. 0: for the first, however long */
};

/* The next sleep, which submits so many sends. */
static inline struct expectation_wait expectation_next(struct expectation *e, uint32_t sends)
{
    e->wanted = 1;
    if (e->came >= EXPECT_FROM) {
        e->wanted = e->came + (e->pause ? 0 : 1);
        e->wanted = e->wanted < EXPECT_MOST ? e->wanted : EXPECT_MOST;
        return (struct expectation_wait){sends + e->wanted, EXPECT_US};
    }
    return (struct expectation_wait){sends + 1, sends ? EXPECT_SENDS_US : 0};
}

/* The same for who waits for the ends of what it has begun, and for no message. */
static inline struct expectation_wait expectation_ends(struct expectation *e, uint32_t sends)
{
    e->wanted = 0;
    return (struct expectation_wait){sends ? sends : 1, 0};
}

static inline void expectation_came(struct expectation *e, uint32_t came)
{
    if (e->pause)
        e->pause--;
    else if (came < e->wanted)
        e->pause = EXPECT_PAUSE;
    e->came = came;
}

#endif

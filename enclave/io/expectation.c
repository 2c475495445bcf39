/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/expectation.h"

/* How many messages come in the part of a round that one waits for; 1: there is no crowd. */
/*@ requires \valid_read(e); assigns \nothing; ensures 1 <= \result <= EXPECT_MOST; */
static uint32_t turn(const struct expectation *e, uint64_t most)
{
    uint64_t n = e->sockets / EXPECT_TURN;
    if (e->gap && n > most / e->gap)
        n = most / e->gap;
    return n < 1 ? 1 : n < EXPECT_MOST ? (uint32_t)n : EXPECT_MOST;
}

/*@ requires \valid(e); assigns *e; */
static void sample_begin(struct expectation *e, uint64_t now)
{
    e->sample++;
    e->heard = e->distinct = 0;
    e->began = now;
}

struct expectation_wait expectation_next(struct expectation *e, uint32_t sends, uint64_t now, uint64_t tsc_per_ms)
{
    if (now - e->began > EXPECT_SAMPLE_MS * tsc_per_ms) {
        e->sockets = 0;
        sample_begin(e, now);
    }
    uint32_t crowd = turn(e, EXPECT_TURN_US * tsc_per_ms / 1000);
    if (crowd > 1 && !e->pause) {
        e->wanted = crowd;
        return (struct expectation_wait){sends + crowd, (uint32_t)(2 * crowd * e->gap * 1000 / tsc_per_ms) + 1};
    }
    e->wanted = 1;
    if (crowd == 1 && e->came >= EXPECT_FROM) {
        e->wanted = e->came < EXPECT_MOST ? e->came + (e->pause ? 0 : 1) : EXPECT_MOST;
        return (struct expectation_wait){sends + e->wanted, EXPECT_US};
    }
    return (struct expectation_wait){sends + 1, sends ? EXPECT_SENDS_US : 0};
}

struct expectation_wait expectation_ends(struct expectation *e, uint32_t sends)
{
    e->wanted = 0;
    return (struct expectation_wait){sends ? sends : 1, 0};
}

void expectation_heard(struct expectation *e, uint32_t *sample)
{
    e->heard++;
    e->distinct += *sample != e->sample;
    *sample = e->sample;
}

void expectation_came(struct expectation *e, uint32_t came, uint64_t now)
{
    if (e->pause)
        e->pause--;
    else if (came < e->wanted)
        e->pause = EXPECT_PAUSE;
    e->came = came;
    if (e->heard >= EXPECT_SAMPLE) {
        e->sockets = e->distinct;
        e->gap = (now - e->began) / e->heard;
        sample_begin(e, now);
    }
}

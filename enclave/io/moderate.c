/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/moderate.h"

/*@ requires \valid(m);
    assigns m->phase, m->decisions, m->began, m->began_packets; */
static void measure(struct moderation *m, enum nap_phase phase, uint64_t packets, uint64_t now)
{
    m->phase = phase;
    m->decisions = 0;
    m->began = now;
    m->began_packets = packets;
}

/* So many packets in so much time: is that at least the `part`th part less than there were without naps? */
/*@ requires \valid_read(m); assigns \nothing; */
static bool fewer(const struct moderation *m, uint64_t packets, uint64_t time, uint64_t part)
{
    return packets * m->plain * part < m->plain_packets * time * (part - 1);
}

/*@ requires \valid(m) && m->failed <= NAP_PATIENCE && m->poor <= NAP_POOR && tsc_per_ms <= 0xffffffff;
    assigns m->phase, m->decisions, m->began, m->began_packets, m->until, m->failed, m->poor;
    ensures m->failed <= NAP_PATIENCE && m->poor <= NAP_POOR; */
static bool trial(struct moderation *m, uint64_t packets, uint64_t now, uint64_t tsc_per_ms)
{
    uint64_t got = packets - m->began_packets, time = now - m->began;
    bool hopeless = m->decisions >= NAP_HOPELESS && fewer(m, got, time, 2);
    if (m->decisions < NAP_MEASURE && !hopeless)
        return true;
    if (hopeless || fewer(m, got, time, NAP_COSTS)) {
        m->until = now + (NAP_WHILE_MS * tsc_per_ms << m->failed);
        m->failed += m->failed < NAP_PATIENCE;
        measure(m, NAP_PLAIN, packets, now);
        return false;
    }
    m->until = now + NAP_WHILE_MS * tsc_per_ms;
    m->failed /= 2;
    m->poor = 0;
    measure(m, NAP_NAPPING, packets, now);
    return true;
}

/*@ requires \valid(m) && m->failed <= NAP_PATIENCE && m->poor <= NAP_POOR && tsc_per_ms <= 0xffffffff;
    assigns m->phase, m->decisions, m->began, m->began_packets, m->plain, m->plain_packets, m->until, m->failed, m->poor;
    ensures m->failed <= NAP_PATIENCE && m->poor <= NAP_POOR; */
static bool who_answers_naps(struct moderation *m, uint64_t got, uint64_t packets, uint64_t now, uint64_t tsc_per_ms)
{
    m->decisions += m->decisions < NAP_MEASURE;
    if (m->phase == NAP_TRIAL)
        return trial(m, packets, now, tsc_per_ms);
    if (m->phase == NAP_NAPPING) {
        m->poor = got < NAP_PACKETS ? m->poor + 2 : m->poor - (m->poor > 0);
        if (m->poor <= NAP_POOR && now < m->until)
            return true;
        m->until = now;
        m->poor = 0;
    }
    if (m->phase == NAP_NAPPING || now < m->until) {
        measure(m, NAP_PLAIN, packets, now);
        return false;
    }
    if (m->decisions < NAP_MEASURE)
        return false;
    m->plain = now - m->began;
    m->plain_packets = packets - m->began_packets;
    bool thick = m->plain_packets >= NAP_MEASURE + NAP_MEASURE / 2 &&
                 m->plain_packets * NAP_US * tsc_per_ms / 1000 >= NAP_PACKETS * m->plain;
    measure(m, thick ? NAP_TRIAL : NAP_PLAIN, packets, now);
    return thick;
}

bool moderate(struct moderation *m, uint64_t packets, uint64_t sent, uint64_t now, uint64_t tsc_per_ms)
{
    uint64_t got = packets - m->packets, answered = sent - m->sent, passed = now - m->decided;
    m->packets = packets;
    m->sent = sent;
    m->decided = now;
    bool recent = passed < NAP_MEMORY_MS * tsc_per_ms;
    if (recent && (got ? answered >= got / 2 : m->phase != NAP_PLAIN))
        return who_answers_naps(m, got, packets, now, tsc_per_ms);
    if (!recent || got)
        measure(m, NAP_PLAIN, packets, now);
    return recent && got >= NAP_PACKETS;
}

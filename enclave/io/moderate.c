/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/moderate.h"

bool moderate(struct moderation *m, uint64_t packets, uint64_t sent, uint64_t now, uint64_t tsc_per_ms)
{
    uint64_t got = packets - m->packets, answered = sent - m->sent, passed = now - m->decided;
    m->packets = packets;
    m->sent = sent;
    m->decided = now;
    return got >= NAP_PACKETS && answered < got / 2 && passed < NAP_MEMORY_MS * tsc_per_ms;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/watch.h"

bool watch_pays(struct watch *w, uint64_t packets, uint64_t sent, uint64_t now, uint64_t tsc_per_ms)
{
    uint64_t got = packets - w->packets, answered = sent - w->sent, passed = now - w->decided;
    w->packets = packets;
    w->sent = sent;
    w->decided = now;
    bool alone = got == 1 && answered && passed <= tsc_per_ms / 1000 * WATCH_PERIOD_US;
    w->alone = !alone ? 0 : w->alone < WATCH_FROM ? w->alone + 1 : w->alone;
    if (w->alone < WATCH_FROM)
        return false;
    if (!w->skip)
        return true;
    w->skip--;
    return false;
}

void watch_note(struct watch *w, bool came)
{
    if (came) {
        w->penalty /= 2;
        return;
    }
    w->skip = w->penalty;
    w->penalty = w->penalty < WATCH_SKIP_MOST / 2 ? 2 * w->penalty + 1 : WATCH_SKIP_MOST;
}

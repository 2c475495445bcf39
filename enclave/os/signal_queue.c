/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/signal_queue.h"

#include <errno.h>
#include <signal.h>

#include "enclave/lib/lib.h"

#define WAITING_MAX 16384  /* in all queues */

struct signal_entry {
    struct signal_entry *next;
    int signal;
    struct signal_cause cause;
};

static uint32_t waiting;

static const uint64_t synchronous = SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) |
                                    SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGSYS);

int signal_queue_add(struct signal_queue *q, int signal, const struct signal_cause *cause)
{
    bool real_time = signal >= SIGNAL_COUNTED_FIRST;
    if (!real_time && (q->pending & SIGNAL_BIT(signal))) {
        q->spare++;
        return 0;
    }
    struct signal_entry *e = waiting < WAITING_MAX ? alloc(sizeof *e) : NULL;
    if (!e && real_time)
        return -EAGAIN;
    q->pending |= SIGNAL_BIT(signal);
    if (!e)
        return 0;
    waiting++;
    q->entries++;
    e->signal = signal;
    e->cause = *cause;
    if (!q->first)
        q->end = &q->first;
    *q->end = e;
    q->end = &e->next;
    return 0;
}

/* Takes the entry that *at points to out. */
static void unlink_entry(struct signal_queue *q, struct signal_entry **at)
{
    struct signal_entry *e = *at;
    *at = e->next;
    if (!e->next)
        q->end = at;
    waiting--;
    q->entries--;
    alloc_free(e);
}

int signal_queue_take(struct signal_queue *q, uint64_t mask, struct signal_cause *cause)
{
    uint64_t ready = q->pending & mask;
    if (!ready)
        return 0;
    int signal = __builtin_ctzll(ready & synchronous ? ready & synchronous : ready) + 1;
    bool found = false, more = false;
    *cause = (struct signal_cause){.code = SI_USER};
    for (struct signal_entry **at = &q->first; *at && !more;) {
        if ((*at)->signal != signal) {
            at = &(*at)->next;
        } else if (found) {
            more = true;
        } else {
            *cause = (*at)->cause;
            found = true;
            unlink_entry(q, at);
        }
    }
    if (!more)
        q->pending &= ~SIGNAL_BIT(signal);
    q->spare = 0;
    return signal;
}

void signal_queue_drop(struct signal_queue *q, uint64_t mask)
{
    q->pending &= ~mask;
    for (struct signal_entry **at = &q->first; *at;) {
        if (mask & SIGNAL_BIT((*at)->signal))
            unlink_entry(q, at);
        else
            at = &(*at)->next;
    }
}

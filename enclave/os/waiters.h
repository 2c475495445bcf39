/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that wait for something that happens inside the enclave. To wait: thread_sleep_prepare(), add, look
 * whether there is still cause to wait, sleep, remove. Who makes a change calls waiters_wake after it. It takes
 * no exit where nobody sleeps.
 */
#ifndef OS_WAITERS_H
#define OS_WAITERS_H

#include <stdbool.h>
#include <stdint.h>

#include "enclave/lib/list.h"
#include "enclave/lib/lock.h"

struct thread;

struct waiters {
    struct lock lock; /* guards the list */
    uint32_t count;   /* atomic */
    struct list list;
};

/* Lies on the stack of the thread that waits; no point of the world (world.h) may come while it is in a list. */
struct waiter {
    struct list list;
    struct waiters *in; /* NULL: in none */
    struct thread *thread;
    uint32_t events; /* POLLIN, ...: what it waits for */
    bool one;        /* of those that say so one is woken, the first; who was woken and does not use it wakes the
                        next */
};

void waiters_add(struct waiters *l, struct waiter *w, uint32_t events, bool one);
/* Out of its list, if it is in one. */
void waiter_remove(struct waiter *w);
/* All that wait for one of the events and are not `one`, and the first that is. */
void waiters_wake(struct waiters *l, uint32_t events);
void waiters_wake_all(struct waiters *l);

/* The same in two steps, for who holds a lock that those who wake up will want: note them, and wake them after. */
#define WOKEN_MAX 32
struct woken {
    struct thread *threads[WOKEN_MAX];
    int count;
};
void waiters_note_all(struct waiters *l, struct woken *w);
void waiters_wake_noted(struct woken *w);

#endif

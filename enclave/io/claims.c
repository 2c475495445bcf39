/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/claims.h"

#include <errno.h>

#include "abi/exits.h"
#include "abi/file.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/order.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"

#define SIZE_FIRST 0x20000ul
#define USES_LEAST 4 /* for which a claim was worth its exits */
#define PAUSE_MOST 4096u
#define PAUSE_AT_END 16

static struct {
    struct lock lock; /* guards the list, and at and end of what is in it */
    struct list list;
} all;

/* The host's position goes `by` further, if it is at `from`; where it is then, -EAGAIN, or another error. Hidden. */
static int64_t move(const struct claim *c, uint64_t from, int64_t by)
{
    return exit_checked(EXIT_FILE_MOVE, 0, INT64_MAX, (uint32_t)c->host_fd, from, (uint64_t)by, 0, 0, 0);
}

/* With the lock held. */
static void drop(struct claim *c)
{
    if (!c->held)
        return;
    c->held = false;
    list_remove(&c->all);
    __atomic_sub_fetch(&order.claims, 1, __ATOMIC_RELEASE);
}

/* With the lock held: what was not used is anybody's again. */
static void give_back(struct claim *c)
{
    drop(c);
    if (c->end > c->at && !c->shared && move(c, (uint64_t)c->end, c->at - c->end) != c->at) {
        c->shared = true; /* others have read what comes after: what was before that is ours */
        return;
    }
    if (c->shared)
        return;
    bool useful = c->uses >= USES_LEAST;
    c->size = useful && c->end == c->at ? MIN(c->size * 2, WINDOW_STEP) : SIZE_FIRST;
    c->pause = useful ? 0 : MIN(c->pause * 2 + 1, PAUSE_MOST);
    c->wait = c->pause;
    c->end = c->at;
}

static void give_all_back(void)
{
    lock_take(&all.lock);
    while (!list_empty(&all.list))
        give_back(container_of(all.list.next, struct claim, all));
    lock_release(&all.lock);
}

/* How much to claim from there on, in reads of `length` bytes; 0: too little to be worth it. */
static int64_t room(const struct claim *c, int64_t from, uint64_t length, int64_t file_end)
{
    if (from >= file_end)
        return 0;
    uint64_t most = MIN(MAX(c->size, SIZE_FIRST), (uint64_t)(file_end - from));
    return most / length < USES_LEAST ? 0 : (int64_t)(most - most % length);
}

/* With the lock held, and nothing claimed. */
static void claim(struct claim *c, uint64_t length, int64_t file_end)
{
    int64_t from = c->end, most = room(c, from, length, file_end);
    if (!most || move(c, (uint64_t)from, most) != from + most) { /* it is not where the last claim ended */
        from = move(c, FILE_ANYWHERE, 0);
        most = from < 0 ? 0 : room(c, from, length, file_end);
        if (!most || move(c, (uint64_t)from, most) != from + most) {
            c->wait = PAUSE_AT_END;
            return;
        }
    }
    c->at = from;
    c->end = from + most;
    c->uses = 0;
    c->held = true;
    if (!all.list.next)
        list_init(&all.list);
    list_append(&all.list, &c->all);
    order.give_back = give_all_back;
    __atomic_add_fetch(&order.claims, 1, __ATOMIC_RELEASE);
}

int64_t claim_take(struct claim *c, uint64_t *length, int64_t file_end)
{
    lock_take(&all.lock);
    bool some = c->end > c->at && (c->shared || (uint64_t)(c->end - c->at) >= *length);
    lock_release(&all.lock);
    if (!some && (c->shared || c->wait)) {
        c->wait -= c->wait > 0;
        return -EAGAIN;
    }
    if (!some)
        order_before(); /* the position moves; and what is left of the last one goes back */
    lock_take(&all.lock);
    if (c->end == c->at && !c->shared)
        claim(c, *length, file_end);
    int64_t at = -EAGAIN;
    if (c->end > c->at) {
        at = c->at;
        *length = MIN(*length, (uint64_t)(c->end - c->at));
        c->at += (int64_t)*length;
        c->uses++;
    }
    lock_release(&all.lock);
    return at;
}

void claim_return(struct claim *c, uint64_t length)
{
    lock_take(&all.lock);
    c->at -= (int64_t)length;
    if (!c->held)
        give_back(c);
    lock_release(&all.lock);
}

bool claim_rest(struct claim *c)
{
    lock_take(&all.lock);
    if (c->held)
        give_back(c);
    bool rest = c->end > c->at;
    lock_release(&all.lock);
    return rest;
}

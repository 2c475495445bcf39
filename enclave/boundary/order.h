/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Some of what a program does is done later: its writes to files wait in the arena for company.
 * Nobody may see that. So before anything else that the outside could notice (an exit, a packet)
 * what waits goes first, and each time that news of the outside may have come, what was known of it
 * before is in doubt.
 */
#ifndef BOUNDARY_ORDER_H
#define BOUNDARY_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct order {
    uint32_t waiting;    /* things that are to go first */
    uint32_t watching;   /* things that are known of the outside */
    uint64_t exits;      /* those that may have brought news, of all threads */
    uint32_t generation; /* another each time that news may have come while something is known */
    void (*write_out)(void); /* makes what waits go; its exits must be hidden ones */
    uint32_t claims;          /* parts of files that are this process's to read, the position being behind them already */
    void (*give_back)(void); /* puts it where the program has got to; its exits must be hidden ones */
    uint32_t held;           /* 1: memory that other processes wait for is here, */
    void (*give_up)(void);   /* and goes back by this, which sets `held` to 0 first */
    /* NULL, or makes memory of the program's usable that is with another process: false: it is no such memory. May
     * exit, but leaves the bounce buffer alone. */
    bool (*bring)(uint64_t address, uint64_t length, bool write);
};

extern struct order order;

/* An exit that nobody outside the process can tell from none, and that brings no news. */
bool exit_hidden(uint64_t number);

static inline void order_positions(void)
{
    if (__atomic_load_n(&order.claims, __ATOMIC_ACQUIRE))
        order.give_back();
}

/* Before the outside can notice something. */
static inline void order_before(void)
{
    order_positions();
    if (__atomic_load_n(&order.held, __ATOMIC_ACQUIRE))
        order.give_up();
    if (__atomic_load_n(&order.waiting, __ATOMIC_ACQUIRE))
        order.write_out();
}

/* A copy from or to the program's memory failed: true: it may be tried again. */
static inline bool order_bring(const void *address, uint64_t length, bool write)
{
    return order.bring && order.bring((uint64_t)address, length, write);
}

/* A copy that may be tried again, as another thread may give up in between what was brought. */
#define ORDER_TRIES 16
#define ORDER_COPY(copy, address, length, write)                                                   \
    ({                                                                                             \
        __typeof__(copy) result_ = (copy);                                                         \
        for (int n_ = 0; result_ < 0 && n_ < ORDER_TRIES && order_bring(address, length, write); n_++) \
            result_ = (copy);                                                                      \
        result_;                                                                                   \
    })

/* When something of the outside was learned. */
static inline void order_after(void)
{
    __atomic_add_fetch(&order.exits, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&order.watching, __ATOMIC_ACQUIRE))
        __atomic_add_fetch(&order.generation, 1, __ATOMIC_SEQ_CST);
}

#endif

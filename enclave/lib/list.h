/* SPDX-License-Identifier: Apache-2.0 */
/* A doubly linked ring with a head. An element that is not in a list points to itself. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include <stdbool.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_append(struct list *head, struct list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void list_remove(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

#define list_for_each(i, head) for (struct list *i = (head)->next; i != (head); i = i->next)

#endif

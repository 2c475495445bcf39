/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/area.h"

#include <errno.h>

#include "abi/start.h"
#include "enclave/lib/lib.h"

uint32_t area_index(const struct area_table *t, uint64_t address)
{
    uint32_t low = 0, high = t->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->area[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct area *area_find(const struct area_table *t, uint64_t address)
{
    uint32_t i = area_index(t, address);
    return i < t->count && t->area[i].start <= address ? &t->area[i] : NULL;
}

int area_reserve(struct area_table *t, uint32_t extra)
{
    if (t->count + extra <= t->room)
        return 0;
    uint32_t room = MAX(t->room * 2, t->count + extra);
    struct area *larger = alloc_resize(t->area, t->count * sizeof *larger, room * sizeof *larger);
    if (!larger)
        return -ENOMEM;
    t->area = larger;
    t->room = room;
    return 0;
}

static bool joins(const struct area *a, const struct area *b)
{
    return a->end == b->start && a->protection == b->protection && a->used == b->used && a->kind == b->kind &&
           a->name == b->name && a->sharing == b->sharing && a->shared == b->shared &&
           a->absent == b->absent && ((!a->name && !a->absent) || a->offset + (a->end - a->start) == b->offset);
}

static void delete_at(struct area_table *t, uint32_t i)
{
    memmove(&t->area[i], &t->area[i + 1], (t->count - i - 1) * sizeof *t->area);
    t->count--;
}

static void insert_at(struct area_table *t, uint32_t i, const struct area *a)
{
    memmove(&t->area[i + 1], &t->area[i], (t->count - i) * sizeof *t->area);
    t->area[i] = *a;
    t->count++;
}

/* Joins area i with its right neighbour if they are of a kind. */
static bool merge_right(struct area_table *t, uint32_t i)
{
    if (i + 1 >= t->count || !joins(&t->area[i], &t->area[i + 1]))
        return false;
    t->area[i].end = t->area[i + 1].end;
    delete_at(t, i + 1);
    return true;
}

void area_insert(struct area_table *t, const struct area *a)
{
    uint32_t i = area_index(t, a->start);
    insert_at(t, i, a);
    t->area[i].used |= a->protection && !a->absent;
    merge_right(t, i);
    if (i > 0)
        merge_right(t, i - 1);
}

/* Makes `address` an edge. */
static void split(struct area_table *t, uint64_t address)
{
    uint32_t i = area_index(t, address);
    if (i >= t->count || t->area[i].start >= address)
        return;
    struct area right = t->area[i];
    right.offset += address - right.start;
    right.start = address;
    t->area[i].end = address;
    insert_at(t, i + 1, &right);
}

void area_remove(struct area_table *t, uint64_t start, uint64_t end)
{
    split(t, start);
    split(t, end);
    uint32_t first = area_index(t, start), last = first;
    while (last < t->count && t->area[last].start < end)
        last++;
    memmove(&t->area[first], &t->area[last], (t->count - last) * sizeof *t->area);
    t->count -= last - first;
}

void area_protect(struct area_table *t, uint64_t start, uint64_t end, int protection)
{
    split(t, start);
    split(t, end);
    uint32_t first = area_index(t, start);
    for (uint32_t i = first; i < t->count && t->area[i].start < end; i++) {
        t->area[i].protection = protection;
        t->area[i].used |= protection && !t->area[i].absent;
    }
    uint32_t i = first ? first - 1 : 0;
    while (i < t->count && t->area[i].start <= end)
        if (!merge_right(t, i))
            i++;
}

bool area_used(const struct area_table *t, uint64_t start, uint64_t end)
{
    for (uint32_t i = area_index(t, start); i < t->count && t->area[i].start < end; i++)
        if (t->area[i].used)
            return true;
    return false;
}

const struct area *area_absent(const struct area_table *t, uint64_t start, uint64_t end)
{
    for (uint32_t i = area_index(t, start); i < t->count && t->area[i].start < end; i++)
        if (t->area[i].absent)
            return &t->area[i];
    return NULL;
}

bool area_covered(const struct area_table *t, uint64_t start, uint64_t end)
{
    for (uint32_t i = area_index(t, start); start < end; i++) {
        if (i >= t->count || t->area[i].start > start)
            return false;
        start = t->area[i].end;
    }
    return true;
}

bool area_overlaps(const struct area_table *t, uint64_t start, uint64_t end)
{
    uint32_t i = area_index(t, start);
    return i < t->count && t->area[i].start < end;
}

uint64_t area_gap_below(const struct area_table *t, uint64_t length, uint64_t below)
{
    uint64_t top = MIN(below, t->high);
    for (uint32_t i = area_index(t, top ? top - 1 : 0) + 1; i-- > 0;) {
        if (i >= t->count)
            continue;
        const struct area *a = &t->area[i];
        if (a->end <= top && top - a->end >= length)
            return top - length;
        top = MIN(top, a->start);
    }
    return top >= t->low && top - t->low >= length ? top - length : 0;
}

uint64_t area_gap_above(const struct area_table *t, uint64_t length, uint64_t above)
{
    uint64_t bottom = MAX(above, t->low);
    for (uint32_t i = area_index(t, bottom); i < t->count; i++) {
        const struct area *a = &t->area[i];
        if (a->start >= bottom && a->start - bottom >= length)
            return bottom;
        bottom = a->end;
    }
    return bottom <= t->high && t->high - bottom >= length ? bottom : 0;
}

bool area_table_valid(const struct area_table *t)
{
    if (t->count > t->room)
        return false;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct area *a = &t->area[i];
        if (a->start >= a->end || a->start % PAGE_SIZE || a->end % PAGE_SIZE || a->start < t->low ||
            a->end > t->high)
            return false;
        if (i && t->area[i - 1].end > a->start)
            return false;
    }
    return true;
}

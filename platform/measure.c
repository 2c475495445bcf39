/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/hash.h"

#define RECORD 64 /* bytes: what each leaf adds */
#define CHUNK 256

struct measurement {
    struct hash hash;
    size_t used;
    uint8_t buffer[RECORD + 16 * (RECORD + CHUNK)]; /* the records of a page go in one piece */
};

static void flush(struct measurement *m)
{
    hash_add(&m->hash, m->buffer, m->used);
    m->used = 0;
}

/* Room for the next record, zeroed, which begins with the name of its leaf and goes on to `size`.
 */
static uint8_t *record(struct measurement *m, const char leaf[8], size_t size)
{
    if (size > sizeof m->buffer - m->used)
        flush(m);
    uint8_t *at = m->buffer + m->used;
    m->used += size;
    memcpy(at, leaf, 8);
    memset(at + 8, 0, RECORD - 8);
    return at;
}

int measure_create(struct measurement **out, uint32_t ssa_frame_pages, uint64_t size)
{
    struct measurement *m = malloc(sizeof *m);
    if (!m)
        return -ENOMEM;
    m->used = 0;
    hash_begin(&m->hash);
    uint8_t *at = record(m, "ECREATE", RECORD);
    memcpy(at + 8, &ssa_frame_pages, sizeof ssa_frame_pages);
    memcpy(at + 12, &size, sizeof size);
    *out = m;
    return 0;
}

void measure_add(struct measurement *m, uint64_t offset, uint64_t secinfo_flags)
{
    uint8_t *at = record(m, "EADD\0\0\0", RECORD);
    memcpy(at + 8, &offset, sizeof offset);
    memcpy(at + 16, &secinfo_flags,
           sizeof secinfo_flags); /* of 48 bytes of SECINFO, the rest zero */
}

void measure_extend(struct measurement *m, uint64_t offset, const void *chunk)
{
    uint8_t *at = record(m, "EEXTEND", RECORD + CHUNK);
    memcpy(at + 8, &offset, sizeof offset);
    memcpy(at + RECORD, chunk, CHUNK);
}

void measure_so_far(const struct measurement *m, uint8_t mrenclave[32])
{
    struct hash hash = m->hash;
    hash_add(&hash, m->buffer, m->used);
    hash_end(&hash, mrenclave);
}

void measure_final(struct measurement *m, uint8_t mrenclave[32])
{
    flush(m);
    hash_end(&m->hash, mrenclave);
    free(m);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Words for the numbers that system calls take, for the trace. */
#ifndef OS_TRACE_NAMES_H
#define OS_TRACE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct trace_name {
    uint64_t value;
    const char *name;
};

struct trace_names {
    const struct trace_name *list;
    uint32_t count;
    bool bits;       /* each is a bit: they are joined by | */
    uint64_t choice; /* of the bits: this part is a number, which the list has too */
};

/* How system calls take their arguments: a letter each (see trace.c); NULL: not known. */
const char *trace_signature(uint64_t number);
/* The words for a letter, NULL: it has none. */
const struct trace_names *trace_names(char letter);
/* "ENOENT", NULL: no such number. */
const char *trace_error(int64_t error);

#endif

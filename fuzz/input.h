/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an input, taken from its beginning; after its end they are all zero. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct input {
    const uint8_t *at, *end;
};

static inline bool input_over(const struct input *in)
{
    return in->at == in->end;
}

/* How many there were. */
static inline size_t take_bytes(struct input *in, void *to, size_t n)
{
    size_t left = (size_t)(in->end - in->at), known = n < left ? n : left;
    memset(to, 0, n);
    memcpy(to, in->at, known);
    in->at += known;
    return known;
}

static inline uint8_t take8(struct input *in)
{
    uint8_t value;
    take_bytes(in, &value, sizeof value);
    return value;
}

static inline uint16_t take16(struct input *in)
{
    uint16_t value;
    take_bytes(in, &value, sizeof value);
    return value;
}

static inline uint32_t take32(struct input *in)
{
    uint32_t value;
    take_bytes(in, &value, sizeof value);
    return value;
}

static inline uint64_t take64(struct input *in)
{
    uint64_t value;
    take_bytes(in, &value, sizeof value);
    return value;
}

/* What must hold does not: the fuzzer saves the input. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif

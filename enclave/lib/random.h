/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers are the CPU's: the host has no part in them. */
#ifndef LIB_RANDOM_H
#define LIB_RANDOM_H

#include <stdint.h>

static inline uint64_t random_word(void)
{
    uint64_t value;
    unsigned char ok;
    do
        __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(ok));
    while (!ok);
    return value;
}

#endif

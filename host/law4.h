/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No address inside the enclave leaves it: on a CPU with SGX the kernel reads all ones there, or fails.
 * In software it would work; this finds it.
 */
#ifndef HOST_LAW4_H
#define HOST_LAW4_H

#include <stdint.h>

struct host;

/* What of this exit points into the enclave: a static string; NULL: nothing. Structures are followed
 * only where they lie in the arena, whatever the arguments are. */
const char *law4_check(const struct host *h, uint64_t number, const uint64_t arguments[6]);

#endif

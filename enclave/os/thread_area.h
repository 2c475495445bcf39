/* SPDX-License-Identifier: Apache-2.0 */
/* Thread areas beyond those that the enclave starts with: pages and a TCS, added when they are needed. */
#ifndef OS_THREAD_AREA_H
#define OS_THREAD_AREA_H

#include <stdint.h>

struct thread_block;

/* The block of a thread area. */
struct thread_block *thread_area_block(uint32_t index);

/* Makes the area of that index, which is the next after those that there are: 0 or -errno. */
int thread_area_add(uint32_t index);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* MRENCLAVE as ECREATE, EADD and EEXTEND build it (SDM volume 3D, 38.19 and chapter 40). */
#ifndef PLATFORM_MEASURE_H
#define PLATFORM_MEASURE_H

#include <stdint.h>

struct measurement;

/* ECREATE: size is the enclave's, a power of two. 0 or -ENOMEM. */
int measure_create(struct measurement **out, uint32_t ssa_frame_pages, uint64_t size);
/* EADD of the page at an offset from the base. */
void measure_add(struct measurement *m, uint64_t offset, uint64_t secinfo_flags);
/* EEXTEND of the 256 bytes that lie at an offset from the base. */
void measure_extend(struct measurement *m, uint64_t offset, const void *chunk);
/* What MRENCLAVE would be by now. */
void measure_so_far(const struct measurement *m, uint8_t mrenclave[32]);
/* MRENCLAVE; frees. */
void measure_final(struct measurement *m, uint8_t mrenclave[32]);

#endif

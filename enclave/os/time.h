/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks: samples of the host's, the TSC between them. */
#ifndef OS_TIME_H
#define OS_TIME_H

#include <stdint.h>

struct clock_data;

/* First sample. */
void time_start(void);
/* From now on the clock data lies there too, for the vDSO. */
void time_share(struct clock_data *shared);
/* And no longer: the page goes. */
void time_unshare(void);

uint64_t time_monotonic_ns(void);
uint64_t time_realtime_ns(void);
/* TSC counts in a millisecond, by the latest sample. */
uint64_t time_tsc_per_ms(void);

#endif

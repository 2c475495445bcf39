/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks: samples of the host's, the TSC between them. */
#ifndef OS_TIME_H
#define OS_TIME_H

#include <stdint.h>
#include <time.h>

struct clock_data;

/* First sample. */
void time_start(void);
/* From now on the clock data lies there too, for the vDSO. */
void time_share(struct clock_data *shared);
/* And no longer: the page goes. */
void time_unshare(void);

uint64_t time_monotonic_ns(void);
uint64_t time_realtime_ns(void);
/* Any clock that the program may name, ns: 0 or -errno. */
int time_clock(clockid_t id, uint64_t *ns);
/* A CPU clock that the program names by a number made of an id (pthread_getcpuclockid): as the host knows
 * it. 0 or -EINVAL. */
int time_cpu_clock(clockid_t *id);
/* The CPU clock of a thread as the host knows it: 0 or -ESRCH. */
int time_thread_clock(int tid, clockid_t *out);
/* What the realtime clock said at this count of the TSC, not long ago. */
uint64_t time_realtime_at(uint64_t tsc);
/* TSC counts in a millisecond, by the latest sample. */
uint64_t time_tsc_per_ms(void);

#endif

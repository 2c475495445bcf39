/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transmission by a core that is spare. Where threads of the enclave spend an eighth of their time or more in kicks
 * for a tenth of a second, and the machine has a core that nobody uses meanwhile, the monitor's thread looks at the TX rings and
 * the rings of datagrams all the time, and tells the enclave so (exit_slot.served): it makes no exit to send, and
 * the kernel's work is done beside it.
 *
 * It ends when there was nothing to send for a while, when it is seen to send hardly more than kicks did before (where
 * the kernel's part is nearly all of the work, a second core only waits for it), and when the thread is not given the
 * core that it thought spare; after the last two it is not tried for some time, twice as long after each in a row.
 */
#ifndef HOST_POLLER_H
#define HOST_POLLER_H

#include <stdbool.h>
#include <stdint.h>

/* The monitor's pause between two looks, of about so long: asleep, or polling. */
void poller_pause(long ns);
/* After it: kicks took so long of the time since the last, both by the TSC. Does it poll from now on? */
bool poller_note(uint64_t kicking, uint64_t passed);
/* Ends it: the monitor does. */
void poller_stop(void);
/* In the child of a fork. */
void poller_forked(void);

/* For --stats: how often it began, and milliseconds in all. */
uint64_t poller_times(void);
uint64_t poller_ms(void);

/* Ticks (USER_HZ) that the CPUs which this process may use were idle so far, by the text of /proc/stat. */
uint64_t poller_idle_ticks(const char *stat, const unsigned char *allowed, unsigned cpus);

#endif

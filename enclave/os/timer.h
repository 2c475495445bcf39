/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX timers: kept here, with the host's timers as alarm clocks. */
#ifndef OS_TIMER_H
#define OS_TIMER_H

#include <stdbool.h>

struct signal_cause;

/* The host says that a timer may have expired (SIGNAL_LOOK): send the signals that are due. */
void timers_look(void);

/* A timer's signal has been taken from its queue: the overrun up to now goes into the cause. False: that timer is gone, and
 * its signal with it. */
bool timer_delivered(struct signal_cause *cause);

/* Forget them all, as a new process image does; or a child, whose host has none (`inherited`). */
void timers_forget(bool inherited);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: actions, masks, who gets one, and the frame on the program's stack. */
#ifndef OS_SIGNAL_H
#define OS_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

#define SIGNAL_COUNT 64
#define SIGNAL_BIT(signal) (1ull << ((signal)-1))

/* struct kernel_sigaction of x86-64 */
struct signal_action {
    uint64_t handler, flags, restorer, mask;
};

/* Where a signal comes from, for siginfo; of a timer (SI_TIMER) pid is its id, uid its overrun. */
struct signal_cause {
    int32_t code;
    int32_t pid;
    uint32_t uid;
    int32_t status;   /* of a child, with SIGCHLD */
    uint64_t address; /* of a fault */
    uint64_t value;   /* of sigqueue */
};

struct registers;
struct thread;

void signal_start(void);
/* All that is handled is as by default. */
void signal_handlers_reset(void);
/* Nothing waits to be delivered, to any thread, as in a process that was just made. */
void signal_forget(void);
/* As a program finds it that is executed: what was handled is as by default, what was ignored stays so. */
void signal_reset(void);

/* To this thread, by its own doing (SIGPIPE, ...); delivered when it returns to the program. */
void signal_raise_self(int signal);
/* For an exception of the program: delivered even when blocked or ignored (then the program ends). */
void signal_force(int signal, const struct signal_cause *cause);
/* To the process or to one thread. 0; -EAGAIN: too many real-time signals wait already. */
int signal_send_process(int signal, const struct signal_cause *cause);
int signal_send_thread(struct thread *t, int signal, const struct signal_cause *cause);

/* Set the mask until the call ends; if a signal interrupts it, what is delivered then restores the old one. */
void signal_mask_temporary(const uint64_t *mask);
/* That call ends. If nothing interrupted it, what only its mask let in waits on. */
void signal_mask_settle(bool interrupted);

/* A signal of the mask that waits for this thread or for the process, taken out; 0: none. */
int signal_take(uint64_t mask, struct signal_cause *cause);
/* Does the calling thread block it? */
bool signal_blocked(int signal);

/* Takes over what the host reported for this thread. */
void signal_collect(void);

/* ---- between signal.c and signal_host.c ---- */

/* Called with signal_lock held: a thread that does not block the signal, the current one if it will do. */
struct thread *signal_receiver(int signal);
/* Makes a thread look at its signals. */
void signal_nudge(struct thread *t);
/* And all threads but this one. */
void signal_nudge_others(void);
/* One was taken out of a queue, or all were dropped: are there more that the host keeps back? */
void signal_taken(int signal);
void signal_dropped(int signal);

/* Would anything that is pending run a handler or end the program? And may the call that it interrupted
 * be made again after (SA_RESTART)? What stops the process does so here, and the call goes on after. A point
 * where the world may stop: no locks are held. */
bool signal_deliverable(bool *restart);

/* Before the return to the program: deliver. */
void signal_deliver(struct registers *r);

#endif

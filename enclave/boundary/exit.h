/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaving the enclave to have the host do something, and coming back with a result. What comes back
 * is a number: the caller checks it against what the call can return (law 7), with exit_checked()
 * where that is a range.
 */
#ifndef BOUNDARY_EXIT_H
#define BOUNDARY_EXIT_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/arena.h"
#include "abi/exits.h"
#include "enclave/boundary/untrusted.h"

/* Make one exit. `number`: a Linux system call or enum exit_number. Returns the host's result. What was
 * written to files and waits goes first, unless the exit is a hidden one (boundary/order.h). */
int64_t exit_call(uint64_t number, uint64_t flags, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                  uint64_t a4, uint64_t a5);

/* As exit_call; a result that is neither a negative errno (-4095..-1) nor within 0..maximum stops the
 * enclave with a message that names the call. */
/*@ assigns \result \from \nothing;
    ensures -4095 <= \result && (\result <= 0 || \result <= maximum); */
int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

/* This thread ends; its thread area is free for another from then on. */
_Noreturn void exit_thread(void);
/* The process ends with this wait(2) status. */
_Noreturn void exit_process(int status);
/* Show a line; enum log_level. */
void exit_log(int level, const char *line, size_t length);

/* What the host noted of a signal that it reported to this thread. */
struct signal_note exit_signal_note(int signal);

/* This thread's bounce buffer, bounce_size() bytes, for the arguments and results of its next exit.
 * There is one: who calls something that exits while using it loses what is in it. */
/*@ assigns \result \from \nothing; */
struct untrusted bounce(void);
/*@ assigns \nothing;
    ensures \result == ARENA_BOUNCE_SIZE; */
uint64_t bounce_size(void);

/* The host broke the protocol in a way that cannot be survived: say so and stop (law 6). */
/*@ assigns \nothing; ensures \false; */
_Noreturn void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* It broke it in a way that can: count it (shown as host_violations). */
/*@ assigns \nothing; */
void violation_count(void);

/* Does the host say that it sends what is in TX rings and rings of datagrams without being asked (host/poller.h)? Where that
 * is a lie, nothing is sent: it can do that in any case. */
/*@ assigns \result \from \nothing; */
bool exit_served(void);

/* The thread's next exit, whichever it is, takes along what the host is to send (EXIT_FLUSH). */
void exit_flush_along(void);

#endif

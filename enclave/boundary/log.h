/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the person who runs the enclave: one line, to the host's standard error, by an exit. */
#ifndef BOUNDARY_LOG_H
#define BOUNDARY_LOG_H

#include "abi/config.h"

extern int log_threshold; /* enum log_level; set once at start */

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) (log_threshold >= LOG_INFO ? log_line(LOG_INFO, __VA_ARGS__) : (void)0)
#define log_debug(...) (log_threshold >= LOG_DEBUG ? log_line(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_trace(...) (log_threshold >= LOG_TRACE ? log_line(LOG_TRACE, __VA_ARGS__) : (void)0)

/* A defect of the LibOS itself: say so and end the process. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

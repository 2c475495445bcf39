/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a program that ends by a signal, and of the LibOS where it fails itself. */
#ifndef OS_CRASH_H
#define OS_CRASH_H

struct registers;
struct signal_cause;

/* The program is about to end by this signal, there. */
void crash_report(int signal, const struct registers *r, const struct signal_cause *cause);

#endif

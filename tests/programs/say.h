/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs of cases print: a line a case, the same in each run, so that a run in the enclave can be held against a
 * native one.
 */
#ifndef PROGRAMS_SAY_H
#define PROGRAMS_SAY_H

/* One line: where, unless it is NULL, the case, a result. */
extern const char *where;
void say(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A result of a call: its value, or the name of its error. */
void say_result(const char *name, long result);
const char *error_name(int error); /* 0: "none" */

#endif

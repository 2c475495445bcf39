/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#define TRANSITION_DEFAULT 8200 /* cycles of one exit and return on software SGX */

/* Exit statuses, as shells and env(1) have them. */
enum { STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 };

/* run.c: `rakis run`, argv[0] being "run". The status to exit with. */
int command_run(int argc, char **argv);
void help_run(void);

/* doctor.c: `rakis doctor`. */
int command_doctor(int argc, char **argv);
void help_doctor(void);
/* init.c: where this process is the first of a namespace (pid 1), makes another one that goes on and stays with it: passes
 * signals on, waits for orphans, and ends as it did. Programs take 1 for init. */
void init_become(void);

/* program.c: PROGRAM as execvp would find it, and whether an enclave can run it: 0 and its path, or
 * the status to exit with after a message. */
int program_find(const char *name, char *path, size_t size);

/* "rakis: ..." on stderr, one line. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

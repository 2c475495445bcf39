/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the program of the configuration and its interpreter, and starts it. */
#ifndef LOAD_PROGRAM_H
#define LOAD_PROGRAM_H

#include <stdint.h>

/* Ends the process with a message and status 126 or 127 when the program cannot be loaded. */
_Noreturn void program_start(void);

/* What /proc/self/{exe,cmdline,environ,auxv} show: the path as configured; areas of the program's memory. */
struct program_image {
    const char *path;
    uint64_t arguments, arguments_end;
    uint64_t environment, environment_end;
    uint64_t vector, vector_end; /* auxiliary */
    uint64_t stack_start;
};
extern struct program_image program_image;

#endif

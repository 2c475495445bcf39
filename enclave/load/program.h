/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the program of the configuration and its interpreter, and starts it. */
#ifndef LOAD_PROGRAM_H
#define LOAD_PROGRAM_H

/* Ends the process with a message and status 126 or 127 when the program cannot be loaded. */
_Noreturn void program_start(void);

#endif

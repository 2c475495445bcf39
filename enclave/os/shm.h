/* SPDX-License-Identifier: Apache-2.0 */
/* System V's shared memory, within one process. */
#ifndef OS_SHM_H
#define OS_SHM_H

/* Before a process is made: what is attached will be two copies, which is said. */
void shm_forking(void);
/* The program is replaced: its memory is no more. */
void shm_forget(void);

#endif

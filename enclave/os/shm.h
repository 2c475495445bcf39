/* SPDX-License-Identifier: Apache-2.0 */
/* System V's shared memory, of this process and of those that it forks. */
#ifndef OS_SHM_H
#define OS_SHM_H

/* The program is replaced: its memory is no more. */
void shm_forget(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of ipc.c, mq.c and shm.c. */
#ifndef OS_SYSCALL_IPC_H
#define OS_SYSCALL_IPC_H

#define SYSCALLS_IPC(X)                                                                            \
    X(semget) X(semop) X(semtimedop) X(semctl) X(msgget) X(msgsnd) X(msgrcv) X(msgctl)             \
    X(mq_open) X(mq_unlink) X(mq_timedsend) X(mq_timedreceive) X(mq_getsetattr) X(mq_notify)       \
    X(shmget) X(shmat) X(shmdt) X(shmctl)

#endif

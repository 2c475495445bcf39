/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of time.c. */
#ifndef OS_SYSCALL_TIME_H
#define OS_SYSCALL_TIME_H

#define SYSCALLS_TIME(X)                                                                           \
    X(clock_gettime) X(clock_getres) X(gettimeofday) X(time) X(nanosleep) X(clock_nanosleep)       \
    X(getrusage) X(times)

#endif

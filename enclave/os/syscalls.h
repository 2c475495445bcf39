/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of system calls. A handler has the name of the call, gets the six argument registers and
 * returns what goes into RAX. It reads and checks the program's arguments first, then acts. Each area
 * defines its handlers; syscalls.c names them all in one table (os/syscall_table.h).
 */
#ifndef OS_SYSCALLS_H
#define OS_SYSCALLS_H

#include <stdint.h>

struct registers;

#define SYSCALL_ARGUMENT_(n) __attribute__((unused)) uint64_t n
#define SYSCALL(name)                                                                              \
    int64_t sys_##name(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);                \
    int64_t sys_##name(SYSCALL_ARGUMENT_(a0), SYSCALL_ARGUMENT_(a1), SYSCALL_ARGUMENT_(a2),        \
                       SYSCALL_ARGUMENT_(a3), SYSCALL_ARGUMENT_(a4), SYSCALL_ARGUMENT_(a5))

#define UNUSED_ARGUMENTS ((void)0)

/*
 * A blocking call that a signal interrupted returns this: delivery turns it into -EINTR or runs the
 * call again, as SA_RESTART of the handler says. The NOHAND kind (poll, select, epoll_wait, nanosleep,
 * futex with timeout) is only run again when no handler ran.
 */
#define RESTART_SYS (-512)
#define RESTART_ALWAYS (-513) /* whatever SA_RESTART says */
#define RESTART_NOHAND (-514)

/* Counters for --stats begin again: this is another process than the one that counted. */
void syscalls_count_anew(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of the LibOS's own that drain XSKs (--net-threads): for machines with cores to spare. The program does
 * not see them: they have no thread id, take no signals, and do not count among its threads.
 */
#ifndef OS_NET_THREAD_H
#define OS_NET_THREAD_H

/* As many as the configuration says, one an XSK at most. Where there are no XSKs, none. */
void net_threads_start(void);

/* Around the copy of the process's memory: they hold no lock and change nothing meanwhile. */
void net_threads_pause(void);
void net_threads_resume(void);
/* In the copy, which has none. */
void net_threads_forked(void);

#endif

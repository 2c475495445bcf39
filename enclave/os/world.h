/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping the world: one thread waits until every other one is at a point where it holds no lock, and keeps
 * it there. Such points are where a thread looks at its signals, and whole sleeps that say so.
 */
#ifndef OS_WORLD_H
#define OS_WORLD_H

#include <stdbool.h>

/* Stops it; `copy`: to copy it, for which each thread has made its I/O ready. Does not return if another thread,
 * which stopped it before, ends this one. */
void world_stop(bool copy);
/* Makes the calling thread's I/O ready: nothing of it is on its way. */
void world_suspend(void);
void world_resume(void);
/* In the copy of a process whose world was stopped: it runs, with the calling thread alone. */
void world_restart(void);

/* A point: stays here while the world is stopped; ends here if the thread is to end. No locks are held. */
void world_point(void);

/* Around an exit that may take long and cannot be interrupted: all of it is a point. */
void world_pause_begin(void);
void world_pause_end(void);

/* The calling thread no longer counts as live: who stops the world need not wait for it. Takes no lock. */
void world_left(void);

/* Ends all other threads; what they were in the middle of stays undone. Returns when they are gone. */
void world_end_others(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows on files: a part of a file that the host has mapped into the arena, so that reading it is
 * a copy; it grows as it is read on, so what is read again is found there. What others write there is
 * seen at once, as the pages are the kernel's own. What is not seen is that the file became shorter,
 * within the page where it ends now: who reads has to know its size by other means.
 */
#ifndef IO_WINDOWS_H
#define IO_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

struct window;

/* An open file, as windows know it: kept by the caller. */
struct window_file {
    int host_fd;
    struct window *window; /* perhaps taken away meanwhile */
};

/*
 * Has the file's window show `page` of the file (a multiple of 4096) too, if it ends there, else from there on. *length,
 * a multiple of 4096: bytes to be made ready; at return those that were asked for, at most WINDOW_STEP. One exit. Returns how
 * many of them lie in whole pages of the file; -EAGAIN: there is no window to be had; or the host's error.
 */
int64_t window_move(struct window_file *f, uint64_t page, uint64_t *length);

/* Does the file's window show that offset? */
bool window_shows(const struct window_file *f, uint64_t offset);

/* Up to `length` bytes from `offset` on that the window shows and that lie before `end`, to `to`,
 * which may be the program's. How many, 0: none; -EFAULT: `to` cannot be written, or the file ends
 * before. */
int64_t window_read(const struct window_file *f, uint64_t offset, uint64_t end, void *to,
                    uint64_t length);

/* The file is about to be closed: an exit, if it had one. */
void window_release(struct window_file *f);

/* In a process that has the memory of another: nothing is mapped any more. */
void windows_restart(void);

/* TSC counts in a millisecond. */
void windows_start(uint64_t tsc_per_ms);

#endif

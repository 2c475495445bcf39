/* SPDX-License-Identifier: Apache-2.0 */
/* Files for the enclave: facts, windows, and writes that were gathered in the arena (abi/file.h).
 */
#ifndef HOST_FILES_H
#define HOST_FILES_H

#include <stdbool.h>
#include <stdint.h>

/* EXIT_FILE_FACTS, _SIZE, _MOVE, _MAP, EXIT_EXTENT_OPEN, _WRITE. */
int64_t file_facts(int fd, uint64_t offset);
int64_t file_size(int fd);
int64_t file_move(int fd, uint64_t from, int64_t by);
int64_t file_map(uint64_t fd, uint64_t page, uint64_t length, uint64_t offset, uint64_t from);
int64_t extents_open(uint64_t number, uint64_t offset);
int64_t extents_write(uint64_t number);

/* For the monitor, now and then: writes what has been ready since the last look. True: there is
 * something. */
bool extents_look(void);
/* It is about to sleep: the enclave is told so. True: there is something, and it was not told. */
bool extents_unwatch(void);

/* At the end of the process: all that is ready. */
void extents_finish(void);
/* In the child after fork(2): extents are as if never opened. */
void extents_forked(void);

#endif

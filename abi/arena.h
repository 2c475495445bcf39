/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: untrusted memory that both sides read and write. The enclave decides every offset; this
 * page only fixes the parts that exist from the start. All parts begin on a page.
 *
 *   per thread     exit slot, the bounce buffer of the thread, room for a log line
 *   statistics     struct statistics (abi/stats.h)
 *   pool           the enclave hands it out: XSK rings (mapped here by the host), UMEMs, large buffers
 *   windows        WINDOWS_MAX of WINDOW_BYTES each, where the host maps files (abi/file.h)
 */
#ifndef ABI_ARENA_H
#define ABI_ARENA_H

#include "abi/file.h"
#include "abi/stats.h"

#define ARENA_THREAD_SIZE 0x100000ul /* one MiB a thread, touched as needed */
#define ARENA_SLOT_SIZE 0x1000ul
#define ARENA_BOUNCE_OFFSET ARENA_SLOT_SIZE
#define ARENA_BOUNCE_SIZE (ARENA_THREAD_SIZE - ARENA_SLOT_SIZE - ARENA_LOG_SIZE)
#define ARENA_LOG_OFFSET (ARENA_THREAD_SIZE - ARENA_LOG_SIZE)
#define ARENA_LOG_SIZE 0x1000ul
#define ARENA_POOL_SIZE 0x10000000ul /* 256 MiB of addresses */

#define ARENA_STATISTICS(threads) ((uint64_t)(threads)*ARENA_THREAD_SIZE)
#define ARENA_POOL(threads) (ARENA_STATISTICS(threads) + STATISTICS_SIZE(threads))
#define ARENA_WINDOW(threads, n) (ARENA_POOL(threads) + ARENA_POOL_SIZE + (n)*WINDOW_BYTES)
#define ARENA_SIZE(threads) ARENA_WINDOW(threads, WINDOWS_MAX)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/hostcall_fetch.h"

#include <errno.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/hostcall_room.h"
#include "enclave/lib/lib.h"

static uint64_t room; /* offset in the arena, 0: none yet */

int host_fetch_start(void)
{
    if (!room)
        room = arena_pool_take(FETCH_PIECE);
    return room ? 0 : -ENOMEM;
}

int64_t host_fetch(int fd, void *to, uint64_t length, uint64_t offset)
{
    uint64_t done = 0;
    length = MIN(length, FETCH_MAX);
    while (done < length) {
        uint64_t piece = MIN(length - done, FETCH_PIECE);
        int64_t n = room_call(__NR_pread64, 0, piece, (uint32_t)fd, arena_at(room).address, piece, offset + done, 0, 0);
        if (n == 0)
            break;
        if (n < 0 && n != -EINTR)
            return n;
        if (n > 0)
            untrusted_read((uint8_t *)to + done, arena_at(room), (size_t)n);
        done += n > 0 ? (uint64_t)n : 0;
    }
    return (int64_t)done;
}

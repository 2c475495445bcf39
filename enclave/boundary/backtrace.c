/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/backtrace.h"

#include "abi/arena.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"

#define FRAMES_MAX 40

bool backtrace_allowed(void)
{
    return enclave.configuration->flags & CONFIGURATION_DEVELOPMENT;
}

void backtrace_frame(uint32_t number, uint64_t address, const char *path, uint64_t file_offset)
{
    struct untrusted room = {thread_block()->slot_address + ARENA_LOG_OFFSET};
    uint64_t kind = !path ? FRAME_NOWHERE : *path ? FRAME_FILE : FRAME_IMAGE;
    uint64_t length = path ? MIN(strlen(path), ARENA_LOG_SIZE) : 0;
    if (length)
        untrusted_write(room, path, length);
    exit_call(EXIT_FRAME, 0, number | kind << 32, address - enclave.base, room.address - arena_at(0).address, length,
              file_offset, 0);
}

uint32_t backtrace_own(uint64_t rip, uint64_t rbp)
{
    uint64_t top = thread_block()->stack_top, bottom = top - THREAD_STACK_SIZE;
    uint32_t n = 0;
    while (n < FRAMES_MAX && in_image(rip)) {
        /* A call's return address may already be another function's. */
        backtrace_frame(n, rip, "", rip - enclave.image - (n != 0));
        n++;
        if (rbp < bottom || rbp > top - 16 || rbp % 8)
            break;
        const uint64_t *frame = (const uint64_t *)rbp;
        if (frame[0] && frame[0] <= rbp)
            break;
        rip = frame[1];
        rbp = frame[0];
    }
    return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/exit.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

#include <asm/unistd_64.h>

#include "abi/arena.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/backtrace.h"
#include "enclave/boundary/order.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/boundary/log.h"

static struct untrusted slot_word(size_t offset)
{
    return (struct untrusted){thread_block()->slot_address + offset};
}

bool exit_hidden(uint64_t number)
{
    switch (number) {
    case __NR_sched_yield: /* of a lock, or of no consequence */
    case EXIT_THREAD_START:
    case EXIT_THREAD_END:
    case EXIT_PROCESS_END: /* may come with any lock held: process_end has done it, else the host does */
    case EXIT_PARK:
    case EXIT_UNPARK:
    case EXIT_XSK_WAIT:
    case EXIT_INTERRUPT:
    case EXIT_PAGES:
    case EXIT_CLOCK:
    case EXIT_CPUID:
    case EXIT_LOG:
    case EXIT_NEIGHBOUR: /* with locks held; the kernel answers by itself elsewhere */
    case EXIT_FILE_FACTS:
    case EXIT_FILE_SIZE:
    case EXIT_FILE_MAP:
    case EXIT_FILE_MOVE: /* as a read that the program made would */
    case EXIT_EXTENT_OPEN:
    case EXIT_EXTENT_WRITE:
    case EXIT_COMMON: /* may come with any lock held; who gives a page for others to see has done it */
        return true;
    }
    return false;
}

void exit_flush_along(void)
{
    thread_block()->exit_flags |= EXIT_FLUSH;
}

int64_t exit_call(uint64_t number, uint64_t flags, uint64_t a0, uint64_t a1, uint64_t a2,
                  uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct thread_block *block = thread_block();
    struct untrusted slot = {block->slot_address};
    bool seen = !exit_hidden(number);
    /* Before the look at signals: one that comes meanwhile must not find this call asleep. */
    if (seen)
        order_before();
    else if (number == EXIT_PARK || number == EXIT_XSK_WAIT)
        order_positions(); /* it may sleep for long */
    if ((flags & EXIT_INTERRUPTIBLE) && block->pending)
        return -EINTR;
    flags |= block->exit_flags;
    block->exit_flags = 0;
    const uint64_t words[] = {number, flags, a0, a1, a2, a3, a4, a5};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        untrusted_store(untrusted_at(slot, i * 8), words[i]);
    enclave_leave();
    int64_t result = (int64_t)untrusted_load(slot_word(offsetof(struct exit_slot, result)));
    uint64_t signals = untrusted_load(slot_word(offsetof(struct exit_slot, signals)));
    if (signals) {
        __atomic_or_fetch(&block->host_signals, signals, __ATOMIC_RELAXED);
        block->pending = TB_PENDING_SIGNAL;
    }
    if (seen || signals)
        order_after();
    return result;
}

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    int64_t result = exit_call(number, flags, a0, a1, a2, a3, a4, a5);
    if (result < -4095 || (result > 0 && (uint64_t)result > maximum))
        violation("call %lu returned %ld, which it cannot (at most %lu)", number, result, maximum);
    return result;
}

struct signal_note exit_signal_note(int signal)
{
    struct signal_note note;
    uint64_t offset = SIGNAL_NOTES_OFFSET + (uint64_t)(signal - 1) * sizeof note;
    untrusted_read(&note, slot_word(offset), sizeof note);
    return note;
}

bool exit_served(void)
{
    return untrusted_load(slot_word(offsetof(struct exit_slot, served)));
}

struct untrusted bounce(void)
{
    return (struct untrusted){thread_block()->bounce_address};
}

uint64_t bounce_size(void)
{
    return ARENA_BOUNCE_SIZE;
}

_Noreturn void exit_thread(void)
{
    struct untrusted slot = {thread_block()->slot_address};
    untrusted_store(slot, EXIT_THREAD_END);
    untrusted_store(untrusted_at(slot, 8), 0);
    enclave_leave_for_good();
}

_Noreturn void exit_process(int status)
{
    for (;;)
        exit_call(EXIT_PROCESS_END, 0, (uint64_t)status, 0, 0, 0, 0, 0);
}

static uint64_t violations;

void violation_count(void)
{
    uint64_t count = __atomic_add_fetch(&violations, 1, __ATOMIC_RELAXED);
    struct untrusted s = arena_statistics();
    if (s.address)
        untrusted_store(untrusted_at(s, offsetof(struct statistics, violations)), count);
}

void exit_log(int level, const char *line, size_t length)
{
    struct untrusted room = slot_word(ARENA_LOG_OFFSET);
    length = MIN(length, ARENA_LOG_SIZE);
    untrusted_write(room, line, length);
    exit_call(EXIT_LOG, 0, (uint64_t)level, room.address - arena_at(0).address, length, 0, 0, 0);
}

#define STATUS_SIGNALLED_ABORT 6

_Noreturn void violation(const char *format, ...)
{
    char line[256] = "the host broke the protocol: ";
    size_t at = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    print_vformat(line + at, sizeof line - at, format, arguments);
    va_end(arguments);
    violation_count();
    exit_log(LOG_ERROR, line, strlen(line));
    if (backtrace_allowed())
        backtrace_own((uint64_t)__builtin_return_address(0), *(const uint64_t *)__builtin_frame_address(0));
    exit_process(STATUS_SIGNALLED_ABORT);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/crash.h"

#include <signal.h>

#include "enclave/boundary/backtrace.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/thread.h"
#include "enclave/os/trace_names.h"
#include "enclave/os/unwind.h"
#include "platform/sgx_arch.h"

#define FRAMES_MAX 50
#define MAPS_SIZE 65536

static const char *signal_name(int signal)
{
    const struct trace_names *names = trace_names('S');
    for (uint32_t i = 0; i < names->count; i++)
        if (names->list[i].value == (uint64_t)signal)
            return names->list[i].name;
    return "a signal";
}

static const char *why(int signal, int code)
{
    if (signal == SIGSEGV)
        return code == SEGV_MAPERR ? "nothing is mapped" : code == SEGV_ACCERR ? "that is not allowed" : "";
    if (signal == SIGFPE)
        return code == FPE_INTDIV ? "a division by zero" : "";
    return "";
}

#define PAGE_FAULT 14
#define ERROR_WRITE 2
#define ERROR_FETCH 16

static void report_fault(int signal, const struct signal_cause *cause)
{
    const struct thread_block *block = thread_block();
    struct thread *t = current();
    const char *reason = why(signal, cause->code);
    if (signal == SIGSEGV && cause->code > 0 && cause->code < SI_KERNEL && block->trap_vector == PAGE_FAULT)
        log_warning("%s (thread %d) ends by SIGSEGV: a %s 0x%lx, where %s", t->name, t->tid,
                    block->trap_error & ERROR_FETCH   ? "jump to"
                    : block->trap_error & ERROR_WRITE ? "write to"
                                                      : "read of",
                    cause->address, reason);
    else
        log_warning("%s (thread %d) ends by %s%s%s", t->name, t->tid, signal_name(signal), *reason ? ": " : "", reason);
}

static void report_registers(const struct registers *r)
{
    log_warning("  rip %016lx  rsp %016lx  rbp %016lx  flags %08lx", r->rip, r->rsp, r->rbp, r->rflags);
    log_warning("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", r->rax, r->rbx, r->rcx, r->rdx);
    log_warning("  rsi %016lx  rdi %016lx  r8  %016lx  r9  %016lx", r->rsi, r->rdi, r->r8, r->r9);
    log_warning("  r10 %016lx  r11 %016lx  r12 %016lx  r13 %016lx", r->r10, r->r11, r->r12, r->r13);
    log_warning("  r14 %016lx  r15 %016lx", r->r14, r->r15);
}

/* In a trampoline of load/patch: where its code comes from is where its last jump goes to. */
static uint64_t out_of_trampoline(uint64_t pc, uint64_t start, uint64_t end)
{
    uint8_t code[5];
    struct memory_place place;
    for (uint64_t at = pc; at + sizeof code <= end && at < pc + 32; at++) {
        int32_t distance;
        if (user_read(code, (const void *)at, sizeof code) || code[0] != 0xe9)
            continue;
        memcpy(&distance, code + 1, sizeof distance);
        uint64_t target = at + sizeof code + (uint64_t)(int64_t)distance;
        if ((target < start || target >= end) && memory_place(target, &place) && place.name)
            return target;
    }
    return pc;
}

static void report_frames(const struct registers *r, uint32_t number)
{
    struct unwind u;
    struct memory_place place;
    unwind_start(&u, r);
    for (uint32_t n = 0; n < FRAMES_MAX; n++) {
        uint64_t pc = u.reg[UNWIND_RIP];
        bool known = memory_place(pc, &place);
        if (known && place.trampoline) {
            pc = u.reg[UNWIND_RIP] = out_of_trampoline(pc, place.start, place.end);
            known = memory_place(pc, &place);
        }
        backtrace_frame(number + n, pc, known ? place.name : NULL,
                        place.offset - !(u.exact || unwind_at_signal_return(&u)));
        if (!unwind_step(&u))
            return;
    }
}

static void report_maps(void)
{
    char *maps = log_threshold >= LOG_DEBUG ? alloc(MAPS_SIZE) : NULL;
    if (!maps)
        return;
    memory_print_maps(maps, MAPS_SIZE, MAPS_LINES);
    for (char *line = maps, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = 0;
        log_debug("%s", line);
    }
    alloc_free(maps);
}

void crash_report(int signal, const struct registers *r, const struct signal_cause *cause)
{
    if (!backtrace_allowed() || log_threshold < LOG_WARNING)
        return;
    report_fault(signal, cause);
    report_registers(r);
    report_frames(r, 0);
    report_maps();
}

_Noreturn void os_crash(const struct sgx_gpr *where)
{
    struct thread_block *block = thread_block();
    log_error("exception %lu in the LibOS at image offset 0x%lx, address 0x%lx, error 0x%lx", block->trap_vector,
              where->rip - enclave.image, block->trap_address, block->trap_error);
    if (backtrace_allowed()) {
        const struct registers r = {.rip = where->rip, .rsp = where->rsp, .rbp = where->rbp, .rflags = where->rflags,
                                    .rax = where->rax, .rbx = where->rbx, .rcx = where->rcx, .rdx = where->rdx,
                                    .rsi = where->rsi, .rdi = where->rdi, .r8 = where->r8,   .r9 = where->r9,
                                    .r10 = where->r10, .r11 = where->r11, .r12 = where->r12, .r13 = where->r13,
                                    .r14 = where->r14, .r15 = where->r15};
        report_registers(&r);
        uint32_t n = backtrace_own(where->rip, where->rbp);
        /* What the program was doing: its registers lie at the top of the stack since it came in. */
        report_frames((const struct registers *)block->stack_top - 1, n);
    }
    log_error("this is a defect of rakis: please report it, with what is above");
    exit_process(STATUS_SIGNALLED(SIGABRT));
}

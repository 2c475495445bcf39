/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/signal.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#include "abi/exits.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/io/flush.h"
#include "enclave/lib/lib.h"
#include "enclave/boundary/log.h"
#include "enclave/os/crash.h"
#include "enclave/os/process.h"
#include "enclave/os/stream.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/time.h"
#include "enclave/os/timer.h"
#include "enclave/os/world.h"

#include <asm/unistd_64.h>

#define UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))
#define ACTION_DEFAULT 0
#define ACTION_IGNORE 1
#define RED_ZONE 128
#define SA_RESTORER_ 0x04000000ull

enum disposition { DISPOSITION_IGNORE, DISPOSITION_END, DISPOSITION_STOP, DISPOSITION_HANDLE };

static enum disposition disposition(int signal)
{
    uint64_t handler = process.actions[signal].handler;
    if (handler == ACTION_IGNORE)
        return signal == SIGKILL || signal == SIGSTOP ? DISPOSITION_END : DISPOSITION_IGNORE;
    if (handler != ACTION_DEFAULT)
        return DISPOSITION_HANDLE;
    switch (signal) {
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
        return DISPOSITION_IGNORE;
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
        return DISPOSITION_STOP;
    }
    return DISPOSITION_END;
}

/* Where the kernel itself asks what becomes of a signal, before there is one. */
static bool known_to_host(int signal)
{
    return signal == SIGCHLD || signal == SIGTTIN || signal == SIGTTOU || signal == SIGTSTP;
}

static void tell_host(int signal, const struct signal_action *old, const struct signal_action *new)
{
    const uint64_t flags = SA_NOCLDSTOP | SA_NOCLDWAIT;
    bool ignored = new->handler == ACTION_IGNORE;
    if (!known_to_host(signal) ||
        (ignored == (old->handler == ACTION_IGNORE) && !((old->flags ^ new->flags) & flags)))
        return;
    exit_checked(EXIT_SIGNAL, 0, 0, (uint64_t)signal, ignored ? SIGNAL_IGNORE : SIGNAL_TAKE, new->flags & flags,
                 0, 0, 0);
}

void signal_handlers_reset(void)
{
    lock_take(&process.signal_lock);
    for (int signal = 1; signal <= SIGNAL_COUNT; signal++) {
        struct signal_action *a = &process.actions[signal], old = *a;
        *a = (struct signal_action){.handler = old.handler == ACTION_IGNORE ? ACTION_IGNORE : ACTION_DEFAULT};
        tell_host(signal, &old, a);
    }
    lock_release(&process.signal_lock);
}

void signal_reset(void)
{
    struct thread *t = current();
    signal_handlers_reset();
    t->alternate_stack = (stack_t){.ss_flags = SS_DISABLE};
    t->restore_mask = false;
    t->waiting_for = 0;
}

void signal_forget(void)
{
    lock_take(&process.signal_lock);
    signal_queue_drop(&process.signals, UINT64_MAX);
    for (uint32_t i = 0; i < process.thread_count; i++)
        signal_queue_drop(&process.threads[i].signals, UINT64_MAX);
    process.signals_held = 0;
    lock_release(&process.signal_lock);
}

void signal_start(void)
{
    for (int signal = 1; signal <= SIGNAL_COUNT; signal++)
        if (enclave.start.signals_ignored & SIGNAL_BIT(signal))
            process.actions[signal].handler = ACTION_IGNORE;
    current()->mask = enclave.start.signals_blocked & ~UNBLOCKABLE;
}

void signal_nudge(struct thread *t)
{
    t->block->pending = TB_PENDING_SIGNAL;
    if (t != current())
        exit_checked(EXIT_INTERRUPT, 0, 0, t->index, 0, 0, 0, 0, 0);
}

void signal_nudge_others(void)
{
    for (uint32_t i = 0; i < process.thread_count; i++) {
        struct thread *t = &process.threads[i];
        if (t != current() && __atomic_load_n(&t->live, __ATOMIC_ACQUIRE))
            signal_nudge(t);
    }
}

struct thread *signal_receiver(int signal)
{
    struct thread *me = current();
    if (!(me->mask & SIGNAL_BIT(signal)))
        return me;
    for (uint32_t i = 0; i < process.thread_count; i++) {
        struct thread *t = &process.threads[i];
        if (t->live && (!(t->mask & SIGNAL_BIT(signal)) || (t->waiting_for & SIGNAL_BIT(signal))))
            return t;
    }
    return NULL;
}

int signal_send_process(int signal, const struct signal_cause *cause)
{
    lock_take(&process.signal_lock);
    int error = signal_queue_add(&process.signals, signal, cause);
    struct thread *t = error ? NULL : signal_receiver(signal);
    lock_release(&process.signal_lock);
    if (t)
        signal_nudge(t);
    return error;
}

int signal_send_thread(struct thread *t, int signal, const struct signal_cause *cause)
{
    lock_take(&process.signal_lock);
    int error = signal_queue_add(&t->signals, signal, cause);
    lock_release(&process.signal_lock);
    if (!error)
        signal_nudge(t);
    return error;
}

void signal_raise_self(int signal)
{
    struct signal_cause cause = {.code = SI_USER, .pid = process.pid,
                                 .uid = (uint32_t)enclave.start.uid};
    signal_send_thread(current(), signal, &cause);
}

void signal_force(int signal, const struct signal_cause *cause)
{
    struct thread *t = current();
    lock_take(&process.signal_lock);
    if ((t->mask & SIGNAL_BIT(signal)) || process.actions[signal].handler == ACTION_IGNORE) {
        process.actions[signal].handler = ACTION_DEFAULT;
        t->mask &= ~SIGNAL_BIT(signal);
    }
    lock_release(&process.signal_lock);
    signal_send_thread(t, signal, cause);
}

bool signal_blocked(int signal)
{
    return current()->mask & SIGNAL_BIT(signal);
}

void signal_mask_temporary(const uint64_t *mask)
{
    struct thread *t = current();
    if (!t->restore_mask) /* else the call is made again, of which the program knows nothing */
        t->saved_mask = t->mask;
    t->restore_mask = true;
    t->mask = *mask & ~UNBLOCKABLE;
    t->block->pending = TB_PENDING_SIGNAL;
}

void signal_mask_settle(bool interrupted)
{
    struct thread *t = current();
    if (!interrupted) {
        t->restore_mask = false;
        t->mask = t->saved_mask;
    }
    t->block->pending = TB_PENDING_SIGNAL;
}

bool signal_pending(void)
{
    bool restart;
    streams_service();
    return thread_block()->pending && (signal_collect(), signal_deliverable(&restart));
}

static void stop_process(int signal)
{
    io_flush_along();
    exit_checked(EXIT_STOP, 0, 0, (uint64_t)signal, 0, 0, 0, 0, 0);
}

/* With signal_lock held: does one of these do something to the program? *restart: may the call go on after it;
 * *stop: one that stops the process, 0: none. */
static bool effective(uint64_t ready, bool *restart, int *stop)
{
    *restart = true;
    *stop = 0;
    for (; ready; ready &= ready - 1) {
        int signal = __builtin_ctzll(ready) + 1;
        enum disposition d = disposition(signal);
        if (d == DISPOSITION_HANDLE)
            *restart = process.actions[signal].flags & SA_RESTART;
        if (d == DISPOSITION_HANDLE || d == DISPOSITION_END)
            return true;
        if (d == DISPOSITION_STOP && !*stop)
            *stop = signal;
    }
    return false;
}

bool signal_deliverable(bool *restart)
{
    struct thread *t = current();
    struct signal_cause cause;
    bool found;
    int stop;
    do {
        world_point();
        lock_take(&process.signal_lock);
        found = effective((t->signals.pending | process.signals.pending) & ~t->mask, restart, &stop);
        if (!found && stop && !signal_queue_take(&t->signals, SIGNAL_BIT(stop), &cause))
            signal_queue_take(&process.signals, SIGNAL_BIT(stop), &cause);
        lock_release(&process.signal_lock);
        if (!found && stop)
            stop_process(stop); /* and the call goes on where it was */
    } while (!found && stop);
    if (found)
        t->block->pending = TB_PENDING_SIGNAL; /* still to be delivered */
    return found;
}

int signal_take(uint64_t mask, struct signal_cause *cause)
{
    struct thread *t = current();
    for (;;) {
        lock_take(&process.signal_lock);
        int signal = signal_queue_take(&t->signals, mask, cause);
        if (!signal)
            signal = signal_queue_take(&process.signals, mask, cause);
        lock_release(&process.signal_lock);
        if (signal)
            signal_taken(signal);
        if (!signal || cause->code != SI_TIMER || timer_delivered(cause))
            return signal;
    }
}

static void info_fill(siginfo_t *info, int signal, const struct signal_cause *cause)
{
    memset(info, 0, sizeof *info);
    info->si_signo = signal;
    info->si_code = cause->code;
    if (signal != SIGCHLD && cause->code > 0 && cause->code != SI_KERNEL) {
        info->si_addr = (void *)cause->address;
        return;
    }
    info->si_pid = cause->pid;
    info->si_uid = cause->uid;
    if (signal == SIGCHLD && cause->code > 0)
        info->si_status = cause->status;
    else
        info->si_value.sival_ptr = (void *)cause->value;
}

/* Linux's frame for x86-64: what the handler's return and unwinders expect. */
struct frame {
    uint64_t restorer;
    struct {
        uint64_t flags, link;
        stack_t stack;
        uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
        uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
        uint16_t cs, gs, fs, ss;
        uint64_t error, trap, old_mask, cr2;
        uint64_t fpstate;
        uint64_t reserved[8];
        uint64_t mask;
    } context;
    siginfo_t info;
};

#define UC_FP_XSTATE 1
#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4
#define FP_MAGIC1 0x46505853u
#define FP_MAGIC2 0x46505845u
#define FP_SOFTWARE 464 /* offset of the software-reserved bytes in the legacy area */
#define XSTATE_HEADER 512
#define XSTATE_SIZE 2688 /* standard format up to AVX-512 */
#define USER_CS 0x33
#define USER_SS 0x2b

struct fp_software {
    uint32_t magic1, extended_size;
    uint64_t features;
    uint32_t xstate_size;
    uint32_t reserved[7];
};

static uint64_t stack_for(const struct thread *t, const struct signal_action *a,
                          const struct registers *r)
{
    uint64_t base = (uint64_t)t->alternate_stack.ss_sp, size = t->alternate_stack.ss_size;
    bool on_it = r->rsp - base < size;
    if ((a->flags & SA_ONSTACK) && size && !on_it && !(t->alternate_stack.ss_flags & SS_DISABLE))
        return base + size;
    return r->rsp - RED_ZONE;
}

static int fp_write(uint64_t area)
{
    struct fp_software software = {.magic1 = FP_MAGIC1,
                                   .extended_size = XSTATE_SIZE + 4,
                                   .features = thread_block()->xsave_mask,
                                   .xstate_size = XSTATE_SIZE};
    uint32_t magic2 = FP_MAGIC2;
    if (user_zero((void *)area, XSTATE_SIZE))
        return -EFAULT;
    fpu_save_standard((void *)area);
    if (user_put((void *)(area + FP_SOFTWARE), &software) ||
        user_put((void *)(area + XSTATE_SIZE), &magic2))
        return -EFAULT;
    return 0;
}

static int frame_write(struct registers *r, int signal, const struct signal_cause *cause,
                       const struct signal_action *action)
{
    struct thread *t = current();
    uint64_t fp = (stack_for(t, action, r) - XSTATE_SIZE - 8) & ~63ull;
    uint64_t at = ((fp - sizeof(struct frame)) & ~15ull) - 8;
    struct frame f;
    memset(&f, 0, sizeof f);
    f.restorer = action->restorer;
    f.context.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    f.context.stack = t->alternate_stack;
    if (!t->alternate_stack.ss_size)
        f.context.stack.ss_flags = SS_DISABLE;
    f.context.r8 = r->r8;
    f.context.r9 = r->r9;
    f.context.r10 = r->r10;
    f.context.r11 = r->r11;
    f.context.r12 = r->r12;
    f.context.r13 = r->r13;
    f.context.r14 = r->r14;
    f.context.r15 = r->r15;
    f.context.rdi = r->rdi;
    f.context.rsi = r->rsi;
    f.context.rbp = r->rbp;
    f.context.rbx = r->rbx;
    f.context.rdx = r->rdx;
    f.context.rax = r->rax;
    f.context.rcx = r->rcx;
    f.context.rsp = r->rsp;
    f.context.rip = r->rip;
    f.context.rflags = r->rflags;
    f.context.cs = USER_CS;
    f.context.ss = USER_SS;
    f.context.trap = t->block->trap_vector;
    f.context.error = t->block->trap_error;
    f.context.cr2 = t->block->trap_address;
    f.context.fpstate = fp;
    f.context.mask = t->restore_mask ? t->saved_mask : t->mask;
    info_fill(&f.info, signal, cause);
    if (!(action->flags & SA_RESTORER_) || fp_write(fp) || user_put((void *)at, &f))
        return -EFAULT;

    t->restore_mask = false;
    t->mask |= action->mask | (action->flags & SA_NODEFER ? 0 : SIGNAL_BIT(signal));
    t->mask &= ~UNBLOCKABLE;
    r->rsp = at;
    r->rip = action->handler;
    r->rdi = (uint64_t)signal;
    r->rsi = at + offsetof(struct frame, info);
    r->rdx = at + offsetof(struct frame, context);
    r->rax = 0;
    r->rflags = 0x202;
    r->number = UINT64_MAX;
    return 0;
}

/* Those that mean a defect of the program, by which Linux would leave a core. */
static bool dumps_core(int signal)
{
    return SIGNAL_BIT(signal) & (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGFPE) |
                                 SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGABRT) | SIGNAL_BIT(SIGSYS));
}

void signal_deliver(struct registers *r)
{
    struct thread *t = current();
    struct signal_cause cause;
    struct signal_action action;
    for (int signal; (signal = signal_take(~t->mask, &cause)) != 0;) {
        lock_take(&process.signal_lock);
        action = process.actions[signal];
        lock_release(&process.signal_lock);
        switch (disposition(signal)) {
        case DISPOSITION_IGNORE:
            continue;
        case DISPOSITION_STOP:
            stop_process(signal);
            continue;
        case DISPOSITION_END:
            if (dumps_core(signal))
                crash_report(signal, r, &cause);
            process_end(STATUS_SIGNALLED(signal));
        case DISPOSITION_HANDLE:
            if (action.flags & SA_RESETHAND)
                process.actions[signal].handler = ACTION_DEFAULT;
            if (frame_write(r, signal, &cause, &action)) {
                log_warning("no room on the stack for the frame of signal %d", signal);
                process_end(STATUS_SIGNALLED(SIGSEGV));
            }
            continue; /* several handlers nest, as Linux has it */
        }
    }
    if (t->restore_mask) {
        t->restore_mask = false;
        t->mask = t->saved_mask;
        t->block->pending = TB_PENDING_SIGNAL; /* the mask may have opened */
    }
}

SYSCALL(rt_sigreturn)
{
    UNUSED_ARGUMENTS;
    struct thread_block *block = thread_block();
    struct registers *r = (struct registers *)block->stack_top - 1;
    struct thread *t = current();
    struct frame f;
    if (user_get(&f, (const void *)(r->rsp - 8)))
        goto bad;
    if (f.context.fpstate) {
        /* The block's save area is free while the thread is inside. Check what the CPU would fault on. */
        uint64_t *header = (uint64_t *)(block->xsave + XSTATE_HEADER);
        uint32_t *mxcsr = (uint32_t *)(block->xsave + 24);
        if (user_read(block->xsave, (const void *)f.context.fpstate, XSTATE_SIZE))
            goto bad;
        header[0] &= block->xsave_mask;
        memset(header + 1, 0, 56);
        *mxcsr &= 0xffff;
        fpu_restore(block->xsave);
    }
    t->mask = f.context.mask & ~UNBLOCKABLE;
    if (f.context.stack.ss_size || f.context.stack.ss_flags & SS_DISABLE)
        t->alternate_stack = f.context.stack;
    r->r8 = f.context.r8;
    r->r9 = f.context.r9;
    r->r10 = f.context.r10;
    r->r11 = f.context.r11;
    r->r12 = f.context.r12;
    r->r13 = f.context.r13;
    r->r14 = f.context.r14;
    r->r15 = f.context.r15;
    r->rdi = f.context.rdi;
    r->rsi = f.context.rsi;
    r->rbp = f.context.rbp;
    r->rbx = f.context.rbx;
    r->rdx = f.context.rdx;
    r->rax = f.context.rax;
    r->rcx = f.context.rcx;
    r->rsp = f.context.rsp;
    r->rip = f.context.rip;
    r->rflags = (f.context.rflags & 0x40dd5) | 0x202; /* arithmetic, DF, AC */
    r->number = UINT64_MAX;
    block->pending = TB_PENDING_SIGNAL; /* the mask may have opened */
    return_to_program(r);
bad:
    process_end(STATUS_SIGNALLED(SIGSEGV));
}

SYSCALL(rt_sigaction)
{
    int signal = (int)a0;
    const void *new = (const void *)a1;
    void *old = (void *)a2;
    struct signal_action action, previous;
    bool dropped = false;
    UNUSED_ARGUMENTS;
    if (signal < 1 || signal > SIGNAL_COUNT || a3 != 8)
        return -EINVAL;
    if (new && (signal == SIGKILL || signal == SIGSTOP))
        return -EINVAL;
    if (new && user_get(&action, new))
        return -EFAULT;
    lock_take(&process.signal_lock);
    previous = process.actions[signal];
    if (new) {
        action.mask &= ~UNBLOCKABLE;
        process.actions[signal] = action;
        if (disposition(signal) == DISPOSITION_IGNORE) {
            dropped = true;
            signal_queue_drop(&process.signals, SIGNAL_BIT(signal));
            for (uint32_t i = 0; i < process.thread_count; i++)
                signal_queue_drop(&process.threads[i].signals, SIGNAL_BIT(signal));
        }
    }
    lock_release(&process.signal_lock);
    if (dropped)
        signal_dropped(signal);
    if (new)
        tell_host(signal, &previous, &action);
    return old && user_put(old, &previous) ? -EFAULT : 0;
}

SYSCALL(rt_sigprocmask)
{
    struct thread *t = current();
    uint64_t set, old = t->mask;
    UNUSED_ARGUMENTS;
    if (a3 != 8)
        return -EINVAL;
    if (a1) {
        if (user_get(&set, (const void *)a1))
            return -EFAULT;
        switch ((int)a0) {
        case SIG_BLOCK:
            t->mask |= set;
            break;
        case SIG_UNBLOCK:
            t->mask &= ~set;
            break;
        case SIG_SETMASK:
            t->mask = set;
            break;
        default:
            return -EINVAL;
        }
        t->mask &= ~UNBLOCKABLE;
        if (old & ~t->mask & (process.signals.pending | t->signals.pending))
            t->block->pending = TB_PENDING_SIGNAL;
    }
    return a2 && user_put((void *)a2, &old) ? -EFAULT : 0;
}

SYSCALL(rt_sigpending)
{
    struct thread *t = current();
    UNUSED_ARGUMENTS;
    if (a1 > 8)
        return -EINVAL;
    signal_collect();
    uint64_t set = (process.signals.pending | t->signals.pending) & t->mask;
    return user_write((void *)a0, &set, a1);
}

SYSCALL(rt_sigsuspend)
{
    uint64_t mask;
    bool restart;
    UNUSED_ARGUMENTS;
    if (a1 != 8)
        return -EINVAL;
    if (user_get(&mask, (const void *)a0))
        return -EFAULT;
    signal_mask_temporary(&mask);
    for (;;) {
        thread_sleep_prepare();
        signal_collect();
        if (signal_deliverable(&restart))
            return RESTART_NOHAND;
        thread_sleep(UINT64_MAX);
    }
}

SYSCALL(pause)
{
    bool restart;
    UNUSED_ARGUMENTS;
    for (;;) {
        thread_sleep_prepare();
        signal_collect();
        if (signal_deliverable(&restart))
            return RESTART_NOHAND;
        thread_sleep(UINT64_MAX);
    }
}

SYSCALL(rt_sigtimedwait)
{
    struct thread *t = current();
    uint64_t set, deadline = UINT64_MAX;
    bool restart;
    UNUSED_ARGUMENTS;
    if (a3 != 8)
        return -EINVAL;
    if (user_get(&set, (const void *)a0))
        return -EFAULT;
    set &= ~UNBLOCKABLE;
    if (a2) {
        struct timespec timeout;
        if (user_get(&timeout, (const void *)a2))
            return -EFAULT;
        if (timeout.tv_sec < 0 || (uint64_t)timeout.tv_nsec >= 1000000000)
            return -EINVAL;
        deadline = time_monotonic_ns() + (uint64_t)timeout.tv_sec * 1000000000 +
                   (uint64_t)timeout.tv_nsec;
    }
    t->waiting_for = set;
    int64_t result;
    for (;;) {
        thread_sleep_prepare();
        signal_collect();
        struct signal_cause cause;
        int signal = signal_take(set, &cause);
        if (signal) {
            siginfo_t info;
            info_fill(&info, signal, &cause);
            result = a1 && user_put((void *)a1, &info) ? -EFAULT : signal;
            break;
        }
        if (signal_deliverable(&restart)) {
            result = -EINTR;
            break;
        }
        uint64_t now = deadline == UINT64_MAX ? 0 : time_monotonic_ns();
        if (now >= deadline) {
            result = -EAGAIN;
            break;
        }
        thread_sleep(deadline == UINT64_MAX ? UINT64_MAX : deadline - now);
    }
    t->waiting_for = 0;
    return result;
}

SYSCALL(sigaltstack)
{
    struct thread *t = current();
    struct registers *r = (struct registers *)t->block->stack_top - 1;
    stack_t new, old = t->alternate_stack;
    bool on_it = r->rsp - (uint64_t)old.ss_sp < old.ss_size;
    UNUSED_ARGUMENTS;
    if (a0) {
        if (user_get(&new, (const void *)a0))
            return -EFAULT;
        if (on_it)
            return -EPERM;
        if (new.ss_flags & ~(SS_DISABLE | SS_ONSTACK | (int)(1u << 31)))
            return -EINVAL;
        if (new.ss_flags & SS_DISABLE)
            new = (stack_t){.ss_flags = SS_DISABLE};
        else if (new.ss_size < 2048)
            return -ENOMEM;
        t->alternate_stack = new;
    }
    if (!a1)
        return 0;
    old.ss_flags = !old.ss_size ? SS_DISABLE : on_it ? SS_ONSTACK : old.ss_flags;
    return user_put((void *)a1, &old);
}

static struct signal_cause own_cause(int code)
{
    return (struct signal_cause){.code = code, .pid = process.pid, .uid = (uint32_t)enclave.start.uid};
}

static bool signal_valid(int signal)
{
    return signal >= 0 && signal <= SIGNAL_COUNT;
}

SYSCALL(kill)
{
    int pid = (int)a0, signal = (int)a1;
    UNUSED_ARGUMENTS;
    if (!signal_valid(signal))
        return -EINVAL;
    if (pid != process.pid)
        return exit_checked(__NR_kill, 0, 0, a0, a1, 0, 0, 0, 0);
    struct signal_cause cause = own_cause(SI_USER);
    return signal ? signal_send_process(signal, &cause) : 0;
}

static int64_t kill_thread(int tid, int signal)
{
    if (!signal_valid(signal) || tid <= 0)
        return -EINVAL;
    struct thread *t = thread_find(tid);
    if (!t)
        return -ESRCH;
    struct signal_cause cause = own_cause(SI_TKILL);
    return signal ? signal_send_thread(t, signal, &cause) : 0;
}

SYSCALL(tgkill)
{
    UNUSED_ARGUMENTS;
    if ((int)a0 <= 0 || !signal_valid((int)a2))
        return -EINVAL;
    if ((int)a0 == process.pid)
        return kill_thread((int)a1, (int)a2);
    /* Of another process: threads have numbers of its own. The first one's is told to the whole. */
    return a0 == a1 ? exit_checked(__NR_kill, 0, 0, a0, a2, 0, 0, 0, 0) : -ESRCH;
}

SYSCALL(tkill)
{
    UNUSED_ARGUMENTS;
    return kill_thread((int)a0, (int)a1);
}

/* The siginfo that a program makes up itself. */
static int info_take(uint64_t user, int signal, siginfo_t *info)
{
    if (!signal_valid(signal))
        return -EINVAL;
    return user_read(info, (const void *)user, sizeof *info);
}

static struct signal_cause cause_of(const siginfo_t *info)
{
    return (struct signal_cause){.code = info->si_code,
                                 .pid = info->si_pid,
                                 .uid = info->si_uid,
                                 .value = (uint64_t)info->si_value.sival_ptr};
}

SYSCALL(rt_sigqueueinfo)
{
    siginfo_t info;
    UNUSED_ARGUMENTS;
    int error = info_take(a2, (int)a1, &info);
    if (error)
        return error;
    if (thread_find((int)a0)) {
        struct signal_cause cause = cause_of(&info);
        return a1 ? signal_send_process((int)a1, &cause) : 0;
    }
    if (info.si_code >= 0 || info.si_code == SI_TKILL)
        return -EPERM; /* as if the kernel had sent it */
    untrusted_write(bounce(), &info, sizeof info);
    return exit_checked(__NR_rt_sigqueueinfo, 0, 0, a0, a1, bounce().address, 0, 0, 0);
}

SYSCALL(rt_tgsigqueueinfo)
{
    siginfo_t info;
    UNUSED_ARGUMENTS;
    if ((int)a0 <= 0 || (int)a1 <= 0)
        return -EINVAL;
    int error = info_take(a3, (int)a2, &info);
    if (error)
        return error;
    struct signal_cause cause = cause_of(&info);
    struct thread *t = (int)a0 == process.pid ? thread_find((int)a1) : NULL;
    if (!t)
        return -ESRCH;
    return a2 ? signal_send_thread(t, (int)a2, &cause) : 0;
}

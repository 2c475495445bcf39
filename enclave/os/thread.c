/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: clone, exit, sleeping and waking. */
#include "enclave/os/thread.h"
#include "enclave/os/stream.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/io/flush.h"
#include "enclave/lib/lib.h"
#include "enclave/boundary/log.h"
#include "enclave/os/coherent.h"
#include "enclave/os/fork.h"
#include "enclave/os/futex.h"
#include "enclave/os/memory.h"
#include "enclave/os/process.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread_area.h"
#include "enclave/os/time.h"
#include "enclave/os/world.h"

/* The first thread's id is the pid, the others' follow it by index. */
static int tid_of(uint32_t index)
{
    return process.pid + (int)(index == process.first ? 0 : index ? index : process.first);
}

void threads_start(void)
{
    process.thread_count = (uint32_t)enclave.configuration->threads_present;
    process.thread_room = (uint32_t)enclave.configuration->threads;
    /* Fresh pages: what is not used of them costs nothing. */
    process.threads = memory_libos_pages(process.thread_room * sizeof *process.threads);
    if (!process.threads)
        panic("no memory for the table of threads");
    for (uint32_t i = 0; i < process.thread_count; i++) {
        process.threads[i].index = i;
        process.threads[i].block = thread_area_block(i);
        process.threads[i].tid = tid_of(i);
    }
    process.threads[0].live = true;
    process.threads_live = 1;
    thread_block()->thread = &process.threads[0];
}

struct thread *thread_find(int tid)
{
    uint32_t n = (uint32_t)(tid - process.pid);
    uint32_t index = n == 0 ? process.first : n == process.first ? 0 : n;
    if (index >= process.thread_count || !process.threads[index].live)
        return NULL;
    return &process.threads[index];
}

struct thread *thread_first(void)
{
    return &process.threads[process.first];
}

void thread_become_first(void)
{
    struct thread *t = current();
    process.first = t->index;
    t->tid = process.pid;
    t->clear_child_tid = 0;
    t->robust_list = 0;
    t->robust_list_size = 0;
    futex_reset();
}

_Noreturn void thread_vanish(void)
{
    struct thread *t = current();
    streams_end();
    io_flush();
    lock_take(&process.threads_lock);
    t->live = false;
    __atomic_sub_fetch(&process.threads_live, 1, __ATOMIC_SEQ_CST);
    lock_release(&process.threads_lock);
    struct thread *last = __atomic_load_n(&process.last, __ATOMIC_SEQ_CST);
    if (last)
        exit_checked(EXIT_UNPARK, 0, 0, last->index, 0, 0, 0, 0, 0);
    world_left();
    exit_thread();
}

void thread_sleep_prepare(void)
{
    __atomic_store_n(&current()->woken, 0, __ATOMIC_SEQ_CST);
}

int thread_sleep(uint64_t timeout_ns)
{
    struct thread *t = current();
    uint64_t deadline = timeout_ns == UINT64_MAX ? UINT64_MAX : time_monotonic_ns() + timeout_ns;
    int result;
    coherent_give_up();
    io_flush_along();
    for (;;) {
        __atomic_store_n(&t->asleep, SLEEP_PARKED, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&t->woken, __ATOMIC_SEQ_CST)) {
            result = 0;
            break;
        }
        result = (int)exit_checked(EXIT_PARK, EXIT_INTERRUPTIBLE, 0, timeout_ns, 0, 0, 0, 0, 0);
        if (__atomic_load_n(&t->woken, __ATOMIC_SEQ_CST)) {
            result = 0;
            break;
        }
        if (result == -EINTR)
            break;
        if (deadline != UINT64_MAX) {
            uint64_t now = time_monotonic_ns();
            if (now >= deadline) {
                result = -ETIMEDOUT;
                break;
            }
            timeout_ns = deadline - now;
        }
    }
    __atomic_store_n(&t->asleep, SLEEP_NOT, __ATOMIC_SEQ_CST);
    return result;
}

void thread_wake(struct thread *t)
{
    __atomic_store_n(&t->woken, 1, __ATOMIC_SEQ_CST);
    uint32_t asleep = __atomic_load_n(&t->asleep, __ATOMIC_SEQ_CST);
    if (asleep)
        exit_checked(asleep == SLEEP_PARKED ? EXIT_UNPARK : EXIT_INTERRUPT, 0, 0, t->index, 0, 0, 0, 0, 0);
}

bool thread_wait_begin(void)
{
    struct thread *t = current();
    __atomic_store_n(&t->asleep, SLEEP_HOST, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&t->woken, __ATOMIC_SEQ_CST);
}

void thread_wait_end(void)
{
    __atomic_store_n(&current()->asleep, SLEEP_NOT, __ATOMIC_SEQ_CST);
}

/* A thread area that no thread is on, marked live; NULL: all are taken. */
static struct thread *thread_claim(void)
{
    struct thread *found = NULL;
    lock_take(&process.threads_lock);
    for (uint32_t i = 0; i < process.thread_count && !found; i++) {
        struct thread *t = &process.threads[i];
        if (!t->live && __atomic_load_n(&t->block->state, __ATOMIC_ACQUIRE) == TB_STATE_UNUSED)
            found = t;
    }
    if (!found && process.thread_count < process.thread_room && !thread_area_add(process.thread_count)) {
        found = &process.threads[process.thread_count];
        found->index = process.thread_count;
        found->block = thread_area_block(found->index);
        /* Others look through the table without the lock. */
        __atomic_store_n(&process.thread_count, process.thread_count + 1, __ATOMIC_RELEASE);
    }
    if (found) {
        struct thread_block *block = found->block;
        uint32_t index = found->index;
        signal_queue_drop(&found->signals, UINT64_MAX);
        memset(found, 0, sizeof *found);
        found->index = index;
        found->block = block;
        found->tid = tid_of(index);
        found->live = true;
        process.threads_live++;
    }
    lock_release(&process.threads_lock);
    return found;
}

static void thread_unclaim(struct thread *t)
{
    lock_take(&process.threads_lock);
    t->live = false;
    process.threads_live--;
    lock_release(&process.threads_lock);
    world_left();
}

/* What each begins with: returns its registers, to be filled in; FS is its block's. */
static struct registers *thread_prepare(struct thread *t)
{
    struct thread_block *block = t->block;
    lock_alone = false;
    thread_block_prepare(block, t->index);
    block->pending = 0;
    block->host_signals = 0;
    block->thread = t;
    block->xsave_mask = current()->block->xsave_mask;
    fpu_save(block);
    return (struct registers *)block->stack_top - 1;
}

/* The host's part. 0 or -errno. */
static int64_t thread_launch(struct thread *t, bool background)
{
    __atomic_store_n(&t->block->state, TB_STATE_STARTING, __ATOMIC_RELEASE);
    int64_t error = exit_checked(EXIT_THREAD_START, 0, 0, t->index, background, 0, 0, 0, 0);
    if (error)
        __atomic_store_n(&t->block->state, TB_STATE_UNUSED, __ATOMIC_RELEASE);
    return error;
}

int thread_start_background(void (*main)(uint64_t argument), uint64_t argument)
{
    struct thread *t = thread_claim();
    if (!t)
        return -EAGAIN;
    /* It begins as a thread of the program does, but in the LibOS, on what is left of the LibOS's stack. */
    struct registers *r = thread_prepare(t);
    *r = (struct registers){.rip = (uint64_t)main, .rdi = argument, .rflags = 0x202, .number = UINT64_MAX};
    r->rsp = ((uint64_t)r & ~15ull) - 8;
    t->mask = UINT64_MAX;
    int64_t error = thread_launch(t, true);
    thread_unclaim(t); /* its area is not free for that: its state says so */
    return (int)error;
}

struct clone_request {
    uint64_t flags, stack, parent_tid, child_tid, tls, pidfd;
    int exit_signal;
};

#define CLONE_REQUIRED (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define CLONE_KNOWN                                                                                \
    (CLONE_REQUIRED | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |  \
     CLONE_CHILD_SETTID | CLONE_DETACHED)

static int64_t thread_create(const struct clone_request *q)
{
    if ((q->flags & CLONE_REQUIRED) != CLONE_REQUIRED)
        return -EINVAL;
    if (q->flags & ~(uint64_t)CLONE_KNOWN || !q->stack)
        return -EINVAL;
    struct thread *me = current(), *t = thread_claim();
    if (!t) {
        log_warning("all %u threads of the enclave are in use", process.thread_count);
        return -EAGAIN;
    }
    struct registers *r = thread_prepare(t);
    if (q->flags & CLONE_SETTLS)
        t->block->fs = q->tls;
    *r = *((struct registers *)me->block->stack_top - 1);
    r->rax = 0;
    r->rsp = q->stack;
    r->rflags = 0x202;
    r->number = UINT64_MAX;
    t->mask = me->mask;
    memcpy(t->name, me->name, sizeof t->name);
    if (q->flags & CLONE_CHILD_CLEARTID)
        t->clear_child_tid = q->child_tid;

    int64_t result = t->tid;
    if ((q->flags & CLONE_PARENT_SETTID) && user_put((void *)q->parent_tid, &t->tid))
        result = -EFAULT;
    if ((q->flags & CLONE_CHILD_SETTID) && user_put((void *)q->child_tid, &t->tid))
        result = -EFAULT;
    int64_t error = result > 0 ? thread_launch(t, false) : result;
    if (error) {
        thread_unclaim(t);
        result = error;
    }
    return result;
}

static int64_t clone_call(const struct clone_request *q)
{
    if (q->flags & CLONE_THREAD)
        return thread_create(q);
    struct process_request p = {.flags = q->flags & ~(uint64_t)CLONE_DETACHED,
                                .exit_signal = q->exit_signal,
                                .stack = q->stack,
                                .parent_tid = q->parent_tid,
                                .child_tid = q->child_tid,
                                .tls = q->tls,
                                .pidfd = q->pidfd};
    return process_create(&p);
}

SYSCALL(clone)
{
    (void)a5;
    struct clone_request q = {.flags = a0 & ~0xffull, .exit_signal = (int)(a0 & 0xff), .stack = a1,
                              .parent_tid = a2, .child_tid = a3, .tls = a4, .pidfd = a2};
    if ((q.flags & (CLONE_PIDFD | CLONE_PARENT_SETTID)) == (CLONE_PIDFD | CLONE_PARENT_SETTID))
        return -EINVAL; /* they share an argument */
    return clone_call(&q);
}

SYSCALL(clone3)
{
    struct clone_args args;
    UNUSED_ARGUMENTS;
    if (a1 < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    memset(&args, 0, sizeof args);
    if (user_read(&args, (const void *)a0, MIN(a1, sizeof args)))
        return -EFAULT;
    if (args.exit_signal > SIGNAL_COUNT || args.set_tid_size || (args.flags & (0xff | CLONE_DETACHED)) ||
        !args.stack != !args.stack_size)
        return -EINVAL;
    struct clone_request q = {.flags = args.flags, .exit_signal = (int)args.exit_signal,
                              .stack = args.stack + args.stack_size, .parent_tid = args.parent_tid,
                              .child_tid = args.child_tid, .tls = args.tls, .pidfd = args.pidfd};
    return clone_call(&q);
}

SYSCALL(fork)
{
    UNUSED_ARGUMENTS;
    struct clone_request q = {.exit_signal = SIGCHLD};
    return clone_call(&q);
}

SYSCALL(vfork)
{
    UNUSED_ARGUMENTS;
    struct clone_request q = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    return clone_call(&q);
}

/* The list of robust mutexes that a dying thread holds: mark each as abandoned and wake one waiter. */
static void robust_list_release(struct thread *t)
{
    struct robust_list_head head;
    if (!t->robust_list || user_get(&head, (const void *)t->robust_list))
        return;
    uint64_t entry = (uint64_t)head.list.next;
    for (int bound = 0; bound < 2048 && entry != t->robust_list; bound++) {
        uint64_t next, address = (entry & ~1ull) + (uint64_t)head.futex_offset;
        if (user_get(&next, (const void *)(entry & ~1ull)))
            return;
        futex_abandon(address, t->tid);
        entry = next;
    }
    if (head.list_op_pending)
        futex_abandon(((uint64_t)head.list_op_pending & ~1ull) + (uint64_t)head.futex_offset, t->tid);
}

void threads_abandon(void)
{
    for (uint32_t i = 0; i < process.thread_count; i++)
        if (__atomic_load_n(&process.threads[i].live, __ATOMIC_ACQUIRE)) {
            robust_list_release(&process.threads[i]);
            process.threads[i].robust_list = 0;
        }
}

static _Noreturn void thread_end(int code)
{
    struct thread *t = current();
    robust_list_release(t);
    if (t->clear_child_tid) {
        int zero = 0;
        if (!user_put((void *)t->clear_child_tid, &zero))
            futex_wake(t->clear_child_tid, 1);
    }
    streams_end();
    io_flush();
    /* From when it no longer counts as live it does nothing that another thread could see half done. */
    lock_take(&process.threads_lock);
    bool last = process.threads_live == 1;
    if (!last) {
        t->live = false;
        process.threads_live--;
    }
    lock_release(&process.threads_lock);
    if (last)
        process_end(STATUS_EXITED(code));
    world_left();
    exit_thread();
}

SYSCALL(exit)
{
    UNUSED_ARGUMENTS;
    thread_end((int)a0);
}

SYSCALL(exit_group)
{
    UNUSED_ARGUMENTS;
    process_end(STATUS_EXITED((int)a0));
}

SYSCALL(set_tid_address)
{
    UNUSED_ARGUMENTS;
    current()->clear_child_tid = a0;
    return current()->tid;
}

SYSCALL(gettid)
{
    UNUSED_ARGUMENTS;
    return current()->tid;
}

SYSCALL(set_robust_list)
{
    UNUSED_ARGUMENTS;
    if (a1 != sizeof(struct robust_list_head))
        return -EINVAL;
    current()->robust_list = a0;
    return 0;
}

SYSCALL(get_robust_list)
{
    UNUSED_ARGUMENTS;
    struct thread *t = a0 ? thread_find((int)a0) : current();
    uint64_t size = sizeof(struct robust_list_head);
    if (!t)
        return -ESRCH;
    return user_put((void *)a1, &t->robust_list) || user_put((void *)a2, &size) ? -EFAULT : 0;
}

void thread_named(const struct thread *t)
{
    if (!(enclave.configuration->flags & CONFIGURATION_DEVELOPMENT))
        return;
    if (t == thread_first())
        host_title(t->name, NULL, 0);
    else if (t == current())
        host_thread_name(t->name);
}

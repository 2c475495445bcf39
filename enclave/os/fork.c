/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork. The host process forks, and in the child of it an enclave of the same measurement comes up, at the
 * same addresses. Both prove what they are; the child receives this one's memory and goes on as it did.
 */
#include "enclave/os/fork.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>

#include <asm/unistd_64.h>

#include "abi/exits.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/channel.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/io/flush.h"
#include "enclave/io/segments.h"
#include "enclave/io/uring.h"
#include "enclave/lib/lib.h"
#include "enclave/net/net.h"
#include "enclave/os/coherent.h"
#include "enclave/os/common.h"
#include "enclave/os/file_cache.h"
#include "enclave/os/files.h"
#include "enclave/os/futex.h"
#include "enclave/os/local.h"
#include "enclave/os/memory.h"
#include "enclave/os/net_thread.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/snapshot.h"
#include "enclave/os/stream.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/thread.h"
#include "enclave/os/timer.h"
#include "enclave/os/udp_socket.h"
#include "enclave/os/vfork.h"
#include "enclave/os/wait.h"
#include "enclave/os/world.h"

/* The thread that forks, as it is in the child. */
struct forked_thread {
    struct registers registers;
    uint64_t fs;
    uint64_t flags, child_tid;
    int pid;               /* of the child, */
    int parent_pid;        /* and of the parent */
    uint32_t index;        /* of the thread in the parent */
    uint8_t xsave[4096];
};

/* The parent's, of the fork that goes on: the child gives them back. */
static struct {
    void *channel;
    struct forked_thread *thread;
} making;

/* What the child works with while everything else is overwritten. */
static TRANSIENT struct {
    struct channel channel;
    struct forked_thread thread;
    struct start_parameters start;
    uint8_t fill[] __attribute__((aligned(4096)));
} here;

#define FORK_FLAGS                                                                                 \
    ((uint64_t)(CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_PARENT_SETTID | CLONE_SETTLS |   \
                CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND | CLONE_PIDFD))

static int64_t request_check(const struct process_request *q)
{
    const char *what = NULL;
    if ((q->flags & CLONE_VM) && !(q->flags & CLONE_VFORK))
        what = "shares memory with its parent";
    else if (q->flags & ~FORK_FLAGS)
        what = "shares more with its parent, or less, than fork's does";
    else if (q->exit_signal != SIGCHLD)
        what = "ends with another signal than SIGCHLD, or none";
    if (!what)
        return 0;
    log_warning("a process that %s is not supported: EINVAL (flags 0x%lx)", what, q->flags);
    return -EINVAL;
}

/* ---- in the parent ---- */

static void thread_record(struct forked_thread *t, const struct process_request *q, int pid)
{
    struct thread_block *block = thread_block();
    t->registers = *((struct registers *)block->stack_top - 1);
    t->registers.rax = 0;
    t->registers.number = UINT64_MAX;
    if (q->stack)
        t->registers.rsp = q->stack;
    fpu_save(block);
    memcpy(t->xsave, block->xsave, sizeof t->xsave);
    t->fs = fs_base();
    if (q->flags & CLONE_SETTLS)
        t->fs = q->tls;
    t->flags = q->flags;
    t->child_tid = q->child_tid;
    t->pid = pid;
    t->parent_pid = process.pid;
    t->index = current()->index;
}

/* The host's fork: pid, and the two descriptors, or -errno. */
static int64_t host_fork(int fds[2])
{
    uint64_t words[2], offset = bounce().address - arena_at(0).address;
    int64_t pid = exit_checked(EXIT_FORK, 0, INT32_MAX, offset, 0, 0, 0, 0, 0);
    if (pid < 0)
        return pid;
    untrusted_read(words, bounce(), sizeof words);
    if (pid <= 1 || pid == process.pid || words[0] >= HOST_FD_LIMIT || words[1] >= HOST_FD_LIMIT)
        violation("fork gave process %ld and descriptors %lu and %lu", pid, words[0], words[1]);
    fds[0] = (int)words[0];
    fds[1] = (int)words[1];
    return pid;
}

/* The child did not come up: it has said why, or will never. */
static void child_discard(int pid)
{
    exit_checked(__NR_kill, 0, 0, (uint32_t)pid, SIGKILL, 0, 0, 0, 0);
    exit_checked(__NR_wait4, 0, INT32_MAX, (uint32_t)pid, 0, 0, 0, 0, 0);
}

static int child_send(struct channel *c, struct forked_thread *t, const struct process_request *q, int pid)
{
    uint8_t ready;
    int error = channel_open(c, true);
    if (error == -EPROTO) {
        log_error("the process that the host made is not an enclave like this one: nothing is sent to it");
        violation_count();
    }
    if (error)
        return error;
    thread_record(t, q, pid);
    if (!(error = snapshot_send_state(c, t, sizeof *t)))
        error = snapshot_send(c);
    if (!error)
        error = snapshot_receive_state(c, &ready, sizeof ready);
    return error;
}

/* With the world stopped. The child's pid, with the channel still open; or -errno. */
static int64_t child_make(struct channel *c, struct forked_thread *t, const struct process_request *q)
{
    int fds[2];
    int64_t pid = host_fork(fds);
    if (pid < 0)
        return pid;
    channel_start(c, fds[0], fds[1]);
    int error = children_add((int)pid);
    if (!error)
        error = child_send(c, t, q, (int)pid);
    if (error) {
        children_remove((int)pid);
        child_discard((int)pid);
        pid = error == -ENOMEM ? error : -EAGAIN;
        channel_close(c);
    }
    return pid;
}

/* What goes by memory shared with the kernel stays this process's. So nothing may be on its way there that is the
 * child's as well, and nothing may come by it that the child could ask for. */
static int share_all(const struct process_request *q)
{
    net_threads_pause();
    world_suspend();
    memory_push_all();
    if (q->flags & CLONE_VM)
        common_before_vfork();
    else
        common_before_fork();
    io_flush_all();
    udp_sockets_share();
    files_visit(file_cache_surrender);
    return local_leave_all();
}

int64_t process_create(const struct process_request *q)
{
    int64_t result = request_check(q);
    if (result)
        return result;
    void *room = alloc(sizeof(struct channel) + CHANNEL_ALIGNMENT);
    struct forked_thread *t = alloc(sizeof *t);
    result = -ENOMEM;
    if (room && t) {
        world_stop(true);
        making.channel = room;
        making.thread = t;
        int error = share_all(q);
        uint64_t at = ((uint64_t)room + CHANNEL_ALIGNMENT - 1) & ~(CHANNEL_ALIGNMENT - 1);
        struct channel *c = (struct channel *)at;
        result = error ? -EAGAIN : child_make(c, t, q);
        if (result < 0)
            children_remove(0); /* with none left sockets are the process's own again */
        net_threads_resume();
        world_resume();
        if (result > 0 && (q->flags & CLONE_PIDFD)) {
            int fd = (int)process_descriptor((int)result, 0);
            (void)user_put((void *)q->pidfd, &fd);
        }
        if (result > 0 && (q->flags & CLONE_VFORK)) {
            io_flush();
            world_pause_begin();
            vfork_wait(c);
            world_pause_end();
        }
        if (result > 0)
            channel_close(c);
        streams_resume();
    }
    alloc_free(t);
    alloc_free(room);
    if (result > 0 && (q->flags & CLONE_PARENT_SETTID)) {
        int pid = (int)result;
        (void)user_put((void *)q->parent_tid, &pid); /* as Linux: the child is there whether or not */
    }
    return result;
}

/* ---- in the child ---- */

static _Noreturn void give_up(const char *what, int error)
{
    log_error("a process cannot be made: %s (error %d)", what, -error);
    exit_process(STATUS_SIGNALLED(SIGKILL));
}

/* Everything is as it was in the parent; what is not to be so is changed. */
static void become_child(void)
{
    const struct forked_thread *f = &here.thread;
    struct thread *t = &process.threads[0];
    struct thread_block *block = thread_block();

    struct start_parameters start = enclave.start;
    start.forked = 0;
    start.pid = start.tid = (uint64_t)f->pid;
    start.parent_pid = (uint64_t)f->parent_pid;
    start.xsk_allowed = 0;
    enclave.start = start;

    process.pid = f->pid;
    process.parent_pid = f->parent_pid;
    signal_forget();
    process.adopts = false;
    process.parent_death_signal = 0;
    process.first = 0;
    process.threads_live = 1;
    for (uint32_t i = 0; i < process.thread_count; i++)
        process.threads[i].live = process.threads[i].ending = false;
    /* Thread areas that were added are not here. */
    process.thread_count = (uint32_t)enclave.configuration->threads_present;
    struct thread_block *own = t->block;
    *t = process.threads[f->index];
    t->block = own;
    t->index = 0;
    t->tid = process.pid;
    t->live = true;
    t->signals = (struct signal_queue){0};
    t->held = 0;
    t->robust_list = 0;
    t->robust_list_size = 0;
    t->clear_child_tid = f->flags & CLONE_CHILD_CLEARTID ? f->child_tid : 0;
    block->thread = t;

    world_restart();
    vfork_forget();
    futex_reset();
    children_clear();
    common_forked();
    timers_forget(true);
    file_cache_restart();
    files_visit(file_cache_disown);
    streams_forked();
    uring_forked();
    segments_forked();
    net_threads_forked();
    net_leave();
    udp_sockets_leave();
    epoll_forked();
    files_recount(NULL, 0);
    coherent_forked();
    syscalls_count_anew();
    alloc_free(making.channel);
    alloc_free(making.thread);
    if (f->flags & CLONE_CLEAR_SIGHAND)
        signal_handlers_reset();
}

_Noreturn void process_start_forked(void)
{
    here.start = enclave.start;
    if (here.start.fork_in >= HOST_FD_LIMIT || here.start.fork_out >= HOST_FD_LIMIT)
        give_up("the host names no descriptors", -EBADF);
    struct channel *c = &here.channel;
    channel_start(c, (int)here.start.fork_in, (int)here.start.fork_out);
    int error = channel_open(c, false);
    if (error)
        give_up(error == -EPROTO ? "what made this process is not an enclave like it" : "its parent is gone", error);
    error = snapshot_receive_state(c, &here.thread, sizeof here.thread);
    if (!error)
        error = snapshot_receive(c);
    if (error)
        give_up("its memory did not arrive whole", error);
    become_child();

    const struct forked_thread *f = &here.thread;
    if (f->flags & CLONE_CHILD_SETTID)
        (void)user_put((int *)f->child_tid, &process.pid);
    bool vfork = f->flags & CLONE_VFORK;
    if (vfork)
        vfork_begin(c, f->flags & CLONE_VM);
    uint8_t ready = 1;
    error = snapshot_send_state(c, &ready, sizeof ready);
    if (!error)
        error = channel_flush(c);
    if (error)
        give_up("its parent is gone", error);
    if (!vfork)
        channel_close(c);

    struct thread_block *block = thread_block();
    struct registers r = f->registers;
    memcpy(block->xsave, f->xsave, sizeof block->xsave);
    block->fs = f->fs;
    fs_base_set(f->fs);
    fpu_restore(block->xsave);
    return_to_program(&r);
}

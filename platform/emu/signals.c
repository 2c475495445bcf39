/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AEX and ERESUME in software. A signal that interrupts a thread inside finds FS and GS the enclave's:
 * nothing here may touch thread-local storage or the stack protector before they are the host's again.
 * The thread is found by its alternate stack. This file is built without stack protector.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "platform/emu/bases.h"
#include "platform/emu/emu.h"

#define VECTOR_UD 6
#define VECTOR_PF 14
#define VECTOR_GP 13
#define SYS_SECCOMP_ 1

static machine_signal_handler *handlers[65];

static uint8_t *ssa_frame(const struct emu_tcs *tcs, const struct machine *m)
{
    return (uint8_t *)(tcs->ossa + tcs->cssa * m->options.ssa_frame_pages * 4096);
}

static struct sgx_gpr *ssa_gpr(const struct emu_tcs *tcs, const struct machine *m)
{
    return (struct sgx_gpr *)(ssa_frame(tcs, m) + m->options.ssa_frame_pages * 4096) - 1;
}

/* Extended state of a signal frame: the kernel tells its size in the software-reserved bytes. */
static size_t xstate_size(const ucontext_t *uc, const struct machine *m)
{
    uint32_t size;
    memcpy(&size, (const uint8_t *)uc->uc_mcontext.fpregs + 464 + 16, sizeof size);
    size_t room = m->options.ssa_frame_pages * 4096 - sizeof(struct sgx_gpr) - sizeof(struct sgx_exinfo);
    return size < room ? size : room;
}

static void swap_out(const ucontext_t *uc, struct sgx_gpr *g)
{
    const greg_t *r = uc->uc_mcontext.gregs;
    g->rax = (uint64_t)r[REG_RAX];
    g->rcx = (uint64_t)r[REG_RCX];
    g->rdx = (uint64_t)r[REG_RDX];
    g->rbx = (uint64_t)r[REG_RBX];
    g->rsp = (uint64_t)r[REG_RSP];
    g->rbp = (uint64_t)r[REG_RBP];
    g->rsi = (uint64_t)r[REG_RSI];
    g->rdi = (uint64_t)r[REG_RDI];
    g->r8 = (uint64_t)r[REG_R8];
    g->r9 = (uint64_t)r[REG_R9];
    g->r10 = (uint64_t)r[REG_R10];
    g->r11 = (uint64_t)r[REG_R11];
    g->r12 = (uint64_t)r[REG_R12];
    g->r13 = (uint64_t)r[REG_R13];
    g->r14 = (uint64_t)r[REG_R14];
    g->r15 = (uint64_t)r[REG_R15];
    g->rflags = (uint64_t)r[REG_EFL];
    g->rip = (uint64_t)r[REG_RIP];
}

static void swap_in(ucontext_t *uc, const struct sgx_gpr *g)
{
    greg_t *r = uc->uc_mcontext.gregs;
    r[REG_RAX] = (greg_t)g->rax;
    r[REG_RCX] = (greg_t)g->rcx;
    r[REG_RDX] = (greg_t)g->rdx;
    r[REG_RBX] = (greg_t)g->rbx;
    r[REG_RSP] = (greg_t)g->rsp;
    r[REG_RBP] = (greg_t)g->rbp;
    r[REG_RSI] = (greg_t)g->rsi;
    r[REG_RDI] = (greg_t)g->rdi;
    r[REG_R8] = (greg_t)g->r8;
    r[REG_R9] = (greg_t)g->r9;
    r[REG_R10] = (greg_t)g->r10;
    r[REG_R11] = (greg_t)g->r11;
    r[REG_R12] = (greg_t)g->r12;
    r[REG_R13] = (greg_t)g->r13;
    r[REG_R14] = (greg_t)g->r14;
    r[REG_R15] = (greg_t)g->r15;
    r[REG_EFL] = (greg_t)g->rflags;
    r[REG_RIP] = (greg_t)g->rip;
}

/* The vector that the CPU would report, and whether EXITINFO is valid for it (SDM 3D, EXITINFO). */
static uint32_t exit_information(int signal, ucontext_t *uc, struct sgx_exinfo *info,
                                 const siginfo_t *si)
{
    greg_t *r = uc->uc_mcontext.gregs;
    if (signal == SIGSYS) {
        r[REG_RIP] -= 2; /* the CPU faults at SYSCALL, the filter acts after it */
        return EXITINFO_VALID | EXITINFO_HARDWARE | VECTOR_UD;
    }
    uint32_t vector = (uint32_t)r[REG_TRAPNO];
    switch (vector) {
    case VECTOR_PF:
        info->maddr = (uint64_t)si->si_addr;
        info->errcd = (uint32_t)r[REG_ERR];
        break;
    case VECTOR_GP:
        info->maddr = 0;
        info->errcd = (uint32_t)r[REG_ERR];
        break;
    }
    uint32_t type = vector == 3 ? EXITINFO_SOFTWARE : EXITINFO_HARDWARE;
    return EXITINFO_VALID | type | vector;
}

static bool is_exception(int signal, const siginfo_t *info)
{
    switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGTRAP:
        return info->si_code > 0;
    case SIGSYS:
        return info->si_code == SYS_SECCOMP_;
    }
    return false;
}

static void aex(struct emu_thread *t, int signal, siginfo_t *info, ucontext_t *uc, uint64_t *fs,
                uint64_t *gs)
{
    struct machine *m = t->machine;
    struct emu_tcs *tcs = t->tcs;
    struct sgx_gpr *g = ssa_gpr(tcs, m);
    struct sgx_exinfo exinfo = {0};
    bool exception = is_exception(signal, info);

    uint32_t exitinfo = exception ? exit_information(signal, uc, &exinfo, info) : 0;
    swap_out(uc, g);
    g->exitinfo = exitinfo;
    g->fsbase = *fs;
    g->gsbase = *gs;
    ((struct sgx_exinfo *)g)[-1] = exinfo;
    memcpy(ssa_frame(tcs, m), uc->uc_mcontext.fpregs, xstate_size(uc, m));
    tcs->cssa++;
    t->inside = 0;
    atomic_fetch_add_explicit(&m->aex, 1, memory_order_relaxed);

    if (exception)
        t->handler(t->context, tcs->address - m->base);
    else if (handlers[signal])
        handlers[signal](signal, info, uc, true);

    /* ERESUME */
    tcs->cssa--;
    g = ssa_gpr(tcs, m);
    swap_in(uc, g);
    *fs = g->fsbase;
    *gs = g->gsbase;
    memcpy(uc->uc_mcontext.fpregs, ssa_frame(tcs, m), xstate_size(uc, m));
    t->inside = EMU_INSIDE;
}

/* A site that was not listed, thus not patched: do what the stub does. */
static bool unpatched_enclu(struct emu_thread *t, ucontext_t *uc, uint64_t *fs, uint64_t *gs)
{
    greg_t *r = uc->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)r[REG_RIP];
    if ((uint64_t)at - t->machine->base >= t->machine->options.size - 3 || at[0] != 0x0f ||
        at[1] != 0x01 || at[2] != 0xd7)
        return false;
    if ((uint32_t)r[REG_RAX] == ENCLU_EEXIT) {
        r[REG_RIP] = r[REG_RBX];
        *fs = t->host_fs;
        *gs = t->host_gs;
        t->inside = 0;
        return true;
    }
    r[REG_RAX] = (greg_t)emu_leaf((uint32_t)r[REG_RAX], (const void *)r[REG_RBX], (uint64_t)r[REG_RCX],
                                  (uint64_t)r[REG_RDX]);
    r[REG_RIP] += 3;
    return true;
}

/* A fault of the host itself: as if we were not here. */
static void die(int signal)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
}

static void handle(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    /* Which thread: the kernel says which alternate stack it has. None: it never enters. */
    if (uc->uc_stack.ss_flags & SS_DISABLE || !uc->uc_stack.ss_sp) {
        if (is_exception(signal, info))
            die(signal);
        else if (handlers[signal])
            handlers[signal](signal, info, uc, false);
        return;
    }
    struct emu_thread *t = uc->uc_stack.ss_sp;
    if (platform_fs_lost && emu_bases_fault(t, signal, info))
        return;
    uint64_t fs = platform_fs_lost ? t->fs : bases_fs(), gs = bases_gs();
    t->fs = t->host_fs;
    bases_write(t->host_fs, t->host_gs);

    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    /* The stubs that patched sites jump to are part of the ENCLU that they stand for, as is what they lead to. */
    const struct machine *m = t->machine;
    bool transition = (rip >= (uint64_t)emu_code_begin && rip < (uint64_t)emu_code_end) ||
                      rip - (uint64_t)m->stubs < m->stubs_size || t->inside == EMU_IN_LEAF;
    int saved_errno = errno;
    if (t->inside && !transition) {
        if (signal != SIGILL || !unpatched_enclu(t, uc, &fs, &gs))
            aex(t, signal, info, uc, &fs, &gs);
    } else if (is_exception(signal, info)) {
        die(signal);
    } else if (handlers[signal]) {
        handlers[signal](signal, info, uc, false);
    }
    errno = saved_errno;
    t->fs = fs;
    bases_write(fs, gs);
}

static int install(int signal)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigfillset(&action.sa_mask);
    if (platform_fs_lost) {
        /* The handler itself may find FS lost. */
        sigdelset(&action.sa_mask, SIGSEGV);
        action.sa_flags |= signal == SIGSEGV ? SA_NODEFER : 0;
    }
    return sigaction(signal, &action, NULL) ? -errno : 0;
}

int emu_signal(int signal, machine_signal_handler *handler)
{
    handlers[signal] = handler;
    return install(signal);
}

/*
 * `syscall` from enclave addresses: the CPU raises #UD. A filter on the instruction pointer makes the
 * kernel raise SIGSYS instead. The range is a power of two, aligned: a mask tells.
 */
static int filter_install(const struct machine *m)
{
    /* A process inherits it, for the same addresses. */
    static uint64_t installed_base, installed_size;
    if (installed_size == m->options.size && installed_base == m->base)
        return 0;
    installed_base = m->base;
    installed_size = m->options.size;
    uint64_t mask = ~(m->options.size - 1);
    const uint32_t ip = offsetof(struct seccomp_data, instruction_pointer);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 4),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)(mask >> 32)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(m->base >> 32), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)mask),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)m->base, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program))
        return 0;
    /* Without CAP_SYS_ADMIN a filter needs no_new_privs. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program)) {
        int error = errno;
        platform_set_error("cannot install the filter that traps system calls of the enclave: %s",
                           strerror(error));
        return -error;
    }
    return 0;
}

int emu_signals_start(struct machine *m)
{
    static const int exceptions[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        int error = install(exceptions[i]);
        if (error)
            return error;
    }
    return filter_install(m);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SGX as the CPU does it, through Linux's driver (<asm/sgx.h>, Documentation/arch/x86/sgx.rst) and
 * the vDSO's way in. Exceptions inside come back from there as return values; signals arrive as
 * they do in any program, with the instruction pointer at the AEP.
 */
#include <asm/sgx.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "abi/exits.h"
#include "platform/enclave.h"

#define DEVICE "/dev/sgx_enclave"
#define PAGE 4096ul
#define LOWEST 0x10000ul /* vm.mmap_min_addr: below it nothing is mapped, nor wanted */
#define PAGE_TYPE_TCS 1
#define PAGE_TYPE_TRIM 4
#define VECTOR_PF 14

struct machine {
    int fd;
    uint64_t base, size;
    uint64_t skip; /* bytes at the start of the range that cannot be mapped */
    bool reserved; /* the range is ours */
    uint8_t mrenclave[32];
    bool initialised;
    pthread_mutex_t lock; /* of the driver: it refuses two calls at a time; and of `trimmed` */
    uint64_t *trimmed;    /* a bit a page: asked to be dropped, to be removed before its next use */
    _Atomic uint64_t aex;
};

/* SECS (SDM 3D, 35.7), as far as ECREATE takes it from us. */
struct secs {
    uint64_t size, base;
    uint32_t ssa_frame_pages, miscselect;
    uint8_t reserved[24];
    uint64_t attributes, xfrm;
    uint8_t rest[4032];
};

struct secinfo {
    uint64_t flags, reserved[7];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct secs) == PAGE, "SECS is a page");
_Static_assert(sizeof(struct secinfo) == 64, "SECINFO is 64 bytes");

static struct {
    void *enter;
    uint64_t aep; /* of its ENCLU */
} vdso;

static machine_signal_handler *handlers[65];

/* Of this host thread. */
static __thread struct {
    struct machine *machine;
    machine_exception_handler *handler;
    void *context;
    uint64_t tcs;   /* where it is inside, innermost */
    unsigned depth; /* of entries */
    bool failed;    /* a nested entry could not be made */
} thread;

int sgx_call(struct machine_entry *entry, struct sgx_enclave_run *run, uint32_t leaf,
             void *function);

static bool vdso_find(void)
{
    static const uint8_t enclu[3] = {0x0f, 0x01, 0xd7};
    const ElfW(Sym) * symbol;
    Dl_info info;
    void *handle = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    void *enter = handle ? dlsym(handle, "__vdso_sgx_enter_enclave") : NULL;
    if (!enter || !dladdr1(enter, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol)
        return false;
    const uint8_t *at = memmem(enter, symbol->st_size, enclu, sizeof enclu);
    if (!at)
        return false;
    vdso.enter = enter;
    vdso.aep = (uint64_t)at;
    return true;
}

static int device_open(void)
{
    int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    int error = errno;
    if (error == ENOENT || error == ENODEV || error == ENXIO) {
        platform_set_error("there is no " DEVICE ": this needs a CPU with SGX and flexible launch "
                           "control, SGX switched on in the firmware, and Linux 6.0 or newer with "
                           "CONFIG_X86_SGX; --platform emu runs without");
        return -ENODEV;
    }
    if (error == EACCES || error == EPERM)
        platform_set_error(DEVICE " may not be opened by this user: join the group that owns it "
                                  "(ls -l " DEVICE ")");
    else
        platform_set_error("cannot open " DEVICE ": %s", strerror(error));
    return -error;
}

/* Memory is added as it is needed: that is SGX2, which a driver or a CPU may lack. */
static int sgx2_check(int fd)
{
    struct sgx_enclave_restrict_permissions nothing = {0};
    if (!ioctl(fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &nothing) || errno == EINVAL)
        return 0; /* refused because there is no enclave yet */
    if (errno == ENODEV)
        platform_set_error("this CPU has SGX1 only: adding memory to a running enclave needs SGX2");
    else
        platform_set_error(
            "this kernel's SGX driver cannot add memory to a running enclave: Linux 6.0 "
            "or newer can");
    return -ENODEV;
}

static int sgx_probe(void)
{
    int fd = device_open();
    if (fd < 0)
        return fd;
    int error = sgx2_check(fd);
    close(fd);
    if (!error && !vdso_find()) {
        platform_set_error("the kernel's vDSO has no __vdso_sgx_enter_enclave");
        error = -ENODEV;
    }
    return error;
}

/* Addresses aligned to the size, as ECREATE wants them; or those that are asked for, if nothing is there. */
static int range_reserve(struct machine *m, uint64_t address)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint64_t size = m->size;
    bool anywhere = address == MACHINE_ANYWHERE;
    m->skip = address ? 0 : LOWEST;
    uint8_t *range = anywhere ? mmap(NULL, 2 * size, PROT_NONE, flags, -1, 0)
                              : mmap((void *)(address + m->skip), size - m->skip, PROT_NONE,
                                     flags | MAP_FIXED_NOREPLACE, -1, 0);
    if (range == MAP_FAILED) {
        int error = errno;
        platform_set_error("cannot reserve %lu MiB of addresses%s for the enclave: %s", size >> 20,
                           anywhere ? "" : " where they are wanted", strerror(error));
        return -error;
    }
    m->reserved = true;
    m->base = address;
    if (!anywhere)
        return 0;
    m->base = ((uint64_t)range + size - 1) & ~(size - 1);
    if (m->base > (uint64_t)range)
        munmap(range, m->base - (uint64_t)range);
    munmap((void *)(m->base + size), (uint64_t)range + size - m->base);
    return 0;
}

static int secs_create(struct machine *m, const struct machine_options *options)
{
    struct secs secs = {
        .size = m->size,
        .base = m->base,
        .ssa_frame_pages = options->ssa_frame_pages,
        .miscselect = options->miscselect,
        .attributes = options->attributes,
        .xfrm = options->xfrm,
    };
    struct sgx_enclave_create create = {.src = (uint64_t)&secs};
    if (ioctl(m->fd, SGX_IOC_ENCLAVE_CREATE, &create)) {
        int error = errno;
        platform_set_error(
            "ECREATE of an enclave of %lu MiB: %s%s", m->size >> 20, strerror(error),
            error == EIO ? " (larger than the CPU allows? try a smaller --enclave-size)" : "");
        return -error;
    }
    /* Pages get access as they are added. */
    if (mmap((void *)(m->base + m->skip), m->size - m->skip, PROT_NONE, MAP_SHARED | MAP_FIXED,
             m->fd, 0) == MAP_FAILED) {
        int error = errno;
        platform_set_error("cannot map " DEVICE ": %s", strerror(error));
        return -error;
    }
    return 0;
}

static void sgx_destroy(struct machine *m)
{
    if (m->reserved)
        munmap((void *)(m->base + m->skip), m->size - m->skip);
    if (m->trimmed != MAP_FAILED)
        munmap(m->trimmed, m->size / PAGE / 8);
    if (m->fd >= 0)
        close(m->fd);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static int sgx_create(const struct machine_options *options, struct machine **out, uint64_t *base)
{
    struct machine *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    pthread_mutex_init(&m->lock, NULL);
    m->size = options->size;
    m->trimmed = mmap(NULL, m->size / PAGE / 8, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int error = m->fd = device_open();
    if (error >= 0)
        error = m->trimmed == MAP_FAILED ? -ENOMEM : range_reserve(m, options->address);
    if (!error)
        error = secs_create(m, options);
    if (error) {
        sgx_destroy(m);
        return error;
    }
    *out = m;
    *base = m->base;
    return 0;
}

static int protection_of(uint64_t flags)
{
    if (flags & SECINFO_TCS)
        return PROT_READ | PROT_WRITE; /* for the CPU: no software sees more than an abort page */
    return (flags & SECINFO_R ? PROT_READ : 0) | (flags & SECINFO_W ? PROT_WRITE : 0) |
           (flags & SECINFO_X ? PROT_EXEC : 0);
}

/* The kernel may stop between pages. */
static int add_some(struct machine *m, uint64_t offset, const void *contents, uint64_t length,
                    uint64_t flags, bool measure)
{
    struct secinfo secinfo = {.flags = flags};
    for (uint64_t done = 0; done < length;) {
        struct sgx_enclave_add_pages add = {
            .src = (uint64_t)contents + done,
            .offset = offset + done,
            .length = length - done,
            .secinfo = (uint64_t)&secinfo,
            .flags = measure ? SGX_PAGE_MEASURE : 0,
        };
        int failed = ioctl(m->fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add);
        done += add.count;
        if (failed && errno != EINTR) {
            int error = errno;
            platform_set_error("EADD at 0x%lx: %s", offset + done,
                               error == ENOMEM ? "no enclave memory (EPC) is left"
                                               : strerror(error));
            return -error;
        }
    }
    return 0;
}

static int sgx_add(struct machine *m, uint64_t offset, const void *contents, uint64_t length,
                   uint64_t flags, bool measure)
{
    static const uint8_t zeros[16 * PAGE] __attribute__((aligned(4096)));
    int error = 0;
    if (m->initialised || offset % PAGE || length % PAGE || offset >= m->size ||
        length > m->size - offset || (uint64_t)contents % PAGE) {
        platform_set_error("page at 0x%lx cannot be added", offset);
        return -EINVAL;
    }
    if (contents)
        error = add_some(m, offset, contents, length, flags, measure);
    for (uint64_t done = 0; !contents && !error && done < length; done += sizeof zeros) {
        uint64_t part = length - done < sizeof zeros ? length - done : sizeof zeros;
        error = add_some(m, offset + done, zeros, part, flags, measure);
    }
    if (!error && mprotect((void *)(m->base + offset), length, protection_of(flags))) {
        error = -errno;
        platform_set_error("cannot map enclave pages: %s%s", strerror(errno),
                           errno == EACCES || errno == EPERM ? " (is /dev mounted noexec?)" : "");
    }
    return error;
}

static int sgx_init(struct machine *m, const struct sgx_sigstruct *sigstruct)
{
    struct sgx_enclave_init init = {.sigstruct = (uint64_t)sigstruct};
    while (ioctl(m->fd, SGX_IOC_ENCLAVE_INIT, &init)) {
        int error = errno;
        if (error == EINTR)
            continue;
        platform_set_error("EINIT: %s", error == EPERM
                                            ? "the CPU does not accept the signature for "
                                              "this enclave and these attributes"
                                            : strerror(error));
        return -error;
    }
    /* EINIT has compared the two. */
    memcpy(m->mrenclave, sigstruct->enclavehash, sizeof m->mrenclave);
    m->initialised = true;
    return 0;
}

/* Calls that stop at a page: again when the page was busy, further when it was never there. */
static bool page_busy(int error)
{
    if (error != EINTR && error != EAGAIN && error != EBUSY)
        return false;
    sched_yield();
    return true;
}

/* EMODPR; takes effect when the enclave accepts it (EACCEPT). */
static int restrict_permissions(struct machine *m, uint64_t offset, uint64_t length,
                                uint64_t permissions)
{
    for (uint64_t done = 0; done < length;) {
        struct sgx_enclave_restrict_permissions p = {
            .offset = offset + done, .length = length - done, .permissions = permissions};
        int failed = ioctl(m->fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &p);
        done += p.count;
        if (!failed || page_busy(errno))
            continue;
        if (errno != EFAULT || p.result)
            return -errno;
        done += PAGE;
    }
    return 0;
}

/* EMODT to PT_TRIM. The enclave accepts it (EACCEPT), then the page can be removed. */
static int trim(struct machine *m, uint64_t offset, uint64_t length)
{
    for (uint64_t done = 0; done < length;) {
        struct sgx_enclave_modify_types p = {
            .offset = offset + done, .length = length - done, .page_type = PAGE_TYPE_TRIM};
        int failed = ioctl(m->fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &p);
        int error = errno;
        for (uint64_t at = 0; at < p.count; at += PAGE) {
            uint64_t page = (offset + done + at) / PAGE;
            m->trimmed[page / 64] |= 1ull << page % 64;
        }
        done += p.count;
        if (!failed || page_busy(error))
            continue;
        /* EINVAL: trimmed already. */
        if ((error != EFAULT && error != EINVAL) || p.result)
            return -error;
        done += PAGE;
    }
    return 0;
}

/* What was trimmed, and accepted since, makes room for fresh pages. */
static int remove_trimmed(struct machine *m, uint64_t offset, uint64_t length)
{
    for (uint64_t at = offset; at < offset + length; at += PAGE) {
        uint64_t page = at / PAGE, bit = 1ull << page % 64;
        if (!(m->trimmed[page / 64] & bit))
            continue;
        struct sgx_enclave_remove_pages p = {.offset = at, .length = PAGE};
        while (ioctl(m->fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &p)) {
            if (!page_busy(errno))
                return -errno; /* EPERM: the enclave has not accepted that it goes */
            p.count = 0;
        }
        m->trimmed[page / 64] &= ~bit;
    }
    return 0;
}

static int access_set(struct machine *m, uint64_t offset, uint64_t length, int protection)
{
    return mprotect((void *)(m->base + offset), length, protection) ? -errno : 0;
}

/*
 * Fresh pages are added by the kernel when first touched (EAUG), readable and writable; the enclave
 * accepts them, extends permissions by EMODPE, and accepts what is restricted or trimmed here.
 */
static int sgx_pages(struct machine *m, int operation, uint64_t offset, uint64_t length,
                     int protection, uint64_t source)
{
    (void)source; /* the enclave's to read */
    if (offset % PAGE || length % PAGE || !length || offset < m->skip || offset >= m->size ||
        length > m->size - offset)
        return -EINVAL;
    int error = -EINVAL;
    pthread_mutex_lock(&m->lock);
    switch (operation) {
    case PAGES_MAP:
    case PAGES_FILL:
        error = remove_trimmed(m, offset, length);
        if (!error)
            error = access_set(m, offset, length, protection);
        break;
    case PAGES_PROTECT:
        error = access_set(m, offset, length, protection);
        /* PROT_NONE is for the page tables alone: as a rule the access comes back. */
        if (!error && protection)
            error = restrict_permissions(m, offset, length,
                                         SECINFO_R | (protection & PROT_WRITE ? SECINFO_W : 0) |
                                             (protection & PROT_EXEC ? SECINFO_X : 0));
        break;
    case PAGES_UNMAP:
        error = access_set(m, offset, length, PROT_NONE);
        if (!error)
            error = trim(m, offset, length);
        break;
    case PAGES_MOVE:
        error = remove_trimmed(m, offset, length);
        if (!error)
            error = access_set(m, offset, length, PROT_READ | PROT_WRITE);
        if (!error)
            error = PAGES_TO_ACCEPT;
        break;
    case PAGES_DISCARD:
        error =
            -EOPNOTSUPP; /* nobody outside can empty a page and keep it: the enclave writes zeros */
        break;
    }
    pthread_mutex_unlock(&m->lock);
    return error;
}

static int sgx_thread_page(struct machine *m, uint64_t offset)
{
    struct sgx_enclave_modify_types p = {.offset = offset, .length = PAGE, .page_type = PAGE_TYPE_TCS};
    if (offset % PAGE || offset < m->skip || offset >= m->size)
        return -EINVAL;
    int error = 0;
    pthread_mutex_lock(&m->lock);
    while (ioctl(m->fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &p) && !error)
        error = page_busy(errno) ? 0 : -errno;
    pthread_mutex_unlock(&m->lock);
    return error;
}

static int sgx_thread_start(struct machine *m, machine_exception_handler *handler, void *context)
{
    memset(&thread, 0, sizeof thread);
    thread.machine = m;
    thread.handler = handler;
    thread.context = context;
    return 0;
}

static void sgx_thread_end(struct machine *m)
{
    (void)m;
    memset(&thread, 0, sizeof thread);
}

/* A signal in the middle would want to enter too, and there is no SSA frame left for it. */
static int exception(uint64_t tcs_offset)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    thread.failed = false;
    thread.handler(thread.context, tcs_offset);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return thread.failed ? -EIO : 0; /* as after a suspend, which loses every enclave */
}

/*
 * EENTER, and after each exception ERESUME, from one and the same call site: the enclave leaves
 * with the RSP and RBP that it was entered with, so both must find the stack at the same height.
 */
static int run_until_exit(struct machine *m, uint64_t tcs_offset, struct machine_entry *entry)
{
    struct sgx_enclave_run run = {.tcs = m->base + tcs_offset};
    uint32_t leaf = ENCLU_EENTER;
    for (;;) {
        int error = sgx_call(entry, &run, leaf, vdso.enter);
        if (error)
            return error;
        if (run.function == ENCLU_EEXIT)
            return 0;
        if (run.function == ENCLU_EENTER) /* the exception was EENTER's own */
            return run.exception_vector == VECTOR_PF ? -EFAULT : -EBUSY;
        atomic_fetch_add_explicit(&m->aex, 1, memory_order_relaxed);
        if (thread.depth > 1)
            return -EFAULT; /* in the second stage itself: no SSA frame is left for another */
        if ((error = exception(tcs_offset)))
            return error;
        leaf = ENCLU_ERESUME;
    }
}

static int sgx_enter(struct machine *m, uint64_t tcs_offset, struct machine_entry *entry)
{
    uint64_t outer = thread.tcs;
    thread.tcs = tcs_offset;
    thread.depth++;
    int error = run_until_exit(m, tcs_offset, entry);
    thread.depth--;
    thread.tcs = outer;
    if (error && thread.depth)
        thread.failed = true;
    return error;
}

static void handle(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    int saved_errno = errno;
    bool fault = info->si_code > 0 && (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL ||
                                       signal == SIGFPE || signal == SIGTRAP);
    /* An AEX leaves RAX as ERESUME wants it; before EENTER it is another leaf's. */
    bool inside = thread.depth && (uint64_t)uc->uc_mcontext.gregs[REG_RIP] == vdso.aep &&
                  (uint32_t)uc->uc_mcontext.gregs[REG_RAX] == ENCLU_ERESUME;
    if (inside)
        atomic_fetch_add_explicit(&thread.machine->aex, 1, memory_order_relaxed);
    if (fault && inside && signal == SIGTRAP)
        thread.handler(thread.context,
                       thread.tcs); /* the one exception that the vDSO leaves to us */
    else if (fault)
        sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL); /* the host's own */
    else if (handlers[signal])
        handlers[signal](signal, info, uc, inside);
    errno = saved_errno;
}

static int sgx_signal(int signal, machine_signal_handler *handler)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&action.sa_mask);
    handlers[signal] = handler;
    return sigaction(signal, &action, NULL) ? -errno : 0;
}

/* Enclaves are not inherited: their mappings are VM_DONTCOPY. Of the range nothing is left but what was reserved. */
static void sgx_thread_settle(struct machine *m)
{
    (void)m; /* it needs no signal outside */
}

static void sgx_fork_begin(struct machine *m)
{
    (void)m;
}

static bool sgx_measurement(const struct machine *m, uint8_t mrenclave[32])
{
    memcpy(mrenclave, m->mrenclave, 32);
    return m->initialised;
}

/* Those that software gets to see: interrupts that only the kernel handled are not among them. */
static uint64_t sgx_asynchronous_exits(const struct machine *m)
{
    return atomic_load(&m->aex);
}

const struct platform platform_sgx = {
    .name = "sgx",
    .probe = sgx_probe,
    .create = sgx_create,
    .add = sgx_add,
    .init = sgx_init,
    .pages = sgx_pages,
    .thread_page = sgx_thread_page,
    .thread_start = sgx_thread_start,
    .thread_end = sgx_thread_end,
    .thread_settle = sgx_thread_settle,
    .enter = sgx_enter,
    .signal = sgx_signal,
    .measurement = sgx_measurement,
    .asynchronous_exits = sgx_asynchronous_exits,
    .destroy = sgx_destroy,
    .fork_begin = sgx_fork_begin,
    .forked = sgx_destroy,
};

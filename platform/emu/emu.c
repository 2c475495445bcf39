/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SGX in software, in the same process: creating, measuring, initialising and entering an enclave with
 * the meaning that the SDM gives them. It gives no confidentiality against the host.
 */
#include "platform/emu/emu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/exits.h"
#include "platform/emu/bases.h"
#include "platform/sigstruct.h"

_Static_assert(offsetof(struct emu_thread, host_fs) == EMU_THREAD_HOST_FS, "");
_Static_assert(offsetof(struct emu_thread, host_gs) == EMU_THREAD_HOST_GS, "");
_Static_assert(offsetof(struct emu_thread, inside) == EMU_THREAD_INSIDE, "");
_Static_assert(offsetof(struct emu_thread, half) == EMU_THREAD_HALF, "");
_Static_assert(offsetof(struct emu_thread, scratch) == EMU_THREAD_SCRATCH, "");
_Static_assert(offsetof(struct emu_thread, fs) == EMU_THREAD_FS, "");
_Static_assert(offsetof(struct emu_tcs, address) == EMU_TCS_ADDRESS, "");
_Static_assert(offsetof(struct emu_tcs, entry) == EMU_TCS_ENTRY, "");
_Static_assert(offsetof(struct emu_tcs, fs) == EMU_TCS_FS, "");
_Static_assert(offsetof(struct emu_tcs, gs) == EMU_TCS_GS, "");
_Static_assert(offsetof(struct emu_tcs, thread) == EMU_TCS_THREAD, "");
_Static_assert(offsetof(struct emu_tcs, cssa) == EMU_TCS_CSSA, "");

struct machine *emu_machine;
struct emu_tcs **emu_by_gs;
uint64_t emu_first_gs;
__thread struct emu_thread *emu_self;

static int emu_probe(void)
{
    int error = emu_bases_probe();
    if (error == -ENOTSUP)
        platform_set_error("neither the kernel nor the CPU has FSGSBASE, which the emulator needs");
    else if (error)
        platform_set_error("cannot reserve addresses for the emulator: %s", strerror(-error));
    return error;
}

/* Below it the kernel lets nobody map (vm.mmap_min_addr). */
#define LOWEST 0x10000ul
#define RESERVATION (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* ECREATE wants the range aligned to its size. */
static int reserve_anywhere(uint64_t size, uint64_t *base)
{
    uint8_t *twice = mmap(NULL, 2 * size, PROT_NONE, RESERVATION, -1, 0);
    if (twice == MAP_FAILED)
        return -errno;
    *base = ((uint64_t)twice + size - 1) & ~(size - 1);
    if (*base > (uint64_t)twice)
        munmap(twice, *base - (uint64_t)twice);
    munmap((void *)(*base + size), (uint64_t)twice + size - *base);
    return 0;
}

/* Of the range, what nobody can map. */
static uint64_t skipped(uint64_t base)
{
    return base ? 0 : LOWEST;
}

static int reserve_at(uint64_t base, uint64_t size)
{
    uint64_t start = base + skipped(base);
    if (base % size)
        return -EINVAL;
    void *got = mmap((void *)start, base + size - start, PROT_NONE, RESERVATION | MAP_FIXED_NOREPLACE, -1, 0);
    return got == MAP_FAILED ? -errno : 0;
}

static void release(const struct machine *m)
{
    uint64_t skip = skipped(m->base);
    munmap((void *)(m->base + skip), m->options.size - skip);
}

static int emu_create(const struct machine_options *options, struct machine **out, uint64_t *base)
{
    if (emu_machine) {
        platform_set_error("the emulator runs one enclave a process");
        return -EBUSY;
    }
    struct machine *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->options = *options;
    pthread_mutex_init(&m->lock, NULL);

    bool anywhere = options->address == MACHINE_ANYWHERE;
    m->base = options->address;
    int error = anywhere ? reserve_anywhere(options->size, &m->base) : reserve_at(m->base, options->size);
    if (error) {
        char where[32] = "";
        if (!anywhere)
            snprintf(where, sizeof where, " from 0x%lx on", options->address);
        platform_set_error("cannot reserve %lu MiB of addresses%s for the enclave: %s", options->size >> 20,
                           where, strerror(-error));
        free(m);
        return error;
    }
    error = emu_fuses_read(&m->fuses);
    if (!error)
        error = measure_create(&m->measurement, options->ssa_frame_pages, options->size);
    if (error) {
        release(m);
        free(m);
        return error;
    }
    emu_machine = m;
    *out = m;
    *base = m->base;
    return 0;
}

static int protection_of(uint64_t flags)
{
    return (flags & SECINFO_R ? PROT_READ : 0) | (flags & SECINFO_W ? PROT_WRITE : 0) |
           (flags & SECINFO_X ? PROT_EXEC : 0);
}

static struct emu_tcs *tcs_add(struct machine *m, uint64_t offset, const struct sgx_tcs *contents)
{
    struct emu_tcs *tcs = calloc(1, sizeof *tcs);
    if (!tcs)
        return NULL;
    tcs->address = m->base + offset;
    tcs->entry = m->base + contents->oentry;
    tcs->fs = m->base + contents->ofsbase;
    tcs->gs = m->base + contents->ogsbase;
    tcs->ossa = m->base + contents->ossa;
    tcs->nssa = contents->nssa;
    tcs->next = m->threads;
    __atomic_store_n(&m->threads, tcs, __ATOMIC_RELEASE); /* others look through the list meanwhile */
    return tcs;
}

/* Pages one by one, as they are touched, would cost a fault each. Failing is no error. */
static void will_write(void *at, uint64_t length)
{
    madvise(at, length, MADV_POPULATE_WRITE);
}

static int emu_add(struct machine *m, uint64_t offset, const void *contents, uint64_t length,
                   uint64_t flags, bool measure)
{
    static const uint8_t zeros[256];
    if (m->initialised || offset % 4096 || length % 4096 || offset >= m->options.size ||
        length > m->options.size - offset) {
        platform_set_error("page at 0x%lx cannot be added", offset);
        return -EINVAL;
    }
    for (uint64_t page = 0; page < length; page += 4096) {
        measure_add(m->measurement, offset + page, flags);
        for (uint64_t chunk = 0; measure && chunk < 4096; chunk += 256)
            measure_extend(m->measurement, offset + page + chunk,
                           contents ? (const uint8_t *)contents + page + chunk : zeros);
        if (flags & SECINFO_TCS) {
            if (!contents)
                return -EINVAL;
            if (!tcs_add(m, offset + page, (const void *)((const uint8_t *)contents + page)))
                return -ENOMEM;
        }
    }
    if (flags & SECINFO_TCS)
        return 0; /* no software can read a TCS: its page stays without access */
    void *at = (void *)(m->base + offset);
    if (contents) {
        if (mprotect(at, length, PROT_READ | PROT_WRITE))
            return -errno;
        will_write(at, length);
        memcpy(at, contents, length);
    }
    if (mprotect(at, length, protection_of(flags)))
        return -errno;
    return 0;
}

struct emu_tcs *emu_tcs_find(struct machine *m, uint64_t offset)
{
    for (struct emu_tcs *t = __atomic_load_n(&m->threads, __ATOMIC_ACQUIRE); t; t = t->next)
        if (t->address == m->base + offset)
            return t;
    return NULL;
}

static int by_gs_add(struct machine *m, struct emu_tcs *t)
{
    struct emu_tcs **slot = &m->by_gs[(t->gs - emu_first_gs) / 4096];
    if (t->gs < emu_first_gs || t->gs >= m->base + m->options.size || t->gs % 4096 || *slot) {
        platform_set_error("two TCSs share a GS base, which the emulator cannot tell apart");
        return -EINVAL;
    }
    *slot = t;
    return 0;
}

/* The table by which EEXIT finds its TCS, with room for all that may be added above the first. */
static int index_by_gs(struct machine *m)
{
    int error = m->threads ? 0 : -EINVAL;
    emu_first_gs = UINT64_MAX;
    for (struct emu_tcs *t = m->threads; t; t = t->next)
        emu_first_gs = t->gs < emu_first_gs ? t->gs : emu_first_gs;
    if (!error) {
        m->by_gs = calloc((m->base + m->options.size - emu_first_gs) / 4096 + 1, sizeof *m->by_gs);
        error = m->by_gs ? 0 : -ENOMEM;
    }
    for (struct emu_tcs *t = m->threads; t && !error; t = t->next)
        error = by_gs_add(m, t);
    emu_by_gs = m->by_gs;
    return error;
}

static int emu_init(struct machine *m, const struct sgx_sigstruct *sigstruct)
{
    measure_final(m->measurement, m->mrenclave);
    m->measurement = NULL;
    int error = sigstruct_verify(sigstruct, m->mrenclave, m->options.attributes, m->options.xfrm,
                                 m->options.miscselect);
    if (error) {
        platform_set_error("EINIT: the signature does not cover this enclave");
        return error;
    }
    m->isvprodid = sigstruct->isvprodid;
    m->isvsvn = sigstruct->isvsvn;
    sigstruct_mrsigner(sigstruct, m->mrsigner);
    if ((error = index_by_gs(m)) || (error = emu_sites_patch(m)) || (error = emu_signals_start(m)))
        return error;
    m->initialised = true;
    return 0;
}

/* As EACCEPTCOPY: there is no moment at which the page is there without what is in it. */
static int pages_move(void *at, void *source, uint64_t length, int protection)
{
    if (mprotect(source, length, protection) ||
        mremap(source, length, length, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, at) != at)
        return -errno;
    if (mprotect(source, length, PROT_READ | PROT_WRITE))
        return -errno;
    will_write(source, length); /* on a CPU they are still there */
    return 0;
}

static int emu_pages(struct machine *m, int operation, uint64_t offset, uint64_t length, int protection, uint64_t source)
{
    if (offset % 4096 || length % 4096 || offset >= m->options.size)
        return -EINVAL;
    void *at = (void *)(m->base + offset);
    if (length > m->options.size - offset)
        return -EINVAL;
    switch (operation) {
    case PAGES_MAP:
    case PAGES_PROTECT:
        return mprotect(at, length, protection) ? -errno : 0;
    case PAGES_FILL:
        if (mprotect(at, length, protection))
            return -errno;
        will_write(at, length);
        return 0;
    case PAGES_UNMAP:
        return mmap(at, length, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED
                   ? -errno
                   : 0;
    case PAGES_MOVE:
        if (source % 4096 || source >= m->options.size || length > m->options.size - source)
            return -EINVAL;
        return pages_move(at, (void *)(m->base + source), length, protection);
    case PAGES_DISCARD:
        return madvise(at, length, MADV_DONTNEED) ? -errno : 0;
    }
    return -EINVAL;
}

static int emu_thread_page(struct machine *m, uint64_t offset)
{
    struct sgx_tcs contents;
    if (offset % 4096 || offset >= m->options.size || emu_tcs_find(m, offset))
        return -EINVAL;
    void *page = (void *)(m->base + offset);
    memcpy(&contents, page, sizeof contents);
    int error = mprotect(page, sizeof contents, PROT_NONE) ? -errno : 0;
    pthread_mutex_lock(&m->lock);
    if (!error) {
        struct emu_tcs *t = tcs_add(m, offset, &contents);
        error = t ? by_gs_add(m, t) : -ENOMEM;
    }
    pthread_mutex_unlock(&m->lock);
    return error;
}

static int emu_thread_start(struct machine *m, machine_exception_handler *handler, void *context)
{
    uint8_t *stack = mmap(NULL, EMU_STACK_SIZE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    struct emu_thread *t = (struct emu_thread *)stack;
    *t = (struct emu_thread){.half = m->options.transition_cycles / 2, .machine = m,
                             .handler = handler, .context = context};
    t->host_fs = t->fs = bases_fs();
    t->host_gs = bases_gs();
    stack_t alternate = {.ss_sp = stack, .ss_size = EMU_STACK_SIZE};
    if (sigaltstack(&alternate, NULL)) {
        int error = errno;
        munmap(stack, EMU_STACK_SIZE);
        return -error;
    }
    emu_self = t;
    return 0;
}

static void emu_thread_end(struct machine *m)
{
    (void)m;
    stack_t none = {.ss_flags = SS_DISABLE};
    struct emu_thread *t = emu_self;
    emu_bases_settle(t);
    sigaltstack(&none, NULL);
    emu_self = NULL;
    munmap(t, EMU_STACK_SIZE);
}

static int emu_enter(struct machine *m, uint64_t tcs_offset, struct machine_entry *entry)
{
    struct emu_thread *t = emu_self;
    /* The same TCS again, nearly always. */
    struct emu_tcs *tcs = t->tcs && t->tcs->address == m->base + tcs_offset
                              ? t->tcs
                              : emu_tcs_find(m, tcs_offset);
    if (!tcs)
        return -EINVAL;
    struct emu_thread *nobody = NULL;
    bool nested = tcs->thread == t;
    if (!nested && !__atomic_compare_exchange_n(&tcs->thread, &nobody, t, false, __ATOMIC_ACQUIRE,
                                                __ATOMIC_RELAXED))
        return -EBUSY; /* #GP on the CPU: another thread is inside */
    if (tcs->cssa >= tcs->nssa) {
        if (!nested)
            __atomic_store_n(&tcs->thread, NULL, __ATOMIC_RELEASE);
        return -EFAULT;
    }
    t->tcs = tcs;
    if (platform_fs_lost)
        emu_bases_enter(t, tcs);
    /* EENTER remembers the outside stack in the frame that an AEX would fill. */
    struct sgx_gpr *g = (struct sgx_gpr *)(tcs->ossa +
                        (tcs->cssa + 1) * m->options.ssa_frame_pages * 4096) - 1;
    __asm__ volatile("mov %%rsp, %0\n\tmov %%rbp, %1" : "=m"(g->ursp), "=m"(g->urbp));
    emu_eenter(t, tcs, entry);
    if (!nested)
        __atomic_store_n(&tcs->thread, NULL, __ATOMIC_RELEASE);
    return 0;
}

static bool emu_measurement(const struct machine *m, uint8_t mrenclave[32])
{
    if (m->measurement)
        measure_so_far(m->measurement, mrenclave);
    else
        memcpy(mrenclave, m->mrenclave, 32);
    return true;
}

static uint64_t emu_asynchronous_exits(const struct machine *m)
{
    return atomic_load(&m->aex);
}

static void emu_destroy(struct machine *m)
{
    release(m);
    while (m->threads) {
        struct emu_tcs *t = m->threads;
        m->threads = t->next;
        free(t);
    }
    emu_sites_release(m);
    free(m->by_gs);
    free(m);
    emu_machine = NULL;
}

static void emu_thread_settle(struct machine *m)
{
    (void)m;
    emu_bases_settle(emu_self);
}

static void emu_fork_begin(struct machine *m)
{
    uint64_t skip = skipped(m->base);
    madvise((void *)(m->base + skip), m->options.size - skip, MADV_DONTFORK);
}

static void emu_forked(struct machine *m)
{
    emu_destroy(m);
}

const struct platform platform_emu = {
    .name = "emu",
    .probe = emu_probe,
    .create = emu_create,
    .add = emu_add,
    .init = emu_init,
    .pages = emu_pages,
    .thread_page = emu_thread_page,
    .thread_start = emu_thread_start,
    .thread_end = emu_thread_end,
    .thread_settle = emu_thread_settle,
    .enter = emu_enter,
    .signal = emu_signal,
    .measurement = emu_measurement,
    .asynchronous_exits = emu_asynchronous_exits,
    .destroy = emu_destroy,
    .fork_begin = emu_fork_begin,
    .forked = emu_forked,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The first thread's way from the first entry to the LibOS: relocate, find out where we are, check what
 * the host says. */
#include <elf.h>

#include "abi/arena.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/boundary/log.h"

extern const char __ehdr_start[], _end[];
extern const Elf64_Dyn _DYNAMIC[];
_Noreturn void enclave_start(uint64_t parameters, struct thread_block *block);

struct enclave enclave;

/* The image is linked at 0 and measured so; its own pointers get its base added here. */
static void relocate(uint64_t base)
{
    const Elf64_Rela *rela = NULL;
    uint64_t size = 0;
    for (const Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_RELA)
            rela = (const Elf64_Rela *)(base + d->d_un.d_ptr);
        else if (d->d_tag == DT_RELASZ)
            size = d->d_un.d_val;
    }
    for (uint64_t i = 0; i < size / sizeof *rela; i++)
        if (ELF64_R_TYPE(rela[i].r_info) == R_X86_64_RELATIVE)
            *(uint64_t *)(base + rela[i].r_offset) = base + (uint64_t)rela[i].r_addend;
}

static uint64_t xsave_mask(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low & 0xe7;
}

_Noreturn void enclave_start(uint64_t parameters, struct thread_block *block)
{
    uint64_t image = (uint64_t)__ehdr_start;
    relocate(image);
    lock_alone = true;

    enclave.image = image;
    enclave.configuration =
        (const struct configuration *)(((uint64_t)_end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1));
    uint64_t base = enclave.base = image - enclave.configuration->image_offset;
    enclave.size = enclave.configuration->enclave_size;
    enclave.dynamic = base + enclave.configuration->dynamic_offset;
    enclave.rings = enclave.configuration->flags & CONFIGURATION_RINGS;
    enclave.sqpoll = enclave.configuration->flags & CONFIGURATION_SQPOLL;
    log_threshold = (int)enclave.configuration->log_level;

    uint64_t area = (uint64_t)block - THREAD_BLOCK - base - enclave.configuration->threads_offset;
    thread_block_prepare(block, 0);
    block->xsave_mask = xsave_mask();
    fs_base_set(block->fs);
    if (area != 0 || enclave.configuration->magic != CONFIGURATION_MAGIC ||
        enclave.configuration->version != ABI_VERSION)
        for (;;)
            __asm__ volatile("ud2"); /* entered by a wrong TCS: nobody to tell it to yet */
    arena_start(parameters, &enclave.start);
    os_start();
    __builtin_unreachable();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/trim.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>

static int trim(struct dl_phdr_info *library, size_t size, void *context)
{
    const char *name = context, *slash = strrchr(library->dlpi_name, '/');
    (void)size;
    if (!slash || strncmp(slash + 1, name, strlen(name)))
        return 0;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &library->dlpi_phdr[i];
        /* Never written, not by relocation either: what is on disk is what they hold. */
        if (p->p_type != PT_LOAD || p->p_flags & PF_W)
            continue;
        uintptr_t begin = (library->dlpi_addr + p->p_vaddr) & ~4095ul;
        uintptr_t end = (library->dlpi_addr + p->p_vaddr + p->p_memsz) & ~4095ul;
        madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 1;
}

void trim_library(const char *name)
{
    dl_iterate_phdr(trim, (void *)(uintptr_t)name);
}

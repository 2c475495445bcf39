/* SPDX-License-Identifier: Apache-2.0 */
/* ENCLU sites: after EINIT (thus after measuring) each becomes a jump to a stub of ours. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/emu/emu.h"

#define SITE_SIZE 16
#define STUB_SIZE 64

static uint8_t *emit_jump(uint8_t *p, const void *target)
{
    static const uint8_t jump[6] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip) */
    uint64_t address = (uint64_t)target;
    memcpy(p, jump, sizeof jump);
    memcpy(p + sizeof jump, &address, sizeof address);
    return p + sizeof jump + sizeof address;
}

/* EEXIT goes straight on; any other leaf pushes where to return to. RAX only is looked at. */
static void emit_stub(uint8_t *p, uint64_t back)
{
    static const uint8_t compare[] = {0x83, 0xf8, ENCLU_EEXIT, 0x75, 14}; /* cmp $4,%eax; jne +14 */
    static const uint8_t push[] = {0x6a, 0x00};                          /* push $0 */
    static const uint8_t low[] = {0xc7, 0x04, 0x24};                     /* movl $imm32, (%rsp) */
    static const uint8_t high[] = {0xc7, 0x44, 0x24, 0x04};              /* movl $imm32, 4(%rsp) */
    uint32_t part;
    memcpy(p, compare, sizeof compare);
    p = emit_jump(p + sizeof compare, emu_eexit);
    memcpy(p, push, sizeof push);
    p += sizeof push;
    memcpy(p, low, sizeof low);
    part = (uint32_t)back;
    memcpy(p + sizeof low, &part, 4);
    p += sizeof low + 4;
    memcpy(p, high, sizeof high);
    part = (uint32_t)(back >> 32);
    memcpy(p + sizeof high, &part, 4);
    p += sizeof high + 4;
    emit_jump(p, emu_leaf_entry);
}

static int site_patch(uint64_t site, uint8_t *stub)
{
    static const uint8_t enclu[4] = {0x0f, 0x01, 0xd7, 0x90};
    void *page = (void *)(site & ~4095ul);
    size_t span = (site + SITE_SIZE - 1) / 4096 != site / 4096 ? 8192 : 4096;
    if (memcmp((void *)site, enclu, sizeof enclu))
        return -EINVAL;
    emit_stub(stub, site + SITE_SIZE);
    if (mprotect(page, span, PROT_READ | PROT_WRITE))
        return -errno;
    emit_jump((uint8_t *)site, stub);
    return mprotect(page, span, PROT_READ | PROT_EXEC) ? -errno : 0;
}

int emu_sites_patch(struct machine *m)
{
    size_t size = (m->options.enclu_site_count * STUB_SIZE + 4095) & ~4095ul;
    if (!size)
        return 0;
    uint8_t *stubs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stubs == MAP_FAILED)
        return -errno;
    m->stubs = stubs;
    m->stubs_size = size;
    for (size_t i = 0; i < m->options.enclu_site_count; i++) {
        uint64_t offset = m->options.enclu_sites[i];
        if (offset >= m->options.size ||
            site_patch(m->base + offset, stubs + i * STUB_SIZE)) {
            platform_set_error("ENCLU site %zu at 0x%lx is not one", i, offset);
            return -EINVAL;
        }
    }
    return mprotect(stubs, size, PROT_READ | PROT_EXEC) ? -errno : 0;
}

void emu_sites_release(struct machine *m)
{
    if (m->stubs)
        munmap(m->stubs, m->stubs_size);
    m->stubs = NULL;
}

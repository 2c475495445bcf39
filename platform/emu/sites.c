/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The enclave's listed sites: after EINIT (thus after measuring) each ENCLU becomes a jump to a stub of ours, and
 * so do accesses to the FS base where the kernel would lose it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/emu/bases.h"
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

/* Calls target from where `back` follows. */
static void emit_call(uint8_t *p, uint64_t back, const void *target)
{
    static const uint8_t push[] = {0x6a, 0x00};             /* push $0 */
    static const uint8_t low[] = {0xc7, 0x04, 0x24};        /* movl $imm32, (%rsp) */
    static const uint8_t high[] = {0xc7, 0x44, 0x24, 0x04}; /* movl $imm32, 4(%rsp) */
    uint32_t part;
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
    emit_jump(p, target);
}

/* EEXIT goes straight on; any other leaf returns. RAX only is looked at. */
static void emit_enclu(uint8_t *p, uint64_t back)
{
    static const uint8_t compare[] = {0x83, 0xf8, ENCLU_EEXIT, 0x75, 14}; /* cmp $4,%eax; jne +14 */
    memcpy(p, compare, sizeof compare);
    emit_call(emit_jump(p + sizeof compare, emu_eexit), back, emu_leaf_entry);
}

static bool is(uint64_t site, const char *instruction)
{
    return !memcmp((void *)site, instruction, strlen(instruction));
}

/* 1: the site stays as it is; -EINVAL: it is none. */
static int emit_stub(uint8_t *p, uint64_t site)
{
    static const char enclu[] = "\x0f\x01\xd7\x90", wrfsbase[] = "\xf3\x48\x0f\xae\xd0\x90",
                      rdfsbase[] = "\xf3\x48\x0f\xae\xc0\x90";
    uint64_t back = site + SITE_SIZE;
    if (is(site, enclu)) {
        emit_enclu(p, back);
        return 0;
    }
    if (!is(site, wrfsbase) && !is(site, rdfsbase))
        return -EINVAL;
    if (!platform_fs_lost)
        return 1;
    emit_call(p, back, is(site, wrfsbase) ? emu_wrfsbase : emu_rdfsbase);
    return 0;
}

static int site_patch(uint64_t site, uint8_t *stub)
{
    void *page = (void *)(site & ~4095ul);
    size_t span = (site + SITE_SIZE - 1) / 4096 != site / 4096 ? 8192 : 4096;
    int result = emit_stub(stub, site);
    if (result)
        return result > 0 ? 0 : result;
    if (mprotect(page, span, PROT_READ | PROT_WRITE))
        return -errno;
    emit_jump((uint8_t *)site, stub);
    return mprotect(page, span, PROT_READ | PROT_EXEC) ? -errno : 0;
}

int emu_sites_patch(struct machine *m)
{
    size_t size = (m->options.site_count * STUB_SIZE + 4095) & ~4095ul;
    if (!size)
        return 0;
    uint8_t *stubs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stubs == MAP_FAILED)
        return -errno;
    m->stubs = stubs;
    m->stubs_size = size;
    for (size_t i = 0; i < m->options.site_count; i++) {
        uint64_t offset = m->options.sites[i];
        if (offset >= m->options.size ||
            site_patch(m->base + offset, stubs + i * STUB_SIZE)) {
            platform_set_error("site %zu at 0x%lx is no instruction that is emulated", i, offset);
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

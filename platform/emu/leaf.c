/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ENCLU leaves other than EENTER, ERESUME and EEXIT. Called from inside, with the enclave's FS and on its
 * stack: no thread-local storage, no stack protector, no vector registers.
 */
#include "platform/emu/emu.h"

#define GENERAL_PROTECTION() __asm__ volatile("ud2")

static bool inside(const struct machine *m, uint64_t address, uint64_t length, uint64_t alignment)
{
    uint64_t offset = address - m->base;
    return address % alignment == 0 && offset < m->options.size && length <= m->options.size - offset;
}

/* Dynamic pages are usable here as soon as the host has added them: there is no pending state, so that
 * accepting one has nothing to do but to check its operands. */
uint64_t emu_leaf(uint32_t leaf, const void *rbx, uint64_t rcx, uint64_t rdx)
{
    const struct machine *m = emu_machine;
    uint64_t error = 0;
    switch (leaf) {
    case ENCLU_EACCEPT:
    case ENCLU_EMODPE:
        if ((uint64_t)rbx % 64 || rcx % 4096 || rcx - m->base >= m->options.size)
            GENERAL_PROTECTION();
        return 0;
    case ENCLU_EREPORT:
        if (!inside(m, (uint64_t)rbx, sizeof(struct sgx_targetinfo), 512) || !inside(m, rcx, 64, 128) ||
            !inside(m, rdx, REPORT_SIZE, 512) || !emu_ereport(m, rbx, (const void *)rcx, (void *)rdx))
            GENERAL_PROTECTION();
        return 0;
    case ENCLU_EGETKEY:
        if (!inside(m, (uint64_t)rbx, sizeof(struct sgx_keyrequest), 512) || !inside(m, rcx, 16, 16) ||
            !emu_egetkey(m, rbx, (void *)rcx, &error))
            GENERAL_PROTECTION();
        return error;
    default:
        GENERAL_PROTECTION();
        return 0;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ENCLU leaves other than EENTER, ERESUME and EEXIT. Called from inside, with the enclave's FS and on its
 * stack: no thread-local storage, no stack protector, no vector registers.
 */
#include "platform/emu/emu.h"

uint64_t emu_leaf(uint32_t leaf, const uint64_t *rbx, uint64_t rcx);

#define GENERAL_PROTECTION() __asm__ volatile("ud2")

/* Dynamic pages are usable here as soon as the host has added them: there is no pending state, so that
 * accepting one has nothing to do but to check its operands. */
uint64_t emu_leaf(uint32_t leaf, const uint64_t *rbx, uint64_t rcx)
{
    const struct machine *m = emu_machine;
    switch (leaf) {
    case ENCLU_EACCEPT:
    case ENCLU_EMODPE:
        if ((uint64_t)rbx % 64 || rcx % 4096 || rcx - m->base >= m->options.size)
            GENERAL_PROTECTION();
        return 0;
    default:
        GENERAL_PROTECTION();
        return 0;
    }
}

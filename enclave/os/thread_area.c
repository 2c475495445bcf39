/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/thread_area.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "abi/exits.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/enclave.h"
#include "enclave/entry/entry.h"
#include "enclave/entry/sgx.h"
#include "enclave/lib/lib.h"
#include "platform/sgx_arch.h"

static uint64_t area_offset(uint32_t index)
{
    return enclave.configuration->threads_offset + index * (uint64_t)THREAD_AREA_SIZE;
}

struct thread_block *thread_area_block(uint32_t index)
{
    return (struct thread_block *)(enclave.base + area_offset(index) + THREAD_BLOCK);
}

/* Pages of the area, there and accepted: zero. */
static int pages_add(uint64_t offset, uint64_t length)
{
    int error = (int)exit_checked(EXIT_PAGES, 0, 0, PAGES_MAP, offset, length, PROT_READ | PROT_WRITE, 0, 0);
    if (error)
        return error;
    return sgx_accept(enclave.base + offset, length, SECINFO_R | SECINFO_W | SECINFO_REG | SECINFO_PENDING)
               ? -EIO
               : 0;
}

int thread_area_add(uint32_t index)
{
    uint64_t at = area_offset(index);
    /* The gaps between these stay without pages. */
    const struct {
        uint64_t offset, length;
    } parts[] = {
        {THREAD_TCS, PAGE_SIZE},
        {THREAD_SSA, THREAD_SSA_FRAMES * PAGE_SIZE},
        {THREAD_BLOCK, THREAD_BLOCK_SIZE},
        {THREAD_EVENT_STACK, THREAD_EVENT_STACK_SIZE},
        {THREAD_STACK, THREAD_STACK_SIZE},
    };
    int error = 0;
    for (size_t i = 0, next; i < ARRAY_SIZE(parts) && !error; i = next) {
        uint64_t end = parts[i].offset + parts[i].length;
        for (next = i + 1; next < ARRAY_SIZE(parts) && parts[next].offset == end; next++)
            end += parts[next].length;
        error = pages_add(at + parts[i].offset, end - parts[i].offset);
    }
    if (error)
        return error;

    struct sgx_tcs *tcs = (struct sgx_tcs *)(enclave.base + at + THREAD_TCS);
    tcs->ossa = at + THREAD_SSA;
    tcs->nssa = THREAD_SSA_FRAMES;
    tcs->oentry = (uint64_t)enclave_entry - enclave.base;
    tcs->ofsbase = tcs->ogsbase = at + THREAD_BLOCK;
    tcs->fslimit = tcs->gslimit = UINT32_MAX;
    arena_thread(thread_area_block(index), index);
    error = (int)exit_checked(EXIT_THREAD_AREA, 0, 0, index, 0, 0, 0, 0, 0);
    if (error)
        return error;
    /* From here on nobody but the CPU reads or writes that page, and what it holds is what we wrote. */
    return sgx_accept((uint64_t)tcs, PAGE_SIZE, SECINFO_TCS | SECINFO_MODIFIED) ? -EIO : 0;
}

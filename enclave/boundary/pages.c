/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/pages.h"

#include <sys/mman.h>

#include "abi/exits.h"
#include "abi/start.h"
#include "enclave/boundary/copy.h"
#include "enclave/boundary/exit.h"
#include "enclave/enclave.h"
#include "enclave/entry/sgx.h"
#include "enclave/lib/lib.h"

int pages_install(uint64_t at, void *from, uint64_t length, int protection)
{
    int64_t result = exit_checked(EXIT_PAGES, 0, PAGES_TO_ACCEPT, PAGES_MOVE, at - enclave.base, length,
                                  (uint64_t)protection, (uint64_t)from - enclave.base, 0);
    /* Said to be there already. On a CPU they cannot be, as the enclave has accepted none: then reading faults. */
    uint8_t byte;
    for (uint64_t page = 0; !result && (protection & PROT_READ) && page < length; page += PAGE_SIZE)
        if (copy_bytes(&byte, (const void *)(at + page), 1))
            violation("pages at 0x%lx are said to be there, and are not", at);
    if (result != PAGES_TO_ACCEPT)
        return (int)result;
    int error = sgx_accept_copy(at, (uint64_t)from, length);
    memset(from, 0, length);
    if (error)
        return -EIO;
    return (int)exit_checked(EXIT_PAGES, 0, 0, PAGES_PROTECT, at - enclave.base, length, (uint64_t)protection, 0, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/entry/sgx.h"

#include "abi/start.h"
#include "platform/sgx_arch.h"

uint64_t sgx_leaf(uint32_t leaf, const void *rbx, uint64_t rcx, uint64_t rdx);

struct secinfo {
    uint64_t flags;
    uint64_t reserved[7];
} __attribute__((aligned(64)));

int sgx_accept(uint64_t address, uint64_t length, uint64_t secinfo_flags)
{
    struct secinfo info = {.flags = secinfo_flags};
    for (uint64_t at = 0; at < length; at += PAGE_SIZE) {
        uint64_t error = sgx_leaf(ENCLU_EACCEPT, &info, address + at, 0);
        if (error)
            return (int)error;
    }
    return 0;
}

int sgx_accept_copy(uint64_t address, uint64_t source, uint64_t length)
{
    struct secinfo info = {.flags = SECINFO_R | SECINFO_W | SECINFO_REG};
    for (uint64_t at = 0; at < length; at += PAGE_SIZE) {
        uint64_t error = sgx_leaf(ENCLU_EACCEPTCOPY, &info, address + at, source + at);
        if (error)
            return (int)error;
    }
    return 0;
}

void sgx_extend(uint64_t address, uint64_t length, uint64_t secinfo_flags)
{
    struct secinfo info = {.flags = secinfo_flags};
    for (uint64_t at = 0; at < length; at += PAGE_SIZE)
        sgx_leaf(ENCLU_EMODPE, &info, address + at, 0);
}

void sgx_report(const struct sgx_targetinfo *target, const uint8_t data[64], struct sgx_report *out)
{
    sgx_leaf(ENCLU_EREPORT, target, (uint64_t)data, (uint64_t)out);
}

int sgx_key(const struct sgx_keyrequest *request, uint8_t key[16])
{
    return (int)sgx_leaf(ENCLU_EGETKEY, request, (uint64_t)key, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* SIGSTRUCT: who vouches for which enclave (SDM volume 3D, 35.14). RSA-3072 with exponent 3, PKCS
 * #1 v1.5, SHA-256. */
#ifndef PLATFORM_SIGSTRUCT_H
#define PLATFORM_SIGSTRUCT_H

#include <stdint.h>

#include "platform/sgx_arch.h"

/* What is signed. A bit of a mask that is 0 leaves that bit of the enclave's value open. */
struct sigstruct_claims {
    uint8_t mrenclave[32];
    uint64_t attributes, attributes_mask;
    uint64_t xfrm, xfrm_mask;
    uint32_t miscselect, miscselect_mask;
    uint32_t date; /* BCD yyyymmdd, 0: today */
    uint16_t isvprodid, isvsvn;
};

/* Of an enclave with just these attributes; its measurement is still to be filled in. */
static inline struct sigstruct_claims sigstruct_claims_of(uint64_t attributes, uint64_t xfrm,
                                                          uint32_t miscselect)
{
    return (struct sigstruct_claims){.attributes = attributes,
                                     .attributes_mask = UINT64_MAX,
                                     .xfrm = xfrm,
                                     .xfrm_mask = UINT64_MAX,
                                     .miscselect = miscselect,
                                     .miscselect_mask = UINT32_MAX};
}

/*
 * Signs with the PEM key at key_path; NULL: with the development key of this user, which is made at
 * first use in ${XDG_CACHE_HOME:-~/.cache}/rakis, or in memory alone where that cannot be written. What that
 * key has signed before is not signed anew (signed.h).
 * 0, or -errno with a sentence in platform_error().
 */
int sigstruct_sign(struct sgx_sigstruct *out, const char *key_path,
                   const struct sigstruct_claims *claims);

/* What EINIT checks: form, signature, and that it covers an enclave with this measurement and these
 * values. 0; -EINVAL: malformed; -EKEYREJECTED: the signature is wrong; -EPERM: it is of another
 * one. */
int sigstruct_verify(const struct sgx_sigstruct *sigstruct, const uint8_t mrenclave[32],
                     uint64_t attributes, uint64_t xfrm, uint32_t miscselect);

/* MRSIGNER: the hash of the modulus. */
void sigstruct_mrsigner(const struct sgx_sigstruct *sigstruct, uint8_t mrsigner[32]);

#endif

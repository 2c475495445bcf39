/* SPDX-License-Identifier: Apache-2.0 */
/* ENCLU leaves used from C (SDM volume 3D, chapter 39). */
#ifndef ENTRY_SGX_H
#define ENTRY_SGX_H

#include <stdint.h>

/* EACCEPT every page of the range: 0, or the first error of the leaf. Flags: SECINFO bits 0-15. */
int sgx_accept(uint64_t address, uint64_t length, uint64_t secinfo_flags);
/* EACCEPTCOPY every page of the range, from the pages at `source`: they are there with what is in it. As above. */
int sgx_accept_copy(uint64_t address, uint64_t source, uint64_t length);
/* EMODPE: extend permissions. */
void sgx_extend(uint64_t address, uint64_t length, uint64_t secinfo_flags);

struct sgx_targetinfo;
struct sgx_report;
struct sgx_keyrequest;
/* EREPORT: a report of this enclave for the target. data: 128-aligned. */
void sgx_report(const struct sgx_targetinfo *target, const uint8_t data[64], struct sgx_report *out);
/* EGETKEY: 0, or the leaf's error. key: 16-aligned. */
int sgx_key(const struct sgx_keyrequest *request, uint8_t key[16]);

#endif

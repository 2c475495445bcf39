/* SPDX-License-Identifier: Apache-2.0 */
/* Structures and numbers of SGX as Intel's SDM volume 3D lays them out. */
#ifndef PLATFORM_SGX_ARCH_H
#define PLATFORM_SGX_ARCH_H

#include <stddef.h>
#include <stdint.h>

/* ENCLU leaves (SDM 3D, table of ENCLU) */
enum enclu_leaf {
    ENCLU_EREPORT = 0,
    ENCLU_EGETKEY = 1,
    ENCLU_EENTER = 2,
    ENCLU_ERESUME = 3,
    ENCLU_EEXIT = 4,
    ENCLU_EACCEPT = 5,
    ENCLU_EMODPE = 6,
    ENCLU_EACCEPTCOPY = 7,
};

/* SECINFO.FLAGS (SDM 3D 35.12) */
#define SECINFO_R 0x1ull
#define SECINFO_W 0x2ull
#define SECINFO_X 0x4ull
#define SECINFO_PENDING 0x8ull
#define SECINFO_MODIFIED 0x10ull
#define SECINFO_PR 0x20ull
#define SECINFO_TCS 0x100ull
#define SECINFO_REG 0x200ull

#define ATTRIBUTE_INIT 0x1ull
#define ATTRIBUTE_DEBUG 0x2ull
#define ATTRIBUTE_MODE64BIT 0x4ull
#define MISCSELECT_EXINFO 0x1u

/* XFRM: x87, SSE, AVX, AVX-512 */
#define XFRM_LEGACY 0x3ull
#define XFRM_AVX 0x4ull
#define XFRM_AVX512 0xe0ull

struct sgx_tcs {
    uint64_t state, flags, ossa;
    uint32_t cssa, nssa;
    uint64_t oentry, aep, ofsbase, ogsbase;
    uint32_t fslimit, gslimit;
    uint8_t reserved[4024];
};

/* The end of an SSA frame (SDM 3D 35.9.1.1) */
struct sgx_gpr {
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rflags, rip, ursp, urbp;
    uint32_t exitinfo; /* vector 0-7, type 8-10, valid 31 */
    uint32_t reserved;
    uint64_t fsbase, gsbase;
};

#define EXITINFO_VALID 0x80000000u
#define EXITINFO_HARDWARE (3u << 8)
#define EXITINFO_SOFTWARE (6u << 8)

/* MISC region, just before the GPRs, when MISCSELECT.EXINFO is set (SDM 3D 35.9.2) */
struct sgx_exinfo {
    uint64_t maddr;
    uint32_t errcd;
    uint32_t reserved;
};

struct sgx_sigstruct {
    uint8_t header[16];
    uint32_t vendor;
    uint32_t date; /* BCD yyyymmdd */
    uint8_t header2[16];
    uint32_t swdefined;
    uint8_t reserved1[84];
    uint8_t modulus[384];
    uint32_t exponent;
    uint8_t signature[384];
    uint32_t miscselect;
    uint32_t miscmask;
    uint8_t reserved2[4];
    uint8_t isvfamilyid[16];
    uint64_t attributes, xfrm;
    uint64_t attributesmask, xfrmmask;
    uint8_t enclavehash[32];
    uint8_t reserved3[16];
    uint8_t isvextprodid[16];
    uint16_t isvprodid;
    uint16_t isvsvn;
    uint8_t reserved4[12];
    uint8_t q1[384];
    uint8_t q2[384];
} __attribute__((packed));

/* SDM 3D 35.15: what EREPORT makes */
struct sgx_report {
    uint8_t cpusvn[16];
    uint32_t miscselect;
    uint8_t cet_attributes;
    uint8_t reserved1[11];
    uint8_t isvextprodid[16];
    uint64_t attributes, xfrm;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t configid[64];
    uint16_t isvprodid, isvsvn, configsvn;
    uint8_t reserved4[42];
    uint8_t isvfamilyid[16];
    uint8_t data[64];
    uint8_t keyid[32];
    uint8_t mac[16];
} __attribute__((aligned(512)));

#define REPORT_MAC_COVERS 384 /* bytes from the start */
#define REPORT_SIZE 432

/* SDM 3D 35.16: whom a report is for */
struct sgx_targetinfo {
    uint8_t mrenclave[32];
    uint64_t attributes, xfrm;
    uint8_t cet_attributes;
    uint8_t reserved1;
    uint16_t configsvn;
    uint32_t miscselect;
    uint8_t reserved2[8];
    uint8_t configid[64];
    uint8_t reserved3[384];
} __attribute__((aligned(512)));

/* SDM 3D 35.17: what EGETKEY is asked */
struct sgx_keyrequest {
    uint16_t keyname, keypolicy, isvsvn;
    uint8_t cet_attributes_mask;
    uint8_t reserved1;
    uint8_t cpusvn[16];
    uint64_t attributemask, xfrmmask;
    uint8_t keyid[32];
    uint32_t miscmask;
    uint16_t configsvn;
    uint8_t reserved2[434];
} __attribute__((aligned(512)));

#define KEYNAME_REPORT 3
#define KEYNAME_SEAL 4
#define KEYPOLICY_MRENCLAVE 1
#define KEYPOLICY_MRSIGNER 2

/* What EGETKEY leaves in RAX */
#define SGX_INVALID_ATTRIBUTE 2
#define SGX_INVALID_CPUSVN 32
#define SGX_INVALID_ISVSVN 64
#define SGX_INVALID_KEYNAME 256

_Static_assert(sizeof(struct sgx_tcs) == 4096, "TCS is a page");
_Static_assert(sizeof(struct sgx_gpr) == 184, "GPRSGX is 184 bytes");
_Static_assert(sizeof(struct sgx_sigstruct) == 1808, "SIGSTRUCT is 1808 bytes");
_Static_assert(sizeof(struct sgx_report) == 512, "REPORT is 432 bytes, aligned to 512");
_Static_assert(offsetof(struct sgx_report, configid) == 192, "");
_Static_assert(offsetof(struct sgx_report, isvfamilyid) == 304, "");
_Static_assert(offsetof(struct sgx_report, keyid) == REPORT_MAC_COVERS, "");
_Static_assert(offsetof(struct sgx_report, mac) == REPORT_SIZE - 16, "");
_Static_assert(sizeof(struct sgx_targetinfo) == 512, "TARGETINFO is 512 bytes");
_Static_assert(sizeof(struct sgx_keyrequest) == 512, "KEYREQUEST is 512 bytes");

#endif

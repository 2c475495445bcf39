/* SPDX-License-Identifier: Apache-2.0 */
/* Syscall sites of an ELF file that can be replaced by a jump. Made by host/sites, applied by
 * enclave/load/patch. */
#ifndef ABI_SITES_H
#define ABI_SITES_H

#include <stdint.h>

#define SITES_MAGIC 0x3153455449535352ull
#define SITES_MAX 16384

/*
 * The window is `length` bytes of the file from `offset`, whole instructions, among them one
 * `syscall` (0f 05) at window + syscall. Nothing in the file jumps into the window but to its first
 * byte. Every displaced instruction is position-independent: no relative operand, no branch.
 * At least 5 bytes, at most SITE_WINDOW_MAX.
 */
#define SITE_WINDOW_MAX 24

struct site {
    uint64_t offset; /* in the file */
    uint64_t shape;  /* length | syscall << 8 */
};

struct site_list {
    uint64_t magic;
    uint64_t count;       /* of sites[] */
    uint64_t unlisted;    /* syscall sites found that cannot be rewritten */
    uint64_t file_size;
    struct site sites[];
};

#endif

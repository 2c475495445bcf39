/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: a flat blob in measured, read-only pages of the enclave. Compiled outside; every
 * offset is relative to the start of the blob and is checked by the enclave before use.
 */
#ifndef ABI_CONFIG_H
#define ABI_CONFIG_H

#include <stdint.h>

#define CONFIGURATION_MAGIC 0x31474643534b4152ull /* "RAKSCFG1" */

enum configuration_flag {
    CONFIGURATION_DEVELOPMENT = 1u << 0, /* everything allowed, sites taken from the host */
    CONFIGURATION_RINGS = 1u << 1,       /* --io rings (else exits) */
    CONFIGURATION_SQPOLL = 1u << 3,      /* --sqpoll */
    CONFIGURATION_STATISTICS = 1u << 2,  /* publish counters in the arena */
    CONFIGURATION_HOST_NAMES = 1u << 4,  /* the program is told the host's name and its name servers */
};

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* A string table: count offsets (uint32_t) to NUL-terminated strings. */
struct configuration_strings {
    uint32_t count;
    uint32_t offsets; /* of the array, in the blob, 4-aligned */
};

struct configuration {
    uint64_t magic;
    uint64_t version; /* ABI_VERSION */
    uint64_t size;    /* of the whole blob, this included */
    uint64_t enclave_size;
    uint64_t threads;        /* thread areas that there may be */
    uint64_t threads_present; /* and those that are there from the start */
    uint64_t threads_offset; /* of the first, within the enclave */
    uint64_t image_offset;   /* of the image: dynamic pages end there */
    uint64_t dynamic_offset; /* where dynamic pages start, within the enclave */
    uint64_t flags;          /* enum configuration_flag */
    uint64_t log_level;
    uint64_t stack_size; /* of the program's main thread, bytes */
    uint32_t program;    /* offset of the path of the program, as looked up */
    uint32_t net_threads; /* threads of the enclave's own that drain XSKs */
    struct configuration_strings arguments;
    struct configuration_strings environment;
    struct configuration_strings interfaces; /* names given with --iface */
};

#endif

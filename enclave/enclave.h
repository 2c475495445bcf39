/* SPDX-License-Identifier: Apache-2.0 */
/* The one mutable global of the enclave's start-up facts: set once before the program runs. */
#ifndef ENCLAVE_ENCLAVE_H
#define ENCLAVE_ENCLAVE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/config.h"
#include "abi/start.h"

struct enclave {
    uint64_t base; /* of the enclave's range */
    uint64_t size;
    uint64_t image; /* address of the image: dynamic pages end there */
    uint64_t dynamic; /* address of the first dynamic page: the program's part starts here */
    uint64_t program_end; /* and ends here: the LibOS's own pages follow */
    const struct configuration *configuration;
    struct start_parameters start; /* as copied in and checked */
    bool rings;                    /* --io rings */
    bool sqpoll; /* a thread of the kernel submits */
};

extern struct enclave enclave;

/* A string of the configuration, and one of a table of offsets: stops the enclave where it is not within. */
const char *configuration_string(uint32_t offset);
uint32_t configuration_strings(const struct configuration_strings *table, uint32_t index);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What is looked up in the configuration lies within it. */
#include "enclave/boundary/log.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"

const char *configuration_string(uint32_t offset)
{
    const struct configuration *c = enclave.configuration;
    if (offset >= c->size || strnlen((const char *)c + offset, c->size - offset) == c->size - offset)
        panic("the configuration has a string outside itself");
    return (const char *)c + offset;
}

uint32_t configuration_strings(const struct configuration_strings *table, uint32_t index)
{
    const struct configuration *c = enclave.configuration;
    if (index >= table->count || table->offsets % 4 || table->offsets > c->size ||
        (c->size - table->offsets) / 4 < table->count)
        panic("the configuration has a table outside itself");
    return ((const uint32_t *)((const char *)c + table->offsets))[index];
}

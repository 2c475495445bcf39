/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_CONFIGURATION_H
#define HOST_CONFIGURATION_H

#include "abi/config.h"
#include "host/host.h"

/*
 * The configuration of an enclave that runs what the options say, complete but for its threads and
 * offsets, which depend on its size. In whole pages, the rest zero; the caller frees it.
 * NULL with errno when there is no memory or the strings are too many (E2BIG).
 */
struct configuration *configuration_make(const struct run_options *options);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* EXIT_COMMON, see abi/common.h. */
#ifndef HOST_COMMON_H
#define HOST_COMMON_H

#include <stdint.h>

#include "abi/exits.h"

/* In the child of a fork. */
void common_host_forked(void);
int64_t common_host(const uint64_t argument[EXIT_ARGUMENTS]);

#endif

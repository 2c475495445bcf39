/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon does without once it is ready. */
#ifndef XDP_PRIVILEGE_H
#define XDP_PRIVILEGE_H

#include <stdint.h>

/* Keep these capabilities of those that there are (bits), and gain none by executing anything. Best effort. */
void privilege_keep(uint64_t capabilities);
/* From here on only system calls that serving clients takes. 0 or -errno. */
int privilege_calls(void);

#endif

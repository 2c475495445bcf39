/* SPDX-License-Identifier: Apache-2.0 */
/* Children: which processes this one has made and not yet waited for. */
#ifndef OS_WAIT_H
#define OS_WAIT_H

#include <stdbool.h>

/* Before the child can end. 0 or -ENOMEM. */
int children_add(int pid);
void children_remove(int pid);
bool children_have(int pid);
/* Is there any? */
bool children_any(void);
/* In a process that was just made: it has none. */
void children_clear(void);

#endif

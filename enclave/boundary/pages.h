/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of the program's that appear with what is in them: there is no moment at which another thread sees them empty. */
#ifndef BOUNDARY_PAGES_H
#define BOUNDARY_PAGES_H

#include <stdint.h>

/* At `at`, where no page is, with what is in those of the LibOS at `from`, which read as zero afterwards. `protection`:
 * PROT_ bits, with PROT_READ or PROT_EXEC. 0 or -errno; that the host only says so is a violation. */
int pages_install(uint64_t at, void *from, uint64_t length, int protection);

#endif

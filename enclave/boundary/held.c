/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/held.h"

#include <stddef.h>

#ifdef __FRAMAC__
/*@ requires i < HOST_FD_LIMIT / HELD_PAGE;
    assigns \result \from \nothing;
    ensures \result == \null || (\result == held_bytes + i * HELD_PAGE &&
            \forall integer k; 0 <= k < HELD_PAGE ==> \result[k] == 0); */
bool *page_new(uint32_t i);
#else
#include "enclave/lib/lib.h"

/* Page number i, all zero. */
static bool *page_new(uint32_t i)
{
    (void)i;
    return alloc(HELD_PAGE);
}
#endif

int held_add(struct held_descriptors *h, uint32_t fd)
{
    bool **page = &h->page[fd / HELD_PAGE];
    if (!*page)
        *page = page_new(fd / HELD_PAGE);
    if (!*page)
        return -ENOMEM;
    if ((*page)[fd % HELD_PAGE])
        return -EEXIST;
    (*page)[fd % HELD_PAGE] = true;
    return 0;
}

void held_remove(struct held_descriptors *h, uint32_t fd)
{
    bool *page = h->page[fd / HELD_PAGE];
    if (page)
        page[fd % HELD_PAGE] = false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A receiver that is never the limit: counts UDP datagrams for a port as they arrive, drops them.
 *
 *   xdp_counter IFACE PORT
 *
 * Says "ready"; at the end of its standard input prints the count.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/counter.h"

int main(int words, char **word)
{
    if (words != 3) {
        fprintf(stderr, "usage: xdp_counter IFACE PORT\n");
        return 2;
    }
    if (counter_start(word[1], (uint16_t)atoi(word[2])))
        return 1;
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    printf("%" PRIu64 "\n", counter_read());
    return 0;
}

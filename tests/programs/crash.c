/* SPDX-License-Identifier: Apache-2.0 */
/* Ends by a signal in the way that it is told. */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int innermost(volatile char *address)
{
    *address = 1;
    return *address + 1;
}

static volatile int result;

static int compare(const void *a, const void *b)
{
    return innermost((char *)0x1234) + (a < b);
}

static void handler(int signal)
{
    result = innermost((char *)0x5678) + signal;
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    int numbers[3] = {3, 2, 1};
    if (!strcmp(way, "write"))
        qsort(numbers, 3, sizeof *numbers, compare);
    if (!strcmp(way, "handler")) {
        signal(SIGUSR1, handler);
        raise(SIGUSR1);
    }
    if (!strcmp(way, "jump"))
        ((void (*)(void))(uintptr_t)0x10)();
    if (!strcmp(way, "abort"))
        abort();
    if (!strcmp(way, "sleep"))
        for (;;)
            pause();
    return 0;
}

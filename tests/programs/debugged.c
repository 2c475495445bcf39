/* SPDX-License-Identifier: Apache-2.0 */
/* A program to look into: debugged wait (in pause, from nested functions) | burn (computes for good) */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile long turns;

__attribute__((noinline)) static void burning(long n)
{
    for (long i = 0; i < n; i++)
        turns += i & 3;
}

__attribute__((noinline)) static int inner(int argument)
{
    pause();
    return argument + 1;
}

__attribute__((noinline)) static int outer(int argument)
{
    return inner(argument * 2) + 1;
}

int main(int argc, char **argv)
{
    puts("ready");
    fflush(stdout);
    if (argc > 1 && !strcmp(argv[1], "wait"))
        return outer(21);
    for (;;) {
        burning(100000);
        getppid();
    }
}

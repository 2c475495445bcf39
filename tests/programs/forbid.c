/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program as containers do: io_uring is refused by a seccomp filter. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **words)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (count < 2 || !filter ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(io_uring_setup), 0) ||
        seccomp_load(filter)) {
        fprintf(stderr, "usage: forbid PROGRAM [ARG...]\n");
        return 2;
    }
    execv(words[1], words + 1);
    perror(words[1]);
    return 127;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* rakis: runs unmodified Linux programs in SGX enclaves. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

void complain(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "rakis: %s\n", line);
}

static void help(void)
{
    puts("usage: rakis run [OPTION...] [--] PROGRAM [ARG...]\n"
         "       rakis doctor [--json]\n"
         "       rakis help run|doctor\n"
         "       rakis --version\n"
         "\n"
         "run     runs an unmodified Linux program in an SGX enclave, its I/O over rings shared with\n"
         "        the kernel\n"
         "doctor  says what this machine offers to it, and what to do about what it lacks");
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (!strcmp(word, "run"))
        return command_run(argc - 1, argv + 1);
    if (!strcmp(word, "doctor"))
        return command_doctor(argc - 1, argv + 1);
    if (!strcmp(word, "--version")) {
        puts("rakis " RAKIS_VERSION);
        return 0;
    }
    if (!strcmp(word, "help") && argc > 2 && !strcmp(argv[2], "run")) {
        help_run();
        return 0;
    }
    if (!strcmp(word, "help") && argc > 2 && !strcmp(argv[2], "doctor")) {
        help_doctor();
        return 0;
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || (!strcmp(word, "help") && argc == 2)) {
        help();
        return 0;
    }
    if (!strcmp(word, "help"))
        complain("there is no help about '%s': try rakis --help", argv[2]);
    else if (*word)
        complain("there is no command '%s': try rakis --help", word);
    else
        complain("a command is missing: try rakis --help");
    return STATUS_USAGE;
}

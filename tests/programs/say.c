/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *where;

void say(const char *name, const char *format, ...)
{
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("%s%s%s: %s\n", where ? where : "", where ? ": " : "", name, text);
    fflush(stdout);
}

const char *error_name(int error)
{
    return error ? strerrorname_np(error) : "none";
}

void say_result(const char *name, long result)
{
    if (result < 0)
        say(name, "%s", error_name(errno));
    else
        say(name, "%ld", result);
}

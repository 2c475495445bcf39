/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/enclave.h"

#include <stdarg.h>
#include <stdio.h>

bool platform_fs_lost;
static __thread char message[256];

const char *platform_error(void)
{
    return message[0] ? message : "unknown error";
}

void platform_set_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/log.h"

#include "enclave/boundary/backtrace.h"
#include "enclave/boundary/exit.h"
#include "enclave/lib/lib.h"

int log_threshold = LOG_WARNING;

#define LINE_MAX_ 400
#define STATUS_SIGNALLED_ABORT 6

static void emit(enum log_level level, const char *format, va_list arguments)
{
    char line[LINE_MAX_];
    int length = print_vformat(line, sizeof line, format, arguments);
    exit_log((int)level, line, (size_t)MIN(length, (int)sizeof line - 1));
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level > log_threshold)
        return;
    va_list arguments;
    va_start(arguments, format);
    emit(level, format, arguments);
    va_end(arguments);
}

_Noreturn void panic(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    emit(LOG_ERROR, format, arguments);
    va_end(arguments);
    if (backtrace_allowed())
        backtrace_own((uint64_t)__builtin_return_address(0), *(const uint64_t *)__builtin_frame_address(0));
    exit_process(STATUS_SIGNALLED_ABORT);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of --log trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/trace.h"

int log_threshold = LOG_TRACE;
static char line[400];

void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;
    assert_int_equal(level, LOG_TRACE);
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
}

/* What lies below is nobody's. */
#define WRONG 0x1000

int user_read(void *to, const void *from, size_t length)
{
    if ((uintptr_t)from <= WRONG)
        return -14;
    memcpy(to, from, length);
    return 0;
}

int64_t user_string(char *to, const char *from, size_t size)
{
    if ((uintptr_t)from <= WRONG)
        return -14;
    size_t n = strnlen(from, size);
    memcpy(to, from, n < size ? n + 1 : size);
    return n < size ? (int64_t)n : -36;
}

static void check(const char *expected, int64_t result, uint64_t number, ...)
{
    uint64_t argument[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        argument[i] = va_arg(arguments, uint64_t);
    va_end(arguments);
    trace_call(7, number, argument, result, false);
    assert_string_equal(line, expected);
}

#define CHECK(expected, result, number, a, b, c, d, e, f)                                          \
    check(expected, result, number, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d),    \
          (uint64_t)(e), (uint64_t)(f))

static void files_and_bytes(void **state)
{
    (void)state;
    CHECK("7 openat(AT_FDCWD, \"/a \\\"b\\\"\", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3", 3, SYS_openat, AT_FDCWD,
          "/a \"b\"", O_RDWR | O_CREAT | O_CLOEXEC, 0644, 0, 0);
    CHECK("7 openat(5, 0x1000, O_RDONLY, 0) = -1 EFAULT", -14, SYS_openat, 5, WRONG, 0, 0, 0, 0);
    CHECK("7 write(1, \"x\\n\\1\\0012\", 5) = 5", 5, SYS_write, 1, "x\n\1\0012", 5, 0, 0, 0);
    CHECK("7 read(0, \"0123456789012345678901234567890\\\"\"..., 100) = 40", 40, SYS_read, 0,
          "0123456789012345678901234567890\"23456789", 100, 0, 0, 0);
    CHECK("7 read(0, NULL, 0) = -1 EAGAIN", -11, SYS_read, 0, 0, 0, 0, 0, 0);
    CHECK("7 lseek(3, -5, SEEK_END) = 95", 95, SYS_lseek, 3, -5, SEEK_END, 0, 0, 0);
}

static void memory(void **state)
{
    (void)state;
    CHECK("7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0) = 0x7f0000000000",
          0x7f0000000000, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK("7 mprotect(0x10000, 4096, PROT_NONE) = 0", 0, SYS_mprotect, 0x10000, 4096, PROT_NONE, 0, 0, 0);
    CHECK("7 madvise(0x10000, 4096, 0x4d2) = -1 EINVAL", -22, SYS_madvise, 0x10000, 4096, 1234, 0, 0, 0);
}

static void sockets_and_waiting(void **state)
{
    (void)state;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x0a000001)};
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    CHECK("7 connect(4, {AF_INET, 10.0.0.1:80}, 16) = 0", 0, SYS_connect, 4, &in, sizeof in, 0, 0, 0);
    CHECK("7 bind(4, {AF_UNIX, \"/run/x\"}, 110) = 0", 0, SYS_bind, 4, &un, sizeof un, 0, 0, 0);
    struct pollfd p[2] = {{3, POLLIN, POLLIN}, {4, POLLOUT, 0}};
    CHECK("7 poll([{3, 0x1 -> 0x1}, {4, 0x4}], 2, -1) = 1", 1, SYS_poll, p, 2, -1, 0, 0, 0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 9};
    CHECK("7 epoll_ctl(5, EPOLL_CTL_ADD, 3, [{EPOLLIN|EPOLLET, 0x9}]) = 0", 0, SYS_epoll_ctl, 5, EPOLL_CTL_ADD, 3, &e,
          0, 0);
    CHECK("7 epoll_wait(5, [], 10, 100) = 0", 0, SYS_epoll_wait, 5, &e, 10, 100, 0, 0);
    int word = 0;
    char expected[100];
    snprintf(expected, sizeof expected, "7 futex(%p, FUTEX_WAIT|FUTEX_PRIVATE_FLAG, 2, 0x0, NULL, 0x0) = -1 EAGAIN",
             (void *)&word);
    CHECK(expected, -11, SYS_futex, &word, 128, 2, 0, 0, 0);
}

static void others(void **state)
{
    (void)state;
    CHECK("7 kill(7, SIGTERM) = 0", 0, SYS_kill, 7, SIGTERM, 0, 0, 0, 0);
    CHECK("7 syscall_5000(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS", -38, 5000, 1, 2, 3, 4, 5, 6);
    CHECK("7 getpid() = 7", 7, SYS_getpid, 1, 2, 3, 4, 5, 6);
    CHECK("7 pause() = ? (to be made again)", RESTART_SYS, SYS_pause, 0, 0, 0, 0, 0, 0);
    const uint64_t argument[6] = {3};
    trace_last_call(8, SYS_exit_group, argument);
    assert_string_equal(line, "8 exit_group(3)");
    /* Whatever the program gives, the line has an end. */
    static char path[4000];
    memset(path, 1, sizeof path - 1);
    const uint64_t two[6] = {(uint64_t)path, (uint64_t)path};
    trace_call(7, SYS_rename, two, 0, true);
    assert_true(strlen(line) < sizeof line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_bytes),
        cmocka_unit_test(memory),
        cmocka_unit_test(sockets_and_waiting),
        cmocka_unit_test(others),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that lies, by seed: results are made up and what calls wrote is scribbled over. The calls
 * may fail or the enclave may stop; it must not touch memory that is not its own (the sanitizers
 * say so) nor hand out an address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enclave/enclave.h"
#include "enclave/os/files.h"
#include "tests/unit/files_world.h"

#define SEEDS 400

static void use_files(void)
{
    static char buffer[5000];
    struct stat s;
    struct statx x;
    int fds[2] = {-1, -1};
    CALL(pipe2, fds, O_NONBLOCK);
    CALL(write, fds[1], buffer, 100);
    CALL(read, fds[0], buffer, sizeof buffer);
    struct iovec v[3] = {{buffer, 10}, {buffer + 11, 200}, {buffer + 1000, 3000}};
    CALL(writev, fds[1], v, 3);
    CALL(readv, fds[0], v, 3);
    int f = (int)CALL(open, "/etc/passwd", O_RDONLY);
    CALL(fstat, f, &s);
    CALL(statx, f, "", AT_EMPTY_PATH, STATX_ALL, &x);
    CALL(pread64, f, buffer, sizeof buffer, 1);
    CALL(preadv2, f, v, 3, 1, 0);
    CALL(fcntl, f, F_GETFL);
    int d = (int)CALL(open, "/etc", O_RDONLY | O_DIRECTORY);
    CALL(getdents64, d, buffer, sizeof buffer);
    CALL(readlink, "/proc/self/exe", buffer, sizeof buffer);
    CALL(readlink, "/proc/mounts", buffer, 7);
    CALL(getcwd, buffer, sizeof buffer);
    int status = (int)CALL(open, "/proc/self/status", O_RDONLY);
    CALL(read, status, buffer, sizeof buffer);
    int line = (int)CALL(open, "/proc/self/stat", O_RDONLY);
    CALL(read, line, buffer, sizeof buffer);
    CALL(ioctl, fds[0], FIONREAD, &f);
    CALL(getxattr, "/etc", "user.x", buffer, sizeof buffer);
}

static void use_sockets(void)
{
    static char buffer[5000];
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    int pair[2] = {-1, -1};
    CALL(socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
    CALL(sendto, pair[0], buffer, 4000, MSG_NOSIGNAL, NULL, 0);
    CALL(recvfrom, pair[1], buffer, sizeof buffer, MSG_DONTWAIT, &a, &n);
    char control[256] = {0};
    struct iovec v[2] = {{buffer, 10}, {buffer + 11, 200}};
    struct msghdr m = {.msg_name = &a,
                       .msg_namelen = sizeof a,
                       .msg_iov = v,
                       .msg_iovlen = 2,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    CALL(write, pair[0], buffer, 100);
    CALL(recvmsg, pair[1], &m, MSG_DONTWAIT);
    n = sizeof a;
    CALL(getsockname, pair[0], &a, &n);
    n = 16;
    CALL(getsockopt, pair[0], SOL_SOCKET, SO_TYPE, buffer, &n);
    struct ifconf c = {.ifc_len = sizeof buffer, .ifc_buf = buffer};
    CALL(ioctl, pair[0], SIOCGIFCONF, &c);
}

static void use_cached_files(void)
{
    static char buffer[300000], path[] = "/tmp/rakis-hostile-XXXXXX";
    struct stat s;
    int made = mkstemp(path); /* by the world itself: the host may lie to us about all of it */
    enclave.rings = true;
    world_catch_faults();
    int f = (int)CALL(open, path, O_RDWR), g = (int)CALL(open, path, O_RDWR);
    int readable = open(path, O_RDONLY);
    unlink(path);
    for (int n = 0; n < 2000; n++)
        CALL(write, f, buffer, n % 300);
    CALL(lseek, f, 0, SEEK_SET);
    for (int n = 0; n < 300; n++)
        CALL(read, f, buffer, 1 + n * 7);
    CALL(pwrite64, g, buffer, 1000, 77);
    for (int n = 0; n < 100; n++)
        CALL(pread64, g, buffer, 4096, n * 4096);
    CALL(ftruncate, f, 100000);
    for (int n = 0; n < 100; n++)
        CALL(pread64, g, buffer, 4096, n * 4096);
    CALL(fcntl, f, F_SETFL, O_APPEND);
    for (int n = 0; n < 100; n++)
        CALL(write, f, buffer, 5000);
    CALL(sendfile, g, f, NULL, 1000);
    struct file *adopted = host_file_adopt(readable); /* as a shell hands it over */
    int r = adopted ? file_install(adopted, 0, false) : -1;
    for (int n = 0; n < 300; n++) {
        CALL(read, r, buffer, 1 + n * 7);
        if (n % 50 == 0)
            CALL(fsync, f);
    }
    CALL(close, r);
    CALL(fsync, f);
    CALL(fstat, g, &s);
    CALL(close, g);
    CALL(close, f);
    close(made);
}

static void use_waiting(void)
{
    static struct inner i;
    i = (struct inner){.ready = 0, .host_fd = -1, .net = true};
    int fds[2] = {-1, -1};
    CALL(pipe2, fds, O_NONBLOCK);
    CALL(write, fds[1], "x", 1);
    struct pollfd p[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLOUT, 0}};
    CALL(poll, p, 2, 0);
    fd_set in;
    FD_ZERO(&in);
    if (fds[0] >= 0)
        FD_SET(fds[0], &in);
    struct timeval now = {0, 0};
    CALL(select, 64, &in, NULL, NULL, &now);
    int e = (int)CALL(epoll_create1, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1}, out[64];
    CALL(epoll_ctl, e, EPOLL_CTL_ADD, fds[0], &event);
    CALL(epoll_wait, e, out, 64, 0);
    CALL(epoll_ctl, e, EPOLL_CTL_ADD, world_inner(&i), &event);
    for (int n = 0; n < 5; n++)
        CALL(epoll_wait, e, out, 64, 0);
    CALL(close, fds[0]);
    CALL(epoll_wait, e, out, 64, 0);
}

static void nothing_breaks(void **state)
{
    (void)state;
    void (*const uses[])(void) = {use_files, use_sockets, use_waiting, use_cached_files};
    for (int seed = 1; seed <= SEEDS; seed++) {
        pid_t child = fork();
        if (!child) {
            alarm(10);
            world.hostile = (uint64_t)seed * 0x9e3779b97f4a7c15ull;
            uses[seed % 4]();
            _exit(0);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (status)
            fail_msg("seed %d: status 0x%x", seed, status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_breaks)};
    return cmocka_run_group_tests(tests, world_start, NULL);
}

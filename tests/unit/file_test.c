/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, bytes, paths, sockets: what a program sees of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "enclave/boundary/hostcall.h"
#include "tests/unit/files_world.h"

static char directory[] = "/tmp/rakis-file-test-XXXXXX";

static const char *in_directory(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int start(void **state)
{
    if (!mkdtemp(directory))
        return -1;
    return world_start(state);
}

static int finish(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void descriptors_are_lowest_first(void **state)
{
    (void)state;
    int a = (int)CALL(dup, 1), b = (int)CALL(dup, 1), c = (int)CALL(dup, 1);
    assert_true(a >= 3);
    assert_int_equal(b, a + 1);
    assert_int_equal(c, a + 2);
    assert_int_equal(CALL(close, b), 0);
    assert_int_equal(CALL(close, b), -EBADF);
    assert_int_equal(CALL(dup, 0), b);
    assert_int_equal(CALL(fcntl, 0, F_DUPFD, a), c + 1);
    assert_int_equal(CALL(fcntl, 0, F_DUPFD, 500), 500);
    assert_int_equal(CALL(close_range, a, 600, 0), 0);
    assert_int_equal(CALL(dup, 1), a);
    assert_int_equal(CALL(close, a), 0);
}

static void descriptors_end_at_the_limit(void **state)
{
    (void)state;
    world.no_file = 70;
    int64_t fd;
    int last = -1;
    while ((fd = CALL(dup, 0)) >= 0)
        last = (int)fd;
    assert_int_equal(fd, -EMFILE);
    assert_int_equal(last, 69);
    assert_int_equal(CALL(dup2, 0, 70), -EBADF);
    assert_int_equal(CALL(fcntl, 0, F_DUPFD, 70), -EINVAL);
    world.no_file = 1024;
    assert_int_equal(CALL(dup2, 0, 1023), 1023);
    assert_int_equal(CALL(close_range, 3, ~0u, 0), 0);
    assert_int_equal(CALL(fcntl, 1023, F_GETFD), -EBADF);
}

static void close_on_exec_belongs_to_the_descriptor(void **state)
{
    (void)state;
    int a = (int)CALL(fcntl, 0, F_DUPFD_CLOEXEC, 3), b = (int)CALL(dup, a);
    assert_int_equal(CALL(fcntl, a, F_GETFD), FD_CLOEXEC);
    assert_int_equal(CALL(fcntl, b, F_GETFD), 0);
    assert_int_equal(CALL(fcntl, b, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(CALL(ioctl, a, FIONCLEX), 0);
    assert_int_equal(CALL(fcntl, a, F_GETFD), 0);
    assert_int_equal(CALL(fcntl, b, F_GETFD), FD_CLOEXEC);
    CALL(close_range, a, b, 0);
}

static void duplicates_share_position_and_flags(void **state)
{
    (void)state;
    char c;
    int fd = (int)CALL(open, in_directory("shared"), O_RDWR | O_CREAT, 0600),
        other = (int)CALL(dup, fd);
    assert_int_equal(CALL(write, fd, "abc", 3), 3);
    assert_int_equal(CALL(lseek, other, 1, SEEK_SET), 1);
    assert_int_equal(CALL(read, fd, &c, 1), 1);
    assert_int_equal(c, 'b');
    assert_int_equal(CALL(fcntl, other, F_SETFL, O_APPEND), 0);
    assert_true(CALL(fcntl, fd, F_GETFL) & O_APPEND);
    CALL(close, fd);
    assert_int_equal(CALL(write, other, "d", 1), 1);
    assert_int_equal(CALL(lseek, other, 0, SEEK_END), 4);
    CALL(close, other);
}

static void a_large_file_moves_whole(void **state)
{
    (void)state;
    size_t size = 700001; /* several rooms, and no multiple of anything */
    uint8_t *out = malloc(size), *in = calloc(1, size);
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(i * 7 + i / 251);
    int fd = (int)CALL(open, in_directory("large"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(CALL(write, fd, out, size), size);
    struct stat s;
    assert_int_equal(CALL(fstat, fd, &s), 0);
    assert_int_equal(s.st_size, size);
    assert_int_equal(CALL(pread64, fd, in, size, 0), size);
    assert_memory_equal(in, out, size);
    assert_int_equal(CALL(pread64, fd, in, size, 100), size - 100);
    assert_memory_equal(in, out + 100, size - 100);

    struct iovec v[] = {{in, 3}, {in + 3, 299998}, {NULL, 0}, {in + 300001, 400000}};
    memset(in, 0, size);
    assert_int_equal(CALL(preadv, fd, v, 4, 0), size);
    assert_memory_equal(in, out, size);
    struct iovec w[] = {
        {out, 5}, {out + 5, 200002}, {out + 200007, 1}, {out + 200008, size - 200008}};
    assert_int_equal(CALL(pwritev, fd, w, 4, 10), size);
    assert_int_equal(CALL(pread64, fd, in, size, 10), size);
    assert_memory_equal(in, out, size);
    CALL(close, fd);
    free(out);
    free(in);
}

static void a_pipe_gives_what_there_is(void **state)
{
    (void)state;
    int fds[2];
    char buffer[64];
    assert_int_equal(CALL(pipe2, fds, 0), 0);
    assert_int_equal(CALL(write, fds[1], "hello", 5), 5);
    assert_int_equal(CALL(read, fds[0], buffer, sizeof buffer), 5);
    assert_memory_equal(buffer, "hello", 5);
    assert_int_equal(CALL(write, fds[0], "x", 1), -EBADF);
    assert_int_equal(CALL(read, fds[1], buffer, 1), -EBADF);
    CALL(close, fds[0]);
    world.signal_raised = 0;
    assert_int_equal(CALL(write, fds[1], "x", 1), -EPIPE);
    assert_int_equal(world.signal_raised, SIGPIPE);
    CALL(close, fds[1]);
}

static void nonblocking_is_the_hosts_too(void **state)
{
    (void)state;
    int fds[2], on = 1;
    char c;
    assert_int_equal(CALL(pipe2, fds, O_NONBLOCK), 0);
    assert_int_equal(CALL(read, fds[0], &c, 1), -EAGAIN);
    CALL(close_range, fds[0], fds[1], 0);
    assert_int_equal(CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(CALL(ioctl, fds[0], FIONBIO, &on), 0);
    assert_int_equal(CALL(read, fds[0], &c, 1), -EAGAIN);
    assert_true(CALL(fcntl, fds[0], F_GETFL) & O_NONBLOCK);
    CALL(close_range, fds[0], fds[1], 0);
}

static void a_signal_restarts_a_read(void **state)
{
    (void)state;
    int fds[2];
    char c;
    assert_int_equal(CALL(pipe2, fds, 0), 0);
    world_interrupt();
    assert_int_equal(CALL(read, fds[0], &c, 1), RESTART_SYS);
    CALL(poll, NULL, 0, 0); /* has a look at it */
    CALL(close_range, fds[0], fds[1], 0);
}

static void wrong_pointers_are_efault(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(CALL(pipe2, 8, 0), -EFAULT);
    assert_int_equal(CALL(pipe2, fds, 0), 0);
    assert_int_equal(CALL(write, fds[1], 8, 1), -EFAULT);
    assert_int_equal(CALL(read, fds[0], 8, 1), -EFAULT);
    assert_int_equal(CALL(read, fds[0], NULL, 0), 0);
    assert_int_equal(CALL(readv, fds[0], 8, 1), -EFAULT);
    assert_int_equal(CALL(readv, fds[0], fds, 2000), -EINVAL);
    assert_int_equal(CALL(open, 8, O_RDONLY), -EFAULT);
    assert_int_equal(CALL(stat, "/", 8), -EFAULT);
    CALL(close_range, fds[0], fds[1], 0);
}

static void paths(void **state)
{
    (void)state;
    struct stat s;
    char link[64] = {0};
    int d = (int)CALL(open, directory, O_RDONLY | O_DIRECTORY, 0);
    assert_true(d >= 0);
    assert_int_equal(CALL(mkdirat, d, "sub", 0700), 0);
    assert_int_equal(CALL(symlinkat, "sub", d, "link"), 0);
    assert_int_equal(CALL(readlinkat, d, "link", link, sizeof link), 3);
    assert_string_equal(link, "sub");
    assert_int_equal(CALL(newfstatat, d, "link", &s, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(s.st_mode));
    assert_int_equal(CALL(newfstatat, d, "", &s, AT_EMPTY_PATH), 0);
    assert_true(S_ISDIR(s.st_mode));
    assert_int_equal(CALL(newfstatat, d, "", &s, 0), -ENOENT);
    assert_int_equal(CALL(renameat, d, "sub", d, "other"), 0);
    assert_int_equal(CALL(faccessat, d, "link", R_OK), -ENOENT);
    assert_int_equal(CALL(faccessat, d, "other", R_OK), 0);
    int f = (int)CALL(openat, d, "file", O_CREAT | O_RDWR, 0644);
    assert_int_equal(CALL(ftruncate, f, 12), 0);
    assert_int_equal(CALL(utimensat, f, NULL, NULL, 0), 0);
    assert_int_equal(CALL(openat, f, "x", O_RDONLY), -ENOTDIR);
    assert_int_equal(CALL(openat, 999, "x", O_RDONLY), -EBADF);
    assert_int_equal(CALL(openat, 999, "/", O_RDONLY | O_DIRECTORY) >= 0, 1);

    uint8_t records[4096];
    int64_t n = CALL(getdents64, d, records, sizeof records);
    assert_true(n > 0);
    int seen = 0;
    for (int64_t at = 0; at < n;) {
        const char *name = (const char *)records + at + 19;
        uint16_t length;
        memcpy(&length, records + at + 16, 2);
        seen += !strcmp(name, "other") + !strcmp(name, "file") + !strcmp(name, "link");
        at += length;
    }
    assert_int_equal(seen, 3);
    assert_int_equal(CALL(unlinkat, d, "link", 0), 0);
    assert_int_equal(CALL(rmdir, in_directory("other")), 0);
    CALL(close_range, 3, ~0u, 0);
}

static void devices(void **state)
{
    (void)state;
    uint64_t exits = world.exits, words[4] = {1, 1, 1, 1};
    int null = (int)CALL(open, "/dev/null", O_RDWR),
        zero = (int)CALL(open, "//dev/./zero", O_RDONLY);
    int full = (int)CALL(open, "/dev/full", O_WRONLY),
        random = (int)CALL(open, "/dev/urandom", O_RDONLY);
    assert_int_equal(CALL(read, null, words, 8), 0);
    assert_int_equal(CALL(write, null, words, 8), 8);
    assert_int_equal(CALL(read, zero, words, 8), 8);
    assert_int_equal(words[0], 0);
    assert_int_equal(CALL(write, full, words, 8), -ENOSPC);
    assert_int_equal(CALL(read, random, words, 16), 16);
    assert_int_not_equal(words[0], words[1]);
    assert_int_equal(world.exits, exits);
    CALL(close_range, 3, ~0u, 0);
}

static void read_all(const char *path, char *out, size_t size)
{
    int fd = (int)CALL(open, path, O_RDONLY);
    assert_true(fd >= 0);
    int64_t n = CALL(read, fd, out, size - 1);
    assert_true(n >= 0);
    out[n] = 0;
    CALL(close, fd);
}

static void proc_tells_of_the_program(void **state)
{
    (void)state;
    static char text[65536], path[64];
    read_all("/proc/self/cmdline", text, sizeof text);
    assert_memory_equal(text, "/bin/sh\0-c", 11);
    snprintf(path, sizeof path, "/proc/%d/maps", getpid());
    read_all(path, text, sizeof text);
    assert_string_equal(text, "1000-2000 r-xp 00000000 00:00 0\n");
    read_all("/proc/self/status", text, sizeof text);
    assert_non_null(strstr(text, "\nVmRSS:\t    4096 kB\n"));
    assert_non_null(strstr(text, "\nThreads:\t1\n"));
    assert_non_null(strstr(text, "\nUid:\t"));
    read_all("/proc/self/statm", text, sizeof text);
    assert_string_equal(text, "2048 1024 512 256 0 1024 0\n");
    read_all("/proc/self/stat", text, sizeof text);
    char *p = text;
    int fields = 0;
    for (; *p; p++)
        fields += *p == ' ';
    assert_int_equal(fields, 51);
    read_all("/proc/cpuinfo", text, sizeof text); /* the host's */
    assert_non_null(strstr(text, "processor"));
    assert_true(CALL(readlink, "/proc/self/exe", path, sizeof path) > 0);
    assert_int_equal(path[0], '/');
    assert_int_equal(CALL(open, "/proc/self/mem", O_RDWR), -EACCES);
    assert_int_equal(CALL(open, "/proc/self/task/1/comm", O_RDONLY), -ENOENT);

    int comm = (int)CALL(open, "/proc/thread-self/comm", O_WRONLY);
    assert_int_equal(CALL(write, comm, "worker\n", 7), 7);
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", getpid());
    read_all(path, text, sizeof text);
    assert_string_equal(text, "worker\n\n");
    CALL(close, comm);
}

static void proc_lists_descriptors(void **state)
{
    (void)state;
    char path[64], target[256] = {0}, records[1024];
    struct stat a, b;
    int f = (int)CALL(open, in_directory("listed"), O_CREAT | O_RDWR, 0600);
    snprintf(path, sizeof path, "/proc/self/fd/%d", f);
    assert_true(CALL(readlink, path, target, sizeof target) > 0);
    assert_string_equal(target, in_directory("listed"));
    assert_int_equal(CALL(stat, path, &a), 0);
    assert_int_equal(CALL(fstat, f, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    int again = (int)CALL(open, path, O_RDWR);
    assert_int_equal(CALL(write, again, "x", 1), 1);
    assert_int_equal(CALL(lseek, f, 0, SEEK_CUR), 0); /* opened anew: a position of its own */
    int d = (int)CALL(open, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "%d", f);
    memset(target, 0, sizeof target);
    assert_true(CALL(readlinkat, d, path, target, sizeof target) > 0);
    assert_string_equal(target, in_directory("listed"));
    int64_t n;
    int entries = 0;
    while ((n = CALL(getdents64, d, records, 64)) > 0)
        for (int64_t at = 0; at < n; at += *(uint16_t *)(records + at + 16))
            entries++;
    assert_int_equal(n, 0);
    assert_int_equal(entries, 2 + 6); /* 0, 1, 2, the file twice, its own */
    assert_int_equal(CALL(readlink, "/proc/self/fd/77", target, sizeof target), -ENOENT);
    CALL(close_range, 3, ~0u, 0);
}

static void a_stream_is_sent_whole(void **state)
{
    (void)state;
    int fds[2];
    enum { SIZE = 150000 };
    static char out[SIZE], in[SIZE];
    memset(out, 'r', sizeof out);
    assert_int_equal(CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(CALL(sendto, fds[0], out, SIZE, 0, NULL, 0), SIZE);
    assert_int_equal(CALL(recvfrom, fds[1], in, SIZE, MSG_WAITALL, NULL, NULL), SIZE);
    assert_memory_equal(in, out, SIZE);
    CALL(close, fds[1]);
    world.signal_raised = 0;
    assert_int_equal(CALL(sendto, fds[0], out, 1, MSG_NOSIGNAL, NULL, 0), -EPIPE);
    assert_int_equal(world.signal_raised, 0);
    assert_int_equal(CALL(write, fds[0], out, 1), -EPIPE);
    assert_int_equal(world.signal_raised, SIGPIPE);
    CALL(close, fds[0]);
}

static void a_message_too_large_is_not_cut(void **state)
{
    (void)state;
    int fds[2];
    static char out[0x20000];
    assert_int_equal(CALL(socketpair, AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    assert_int_equal(CALL(sendto, fds[0], out, sizeof out, 0, NULL, 0), -EMSGSIZE);
    assert_int_equal(CALL(sendto, fds[0], out, 60000, 0, NULL, 0), 60000);
    assert_int_equal(CALL(recvfrom, fds[1], out, 100, MSG_TRUNC, NULL, NULL), 60000);
    CALL(close_range, fds[0], fds[1], 0);
}

static void addresses_are_cut_to_the_room(void **state)
{
    (void)state;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, in_directory("socket"));
    int s = (int)CALL(socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), c;
    assert_int_equal(CALL(fcntl, s, F_GETFD), FD_CLOEXEC);
    assert_int_equal(CALL(bind, s, &a, sizeof a), 0);
    assert_int_equal(CALL(listen, s, 1), 0);
    c = (int)CALL(socket, AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(CALL(connect, c, &a, sizeof a), 0);
    struct sockaddr_un name;
    socklen_t n = 4;
    memset(&name, 0xff, sizeof name);
    int accepted = (int)CALL(accept4, s, &name, &n, SOCK_NONBLOCK);
    assert_true(accepted >= 0);
    assert_int_equal(name.sun_family, AF_UNIX);
    n = 4;
    memset(&name, 0xff, sizeof name);
    assert_int_equal(CALL(getpeername, c, &name, &n), 0);
    assert_true(n > 4);
    assert_int_equal((unsigned char)name.sun_path[2], 0xff);
    assert_int_equal(CALL(getsockname, 1, &name, &n), -ENOTSOCK);
    int type = 0;
    n = sizeof type;
    assert_int_equal(CALL(getsockopt, accepted, SOL_SOCKET, SO_TYPE, &type, &n), 0);
    assert_int_equal(type, SOCK_STREAM);
    CALL(close_range, 3, ~0u, 0);
}

static void descriptors_pass_through_messages(void **state)
{
    (void)state;
    int pair[2], fds[2];
    union {
        char room[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr header;
    } control = {.room = {0}};
    char byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    assert_int_equal(CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(CALL(pipe2, fds, 0), 0);
    control.header = (struct cmsghdr){CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
    assert_int_equal(CALL(sendmsg, pair[0], &m, 0), 1);
    CALL(close_range, fds[0], fds[1], 0);

    memset(&control, 0, sizeof control);
    assert_int_equal(CALL(recvmsg, pair[1], &m, MSG_CMSG_CLOEXEC), 1);
    assert_int_equal(m.msg_flags & ~MSG_CMSG_CLOEXEC, 0);
    assert_int_equal(control.header.cmsg_type, SCM_RIGHTS);
    memcpy(fds, CMSG_DATA(&control.header), sizeof fds);
    assert_int_equal(CALL(fcntl, fds[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(CALL(write, fds[1], "y", 1), 1);
    assert_int_equal(CALL(read, fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');

    /* One that is not open, and control data that does not hold up. */
    int bad[2] = {fds[0], 99};
    memcpy(CMSG_DATA(&control.header), bad, sizeof bad);
    m.msg_controllen = sizeof control;
    assert_int_equal(CALL(sendmsg, pair[0], &m, 0), -EBADF);
    control.header.cmsg_len = 9999;
    assert_int_equal(CALL(sendmsg, pair[0], &m, 0), -EINVAL);
    CALL(close_range, 3, ~0u, 0);
}

static void many_messages(void **state)
{
    (void)state;
    int fds[2];
    char data[4][8] = {"a", "bb", "ccc", "dddd"}, in[4][8] = {{0}};
    struct iovec v[4], w[4];
    struct mmsghdr out[4] = {{{0}, 0}}, got[4] = {{{0}, 0}};
    for (int i = 0; i < 4; i++) {
        v[i] = (struct iovec){data[i], strlen(data[i])};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
        w[i] = (struct iovec){in[i], 8};
        got[i].msg_hdr = (struct msghdr){.msg_iov = &w[i], .msg_iovlen = 1};
    }
    assert_int_equal(CALL(socketpair, AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    assert_int_equal(CALL(sendmmsg, fds[0], out, 3, 0), 3);
    assert_int_equal(CALL(recvmmsg, fds[1], got, 4, MSG_WAITFORONE, NULL), 3);
    assert_int_equal(got[2].msg_len, 3);
    assert_string_equal(in[1], "bb");
    assert_int_equal(CALL(recvmmsg, fds[1], got, 4, MSG_DONTWAIT, NULL), -EAGAIN);
    CALL(close_range, 3, ~0u, 0);
}

static void files_without_a_name(void **state)
{
    (void)state;
    uint64_t value = 0;
    int e = (int)CALL(eventfd2, 5, O_NONBLOCK);
    assert_int_equal(CALL(read, e, &value, 8), 8);
    assert_int_equal(value, 5);
    assert_int_equal(CALL(read, e, &value, 8), -EAGAIN);
    int m = (int)CALL(memfd_create, "rakis", 0);
    assert_int_equal(CALL(write, m, "abcdef", 6), 6);
    int64_t offset = 2;
    int fds[2];
    char buffer[8];
    assert_int_equal(CALL(pipe2, fds, 0), 0);
    assert_int_equal(CALL(sendfile, fds[1], m, &offset, 3), 3);
    assert_int_equal(offset, 5);
    assert_int_equal(CALL(read, fds[0], buffer, 8), 3);
    assert_memory_equal(buffer, "cde", 3);
    int zero = (int)CALL(open, "/dev/zero", O_RDONLY);
    assert_int_equal(CALL(sendfile, fds[1], zero, NULL, 5), 5);
    assert_int_equal(CALL(read, fds[0], buffer, 8), 5);
    struct itimerspec t = {.it_value = {100, 0}}, now;
    int timer = (int)CALL(timerfd_create, CLOCK_MONOTONIC, 0);
    assert_int_equal(CALL(timerfd_settime, timer, 0, &t, NULL), 0);
    assert_int_equal(CALL(timerfd_gettime, timer, &now), 0);
    assert_true(now.it_value.tv_sec >= 99);
    int available = -1;
    assert_int_equal(CALL(write, fds[1], "1234", 4), 4);
    assert_int_equal(CALL(ioctl, fds[0], FIONREAD, &available), 0);
    assert_int_equal(available, 4);
    CALL(close_range, 3, ~0u, 0);
}

/* ---- a host that lies ---- */

static void read_one(void)
{
    char c;
    host_read(0, &c, 1, 0);
}

static void duplicate(void)
{
    host_plain_fd(SYS_dup, 0, 0, 0, 0);
}

static void lies_are_found_out(void **state)
{
    (void)state;
    world.lying = true;
    world.lie = 2; /* more than was asked for */
    assert_true(world_violates(read_one));
    world.lying = true;
    world.lie = 1; /* a descriptor that is in use */
    assert_true(world_violates(duplicate));
    world.lying = true;
    world.lie = HOST_FD_LIMIT;
    assert_true(world_violates(duplicate));
    world.lying = true;
    world.lie = RESTART_SYS; /* a number that means something else inside */
    char c;
    assert_int_equal(CALL(read, 0, &c, 1), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_lowest_first),
        cmocka_unit_test(descriptors_end_at_the_limit),
        cmocka_unit_test(close_on_exec_belongs_to_the_descriptor),
        cmocka_unit_test(duplicates_share_position_and_flags),
        cmocka_unit_test(a_large_file_moves_whole),
        cmocka_unit_test(a_pipe_gives_what_there_is),
        cmocka_unit_test(nonblocking_is_the_hosts_too),
        cmocka_unit_test(a_signal_restarts_a_read),
        cmocka_unit_test(wrong_pointers_are_efault),
        cmocka_unit_test(paths),
        cmocka_unit_test(devices),
        cmocka_unit_test(proc_tells_of_the_program),
        cmocka_unit_test(proc_lists_descriptors),
        cmocka_unit_test(a_stream_is_sent_whole),
        cmocka_unit_test(a_message_too_large_is_not_cut),
        cmocka_unit_test(addresses_are_cut_to_the_room),
        cmocka_unit_test(descriptors_pass_through_messages),
        cmocka_unit_test(many_messages),
        cmocka_unit_test(files_without_a_name),
        cmocka_unit_test(lies_are_found_out),
    };
    return cmocka_run_group_tests(tests, start, finish);
}

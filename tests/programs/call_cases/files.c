/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: reading, writing, positions, sizes. */
#include "cases.h"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/sendfile.h>

#define DATA "cases.data"
#define OTHER "cases.other"

static int fresh(const char *text)
{
    int fd = open(DATA, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET))
        exit(1);
    return fd;
}

static void say_all(const char *name, int fd)
{
    char b[64];
    ssize_t n = pread(fd, b, sizeof b, 0);
    for (ssize_t i = 0; i < n; i++)
        if (!b[i])
            b[i] = '.';
    say(name, "%zd %.*s", n, (int)(n > 0 ? n : 0), b);
}

static void reading(void)
{
    int fd = fresh("0123456789");
    char b[32] = "";
    struct iovec v[3] = {{b, 2}, {NULL, 0}, {b + 2, 3}}, bad[2] = {{b, 2}, {nowhere, 3}};
    say_bytes("read", read(fd, b, 4), b);
    say_bytes("the rest", read(fd, b, sizeof b), b);
    say_result("the end", read(fd, b, sizeof b));
    say_result("of 0 bytes", read(fd, b, 0));
    say_bytes("pread", pread(fd, b, 3, 5), b);
    say_result("pread beyond the end", pread(fd, b, 3, 50));
    say_result("pread at -1", pread(fd, b, 3, -1));
    say_result("the position", lseek(fd, 0, SEEK_CUR));
    lseek(fd, 1, SEEK_SET);
    say_bytes("readv", readv(fd, v, 3), b);
    say_bytes("preadv", preadv(fd, v, 3, 4), b);
    say_result("readv of none", readv(fd, v, 0));
    say_result("readv of too many", readv(fd, v, 1025));
    say_result("read to nowhere", read(fd, nowhere, 4));
    say_result("read to where nothing may be written", read(fd, read_only, 4));
    say_result("preadv, half of it to nowhere", preadv(fd, bad, 2, 0));
    say_result("the position", lseek(fd, 0, SEEK_CUR));
    say_bytes("preadv2 at the position", preadv2(fd, v, 1, -1, 0), b);
    say_result("preadv2 of unknown flags", preadv2(fd, v, 1, 0, 0x4000));
    close(fd);
    say_result("read of none", read(fd, b, 1));
    fd = open(DATA, O_WRONLY);
    say_result("read of one for writing", read(fd, b, 1));
    close(fd);
    fd = open(".", O_RDONLY);
    say_result("read of a directory", read(fd, b, 1));
    say_result("pread of a directory", pread(fd, b, 1, 0));
    close(fd);
}

static void positions(void)
{
    int fd = fresh("0123456789"), twin = dup(fd), again = open(DATA, O_RDWR);
    char b[32];
    say_result("SEEK_SET", lseek(fd, 4, SEEK_SET));
    say_result("SEEK_CUR", lseek(fd, -1, SEEK_CUR));
    say_result("SEEK_END", lseek(fd, -2, SEEK_END));
    say_result("beyond the end", lseek(fd, 100, SEEK_END));
    say_result("before the start", lseek(fd, -1, SEEK_SET));
    say_result("an unknown way", lseek(fd, 0, 99));
    say_result("SEEK_DATA", lseek(fd, 3, SEEK_DATA));
    say_result("SEEK_HOLE", lseek(fd, 3, SEEK_HOLE));
    say_result("SEEK_DATA beyond", lseek(fd, 50, SEEK_DATA));
    lseek(fd, 2, SEEK_SET);
    say_bytes("a duplicate shares it", read(twin, b, 2), b);
    say_bytes("then the first", read(fd, b, 2), b);
    say_bytes("another open does not", read(again, b, 2), b);
    close(twin);
    close(again);
    close(fd);
    int pipes[2];
    if (pipe(pipes))
        exit(1);
    say_result("lseek of a pipe", lseek(pipes[0], 0, SEEK_SET));
    close(pipes[0]);
    close(pipes[1]);
}

static void writing(void)
{
    int fd = fresh("0123456789"), again = open(DATA, O_RDONLY);
    char b[64];
    struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
    say_result("write", write(fd, "xy", 2));
    say_all("another sees", again);
    say_result("pwrite", pwrite(fd, "PQ", 2, 6));
    say_result("pwrite at -1", pwrite(fd, "PQ", 2, -1));
    say_all("is", again);
    say_result("the position", lseek(fd, 0, SEEK_CUR));
    say_result("writev", writev(fd, v, 2));
    say_result("pwritev", pwritev(fd, v, 2, 12));
    say_all("with a hole", again);
    say_result("write of nothing", write(fd, "", 0));
    say_result("write from nowhere", write(fd, nowhere, 3));
    say_result("write to one for reading", write(again, "x", 1));
    lseek(fd, 20, SEEK_SET);
    say_result("write beyond the end", write(fd, "end", 3));
    say_all("is", again);
    close(again);
    again = open(DATA, O_RDWR | O_APPEND);
    say_result("O_APPEND", write(again, "+1", 2));
    say_result("its position", lseek(again, 0, SEEK_CUR));
    say_result("pwrite with O_APPEND", pwrite(again, "+2", 2, 0));
    say_result("write by the other", write(fd, "!", 1));
    say_result("O_APPEND again", write(again, "+3", 2));
    say_all("is", fd);
    say_result("RWF_APPEND", pwritev2(fd, v, 1, 0, RWF_APPEND));
    struct stat st;
    fstat(fd, &st);
    say("size", "%ld", (long)st.st_size);
    fcntl(again, F_SETFL, 0);
    lseek(again, 0, SEEK_SET);
    say_result("without O_APPEND", write(again, "#", 1));
    say_all("is", fd);
    close(again);
    for (int i = 0; i < 100; i++)
        if (write(fd, "line\n", 5) != 5)
            exit(1);
    fstat(fd, &st);
    say("size after many", "%ld", (long)st.st_size);
    say_bytes("in the middle", pread(fd, b, 5, 200), b);
    again = open(DATA, O_RDONLY);
    say_result("another sees the end", lseek(again, 0, SEEK_END));
    close(again);
    close(fd);
}

static void sizes(void)
{
    int fd = fresh("0123456789");
    struct stat st;
    for (int i = 0; i < 10; i++)
        pwrite(fd, "abcdefgh", 8, i * 8);
    say_result("ftruncate to less", ftruncate(fd, 3));
    say_all("is", fd);
    say_result("ftruncate to more", ftruncate(fd, 6));
    say_all("is", fd);
    say_result("ftruncate to -1", ftruncate(fd, -1));
    say_result("truncate", truncate(DATA, 2));
    say_all("is", fd);
    say_result("truncate of none", truncate("cases.none", 2));
    say_result("truncate of a directory", truncate(".", 2));
    int again = open(DATA, O_RDONLY);
    say_result("ftruncate of one for reading", ftruncate(again, 0));
    say_result("fallocate", fallocate(fd, 0, 0, 100));
    fstat(fd, &st);
    say("size", "%ld", (long)st.st_size);
    say_result("fallocate of 0", fallocate(fd, 0, 0, 0));
    say_result("fallocate at -1", fallocate(fd, 0, -1, 5));
    say_result("fallocate of one for reading", fallocate(again, 0, 0, 100));
    say_result("posix_fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    say_result("fsync", fsync(fd));
    say_result("fdatasync", fdatasync(fd));
    say_result("fsync of none", fsync(999));
    say_result("sync_file_range", sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE));
    close(again);
    struct rlimit limit, old;
    getrlimit(RLIMIT_FSIZE, &old);
    limit = old;
    limit.rlim_cur = 200;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    lseek(fd, 195, SEEK_SET);
    say_result("write up to RLIMIT_FSIZE", write(fd, "0123456789", 10));
    say_result("write at RLIMIT_FSIZE", write(fd, "0123456789", 10));
    say_result("ftruncate beyond it", ftruncate(fd, 300));
    setrlimit(RLIMIT_FSIZE, &old);
    close(fd);
    fd = open(DATA, O_WRONLY | O_TRUNC);
    fstat(fd, &st);
    say("size after O_TRUNC", "%ld", (long)st.st_size);
    close(fd);
}

static void copying(void)
{
    int from = fresh("0123456789"), to = open(OTHER, O_RDWR | O_CREAT | O_TRUNC, 0644), pipes[2];
    loff_t a = 2, b = 1;
    off_t at = 8;
    char bytes[32];
    say_result("copy_file_range", copy_file_range(from, &a, to, &b, 4, 0));
    say("offsets", "%ld %ld", (long)a, (long)b);
    say_all("is", to);
    say_result("by positions", copy_file_range(from, NULL, to, NULL, 3, 0));
    say("positions", "%ld %ld", (long)lseek(from, 0, SEEK_CUR), (long)lseek(to, 0, SEEK_CUR));
    say_result("beyond the end", copy_file_range(from, &(loff_t){50}, to, NULL, 3, 0));
    say_result("over itself", copy_file_range(from, &(loff_t){0}, from, &(loff_t){2}, 5, 0));
    say_result("of unknown flags", copy_file_range(from, NULL, to, NULL, 3, 7));
    say_result("sendfile", sendfile(to, from, &at, 10));
    say("its offset", "%ld", (long)at);
    say_result("sendfile by the position", sendfile(to, from, NULL, 2));
    say_result("the position", lseek(from, 0, SEEK_CUR));
    say_all("is", to);
    if (pipe(pipes))
        exit(1);
    a = 1;
    say_result("splice", splice(from, &a, pipes[1], NULL, 3, 0));
    say_bytes("in the pipe", read(pipes[0], bytes, sizeof bytes), bytes);
    say_result("splice of two files", splice(from, NULL, to, NULL, 3, 0));
    close(pipes[0]);
    close(pipes[1]);
    close(from);
    close(to);
    unlink(OTHER);
}

static void flags(void)
{
    int fd = open(DATA, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK);
    say("F_GETFL", "%x", (unsigned)fcntl(fd, F_GETFL));
    say("F_GETFD", "%x", (unsigned)fcntl(fd, F_GETFD));
    say_result("F_SETFL", fcntl(fd, F_SETFL, O_NOATIME));
    say("F_GETFL", "%x", (unsigned)fcntl(fd, F_GETFL));
    say_result("F_DUPFD", fcntl(fd, F_DUPFD, 200));
    say_result("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 200));
    say("is", "%x %x", (unsigned)fcntl(200, F_GETFD), (unsigned)fcntl(201, F_GETFD));
    say_result("F_DUPFD of -1", fcntl(fd, F_DUPFD, -1));
    say_result("an unknown command", fcntl(fd, 12345, 0));
    say_result("dup2 to itself", dup2(200, 200));
    say_result("dup3 to itself", dup3(200, 200, 0));
    say_result("dup3 of unknown flags", dup3(200, 202, 7));
    say_result("dup2 of none", dup2(999, 200));
    say_result("dup2 to -1", dup2(200, -1));
    say_result("close", close(200));
    say_result("close again", close(200));
    close(201);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
    say_result("F_SETLK", fcntl(fd, F_SETLK, &l));
    l.l_type = F_RDLCK;
    say_result("F_GETLK", fcntl(fd, F_GETLK, &l));
    say("is", "%d", l.l_type);
    say_result("F_SETLK of nowhere", fcntl(fd, F_SETLK, nowhere));
    say_result("flock", flock(fd, LOCK_EX | LOCK_NB));
    int again = open(DATA, O_RDWR);
    say_result("flock by another", flock(again, LOCK_EX | LOCK_NB));
    say_result("unlock", flock(fd, LOCK_UN));
    say_result("flock by another then", flock(again, LOCK_SH | LOCK_NB));
    close(again);
    int n = -1;
    lseek(fd, 0, SEEK_SET);
    say_result("FIONREAD", ioctl(fd, FIONREAD, &n));
    say("is", "%d", n);
    say_result("a terminal's ioctl", isatty(fd));
    say_poll("poll", fd, POLLIN | POLLOUT);
    close(fd);
}

void cases_files(void)
{
    reading();
    positions();
    writing();
    sizes();
    copying();
    flags();
    unlink(DATA);
}

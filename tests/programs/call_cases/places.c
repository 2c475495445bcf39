/* SPDX-License-Identifier: Apache-2.0 */
/* Files by their names. */
#include "cases.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static void say_open(const char *name, const char *path, int flags)
{
    int fd = open(path, flags, 0640);
    say_result(name, fd < 0 ? fd : 0);
    if (fd >= 0)
        close(fd);
}

static void opening(void)
{
    char name[300];
    say_open("what is not there", "cases.none", O_RDONLY);
    say_open("in what is not there", "cases.none/x", O_RDONLY);
    say_open("make", "cases.a", O_RDWR | O_CREAT | O_EXCL);
    say_open("make again", "cases.a", O_RDWR | O_CREAT | O_EXCL);
    say_open("in what is no directory", "cases.a/x", O_RDONLY);
    say_open("as a directory", "cases.a", O_RDONLY | O_DIRECTORY);
    say_open("with a slash after it", "cases.a/", O_RDONLY);
    say_open("a directory for writing", ".", O_WRONLY);
    say_open("a directory", ".", O_RDONLY | O_DIRECTORY);
    say_open("nothing", "", O_RDONLY);
    say_open("from nowhere", nowhere, O_RDONLY);
    memset(name, 'n', sizeof name);
    name[280] = 0;
    say_open("a long name", name, O_RDONLY);
    static char path[5000];
    memset(path, '/', sizeof path - 1);
    say_open("a long path", path, O_RDONLY);
    struct stat st;
    stat("cases.a", &st);
    say("its mode", "%o %ld", st.st_mode & 0777, (long)st.st_size);
    int fd = openat(AT_FDCWD, "cases.a", O_PATH);
    char b;
    say_result("read of O_PATH", read(fd, &b, 1));
    say_result("fstat of O_PATH", fstat(fd, &st));
    say_result("openat in it", openat(fd, "x", O_RDONLY));
    close(fd);
    say_result("openat of none", openat(999, "x", O_RDONLY));
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    say_result("O_TMPFILE", fd < 0 ? fd : write(fd, "temporary", 9));
    close(fd);
}

static void links(void)
{
    char b[64];
    struct stat st;
    say_result("link", link("cases.a", "cases.b"));
    say_result("link again", link("cases.a", "cases.b"));
    stat("cases.b", &st);
    say("links", "%lu", (unsigned long)st.st_nlink);
    say_result("symlink", symlink("cases.a", "cases.s"));
    say_bytes("readlink", readlink("cases.s", b, sizeof b), b);
    say_bytes("readlink of 3", readlink("cases.s", b, 3), b);
    say_result("readlink of a file", readlink("cases.a", b, sizeof b));
    say_result("readlink of 0 bytes", readlink("cases.s", b, 0));
    say_open("by the link", "cases.s", O_RDONLY);
    say_open("O_NOFOLLOW", "cases.s", O_RDONLY | O_NOFOLLOW);
    lstat("cases.s", &st);
    say("lstat", "%o %ld", st.st_mode & S_IFMT, (long)st.st_size);
    symlink("cases.loop", "cases.loop");
    say_open("a loop", "cases.loop", O_RDONLY);
    symlink("cases.none", "cases.broken");
    say_open("a link to nothing", "cases.broken", O_RDONLY);
    say_result("access of it", access("cases.broken", F_OK));
    say_result("unlink of a directory", unlink("."));
    unlink("cases.loop");
    unlink("cases.broken");
    say_result("rename", rename("cases.b", "cases.c"));
    say_result("rename of none", rename("cases.b", "cases.c"));
    say_result("RENAME_NOREPLACE", renameat2(AT_FDCWD, "cases.c", AT_FDCWD, "cases.a", RENAME_NOREPLACE));
    say_result("unlink", unlink("cases.c"));
    say_result("unlink again", unlink("cases.c"));
    unlink("cases.s");
}

static void directories(void)
{
    struct stat st;
    char names[200] = "";
    int count = 0;
    say_result("mkdir", mkdir("cases.d", 0750));
    say_result("mkdir again", mkdir("cases.d", 0750));
    stat("cases.d", &st);
    say("its mode", "%o", st.st_mode);
    close(open("cases.d/one", O_CREAT | O_WRONLY, 0600));
    close(open("cases.d/two", O_CREAT | O_WRONLY, 0600));
    say_result("rmdir of one with files", rmdir("cases.d"));
    struct dirent **list;
    count = scandir("cases.d", &list, NULL, alphasort);
    for (int i = 0; i < count; i++)
        sprintf(names + strlen(names), " %s", list[i]->d_name);
    say("is", "%d%s", count, names);
    say_result("rename onto it", rename("cases.a", "cases.d"));
    int fd = open("cases.d", O_RDONLY | O_DIRECTORY);
    say_result("openat", faccessat(fd, "one", R_OK, 0));
    say_result("unlinkat", unlinkat(fd, "one", 0));
    say_result("unlinkat again", unlinkat(fd, "one", 0));
    unlink("cases.d/two");
    say_result("rmdir", unlinkat(AT_FDCWD, "cases.d", AT_REMOVEDIR));
    say_result("in what is gone", openat(fd, "x", O_CREAT | O_WRONLY, 0600));
    say_result("rmdir of a file", rmdir("cases.a"));
    say_result("chdir to a file", chdir("cases.a"));
    close(fd);
}

static void facts(void)
{
    struct stat st;
    struct statx x;
    struct timespec t[2] = {{1000, 5}, {2000, 7}};
    int fd = open("cases.a", O_RDWR);
    say_result("write", write(fd, "12345", 5));
    say_result("chmod", chmod("cases.a", 04711));
    say_result("fchmod", fchmod(fd, 0604));
    fstat(fd, &st);
    say("mode, size", "%o %ld", st.st_mode & 07777, (long)st.st_size);
    say_result("futimens", futimens(fd, t));
    say_result("statx", statx(AT_FDCWD, "cases.a", 0, STATX_BASIC_STATS, &x));
    say("is", "%lld %lld.%u %llu", (long long)x.stx_atime.tv_sec, (long long)x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec,
        (unsigned long long)x.stx_size);
    say_result("statx by the descriptor", statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
    say_result("statx of unknown flags", statx(fd, "", 0x40000000, STATX_SIZE, &x));
    say_result("stat to nowhere", stat("cases.a", (struct stat *)nowhere));
    say_result("access", access("cases.a", R_OK | W_OK));
    say_result("access of an unknown kind", access("cases.a", 64));
    say_result("fchdir to a file", fchdir(fd));
    unlink("cases.a");
    say_result("a file without name is written", write(fd, "678", 3));
    fstat(fd, &st);
    say("it has", "%ld bytes, %lu links", (long)st.st_size, (unsigned long)st.st_nlink);
    char b[16];
    say_bytes("and read", pread(fd, b, sizeof b, 0), b);
    close(fd);
    say_result("mkfifo", mkfifo("cases.fifo", 0600));
    say_open("a FIFO that nobody reads", "cases.fifo", O_WRONLY | O_NONBLOCK);
    unlink("cases.fifo");
    fd = open("/dev/zero", O_RDWR);
    b[0] = 1;
    say_result("/dev/zero", read(fd, b, 4));
    say("gives", "%d", b[0]);
    close(fd);
    fd = open("/dev/full", O_WRONLY);
    say_result("/dev/full", write(fd, "x", 1));
    close(fd);
}

static void say_mode(const char *name, int fd)
{
    struct stat st;
    fstat(fd, &st);
    say(name, "%o, %ld bytes, %ld", st.st_mode, (long)st.st_size, (long)st.st_mtim.tv_sec);
}

/* Calls with a path, of files that are named by their descriptors. */
static void by_descriptor(const char *format, int fd)
{
    char path[64], more[80];
    struct statfs fs;
    struct timespec t[2] = {{3000, 0}, {4000, 0}};
    snprintf(path, sizeof path, format, fd);
    say_result("chmod", chmod(path, 0751));
    say_result("truncate", truncate(path, 100));
    say_result("utimensat", utimensat(AT_FDCWD, path, t, 0));
    say_mode("it has", fd);
    say_result("chown", chown(path, (uid_t)-1, getgid()));
    say_result("statfs", statfs(path, &fs));
    say_result("setxattr", setxattr(path, "user.cases", "value", 5, 0));
    say_bytes("fgetxattr", fgetxattr(fd, "user.cases", more, sizeof more), more);
    say_result("removexattr", removexattr(path, "user.cases"));
    say_result("link", linkat(AT_FDCWD, path, AT_FDCWD, "cases.l", AT_SYMLINK_FOLLOW));
    say_mode("still", fd);
    say_result("unlink of what it made", unlink("cases.l"));
    say_result("unlink", unlink(path));
    say_result("rename", rename(path, "cases.l"));
    say_result("mkdir", mkdir(path, 0700));
    say_result("chdir", chdir(path));
    snprintf(more, sizeof more, "%s/x", path);
    say_result("behind it", access(more, F_OK));
    int watch = inotify_init1(IN_NONBLOCK);
    say_result("inotify", inotify_add_watch(watch, path, IN_ATTRIB));
    fchmod(fd, 0600);
    say("is seen", "%d", happens(watch, POLLIN));
    close(watch);
}

static void behind_descriptor(int directory)
{
    char path[64], other[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d/cases.x", directory);
    snprintf(other, sizeof other, "/dev/fd/%d/./cases.y", directory);
    say_open("make", path, O_CREAT | O_EXCL | O_WRONLY);
    say_result("is there", access("cases.d/cases.x", F_OK));
    say_result("chmod", chmod(path, 0604));
    say_result("rename", rename(path, other));
    say_result("is gone", access(path, F_OK));
    struct stat st;
    say_result("stat", stat(other, &st));
    say("mode", "%o", st.st_mode);
    say_result("unlink", unlink(other));
    say_result("mkdir", mkdir(path, 0711));
    say_result("rmdir", rmdir("cases.d/cases.x"));
    snprintf(path, sizeof path, "/proc/self/fd/%d/..", directory);
    say_result("chdir", chdir(path));
    say_result("is where it was", access("cases.d", F_OK));
}

static void descriptors(void)
{
    char format[64];
    struct stat before, after;
    mkdir("cases.d", 0700);
    int directory = open("cases.d", O_RDONLY | O_DIRECTORY), fd = open("cases.a", O_RDWR | O_CREAT, 0600);
    by_descriptor("/proc/self/fd/%d", fd);
    by_descriptor("/dev/fd/%d", fd);
    snprintf(format, sizeof format, "/proc/%d/fd/%%d", getpid());
    by_descriptor(format, fd);
    /* C libraries do it by /proc. */
    say_result("fchmodat of no link", fchmodat(AT_FDCWD, "cases.a", 0640, AT_SYMLINK_NOFOLLOW));
    say_mode("it has", fd);
    behind_descriptor(directory);
    int temporary = open(".", O_TMPFILE | O_RDWR, 0600);
    snprintf(format, sizeof format, "/proc/self/fd/%d", temporary);
    say_result("a name for O_TMPFILE", linkat(AT_FDCWD, format, AT_FDCWD, "cases.t", AT_SYMLINK_FOLLOW));
    say_result("is there", unlink("cases.t"));
    say_result("chmod of none", chmod("/proc/self/fd/999", 0600));
    say_result("behind none", chmod("/proc/self/fd/999/x", 0600));
    say_result("chmod of no number", chmod("/proc/self/fd/x", 0600));
    int ends[2];
    if (!pipe(ends)) {
        snprintf(format, sizeof format, "/proc/self/fd/%d", ends[0]);
        say_result("chmod of a pipe", chmod(format, 0640));
        close(ends[0]);
        close(ends[1]);
    }
    stat("/proc/self/exe", &before);
    usleep(20000); /* a tick of the file's clock */
    say_result("chmod of the program", chmod("/proc/self/exe", before.st_mode & 07777));
    stat("/proc/self/exe", &after);
    say("it was changed", "%d", memcmp(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim) != 0);
    close(temporary);
    close(directory);
    close(fd);
    unlink("cases.a");
    rmdir("cases.d");
}

void cases_places(void)
{
    opening();
    links();
    directories();
    facts();
    descriptors();
}

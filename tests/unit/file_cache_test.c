/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose bytes and position are kept inside: the program and the rest of the world see what
 * they would see without, in fewer exits. The test itself is the rest of the world, by system calls
 * of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/file.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/enclave.h"
#include "enclave/os/file_cache.h"
#include "enclave/os/files.h"
#include "host/files.h"
#include "tests/unit/files_world.h"

static char directory[] = "/tmp/rakis-file-cache-test-XXXXXX";
static uint8_t pattern[4 << 20], buffer[4 << 20];

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int start(void **state)
{
    if (!mkdtemp(directory) || world_start(state))
        return -1;
    enclave.rings = true;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 + i / 251 + i / 65521);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static int each(void **state)
{
    (void)state;
    world.per_ms = UINT64_MAX / 2;
    world.no_memory = false;
    file_cache_limit(UINT64_MAX);
    CALL(close_range, 3, ~0u, 0);
    return 0;
}

static int create(const char *name, int flags)
{
    unlink(path_of(name));
    int fd = (int)CALL(open, path_of(name), flags | O_CREAT, 0600);
    assert_true(fd >= 0);
    return fd;
}

/* A file with `size` bytes of the pattern, made from outside. */
static void outside_makes(const char *name, size_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, pattern, size), size);
    close(fd);
}

static off_t outside_size(const char *name)
{
    struct stat s;
    assert_int_equal(stat(path_of(name), &s), 0);
    return s.st_size;
}

static void outside_sees(const char *name, const void *bytes, size_t size)
{
    int fd = open(path_of(name), O_RDONLY);
    assert_int_equal(outside_size(name), size);
    assert_int_equal(pread(fd, buffer, size, 0), size);
    assert_memory_equal(buffer, bytes, size);
    close(fd);
}

static void write_pieces(int fd, size_t from, size_t to, size_t piece)
{
    for (size_t at = from; at < to; at += piece) {
        size_t n = to - at < piece ? to - at : piece;
        assert_int_equal(CALL(write, fd, pattern + at, n), n);
    }
}

static void read_pieces(int fd, size_t from, size_t to, size_t piece)
{
    for (size_t at = from; at < to; at += piece) {
        size_t n = to - at < piece ? to - at : piece;
        memset(buffer, 0x55, n);
        assert_int_equal(CALL(read, fd, buffer, n), n);
        assert_memory_equal(buffer, pattern + at, n);
    }
}

/* ---- writing ---- */

static void small_writes_leave_together(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 8, 100, 256, 1000, 4096, 65536, 100000};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t total = pieces[i] < 100 ? 20000 : 2000000;
        int fd = create("written", O_WRONLY);
        uint64_t before = world.exits;
        write_pieces(fd, 0, total, pieces[i]);
        assert_true(world.exits - before < 20);
        assert_int_equal(CALL(close, fd), 0);
        outside_sees("written", pattern, total);
    }
}

static void a_lone_write_is_done_at_once(void **state)
{
    (void)state;
    int fd = create("lone", O_WRONLY);
    write_pieces(fd, 0, 100, 10);
    CALL(fsync, fd);
    world.per_ms = 0; /* every pause is a long one */
    assert_int_equal(CALL(write, fd, pattern + 100, 10), 10);
    assert_int_equal(outside_size("lone"), 110);
}

static void what_was_written_goes_before_anything_else(void **state)
{
    (void)state;
    char text[64];
    int fd = create("before", O_WRONLY), pipe[2];
    CALL(pipe2, pipe, O_NONBLOCK | O_DIRECT); /* one of the host */
    write_pieces(fd, 0, 1000, 10);
    assert_true(outside_size("before") < 1000);
    assert_int_equal(CALL(write, pipe[1], "x", 1), 1);
    outside_sees("before", pattern, 1000);
    write_pieces(fd, 1000, 2000, 10);
    CALL(getcwd, text, sizeof text);
    outside_sees("before", pattern, 2000);
}

static void the_host_writes_what_nobody_asks_for(void **state)
{
    (void)state;
    int fd = create("late", O_WRONLY);
    write_pieces(fd, 0, 1000, 10);
    assert_true(extents_look());
    assert_true(outside_size("late") < 1000); /* it may be growing still */
    assert_true(extents_look());
    outside_sees("late", pattern, 1000);
    assert_false(extents_look());
    write_pieces(fd, 1000, 2000, 10);
    CALL(fsync, fd);
    outside_sees("late", pattern, 2000);
}

static void nothing_is_gathered_while_nobody_looks(void **state)
{
    (void)state;
    int fd = create("unwatched", O_WRONLY);
    write_pieces(fd, 0, 1000, 10);
    assert_true(extents_unwatch()); /* something is there: it cannot sleep */
    CALL(fsync, fd);
    assert_false(extents_unwatch());
    assert_int_equal(CALL(write, fd, pattern + 1000, 10), 10);
    outside_sees("unwatched", pattern, 1010);
}

static void writes_may_overlap(void **state)
{
    (void)state;
    uint8_t model[3000];
    int fd = create("overlap", O_RDWR);
    write_pieces(fd, 0, 3000, 50);
    memcpy(model, pattern, 3000);
    assert_int_equal(CALL(lseek, fd, 1001, SEEK_SET), 1001);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(CALL(write, fd, "abcdefghijklm", 13), 13);
        memcpy(model + 1001 + 13 * i, "abcdefghijklm", 13);
    }
    assert_int_equal(CALL(pwrite64, fd, "xyz", 3, 1500), 3);
    memcpy(model + 1500, "xyz", 3);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 1131);
    CALL(close, fd);
    outside_sees("overlap", model, 3000);
}

static void two_files_of_one_inode_write_in_order(void **state)
{
    (void)state;
    uint8_t model[200];
    int a = create("order", O_RDWR), b = (int)CALL(open, path_of("order"), O_RDWR);
    for (int i = 0; i < 200; i++) { /* b overwrites what a wrote, a byte behind */
        uint8_t x = (uint8_t)i, y = (uint8_t)(200 - i);
        assert_int_equal(CALL(write, a, &x, 1), 1);
        if (i % 20 > 9)
            assert_int_equal(CALL(pwrite64, b, &y, 1, i), 1);
        model[i] = i % 20 > 9 ? y : x;
    }
    CALL(close, a);
    CALL(close, b);
    outside_sees("order", model, 200);
}

static void more_files_than_extents(void **state)
{
    (void)state;
    int fds[3 * EXTENTS_MAX];
    char name[16];
    for (int i = 0; i < 3 * EXTENTS_MAX; i++) {
        snprintf(name, sizeof name, "many%d", i);
        fds[i] = create(name, O_WRONLY);
    }
    for (int round = 0; round < 50; round++)
        for (int i = 0; i < 3 * EXTENTS_MAX; i++)
            write_pieces(fds[i], (size_t)round * 100, (size_t)round * 100 + 100, 25);
    for (int i = 0; i < 3 * EXTENTS_MAX; i++) {
        CALL(close, fds[i]);
        snprintf(name, sizeof name, "many%d", i);
        outside_sees(name, pattern, 5000);
    }
}

static void without_memory_each_write_is_an_exit(void **state)
{
    (void)state;
    world.no_memory = true; /* what was taken before is still there: use all of it */
    int fds[EXTENTS_MAX + 1];
    char name[16];
    for (int i = 0; i <= EXTENTS_MAX; i++) {
        snprintf(name, sizeof name, "poor%d", i);
        fds[i] = create(name, O_WRONLY);
        write_pieces(fds[i], 0, 1000, 10);
    }
    for (int i = 0; i <= EXTENTS_MAX; i++) {
        CALL(close, fds[i]);
        snprintf(name, sizeof name, "poor%d", i);
        outside_sees(name, pattern, 1000);
    }
}

static void a_bad_buffer_is_efault(void **state)
{
    (void)state;
    world_catch_faults();
    int fd = create("fault", O_RDWR);
    uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    write_pieces(fd, 0, 300000, 1000);
    assert_int_equal(CALL(write, fd, page + 4096, 10), -EFAULT);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 300000);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_SET), 0);
    read_pieces(fd, 0, 10000, 1000);
    assert_int_equal(CALL(read, fd, page + 4096, 10), -EFAULT);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 10000);
    munmap(page, 4096);
}

static void synchronous_files_are_written_at_once(void **state)
{
    (void)state;
    int fd = create("sync", O_WRONLY | O_SYNC), other = create("dsync", O_WRONLY | O_DSYNC);
    write_pieces(fd, 0, 100, 10);
    write_pieces(other, 0, 100, 10);
    assert_int_equal(outside_size("sync"), 100);
    assert_int_equal(outside_size("dsync"), 100);
}

static void the_size_limit_is_found_in_time(void **state)
{
    (void)state;
    struct rlimit old, limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = (struct rlimit){1005, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    int fd = create("limited", O_WRONLY), other = create("limited append", O_WRONLY | O_APPEND);
    write_pieces(fd, 0, 1000, 10);
    int64_t rest = CALL(write, fd, pattern + 1000, 10), none = CALL(write, fd, pattern + 1005, 10);
    write_pieces(other, 0, 1000, 10);
    int64_t rest2 = CALL(write, other, pattern + 1000, 10),
            none2 = CALL(write, other, pattern + 1005, 10);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(rest, 5);
    assert_int_equal(none, -EFBIG);
    assert_int_equal(rest2, 5);
    assert_int_equal(none2, -EFBIG);
    outside_sees("limited", pattern, 1005);
    outside_sees("limited append", pattern, 1005);
}

/* What the host has the descriptor of can no longer be written. */
static void break_file(int fd)
{
    struct file *f = file_get(fd);
    int null = open("/dev/null", O_RDONLY);
    dup3(null, f->host_fd, 0);
    close(null);
    file_put(f);
}

static void an_error_that_is_none_is_an_io_error(void **state)
{
    (void)state;
    static const uint64_t table[] = {512, 4096, UINT32_MAX, UINT64_MAX};
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        int fd = create("lied", O_WRONLY);
        uint64_t violations = world.violations;
        write_pieces(fd, 0, 1000, 10);
        for (unsigned n = 0; world_extent(n); n++)
            if (world_extent(n)->state == EXTENT_READY)
                world_extent(n)->error = table[i];
        assert_int_equal(CALL(fsync, fd), -EIO);
        assert_int_equal(CALL(fsync, fd), 0);
        assert_int_equal(world.violations, violations + 1);
        CALL(close, fd);
    }
}

static void a_late_error_is_told_once(void **state)
{
    (void)state;
    int fd = create("broken", O_WRONLY);
    write_pieces(fd, 0, 100, 10);
    break_file(fd);
    assert_int_equal(CALL(fsync, fd), -EBADF);
    assert_int_equal(CALL(close, fd), 0);

    fd = create("broken", O_WRONLY);
    write_pieces(fd, 0, 100, 10);
    break_file(fd);
    assert_int_equal(CALL(close, fd), -EBADF);

    fd = create("broken", O_WRONLY);
    write_pieces(fd, 0, 100, 10);
    break_file(fd);
    extents_look();
    extents_look();
    assert_int_equal(CALL(write, fd, "y", 1), 1); /* not known yet */
    assert_int_equal(CALL(write, fd, "x", 1), -EBADF);
    CALL(close, fd);
}

/* ---- appending, shared positions ---- */

static void appends_go_to_the_end(void **state)
{
    (void)state;
    outside_makes("append", 1000);
    int fd = (int)CALL(open, path_of("append"), O_RDWR | O_APPEND);
    write_pieces(fd, 1000, 2000, 10);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 2000);
    assert_int_equal(CALL(lseek, fd, 500, SEEK_SET), 500);
    read_pieces(fd, 500, 520, 10);
    write_pieces(fd, 2000, 3000, 10);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 3000);
    assert_int_equal(CALL(read, fd, buffer, 1), 0);
    int outside = open(path_of("append"), O_WRONLY | O_APPEND);
    assert_int_equal(write(outside, pattern + 3000, 100), 100);
    close(outside);
    write_pieces(fd, 3100, 4000, 10);
    assert_int_equal(CALL(fcntl, fd, F_SETFL, 0), 0);
    assert_int_equal(CALL(lseek, fd, 10, SEEK_SET), 10);
    write_pieces(fd, 10, 1000, 10);
    CALL(close, fd);
    outside_sees("append", pattern, 4000);
}

/* As a shell opens what it redirects to: the descriptor, and another by which the test looks. */
static int inherited(const char *name, int flags, int *outside)
{
    *outside = open(path_of(name), flags | O_CREAT, 0600);
    struct file *f = host_file_adopt(dup(*outside));
    return file_install(f, 0, false);
}

static void a_position_that_is_shared_stays_with_the_host(void **state)
{
    (void)state;
    int outside, fd = inherited("shared", O_RDWR | O_TRUNC, &outside);
    uint64_t before = world.exits;
    write_pieces(fd, 0, 10000, 10);
    assert_true(world.exits - before < 20);
    CALL(fsync, fd);
    assert_int_equal(lseek(outside, 0, SEEK_CUR), 10000);
    assert_int_equal(write(outside, pattern + 10000, 100), 100);
    write_pieces(fd, 10100, 10200, 10);
    assert_int_equal(CALL(lseek, fd, 5, SEEK_SET), 5);
    assert_int_equal(lseek(outside, 0, SEEK_CUR), 5);
    read_pieces(fd, 5, 205, 10);
    assert_int_equal(lseek(outside, 0, SEEK_CUR), 205);
    CALL(close, fd);
    close(outside);
    outside_sees("shared", pattern, 10200);
}

static int64_t place_outside(int outside)
{
    return lseek(outside, 0, SEEK_CUR);
}

static void an_inherited_file_is_read_with_few_exits_and_its_position_is_right_whenever_one_looks(void **state)
{
    (void)state;
    outside_makes("claimed", 4 << 20);
    int outside, fd = inherited("claimed", O_RDONLY, &outside), other = create("other", O_WRONLY);
    uint64_t before = world.exits;
    read_pieces(fd, 0, 2000000, 1000);
    assert_true(world.exits - before < 60);
    for (size_t at = 2000000; at < 2500000; at += 50000) {
        CALL(fsync, other); /* somebody could notice that */
        assert_int_equal(place_outside(outside), at);
        read_pieces(fd, at, at + 50000, 1000);
    }
    assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 2500000);
    assert_int_equal(CALL(lseek, fd, 17, SEEK_SET), 17);
    read_pieces(fd, 17, 100017, 1000);
    read_pieces(fd, 100017, 120017, 777);
    read_pieces(fd, 120017, 820017, 70000);
    CALL(fsync, other);
    assert_int_equal(place_outside(outside), 820017);
    assert_int_equal(lseek(outside, 1000, SEEK_SET), 1000); /* others may move it between */
    read_pieces(fd, 1000, 51000, 500);
    read_pieces(fd, 51000, 4 << 20, 5000); /* to the end */
    assert_int_equal(CALL(read, fd, buffer, 100), 0);
    assert_int_equal(place_outside(outside), 4 << 20);
    assert_int_equal(lseek(outside, 100, SEEK_SET), 100);
    read_pieces(fd, 100, 100100, 1000);
    CALL(close, fd);
    assert_int_equal(place_outside(outside), 100100);
    close(outside);
}

static void who_acts_between_all_reads_is_not_kept_by_claims(void **state)
{
    (void)state;
    outside_makes("between", 1 << 20);
    int outside, fd = inherited("between", O_RDONLY, &outside), other = create("other", O_WRONLY);
    uint64_t before = world.exits;
    for (size_t at = 0; at < 500000; at += 500) {
        read_pieces(fd, at, at + 500, 500);
        CALL(fsync, other);
    }
    assert_true(world.exits - before < 2100); /* two each, and some tries */
    CALL(close, fd);
    close(outside);
}

/* Two that read at one position without waiting for each other: each number is read by one of them. */
static void what_is_read_at_a_position_is_read_once(void **state)
{
    (void)state;
    static uint32_t numbers[1 << 20], got[1000];
    static uint8_t seen[1 << 20];
    int outside, fd = inherited("once", O_RDWR | O_TRUNC, &outside), n;
    for (uint32_t i = 0; i < 1 << 20; i++)
        numbers[i] = i;
    assert_int_equal(write(outside, numbers, sizeof numbers), sizeof numbers);
    CALL(close, fd);
    close(outside);
    memset(seen, 0, sizeof seen);
    fd = inherited("once", O_RDONLY, &outside);
    int noticed = create("other", O_WRONLY);
    uint64_t before = world.exits;
    for (int i = 1; i; i++) {
        bool other = i > 100 && i % 37 == 0;
        n = other ? (int)read(outside, got, 3000) : (int)CALL(read, fd, got, 1000);
        for (int at = 0; at < n / 4; at++)
            assert_int_equal(seen[got[at]]++, 0);
        if (n <= 0 && !other)
            break;
        if (i == 2000)
            CALL(fsync, noticed);
    }
    assert_null(memchr(seen, 0, sizeof seen));
    assert_true(world.exits - before > 1000); /* it was found out */
    CALL(close, fd);
    close(outside);
}

static void a_buffer_that_cannot_be_written_takes_nothing(void **state)
{
    (void)state;
    world_catch_faults();
    outside_makes("fault", 1 << 20);
    int outside, fd = inherited("fault", O_RDONLY, &outside), other = create("other", O_WRONLY);
    read_pieces(fd, 0, 50000, 1000);
    assert_int_equal(CALL(read, fd, 4096, 1000), -EFAULT);
    CALL(fsync, other);
    assert_int_equal(place_outside(outside), 50000);
    read_pieces(fd, 50000, 90000, 1000);
    assert_int_equal(truncate(path_of("fault"), 95000), 0); /* what was claimed is not there any more */
    world.per_ms = 0;
    read_pieces(fd, 90000, 95000, 1000);
    assert_int_equal(CALL(read, fd, buffer, 1000), 0);
    CALL(fsync, other);
    assert_int_equal(place_outside(outside), 95000);
    CALL(close, fd);
    close(outside);
}

static void a_file_that_is_given_away_keeps_its_position(void **state)
{
    (void)state;
    int fd = create("given", O_RDWR);
    write_pieces(fd, 0, 1000, 10);
    assert_int_equal(CALL(lseek, fd, 77, SEEK_SET), 77);
    struct file *f = file_get(fd);
    file_cache_surrender(f);
    int outside = dup(f->host_fd);
    file_put(f);
    outside_sees("given", pattern, 1000);
    assert_int_equal(lseek(outside, 0, SEEK_CUR), 77);
    read_pieces(fd, 77, 117, 10);
    assert_int_equal(lseek(outside, 0, SEEK_CUR), 117);
    assert_int_equal(lseek(outside, 10, SEEK_SET), 10);
    write_pieces(fd, 10, 110, 10);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 110);
    assert_int_equal(lseek(outside, 0, SEEK_CUR), 110);
    close(outside);
}

static void both_go_on_after_a_fork(void **state)
{
    (void)state;
    int status, fd = create("forked", O_RDWR), other = create("forked too", O_RDWR);
    outside_makes("forked read", 1 << 20);
    int in = (int)CALL(open, path_of("forked read"), O_RDONLY);
    write_pieces(fd, 0, 1000, 10);
    write_pieces(other, 0, 1000, 10);
    read_pieces(in, 0, 10000, 100);
    files_surrender();
    pid_t child = fork();
    if (!child) {
        extents_forked();
        file_cache_restart();
        write_pieces(fd, 1000, 2000, 10); /* at the position that both have */
        read_pieces(in, 10000, 20000, 100);
        int own = create("forked own", O_WRONLY);
        write_pieces(own, 0, 3000, 10);
        CALL(close_range, 3, ~0u, 0);
        outside_sees("forked own", pattern, 3000);
        _exit(0);
    }
    write_pieces(other, 1000, 2000, 10);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    write_pieces(fd, 2000, 3000, 10);
    read_pieces(in, 20000, 30000, 100);
    CALL(close, fd);
    CALL(close, other);
    outside_sees("forked", pattern, 3000);
    outside_sees("forked too", pattern, 2000);
}

/* Others have gone past what is claimed: it is read by this process, whatever others it makes. */
static void what_is_claimed_is_not_lost_by_a_fork(void **state)
{
    (void)state;
    int status, outside, fd, other = create("other", O_WRONLY);
    outside_makes("rest", 1 << 20);
    fd = inherited("rest", O_RDONLY, &outside);
    read_pieces(fd, 0, 100000, 1000);
    size_t end = (size_t)place_outside(outside);
    assert_true(end >= 110000);
    assert_int_equal(read(outside, buffer, 1000), 1000);
    CALL(fsync, other); /* it would be given back if it could */
    assert_int_equal(place_outside(outside), end + 1000);
    files_surrender();
    pid_t child = fork();
    if (!child) {
        extents_forked();
        file_cache_restart();
        files_visit(file_cache_disown);
        read_pieces(fd, end + 1000, end + 2000, 100);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    read_pieces(fd, 100000, end, 1000);
    read_pieces(fd, end + 2000, end + 3000, 1000);
    CALL(close, fd);
    close(outside);
}

static void calls_that_use_the_position_find_it(void **state)
{
    (void)state;
    int n, from = create("from", O_RDWR), to = create("to", O_RDWR);
    write_pieces(from, 0, 10000, 100);
    assert_int_equal(CALL(lseek, from, 0, SEEK_SET), 0);
    read_pieces(from, 0, 1000, 100);
    assert_int_equal(CALL(ioctl, from, FIONREAD, &n), 0);
    assert_int_equal(n, 9000);
    write_pieces(to, 0, 1000, 100);
    assert_int_equal(CALL(sendfile, to, from, NULL, 500), 500);
    assert_int_equal(CALL(lseek, from, 0, SEEK_CUR), 1500);
    assert_int_equal(CALL(lseek, to, 0, SEEK_CUR), 1500);
    write_pieces(to, 1500, 2000, 100);
    read_pieces(from, 1500, 2000, 100);
    assert_int_equal(CALL(copy_file_range, from, NULL, to, NULL, 1000, 0), 1000);
    write_pieces(to, 3000, 3500, 100);
    read_pieces(from, 3000, 3500, 100);
    CALL(close, to);
    outside_sees("to", pattern, 3500);
}

static void duplicates_share_the_position(void **state)
{
    (void)state;
    int a = create("dup", O_RDWR), b = (int)CALL(dup, a);
    for (size_t at = 0; at < 1000; at += 20) {
        write_pieces(a, at, at + 10, 10);
        write_pieces(b, at + 10, at + 20, 10);
    }
    assert_int_equal(CALL(close, b), 0);
    outside_sees("dup", pattern, 1000);
    assert_int_equal(CALL(lseek, a, 0, SEEK_CUR), 1000);
}

static void positions_are_linuxs(void **state)
{
    (void)state;
    int fd = create("seek", O_RDWR);
    write_pieces(fd, 0, 1000, 10);
    uint64_t before = world.exits;
    assert_int_equal(CALL(lseek, fd, 10, SEEK_SET), 10);
    assert_int_equal(CALL(lseek, fd, -5, SEEK_CUR), 5);
    assert_int_equal(CALL(lseek, fd, 1000000, SEEK_CUR), 1000005);
    assert_int_equal(world.exits, before);
    assert_int_equal(CALL(lseek, fd, -1, SEEK_SET), -EINVAL);
    assert_int_equal(CALL(lseek, fd, -2000000, SEEK_CUR), -EINVAL);
    assert_int_equal(CALL(lseek, fd, INT64_MAX, SEEK_CUR), -EINVAL);
    assert_int_equal(CALL(lseek, fd, 0, 77), -EINVAL);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 1000005);
    assert_int_equal(CALL(lseek, fd, -1, SEEK_END), 999);
    assert_int_equal(CALL(read, fd, buffer, 10), 1);
    assert_int_equal(buffer[0], pattern[999]);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_DATA), 0);
    assert_int_equal(CALL(lseek, fd, 5000, SEEK_SET), 5000);
    assert_int_equal(CALL(write, fd, "x", 1), 1);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_END), 5001);
    int64_t far = CALL(lseek, fd, 1ll << 41, SEEK_SET);
    assert_true(far == 1ll << 41);
    assert_int_equal(CALL(read, fd, buffer, 10), 0);
}

/* ---- reading ---- */

static void small_reads_are_served_together(void **state)
{
    (void)state;
    static const size_t pieces[] = {256, 1000, 2048, 4096, 65536};
    outside_makes("read", 3000001);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        int fd = (int)CALL(open, path_of("read"), O_RDONLY);
        uint64_t before = world.exits;
        read_pieces(fd, 0, 3000001, pieces[i]);
        assert_true(world.exits - before < 40);
        assert_int_equal(CALL(read, fd, buffer, 100), 0);
        assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), 3000001);
        CALL(close, fd);
    }
}

/* Windows may be dear, or cheap again: the position and what is read are the same. */
static void reads_may_go_either_way(void **state)
{
    (void)state;
    outside_makes("either", 3000001);
    for (world.ways = 1; world.ways <= 5; world.ways++) {
        int fd = (int)CALL(open, path_of("either"), O_RDONLY), shared = (int)CALL(dup, fd);
        read_pieces(fd, 0, 1000000, 5000);
        read_pieces(shared, 1000000, 2000000, 7000);
        assert_int_equal(CALL(lseek, fd, 100, SEEK_SET), 100);
        read_pieces(fd, 100, 3000001, 16384);
        assert_int_equal(CALL(read, fd, buffer, 100), 0);
        assert_int_equal(CALL(lseek, shared, 0, SEEK_CUR), 3000001);
        CALL(close, fd);
        CALL(close, shared);
    }
    world.ways = 0;
}

static void a_small_file_is_served_in_any_order(void **state)
{
    (void)state;
    outside_makes("database", 512 << 10);
    int fd = (int)CALL(open, path_of("database"), O_RDWR);
    uint64_t before = world.exits;
    for (size_t i = 0; i < 1000; i++) {
        size_t at = i * 37 % 128 * 4096;
        assert_int_equal(CALL(pread64, fd, buffer, 4096, at), 4096);
        assert_memory_equal(buffer, pattern + at, 4096);
    }
    assert_true(world.exits - before < 20);
}

static void buffers_of_a_vector_are_filled_in_turn(void **state)
{
    (void)state;
    outside_makes("vector", 3000000);
    int fd = (int)CALL(open, path_of("vector"), O_RDONLY);
    for (size_t at = 0; at + 1300 < 3000000; at += 1300) {
        struct iovec v[4] = {
            {buffer, 100}, {buffer + 100, 0}, {buffer + 100, 1000}, {buffer + 1100, 200}};
        assert_int_equal(CALL(readv, fd, v, 4), 1300);
        assert_memory_equal(buffer, pattern + at, 1300);
    }
}

static void what_others_write_is_seen_at_once(void **state)
{
    (void)state;
    outside_makes("changing", 1 << 20);
    int fd = (int)CALL(open, path_of("changing"), O_RDONLY),
        outside = open(path_of("changing"), O_RDWR);
    read_pieces(fd, 0, 20000, 1000);
    assert_int_equal(pwrite(outside, "changed", 7, 20100), 7);
    assert_int_equal(CALL(read, fd, buffer, 1000), 1000);
    assert_memory_equal(buffer + 100, "changed", 7);
    /* and what they append */
    assert_int_equal(CALL(lseek, fd, (1 << 20) - 1000, SEEK_SET), (1 << 20) - 1000);
    read_pieces(fd, (1 << 20) - 1000, 1 << 20, 100);
    assert_int_equal(CALL(read, fd, buffer, 10), 0);
    assert_int_equal(pwrite(outside, pattern + (1 << 20), 300000, 1 << 20), 300000);
    read_pieces(fd, 1 << 20, (1 << 20) + 300000, 1000);
    assert_int_equal(CALL(read, fd, buffer, 10), 0);
    close(outside);
}

static void a_file_that_becomes_shorter_ends_there(void **state)
{
    (void)state;
    world_catch_faults();
    outside_makes("shorter", 1 << 20);
    int fd = (int)CALL(open, path_of("shorter"), O_RDWR);
    read_pieces(fd, 0, 20000, 1000);
    /* by pages that are gone */
    assert_int_equal(truncate(path_of("shorter"), 20480), 0);
    assert_int_equal(CALL(read, fd, buffer, 1000), 480);
    assert_memory_equal(buffer, pattern + 20000, 480);
    assert_int_equal(CALL(read, fd, buffer, 1000), 0);
    /* within a page, of which news comes by whatever exit */
    outside_makes("shorter", 1 << 20);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_SET), 0);
    read_pieces(fd, 0, 20000, 1000);
    assert_int_equal(truncate(path_of("shorter"), 20500), 0);
    CALL(umask, 022);
    assert_int_equal(CALL(read, fd, buffer, 1000), 500);
    /* or by ourselves */
    outside_makes("shorter", 1 << 20);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_SET), 0);
    read_pieces(fd, 0, 20000, 1000);
    assert_int_equal(CALL(ftruncate, fd, 20100), 0);
    assert_int_equal(CALL(read, fd, buffer, 1000), 100);
    /* or by nothing but time */
    outside_makes("shorter", 1 << 20);
    assert_int_equal(CALL(lseek, fd, 0, SEEK_SET), 0);
    read_pieces(fd, 0, 20000, 1000);
    assert_int_equal(truncate(path_of("shorter"), 20700), 0);
    world.per_ms = 0;
    assert_int_equal(CALL(read, fd, buffer, 1000), 700);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct stat s;
    int a = create("both", O_RDWR), b = (int)CALL(open, path_of("both"), O_RDONLY);
    write_pieces(a, 0, 2 << 20, 1000);
    read_pieces(b, 0, 2 << 20, 4096);
    assert_int_equal(CALL(lseek, b, 100000, SEEK_SET), 100000);
    read_pieces(b, 100000, 104000, 1000);
    assert_int_equal(CALL(lseek, a, 104100, SEEK_SET), 104100);
    for (int i = 0; i < 10; i++)
        assert_int_equal(CALL(write, a, "new", 3), 3);
    assert_int_equal(CALL(read, b, buffer, 1000), 1000);
    assert_memory_equal(buffer + 100, "newnewnewnewnewnewnewnewnewnew", 30);
    write_pieces(a, 104130, 104200, 10);
    assert_int_equal(CALL(lseek, a, 2 << 20, SEEK_SET), 2 << 20);
    write_pieces(a, 2 << 20, (2 << 20) + 1000, 10);
    assert_int_equal(CALL(fstat, b, &s), 0);
    assert_int_equal(s.st_size, (2 << 20) + 1000);
    write_pieces(a, (2 << 20) + 1000, (2 << 20) + 2000, 10);
    assert_int_equal(CALL(stat, path_of("both"), &s), 0);
    assert_int_equal(s.st_size, (2 << 20) + 2000);
}

static void more_files_than_windows(void **state)
{
    (void)state;
    int fds[2 * WINDOWS_MAX];
    outside_makes("windows", 1 << 20);
    for (int i = 0; i < 2 * WINDOWS_MAX; i++)
        fds[i] = (int)CALL(open, path_of("windows"), O_RDONLY);
    for (size_t at = 0; at < 1 << 20; at += 4096)
        for (int i = 0; i < 2 * WINDOWS_MAX; i++) {
            if (at % 65536 == 0)
                world.per_ms = 0; /* now and then one may take another's */
            read_pieces(fds[i], at, at + 4096, 4096);
            world.per_ms = UINT64_MAX / 2;
        }
}

static void what_is_no_regular_file_is_left_alone(void **state)
{
    (void)state;
    int fd = (int)CALL(open, "/dev/zero", O_RDWR);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(CALL(read, fd, buffer, 100), 100);
        assert_int_equal(CALL(write, fd, buffer, 100), 100);
    }
    fd = (int)CALL(open, "/proc/self/mountinfo", O_RDONLY);
    int64_t n;
    while ((n = CALL(read, fd, buffer, 50)) > 0)
        ;
    assert_int_equal(n, 0);
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    fd = (int)CALL(open, path_of("fifo"), O_RDWR);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(CALL(write, fd, "abc", 3), 3);
        assert_int_equal(CALL(read, fd, buffer, 10), 3);
        assert_int_equal(CALL(lseek, fd, 0, SEEK_CUR), -ESPIPE);
    }
}

/* ---- anything at all, as it would be without ---- */

static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % below;
}

/* Descriptors of ours and of the system on two files that are to stay the same. */
#define OPEN 4
static int ours[OPEN], theirs[OPEN];
static uint8_t their_buffer[400000];

static void check(const char *what, int64_t a, int64_t b)
{
    if (a != b)
        fail_msg("%s: %ld, not %ld", what, a, b);
}

static int64_t answer(int64_t result)
{
    return result < 0 ? -errno : result;
}

static void reopen(int i)
{
    static const int flags[] = {O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_APPEND, O_RDWR | O_TRUNC};
    int f = flags[any(any(8) ? 4 : 5)];
    if (ours[i]) {
        check("close", CALL(close, ours[i]), 0);
        close(theirs[i]);
    }
    if (i && any(4) == 0 && ours[i - 1]) {
        ours[i] = (int)CALL(dup, ours[i - 1]);
        theirs[i] = dup(theirs[i - 1]);
        return;
    }
    ours[i] = (int)CALL(open, path_of("random"), f | O_CREAT, 0600);
    theirs[i] = open(path_of("random reference"), f | O_CREAT, 0600);
}

static uint32_t size_of_transfer(void)
{
    static const uint32_t sizes[] = {1, 7, 64, 1000, 4096, 65536};
    return any(50) == 0 ? any(400000) : sizes[any(6)];
}

static void transfer(int i, bool write_it, bool here)
{
    uint32_t n = size_of_transfer(), at = any(3) ? any(200000) : any(2000000), times = any(40);
    for (uint32_t t = 0; t <= times; t++, at += n) {
        if (write_it) {
            const uint8_t *from = pattern + any(sizeof pattern - n);
            check("write",
                  here ? CALL(write, ours[i], from, n) : CALL(pwrite64, ours[i], from, n, at),
                  answer(here ? write(theirs[i], from, n) : pwrite(theirs[i], from, n, at)));
            continue;
        }
        int64_t a = here ? CALL(read, ours[i], buffer, n) : CALL(pread64, ours[i], buffer, n, at);
        int64_t b =
            answer(here ? read(theirs[i], their_buffer, n) : pread(theirs[i], their_buffer, n, at));
        check("read", a, b);
        if (a > 0)
            assert_memory_equal(buffer, their_buffer, a);
    }
}

static void change(int i)
{
    struct stat a, b;
    int64_t to = any(300000);
    switch (any(7)) {
    case 0:
        to = any(4) ? any(2000000) : to;
        check("ftruncate", CALL(ftruncate, ours[i], to), answer(ftruncate(theirs[i], to)));
        break;
    case 1:
        CALL(fstat, ours[i], &a);
        fstat(theirs[i], &b);
        check("size", a.st_size, b.st_size);
        break;
    case 2:
        check("fsync", CALL(fdatasync, ours[i]), 0);
        break;
    case 3:
        extents_look();
        break;
    case 4:
        extents_unwatch();
        break;
    case 5:
        to = any(2) ? O_APPEND : 0;
        check("F_SETFL", CALL(fcntl, ours[i], F_SETFL, to), fcntl(theirs[i], F_SETFL, to));
        break;
    case 6:
        world.per_ms = any(4) ? UINT64_MAX / 2 : 0;
        break;
    }
}

static void seek(int i)
{
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE};
    int whence = whences[any(any(4) ? 3 : 5)];
    int64_t offset = (int64_t)any(200000) - (whence ? 50000 : 0);
    if (any(3) == 0)
        offset = 0;
    check("lseek", CALL(lseek, ours[i], offset, whence), answer(lseek(theirs[i], offset, whence)));
}

static void whole_files_are_equal(void)
{
    static uint8_t a[8 << 20], b[8 << 20];
    int x = open(path_of("random"), O_RDONLY);
    int64_t n = read(x, a, sizeof a);
    close(x);
    x = open(path_of("random reference"), O_RDONLY);
    check("bytes at the end", n, read(x, b, sizeof b));
    close(x);
    assert_memory_equal(a, b, n);
}

static void any_sequence_is_as_without(void **state)
{
    (void)state;
    world_catch_faults();
    for (uint64_t s = 1; s <= 60; s++) {
        seed = s;
        unlink(path_of("random"));
        unlink(path_of("random reference"));
        memset(ours, 0, sizeof ours);
        for (int i = 0; i < OPEN; i++)
            reopen(i);
        for (int step = 0; step < 150; step++) {
            int i = (int)any(OPEN);
            switch (any(10)) {
            case 0:
                change(i);
                break;
            case 1:
                seek(i);
                break;
            case 2:
                if (any(3) == 0)
                    reopen(i);
                break;
            default:
                transfer(i, any(2), any(3));
            }
        }
        for (int i = 0; i < OPEN; i++) {
            check("close", CALL(close, ours[i]), 0);
            close(theirs[i]);
        }
        whole_files_are_equal();
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, each)
    const struct CMUnitTest tests[] = {
        T(small_writes_leave_together),
        T(a_lone_write_is_done_at_once),
        T(what_was_written_goes_before_anything_else),
        T(the_host_writes_what_nobody_asks_for),
        T(nothing_is_gathered_while_nobody_looks),
        T(writes_may_overlap),
        T(two_files_of_one_inode_write_in_order),
        T(more_files_than_extents),
        T(without_memory_each_write_is_an_exit),
        T(a_bad_buffer_is_efault),
        T(synchronous_files_are_written_at_once),
        T(the_size_limit_is_found_in_time),
        T(a_late_error_is_told_once),
        T(an_error_that_is_none_is_an_io_error),
        T(appends_go_to_the_end),
        T(a_position_that_is_shared_stays_with_the_host),
        T(an_inherited_file_is_read_with_few_exits_and_its_position_is_right_whenever_one_looks),
        T(who_acts_between_all_reads_is_not_kept_by_claims),
        T(what_is_claimed_is_not_lost_by_a_fork),
        T(what_is_read_at_a_position_is_read_once),
        T(a_buffer_that_cannot_be_written_takes_nothing),
        T(a_file_that_is_given_away_keeps_its_position),
        T(both_go_on_after_a_fork),
        T(calls_that_use_the_position_find_it),
        T(duplicates_share_the_position),
        T(positions_are_linuxs),
        T(small_reads_are_served_together),
        T(reads_may_go_either_way),
        T(a_small_file_is_served_in_any_order),
        T(buffers_of_a_vector_are_filled_in_turn),
        T(what_others_write_is_seen_at_once),
        T(a_file_that_becomes_shorter_ends_there),
        T(what_was_written_is_read),
        T(more_files_than_windows),
        T(what_is_no_regular_file_is_left_alone),
        T(any_sequence_is_as_without),
    };
    return cmocka_run_group_tests(tests, start, finish);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and epoll sets in use by several threads at once: for the thread sanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "enclave/enclave.h"
#include "tests/unit/files_world.h"

#define ROUNDS 1000

static int set;
static int target = -1; /* a descriptor that comes and goes, perhaps as another kind of file */

static void *open_and_close(void *unused)
{
    world_thread(1);
    for (int n = 0; n < ROUNDS; n++) {
        int fds[2];
        if (CALL(pipe2, fds, O_NONBLOCK))
            return "no pipe";
        if (CALL(write, fds[1], "x", 1) != 1)
            return "cannot write to a pipe that is open";
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
        if (CALL(epoll_ctl, set, EPOLL_CTL_ADD, fds[0], &event))
            return "cannot add";
        __atomic_store_n(&target, fds[0], __ATOMIC_RELAXED);
        CALL(close, fds[0]);
        CALL(close, fds[1]);
    }
    return unused;
}

/* Whatever the descriptor is at the moment: a result or an error, never anything else. */
static void *use(void *unused)
{
    world_thread(2);
    for (int n = 0; n < ROUNDS; n++) {
        int fd = __atomic_load_n(&target, __ATOMIC_RELAXED);
        char c;
        int64_t r = CALL(read, fd, &c, 1);
        if (r != 1 && r != 0 && r != -EAGAIN && r != -EBADF && r != -EINVAL)
            return "an unlikely result of read";
        struct pollfd p = {fd, POLLIN, 0};
        if (CALL(poll, &p, 1, 0) < 0)
            return "poll failed";
        int copy = (int)CALL(dup, fd);
        if (copy >= 0)
            CALL(close, copy);
    }
    return unused;
}

static void *wait_for_events(void *unused)
{
    struct epoll_event out[8];
    world_thread(3);
    for (int n = 0; n < ROUNDS; n++) {
        int64_t r = CALL(epoll_wait, set, out, 8, 0);
        if (r < 0)
            return "epoll_wait failed";
        for (int64_t i = 0; i < r; i++)
            if (out[i].data.u64 != 1 && out[i].data.u64 != 2)
                return "an event of nobody";
    }
    return unused;
}

static void inner_files_come_and_go(void)
{
    static struct inner i;
    i = (struct inner){.ready = EPOLLIN, .host_fd = -1};
    for (int n = 0; n < ROUNDS; n++) {
        int fd = world_inner(&i);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = 2};
        assert_int_equal(CALL(epoll_ctl, set, EPOLL_CTL_ADD, fd, &event), 0);
        CALL(close, fd);
    }
}

static void threads_share_descriptors(void **state)
{
    (void)state;
    void *(*const work[])(void *) = {open_and_close, use, wait_for_events};
    pthread_t threads[3];
    void *complaint;
    set = (int)CALL(epoll_create1, 0);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, work[i], NULL);
    inner_files_come_and_go();
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &complaint);
        if (complaint)
            print_error("%s\n", (const char *)complaint);
        assert_null(complaint);
    }
    CALL(close_range, 3, ~0u, 0);
}

/* ---- one file, whose position all threads move ---- */

#define RECORD 40
#define RECORDS 3000

static char path[] = "/tmp/rakis-file-threads-XXXXXX";
static int file;

/* A record is a letter, forty times. */
static const char *write_records(char letter)
{
    char record[RECORD];
    memset(record, letter, RECORD);
    for (int n = 0; n < RECORDS; n++)
        if (CALL(write, file, record, RECORD) != RECORD)
            return "a write that is short";
    return NULL;
}

static void *write_some(void *unused)
{
    (void)unused;
    world_thread(1);
    return (void *)write_records('a');
}

static void *write_others(void *unused)
{
    (void)unused;
    world_thread(2);
    return (void *)write_records('b');
}

static bool whole(const char *record, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (record[i] != record[0])
            return false;
    return record[0] >= 'a' && record[0] <= 'c';
}

/* What is there is whole records, and does not become less. */
static void *read_them(void *unused)
{
    char record[RECORD];
    int64_t there = 0;
    (void)unused;
    world_thread(3);
    int own = (int)CALL(open, path, O_RDONLY);
    for (int n = 0; n < ROUNDS; n++) {
        int64_t size = CALL(lseek, own, 0, SEEK_END);
        /* A write that is being made shows page by page, on Linux too: nobody who asks for the size waits for it. */
        if (size < there || (size % RECORD && size % PAGE_SIZE))
            return "a size that cannot be";
        there = size;
        for (int64_t at = 0; at + RECORD <= there && at < 100 * RECORD; at += RECORD)
            if (CALL(pread64, own, record, RECORD, at) != RECORD || !whole(record, RECORD))
                return "a record that is not whole";
    }
    CALL(close, own);
    return NULL;
}

static void threads_share_a_position(void **state)
{
    (void)state;
    void *(*const work[])(void *) = {write_some, write_others, read_them};
    static char contents[3 * RECORDS * RECORD + 1];
    int counts[3] = {0};
    pthread_t threads[3];
    void *complaint;
    enclave.rings = true;
    close(mkstemp(path));
    file = (int)CALL(open, path, O_RDWR);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, work[i], NULL);
    assert_null(write_records('c'));
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &complaint);
        if (complaint)
            print_error("%s\n", (const char *)complaint);
        assert_null(complaint);
    }
    assert_int_equal(CALL(close, file), 0);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, contents, sizeof contents), 3 * RECORDS * RECORD);
    close(fd);
    unlink(path);
    for (int n = 0; n < 3 * RECORDS; n++) {
        assert_true(whole(contents + n * RECORD, RECORD));
        counts[contents[n * RECORD] - 'a']++;
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(counts[i], RECORDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_descriptors),
                                       cmocka_unit_test(threads_share_a_position)};
    return cmocka_run_group_tests(tests, world_start, NULL);
}

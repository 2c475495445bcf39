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
#include <unistd.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_descriptors)};
    return cmocka_run_group_tests(tests, world_start, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/io_uring.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "host/host.h"
#include "host/law4.h"

static _Alignas(64) uint8_t arena[65536];

#define BASE 0x7f0000000000ull
#define SIZE 0x40000000ull
#define IN (BASE + 0x1234)

static struct host high, zero;

static int set_up(void **state)
{
    (void)state;
    memset(arena, 0, sizeof arena);
    high = (struct host){.image = {.base = BASE, .size = SIZE}, .arena = arena, .arena_size = sizeof arena};
    zero = high;
    zero.image.base = 0;
    return 0;
}

static const char *check(const struct host *h, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2,
                         uint64_t a3, uint64_t a4, uint64_t a5)
{
    const uint64_t a[6] = {a0, a1, a2, a3, a4, a5};
    return law4_check(h, number, a);
}

#define ROOM ((uint64_t)arena)

static void plain_pointers_are_seen(void **state)
{
    (void)state;
    assert_null(check(&high, SYS_read, 3, ROOM, 100, 0, 0, 0));
    assert_string_equal(check(&high, SYS_read, 3, IN, 100, 0, 0, 0), "argument 2");
    assert_string_equal(check(&high, SYS_read, 3, BASE, 100, 0, 0, 0), "argument 2");
    assert_string_equal(check(&high, SYS_read, 3, BASE + SIZE - 1, 100, 0, 0, 0), "argument 2");
    assert_null(check(&high, SYS_read, 3, BASE + SIZE, 100, 0, 0, 0));
    assert_null(check(&high, SYS_read, 3, BASE - 1, 100, 0, 0, 0));
    assert_string_equal(check(&high, SYS_ppoll, ROOM, 1, ROOM, IN, 8, 0), "argument 4");
    assert_string_equal(check(&high, SYS_epoll_wait, 3, IN, 1, 0, 0, 0), "argument 2");
    assert_string_equal(check(&high, SYS_accept4, 3, ROOM, IN, 0, 0, 0), "argument 3");
    assert_non_null(check(&high, SYS_futex, IN, 0, 0, 0, 0, 0));
    assert_non_null(check(&high, SYS_futex, ROOM, 0, 0, IN, 0, 0));
}

static void numbers_are_not_pointers(void **state)
{
    (void)state;
    assert_null(check(&high, SYS_lseek, 3, IN, 0, 0, 0, 0));
    assert_null(check(&high, SYS_pread64, 3, ROOM, 10, IN, 0, 0));
    assert_null(check(&high, EXIT_PARK, UINT64_MAX, 0, 0, 0, 0, 0));
}

static void an_enclave_at_zero_has_numbers_too(void **state)
{
    (void)state;
    assert_null(check(&zero, SYS_socket, 2, 1, 6, 0, 0, 0));
    assert_null(check(&zero, SYS_ppoll, ROOM, 1, 0, 0, 8, 0));
    assert_null(check(&zero, SYS_setsockopt, 3, 1, 2, ROOM, 4, 0));
    assert_null(check(&zero, EXIT_PAGES, 0, 0x400000, 0x1000, 3, 0, 0));
    assert_null(check(&zero, SYS_fcntl, 3, 3, 0, 0, 0, 0));
    assert_string_equal(check(&zero, SYS_write, 1, 0x400100, 5, 0, 0, 0), "argument 2");
}

static void unknown_calls_have_pointers_anywhere(void **state)
{
    (void)state;
    assert_string_equal(check(&high, 460, 0, 0, 0, 0, 0, IN), "argument 6");
    assert_string_equal(check(&high, EXIT_CLOCK, IN, 0, 0, 0, 0, 0), "argument 1");
    assert_non_null(check(&high, UINT64_MAX, IN, 0, 0, 0, 0, 0));
}

static void buffers_of_vectors_are_seen(void **state)
{
    (void)state;
    static const uint64_t calls[] = {SYS_readv, SYS_writev, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2};
    struct iovec *v = (void *)arena;
    v[0] = (struct iovec){arena + 1024, 10};
    v[1] = (struct iovec){arena + 2048, 10};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        v[1].iov_base = arena + 2048;
        assert_null(check(&high, calls[i], 3, ROOM, 2, 0, 0, 0));
        v[1].iov_base = (void *)IN;
        assert_non_null(check(&high, calls[i], 3, ROOM, 2, 0, 0, 0));
        assert_null(check(&high, calls[i], 3, ROOM, 1, 0, 0, 0));
    }
    /* From outside into it. */
    v[1] = (struct iovec){(void *)(BASE - 16), 17};
    assert_non_null(check(&high, SYS_writev, 3, ROOM, 2, 0, 0, 0));
    v[1] = (struct iovec){(void *)(BASE - 16), 16};
    assert_null(check(&high, SYS_writev, 3, ROOM, 2, 0, 0, 0));
    v[1] = (struct iovec){(void *)(BASE - 16), UINT64_MAX};
    assert_non_null(check(&high, SYS_writev, 3, ROOM, 2, 0, 0, 0));
}

static void parts_of_messages_are_seen(void **state)
{
    (void)state;
    struct mmsghdr *m = (void *)arena;
    struct iovec *v = (void *)(arena + 1024);
    for (int message = 0; message < 2; message++)
        for (int part = 0; part < 5; part++) {
            memset(arena, 0, sizeof arena);
            for (int i = 0; i < 2; i++)
                m[i].msg_hdr = (struct msghdr){.msg_name = arena, .msg_control = arena, .msg_iov = v,
                                               .msg_iovlen = 1};
            v[0] = (struct iovec){arena, 5};
            struct msghdr *h = &m[message].msg_hdr;
            if (part == 1)
                h->msg_name = (void *)IN;
            if (part == 2)
                h->msg_control = (void *)IN;
            if (part == 3)
                h->msg_iov = (void *)IN;
            if (part == 4)
                v[0].iov_base = (void *)IN;
            assert_int_equal(check(&high, SYS_sendmmsg, 3, ROOM, 2, 0, 0, 0) != NULL, part != 0);
            assert_int_equal(check(&high, SYS_recvmmsg, 3, ROOM, 2, 0, 0, 0) != NULL, part != 0);
            assert_int_equal(check(&high, SYS_sendmsg, 3, (uint64_t)h, 0, 0, 0, 0) != NULL, part != 0);
            assert_int_equal(check(&high, SYS_recvmsg, 3, (uint64_t)h, 0, 0, 0, 0) != NULL, part != 0);
        }
}

static void single_pointers_in_structures_are_seen(void **state)
{
    (void)state;
    uint64_t *word = (void *)arena;
    word[0] = IN;
    assert_non_null(check(&high, SYS_pselect6, 1, 0, 0, 0, 0, ROOM));
    assert_non_null(check(&high, SYS_io_uring_enter, 3, 0, 1, IORING_ENTER_EXT_ARG, ROOM, 24));
    word[0] = 0;
    word[2] = IN;
    assert_non_null(check(&high, SYS_io_uring_enter, 3, 0, 1, IORING_ENTER_EXT_ARG, ROOM, 24));
    assert_null(check(&high, SYS_io_uring_enter, 3, 0, 1, 0, ROOM, 8));
    word[1] = IN;
    assert_non_null(check(&high, SYS_setsockopt, 3, SOL_SOCKET, SO_ATTACH_FILTER, ROOM, 16, 0));
    assert_null(check(&high, SYS_setsockopt, 3, SOL_SOCKET, SO_RCVBUF, ROOM, 16, 0));
    assert_non_null(check(&high, SYS_ioctl, 3, SIOCGIFCONF, ROOM, 0, 0, 0));
    assert_null(check(&high, SYS_ioctl, 3, FIONREAD, ROOM, 0, 0, 0));
}

/* Nothing outside the arena is looked at: these would fault. */
static void garbage_is_survived(void **state)
{
    (void)state;
    static const uint64_t garbage[] = {0, 1, 8, 4096, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 15};
    uint64_t edges[] = {ROOM - 1, ROOM + sizeof arena - 1, ROOM + sizeof arena - 8, ROOM + sizeof arena};
    memset(arena, 0xff, sizeof arena);
    for (uint64_t number = 0; number < 520; number++)
        for (size_t i = 0; i < 12; i++)
            for (size_t n = 0; n < 8; n++) {
                uint64_t p = i < 8 ? garbage[i] : edges[i - 8];
                const uint64_t a[6] = {p, p, garbage[n], p | 8, p, p};
                law4_check(&high, number, a);
                law4_check(&zero, number, a);
            }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        T(plain_pointers_are_seen),
        T(numbers_are_not_pointers),
        T(an_enclave_at_zero_has_numbers_too),
        T(unknown_calls_have_pointers_anywhere),
        T(buffers_of_vectors_are_seen),
        T(parts_of_messages_are_seen),
        T(single_pointers_in_structures_are_seen),
        T(garbage_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

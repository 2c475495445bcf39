/* SPDX-License-Identifier: Apache-2.0 */
/* What has arrived for a stream, in buffers that the host goes on writing to. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/boundary/arena.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/order.h"
#include "enclave/boundary/user.h"
#include "enclave/enclave.h"
#include "enclave/io/moderate.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/signal.h"
#include "enclave/os/stream_parts.h"
#include "enclave/os/time.h"
#include "enclave/os/wait.h"

static _Alignas(8) uint8_t buffers[URING_BUFFERS][URING_BUFFER_SIZE];
static unsigned given[URING_BUFFERS], left = URING_BUFFERS, cancels, changes, fails;

/* ---- what is around it ---- */

struct untrusted uring_buffer(const struct uring *u, uint32_t buffer)
{
    (void)u;
    return (struct untrusted){(uint64_t)buffers[buffer]};
}

void uring_buffer_give(struct uring *u, uint32_t buffer)
{
    (void)u;
    given[buffer]++;
}

uint32_t uring_buffers_left(const struct uring *u)
{
    (void)u;
    return left;
}

int uring_cancel(struct uring *u, struct uring_op *op)
{
    (void)u, (void)op;
    cancels++;
    return 0;
}

void uring_defer(struct uring *u, struct uring_deferred *d)
{
    (void)u, (void)d;
}

int uring_receive_datagrams(struct uring *u, struct uring_op *op, int host_fd)
{
    (void)u, (void)op, (void)host_fd;
    return 0;
}

void uring_datagram_give(struct uring *u, uint32_t buffer)
{
    (void)u, (void)buffer;
    fail_msg("there are no datagrams");
}

int datagrams_move_inside(struct stream *s)
{
    (void)s;
    fail_msg("there are no datagrams");
    return 0;
}

bool stream_holds(const struct stream *s)
{
    return s->first;
}

int uring_receive_multishot(struct uring *u, struct uring_op *op, int host_fd)
{
    (void)u, (void)op, (void)host_fd;
    return 0;
}

int uring_enter(struct uring *u, uint64_t timeout_ns)
{
    (void)u, (void)timeout_ns;
    return 0;
}

bool uring_enter_if_news(struct uring *u)
{
    (void)u;
    return false;
}

bool stream_completed(struct stream *s)
{
    lock_release(&s->lock);
    return true;
}

bool stream_home(const struct stream *s)
{
    (void)s;
    return true;
}

int uring_accept_multishot(struct uring *u, struct uring_op *op, int host_fd, int flags)
{
    (void)u, (void)op, (void)host_fd, (void)flags;
    return 0;
}

static int turned_away, closed;

void stream_turn_away(int host_fd)
{
    turned_away = host_fd;
}

int host_close(int fd)
{
    closed = fd;
    return 0;
}

void stream_accepted(struct stream *s, int32_t result)
{
    stream_descriptor_push(s, result);
}

bool stream_full(const struct stream *s)
{
    return s->queued >= RECEIVE_PAUSE;
}

void stream_leave_soon(struct stream *s)
{
    (void)s;
}

int64_t stream_wait(struct uring *u)
{
    (void)u;
    fail_msg("it waits");
    return 0;
}

void stream_leave(struct file *f)
{
    (void)f;
}

void epoll_changed(struct file *f, uint32_t events)
{
    (void)f, (void)events;
    changes++;
}

void epoll_answers_by_host(struct file *f)
{
    (void)f;
}

void lock_slow(struct lock *l)
{
    (void)l;
    fail_msg("a lock is taken twice");
}

void *alloc(size_t size)
{
    return fails && fails-- == 1 ? NULL : calloc(1, size);
}

void alloc_free(void *p)
{
    free(p);
}

int user_range(const void *pointer, size_t length)
{
    (void)length;
    return pointer ? 0 : -EFAULT;
}

int user_write(void *to, const void *from, size_t length)
{
    if (!to)
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

/* ---- what is around reading ahead ---- */

static struct {
    uint64_t taken;       /* places in the arena */
    int64_t result;       /* of the next recv */
    int flags;            /* that it had */
    unsigned receives, naps, wakes;
    bool watched, children, no_room;
    uint64_t per_ms;
    char pipe[16384];
    size_t piped;
    int64_t room, error; /* in the pipe; when there is none */
    unsigned waits;      /* writes that may wait */
    void (*meanwhile)(void); /* while it is under way */
} outside;
static _Alignas(8) uint8_t ahead_bytes[1 << 18];
struct enclave enclave;

uint64_t arena_pool_take(uint64_t size)
{
    assert_true(size <= sizeof ahead_bytes);
    outside.taken += !outside.no_room;
    return outside.no_room ? 0 : 4096;
}

void arena_pool_free(uint64_t offset, uint64_t size)
{
    assert_int_equal(offset, 4096);
    assert_true(size <= sizeof ahead_bytes);
    outside.taken--;
}

struct untrusted arena_at(uint64_t offset)
{
    assert_int_equal(offset, 4096);
    return (struct untrusted){(uint64_t)ahead_bytes};
}

int64_t host_recv_arena(int fd, struct untrusted to, uint64_t length, int flags, uint64_t exit_flags)
{
    (void)fd, (void)exit_flags;
    assert_ptr_equal((void *)to.address, ahead_bytes);
    assert_true(length <= sizeof ahead_bytes);
    outside.receives++;
    outside.flags = flags;
    order.exits++;
    if (outside.meanwhile)
        outside.meanwhile();
    return outside.result;
}

int64_t host_writev(int fd, const struct iovec *v, int count, uint64_t skip, int64_t offset, int rwf, uint64_t exit_flags,
                    uint64_t *asked)
{
    (void)exit_flags;
    assert_true(fd == 77 && count == 1 && !skip && offset == -1);
    *asked = v->iov_len;
    outside.waits += !(rwf & RWF_NOWAIT);
    int64_t n = MIN((int64_t)v->iov_len, outside.room);
    if (n <= 0)
        return outside.error;
    memcpy(outside.pipe + outside.piped, v->iov_base, (size_t)n);
    outside.piped += (size_t)n;
    outside.room -= n;
    return n;
}

void host_nap(uint32_t ns)
{
    assert_int_equal(ns, NAP_NS);
    outside.naps++;
}

void signal_nudge_others(void)
{
    outside.wakes++;
}

uint64_t time_tsc_per_ms(void)
{
    return outside.per_ms;
}

bool children_any(void)
{
    return outside.children;
}

bool epoll_watched(const struct file *f)
{
    (void)f;
    return outside.watched;
}

struct stream *stream_of(struct file *f)
{
    return f->stream;
}

uint64_t iovec_length(const struct iovec *v, int count)
{
    uint64_t n = 0;
    for (int i = 0; i < count; i++)
        n += v[i].iov_len;
    return n;
}

/* ---- */

static struct file file;
static struct stream stream;

static int fresh(void **state)
{
    (void)state;
    memset(given, 0, sizeof given);
    memset(&stream, 0, sizeof stream);
    left = URING_BUFFERS;
    cancels = changes = fails = 0;
    memset(&outside, 0, sizeof outside);
    outside.per_ms = 1ull << 31; /* a moment lasts for long */
    enclave.rings = true;
    file = (struct file){.flags = O_RDWR | O_NONBLOCK, .stream = &stream};
    stream.file = &file;
    stream.state = STREAM_ACTIVE;
    stream.last = &stream.first;
    stream.receiving.slot = 1;
    return 0;
}

static int over(void **state)
{
    (void)state;
    stream_pieces_drop(&stream);
    stream_ahead_free(&stream);
    assert_int_equal(outside.taken, 0);
    return 0;
}

static void arrives(uint32_t buffer, const char *text)
{
    memcpy(buffers[buffer], text, strlen(text));
    stream_received(&stream.receiving, (int32_t)strlen(text), buffer, true);
}

static void scribble(void)
{
    memset(buffers, 0xee, sizeof buffers);
}

static int64_t receive(char *to, size_t n, int flags)
{
    struct iovec v = {to, n};
    return stream_receive(&file, &v, 1, flags);
}

static void what_was_looked_at_does_not_change(void **state)
{
    char b[32] = "";
    (void)state;
    arrives(3, "looked");
    arrives(9, "again");
    assert_int_equal(receive(b, 11, MSG_PEEK), 11);
    assert_memory_equal(b, "lookedagain", 11);
    assert_int_equal(given[3] + given[9], 2); /* the bytes lie inside */
    scribble();
    assert_int_equal(receive(b, 11, MSG_PEEK), 11);
    assert_memory_equal(b, "lookedagain", 11);
    assert_int_equal(receive(b, 4, 0), 4);
    assert_memory_equal(b, "look", 4);
    scribble();
    assert_int_equal(receive(b, sizeof b, 0), 7);
    assert_memory_equal(b, "edagain", 7);
    assert_int_equal(receive(b, sizeof b, 0), -EAGAIN);
    assert_int_equal(given[3] + given[9], 2);
}

static void a_look_without_memory_takes_nothing(void **state)
{
    char b[32];
    (void)state;
    arrives(3, "bytes");
    fails = 1;
    assert_int_equal(receive(b, 5, MSG_PEEK), -ENOMEM);
    assert_int_equal(given[3], 0);
    assert_int_equal(receive(b, 5, 0), 5);
    assert_memory_equal(b, "bytes", 5);
    assert_int_equal(given[3], 1);
}

static void where_buffers_are_scarce_what_arrives_moves_inside(void **state)
{
    char b[32];
    (void)state;
    left = 3;
    arrives(3, "inside");
    assert_int_equal(given[3], 1);
    scribble();
    assert_int_equal(receive(b, sizeof b, 0), 6);
    assert_memory_equal(b, "inside", 6);
}

static void a_bad_place_takes_nothing(void **state)
{
    char b[32];
    struct iovec v[2] = {{b, 2}, {NULL, 3}};
    (void)state;
    arrives(3, "whole");
    assert_int_equal(receive(NULL, 5, 0), -EFAULT);
    assert_int_equal(stream_queued(&file), 5);
    assert_int_equal(stream_receive(&file, v, 2, 0), 2);
    assert_int_equal(receive(b, sizeof b, 0), 3);
    assert_memory_equal(b, "ole", 3);
}

static void too_much_makes_the_peer_wait(void **state)
{
    char b[4096];
    (void)state;
    for (uint32_t i = 0; i < 16; i++)
        stream_received(&stream.receiving, URING_BUFFER_SIZE, i, true);
    assert_int_equal(cancels, 1);
    stream_received(&stream.receiving, URING_BUFFER_SIZE, 16, true); /* what was on its way */
    assert_int_equal(cancels, 1);
    for (int i = 0; i < 17; i++)
        assert_int_equal(receive(b, sizeof b, 0), 4096);
    assert_int_equal(receive(b, sizeof b, 0), -EAGAIN);
}

static void errors_are_told_once_and_after_the_bytes(void **state)
{
    char b[32];
    (void)state;
    arrives(3, "rest");
    stream.receiving.slot = 0;
    stream_received(&stream.receiving, -ECONNRESET, URING_NO_BUFFER, false);
    assert_true(stream.dead);
    assert_int_equal(receive(b, sizeof b, 0), 4);
    assert_int_equal(receive(b, sizeof b, 0), -ECONNRESET);
    assert_int_equal(receive(b, sizeof b, 0), 0);
    assert_int_equal(receive(b, sizeof b, 0), 0);
}

static void bytes_that_are_nowhere_are_an_error(void **state)
{
    char b[32];
    (void)state;
    stream_received(&stream.receiving, 100, URING_NO_BUFFER, true);
    assert_int_equal(receive(b, sizeof b, 0), -EIO);
}

static void connections_wait_in_order_and_are_not_lost(void **state)
{
    (void)state;
    stream.listening = true;
    for (int fd = 40; fd < 44; fd++)
        stream_received(&stream.receiving, fd, URING_NO_BUFFER, true);
    assert_int_equal(changes, 4);
    assert_int_equal(stream_descriptor_pop(&stream), 40);
    assert_int_equal(stream_move_inside(&stream), 0);
    assert_int_equal(stream_descriptor_pop(&stream), 41);
    stream_pieces_drop(&stream);
    assert_int_equal(turned_away, 43);
    assert_null(stream.first);
    stream_received(&stream.receiving, 50, URING_NO_BUFFER, true);
    stream_pieces_forget(&stream); /* in the child of a fork */
    assert_int_equal(closed, 50);
    assert_null(stream.first);
}

/* ---- reading ahead ---- */

static void of_the_host(void)
{
    stream.state = STREAM_OFF;
    stream.receiving.slot = 0;
    stream.file = NULL;
    stream_offer_ahead(&file);
}

static int64_t receive_ahead(char *to, size_t n, int flags)
{
    struct iovec v = {to, n};
    __atomic_add_fetch(&file.receivers, 1, __ATOMIC_RELAXED);
    int64_t result = stream_ahead_receive(&file, &v, 1, flags);
    __atomic_sub_fetch(&file.receivers, 1, __ATOMIC_RELAXED);
    return result;
}

static void what_was_read_ahead_is_read_next(void **state)
{
    char b[8];
    (void)state;
    of_the_host();
    assert_true(stream_reads_ahead(&file));
    memcpy(ahead_bytes, "read ahead", 10);
    outside.result = 10;
    assert_int_equal(receive_ahead(b, 4, MSG_DONTWAIT), 4);
    assert_memory_equal(b, "read", 4);
    assert_int_equal(stream_queued(&file), 6);
    assert_int_equal(receive_ahead(b, 4, 0), STREAM_NOT); /* what is inside is read first */
    assert_int_equal(stream_ahead_look(&file), STREAM_WAIT);
    assert_false(stream_ahead_fill(&file));
    assert_int_equal(receive(b, 2, MSG_PEEK), 2);
    memset(ahead_bytes, 0xee, 10);
    assert_int_equal(receive(b, 8, 0), 6); /* it was looked at, so it lies inside */
    assert_memory_equal(b, " ahead", 6);
    assert_int_equal(receive(b, 8, 0), STREAM_NOT);
    outside.result = -ECONNRESET;
    assert_int_equal(receive_ahead(b, 8, 0), -ECONNRESET);
    outside.result = 0;
    assert_int_equal(receive_ahead(b, 8, MSG_WAITALL), 0);
    assert_int_equal(outside.flags, 0);
    assert_int_equal(outside.naps, 0);
    assert_int_equal(receive_ahead(b, 8, MSG_OOB), STREAM_NOT);
    assert_int_equal(receive_ahead(b, 8, MSG_PEEK), STREAM_NOT);
}

static void what_is_inside_is_spliced_first(void **state)
{
    char b[64];
    (void)state;
    of_the_host();
    for (size_t i = 0; i < 10000; i++)
        ahead_bytes[i] = (uint8_t)(i * 7 + i / 251);
    outside.result = 10000;
    outside.error = -EAGAIN;
    assert_int_equal(receive_ahead(b, 50, MSG_DONTWAIT), 50);
    assert_int_equal(receive(b, 10, MSG_PEEK), 10); /* so that they lie inside */
    outside.room = 9000;
    assert_int_equal(stream_splice(&file, 77, 300, false), 300);
    assert_int_equal(outside.waits, 0);
    assert_int_equal(stream_splice(&file, 77, 9000, true), 8700); /* as much as the pipe takes */
    assert_int_equal(outside.waits, 1); /* with the first alone */
    assert_memory_equal(outside.pipe, ahead_bytes + 50, 9000);
    assert_int_equal(stream_splice(&file, 77, 9000, true), -EAGAIN);
    assert_int_equal(stream_queued(&file), 950);
    outside.error = -EOPNOTSUPP;
    assert_int_equal(stream_splice(&file, 77, 1, false), -EAGAIN);
    outside.room = 9000;
    outside.piped = 0;
    assert_int_equal(stream_splice(&file, 77, 9000, true), 950);
    assert_memory_equal(outside.pipe, ahead_bytes + 9050, 950);
    assert_int_equal(stream_splice(&file, 77, 9000, true), STREAM_NOT);
    /* From the arena too. */
    outside.piped = 0;
    assert_int_equal(receive_ahead(b, 50, MSG_DONTWAIT), 50);
    outside.room = 100;
    assert_int_equal(stream_splice(&file, 77, 100, true), 100);
    assert_memory_equal(outside.pipe, ahead_bytes + 50, 100);
    assert_int_equal(receive(b, 5, 0), 5);
    assert_memory_equal(b, ahead_bytes + 150, 5);
}

static void who_is_not_alone_does_not_read_ahead(void **state)
{
    (void)state;
    file.inherited = true;
    of_the_host();
    assert_false(stream_reads_ahead(&file));
    file.inherited = false;
    outside.watched = true;
    of_the_host();
    outside.watched = false;
    outside.children = true;
    of_the_host();
    outside.children = false;
    stream.local = true;
    of_the_host();
    stream.local = false;
    enclave.rings = false;
    of_the_host();
    enclave.rings = true;
    outside.no_room = true;
    of_the_host();
    outside.no_room = false;
    assert_false(stream_reads_ahead(&file));
    of_the_host();
    assert_true(stream_reads_ahead(&file));
    outside.watched = true; /* since then */
    assert_false(stream_ahead_fill(&file));
    assert_int_equal(outside.receives, 0);
    outside.watched = false;
    outside.children = true;
    assert_false(stream_ahead_fill(&file));
    assert_int_equal(outside.receives, 0);
    outside.children = false;
    stream_never_ahead(&file);
    assert_false(stream_ahead_fill(&file));
    assert_false(stream_reads_ahead(&file));
    stream_offer_ahead(&file);
    assert_false(stream_reads_ahead(&file));
}

static void joins(void)
{
    char b[8];
    outside.meanwhile = NULL;
    assert_int_equal(receive_ahead(b, 8, 0), STREAM_NOT);
}

static void who_comes_meanwhile_is_told(void **state)
{
    char b[8];
    (void)state;
    of_the_host();
    outside.result = 100;
    outside.meanwhile = joins;
    assert_int_equal(receive_ahead(b, 8, 0), 8);
    assert_int_equal(outside.wakes, 1);
    assert_int_equal(stream_queued(&file), 92);
    for (int i = 0; i < 12; i++)
        receive(b, 8, 0);
    assert_int_equal(receive_ahead(b, 8, 0), STREAM_NOT); /* never again */
    assert_int_equal(outside.receives, 1);
    stream_offer_ahead(&file);
    assert_false(stream_ahead_fill(&file));
}

static void looks_too(void)
{
    outside.meanwhile = NULL;
    assert_false(stream_ahead_fill(&file));
}

static void who_looks_while_others_receive_leaves_it(void **state)
{
    (void)state;
    of_the_host();
    file.receivers = 1; /* at the host, asleep perhaps */
    assert_false(stream_ahead_fill(&file));
    file.receivers = 0;
    assert_false(stream_ahead_fill(&file));
    assert_int_equal(outside.receives, 0);
    stream_ahead_free(&stream);
    stream.crowded = false;
    of_the_host();
    outside.result = 10;
    outside.meanwhile = looks_too;
    assert_true(stream_ahead_fill(&file));
    assert_int_equal(outside.receives, 1);
    assert_int_equal(outside.wakes, 1);
}

static void so_many_at_once_and_no_more(void **state)
{
    static struct stream streams[20];
    unsigned have = 0;
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct file f = {.flags = O_RDWR, .stream = &streams[i]};
        streams[i].state = STREAM_OFF;
        stream_offer_ahead(&f);
        have += stream_reads_ahead(&f);
    }
    assert_int_equal(have, 16);
    assert_int_equal(outside.taken, 16);
    for (int i = 0; i < 20; i++)
        stream_ahead_free(&streams[i]);
    of_the_host();
    assert_true(stream_reads_ahead(&file));
}

static void when_little_comes_it_ends(void **state)
{
    char b[256];
    (void)state;
    of_the_host();
    outside.result = 200;
    file.flags = O_RDWR;
    for (unsigned i = 0; stream_reads_ahead(&file) && i < 100; i++) {
        if (receive_ahead(b, sizeof b, 0) == STREAM_NOT)
            break;
    }
    assert_in_range(outside.receives, 4, 20);
    assert_int_equal(outside.naps, 0);
    assert_false(stream_reads_ahead(&file));
    assert_int_equal(outside.taken, 0);
}

static void what_is_lost_is_told(void **state)
{
    char b[8];
    (void)state;
    of_the_host();
    outside.result = 100;
    fails = 1;
    assert_int_equal(receive_ahead(b, 8, 0), -ENOMEM);
    outside.result = -ECONNRESET;
    assert_false(stream_ahead_fill(&file));
    assert_int_equal(receive(b, 8, 0), -ECONNRESET);
    assert_int_equal(receive(b, 8, 0), STREAM_NOT);
}

static void a_full_buffer_is_a_reason_to_look_again(void **state)
{
    static char b[sizeof ahead_bytes];
    (void)state;
    of_the_host();
    assert_int_equal(stream_ahead_look(&file), STREAM_WAIT);
    outside.result = sizeof ahead_bytes;
    assert_true(stream_ahead_fill(&file));
    assert_int_equal(outside.flags, MSG_DONTWAIT);
    assert_int_equal(receive(b, sizeof b, 0), sizeof b);
    assert_int_equal(stream_ahead_look(&file), STREAM_LOOK);
    outside.result = 50000;
    assert_true(stream_ahead_fill(&file));
    assert_int_equal(receive(b, sizeof b, 0), 50000);
    assert_int_equal(stream_ahead_look(&file), STREAM_WAIT);
    outside.result = -EAGAIN;
    assert_false(stream_ahead_fill(&file));
    assert_int_equal(stream_ahead_look(&file), STREAM_WAIT);
    assert_int_equal(receive(b, sizeof b, 0), STREAM_NOT);
}

static void who_naps_is_not_asked_again_at_once(void **state)
{
    static char b[65536];
    enum stream_look look = STREAM_WAIT;
    unsigned receives;
    (void)state;
    of_the_host();
    outside.result = sizeof b;
    for (int i = 0; i < 200 && look != STREAM_NAP; i++) {
        assert_true(stream_ahead_fill(&file));
        assert_int_equal(receive(b, sizeof b, 0), sizeof b);
        look = stream_ahead_look(&file);
    }
    assert_int_equal(look, STREAM_NAP);
    assert_true(stream_ahead_fill(&file));
    receives = outside.receives;
    assert_int_equal(receive(b, sizeof b, 0), sizeof b);
    assert_int_equal(receive_ahead(b, sizeof b, 0), -EAGAIN);
    assert_int_equal(outside.receives, receives);
    order.exits++; /* something was heard from outside */
    assert_int_equal(receive_ahead(b, sizeof b, 0), sizeof b);
    /* Who waits does nap. */
    file.flags = O_RDWR;
    assert_int_equal(receive_ahead(b, sizeof b, 0), sizeof b);
    assert_int_equal(outside.naps, 1);
    assert_int_equal(receive_ahead(b, sizeof b, MSG_DONTWAIT), -EAGAIN);
    outside.per_ms = 100; /* a moment has passed */
    assert_int_equal(receive_ahead(b, sizeof b, MSG_DONTWAIT), sizeof b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_looked_at_does_not_change),
        TEST(a_look_without_memory_takes_nothing),
        TEST(where_buffers_are_scarce_what_arrives_moves_inside),
        TEST(a_bad_place_takes_nothing),
        TEST(too_much_makes_the_peer_wait),
        TEST(errors_are_told_once_and_after_the_bytes),
        TEST(bytes_that_are_nowhere_are_an_error),
        TEST(connections_wait_in_order_and_are_not_lost),
        TEST(what_was_read_ahead_is_read_next),
        TEST(what_is_inside_is_spliced_first),
        TEST(who_is_not_alone_does_not_read_ahead),
        TEST(who_comes_meanwhile_is_told),
        TEST(who_looks_while_others_receive_leaves_it),
        TEST(so_many_at_once_and_no_more),
        TEST(when_little_comes_it_ends),
        TEST(what_is_lost_is_told),
        TEST(a_full_buffer_is_a_reason_to_look_again),
        TEST(who_naps_is_not_asked_again_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

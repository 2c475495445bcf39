/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams in buffers that the host fills, and goes on writing to: what holds up is received, all else is counted. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/boundary/datagram.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/stream_parts.h"

static _Alignas(8) uint8_t buffers[URING_DATAGRAMS][DATAGRAM_BUFFER];
static unsigned given[URING_DATAGRAMS], left = URING_DATAGRAMS, cancels, changes, violations, fails, armed, enters;

/* ---- what is around it ---- */

struct untrusted uring_datagram(const struct uring *u, uint32_t buffer)
{
    (void)u;
    assert_true(buffer < URING_DATAGRAMS);
    return (struct untrusted){(uint64_t)buffers[buffer]};
}

void uring_datagram_give(struct uring *u, uint32_t buffer)
{
    (void)u;
    given[buffer]++;
}

uint32_t uring_datagrams_left(const struct uring *u)
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
    armed++;
}

void violation_count(void)
{
    violations++;
}

bool stream_home(const struct stream *s)
{
    (void)s;
    return true;
}

bool stream_completed(struct stream *s)
{
    lock_release(&s->lock);
    return true;
}

void stream_piece_push(struct stream *s, struct piece *p)
{
    *s->last = p;
    s->last = &p->next;
    s->queued += p->charge;
}

void stream_piece_pop(struct stream *s)
{
    struct piece *p = s->first;
    s->first = p->next;
    if (!s->first)
        s->last = &s->first;
    s->queued -= p->charge;
    if (p->buffer != URING_NO_BUFFER)
        given[p->buffer]++;
    free(p);
}

void stream_looked(struct file *f, bool again)
{
    lock_release(&f->stream->lock);
    armed += again;
}

int64_t stream_look_later(struct file *f, bool wait, bool *asked)
{
    (void)f, (void)wait, (void)asked;
    enters++;
    return -EAGAIN;
}

void stream_leave(struct file *f)
{
    f->stream->state = STREAM_OFF;
}

void epoll_changed(struct file *f, uint32_t events)
{
    (void)f, (void)events;
    changes++;
}

int host_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    (void)fd, (void)level;
    *(int *)value = name == SO_DOMAIN ? AF_INET : IPPROTO_UDP;
    *n = sizeof(int);
    return 0;
}

int user_write(void *to, const void *from, size_t n)
{
    memmove(to, from, n);
    return 0;
}

int user_range(const void *p, size_t n)
{
    (void)n;
    return p == (void *)1 ? -EFAULT : 0;
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

/* ---- a socket ---- */

static struct stream stream;
static struct file file;

static int fresh(void **state)
{
    (void)state;
    memset(&stream, 0, sizeof stream);
    memset(given, 0, sizeof given);
    memset(buffers, 0, sizeof buffers);
    left = URING_DATAGRAMS;
    cancels = changes = violations = fails = armed = enters = 0;
    file = (struct file){.stream = &stream, .flags = O_NONBLOCK};
    stream.file = &file;
    stream.state = STREAM_ACTIVE;
    stream.last = &stream.first;
    stream.receiving.slot = 1;
    stream.datagrams = datagrams_new(&file);
    return stream.datagrams ? 0 : -1;
}

static int over(void **state)
{
    (void)state;
    while (stream.first)
        stream_piece_pop(&stream);
    datagrams_free(stream.datagrams);
    return 0;
}

/* As the kernel fills a buffer: its result. */
static int32_t fill(uint32_t buffer, const char *text, uint32_t length, const void *control, uint32_t control_length)
{
    uint8_t *b = buffers[buffer];
    const uint32_t header[4] = {16, control_length, length, 0};
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(99)};
    memcpy(b, header, sizeof header);
    memcpy(b + DATAGRAM_HEAD, &from, sizeof from);
    if (control_length)
        memcpy(b + DATAGRAM_HEAD + DATAGRAM_NAME, control, control_length);
    memcpy(b + DATAGRAM_PAYLOAD, text, strlen(text));
    return (int32_t)(DATAGRAM_PAYLOAD + length);
}

static void arrive(uint32_t buffer, const char *text)
{
    datagrams_received(&stream.receiving, fill(buffer, text, (uint32_t)strlen(text), NULL, 0), buffer, true);
}

struct got {
    int64_t result;
    char bytes[100];
    _Alignas(8) uint8_t control[512];
    struct sockaddr_in from;
    struct msghdr m;
};

static struct got receive_with(size_t room, size_t control_room, int flags)
{
    static struct got g;
    static struct iovec v;
    memset(&g, 0, sizeof g);
    v = (struct iovec){g.bytes, room};
    g.m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_name = &g.from, .msg_namelen = sizeof g.from,
                          .msg_control = g.control, .msg_controllen = control_room};
    g.result = datagrams_receive(&file, &g.m, flags);
    return g;
}

static struct got receive(int flags)
{
    return receive_with(100, 0, flags);
}

/* ---- tests ---- */

static void what_came_is_received_in_order(void **state)
{
    (void)state;
    arrive(5, "first");
    arrive(3, "the second");
    assert_int_equal(changes, 2);
    struct got g = receive(0);
    assert_int_equal(g.result, 5);
    assert_memory_equal(g.bytes, "first", 5);
    assert_int_equal(g.from.sin_port, htons(99));
    assert_int_equal(g.m.msg_namelen, 16);
    assert_int_equal(given[5], 1);
    assert_int_equal(receive(0).result, 10);
    assert_int_equal(given[3], 1);
    assert_int_equal(receive(0).result, -EAGAIN);
    assert_int_equal(violations, 0);
}

static void a_header_that_cannot_be_is_dropped_and_counted(void **state)
{
    static const struct {
        uint32_t name, control, payload, flags;
        int32_t result;
    } table[] = {
        {33, 0, 10, 0, 522},          {UINT32_MAX, 0, 10, 0, 522},      {16, 465, 10, 0, 522},
        {16, UINT32_MAX, 10, 0, 522}, {16, 0, 11, 0, 522},              {16, 0, 9, 0, 522},
        {16, 0, UINT32_MAX, 0, 522},  {16, 0, UINT32_MAX - 511, 0, 0},  {16, 0, 10, MSG_TRUNC, 522},
        {16, 0, 10, 0, 511},          {16, 0, 10, 0, 0},                {16, 0, 65536, 0, 66048},
        {16, 0, 69120, 0, 69632},     {16, 0, 10, 0, DATAGRAM_BUFFER},  {16, 0, 0, 0, 16},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        const uint32_t header[4] = {table[i].name, table[i].control, table[i].payload, table[i].flags};
        memcpy(buffers[i], header, sizeof header);
        datagrams_received(&stream.receiving, table[i].result, i, true);
        assert_int_equal(violations, i + 1);
        assert_int_equal(given[i], 1);
        assert_null(stream.first);
    }
    arrive(0, "goes on");
    assert_int_equal(receive(0).result, 7);
}

static void the_longest_fits(void **state)
{
    struct got g;
    (void)state;
    datagrams_received(&stream.receiving, fill(1, "long", DATAGRAM_LONGEST, NULL, 0), 1, true);
    datagrams_received(&stream.receiving, fill(2, "", 0, NULL, 0), 2, false);
    g = receive_with(4, 0, MSG_TRUNC);
    assert_int_equal(g.result, DATAGRAM_LONGEST);
    assert_int_equal(g.m.msg_flags, MSG_TRUNC);
    assert_int_equal(receive(0).result, 0);
    assert_int_equal(violations, 0);
}

static void a_completion_without_a_buffer_is_an_error(void **state)
{
    (void)state;
    datagrams_received(&stream.receiving, 600, URING_NO_BUFFER, true);
    assert_int_equal(receive(0).result, -EIO);
    datagrams_received(&stream.receiving, -EIO, 7, true); /* and one that is none keeps no buffer */
    assert_int_equal(given[7], 1);
    assert_int_equal(receive(0).result, -EIO);
}

static void what_is_looked_at_twice_is_the_same(void **state)
{
    (void)state;
    arrive(4, "honest");
    assert_int_equal(receive(MSG_PEEK).result, 6);
    assert_int_equal(given[4], 1);
    memset(buffers[4], 'x', sizeof buffers[4]);
    assert_memory_equal(receive(MSG_PEEK).bytes, "honest", 6);
    assert_memory_equal(receive(0).bytes, "honest", 6);
    assert_int_equal(given[4], 1);
}

/* Lengths and addresses are those that were checked, whatever stands there later. */
static void a_header_is_read_once(void **state)
{
    (void)state;
    arrive(4, "honest");
    memset(buffers[4], 0xff, DATAGRAM_PAYLOAD);
    struct got g = receive(0);
    assert_int_equal(g.result, 6);
    assert_int_equal(g.m.msg_namelen, 16);
    assert_int_equal(g.from.sin_port, htons(99));
}

static void errors_come_first_and_once(void **state)
{
    (void)state;
    arrive(1, "waits");
    datagrams_received(&stream.receiving, -ECONNREFUSED, URING_NO_BUFFER, false);
    assert_int_equal(armed, 0); /* nothing is asked for before it is told */
    assert_int_equal(datagrams_state(&stream) & (POLLIN | POLLERR), POLLIN | POLLERR);
    assert_int_equal(receive(0).result, -ECONNREFUSED);
    assert_int_equal(receive(0).result, 5);
    static const int nothing[] = {-ECANCELED, -ENOBUFS, -EINTR, -EAGAIN};
    for (unsigned i = 0; i < ARRAY_SIZE(nothing); i++)
        datagrams_received(&stream.receiving, nothing[i], URING_NO_BUFFER, true);
    assert_int_equal(receive(0).result, -EAGAIN);
    assert_int_equal(datagrams_state(&stream) & (POLLIN | POLLERR), 0);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    left = 0; /* what comes moves inside, and the buffer is the kernel's again */
    for (unsigned i = 0; i < 2000 && !cancels; i++) {
        datagrams_received(&stream.receiving, fill(i % URING_DATAGRAMS, "", 1000, NULL, 0), i % URING_DATAGRAMS, true);
        assert_int_equal(given[i % URING_DATAGRAMS], i / URING_DATAGRAMS + 1);
        assert_true(i < 1000);
    }
    assert_true(datagrams_full(&stream));
    datagrams_received(&stream.receiving, -ECANCELED, URING_NO_BUFFER, false);
    stream.receiving.slot = 0;
    assert_int_equal(armed, 0);
    while (stream.queued > (64u << 10))
        assert_int_equal(receive_with(1, 0, 0).result, 1);
    assert_int_equal(armed, 1); /* enough is read: it goes on */
}

static void without_memory_it_is_dropped(void **state)
{
    (void)state;
    fails = 1;
    arrive(9, "lost");
    assert_int_equal(given[9], 1);
    arrive(9, "kept");
    assert_memory_equal(receive(0).bytes, "kept", 4);
}

static void after_closing_buffers_go_back(void **state)
{
    (void)state;
    stream.file = NULL;
    arrive(9, "nobody");
    assert_int_equal(given[9], 1);
    assert_null(stream.first);
}

/* Elements as the host makes them up. */
static void control_data_is_given_as_far_as_it_holds_up(void **state)
{
    static const struct {
        uint64_t length; /* of the second element */
        size_t given;
        unsigned bad;
    } table[] = {{20, 48, 0}, {15, 24, 1}, {0, 24, 1}, {25, 24, 1}, {UINT64_MAX, 24, 1}, {1ull << 32, 24, 1}};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        uint64_t control[6] = {20, 0, 7, table[i].length, 0, 8};
        violations = 0;
        datagrams_received(&stream.receiving, fill(0, "c", 1, control, sizeof control), 0, true);
        struct got g = receive_with(100, 200, 0);
        assert_int_equal(g.m.msg_controllen, table[i].given);
        assert_int_equal(violations, table[i].bad);
    }
}

static void control_data_is_cut_to_the_room(void **state)
{
    const uint64_t control[6] = {20, 0, 7, 20, 0, 8};
    (void)state;
    for (size_t room = 0; room <= 64; room++) {
        datagrams_received(&stream.receiving, fill(0, "c", 1, control, sizeof control), 0, true);
        struct got g = receive_with(100, room, 0);
        assert_true(g.m.msg_controllen <= room);
        for (size_t i = room; i < sizeof g.control; i++)
            assert_int_equal(g.control[i], 0);
        assert_int_equal(!!(g.m.msg_flags & MSG_CTRUNC), room < 44);
    }
}

static void places_are_known_by_what_came_and_went(void **state)
{
    const struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(99)}, b = {.sin_family = AF_INET, .sin_port = 1};
    (void)state;
    assert_false(datagrams_known(stream.datagrams, &a, sizeof a, 10));
    arrive(0, "x");
    assert_false(datagrams_known(stream.datagrams, &a, sizeof a, 10)); /* nobody has seen it yet */
    receive(0);
    assert_true(datagrams_known(stream.datagrams, &a, sizeof a, 1232));
    assert_false(datagrams_known(stream.datagrams, &a, sizeof a, 1233));
    assert_false(datagrams_known(stream.datagrams, &b, sizeof b, 1));
    datagrams_note(stream.datagrams, &a, sizeof a, 4000);
    assert_true(datagrams_known(stream.datagrams, &a, sizeof a, 4000));
    for (uint16_t port = 100; port < 2000; port++) { /* whatever is forgotten, nothing wrong is believed */
        const struct sockaddr_in c = {.sin_family = AF_INET, .sin_port = port};
        datagrams_note(stream.datagrams, &c, sizeof c, port);
        assert_true(datagrams_known(stream.datagrams, &c, sizeof c, port));
        assert_false(datagrams_known(stream.datagrams, &c, sizeof c, port + 1u));
    }
    assert_false(datagrams_known(stream.datagrams, NULL, 0, 1));
    datagrams_note(stream.datagrams, NULL, 0, 5);
    assert_true(datagrams_known(stream.datagrams, NULL, 0, 5));
    datagrams_forget(&file);
    assert_false(datagrams_known(stream.datagrams, NULL, 0, 5));
}

static void rows_are_told_by_an_element_that_is_taken_out(void **state)
{
    static const struct {
        uint64_t length;
        uint32_t level, type, size;
        uint16_t row;
        uint32_t rest;
    } table[] = {
        {20, IPPROTO_UDP, UDP_GRO, 1400, 1400, 24}, {20, IPPROTO_UDP, UDP_GRO, 65536, 0, 24},
        {20, IPPROTO_UDP, UDP_GRO, 65535, 65535, 24}, {16, IPPROTO_UDP, UDP_GRO, 1400, 0, 32},
        {15, IPPROTO_UDP, UDP_GRO, 1400, 0, 48},    {25, IPPROTO_UDP, UDP_GRO, 1400, 0, 48},
        {20, IPPROTO_IP, UDP_GRO, 1400, 0, 48},     {20, IPPROTO_UDP, UDP_SEGMENT, 1400, 0, 48},
        {UINT64_MAX, IPPROTO_UDP, UDP_GRO, 1, 0, 48}, {20 | 1ull << 32, IPPROTO_UDP, UDP_GRO, 1, 0, 48},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        uint64_t control[6] = {20, 0, 7, table[i].length, table[i].level | (uint64_t)table[i].type << 32, table[i].size};
        uint32_t length = sizeof control;
        assert_int_equal(datagram_row((uint8_t *)control, &length), table[i].row);
        assert_int_equal(length, table[i].rest);
        assert_int_equal(control[2], 7);
    }
}

/* As the kernel joins them: a row of `size`. */
static void row_arrives(uint32_t buffer, const char *text, uint32_t length, uint32_t size)
{
    const uint64_t control[6] = {20, IPPROTO_UDP | (uint64_t)UDP_GRO << 32, size, 20, 0, 8};
    datagrams_received(&stream.receiving, fill(buffer, text, length, control, sizeof control), buffer, true);
}

static void a_row_is_received_one_by_one(void **state)
{
    (void)state;
    stream.joined = true;
    row_arrives(6, "aaabbbccd", 9, 3);
    assert_int_equal(datagrams_first_length(&file), 3);
    assert_memory_equal(receive(MSG_PEEK).bytes, "aaa", 3); /* it lies inside now */
    memset(buffers[6], 'x', sizeof buffers[6]);
    struct got g = receive_with(100, 200, 0);
    assert_int_equal(g.result, 3);
    assert_memory_equal(g.bytes, "aaa", 3);
    assert_int_equal(g.m.msg_controllen, 24); /* what the program did not ask for is not there */
    g = receive_with(1, 0, MSG_TRUNC);
    assert_int_equal(g.result, 3);
    assert_int_equal(g.m.msg_flags & MSG_TRUNC, MSG_TRUNC);
    g = receive(0);
    assert_int_equal(g.result, 3);
    assert_memory_equal(g.bytes, "ccd", 3);
    assert_int_equal(receive(0).result, -EAGAIN);
    row_arrives(7, "aaabb", 5, 3);
    assert_int_equal(receive(0).result, 3);
    assert_int_equal(given[7], 0);
    assert_int_equal(datagrams_first_length(&file), 2);
    assert_int_equal(receive(0).result, 2);
    assert_int_equal(given[7], 1);
}

static void a_row_that_cannot_be_is_one_datagram(void **state)
{
    static const uint32_t sizes[] = {0, 9, 10, 65535, 65536, UINT32_MAX};
    (void)state;
    stream.joined = true;
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        row_arrives(i, "aaabbbccd", 9, sizes[i]);
        assert_int_equal(receive(0).result, 9);
    }
    stream.joined = false; /* the program's own */
    row_arrives(9, "aaabbbccd", 9, 3);
    struct got g = receive_with(100, 200, 0);
    assert_int_equal(g.result, 9);
    assert_int_equal(g.m.msg_controllen, 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_came_is_received_in_order, fresh, over),
        cmocka_unit_test_setup_teardown(a_header_that_cannot_be_is_dropped_and_counted, fresh, over),
        cmocka_unit_test_setup_teardown(the_longest_fits, fresh, over),
        cmocka_unit_test_setup_teardown(a_completion_without_a_buffer_is_an_error, fresh, over),
        cmocka_unit_test_setup_teardown(what_is_looked_at_twice_is_the_same, fresh, over),
        cmocka_unit_test_setup_teardown(a_header_is_read_once, fresh, over),
        cmocka_unit_test_setup_teardown(errors_come_first_and_once, fresh, over),
        cmocka_unit_test_setup_teardown(memory_is_bounded, fresh, over),
        cmocka_unit_test_setup_teardown(without_memory_it_is_dropped, fresh, over),
        cmocka_unit_test_setup_teardown(after_closing_buffers_go_back, fresh, over),
        cmocka_unit_test_setup_teardown(control_data_is_given_as_far_as_it_holds_up, fresh, over),
        cmocka_unit_test_setup_teardown(control_data_is_cut_to_the_room, fresh, over),
        cmocka_unit_test_setup_teardown(places_are_known_by_what_came_and_went, fresh, over),
        cmocka_unit_test_setup_teardown(a_row_is_received_one_by_one, fresh, over),
        cmocka_unit_test_setup_teardown(a_row_that_cannot_be_is_one_datagram, fresh, over),
        cmocka_unit_test(rows_are_told_by_an_element_that_is_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* UDP over several XSKs: who gets what, who sleeps for what; and many threads at it at once, for the thread
 * sanitizer. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include <cmocka.h>

#include "enclave/net/endpoint.h"
#include "enclave/net/interface.h"
#include "enclave/net/net.h"
#include "enclave/os/file.h"
#include "tests/unit/net_world.h"

#define PORT 5300
#define OTHER_PORT 5301
#define QUEUES 4

static int fresh(void **state)
{
    (void)state;
    world_start_queues(QUEUES);
    return 0;
}

static int over(void **state)
{
    (void)state;
    world.threaded = false;
    world_end();
    return 0;
}

static struct file *open_bound(uint16_t port, bool shares)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct file *f = udp_socket_file(world_host_socket(), AF_INET, O_RDWR);
    int on = shares;
    assert_non_null(f);
    assert_int_equal(f->ops->socket->setsockopt(f, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    assert_int_equal(f->ops->socket->bind(f, (struct sockaddr *)&a, sizeof a), 0);
    return f;
}

static int64_t receive_number(struct file *f, uint32_t *number, int flags)
{
    struct iovec v = {number, sizeof *number};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return f->ops->socket->recvmsg(f, &m, flags);
}

static void arrive(int queue, uint16_t sender, uint16_t port, uint32_t number)
{
    world.queue = queue;
    world_receive(PEER_ADDRESS, sender, OUR_ADDRESS, port, &number, sizeof number, CHECKSUM_PARTIAL);
}

/* How many have come to it by now. */
static int drain(struct file *f)
{
    uint32_t number;
    int n = 0;
    while (receive_number(f, &number, MSG_DONTWAIT) == sizeof number)
        n++;
    return n;
}

static uint32_t waits_for(struct file *f)
{
    struct poll_wait wait = {.host_fd = -1};
    f->ops->poll(f, POLLIN, &wait);
    return wait.xsks;
}

static int ones(uint32_t bits)
{
    return __builtin_popcount(bits);
}

static void each_socket_has_an_xsk_of_its_own(void **state)
{
    struct file *f[QUEUES];
    uint32_t all = 0;
    (void)state;
    for (int i = 0; i < QUEUES; i++)
        f[i] = open_bound(PORT, true);
    for (int i = 0; i < QUEUES; i++) {
        assert_int_equal(ones(waits_for(f[i])), 1);
        all |= waits_for(f[i]);
    }
    assert_int_equal(all, (1 << QUEUES) - 1);
    for (int queue = 0; queue < QUEUES; queue++) {
        for (uint16_t sender = 1000; sender < 1020; sender++)
            arrive(queue, sender, PORT, 1);
        for (int i = 0; i < QUEUES; i++)
            assert_int_equal(drain(f[i]), waits_for(f[i]) == 1u << queue ? 20 : 0);
    }
    for (int i = 0; i < QUEUES; i++)
        file_put(f[i]);
}

/* One fewer than there are XSKs, one more, many more: nothing is lost, and nobody gets what it does not wait for. */
static void any_number_of_sockets_shares_the_xsks(void **state)
{
    static const int table[] = {1, 2, 3, 5, 8, 11};
    (void)state;
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        struct file *f[WORLD_HOST_SOCKETS];
        int count = table[t], per_queue[QUEUES] = {0};
        for (int i = 0; i < count; i++)
            f[i] = open_bound(PORT, true);
        for (int queue = 0; queue < QUEUES; queue++) {
            int got = 0;
            for (uint16_t sender = 1000; sender < 1200; sender++)
                arrive(queue, sender, PORT, 1);
            net_catch_up();
            for (int i = 0; i < count; i++) {
                int n = drain(f[i]);
                got += n;
                per_queue[queue] += n > 0;
                if (n)
                    assert_true(waits_for(f[i]) >> queue & 1);
            }
            assert_int_equal(got, 200);
            assert_int_equal(per_queue[queue], count <= QUEUES ? 1 : (count - queue + QUEUES - 1) / QUEUES);
        }
        for (int i = 0; i < count; i++)
            file_put(f[i]);
    }
}

static void one_sender_comes_to_one_socket(void **state)
{
    struct file *f[7];
    (void)state;
    for (int i = 0; i < 7; i++)
        f[i] = open_bound(PORT, true);
    for (uint16_t sender = 1000; sender < 1050; sender++) {
        int queue = sender % QUEUES, with = 0;
        for (uint32_t n = 0; n < 3; n++)
            arrive(queue, sender, PORT, n);
        net_catch_up();
        for (int i = 0; i < 7; i++) {
            int n = drain(f[i]);
            assert_true(n == 0 || n == 3);
            with += n == 3;
        }
        assert_int_equal(with, 1);
    }
    for (int i = 0; i < 7; i++)
        file_put(f[i]);
}

static void a_socket_alone_waits_for_all(void **state)
{
    (void)state;
    struct file *f = open_bound(PORT, false);
    assert_int_equal(waits_for(f), (1 << QUEUES) - 1);
    for (int queue = 0; queue < QUEUES; queue++)
        arrive(queue, 1000, PORT, 1);
    assert_int_equal(drain(f), QUEUES);
    file_put(f);
}

static void what_is_closed_leaves_its_xsks_to_the_others(void **state)
{
    (void)state;
    struct file *a = open_bound(PORT, true), *b = open_bound(PORT, true);
    assert_int_equal(waits_for(a) | waits_for(b), (1 << QUEUES) - 1);
    assert_int_equal(waits_for(a) & waits_for(b), 0);
    file_put(a);
    assert_int_equal(waits_for(b), (1 << QUEUES) - 1);
    for (int queue = 0; queue < QUEUES; queue++)
        arrive(queue, 1000, PORT, 1);
    assert_int_equal(drain(b), QUEUES);
    file_put(b);
}

/* A connected one among them takes what is its peer's, whichever XSK that comes by. */
static void sockets_that_differ_wait_for_all(void **state)
{
    (void)state;
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(PEER_ADDRESS), .sin_port = htons(77)};
    struct file *a = open_bound(PORT, true), *b = open_bound(PORT, true), *c = open_bound(PORT, true);
    assert_int_equal(c->ops->socket->connect(c, (struct sockaddr *)&peer, sizeof peer), 0);
    assert_int_equal(waits_for(a), (1 << QUEUES) - 1);
    assert_int_equal(waits_for(c), (1 << QUEUES) - 1);
    for (int queue = 0; queue < QUEUES; queue++) {
        arrive(queue, 77, PORT, 1);
        arrive(queue, 78, PORT, 1);
    }
    net_catch_up();
    assert_int_equal(drain(c), QUEUES);
    assert_int_equal(drain(a) + drain(b), QUEUES);
    file_put(a);
    file_put(b);
    file_put(c);
}

/* Whose thread is busy elsewhere: its ring is not left to overflow. */
static void a_crowded_xsk_is_drained_by_others(void **state)
{
    (void)state;
    struct file *a = open_bound(PORT, true), *b = open_bound(PORT, true);
    int queue = waits_for(b) & 1 ? 0 : 1;
    uint32_t number;
    for (int n = 0; n < 63; n++)
        arrive(queue, 1000, PORT, 1);
    assert_int_equal(receive_number(a, &number, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(b->ops->arrivals(b), 0);
    arrive(queue, 1000, PORT, 1);
    assert_int_equal(receive_number(a, &number, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(b->ops->arrivals(b), 64);
    assert_int_equal(drain(b), 64);
    file_put(a);
    file_put(b);
}

static void a_sleep_is_for_the_sockets_own_xsks(void **state)
{
    (void)state;
    struct file *a = open_bound(PORT, true), *b = open_bound(PORT, true);
    struct timeval t = {.tv_usec = 1000};
    uint32_t number;
    assert_int_equal(a->ops->socket->setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    uint32_t own = waits_for(a);
    assert_int_equal(receive_number(a, &number, 0), -EAGAIN);
    assert_int_equal(world.slept_for, own);
    file_put(a);
    file_put(b);
}

/* Descriptors that a child of fork inherits are the child's to close, by the kernel's sockets alone. */
static void a_copy_of_the_process_closes_its_sockets(void **state)
{
    (void)state;
    struct file *f = open_bound(PORT, true), *other = open_bound(PORT, true);
    udp_ports_leave();
    udp_endpoint_leave(f->data);
    udp_endpoint_leave(other->data);
    memset(world.steered, 0, sizeof world.steered); /* the parent's, */
    memset((void *)(uintptr_t)world_statistics()->socket, 0, sizeof world_statistics()->socket); /* and shown by it */
    assert_int_equal(waits_for(f), 0);
    file_put(f);
    file_put(other);
}

/* ---- many threads ---- */

#define NUMBERS 4000 /* by each queue */
#define RECEIVERS 4

static struct {
    struct file *f[RECEIVERS];
    uint32_t seen[QUEUES * NUMBERS];
    uint32_t total, by_queue[QUEUES];
    uint32_t expected; /* receivers end when so many have come */
} hall;

static void *generate(void *argument)
{
    int queue = (int)(intptr_t)argument;
    world_thread_enter(8 + (uint64_t)queue);
    for (uint32_t n = 0; n < NUMBERS; n++) {
        struct { uint32_t number; } payload = {(uint32_t)queue * NUMBERS + n};
        /* Within what rings and socket buffers hold, so that nothing may be lost. */
        while (__atomic_load_n(&hall.by_queue[queue], __ATOMIC_RELAXED) + 600 < n)
            sched_yield();
        world_receive_by(queue, PEER_ADDRESS, (uint16_t)(1000 + n % 50), PORT, &payload, sizeof payload);
    }
    return NULL;
}

static void *receive_all(void *argument)
{
    uint64_t me = (uint64_t)(uintptr_t)argument;
    struct file *f = hall.f[me];
    world_thread_enter(1 + me);
    for (unsigned turn = 0; __atomic_load_n(&hall.total, __ATOMIC_RELAXED) < hall.expected; turn++) {
        uint32_t number;
        struct poll_wait wait = {.host_fd = -1};
        if (turn % 3 == 0)
            f->ops->poll(f, POLLIN, &wait);
        if (receive_number(f, &number, turn % 2 ? MSG_DONTWAIT : 0) != sizeof number)
            continue;
        __atomic_add_fetch(&hall.seen[number], 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&hall.by_queue[number / NUMBERS], 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&hall.total, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void receive_in_hall(void)
{
    pthread_t receiver[RECEIVERS], generator[QUEUES];
    struct timeval t = {.tv_usec = 1000};
    int room = 4 << 20;
    hall.total = 0;
    memset(hall.by_queue, 0, sizeof hall.by_queue);
    hall.expected = QUEUES * NUMBERS;
    memset(hall.seen, 0, sizeof hall.seen);
    for (int i = 0; i < RECEIVERS; i++) {
        hall.f[i]->ops->socket->setsockopt(hall.f[i], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        hall.f[i]->ops->socket->setsockopt(hall.f[i], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    world.threaded = true;
    for (int i = 0; i < RECEIVERS; i++)
        pthread_create(&receiver[i], NULL, receive_all, (void *)(intptr_t)i);
    for (int i = 0; i < QUEUES; i++)
        pthread_create(&generator[i], NULL, generate, (void *)(intptr_t)i);
    for (int i = 0; i < QUEUES; i++)
        pthread_join(generator[i], NULL);
    for (int i = 0; i < RECEIVERS; i++)
        pthread_join(receiver[i], NULL);
    for (uint32_t n = 0; n < QUEUES * NUMBERS; n++)
        assert_int_equal(hall.seen[n], 1);
    world.threaded = false;
}

static void threads_receive_each_by_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < RECEIVERS; i++)
        hall.f[i] = open_bound(PORT, true);
    receive_in_hall();
    for (int i = 0; i < RECEIVERS; i++)
        file_put(hall.f[i]);
}

static void threads_receive_by_one_socket(void **state)
{
    (void)state;
    struct file *f = open_bound(PORT, false);
    for (int i = 0; i < RECEIVERS; i++)
        hall.f[i] = f;
    receive_in_hall();
    file_put(f);
}

/* ---- coming and going ---- */

static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER; /* guards at_door */
static struct file *at_door;
static bool closed;

static struct file *door_get(void)
{
    pthread_mutex_lock(&door);
    struct file *f = at_door;
    if (f)
        __atomic_add_fetch(&f->references, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&door);
    return f;
}

static void door_put(struct file *f)
{
    pthread_mutex_lock(&door);
    struct file *old = at_door;
    at_door = f;
    pthread_mutex_unlock(&door);
    if (old)
        file_put(old);
}

static void *use(void *argument)
{
    uint64_t me = (uint64_t)(uintptr_t)argument;
    world_thread_enter(1 + me);
    for (uint64_t turn = me; !__atomic_load_n(&closed, __ATOMIC_RELAXED); turn++) {
        struct file *f = door_get();
        struct poll_wait wait = {.host_fd = -1};
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(PEER_ADDRESS), .sin_port = htons(9)};
        struct iovec v = {(char[]){"some"}, 4};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &to, .msg_namelen = sizeof to};
        uint32_t number;
        int length;
        if (!f)
            continue;
        switch (turn % 6) {
        case 0:
            receive_number(f, &number, MSG_DONTWAIT);
            break;
        case 1:
            receive_number(f, &number, 0);
            break;
        case 2:
            f->ops->poll(f, POLLIN, &wait);
            break;
        case 3:
            f->ops->socket->sendmsg(f, &m, 0);
            break;
        case 4:
            receive_number(f, &number, MSG_PEEK | MSG_DONTWAIT);
            break;
        case 5:
            f->ops->ioctl(f, FIONREAD, (uint64_t)(uintptr_t)&length);
            break;
        }
        file_put(f);
    }
    return NULL;
}

static void *flood(void *argument)
{
    int queue = (int)(intptr_t)argument;
    world_thread_enter(8 + (uint64_t)queue);
    for (uint32_t n = 0; !__atomic_load_n(&closed, __ATOMIC_RELAXED); n++) {
        if (world_waiting_by(queue) < 100)
            world_receive_by(queue, PEER_ADDRESS, (uint16_t)(1000 + n % 50), n % 3 ? PORT : OTHER_PORT, &n, sizeof n);
        if (n % 500 == 0)
            interfaces_load();
        sched_yield();
    }
    return NULL;
}

static void sockets_come_and_go_under_load(void **state)
{
    pthread_t user[3], source[QUEUES];
    struct timeval t = {.tv_usec = 1000};
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(PEER_ADDRESS), .sin_port = htons(1007)};
    (void)state;
    closed = false;
    world.threaded = true;
    world.frames_low = 100; /* what waits is moved inside all the time */
    for (int i = 0; i < 3; i++)
        pthread_create(&user[i], NULL, use, (void *)(intptr_t)i);
    for (int i = 0; i < QUEUES; i++)
        pthread_create(&source[i], NULL, flood, (void *)(intptr_t)i);
    for (int round = 0; round < 300; round++) {
        struct file *f = open_bound(PORT, true), *other = open_bound(round % 2 ? PORT : OTHER_PORT, true);
        f->ops->socket->setsockopt(f, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        other->ops->socket->setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        door_put(f);
        for (int i = 0; i < round % 5; i++)
            sched_yield();
        if (round % 3 == 0)
            other->ops->socket->connect(other, (struct sockaddr *)&peer, sizeof peer);
        door_put(other);
    }
    door_put(NULL);
    __atomic_store_n(&closed, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        pthread_join(user[i], NULL);
    for (int i = 0; i < QUEUES; i++)
        pthread_join(source[i], NULL);
    net_catch_up(); /* what nobody wants any more gives its frames back */
}

/* ---- a stream that begins and ends while others use the socket ---- */

static uint32_t stream_sends, stream_ends;

static void *send_stream(void *argument)
{
    struct file *f = argument;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(PEER_ADDRESS), .sin_port = htons(9)};
    struct iovec v = {(char[]){"some"}, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &to, .msg_namelen = sizeof to};
    world_thread_enter(1);
    while (__atomic_load_n(&stream_ends, __ATOMIC_RELAXED) < 50) {
        f->ops->socket->sendmsg(f, &m, 0);
        __atomic_add_fetch(&stream_sends, 1, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&closed, true, __ATOMIC_RELAXED);
    return NULL;
}

static void *look_meanwhile(void *argument)
{
    struct file *f = argument;
    struct poll_wait wait = {.host_fd = -1};
    uint32_t number;
    int error;
    socklen_t n = sizeof error;
    world_thread_enter(2);
    while (!__atomic_load_n(&closed, __ATOMIC_RELAXED)) {
        receive_number(f, &number, MSG_DONTWAIT);
        f->ops->socket->getsockopt(f, SOL_SOCKET, SO_ERROR, &error, &n);
        f->ops->poll(f, POLLIN | POLLOUT, &wait);
    }
    return NULL;
}

static void streams_begin_and_end_under_load(void **state)
{
    pthread_t sender, looker;
    struct file *f = open_bound(PORT, false);
    int ttl = 64;
    (void)state;
    closed = false;
    world.threaded = true;
    world.segments.offered = true;
    stream_sends = stream_ends = 0;
    pthread_create(&sender, NULL, send_stream, f);
    pthread_create(&looker, NULL, look_meanwhile, f);
    for (uint32_t next = 50; !__atomic_load_n(&closed, __ATOMIC_RELAXED);) {
        uint32_t sends = __atomic_load_n(&stream_sends, __ATOMIC_RELAXED);
        if (sends >= next) { /* long enough to have begun */
            f->ops->socket->setsockopt(f, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl); /* ends it */
            next = sends + 50;
            __atomic_add_fetch(&stream_ends, 1, __ATOMIC_RELAXED);
        }
        sched_yield();
    }
    pthread_join(sender, NULL);
    pthread_join(looker, NULL);
    file_put(f);
    assert_true(world.segments.sent > 0);
}

/* Words outside have no order: the kernel's, and counters that are shown. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:untrusted_store\n";
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_socket_has_an_xsk_of_its_own),
        TEST(any_number_of_sockets_shares_the_xsks),
        TEST(one_sender_comes_to_one_socket),
        TEST(a_socket_alone_waits_for_all),
        TEST(what_is_closed_leaves_its_xsks_to_the_others),
        TEST(sockets_that_differ_wait_for_all),
        TEST(a_crowded_xsk_is_drained_by_others),
        TEST(a_sleep_is_for_the_sockets_own_xsks),
        TEST(a_copy_of_the_process_closes_its_sockets),
        TEST(threads_receive_each_by_its_own),
        TEST(threads_receive_by_one_socket),
        TEST(sockets_come_and_go_under_load),
        TEST(streams_begin_and_end_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The stack where something is missing: memory, interfaces, XSKs, statistics; and around fork. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#include "enclave/enclave.h"
#include "enclave/net/bytes.h"
#include "enclave/net/checksum.h"
#include "enclave/net/interface.h"
#include "enclave/net/net.h"
#include "enclave/net/udp.h"
#include "enclave/os/file.h"
#include "enclave/os/udp_socket.h"
#include "tests/unit/net_world.h"

#define PORT 5201
#define PEER_PORT 40000

static int fresh(void **state)
{
    (void)state;
    world_start();
    return 0;
}

static int over(void **state)
{
    (void)state;
    world.no_statistics = false;
    world_end();
    return 0;
}

static struct file *bound_socket(void)
{
    struct file *f = udp_socket_file(world_host_socket(), AF_INET, O_RDWR);
    const struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    assert_int_equal(f->ops->socket->bind(f, (const struct sockaddr *)&a, sizeof a), 0);
    return f;
}

static int64_t receive(struct file *f, void *to, size_t room, int flags)
{
    struct iovec v = {to, room};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return f->ops->socket->recvmsg(f, &m, flags | MSG_DONTWAIT);
}

static int64_t send_to_peer(struct file *f, const void *bytes, size_t length)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PEER_PORT)};
    struct iovec v = {(void *)(uintptr_t)bytes, length};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a};
    a.sin_addr.s_addr = htonl(PEER_ADDRESS);
    return f->ops->socket->sendmsg(f, &m, MSG_DONTWAIT);
}

static void arrive(const char *text)
{
    world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT, text, strlen(text), CHECKSUM_FULL);
}

static void expect(struct file *f, const char *text)
{
    char bytes[64];
    int64_t n = receive(f, bytes, sizeof bytes, 0);
    if (n != (int64_t)strlen(text) || memcmp(bytes, text, strlen(text)))
        fail_msg("received %ld: %.20s, not %s", (long)n, bytes, text);
}

static void without_what_it_needs_there_is_none(void **state)
{
    (void)state;
    net_leave();
    assert_false(net_active());
    enclave.rings = false;
    net_start();
    assert_false(net_active());
    enclave.rings = true;
    enclave.start.xsk_allowed = 0;
    net_start();
    assert_false(net_active());
    enclave.start.xsk_allowed = 1;
    world.interfaces_error = -ENODEV;
    net_start();
    assert_false(net_active());
    world.interfaces_error = 0;
    world.xsk_error = -EPERM;
    net_start();
    assert_false(net_active());
    world.xsk_error = 0;
    net_start();
    assert_true(net_active());
}

static void nobody_asked_for_statistics(void **state)
{
    (void)state;
    char byte;
    world.no_statistics = true;
    struct file *f = bound_socket();
    world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT + 1, "none", 4, CHECKSUM_FULL); /* a drop */
    arrive("some");
    expect(f, "some");
    assert_int_equal(receive(f, &byte, 1, 0), -EAGAIN);
    file_put(f);
}

static void without_memory_a_datagram_stays_where_it_is(void **state)
{
    (void)state;
    char bytes[8];
    struct file *f = bound_socket();
    arrive("whole");
    world.no_memory = true;
    assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), -ENOMEM);
    world.no_memory = false;
    assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5);
    expect(f, "whole");
    file_put(f);
}

static void without_memory_a_queue_does_not_grow(void **state)
{
    (void)state;
    struct file *f = bound_socket();
    for (int i = 0; i < 100; i++)
        arrive("one");
    world.no_memory = true;
    net_catch_up();
    world.no_memory = false;
    assert_int_equal(world_drops(DROP_queue_full), 100 - 64);
    for (int i = 0; i < 64; i++)
        expect(f, "one");
    arrive("two");
    expect(f, "two");
    file_put(f);
}

/* Frames are low: what waits moves inside, as far as there is memory for it. */
static void without_memory_frames_stay_out(void **state)
{
    (void)state;
    struct file *f = bound_socket();
    const int room = 4000000;
    f->ops->socket->setsockopt(f, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    for (int i = 0; i < 700; i++)
        arrive("frame");
    net_catch_up();
    world.no_memory = true;
    for (int i = 0; i < 80; i++)
        arrive("frame");
    net_catch_up();
    assert_int_equal(world.frames_out, 780);
    world.no_memory = false;
    arrive("frame");
    net_catch_up();
    assert_true(world.frames_out < 781 - 200);
    for (int i = 0; i < 781; i++)
        expect(f, "frame");
    file_put(f);
}

static void a_socket_needs_memory(void **state)
{
    (void)state;
    world.no_memory = true;
    assert_null(udp_socket_file(world_host_socket(), AF_INET, O_RDWR));
    world.no_memory = false; /* and its host socket is closed: world_end() looks */
}

static void what_is_shared_with_a_child_comes_by_the_host(void **state)
{
    (void)state;
    struct file *f = bound_socket();
    arrive("before");
    udp_sockets_share();
    assert_false(world_steered(0, PORT));
    expect(f, "before");
    world_host_receive(f->host_fd, PEER_ADDRESS, PEER_PORT, "shared", 6);
    expect(f, "shared");
    udp_sockets_reclaim();
    assert_true(world_steered(0, PORT));
    arrive("after");
    expect(f, "after");
    file_put(f);
}

static void a_child_has_none_of_what_the_parent_received(void **state)
{
    (void)state;
    char bytes[8];
    world.no_statistics = true; /* they are the parent's */
    struct file *f = bound_socket();
    arrive("parent's");
    arrive("inside");
    net_catch_up();
    receive(f, bytes, sizeof bytes, MSG_PEEK); /* moves the first inside */
    udp_sockets_share();
    net_leave();
    udp_sockets_leave();
    assert_false(net_active());
    assert_int_equal(receive(f, bytes, sizeof bytes, 0), -EAGAIN);
    world_host_receive(f->host_fd, PEER_ADDRESS, PEER_PORT, "child's", 7);
    expect(f, "child's");
    file_put(f); /* it was bound, to what nothing is steered to any more */
    world.frames_out = 0; /* they are the parent's */
}

/* However long ago that was, and whatever has come by the host's socket since. */
static void what_was_looked_at_is_what_comes_next(void **state)
{
    (void)state;
    char bytes[8];
    struct file *f = bound_socket();
    for (int i = 0; i < 3; i++) {
        arrive("first");
        assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5);
        world_host_receive(f->host_fd, PEER_ADDRESS, PEER_PORT, "second", 6);
        socket_of(f)->host_looked = 0; /* it is due to be looked at */
        socket_of(f)->host_reported = POLLIN;
        assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5);
        expect(f, "first");
        expect(f, "second");
    }
    file_put(f);
}

/* The host's was looked at, then something comes by the XSK: it is not first for that. */
static void what_the_host_has_shown_comes_next(void **state)
{
    (void)state;
    char bytes[8];
    struct file *f = bound_socket();
    struct world_host_socket *h = &world.host[f->host_fd - WORLD_FIRST_DESCRIPTOR];
    world_host_receive(f->host_fd, PEER_ADDRESS, PEER_PORT, "first", 5);
    assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5);
    arrive("second");
    socket_of(f)->host_looked = udp_ticks(); /* it is not due to be looked at */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5);
        assert_memory_equal(bytes, "first", 5);
    }
    expect(f, "first");
    socket_of(f)->host_looked = udp_ticks();
    int asked = h->receives;
    expect(f, "second");
    arrive("third");
    expect(f, "third");
    assert_int_equal(h->receives, asked); /* nothing is known to be there any more */

    /* Who shares the host's socket has taken it meanwhile. */
    world_host_receive(f->host_fd, PEER_ADDRESS, PEER_PORT, "taken", 5);
    socket_of(f)->host_looked = 0;
    assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5);
    h->queued = 0;
    arrive("fourth");
    expect(f, "fourth");
    arrive("fifth");
    socket_of(f)->host_looked = udp_ticks();
    asked = h->receives;
    expect(f, "fifth");
    assert_int_equal(h->receives, asked);
    file_put(f);
}

/* As in the kernel it is told before all that waits, by whatever call. */
static void an_error_comes_before_what_was_looked_at(void **state)
{
    (void)state;
    char bytes[8];
    struct file *f = bound_socket();
    struct world_host_socket *h = &world.host[f->host_fd - WORLD_FIRST_DESCRIPTOR];
    for (int flags = 0; flags <= MSG_PEEK; flags += MSG_PEEK) {
        arrive("first");
        assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5);
        world_host_receive(f->host_fd, PEER_ADDRESS, PEER_PORT, "second", 6);
        h->error = -ECONNREFUSED;
        socket_of(f)->host_reported = POLLIN | POLLERR;
        assert_int_equal(receive(f, bytes, sizeof bytes, flags), -ECONNREFUSED);
        assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5); /* once */
        expect(f, "first");
        expect(f, "second");
    }
    /* One that the host reports and has not got costs nothing. */
    arrive("third");
    assert_int_equal(receive(f, bytes, sizeof bytes, MSG_PEEK), 5);
    socket_of(f)->host_reported = POLLERR;
    expect(f, "third");
    file_put(f);
}

/* Where several came with each sleep, one naps. How fast this machine is decides when, but not whether. */
static void who_gets_many_at_once_naps(void **state)
{
    (void)state;
    struct file *f = bound_socket();
    int tries = 0;
    for (; tries < 1000 && !world.napped_ns; tries++) {
        world.received += 10;
        world.napped_ns = 0;
        const struct timeval limit = {.tv_usec = 1000};
        f->ops->socket->setsockopt(f, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        char byte;
        struct iovec v = {&byte, 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        assert_int_equal(f->ops->socket->recvmsg(f, &m, 0), -EAGAIN);
    }
    assert_true(world.napped_ns > 0);
    file_put(f);
}

/* One that comes alone and is answered, again and again: does it come to watch? *came: what that found. */
static bool watches(bool *came)
{
    for (int tries = 0; tries < 1000; tries++) {
        int flushes = world.exits.flushes;
        world.received++;
        net_count_sent();
        *came = net_watch(1);
        if (world.exits.flushes > flushes)
            return true; /* what is waited for has gone out */
        assert_false(*came);
    }
    return false;
}

static void who_is_answered_at_once_watches(void **state)
{
    (void)state;
    struct file *f = bound_socket();
    bool came;
    assert_true(watches(&came));
    assert_false(came);
    arrive("here");
    assert_true(watches(&came));
    assert_true(came);
    assert_false(net_watch(0));
    expect(f, "here");
    int flushes = world.exits.flushes;
    for (int i = 0; i < 100; i++) { /* only receives */
        world.received++;
        assert_false(net_watch(1));
    }
    assert_int_equal(world.exits.flushes, flushes);
    file_put(f);
}

/* Of what may be fragmented on its way, no two have the same number. */
static void what_may_be_fragmented_is_numbered(void **state)
{
    (void)state;
    struct file *f = bound_socket();
    const int dont = IP_PMTUDISC_DONT;
    send_to_peer(f, "a", 1);
    f->ops->socket->setsockopt(f, IPPROTO_IP, IP_MTU_DISCOVER, &dont, sizeof dont);
    send_to_peer(f, "b", 1);
    send_to_peer(f, "c", 1);
    assert_int_equal(world.sent, 3);
    const uint8_t *ip[3];
    for (int i = 0; i < 3; i++)
        ip[i] = world.wire[i].bytes + ETHERNET_HEADER;
    assert_int_equal(load_be16(ip[0] + 6), 0x4000);
    assert_int_equal(load_be16(ip[1] + 6), 0);
    assert_int_equal(load_be16(ip[2] + 6), 0);
    assert_int_not_equal(load_be16(ip[1] + 4), load_be16(ip[2] + 4));
    file_put(f);
}

/* A fault in a copy is answered as the enclave answers it. */
extern const char copy_begin[], copy_end[], copy_fault[];

static void fault(int number, siginfo_t *info, void *context)
{
    greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)info;
    if ((uint64_t)*rip < (uint64_t)copy_begin || (uint64_t)*rip >= (uint64_t)copy_end)
        signal(number, SIG_DFL);
    else
        *rip = (greg_t)copy_fault;
}

static void memory_that_cannot_be_read_is_not_sent(void **state)
{
    (void)state;
    const struct sigaction act = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &act, NULL);
    world.checksums = true; /* it is copied straight from the program's memory */
    struct file *f = bound_socket();
    assert_int_equal(send_to_peer(f, (const void *)4096, 100), -EFAULT);
    assert_int_equal(world.sent, 0);
    assert_int_equal(send_to_peer(f, "good", 4), 4);
    assert_int_equal(world.sent, 1);
    file_put(f);
}

static void without_a_frame_there_is_no_room(void **state)
{
    (void)state;
    struct file *f = bound_socket();
    for (int i = 0; i < WORLD_FRAMES; i++)
        world_receive_frame("x", 1);
    assert_int_equal(send_to_peer(f, "some", 4), -EAGAIN);
    net_catch_up(); /* they are none of ours: their frames are free again */
    assert_int_equal(send_to_peer(f, "some", 4), 4);
    file_put(f);
}

/* Datagrams are joined only as far as they are of one kind. */
static void only_what_is_alike_is_joined(void **state)
{
    (void)state;
    static const struct udp_fields kinds[] = {
        {.source_port = PEER_PORT, .ttl = 33, .tos = 1},
        {.source_port = PEER_PORT, .ttl = 34, .tos = 1},
        {.source_port = PEER_PORT, .ttl = 33, .tos = 2},
        {.source_port = PEER_PORT + 1, .ttl = 33, .tos = 1},
        {.source_port = PEER_PORT, .ttl = 33, .tos = 1, .source = {0, 0xffff0a000005}},
        {.source_port = PEER_PORT, .ttl = 33, .tos = 1, .destination = {0, 0xffff0a0000ff}},
    };
    struct file *f = bound_socket();
    const int on = 1;
    char bytes[64];
    f->ops->socket->setsockopt(f, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (int n = 0; n < 2; n++) {
            uint8_t frame[64] = {0};
            struct udp_fields k = n ? kinds[i] : kinds[0];
            k.source = ip_is_none(k.source) ? ip_four(PEER_ADDRESS) : k.source;
            k.destination = ip_is_none(k.destination) ? ip_four(OUR_ADDRESS) : k.destination;
            k.destination_port = PORT;
            k.length = 4;
            k.payload_sum = (uint16_t)checksum_sum((const uint8_t *)"join", 4);
            udp_build(frame, &k);
            memcpy(frame + UDP_OVERHEAD, "join", 4);
            world_receive_frame(frame, UDP_OVERHEAD + 4);
        }
        assert_int_equal(receive(f, bytes, sizeof bytes, 0), i ? 4 : 8);
        if (i)
            assert_int_equal(receive(f, bytes, sizeof bytes, 0), 4);
    }
    file_put(f);
}

/* Two addresses at the ends of a line: neither is a broadcast (RFC 3021). */
static void a_network_of_two_has_no_broadcast(void **state)
{
    (void)state;
    static const struct {
        uint64_t prefix;
        bool accepted;
    } table[] = {{30, true}, {31, false}, {32, false}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        world.interfaces.interface[0].address[0].prefix = table[i].prefix;
        assert_int_equal(interfaces_load(), 0);
        assert_int_equal(interface_accepts(INTERFACE_INDEX, ip_four(0x0a000003)), table[i].accepted);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_what_it_needs_there_is_none),
        TEST(nobody_asked_for_statistics),
        TEST(without_memory_a_datagram_stays_where_it_is),
        TEST(without_memory_a_queue_does_not_grow),
        TEST(without_memory_frames_stay_out),
        TEST(a_socket_needs_memory),
        TEST(what_is_shared_with_a_child_comes_by_the_host),
        TEST(a_child_has_none_of_what_the_parent_received),
        TEST(what_was_looked_at_is_what_comes_next),
        TEST(what_the_host_has_shown_comes_next),
        TEST(an_error_comes_before_what_was_looked_at),
        TEST(who_gets_many_at_once_naps),
        TEST(who_is_answered_at_once_watches),
        TEST(what_may_be_fragmented_is_numbered),
        TEST(memory_that_cannot_be_read_is_not_sent),
        TEST(without_a_frame_there_is_no_room),
        TEST(only_what_is_alike_is_joined),
        TEST(a_network_of_two_has_no_broadcast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

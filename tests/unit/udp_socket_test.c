/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets as a program sees them: datagrams by the XSK and by the host socket, both ways. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <cmocka.h>

#include "enclave/net/bytes.h"
#include "enclave/net/net.h"
#include "enclave/os/file.h"
#include "enclave/os/syscalls.h"
#include "tests/unit/net_world.h"

#define PORT 5201
#define PEER_PORT 40000
#define LOOPBACK 0x7f000001u

static int fresh(void **state)
{
    (void)state;
    world_start();
    return 0;
}

static int over(void **state)
{
    (void)state;
    world_end();
    return 0;
}

/* ---- short words for the calls ---- */

static struct sockaddr_in address(uint32_t ip, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip),
                                .sin_port = htons(port)};
}

static struct file *open_socket(void)
{
    struct file *f = udp_socket_file(world_host_socket(), AF_INET, O_RDWR);
    assert_non_null(f);
    return f;
}

static int bind_to(struct file *f, uint32_t ip, uint16_t port)
{
    struct sockaddr_in a = address(ip, port);
    return f->ops->socket->bind(f, (struct sockaddr *)&a, sizeof a);
}

static int connect_to(struct file *f, uint32_t ip, uint16_t port)
{
    struct sockaddr_in a = address(ip, port);
    return f->ops->socket->connect(f, (struct sockaddr *)&a, sizeof a);
}

static struct file *bound_socket(void)
{
    struct file *f = open_socket();
    assert_int_equal(bind_to(f, INADDR_ANY, PORT), 0);
    return f;
}

static void close_socket(struct file *f)
{
    file_put(f);
}

static int set_option(struct file *f, int level, int name, int value)
{
    return f->ops->socket->setsockopt(f, level, name, &value, sizeof value);
}

static void set_receive_timeout(struct file *f, long microseconds)
{
    struct timeval t = {.tv_usec = microseconds};
    assert_int_equal(f->ops->socket->setsockopt(f, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
}

struct received {
    int64_t result;
    char bytes[2048];
    struct sockaddr_in from;
    socklen_t from_length;
    int flags;
};

static struct received receive_into(struct file *f, size_t room, int flags)
{
    struct received r = {.result = 0};
    struct iovec v = {r.bytes, room};
    struct sockaddr_storage from;
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
    r.result = f->ops->socket->recvmsg(f, &m, flags);
    r.from_length = m.msg_namelen;
    r.flags = m.msg_flags;
    if (r.result >= 0 && m.msg_namelen >= sizeof r.from)
        memcpy(&r.from, &from, sizeof r.from);
    return r;
}

static struct received receive(struct file *f, int flags)
{
    return receive_into(f, sizeof((struct received *)0)->bytes, flags);
}

static void expect(struct file *f, const char *text)
{
    struct received r = receive(f, MSG_DONTWAIT);
    if (r.result != (int64_t)strlen(text) || memcmp(r.bytes, text, strlen(text)))
        fail_msg("received %ld: %.20s, not %s", r.result, r.bytes, text);
}

static int64_t send_to(struct file *f, uint32_t ip, uint16_t port, const void *bytes, size_t length,
                       int flags)
{
    struct sockaddr_in a = address(ip, port);
    struct iovec v = {(void *)(uintptr_t)bytes, length};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (port) {
        m.msg_name = &a;
        m.msg_namelen = sizeof a;
    }
    return f->ops->socket->sendmsg(f, &m, flags);
}

static void arrive(const char *text)
{
    world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT, text, strlen(text), CHECKSUM_PARTIAL);
}

static struct world_host_socket *host_of(const struct file *f)
{
    return &world.host[f->host_fd - 100];
}

static uint32_t poll_it(struct file *f, uint32_t events, uint32_t reported, struct poll_wait *wait)
{
    *wait = (struct poll_wait){.host_fd = -1, .reported = reported};
    return f->ops->poll(f, events, wait);
}

static const struct statistics_socket *statistics_of(uint16_t port)
{
    for (int i = 0; i < STATISTICS_SOCKETS; i++)
        if (world_statistics()->socket[i].local_port == port)
            return &world_statistics()->socket[i];
    fail();
    return NULL;
}

/* ---- names and steering ---- */

static void binding_steers_the_port(void **state)
{
    struct file *f = open_socket();
    (void)state;
    assert_int_equal(world.steerings, 0);
    assert_int_equal(bind_to(f, INADDR_ANY, PORT), 0);
    assert_true(world_steered(0, PORT));
    assert_int_equal(host_of(f)->port, PORT);
    close_socket(f);
    assert_false(world_steered(0, PORT));
}

static void port_0_is_chosen_by_the_host(void **state)
{
    struct file *f = open_socket();
    (void)state;
    assert_int_equal(bind_to(f, OUR_ADDRESS, 0), 0);
    assert_true(world_steered(OUR_ADDRESS, 33000));
    close_socket(f);
}

static void loopback_stays_with_the_host(void **state)
{
    struct file *f = open_socket();
    (void)state;
    assert_int_equal(bind_to(f, LOOPBACK, PORT), 0);
    assert_int_equal(world.steerings, 0);
    world_host_receive(f->host_fd, LOOPBACK, 9, "near", 4);
    expect(f, "near");
    close_socket(f);
}

static void an_address_that_came_later_is_found(void **state)
{
    struct file *f = open_socket();
    (void)state;
    world.interfaces.interface[0].address[3] = (struct interface_address){ip_four(0x0a000009), 24};
    world.interfaces.interface[0].address_count = 4;
    assert_int_equal(bind_to(f, 0x0a000009, PORT), 0);
    assert_true(world_steered(0x0a000009, PORT));
    close_socket(f);
}

static void a_port_that_cannot_be_steered_still_works(void **state)
{
    struct file *f = open_socket();
    (void)state;
    world.port_error = -ENOSPC;
    assert_int_equal(bind_to(f, INADDR_ANY, PORT), 0);
    world_host_receive(f->host_fd, PEER_ADDRESS, 9, "host", 4);
    expect(f, "host");
    close_socket(f);
}

static void connecting_binds_and_steers(void **state)
{
    struct file *f = open_socket();
    (void)state;
    assert_int_equal(connect_to(f, PEER_ADDRESS, PEER_PORT), 0);
    assert_true(world_steered(OUR_ADDRESS, 33000));
    assert_int_equal(send_to(f, 0, 0, "first", 5, 0), 5);
    assert_int_equal(world_sent(0).source_port, 33000);
    close_socket(f);
}

static void sending_binds_and_steers(void **state)
{
    struct file *f = open_socket();
    (void)state;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "first", 5, 0), 5);
    assert_int_equal(host_of(f)->sends, 1);
    assert_true(world_steered(0, 33000));
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "second", 6, 0), 6);
    assert_int_equal(host_of(f)->sends, 1);
    assert_int_equal(world_sent(0).source_port, 33000);
    close_socket(f);
}

/* Where all that comes goes to the XSK, an answer may be there before we know which port the host has chosen. */
static void an_answer_to_what_bound_the_socket_is_kept(void **state)
{
    struct file *f = open_socket();
    (void)state;
    world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, 33000, "early", 5, CHECKSUM_FULL);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "first", 5, 0), 5);
    expect(f, "early");
    close_socket(f);
}

static void dissolving_a_connection_opens_the_socket_to_all(void **state)
{
    struct file *f = bound_socket();
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)state;
    assert_int_equal(connect_to(f, PEER_ADDRESS, PEER_PORT), 0);
    world_receive(PEER_ADDRESS, 1, OUR_ADDRESS, PORT, "x", 1, CHECKSUM_NONE);
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    assert_int_equal(f->ops->socket->connect(f, &none, sizeof none), 0);
    world_receive(PEER_ADDRESS, 1, OUR_ADDRESS, PORT, "y", 1, CHECKSUM_NONE);
    expect(f, "y");
    assert_int_equal(send_to(f, 0, 0, "z", 1, 0), -EDESTADDRREQ);
    close_socket(f);
}

/* ---- receiving ---- */

static void a_datagram_arrives(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    arrive("hello");
    struct received r = receive(f, 0);
    assert_int_equal(r.result, 5);
    assert_memory_equal(r.bytes, "hello", 5);
    assert_int_equal(r.from_length, sizeof(struct sockaddr_in));
    assert_int_equal(r.from.sin_family, AF_INET);
    assert_int_equal(ntohl(r.from.sin_addr.s_addr), PEER_ADDRESS);
    assert_int_equal(ntohs(r.from.sin_port), PEER_PORT);
    assert_int_equal(r.flags, 0);
    assert_int_equal(statistics_of(PORT)->packets_in, 1);
    assert_int_equal(statistics_of(PORT)->bytes_in, 5);
    close_socket(f);
}

static void datagrams_keep_their_order_and_bounds(void **state)
{
    struct file *f = bound_socket();
    char text[8];
    (void)state;
    for (int i = 0; i < 200; i++) { /* more than a batch, more than the queue has room for at first */
        text[0] = (char)i;
        world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT, text, 1 + (size_t)i % 5, CHECKSUM_FULL);
    }
    for (int i = 0; i < 70; i++)
        net_poll(NET_ALL);
    for (int i = 0; i < 200; i++) {
        struct received r = receive(f, MSG_DONTWAIT);
        assert_int_equal(r.result, 1 + i % 5);
        assert_int_equal(r.bytes[0], (char)i);
    }
    close_socket(f);
}

static void a_short_buffer_cuts(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    arrive("a long datagram");
    struct received r = receive_into(f, 6, 0);
    assert_int_equal(r.result, 6);
    assert_int_equal(r.flags, MSG_TRUNC);
    assert_memory_equal(r.bytes, "a long\0", 7);
    arrive("a long datagram");
    r = receive_into(f, 6, MSG_TRUNC);
    assert_int_equal(r.result, 15);
    assert_int_equal(r.flags, MSG_TRUNC);
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    close_socket(f);
}

static void an_empty_datagram_is_a_datagram(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT, "", 0, CHECKSUM_FULL);
    arrive("next");
    struct received r = receive(f, 0);
    assert_int_equal(r.result, 0);
    assert_int_equal(ntohs(r.from.sin_port), PEER_PORT);
    expect(f, "next");
    close_socket(f);
}

static void two_looks_see_one_content(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    arrive("once");
    struct received r = receive(f, MSG_PEEK);
    assert_int_equal(r.result, 4);
    world_scribble();
    r = receive(f, MSG_PEEK);
    assert_memory_equal(r.bytes, "once", 4);
    world_scribble();
    expect(f, "once");
    assert_int_equal(receive(f, MSG_DONTWAIT | MSG_PEEK).result, -EAGAIN);
    close_socket(f);
}

static void several_buffers_are_filled_in_turn(void **state)
{
    struct file *f = bound_socket();
    char a[3], b[1], c[20];
    struct iovec v[] = {{a, sizeof a}, {NULL, 0}, {b, sizeof b}, {c, sizeof c}};
    (void)state;
    arrive("abcdefghi");
    assert_int_equal(f->ops->read(f, v, 4, -1, 0), 9);
    assert_memory_equal(a, "abc", 3);
    assert_memory_equal(b, "d", 1);
    assert_memory_equal(c, "efghi", 5);
    assert_int_equal(f->ops->read(f, v, 4, 0, 0), -ESPIPE);
    close_socket(f);
}

static void a_bad_buffer_costs_the_datagram_and_no_frame(void **state)
{
    struct file *f = bound_socket();
    struct iovec v = {(void *)8, 100};
    (void)state;
    arrive("lost");
    arrive("kept");
    assert_int_equal(f->ops->read(f, &v, 1, -1, 0), -EFAULT);
    expect(f, "kept");
    close_socket(f);
}

/* Where all that comes goes to the XSK, the host must hear of its neighbours from us. */
static void what_is_about_neighbours_is_handed_to_the_host(void **state)
{
    uint8_t arp[42] = {[12] = 0x08, [13] = 0x06, [20] = 0, [21] = 1}, six[86] = {[12] = 0x86, [13] = 0xdd, [20] = 58};
    (void)state;
    world_receive_frame(arp, sizeof arp);
    net_poll(NET_ALL);
    assert_int_equal(world.neighbour.count, 1);
    assert_int_equal(world.neighbour.interface, INTERFACE_INDEX);
    assert_int_equal(world.neighbour.length, sizeof arp);
    assert_memory_equal(world.neighbour.frame, arp, sizeof arp);
    for (int type = 132; type <= 137; type++) {
        six[54] = (uint8_t)type;
        world_receive_frame(six, sizeof six);
    }
    net_poll(NET_ALL);
    assert_int_equal(world.neighbour.count, 1 + 4);
    assert_int_equal(world.neighbour.frame[54], 136);
    /* Handed over, not lost; the others were for nobody. */
    assert_int_equal(world_drops(DROP_malformed), 2);
    six[54] = 135;
    world_receive_frame(six, 54); /* which type it is, it does not say */
    six[20] = 17;
    world_receive_frame(six, sizeof six);
    net_poll(NET_ALL);
    assert_int_equal(world.neighbour.count, 1 + 4);
}

static void checksums_of_all_forms(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    for (int form = CHECKSUM_FULL; form <= CHECKSUM_WRONG; form++)
        world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT, &"0123"[form], 1,
                      (enum world_checksum)form);
    arrive("end");
    expect(f, "0");
    expect(f, "1");
    expect(f, "2");
    expect(f, "end");
    assert_int_equal(statistics_of(PORT)->drops[DROP_checksum], 1);
    assert_int_equal(world_drops(DROP_checksum), 1);
    close_socket(f);
}

static void a_wrong_datagram_does_not_make_readable(void **state)
{
    struct file *f = bound_socket();
    struct poll_wait wait;
    (void)state;
    world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT, "x", 1, CHECKSUM_WRONG);
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), 0);
    close_socket(f);
}

static void what_nobody_wants_is_dropped_and_counted(void **state)
{
    struct file *f = bound_socket();
    uint8_t noise[64] = {0};
    (void)state;
    world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT + 1, "x", 1, CHECKSUM_FULL);
    world_receive(PEER_ADDRESS, PEER_PORT, 0x0b000001, PORT, "x", 1, CHECKSUM_FULL);
    world_receive_frame(noise, sizeof noise);
    world_receive_frame(noise, 1);
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    assert_int_equal(world_drops(DROP_no_socket), 2);
    assert_int_equal(world_drops(DROP_malformed), 2);
    assert_int_equal(world.frames_out, 0);
    close_socket(f);
}

static void a_new_address_of_the_interface_is_learnt(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world.interfaces.interface[0].address[0].address = ip_four(0x0a000009);
    world_receive(PEER_ADDRESS, PEER_PORT, 0x0a000009, PORT, "lost", 4, CHECKSUM_FULL);
    net_poll(NET_ALL);
    world_receive(PEER_ADDRESS, PEER_PORT, 0x0a000009, PORT, "found", 5, CHECKSUM_FULL);
    expect(f, "found");
    close_socket(f);
}

static void broadcasts_reach_a_socket_bound_to_any(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world_receive(PEER_ADDRESS, PEER_PORT, 0x0a0000ff, PORT, "all", 3, CHECKSUM_FULL);
    expect(f, "all");
    close_socket(f);
}

static void the_most_particular_socket_gets_it(void **state)
{
    struct file *any = bound_socket(), *newer = bound_socket(), *here = open_socket(),
                *connected = open_socket();
    (void)state;
    assert_int_equal(bind_to(here, OUR_ADDRESS, PORT), 0);
    assert_int_equal(bind_to(connected, INADDR_ANY, PORT), 0);
    assert_int_equal(connect_to(connected, PEER_ADDRESS, PEER_PORT), 0);
    assert_int_equal(world.steerings, 2); /* one for any address, one for ours */

    arrive("connected");
    world_receive(PEER_ADDRESS, 1, OUR_ADDRESS, PORT, "here", 4, CHECKSUM_FULL);
    world_receive(PEER_ADDRESS, PEER_PORT, 0x0a0000ff, PORT, "any", 3, CHECKSUM_FULL);
    expect(connected, "connected");
    expect(here, "here");
    expect(newer, "any");
    assert_int_equal(receive(any, MSG_DONTWAIT).result, -EAGAIN);

    close_socket(newer);
    assert_true(world_steered(0, PORT));
    world_receive(PEER_ADDRESS, PEER_PORT, 0x0a0000ff, PORT, "any", 3, CHECKSUM_FULL);
    expect(any, "any");
    close_socket(connected);
    close_socket(here);
    close_socket(any);
}

static void sockets_that_share_a_port_share_its_senders(void **state)
{
    struct file *f[3];
    int got[3] = {0, 0, 0};
    (void)state;
    for (int i = 0; i < 3; i++) {
        f[i] = open_socket();
        assert_int_equal(set_option(f[i], SOL_SOCKET, SO_REUSEPORT, 1), 0);
        assert_int_equal(bind_to(f[i], INADDR_ANY, PORT), 0);
    }
    for (uint16_t sender = 1000; sender < 1060; sender++)
        for (int i = 0; i < 2; i++) {
            world_receive(PEER_ADDRESS, sender, OUR_ADDRESS, PORT, "x", 1, CHECKSUM_NONE);
            net_poll(NET_ALL);
        }
    for (int i = 0; i < 3; i++) {
        uint16_t last = 0;
        for (;; got[i]++) {
            struct received r = receive(f[i], MSG_DONTWAIT);
            if (r.result == -EAGAIN)
                break;
            if (got[i] % 2)
                assert_int_equal(r.from.sin_port, last); /* both of a sender come to one socket */
            last = r.from.sin_port;
        }
        assert_in_range(got[i], 10, 80);
        close_socket(f[i]);
    }
    assert_int_equal(got[0] + got[1] + got[2], 120);
}

static void a_full_buffer_drops_what_comes_last(void **state)
{
    struct file *f = bound_socket();
    int received = 0;
    (void)state;
    assert_int_equal(set_option(f, SOL_SOCKET, SO_RCVBUF, 4096), 0); /* the host makes 8192 of it */
    for (int i = 0; i < 60; i++)
        arrive("fill");
    net_poll(NET_ALL);
    while (receive(f, MSG_DONTWAIT).result == 4)
        received++;
    assert_in_range(received, 8192 / 768, 30); /* as many as the kernel would keep, and no end of them */
    assert_int_equal(statistics_of(PORT)->drops[DROP_queue_full], 60 - received);
    assert_int_equal(world.frames_out, 0);
    close_socket(f);
}

static void what_waits_moves_inside_when_frames_are_scarce(void **state)
{
    struct file *f = bound_socket();
    char text[64];
    (void)state;
    assert_int_equal(set_option(f, SOL_SOCKET, SO_RCVBUF, 4000000), 0);
    for (int i = 0; i < WORLD_FRAMES - 100; i++) {
        text[0] = (char)i;
        text[1] = (char)(i >> 8);
        world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT, text, sizeof text, CHECKSUM_NONE);
        net_poll(NET_ALL);
    }
    assert_true(WORLD_FRAMES - world.frames_out >= 256);
    for (int i = 0; i < WORLD_FRAMES - 100; i++) {
        struct received r = receive(f, MSG_DONTWAIT);
        assert_int_equal(r.result, sizeof text);
        assert_int_equal((uint8_t)r.bytes[0] + 256 * (uint8_t)r.bytes[1], i);
    }
    close_socket(f);
}

static void closing_gives_the_frames_back(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    for (int i = 0; i < 10; i++)
        arrive("unread");
    net_poll(NET_ALL);
    assert_int_equal(receive(f, MSG_PEEK).result, 6);
    assert_int_equal(world.frames_out, 9);
    close_socket(f);
    assert_int_equal(world.frames_out, 0);
}

static void the_next_length_is_told(void **state)
{
    struct file *f = bound_socket();
    int length = -1;
    (void)state;
    arrive("seven..");
    arrive("x");
    assert_int_equal(f->ops->ioctl(f, FIONREAD, (uint64_t)&length), 0);
    assert_int_equal(length, 7);
    expect(f, "seven..");
    assert_int_equal(f->ops->ioctl(f, FIONREAD, (uint64_t)&length), 0);
    assert_int_equal(length, 1);
    close_socket(f);
}

static void control_data_tells_of_the_way(void **state)
{
    struct file *f = bound_socket();
    _Alignas(8) char control[256];
    char bytes[8];
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = sizeof control};
    int seen = 0;
    (void)state;
    set_option(f, IPPROTO_IP, IP_PKTINFO, 1);
    set_option(f, IPPROTO_IP, IP_RECVTTL, 1);
    set_option(f, IPPROTO_IP, IP_RECVTOS, 1);
    arrive("x");
    assert_int_equal(f->ops->socket->recvmsg(f, &m, 0), 1);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        assert_int_equal(c->cmsg_level, IPPROTO_IP);
        if (c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            assert_int_equal(info.ipi_ifindex, INTERFACE_INDEX);
            assert_int_equal(ntohl(info.ipi_addr.s_addr), OUR_ADDRESS);
            assert_int_equal(ntohl(info.ipi_spec_dst.s_addr), OUR_ADDRESS);
            seen |= 1;
        } else if (c->cmsg_type == IP_TTL) {
            int ttl;
            memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
            assert_int_equal(ttl, 33);
            seen |= 2;
        } else if (c->cmsg_type == IP_TOS) {
            assert_int_equal(*CMSG_DATA(c), 0x28);
            seen |= 4;
        }
    }
    assert_int_equal(seen, 7);
    arrive("y");
    arrive("z");
    m.msg_controllen = 20; /* too little for the first: it is cut, and the rest is not there */
    assert_int_equal(f->ops->socket->recvmsg(f, &m, 0), 1);
    assert_true(m.msg_flags & MSG_CTRUNC);
    assert_int_equal(m.msg_controllen, 20);
    assert_int_equal(((struct cmsghdr *)control)->cmsg_len, 20);
    m.msg_control = NULL; /* as by recvfrom(2) */
    m.msg_controllen = 0;
    assert_int_equal(f->ops->socket->recvmsg(f, &m, 0), 1);
    assert_true(m.msg_flags & MSG_CTRUNC);
    assert_int_equal(m.msg_controllen, 0);
    close_socket(f);
}

/* The one element of control data of the next datagram. */
static void one_element(struct file *f, int level, int type, void *out, size_t n)
{
    _Alignas(8) char control[128];
    char bytes[64];
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = sizeof control};
    assert_true(f->ops->socket->recvmsg(f, &m, MSG_DONTWAIT) >= 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    assert_non_null(c);
    assert_int_equal(c->cmsg_level, level);
    assert_int_equal(c->cmsg_type, type);
    assert_int_equal(c->cmsg_len, CMSG_LEN(n));
    memcpy(out, CMSG_DATA(c), n);
    assert_null(CMSG_NXTHDR(&m, c));
}

static void the_time_of_arrival(void **state)
{
    const int names[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW};
    struct file *f = bound_socket();
    int64_t time[2], stamp[2];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(set_option(f, SOL_SOCKET, names[i], 1), 0);
        assert_true(world_steered(0, PORT));
        arrive("x");
        uint64_t before = __builtin_ia32_rdtsc();
        net_poll(NET_ALL);
        uint64_t after = __builtin_ia32_rdtsc();
        one_element(f, SOL_SOCKET, names[i], time, sizeof time);
        uint64_t unit = i % 2 ? 1 : 1000, start = 1700000000000000000ull;
        uint64_t ns = (uint64_t)time[0] * 1000000000 + (uint64_t)time[1] * unit;
        assert_in_range(ns, start + before - 999, start + after);
        assert_int_equal(f->ops->ioctl(f, i % 2 ? 0x8907 : 0x8906, (uint64_t)stamp), 0);
        assert_memory_equal(stamp, time, sizeof time);
    }
    set_option(f, SOL_SOCKET, SO_TIMESTAMPNS, 0);
    arrive("y");
    _Alignas(8) char control[128];
    char byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = sizeof control};
    assert_int_equal(f->ops->socket->recvmsg(f, &m, MSG_DONTWAIT), 1);
    assert_int_equal(m.msg_controllen, 0);
    close_socket(f);
}

static void arrive_length(char first, size_t length)
{
    char bytes[1200];
    memset(bytes, first, sizeof bytes);
    world_receive(PEER_ADDRESS, PEER_PORT, OUR_ADDRESS, PORT, bytes, length, CHECKSUM_PARTIAL);
}

/* Received as one: so many bytes, so many each (0: no row). */
static void expect_row(struct file *f, size_t room, int64_t length, int each)
{
    static char bytes[70000];
    _Alignas(8) char control[64];
    struct iovec v[2] = {{bytes, room / 2 + 1}, {bytes + room / 2 + 1, room - room / 2 - 1}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_control = control,
                       .msg_controllen = sizeof control};
    int row = 0;
    assert_int_equal(f->ops->socket->recvmsg(f, &m, MSG_DONTWAIT), length);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c) {
        assert_int_equal(c->cmsg_level, IPPROTO_UDP);
        assert_int_equal(c->cmsg_type, UDP_GRO);
        memcpy(&row, CMSG_DATA(c), sizeof row);
    }
    assert_int_equal(row, each);
    for (int64_t i = 0; each && i < length; i++)
        assert_int_equal((uint8_t)bytes[i], (uint8_t)('a' + i / each));
}

static void rows_are_received_as_one(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    assert_int_equal(set_option(f, IPPROTO_UDP, UDP_GRO, 1), 0);
    for (int i = 0; i < 4; i++)
        arrive_length((char)('a' + i), i < 3 ? 1000 : 300); /* the last may be shorter */
    arrive_length('a', 1000);
    arrive_length('b', 1000);
    arrive_length('a', 1100); /* longer: it begins another */
    arrive_length('x', 0);
    arrive_length('y', 0);
    arrive_length('a', 500);
    world_receive(PEER_ADDRESS, PEER_PORT + 1, OUR_ADDRESS, PORT, "b", 1, CHECKSUM_NONE); /* another's */
    expect_row(f, 60000, 3300, 1000);
    expect_row(f, 60000, 2000, 1000);
    expect_row(f, 60000, 1100, 0);
    expect_row(f, 60000, 0, 0);
    expect_row(f, 60000, 0, 0);
    expect_row(f, 60000, 500, 0);
    expect_row(f, 60000, 1, 0);
    /* Never so many that the program's buffer cuts one. */
    for (int i = 0; i < 5; i++)
        arrive_length((char)('a' + i % 3), 400);
    expect_row(f, 1599, 1200, 400);
    expect_row(f, 100, 100, 0); /* as without UDP_GRO: the rest is lost */
    expect_row(f, 60000, 400, 0);
    for (int i = 0; i < 100; i++)
        arrive_length((char)('a' + (i < 64 ? i : i - 64)), 10);
    net_poll(NET_ALL);
    expect_row(f, 60000, 640, 10); /* 64 at most */
    expect_row(f, 60000, 360, 10);
    set_option(f, IPPROTO_UDP, UDP_GRO, 0);
    arrive("one");
    arrive("two");
    expect(f, "one");
    expect(f, "two");
    close_socket(f);
}

static void a_bad_buffer_costs_a_row_and_no_frame(void **state)
{
    struct file *f = bound_socket();
    char bytes[300];
    struct iovec v[] = {{bytes, 300}, {(void *)8, 60000}};
    (void)state;
    set_option(f, IPPROTO_UDP, UDP_GRO, 1);
    arrive_length('a', 300);
    arrive_length('b', 300);
    assert_int_equal(f->ops->read(f, v, 2, -1, 0), -EFAULT);
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    close_socket(f);
}

static void the_hosts_default_limits_the_queue(void **state)
{
    struct file *f = open_socket();
    (void)state;
    host_of(f)->receive_buffer = 4096;
    assert_int_equal(bind_to(f, INADDR_ANY, PORT), 0);
    for (int i = 0; i < 50; i++)
        arrive("x");
    net_poll(NET_ALL);
    int received = 0;
    while (receive(f, MSG_DONTWAIT).result == 1)
        received++;
    assert_in_range(received, 5, 12);
    close_socket(f);
}

static void a_filter_is_the_kernels_to_run(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    assert_true(world_steered(0, PORT));
    f->ops->socket->by_kernel(f);
    assert_false(world_steered(0, PORT));
    close_socket(f);
}

static void signals_of_arrivals_are_the_kernels_to_send(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    assert_int_equal(f->ops->set_flags(f, O_NONBLOCK), 0);
    assert_true(world_steered(0, PORT));
    assert_int_equal(f->ops->set_flags(f, O_ASYNC), 0);
    assert_false(world_steered(0, PORT));
    close_socket(f);
}

static void an_option_that_only_the_kernel_honours_ends_steering(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    arrive("before");
    net_poll(NET_ALL);
    set_option(f, SOL_SOCKET, SO_TIMESTAMPING, 0);
    assert_true(world_steered(0, PORT));
    set_option(f, SOL_SOCKET, SO_TIMESTAMPING, 1);
    assert_false(world_steered(0, PORT));
    expect(f, "before");
    world_host_receive(f->host_fd, PEER_ADDRESS, 9, "after", 5);
    expect(f, "after");
    close_socket(f);
}

/* ---- the host socket ---- */

static void an_empty_queue_asks_the_host(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world_host_receive(f->host_fd, LOOPBACK, 9, "host", 4);
    expect(f, "host");
    assert_int_equal(statistics_of(PORT)->host_in, 1);
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    close_socket(f);
}

static void what_the_enclave_sent_by_the_host_is_found(void **state)
{
    struct file *f = bound_socket(), *other = open_socket();
    (void)state;
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    assert_int_equal(bind_to(other, LOOPBACK, 7), 0);
    assert_int_equal(send_to(other, LOOPBACK, PORT, "near", 4, 0), 4);
    world_host_receive(f->host_fd, LOOPBACK, 7, "near", 4);
    expect(f, "near");
    close_socket(other);
    close_socket(f);
}

static void errors_come_from_the_host(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    host_of(f)->error = -ECONNREFUSED;
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -ECONNREFUSED);
    close_socket(f);
}

/* A busy XSK does not hide the host socket for longer than it takes to be looked at again. */
static void a_busy_xsk_does_not_starve_the_host(void **state)
{
    struct file *f = bound_socket();
    bool found = false;
    (void)state;
    world_host_receive(f->host_fd, LOOPBACK, 9, "host", 4);
    for (int i = 0; i < 10000000 && !found; i++) {
        arrive("xsk");
        struct received r = receive(f, 0);
        found = r.result == 4;
    }
    assert_true(found);
    while (receive(f, MSG_DONTWAIT).result == 3)
        continue;
    close_socket(f);
}

/* ---- sleeping ---- */

static void arrive_late(void)
{
    arrive("late");
}

static void a_sleep_is_one_exit_and_nothing_else(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world.on_sleep = arrive_late;
    for (int i = 0; i < 5; i++) {
        int before = world.exits.total;
        struct received r = receive(f, 0);
        assert_int_equal(r.result, 4);
        assert_int_equal(world.exits.total - before, 1);
    }
    assert_int_equal(world.exits.sleeps, 5);
    assert_true(world.exits.flushes >= 5); /* what is to be sent leaves first */
    assert_int_equal(world_wakeups(), 5);
    close_socket(f);
}

static void a_busy_receiver_makes_no_exits(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world.on_sleep = arrive_late;
    assert_int_equal(receive(f, 0).result, 4);
    world.on_sleep = NULL;
    for (int i = 0; i < 60; i++)
        arrive("busy");
    int before = world.exits.total;
    for (int i = 0; i < 60; i++)
        assert_int_equal(receive(f, 0).result, 4);
    assert_in_range(world.exits.total - before, 0, 1); /* the host socket's turn may have come */
    close_socket(f);
}

static int woken_descriptor;

static void host_arrives_late(void)
{
    world_host_receive(woken_descriptor, LOOPBACK, 9, "host", 4);
}

static void the_host_socket_wakes_too(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    woken_descriptor = f->host_fd;
    world.on_sleep = host_arrives_late;
    struct received r = receive(f, 0);
    assert_int_equal(r.result, 4);
    assert_memory_equal(r.bytes, "host", 4);
    assert_int_equal(world.exits.sleeps, 1);
    close_socket(f);
}

static struct file *asleep;

static void both_arrive_and_interrupt(void)
{
    arrive("by xsk");
    world_host_receive(asleep->host_fd, LOOPBACK, 5000, "by host", 7);
    world.sleep_result = -EINTR;
    world.on_sleep = NULL;
}

/* A sleep that is interrupted has not looked at the host socket: many of them must not starve it. */
static void an_interrupted_sleep_knows_nothing_of_the_host(void **state)
{
    (void)state;
    asleep = bound_socket();
    world.on_sleep = both_arrive_and_interrupt;
    struct received r = receive(asleep, 0);
    assert_int_equal(r.result, 7);
    assert_memory_equal(r.bytes, "by host", 7);
    expect(asleep, "by xsk");
    close_socket(asleep);
}

static void a_socket_of_the_host_alone_does_not_wake_for_xsks(void **state)
{
    struct file *f = open_socket();
    (void)state;
    assert_int_equal(bind_to(f, LOOPBACK, PORT), 0);
    woken_descriptor = f->host_fd;
    world.on_sleep = host_arrives_late;
    assert_int_equal(receive(f, 0).result, 4);
    assert_false(world.looked_at_xsks);
    close_socket(f);
}

static void a_receive_times_out(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    set_receive_timeout(f, 1000);
    assert_int_equal(receive(f, 0).result, -EAGAIN);
    assert_in_range(world.slept_ns, 1, 1000000);
    close_socket(f);
}

static void a_signal_interrupts(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world.signal = true;
    world.sleep_result = -EINTR;
    assert_int_equal(receive(f, 0).result, RESTART_SYS);
    set_receive_timeout(f, 500000); /* a call with a time limit is not made again */
    world.sleep_result = -EINTR;
    assert_int_equal(receive(f, 0).result, -EINTR);
    close_socket(f);
}

static void an_interruption_without_a_signal_is_a_reason_to_look(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world.sleep_result = -EINTR;
    world.on_sleep = arrive_late;
    assert_int_equal(receive(f, 0).result, 4);
    close_socket(f);
}

static void nonblocking_never_sleeps(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    f->flags |= O_NONBLOCK;
    assert_int_equal(receive(f, 0).result, -EAGAIN);
    assert_int_equal(world.exits.sleeps, 0);
    close_socket(f);
}

static void drain_as_thread_2(void)
{
    world_thread(2);
    arrive("for thread 1");
    assert_true(net_poll(NET_ALL));
    world_thread(1);
    world.sleep_result = -EINTR;
    world.on_sleep = NULL;
}

static void who_drains_for_another_wakes_it(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world_thread(1);
    world.on_sleep = drain_as_thread_2;
    assert_int_equal(receive(f, 0).result, 12);
    assert_int_equal(world.exits.interrupts, 1);
    assert_int_equal(world.exits.interrupted, 1 << 1);

    arrive("nobody waits");
    world_thread(2);
    assert_true(net_poll(NET_ALL));
    assert_int_equal(world.exits.interrupts, 1);
    expect(f, "nobody waits");
    close_socket(f);
}

static void binding_wakes_who_waits_for_the_host_alone(void **state)
{
    struct file *f = open_socket();
    struct poll_wait wait;
    (void)state;
    world_thread(1);
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), 0);
    assert_int_equal(wait.xsks, 0);
    world_thread(2);
    assert_int_equal(bind_to(f, INADDR_ANY, PORT), 0);
    assert_int_equal(world.exits.interrupted, 1 << 1);
    close_socket(f);
}

/* ---- poll ---- */

static void poll_tells_what_is_there(void **state)
{
    struct file *f = bound_socket();
    struct poll_wait wait;
    (void)state;
    assert_int_equal(poll_it(f, POLLIN | POLLOUT, 0, &wait), POLLOUT);
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), 0);
    assert_int_equal(wait.host_fd, f->host_fd);
    assert_int_equal(wait.xsks, 1);
    assert_false(wait.answer);
    assert_true(wait.events & POLLIN);
    uint64_t arrivals = f->ops->arrivals(f);
    arrive("x");
    net_count_sleep(NET_ALL);
    int before = world.exits.total;
    assert_int_equal(poll_it(f, POLLIN | POLLRDNORM, 0, &wait), POLLIN | POLLRDNORM);
    assert_true(f->ops->arrivals(f) > arrivals);
    expect(f, "x");
    assert_int_equal(world.exits.total, before); /* the sleep has looked at the host socket */
    close_socket(f);
}

static void poll_believes_what_the_host_reported_until_it_is_taken(void **state)
{
    struct file *f = bound_socket();
    struct poll_wait wait;
    (void)state;
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), 0);
    world_host_receive(f->host_fd, LOOPBACK, 9, "host", 4);
    assert_int_equal(poll_it(f, POLLIN, POLLIN, &wait), POLLIN);
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), POLLIN);
    expect(f, "host");
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), 0);
    close_socket(f);
}

static void poll_tells_errors_until_they_are_read(void **state)
{
    struct file *f = bound_socket();
    struct poll_wait wait;
    int error;
    socklen_t n = sizeof error;
    (void)state;
    assert_int_equal(poll_it(f, POLLIN, POLLERR, &wait), POLLERR);
    assert_int_equal(f->ops->socket->getsockopt(f, SOL_SOCKET, SO_ERROR, &error, &n), 0);
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), 0);
    close_socket(f);
}

/* Edge-triggered waiters are told of what comes to the host socket although there is something already. */
static void each_report_of_news_is_an_arrival(void **state)
{
    struct file *f = bound_socket();
    struct poll_wait wait = {.host_fd = -1, .reported = POLLIN, .fresh = true};
    (void)state;
    f->ops->poll(f, POLLIN, &wait);
    uint64_t before = f->ops->arrivals(f);
    wait = (struct poll_wait){.host_fd = -1, .reported = POLLIN, .fresh = true};
    f->ops->poll(f, POLLIN, &wait);
    assert_true(f->ops->arrivals(f) > before);
    before = f->ops->arrivals(f);
    wait = (struct poll_wait){.host_fd = -1, .reported = POLLIN};
    f->ops->poll(f, POLLIN, &wait); /* by level: no news */
    assert_int_equal(f->ops->arrivals(f), before);
    close_socket(f);
}

static void what_is_writable_does_not_hide_the_host(void **state)
{
    struct file *f = bound_socket();
    struct poll_wait wait;
    (void)state;
    world_host_receive(f->host_fd, LOOPBACK, 9, "host", 4);
    uint32_t ready = POLLOUT;
    for (int i = 0; i < 10000000 && ready == POLLOUT; i++)
        ready = poll_it(f, POLLIN | POLLOUT, 0, &wait);
    assert_int_equal(ready, POLLIN | POLLOUT);
    expect(f, "host");
    close_socket(f);
}

static void a_drain_for_a_file_that_was_just_polled_prevents_the_sleep(void **state)
{
    struct file *a = bound_socket(), *b = open_socket();
    struct poll_wait wait;
    (void)state;
    assert_int_equal(bind_to(b, INADDR_ANY, PORT + 1), 0);
    assert_int_equal(poll_it(a, POLLIN, 0, &wait), 0);
    arrive("for a");
    assert_int_equal(poll_it(b, POLLIN, 0, &wait), 0); /* which takes in a's datagram */
    uint64_t no_timeout = UINT64_MAX;
    uint32_t reported;
    assert_int_equal(net_sleep(-1, 0, true, &reported, &no_timeout), -EINTR);
    assert_int_equal(world.exits.sleeps, 0);
    assert_int_equal(poll_it(a, POLLIN, 0, &wait), POLLIN);
    expect(a, "for a");
    close_socket(a);
    close_socket(b);
}

static void a_socket_that_is_shut_down_does_not_wait(void **state)
{
    struct file *f = bound_socket();
    struct poll_wait wait;
    (void)state;
    assert_int_equal(connect_to(f, PEER_ADDRESS, PEER_PORT), 0);
    assert_int_equal(f->ops->socket->shutdown(f, SHUT_RD), 0);
    assert_int_equal(receive(f, 0).result, 0);
    assert_int_equal(poll_it(f, POLLIN | POLLRDHUP, 0, &wait), POLLIN | POLLRDHUP);
    close_socket(f);
}

/* ---- sending ---- */

static void a_datagram_leaves(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "hello there, all of you", 23, 0), 23);
    assert_int_equal(world.sent, 1);
    struct world_datagram d = world_sent(0);
    assert_int_equal(d.length, 23);
    assert_memory_equal(d.bytes, "hello there, all of you", 23);
    assert_int_equal(d.source, OUR_ADDRESS);
    assert_int_equal(d.source_port, PORT);
    assert_int_equal(d.destination, PEER_ADDRESS);
    assert_int_equal(d.destination_port, PEER_PORT);
    assert_memory_equal(world.wire[0].bytes, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0", 14);
    assert_int_equal(host_of(f)->sends, 0);
    assert_int_equal(statistics_of(PORT)->packets_out, 1);
    assert_int_equal(statistics_of(PORT)->bytes_out, 23);
    close_socket(f);
}

static void sending_again_makes_no_exits(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, 0), 1);
    int before = world.exits.total;
    for (int i = 0; i < 100; i++)
        assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, 0), 1);
    assert_int_equal(world.exits.total, before);
    close_socket(f);
}

static void every_length(bool checksums)
{
    struct file *f = bound_socket();
    char bytes[1473];
    world.checksums = checksums;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    for (size_t n = 0; n < sizeof bytes; n += n < 80 ? 1 : 116) {
        world.sent = 0;
        assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, n, 0), n);
        struct world_datagram d = world_sent(0);
        assert_int_equal(d.length, n);
        assert_memory_equal(d.bytes, bytes, n);
        assert_true(world.wire[0].length >= 60); /* the shortest that Ethernet knows */
    }
    world.sent = 0;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 1472, 0), 1472);
    assert_int_equal(world.sent, 1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 1473, 0), 1473); /* in fragments */
    assert_int_equal(world.sent, 1);
    assert_int_equal(host_of(f)->sends, 1);
    close_socket(f);
}

static void every_length_up_to_the_mtu(void **state)
{
    (void)state;
    every_length(false);
}

static void the_kernel_fills_in_checksums(void **state)
{
    (void)state;
    every_length(true);
}

static void what_cannot_be_read_is_not_sent(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world.checksums = true;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, (const void *)16, 8, 0), -EFAULT);
    assert_int_equal(world.sent, 0);
    assert_int_equal(world.frames_taken, 0);
    close_socket(f);
}

static void several_buffers_make_one_datagram(void **state)
{
    struct file *f = bound_socket();
    struct iovec v[] = {{"abc", 3}, {NULL, 0}, {"d", 1}, {"efghijklm", 9}};
    (void)state;
    assert_int_equal(connect_to(f, PEER_ADDRESS, PEER_PORT), 0);
    assert_int_equal(f->ops->write(f, v, 4, -1, 0), 13);
    assert_int_equal(world_sent(0).length, 13);
    assert_memory_equal(world_sent(0).bytes, "abcdefghijklm", 13);
    v[1] = (struct iovec){(void *)8, 1};
    assert_int_equal(f->ops->write(f, v, 4, -1, 0), -EFAULT);
    assert_int_equal(world.sent, 1);
    close_socket(f);
}

static void a_stream_is_gathered(void **state)
{
    struct file *f = bound_socket();
    char bytes[1000];
    (void)state;
    world.segments.offered = true;
    for (int i = 0; i < 100; i++) {
        memset(bytes, i, sizeof bytes);
        assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, sizeof bytes, 0), sizeof bytes);
    }
    assert_in_range(world.sent, 4, 20); /* so many before it is known as one */
    assert_int_equal(world.sent + world.segments.gathered, 100);
    assert_int_equal(world.segments.last_length, sizeof bytes);
    assert_memory_equal(world.segments.last, bytes, sizeof bytes);
    assert_int_equal(ntohl(world.segments.name.sin_addr.s_addr), PEER_ADDRESS);
    int by_xsk = world.sent;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 10, 0), 10); /* a message's end */
    assert_int_equal(world.sent, by_xsk);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT + 1, bytes, 1000, 0), 1000);
    assert_int_equal(world.segments.gathered, 0); /* sent before what goes elsewhere */
    assert_int_equal(world.segments.sent, 101 - by_xsk);
    assert_false(world.segments.taken);
    assert_int_equal(world.sent, by_xsk + 1);
    close_socket(f);
}

static void many_sizes_are_no_stream(void **state)
{
    struct file *f = bound_socket();
    char bytes[1000] = {0};
    (void)state;
    world.segments.offered = true;
    for (unsigned i = 0; i < 100; i++)
        assert_true(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 100 + i % 7, 0) > 0);
    assert_int_equal(world.sent, 100);
    world.zerocopy = true;
    for (unsigned i = 0; i < 100; i++)
        assert_true(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 100, 0) > 0);
    assert_int_equal(world.sent, 200); /* the ring itself is the fastest then */
    close_socket(f);
}

static void start_stream(struct file *f)
{
    world.segments.offered = true;
    for (int i = 0; i < 50; i++)
        assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "datagram", 8, 0), 8);
    assert_true(world.segments.gathered > 0);
}

static void a_blocked_stream_is_not_writable(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    start_stream(f);
    world.segments.blocked = true;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "datagram", 8, MSG_DONTWAIT), -EAGAIN);
    struct poll_wait wait = {0};
    assert_int_equal(f->ops->poll(f, POLLOUT, &wait), 0);
    assert_int_equal(wait.events & POLLOUT, POLLOUT); /* the host is asked */
    wait.reported = POLLOUT;
    assert_int_equal(f->ops->poll(f, POLLOUT, &wait), POLLOUT);
    world.segments.blocked = false;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "datagram", 8, MSG_DONTWAIT), 8);
    close_socket(f);
}

static void the_error_of_a_stream_is_told_by_the_next_call(void **state)
{
    struct file *f = bound_socket();
    char byte;
    (void)state;
    start_stream(f);
    world.segments.error = ECONNREFUSED;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "datagram", 8, 0), -ECONNREFUSED);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "datagram", 8, 0), 8);
    world.segments.error = ECONNREFUSED;
    struct iovec v = {&byte, 1};
    assert_int_equal(f->ops->read(f, &v, 1, -1, 0), -ECONNREFUSED);
    close_socket(f);
}

static void closing_sends_what_is_gathered(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    start_stream(f);
    close_socket(f);
    assert_int_equal(world.segments.gathered, 0);
    assert_int_equal(world.segments.sent + world.sent, 50);
}

static void wrong_calls_get_linux_errors(void **state)
{
    struct file *f = bound_socket();
    static char big[65536];
    struct sockaddr_in a = address(PEER_ADDRESS, PEER_PORT);
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = 8};
    struct iovec huge[] = {{big, 60000}, {big, SIZE_MAX / 4}};
    (void)state;
    assert_int_equal(send_to(f, 0, 0, "x", 1, 0), -EDESTADDRREQ);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, big, 65508, 0), -EMSGSIZE);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, MSG_OOB), -EOPNOTSUPP);
    assert_int_equal(f->ops->socket->sendmsg(f, &m, 0), -EINVAL);
    m.msg_namelen = sizeof a;
    a.sin_family = AF_INET6;
    assert_int_equal(f->ops->socket->sendmsg(f, &m, 0), -EAFNOSUPPORT);
    a = address(PEER_ADDRESS, 0);
    assert_int_equal(f->ops->socket->sendmsg(f, &m, 0), -EINVAL);
    assert_int_equal(f->ops->write(f, huge, 2, -1, 0), -EMSGSIZE);
    assert_int_equal(world.sent, 0);
    close_socket(f);
}

static void an_unknown_neighbour_is_the_kernels_to_find(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world.route.neighbour_known = 0;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "who", 3, 0), 3);
    assert_int_equal(host_of(f)->sends, 1);
    assert_int_equal(host_of(f)->last.destination, PEER_ADDRESS);
    assert_memory_equal(host_of(f)->last.bytes, "who", 3);
    assert_int_equal(statistics_of(PORT)->host_out, 1);
    world.route.neighbour_known = 1;
    for (int i = 0; i < 10000000 && !world.sent; i++) /* it is asked for again soon */
        assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "who", 3, 0), 3);
    assert_int_equal(world.sent, 1);
    close_socket(f);
}

static void what_an_xsk_cannot_say_goes_by_the_host(void **state)
{
    struct file *f = bound_socket();
    _Alignas(8) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct sockaddr_in a = address(PEER_ADDRESS, PEER_PORT);
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a,
                       .msg_control = control, .msg_controllen = sizeof control};
    (void)state;
    assert_int_equal(f->ops->socket->sendmsg(f, &m, 0), 1);
    assert_int_equal(host_of(f)->sends, 1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, MSG_DONTROUTE), 1);
    assert_int_equal(host_of(f)->sends, 2);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, MSG_CONFIRM), 1);
    assert_int_equal(world.sent, 1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, MSG_MORE), 1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "y", 1, 0), 1);
    assert_int_equal(host_of(f)->sends, 4);
    close_socket(f);
}

static struct sockaddr_in6 six_address(struct ip_address ip, uint16_t port);
static struct sockaddr_in6 mapped(uint32_t ip, uint16_t port);
static struct file *bound_six(void);
static int64_t send_six(struct file *f, struct sockaddr_in6 to, const char *text);

/* ---- control data of what is sent ---- */

struct sending_control {
    _Alignas(8) char bytes[256];
    size_t length;
};

static void control_add(struct sending_control *c, int level, int type, const void *data, size_t n)
{
    struct cmsghdr header = {.cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type};
    memcpy(c->bytes + c->length, &header, sizeof header);
    memcpy(c->bytes + c->length + CMSG_LEN(0), data, n);
    c->length += CMSG_SPACE(n);
}

static int64_t send_control(struct file *f, const void *to, socklen_t n, const struct sending_control *c,
                            const void *bytes, size_t length)
{
    struct iovec v = {(void *)(uintptr_t)bytes, length};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = (void *)(uintptr_t)to,
                       .msg_namelen = n, .msg_control = (void *)(uintptr_t)c->bytes,
                       .msg_controllen = c->length};
    return f->ops->socket->sendmsg(f, &m, 0);
}

static void control_data_of_ipv4_is_heeded(void **state)
{
    struct file *f = bound_socket();
    struct sockaddr_in to = address(PEER_ADDRESS, PEER_PORT);
    struct sending_control c = {.length = 0};
    struct in_pktinfo info = {.ipi_ifindex = INTERFACE_INDEX, .ipi_spec_dst.s_addr = htonl(OUR_ADDRESS)};
    const int ttl = 7;
    const uint8_t ecn = 2;
    (void)state;
    control_add(&c, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    control_add(&c, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    control_add(&c, IPPROTO_IP, IP_TOS, &ecn, sizeof ecn);
    assert_int_equal(send_control(f, &to, sizeof to, &c, "x", 1), 1);
    assert_int_equal(host_of(f)->sends, 0);
    assert_int_equal(world_sent(0).ttl, 7);
    assert_int_equal(world_sent(0).tos, 2);
    assert_int_equal(world.asked.device, INTERFACE_INDEX);
    assert_true(ip_equal(world.asked.source, ip_four(OUR_ADDRESS)));
    /* For that one only. */
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "y", 1, 0), 1);
    assert_int_equal(world_sent(1).ttl, 64);
    assert_int_equal(world_sent(1).tos, 0);
    close_socket(f);
}

static void options_set_what_is_sent(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    /* The made-up host answers 0 to what it does not know. */
    set_option(f, IPPROTO_IP, IP_TTL, -1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, 0), 1);
    assert_int_equal(world_sent(0).ttl, 64);
    close_socket(f);
    f = bound_six();
    set_option(f, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5);
    set_option(f, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0);
    send_six(f, six_address(PEER_SIX, PEER_PORT), "x");
    assert_int_equal(world_sent(1).ttl, 5);
    assert_int_equal(world_sent(1).flow, 0);
    set_option(f, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
    send_six(f, six_address(PEER_SIX, PEER_PORT), "x");
    assert_int_equal(world_sent(2).ttl, 63);
    close_socket(f);
}

static void control_data_of_ipv6_is_heeded(void **state)
{
    struct file *f = bound_six();
    struct sockaddr_in6 to = six_address(PEER_SIX, PEER_PORT), four = mapped(PEER_ADDRESS, PEER_PORT);
    struct sending_control c = {.length = 0}, m = {.length = 0};
    struct in6_pktinfo info = {.ipi6_ifindex = INTERFACE_INDEX}, from_four = {.ipi6_ifindex = 0};
    const int hops = 9, class = 0xb9;
    (void)state;
    store_ip(info.ipi6_addr.s6_addr, OUR_SIX);
    control_add(&c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    control_add(&c, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
    control_add(&c, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
    assert_int_equal(send_control(f, &to, sizeof to, &c, "x", 1), 1);
    assert_int_equal(world_sent(0).ttl, 9);
    assert_int_equal(world_sent(0).tos, 0xb9);
    assert_true(ip_equal(world_sent(0).source_ip, OUR_SIX));
    /* Of an IPv4 datagram the same element tells a mapped address. */
    store_ip(from_four.ipi6_addr.s6_addr, ip_four(OUR_ADDRESS));
    control_add(&m, IPPROTO_IPV6, IPV6_PKTINFO, &from_four, sizeof from_four);
    assert_int_equal(send_control(f, &four, sizeof four, &m, "x", 1), 1);
    assert_int_equal(world_sent(1).source, OUR_ADDRESS);
    close_socket(f);
}

/* What is odd in it is the kernel's to judge. */
static void other_control_data_goes_by_the_host(void **state)
{
    const int zero = 0, many = 256, minus = -1;
    const struct in_pktinfo anothers = {.ipi_spec_dst.s_addr = htonl(PEER_ADDRESS)},
                            nowhere = {.ipi_ifindex = -1};
    const struct {
        int level, type;
        const void *data;
        size_t n;
    } cases[] = {
        {IPPROTO_IP, IP_TTL, &zero, sizeof zero},     {IPPROTO_IP, IP_TTL, &many, sizeof many},
        {IPPROTO_IP, IP_TTL, &zero, 1},               {IPPROTO_IP, IP_TOS, &minus, sizeof minus},
        {IPPROTO_IP, IP_TOS, &zero, 2},               {IPPROTO_IP, IP_RETOPTS, &zero, sizeof zero},
        {IPPROTO_IP, IP_PKTINFO, &anothers, sizeof anothers},
        {IPPROTO_IP, IP_PKTINFO, &nowhere, sizeof nowhere},
        {IPPROTO_IP, IP_PKTINFO, &zero, sizeof zero}, {IPPROTO_IPV6, IPV6_TCLASS, &zero, sizeof zero},
        {SOL_SOCKET, SO_MARK, &zero, sizeof zero},    {IPPROTO_UDP, 99, &zero, sizeof zero},
        {IPPROTO_UDP, UDP_SEGMENT, &zero, sizeof zero},
    };
    struct file *f = bound_socket();
    struct sockaddr_in to = address(PEER_ADDRESS, PEER_PORT);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sending_control c = {.length = 0};
        control_add(&c, cases[i].level, cases[i].type, cases[i].data, cases[i].n);
        send_control(f, &to, sizeof to, &c, "x", 1);
        assert_int_equal(host_of(f)->sends, i + 1);
    }
    struct sending_control cut = {.length = CMSG_LEN(4)};
    ((struct cmsghdr *)cut.bytes)->cmsg_len = CMSG_LEN(5);
    send_control(f, &to, sizeof to, &cut, "x", 1);
    assert_int_equal(world.sent, 0);
    close_socket(f);
}

static void a_row_is_cut_up_by_the_kernel_that_copies(void **state)
{
    struct file *f = bound_socket();
    char bytes[2000] = {0};
    (void)state;
    set_option(f, IPPROTO_UDP, UDP_SEGMENT, 1000);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 2000, 0), 2000);
    assert_int_equal(host_of(f)->sends, 1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 1000, 0), 1000); /* no row */
    assert_int_equal(host_of(f)->sends, 1);
    assert_int_equal(world.sent, 1);
    close_socket(f);
}

static void a_row_is_cut_up_here_where_nothing_copies(void **state)
{
    struct file *f = bound_socket();
    struct sockaddr_in to = address(PEER_ADDRESS, PEER_PORT);
    static char bytes[65000];
    const uint16_t segment = 1000;
    struct sending_control c = {.length = 0};
    (void)state;
    world.zerocopy = true;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i / 1000);
    control_add(&c, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    assert_int_equal(send_control(f, &to, sizeof to, &c, bytes, 2500), 2500);
    assert_int_equal(world.sent, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world_sent(i).length, i < 2 ? 1000 : 500);
        assert_int_equal(world_sent(i).bytes[0], i);
    }
    assert_int_equal(statistics_of(PORT)->packets_out, 3);
    assert_int_equal(send_control(f, &to, sizeof to, &c, bytes, 64000), 64000);
    assert_int_equal(world.sent, 67);
    assert_int_equal(send_control(f, &to, sizeof to, &c, bytes, 64001), 64001); /* too many for some kernels */
    assert_int_equal(world.sent, 67);
    assert_int_equal(host_of(f)->sends, 1);
    const uint16_t too_long = 1473;
    c.length = 0;
    control_add(&c, IPPROTO_UDP, UDP_SEGMENT, &too_long, sizeof too_long);
    send_control(f, &to, sizeof to, &c, bytes, 3000);
    assert_int_equal(host_of(f)->sends, 2);
    /* The ring fills up in the middle: wait, and go on from there. */
    set_option(f, IPPROTO_UDP, UDP_SEGMENT, 1000);
    world.full_after = 70;
    world.full_sleeps = 2;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 6000, 0), 6000);
    assert_int_equal(world.sent, 73);
    for (int i = 0; i < 6; i++)
        assert_int_equal(world_sent(67 + i).bytes[0], i);
    /* Who does not wait loses the rest, as by a full queue of the kernel's; but not the whole. */
    world.full_after = 75;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 6000, MSG_DONTWAIT), 6000);
    assert_int_equal(world.sent, 75);
    assert_int_equal(statistics_of(PORT)->drops[DROP_no_frame], 1);
    world.transmit_full = true;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, bytes, 6000, MSG_DONTWAIT), -EAGAIN);
    close_socket(f);
}

static void zero_copy_is_answered_as_a_copy(void **state)
{
    struct file *f = bound_socket();
    struct poll_wait wait;
    _Alignas(8) char control[100];
    struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
    uint32_t report[4];
    (void)state;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, MSG_ZEROCOPY), 1);
    assert_int_equal(world.sent, 1); /* by the ring as any other */
    assert_int_equal(f->ops->socket->recvmsg(f, &m, MSG_ERRQUEUE), -EAGAIN);
    set_option(f, SOL_SOCKET, SO_ZEROCOPY, 1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, MSG_ZEROCOPY), 1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "y", 1, 0), 1);
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "z", 1, MSG_ZEROCOPY), 1);
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), POLLERR);
    m.msg_controllen = sizeof control;
    assert_int_equal(f->ops->socket->recvmsg(f, &m, MSG_ERRQUEUE), 0);
    assert_int_equal(m.msg_flags, MSG_ERRQUEUE);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    assert_int_equal(c->cmsg_type, IP_RECVERR);
    memcpy(report, CMSG_DATA(c), sizeof report);
    assert_int_equal(report[0], 0);
    assert_int_equal(report[1], 5 | 1 << 16); /* SO_EE_ORIGIN_ZEROCOPY, SO_EE_CODE_ZEROCOPY_COPIED */
    assert_int_equal(report[2], 0);
    assert_int_equal(report[3], 1);
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), 0);
    close_socket(f);
}

/* A connected sender that never receives learns of a closed port all the same. */
static void an_error_meets_the_next_sender(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    assert_int_equal(connect_to(f, PEER_ADDRESS, PEER_PORT), 0);
    assert_int_equal(send_to(f, 0, 0, "x", 1, 0), 1);
    host_of(f)->error = -ECONNREFUSED;
    int64_t result = 1;
    for (int i = 0; i < 10000000 && result == 1; i++, world.sent = 0)
        result = send_to(f, 0, 0, "x", 1, 0);
    assert_int_equal(result, -ECONNREFUSED);
    assert_int_equal(send_to(f, 0, 0, "x", 1, 0), 1);
    /* At once when poll has seen it. */
    struct poll_wait wait;
    host_of(f)->error = -EHOSTUNREACH;
    assert_int_equal(poll_it(f, POLLIN, POLLERR, &wait), POLLERR);
    assert_int_equal(send_to(f, 0, 0, "x", 1, 0), -EHOSTUNREACH);
    assert_int_equal(poll_it(f, POLLIN, 0, &wait), 0);
    close_socket(f);
}

static void a_full_ring_makes_a_sender_wait(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    world.transmit_full = true;
    world.full_sleeps = 5; /* longer than the ring alone explains */
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, 0), 1);
    assert_int_equal(world.exits.sleeps, 5);
    assert_true(world.exits.flushes >= 1);
    assert_int_equal(world.sent, 1);

    world.transmit_full = true;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(world.exits.sleeps, 5);

    world.sleep_result = -EINTR;
    world.signal = true;
    world.full_sleeps = 5;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, 0), RESTART_SYS);
    close_socket(f);
}

static void a_send_times_out(void **state)
{
    struct file *f = bound_socket();
    struct timeval t = {.tv_usec = 1000};
    (void)state;
    assert_int_equal(f->ops->socket->setsockopt(f, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t), 0);
    world.transmit_full = true;
    assert_int_equal(send_to(f, PEER_ADDRESS, PEER_PORT, "x", 1, 0), -EAGAIN);
    close_socket(f);
}

/* The peer is this very enclave from now on: its address is the interface's, and ours no longer is. */
static void become_the_peer(void)
{
    struct interface_address *a = world.interfaces.interface[0].address;
    a[0].address = ip_four(PEER_ADDRESS);
    a[1].address = PEER_SIX;
    world_receive(OUR_ADDRESS, 1, PEER_ADDRESS, PORT, "learn", 5, CHECKSUM_NONE);
    net_poll(NET_ALL);
    for (int i = 0; i < world.sent; i++)
        world_receive_frame(world.wire[i].bytes, world.wire[i].length);
}

/* What leaves one enclave enters another as it was. */
static void the_wire_carries_what_was_sent(void **state)
{
    struct file *f = bound_socket();
    char bytes[1472];
    (void)state;
    memset(bytes, 'w', sizeof bytes);
    assert_int_equal(send_to(f, PEER_ADDRESS, PORT, bytes, sizeof bytes, 0), sizeof bytes);
    assert_int_equal(send_to(f, PEER_ADDRESS, PORT, "short", 5, 0), 5);
    become_the_peer();
    struct received r = receive(f, MSG_DONTWAIT);
    assert_int_equal(r.result, sizeof bytes);
    assert_memory_equal(r.bytes, bytes, sizeof bytes);
    assert_int_equal(ntohl(r.from.sin_addr.s_addr), OUR_ADDRESS);
    expect(f, "short");
    close_socket(f);
}

/* No honest sender in a network has such an address: the kernel drops it, and so do we. */
static void senders_that_cannot_be_are_not_believed(void **state)
{
    const uint32_t four[] = {LOOPBACK, OUR_ADDRESS, 0, 0x00000005, 0xe0000001, 0xffffffff};
    const struct ip_address six[] = {{0, 1}, {0, 0}, OUR_SIX, {0xff02000000000000, 1}};
    struct file *f = bound_socket();
    (void)state;
    for (size_t i = 0; i < sizeof four / sizeof *four; i++)
        world_receive(four[i], PEER_PORT, OUR_ADDRESS, PORT, "x", 1, CHECKSUM_FULL);
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    close_socket(f);
    f = udp_socket_file(world_host_socket_six(), AF_INET6, O_RDWR);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    assert_int_equal(f->ops->socket->bind(f, (struct sockaddr *)&any, sizeof any), 0);
    for (size_t i = 0; i < sizeof six / sizeof *six; i++)
        world_receive_ip(six[i], PEER_PORT, OUR_SIX, PORT, "x", 1, CHECKSUM_FULL);
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    assert_int_equal(world_drops(DROP_malformed), 10);
    close_socket(f);
}

/* ---- IPv6 ---- */

static struct sockaddr_in6 six_address(struct ip_address ip, uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    store_ip(a.sin6_addr.s6_addr, ip);
    return a;
}

static struct sockaddr_in6 mapped(uint32_t ip, uint16_t port)
{
    return six_address(ip_four(ip), port);
}

static struct file *open_six(void)
{
    struct file *f = udp_socket_file(world_host_socket_six(), AF_INET6, O_RDWR);
    assert_non_null(f);
    return f;
}

static int bind_six(struct file *f, struct ip_address ip, uint32_t scope)
{
    struct sockaddr_in6 a = six_address(ip, PORT);
    a.sin6_scope_id = scope;
    return f->ops->socket->bind(f, (struct sockaddr *)&a, sizeof a);
}

static struct file *bound_six(void)
{
    struct file *f = open_six();
    assert_int_equal(bind_six(f, ip_none, 0), 0);
    return f;
}

static int64_t send_six(struct file *f, struct sockaddr_in6 to, const char *text)
{
    struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &to, .msg_namelen = sizeof to};
    return f->ops->socket->sendmsg(f, &m, 0);
}

static void arrive_six(struct ip_address from, struct ip_address to, const char *text)
{
    world_receive_ip(from, PEER_PORT, to, PORT, text, strlen(text), CHECKSUM_PARTIAL);
}

static void expect_six(struct file *f, const char *text, struct sockaddr_in6 wanted)
{
    char bytes[64] = "";
    struct sockaddr_in6 from;
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
    int64_t result = f->ops->socket->recvmsg(f, &m, MSG_DONTWAIT);
    if (result != (int64_t)strlen(text) || memcmp(bytes, text, strlen(text)))
        fail_msg("received %ld: %.20s, not %s", result, bytes, text);
    assert_int_equal(m.msg_namelen, sizeof from);
    assert_memory_equal(&from, &wanted, sizeof from);
}

static void an_ipv6_socket_serves_both_families(void **state)
{
    struct file *f = bound_six();
    struct sockaddr_in6 four = mapped(PEER_ADDRESS, PEER_PORT), six = six_address(PEER_SIX, PEER_PORT);
    (void)state;
    assert_true(world_steered(0, PORT));
    assert_true(world_steered_ip(ip_none, PORT));
    arrive("four");
    arrive_six(PEER_SIX, OUR_SIX, "six");
    expect_six(f, "four", four);
    expect_six(f, "six", six);

    assert_int_equal(send_six(f, four, "back"), 4);
    assert_int_equal(send_six(f, six, "back too"), 8);
    assert_int_equal(world.sent, 2);
    assert_int_equal(world_sent(0).destination, PEER_ADDRESS);
    assert_int_equal(world_sent(0).ttl, 64);
    assert_true(ip_equal(world_sent(1).source_ip, OUR_SIX));
    assert_true(ip_equal(world_sent(1).destination_ip, PEER_SIX));
    assert_int_equal(world_sent(1).source_port, PORT);
    assert_int_equal(world_sent(1).ttl, 63);
    assert_memory_equal(world_sent(1).bytes, "back too", 8);
    assert_true(world_sent(1).flow != 0); /* flow labels are on by default */

    send_six(f, six_address((struct ip_address){0, 1}, 0), "no port");
    send_six(f, six_address((struct ip_address){0xff02000000000000, 1}, 9), "multicast");
    assert_int_equal(world.sent, 2);
    close_socket(f);
    assert_int_equal(world_steered_count(), 0);
}

static void ipv6_only_leaves_ipv4_alone(void **state)
{
    struct file *six = open_six(), *four = open_socket();
    (void)state;
    assert_int_equal(set_option(six, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
    assert_int_equal(bind_six(six, ip_none, 0), 0);
    assert_false(world_steered(0, PORT));
    assert_true(world_steered_ip(ip_none, PORT));
    assert_int_equal(bind_to(four, INADDR_ANY, PORT), 0);
    assert_true(world_steered(0, PORT));
    arrive("for four");
    arrive_six(PEER_SIX, OUR_SIX, "for six");
    expect(four, "for four");
    expect_six(six, "for six", six_address(PEER_SIX, PEER_PORT));
    send_six(six, mapped(PEER_ADDRESS, PEER_PORT), "x"); /* the host knows what is wrong with it */
    assert_int_equal(world.sent, 0);
    close_socket(six);
    close_socket(four);
}

static void an_ipv6_address_takes_its_own_only(void **state)
{
    struct file *f = open_six(), *mapped_only = open_six();
    (void)state;
    assert_int_equal(bind_six(f, OUR_SIX, 0), 0);
    assert_true(world_steered_ip(OUR_SIX, PORT));
    assert_int_equal(world_steered_count(), 1);
    assert_int_equal(bind_six(mapped_only, ip_four(OUR_ADDRESS), 0), 0);
    assert_true(world_steered(OUR_ADDRESS, PORT));
    arrive("four");
    arrive_six(PEER_SIX, OUR_SIX, "six");
    arrive_six(PEER_SIX, OUR_LOCAL, "neither");
    expect_six(f, "six", six_address(PEER_SIX, PEER_PORT));
    expect_six(mapped_only, "four", mapped(PEER_ADDRESS, PEER_PORT));
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    assert_int_equal(world_drops(DROP_no_socket), 1);
    close_socket(f);
    close_socket(mapped_only);
}

static void link_local_addresses_have_a_scope(void **state)
{
    struct file *f = open_six(), *elsewhere = open_six();
    struct sockaddr_in6 peer = six_address(PEER_LOCAL, PEER_PORT);
    (void)state;
    assert_int_equal(bind_six(f, OUR_LOCAL, INTERFACE_INDEX), 0);
    assert_true(world_steered_ip(OUR_LOCAL, PORT));
    assert_int_equal(bind_six(elsewhere, OUR_LOCAL, INTERFACE_INDEX + 1), 0);
    assert_int_equal(world_steered_count(), 1);
    peer.sin6_scope_id = INTERFACE_INDEX;
    arrive_six(PEER_LOCAL, OUR_LOCAL, "near");
    expect_six(f, "near", peer);
    assert_int_equal(receive(elsewhere, MSG_DONTWAIT).result, -EAGAIN);

    assert_int_equal(send_six(f, peer, "back"), 4);
    assert_int_equal(world.sent, 1);
    assert_int_equal(world.asked.device, INTERFACE_INDEX);
    peer.sin6_scope_id = INTERFACE_INDEX + 1;
    send_six(f, peer, "x"); /* another link than it is bound to: an error of the host's */
    assert_int_equal(world.sent, 1);
    close_socket(f);
    close_socket(elsewhere);
}

static void a_connected_ipv6_socket(void **state)
{
    struct file *f = open_six();
    struct sockaddr_in6 peer = six_address(PEER_SIX, PEER_PORT);
    (void)state;
    assert_int_equal(f->ops->socket->connect(f, (struct sockaddr *)&peer, sizeof peer), 0);
    assert_true(world_steered_ip(OUR_SIX, 33000));
    struct iovec v = {"to the peer", 11};
    assert_int_equal(f->ops->write(f, &v, 1, -1, 0), 11);
    assert_true(ip_equal(world_sent(0).destination_ip, PEER_SIX));
    world_receive_ip(PEER_SIX, PEER_PORT + 1, OUR_SIX, 33000, "other", 5, CHECKSUM_FULL);
    world_receive_ip(PEER_SIX, PEER_PORT, OUR_SIX, 33000, "peer", 4, CHECKSUM_FULL);
    expect_six(f, "peer", peer);
    assert_int_equal(receive(f, MSG_DONTWAIT).result, -EAGAIN);
    close_socket(f);
}

static void every_ipv6_length_up_to_the_mtu(void **state)
{
    char text[1454];
    (void)state;
    for (int by_kernel = 0; by_kernel < 2; by_kernel++) {
        world.checksums = by_kernel;
        struct file *f = bound_six();
        for (size_t n = 0; n < sizeof text; n += n < 20 ? 1 : 61) {
            memset(text, 'a' + (int)n % 26, sizeof text);
            text[n] = 0;
            world.sent = 0;
            assert_int_equal(send_six(f, six_address(PEER_SIX, PEER_PORT), text), n);
            assert_int_equal(world.sent, n <= 1452);
            if (world.sent)
                assert_memory_equal(world_sent(0).bytes, text, n);
        }
        close_socket(f);
    }
}

/* What is longer than the socket's own bound is the kernel's to cut up; what is not needs no exit. */
static void an_mtu_of_the_sockets_own(void **state)
{
    char text[1234] = "";
    struct file *f = bound_six();
    (void)state;
    memset(text, 'a', sizeof text - 1);
    assert_int_equal(send_six(f, six_address(PEER_SIX, PEER_PORT), text), 1233);
    assert_int_equal(world.sent, 1);
    set_option(f, IPPROTO_IPV6, IPV6_MTU, 1280);
    assert_int_equal(send_six(f, six_address(PEER_SIX, PEER_PORT), text), 1233);
    assert_int_equal(world.sent, 1);
    text[1232] = 0;
    assert_int_equal(send_six(f, six_address(PEER_SIX, PEER_PORT), text), 1232);
    assert_int_equal(world.sent, 2);
    set_option(f, IPPROTO_IPV6, IPV6_MTU, 0);
    text[1232] = 'a';
    assert_int_equal(send_six(f, six_address(PEER_SIX, PEER_PORT), text), 1233);
    assert_int_equal(world.sent, 3);
    close_socket(f);
}

static void ipv6_control_data(void **state)
{
    struct file *f = bound_six();
    _Alignas(8) char control[512];
    char bytes[8];
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = sizeof control};
    const int types[] = {IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS, 11};
    const int values[] = {0, 33, 0x28, 0x2812345};
    size_t seen = 0;
    (void)state;
    set_option(f, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_option(f, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    set_option(f, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set_option(f, IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */, 1);
    set_option(f, IPPROTO_IP, IP_RECVTTL, 1);
    arrive_six(PEER_SIX, OUR_SIX, "x");
    arrive("y");
    assert_int_equal(f->ops->socket->recvmsg(f, &m, 0), 1);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c), seen++) {
        int value;
        memcpy(&value, CMSG_DATA(c), sizeof value);
        assert_int_equal(c->cmsg_level, IPPROTO_IPV6);
        assert_int_equal(c->cmsg_type, types[seen]);
        if (seen == 0) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            assert_int_equal(info.ipi6_ifindex, INTERFACE_INDEX);
            assert_true(ip_equal(load_ip(info.ipi6_addr.s6_addr), OUR_SIX));
        } else {
            assert_int_equal(seen == 3 ? (int)ntohl((uint32_t)value) : value, values[seen]);
        }
    }
    assert_int_equal(seen, 4);
    /* Of IPv4: the mapped address, and what IPv4's own options ask for. */
    m.msg_controllen = sizeof control;
    assert_int_equal(f->ops->socket->recvmsg(f, &m, 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct in6_pktinfo info;
    assert_int_equal(c->cmsg_type, IPV6_PKTINFO);
    memcpy(&info, CMSG_DATA(c), sizeof info);
    assert_true(ip_equal(load_ip(info.ipi6_addr.s6_addr), ip_four(OUR_ADDRESS)));
    c = CMSG_NXTHDR(&m, c);
    assert_int_equal(c->cmsg_level, IPPROTO_IP);
    assert_int_equal(c->cmsg_type, IP_TTL);
    assert_null(CMSG_NXTHDR(&m, c));
    close_socket(f);
}

/* ---- sockets of one port of which some are the kernel's ---- */

static void what_a_kernel_served_socket_claims_is_not_steered(void **state)
{
    struct file *ring = open_socket(), *kernel = open_socket();
    (void)state;
    set_option(kernel, SOL_SOCKET, SO_TIMESTAMPING, 1);
    assert_int_equal(bind_to(ring, INADDR_ANY, PORT), 0);
    assert_true(world_steered(0, PORT));
    /* A datagram for that address would never reach the second socket. */
    assert_int_equal(bind_to(kernel, OUR_ADDRESS, PORT), 0);
    assert_int_equal(world_steered_count(), 0);
    world_host_receive(ring->host_fd, PEER_ADDRESS, 9, "by host", 7);
    expect(ring, "by host");
    close_socket(kernel);
    assert_true(world_steered(0, PORT));
    arrive("by ring");
    expect(ring, "by ring");
    close_socket(ring);
}

static void sockets_of_loopback_claim_nothing(void **state)
{
    struct file *ring = bound_socket(), *local = open_socket();
    (void)state;
    assert_int_equal(bind_to(local, LOOPBACK, PORT), 0);
    assert_true(world_steered(0, PORT));
    close_socket(local);
    assert_true(world_steered(0, PORT));
    close_socket(ring);
}

static void a_socket_of_another_device_gets_nothing_from_here(void **state)
{
    struct file *here = open_socket(), *there = open_socket();
    (void)state;
    assert_int_equal(bind_to(here, INADDR_ANY, PORT), 0);
    assert_int_equal(bind_to(there, INADDR_ANY, PORT), 0);
    set_option(there, SOL_SOCKET, SO_BINDTOIFINDEX, INTERFACE_INDEX + 1);
    assert_true(world_steered(0, PORT)); /* it claims nothing that comes by our interface */
    arrive("here");
    assert_int_equal(receive(there, MSG_DONTWAIT).result, -EAGAIN);
    expect(here, "here");
    set_option(there, SOL_SOCKET, SO_BINDTOIFINDEX, INTERFACE_INDEX);
    arrive("there"); /* the more particular one now */
    expect(there, "there");
    close_socket(there);
    close_socket(here);
}

/* Between the ring and the queue when the socket turns to the kernel. */
static void what_is_in_the_ring_is_not_lost_when_steering_ends(void **state)
{
    struct file *f = bound_socket();
    (void)state;
    arrive("first");
    arrive("second");
    set_option(f, SOL_SOCKET, SO_TIMESTAMPING, 1);
    assert_int_equal(world_steered_count(), 0);
    expect(f, "first");
    expect(f, "second");
    close_socket(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(binding_steers_the_port),
        TEST(port_0_is_chosen_by_the_host),
        TEST(loopback_stays_with_the_host),
        TEST(an_address_that_came_later_is_found),
        TEST(a_port_that_cannot_be_steered_still_works),
        TEST(connecting_binds_and_steers),
        TEST(sending_binds_and_steers),
        TEST(an_answer_to_what_bound_the_socket_is_kept),
        TEST(dissolving_a_connection_opens_the_socket_to_all),
        TEST(a_datagram_arrives),
        TEST(datagrams_keep_their_order_and_bounds),
        TEST(a_short_buffer_cuts),
        TEST(an_empty_datagram_is_a_datagram),
        TEST(two_looks_see_one_content),
        TEST(several_buffers_are_filled_in_turn),
        TEST(a_bad_buffer_costs_the_datagram_and_no_frame),
        TEST(what_is_about_neighbours_is_handed_to_the_host),
        TEST(checksums_of_all_forms),
        TEST(a_wrong_datagram_does_not_make_readable),
        TEST(what_nobody_wants_is_dropped_and_counted),
        TEST(a_new_address_of_the_interface_is_learnt),
        TEST(broadcasts_reach_a_socket_bound_to_any),
        TEST(the_most_particular_socket_gets_it),
        TEST(sockets_that_share_a_port_share_its_senders),
        TEST(a_full_buffer_drops_what_comes_last),
        TEST(what_waits_moves_inside_when_frames_are_scarce),
        TEST(closing_gives_the_frames_back),
        TEST(the_next_length_is_told),
        TEST(control_data_tells_of_the_way),
        TEST(the_time_of_arrival),
        TEST(rows_are_received_as_one),
        TEST(a_bad_buffer_costs_a_row_and_no_frame),
        TEST(the_hosts_default_limits_the_queue),
        TEST(a_filter_is_the_kernels_to_run),
        TEST(control_data_of_ipv4_is_heeded),
        TEST(options_set_what_is_sent),
        TEST(control_data_of_ipv6_is_heeded),
        TEST(other_control_data_goes_by_the_host),
        TEST(a_row_is_cut_up_by_the_kernel_that_copies),
        TEST(a_row_is_cut_up_here_where_nothing_copies),
        TEST(zero_copy_is_answered_as_a_copy),
        TEST(an_error_meets_the_next_sender),
        TEST(signals_of_arrivals_are_the_kernels_to_send),
        TEST(an_option_that_only_the_kernel_honours_ends_steering),
        TEST(an_empty_queue_asks_the_host),
        TEST(what_the_enclave_sent_by_the_host_is_found),
        TEST(errors_come_from_the_host),
        TEST(a_busy_xsk_does_not_starve_the_host),
        TEST(a_sleep_is_one_exit_and_nothing_else),
        TEST(a_busy_receiver_makes_no_exits),
        TEST(the_host_socket_wakes_too),
        TEST(an_interrupted_sleep_knows_nothing_of_the_host),
        TEST(a_socket_of_the_host_alone_does_not_wake_for_xsks),
        TEST(a_receive_times_out),
        TEST(a_signal_interrupts),
        TEST(an_interruption_without_a_signal_is_a_reason_to_look),
        TEST(nonblocking_never_sleeps),
        TEST(who_drains_for_another_wakes_it),
        TEST(binding_wakes_who_waits_for_the_host_alone),
        TEST(poll_tells_what_is_there),
        TEST(poll_believes_what_the_host_reported_until_it_is_taken),
        TEST(poll_tells_errors_until_they_are_read),
        TEST(each_report_of_news_is_an_arrival),
        TEST(what_is_writable_does_not_hide_the_host),
        TEST(a_drain_for_a_file_that_was_just_polled_prevents_the_sleep),
        TEST(a_socket_that_is_shut_down_does_not_wait),
        TEST(a_datagram_leaves),
        TEST(sending_again_makes_no_exits),
        TEST(every_length_up_to_the_mtu),
        TEST(the_kernel_fills_in_checksums),
        TEST(what_cannot_be_read_is_not_sent),
        TEST(several_buffers_make_one_datagram),
        TEST(a_stream_is_gathered),
        TEST(many_sizes_are_no_stream),
        TEST(a_blocked_stream_is_not_writable),
        TEST(the_error_of_a_stream_is_told_by_the_next_call),
        TEST(closing_sends_what_is_gathered),
        TEST(wrong_calls_get_linux_errors),
        TEST(an_unknown_neighbour_is_the_kernels_to_find),
        TEST(what_an_xsk_cannot_say_goes_by_the_host),
        TEST(a_full_ring_makes_a_sender_wait),
        TEST(a_send_times_out),
        TEST(the_wire_carries_what_was_sent),
        TEST(senders_that_cannot_be_are_not_believed),
        TEST(an_ipv6_socket_serves_both_families),
        TEST(ipv6_only_leaves_ipv4_alone),
        TEST(an_ipv6_address_takes_its_own_only),
        TEST(link_local_addresses_have_a_scope),
        TEST(a_connected_ipv6_socket),
        TEST(every_ipv6_length_up_to_the_mtu),
        TEST(an_mtu_of_the_sockets_own),
        TEST(ipv6_control_data),
        TEST(what_a_kernel_served_socket_claims_is_not_steered),
        TEST(sockets_of_loopback_claim_nothing),
        TEST(a_socket_of_another_device_gets_nothing_from_here),
        TEST(what_is_in_the_ring_is_not_lost_when_steering_ends),
    };
    return cmocka_run_group_tests_name("udp_socket", tests, NULL, NULL);
}

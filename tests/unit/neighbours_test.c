/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbours that the host side speaks with itself: what it answers, what it learns, and what it makes of garbage. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "host/host.h"
#include "host/neighbours.h"

#define LOOPBACK 1 /* an interface that there is: only its name is asked for */
#define OUR_MAC 0x020000000001ull
#define OUR_FOUR ((struct ip_address){0, 0xffff0a4e0001ull})
#define OUR_SIX ((struct ip_address){0xfd78000000000000ull, 1})
#define PEER_FOUR ((struct ip_address){0, 0xffff0a4e0002ull})
#define PEER_SIX ((struct ip_address){0xfd78000000000000ull, 2})

static struct {
    uint8_t sent[2048];
    size_t length;
    int count, told;
    struct ip_address told_address;
    uint64_t told_mac;
} world;

/* ---- the rest of the host, and the kernel ---- */

int netinfo_interfaces(const char *const *names, size_t count, struct interface_list *out)
{
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "lo");
    memset(out, 0, sizeof *out);
    out->count = 1;
    out->interface[0] = (struct interface_info){.index = LOOPBACK, .mac = OUR_MAC, .address_count = 2};
    out->interface[0].address[0] = (struct interface_address){OUR_FOUR, 24};
    out->interface[0].address[1] = (struct interface_address){OUR_SIX, 64};
    return 0;
}

int netinfo_neighbour_set(unsigned interface_index, struct ip_address address, uint64_t mac)
{
    assert_int_equal(interface_index, LOOPBACK);
    world.told++;
    world.told_address = address;
    world.told_mac = mac;
    return -EPERM;
}

ssize_t __wrap_sendto(int fd, const void *frame, size_t length, int flags, const struct sockaddr *to, socklen_t size);
ssize_t __wrap_sendto(int fd, const void *frame, size_t length, int flags, const struct sockaddr *to, socklen_t size)
{
    (void)fd, (void)flags, (void)to, (void)size;
    assert_true(length <= sizeof world.sent);
    memcpy(world.sent, frame, length);
    world.length = length;
    world.count++;
    return (ssize_t)length;
}

int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
    (void)family, (void)type, (void)protocol;
    return 1000;
}

/* ---- frames ---- */

static const uint8_t arp_request[42] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,    0, 0,  0,  0, 2,                  /* Ethernet */
    8,    6,    0,    1,    8,    0,    6,    4, 0,  1,                         /* a request */
    2,    0,    0,    0,    0,    2,    10, 78, 0,  2,                          /* sender */
    0,    0,    0,    0,    0,    0,    10, 78, 0,  1};                         /* target */

/* A solicitation (135) for OUR_SIX from PEER_SIX, or an advertisement (136) of PEER_SIX, with an option. */
static void discovery(uint8_t frame[86], uint8_t type)
{
    static const uint8_t option[8] = {0, 1, 2, 0, 0, 0, 0, 2};
    uint32_t sum = 32 + 58;
    memset(frame, 0, 86);
    memcpy(frame + 6, option + 2, 6);
    frame[12] = 0x86;
    frame[13] = 0xdd;
    frame[14] = 0x60;
    frame[19] = 32;
    frame[20] = 58;
    frame[21] = 255;
    frame[22] = frame[38] = frame[62] = 0xfd;
    frame[23] = frame[39] = frame[63] = 0x78;
    frame[37] = 2;
    frame[53] = 1;
    frame[77] = type == 135 ? 1 : 2;
    frame[54] = type;
    memcpy(frame + 78, option, 8);
    frame[78] = type == 135 ? 1 : 2;
    for (int i = 22; i < 86; i += 2)
        sum += (uint32_t)frame[i] << 8 | frame[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    frame[56] = (uint8_t)(sum >> 8);
    frame[57] = (uint8_t)sum;
}

static uint64_t known(struct ip_address address, uint64_t *mac)
{
    struct route_query q = {.interface_index = LOOPBACK, .next_hop = address};
    neighbours_find(&q);
    *mac = q.mac;
    return q.neighbour_known;
}

static int start(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    return 0;
}

/* ---- tests ---- */

static void who_asks_for_us_is_answered_and_known(void **state)
{
    uint64_t mac;
    (void)state;
    assert_int_equal(known(PEER_FOUR, &mac), 0);
    neighbours_take(LOOPBACK, arp_request, sizeof arp_request);
    static const uint8_t reply[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8,  6,  0, 1, 8, 0, 6, 4, 0,
                                      2, 2, 0, 0, 0, 0, 1, 10, 78, 0, 1, 2, 0, 0, 0, 0, 2, 10, 78, 0, 2};
    assert_int_equal(world.count, 1);
    assert_memory_equal(world.sent, reply, sizeof reply);
    assert_int_equal(world.told, 1);
    assert_int_equal(world.told_mac, 0x020000000002);
    assert_int_equal(known(PEER_FOUR, &mac), 1);
    assert_int_equal(mac, 0x020000000002);
}

static void what_is_not_for_us_is_let_be(void **state)
{
    uint8_t frame[42];
    (void)state;
    memcpy(frame, arp_request, sizeof frame);
    frame[41] = 9; /* another's address */
    neighbours_take(LOOPBACK, frame, sizeof frame);
    memcpy(frame, arp_request, sizeof frame);
    frame[31] = 1; /* who claims ours */
    neighbours_take(LOOPBACK, frame, sizeof frame);
    memcpy(frame, arp_request, sizeof frame);
    frame[22] = 1; /* a group's MAC address */
    neighbours_take(LOOPBACK, frame, sizeof frame);
    neighbours_take(LOOPBACK, arp_request, sizeof arp_request - 1);
    assert_int_equal(world.count + world.told, 0);
}

static void a_solicitation_is_answered_with_a_checksum(void **state)
{
    uint8_t frame[86];
    uint32_t sum = 32 + 58;
    uint64_t mac;
    (void)state;
    discovery(frame, 135);
    neighbours_take(LOOPBACK, frame, sizeof frame);
    assert_int_equal(world.count, 1);
    assert_int_equal(world.length, 86);
    assert_int_equal(world.sent[54], 136);
    assert_int_equal(world.sent[58], 0x60); /* solicited, override */
    assert_memory_equal(world.sent + 78, "\2\1\2\0\0\0\0\1", 8);
    for (int i = 22; i < 86; i += 2)
        sum += (uint32_t)world.sent[i] << 8 | world.sent[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
    assert_int_equal(known(PEER_SIX, &mac), 1);
    assert_int_equal(mac, 0x020000000002);
    /* Nothing is believed without its checksum, or that came by a router. */
    frame[56] ^= 1;
    neighbours_take(LOOPBACK, frame, sizeof frame);
    frame[56] ^= 1;
    frame[21] = 254;
    neighbours_take(LOOPBACK, frame, sizeof frame);
    assert_int_equal(world.count, 1);
}

static void an_advertisement_is_learnt(void **state)
{
    uint8_t frame[86];
    (void)state;
    discovery(frame, 136);
    neighbours_take(LOOPBACK, frame, sizeof frame);
    assert_int_equal(world.count, 0);
    assert_int_equal(world.told, 1);
    assert_int_equal(world.told_address.low, 2);
    assert_int_equal(world.told_mac, 0x020000000002);
}

/* Of any length, each byte anything: the sanitizers watch. */
static void garbage_does_no_harm(void **state)
{
    uint8_t good[86];
    (void)state;
    srand(7);
    for (int i = 0; i < 200000; i++) {
        size_t length = (size_t)rand() % 87;
        uint8_t *frame = malloc(length ? length : 1);
        bool four = i & 1;
        discovery(good, i & 2 ? 135 : 136);
        if (four)
            memcpy(good, arp_request, sizeof arp_request);
        memcpy(frame, good, length);
        for (int n = rand() % 4; n-- > 0 && length;)
            frame[(size_t)rand() % length] = (uint8_t)rand();
        if (!four && length == 86) { /* what is behind the checksum too */
            uint32_t sum = 32 + 58;
            frame[56] = frame[57] = 0;
            for (int b = 22; b < 86; b += 2)
                sum += (uint32_t)frame[b] << 8 | frame[b + 1];
            sum = (sum & 0xffff) + (sum >> 16);
            sum = ~((sum & 0xffff) + (sum >> 16));
            frame[56] = (uint8_t)(sum >> 8);
            frame[57] = (uint8_t)sum;
        }
        neighbours_take(LOOPBACK, frame, length);
        free(frame);
    }
    assert_true(world.count > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_asks_for_us_is_answered_and_known, start),
        cmocka_unit_test_setup(what_is_not_for_us_is_let_be, start),
        cmocka_unit_test_setup(a_solicitation_is_answered_with_a_checksum, start),
        cmocka_unit_test_setup(an_advertisement_is_learnt, start),
        cmocka_unit_test_setup(garbage_does_no_harm, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

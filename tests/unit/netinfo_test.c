/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel answers by netlink, read outside: whole messages, and those that are cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The kernel is below. */
#define recv fake_recv
#define send fake_send
#include "host/netinfo.c"

#define INTERFACE 7
#define POISON 0xee

bool xsk_host_takes_all(uint64_t interface_index)
{
    (void)interface_index;
    return false;
}

void neighbours_find(struct route_query *query)
{
    (void)query;
}

static struct {
    uint8_t bytes[512];
    size_t length;
} datagrams[8];
static size_t given, taken;

ssize_t fake_send(int fd, const void *bytes, size_t n, int flags)
{
    (void)fd, (void)bytes, (void)flags;
    return (ssize_t)n;
}

/* The rest of the buffer is as if an earlier, longer datagram had been there. */
ssize_t fake_recv(int fd, void *to, size_t room, int flags)
{
    (void)fd, (void)flags;
    assert_true(taken < given);
    memset(to, POISON, room);
    memcpy(to, datagrams[taken].bytes, datagrams[taken].length);
    if (datagrams[taken].length >= sizeof(struct nlmsghdr))
        ((struct nlmsghdr *)to)->nlmsg_seq = netlink.sequence;
    return (ssize_t)datagrams[taken++].length;
}

/* One message as a datagram, `cut` bytes of it missing and not counted in its length. */
static void answer(const struct question *q, size_t cut)
{
    assert_true(given < sizeof datagrams / sizeof *datagrams);
    struct question copy = *q;
    copy.header.nlmsg_len -= (uint32_t)cut;
    memcpy(datagrams[given].bytes, &copy, copy.header.nlmsg_len);
    datagrams[given++].length = copy.header.nlmsg_len;
}

static int fresh(void **state)
{
    (void)state;
    given = taken = 0;
    netlink.socket = 1000; /* none that is ever used */
    return 0;
}

static struct question link_message(void)
{
    struct question q = question(RTM_NEWLINK, 0, sizeof q.link);
    const uint32_t mtu = 1500;
    q.link.ifi_index = INTERFACE;
    q.link.ifi_flags = IFF_UP | IFF_RUNNING;
    attribute_add(&q, IFLA_MTU, &mtu, sizeof mtu);
    attribute_add(&q, IFLA_ADDRESS, "\x02\x00\x00\x00\x00\x09", 6);
    return q;
}

static void a_link_is_read(void **state)
{
    (void)state;
    struct interface_info info = {0};
    struct question q = link_message();
    answer(&q, 0);
    assert_int_equal(link_ask(INTERFACE, &(struct link){.info = &info}), 0);
    assert_int_equal(info.index, INTERFACE);
    assert_int_equal(info.up, 1);
    assert_int_equal(info.mtu, 1500);
    assert_int_equal(info.mac, 0x020000000009);
}

static void what_is_cut_short_is_not_read(void **state)
{
    (void)state;
    struct interface_info info = {0};
    struct question q = question(RTM_NEWLINK, 0, sizeof q.link);
    q.link.ifi_index = INTERFACE;
    answer(&q, 4); /* its fixed part is not whole: nothing of it is believed */
    assert_int_equal(link_ask(INTERFACE, &(struct link){.info = &info}), 0);
    assert_int_equal(info.index, 0);
    fresh(NULL);
    q = link_message();
    answer(&q, 4); /* its last attribute is not */
    assert_int_equal(link_ask(INTERFACE, &(struct link){.info = &info}), 0);
    assert_int_equal(info.index, INTERFACE);
    assert_int_equal(info.mac, 0);
}

/* Whose length is no multiple of four, and ends where the datagram does: there is nothing after it. */
static void a_datagram_may_end_within_the_padding(void **state)
{
    (void)state;
    struct interface_info info = {.index = INTERFACE};
    struct question q = question(RTM_NEWADDR, 0, sizeof q.address);
    q.address.ifa_family = AF_INET;
    q.address.ifa_prefixlen = 24;
    q.address.ifa_index = INTERFACE;
    attribute_add(&q, IFA_LOCAL, "\x0a\x00\x00\x02", 4);
    attribute_add(&q, IFA_LABEL, "v", 1);
    answer(&q, 0);
    assert_int_not_equal(datagrams[0].length % 4, 0);
    q = question(NLMSG_DONE, 0, 4);
    answer(&q, 0);
    assert_int_equal(addresses_ask(&info), 0);
    assert_int_equal(taken, 2);
    assert_int_equal(info.address_count, 1);
    assert_int_equal(info.address[0].address.low, 0xffff0a000002);
}

static void an_error_is_the_answer_if_it_is_whole(void **state)
{
    (void)state;
    struct interface_info info = {0};
    struct question q = question(NLMSG_ERROR, 0, sizeof(struct nlmsgerr));
    const int error = -ENODEV;
    memcpy(q.room, &error, sizeof error);
    answer(&q, sizeof(struct nlmsgerr));
    answer(&q, 0);
    assert_int_equal(addresses_ask(&info), -ENODEV);
    assert_int_equal(taken, 2);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_link_is_read),
        TEST(what_is_cut_short_is_not_read),
        TEST(a_datagram_may_end_within_the_padding),
        TEST(an_error_is_the_answer_if_it_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The route cache: when the host is asked, and what becomes of its answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enclave/net/interface.h"
#include "enclave/net/route.h"
#include "tests/unit/net_world.h"

#define NEVER (UINT64_MAX / 4) /* ticks a second: nothing expires during a test */

static void look_up(uint32_t destination, uint32_t bound, struct route *out)
{
    const struct route_key key = {ip_four(destination), ip_four(bound), 0};
    route_lookup(&key, out);
}

static void look_up_six(uint64_t host, uint64_t device, struct route *out)
{
    const struct route_key key = {{PEER_SIX.high, host}, ip_none, device};
    route_lookup(&key, out);
}

static int fresh(void **state)
{
    (void)state;
    world_start();
    route_start(NEVER);
    return 0;
}

static void an_answer_is_asked_for_once(void **state)
{
    struct route r;
    (void)state;
    for (int i = 0; i < 3; i++) {
        look_up(PEER_ADDRESS, 0, &r);
        assert_true(r.direct);
        assert_true(ip_equal(r.source, ip_four(OUR_ADDRESS)));
        assert_int_equal(r.source_mac, OUR_MAC);
        assert_int_equal(r.destination_mac, PEER_MAC);
        assert_int_equal(r.interface, INTERFACE_INDEX);
        assert_int_equal(r.mtu, 1500);
    }
    assert_int_equal(world.exits.routes, 1);
    look_up(PEER_ADDRESS + 1, 0, &r);
    look_up(PEER_ADDRESS, OUR_ADDRESS, &r); /* another question */
    assert_int_equal(world.exits.routes, 3);
}

static void an_answer_gets_old(void **state)
{
    struct route r;
    (void)state;
    route_start(1);
    look_up(PEER_ADDRESS, 0, &r);
    while (r.expires > __builtin_ia32_rdtsc())
        continue;
    look_up(PEER_ADDRESS, 0, &r);
    assert_true(r.direct);
    assert_int_equal(world.exits.routes, 2);
}

static void what_is_not_for_an_xsk_goes_by_the_host(void **state)
{
    const struct {
        const char *what;
        uint64_t interface, kind, neighbour;
        uint32_t source;
    } cases[] = {
        {"local", INTERFACE_INDEX, ROUTE_LOCAL, 1, OUR_ADDRESS},
        {"broadcast", INTERFACE_INDEX, ROUTE_BROADCAST, 1, OUR_ADDRESS},
        {"multicast", INTERFACE_INDEX, ROUTE_MULTICAST, 1, OUR_ADDRESS},
        {"unreachable", 0, ROUTE_UNREACHABLE, 0, 0},
        {"another interface", INTERFACE_INDEX + 1, ROUTE_UNICAST, 1, OUR_ADDRESS},
        {"neighbour unknown", INTERFACE_INDEX, ROUTE_UNICAST, 0, OUR_ADDRESS},
        {"neighbour stale", INTERFACE_INDEX, ROUTE_UNICAST, 2, OUR_ADDRESS},
        {"another's source address", INTERFACE_INDEX, ROUTE_UNICAST, 1, PEER_ADDRESS},
    };
    (void)state;
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct route r;
        world.route.interface_index = cases[i].interface;
        world.route.kind = cases[i].kind;
        world.route.neighbour_known = cases[i].neighbour;
        world.route.source = ip_four(cases[i].source);
        look_up(PEER_ADDRESS + 10 + i, 0, &r);
        if (r.direct)
            fail_msg("direct: %s", cases[i].what);
    }
}

static void a_stale_neighbour_is_asked_for_again_at_once(void **state)
{
    struct route r;
    (void)state;
    world.route.neighbour_known = 2;
    look_up(PEER_ADDRESS, 0, &r);
    assert_false(r.direct);
    world.route.neighbour_known = 1;
    look_up(PEER_ADDRESS, 0, &r);
    assert_true(r.direct);
    assert_int_equal(world.exits.routes, 2);
}

static void an_error_of_the_host_is_no_route(void **state)
{
    struct route r;
    (void)state;
    world.route_error = -ENOMEM;
    look_up(PEER_ADDRESS, 0, &r);
    assert_false(r.direct);
    assert_int_equal(world_statistics()->violations, 0);
}

static void impossible_answers_are_counted_and_not_used(void **state)
{
    uint64_t *const fields[] = {&world.route.kind, &world.route.mac, &world.route.neighbour_known,
                                &world.route.interface_index, &world.route.hop_limit,
                                &world.route.next_hop.high, &world.route.source.high};
    (void)state;
    for (uint32_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct route r;
        uint64_t good = *fields[i];
        *fields[i] = 1ull << 60;
        look_up(PEER_ADDRESS + 10 + i, 0, &r);
        *fields[i] = good;
        assert_false(r.direct);
        assert_int_equal(world_statistics()->violations, i + 1);
    }
}

static void a_smaller_mtu_of_the_route_counts(void **state)
{
    struct route r;
    (void)state;
    world.route.mtu = 1280;
    look_up(PEER_ADDRESS, 0, &r);
    assert_int_equal(r.mtu, 1280);
    world.route.mtu = 9000; /* the interface's is 1500 */
    look_up(PEER_ADDRESS + 1, 0, &r);
    assert_int_equal(r.mtu, 1500);
}

static void ipv6_has_routes_of_its_own(void **state)
{
    struct route r;
    (void)state;
    world.interfaces.interface[0].mtu_six = 1400;
    route_start(NEVER);
    assert_int_equal(interfaces_load(), 0);
    look_up_six(1, 0, &r);
    assert_true(r.direct);
    assert_true(ip_equal(r.source, OUR_SIX));
    assert_int_equal(r.hop_limit, 63);
    assert_int_equal(r.mtu, 1400);
    look_up(PEER_ADDRESS, 0, &r);
    assert_int_equal(r.hop_limit, 64);
    assert_int_equal(r.mtu, 1500);
    assert_int_equal(world.exits.routes, 2);
    look_up_six(1, 7, &r); /* by an interface of the socket's choice */
    assert_int_equal(world.exits.routes, 3);
    assert_int_equal(world.asked.device, 7);
    world.route_six.source = ip_four(OUR_ADDRESS); /* of the other family */
    look_up_six(2, 0, &r);
    assert_false(r.direct);
    assert_int_equal(world_statistics()->violations, 1);
    world.route_six.source = OUR_SIX;
    world.interfaces.interface[0].mtu_six = 0; /* IPv6 is off */
    assert_int_equal(interfaces_load(), 0);
    look_up_six(3, 0, &r);
    assert_false(r.direct);
}

static void what_is_forgotten_is_asked_again(void **state)
{
    struct route r;
    (void)state;
    look_up(PEER_ADDRESS, 0, &r);
    world.route.mtu = 1300;
    look_up(PEER_ADDRESS, 0, &r);
    assert_int_equal(r.mtu, 1500);
    routes_forget();
    look_up(PEER_ADDRESS, 0, &r);
    assert_int_equal(r.mtu, 1300);
}

/* Whatever changes on the host is heeded within a second: routes, neighbours, the interface itself. */
static void changes_are_heeded_in_time(void **state)
{
    struct route r;
    (void)state;
    const uint64_t second = 10000000;
    route_start(second);
    look_up(PEER_ADDRESS, 0, &r);
    look_up_six(1, 0, &r);
    world.interfaces.interface[0].mac = OUR_MAC + 1;
    world.interfaces.interface[0].mtu = world.interfaces.interface[0].mtu_six = 1300;
    world.route.mac = world.route_six.mac = PEER_MAC + 1;
    uint64_t end = __builtin_ia32_rdtsc() + second;
    while (__builtin_ia32_rdtsc() < end)
        continue;
    look_up(PEER_ADDRESS, 0, &r);
    assert_int_equal(r.destination_mac, PEER_MAC + 1);
    assert_int_equal(r.source_mac, OUR_MAC + 1);
    assert_int_equal(r.mtu, 1300);
    look_up_six(1, 0, &r);
    assert_int_equal(r.destination_mac, PEER_MAC + 1);
    assert_int_equal(r.mtu, 1300);
}

static void addresses_of_the_interface(void **state)
{
    (void)state;
    assert_true(interface_owns(INTERFACE_INDEX, ip_four(OUR_ADDRESS)));
    assert_true(interface_owns(0, ip_four(OUR_ADDRESS)));
    assert_false(interface_owns(0, ip_four(PEER_ADDRESS)));
    assert_false(interface_owns(INTERFACE_INDEX + 1, ip_four(OUR_ADDRESS)));
    assert_true(interface_accepts(INTERFACE_INDEX, ip_four(OUR_ADDRESS)));
    assert_true(interface_accepts(INTERFACE_INDEX, ip_four(0x0a0000ff)));
    assert_true(interface_accepts(INTERFACE_INDEX, ip_four(0xffffffff)));
    assert_false(interface_accepts(INTERFACE_INDEX, ip_four(0x0a0001ff)));
    assert_false(interface_owns(INTERFACE_INDEX, ip_four(0xffffffff)));
    assert_true(interface_owns(INTERFACE_INDEX, OUR_SIX));
    assert_true(interface_accepts(INTERFACE_INDEX, OUR_LOCAL));
    assert_false(interface_accepts(INTERFACE_INDEX, PEER_SIX));
    assert_false(interface_accepts(INTERFACE_INDEX, ip_none));
    /* More addresses than there is room for here: the steering program knows them all. */
    world.interfaces.interface[0].address_count = INTERFACE_ADDRESSES_MAX;
    for (int i = 3; i < INTERFACE_ADDRESSES_MAX; i++)
        world.interfaces.interface[0].address[i].address = (struct ip_address){1, (uint64_t)i};
    assert_int_equal(interfaces_load(), 0);
    assert_true(interface_accepts(INTERFACE_INDEX, PEER_SIX));
    assert_false(interface_accepts(INTERFACE_INDEX, (struct ip_address){0xff02000000000000, 1}));
    assert_false(interface_owns(INTERFACE_INDEX, PEER_SIX));
}

static void impossible_interfaces_change_nothing(void **state)
{
    struct interface_info *i = &world.interfaces.interface[0];
    const struct interface_info good = *i;
    const struct {
        uint64_t *field, value;
    } cases[] = {
        {&world.interfaces.count, INTERFACES_MAX + 1}, {&world.interfaces.count, UINT64_MAX},
        {&i->address_count, INTERFACE_ADDRESSES_MAX + 1},  {&i->address[0].prefix, 33}, {&i->address[1].prefix, 129},
        {&i->address[0].address.low, 0xffffull << 32}, {&i->mtu_six, 1279}, {&i->mtu_six, 65536},
        {&i->mtu, 67},  {&i->mtu, 65536},   {&i->mac, 1ull << 48}, {&i->queues, 0},
        {&i->queues, 1u << 20}, {&i->index, 0}, {&i->index, 1ull << 31}, {&i->up, 2},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        *cases[c].field = cases[c].value;
        assert_int_equal(interfaces_load(), -EPROTO);
        world.interfaces.count = 1;
        *i = good;
        assert_true(interface_owns(INTERFACE_INDEX, ip_four(OUR_ADDRESS)));
        assert_int_equal(world_statistics()->violations, c + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_answer_is_asked_for_once, fresh),
        cmocka_unit_test_setup(an_answer_gets_old, fresh),
        cmocka_unit_test_setup(what_is_not_for_an_xsk_goes_by_the_host, fresh),
        cmocka_unit_test_setup(a_stale_neighbour_is_asked_for_again_at_once, fresh),
        cmocka_unit_test_setup(an_error_of_the_host_is_no_route, fresh),
        cmocka_unit_test_setup(impossible_answers_are_counted_and_not_used, fresh),
        cmocka_unit_test_setup(a_smaller_mtu_of_the_route_counts, fresh),
        cmocka_unit_test_setup(ipv6_has_routes_of_its_own, fresh),
        cmocka_unit_test_setup(what_is_forgotten_is_asked_again, fresh),
        cmocka_unit_test_setup(changes_are_heeded_in_time, fresh),
        cmocka_unit_test_setup(addresses_of_the_interface, fresh),
        cmocka_unit_test_setup(impossible_interfaces_change_nothing, fresh),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}

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
        route_lookup(PEER_ADDRESS, 0, &r);
        assert_true(r.direct);
        assert_int_equal(r.source, OUR_ADDRESS);
        assert_int_equal(r.source_mac, OUR_MAC);
        assert_int_equal(r.destination_mac, PEER_MAC);
        assert_int_equal(r.interface, INTERFACE_INDEX);
        assert_int_equal(r.mtu, 1500);
    }
    assert_int_equal(world.exits.routes, 1);
    route_lookup(PEER_ADDRESS + 1, 0, &r);
    route_lookup(PEER_ADDRESS, OUR_ADDRESS, &r); /* another question */
    assert_int_equal(world.exits.routes, 3);
}

static void an_answer_gets_old(void **state)
{
    struct route r;
    (void)state;
    route_start(1);
    route_lookup(PEER_ADDRESS, 0, &r);
    while (r.expires > __builtin_ia32_rdtsc())
        continue;
    route_lookup(PEER_ADDRESS, 0, &r);
    assert_true(r.direct);
    assert_int_equal(world.exits.routes, 2);
}

static void what_is_not_for_an_xsk_goes_by_the_host(void **state)
{
    const struct {
        const char *what;
        uint64_t interface, kind, neighbour, source;
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
        world.route.source = cases[i].source;
        route_lookup(PEER_ADDRESS + 10 + i, 0, &r);
        if (r.direct)
            fail_msg("direct: %s", cases[i].what);
    }
}

static void a_stale_neighbour_is_asked_for_again_at_once(void **state)
{
    struct route r;
    (void)state;
    world.route.neighbour_known = 2;
    route_lookup(PEER_ADDRESS, 0, &r);
    assert_false(r.direct);
    world.route.neighbour_known = 1;
    route_lookup(PEER_ADDRESS, 0, &r);
    assert_true(r.direct);
    assert_int_equal(world.exits.routes, 2);
}

static void an_error_of_the_host_is_no_route(void **state)
{
    struct route r;
    (void)state;
    world.route_error = -ENOMEM;
    route_lookup(PEER_ADDRESS, 0, &r);
    assert_false(r.direct);
    assert_int_equal(world_statistics()->violations, 0);
}

static void impossible_answers_are_counted_and_not_used(void **state)
{
    uint64_t *const fields[] = {&world.route.kind, &world.route.mac, &world.route.neighbour_known,
                                &world.route.interface_index, &world.route.next_hop};
    (void)state;
    for (uint32_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct route r;
        uint64_t good = *fields[i];
        *fields[i] = 1ull << 60;
        route_lookup(PEER_ADDRESS + 10 + i, 0, &r);
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
    route_lookup(PEER_ADDRESS, 0, &r);
    assert_int_equal(r.mtu, 1280);
    world.route.mtu = 9000; /* the interface's is 1500 */
    route_lookup(PEER_ADDRESS + 1, 0, &r);
    assert_int_equal(r.mtu, 1500);
}

static void addresses_of_the_interface(void **state)
{
    (void)state;
    assert_true(interface_owns(INTERFACE_INDEX, OUR_ADDRESS));
    assert_true(interface_owns(0, OUR_ADDRESS));
    assert_false(interface_owns(0, PEER_ADDRESS));
    assert_false(interface_owns(INTERFACE_INDEX + 1, OUR_ADDRESS));
    assert_true(interface_accepts(INTERFACE_INDEX, OUR_ADDRESS));
    assert_true(interface_accepts(INTERFACE_INDEX, 0x0a0000ff));
    assert_true(interface_accepts(INTERFACE_INDEX, 0xffffffff));
    assert_false(interface_accepts(INTERFACE_INDEX, 0x0a0001ff));
    assert_false(interface_owns(INTERFACE_INDEX, 0xffffffff));
}

static void impossible_interfaces_change_nothing(void **state)
{
    struct interface_info *i = &world.interfaces.interface[0];
    const struct interface_info good = *i;
    const struct {
        uint64_t *field, value;
    } cases[] = {
        {&world.interfaces.count, INTERFACES_MAX + 1}, {&world.interfaces.count, UINT64_MAX},
        {&i->address_count, INTERFACE_ADDRESSES_MAX + 1},  {&i->address[0], 33ull << 32},
        {&i->mtu, 67},  {&i->mtu, 65536},   {&i->mac, 1ull << 48}, {&i->queues, 0},
        {&i->queues, 1u << 20}, {&i->index, 0}, {&i->index, 1ull << 31}, {&i->up, 2},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        *cases[c].field = cases[c].value;
        assert_int_equal(interfaces_load(), -EPROTO);
        world.interfaces.count = 1;
        *i = good;
        assert_true(interface_owns(INTERFACE_INDEX, OUR_ADDRESS));
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
        cmocka_unit_test_setup(addresses_of_the_interface, fresh),
        cmocka_unit_test_setup(impossible_interfaces_change_nothing, fresh),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Some four hundred and fifty things that a program can see of UDP sockets, on each of six ways: natively,
# then in the enclave. The two must not differ in a word.

load common

setup() {
    need_root
    cd "$BATS_TEST_TMPDIR"
    netns_up
    CASES=$BUILD/tests/udp_cases
}

teardown() {
    [ -z "$PEER_PID" ] || stop "$PEER_PID"
    netns_down
}

# peer NS INTERFACE: the other side, a native process
peer() {
    ip netns exec "$1" timeout 120 "$CASES" peer "$2" >peer 3>&- &
    PEER_PID=$!
    wait_for "grep -q ready peer"
}

# compare WAY OWN PEER INTERFACE
compare() {
    in_a timeout 60 "$CASES" "$@" >native
    [ "$(wc -l <native)" -gt 400 ]
    in_a timeout 120 "$RAKIS" run --log error --iface v0 --stats stats.json -- "$CASES" "$@" >enclave
    diff native enclave
}

# Most of it went by the XSK.
by_xsk() {
    [ "$(field stats.json xsk.0.packets_in)" -gt 400 ]
    [ "$(field stats.json xsk.0.packets_out)" -gt 60 ]
}

@test "IPv4 over a network" {
    peer "$NS_B" v1
    compare four 10.78.0.1 10.78.0.2 v0
    by_xsk
}

@test "IPv6 over a network" {
    peer "$NS_B" v1
    compare six fd78::1 fd78::2 v0
    by_xsk
}

@test "IPv4 by IPv6 sockets over a network" {
    peer "$NS_B" v1
    compare mapped ::ffff:10.78.0.1 ::ffff:10.78.0.2 v0
    by_xsk
}

@test "IPv4 over loopback" {
    peer "$NS_A" lo
    compare four 127.0.0.1 127.0.0.1 lo
}

@test "IPv6 over loopback" {
    peer "$NS_A" lo
    compare six ::1 ::1 lo
}

@test "IPv4 by IPv6 sockets over loopback" {
    peer "$NS_A" lo
    compare mapped ::ffff:127.0.0.1 ::ffff:127.0.0.1 lo
}

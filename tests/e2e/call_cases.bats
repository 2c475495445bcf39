#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Some thirteen hundred results of calls on TCP sockets (new ones, and such as are served by epoll or by a thread that
# waits in recv), Unix sockets, epoll, poll and files: natively, then in the enclave. Not a word may differ.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

# compare COMMAND [ARG...] that runs a program in the enclave
compare() {
    timeout 60 "$BUILD/tests/call_cases" >native
    [ "$(wc -l <native)" -gt 1300 ]
    timeout 120 "$@" "$BUILD/tests/call_cases" >enclave
    diff native enclave
}

@test "over io_uring" {
    compare "$RAKIS" run --log error --stats stats.json --
    [ "$(field stats.json exits.by_name.io_uring_enter)" -gt 100 ]
    [ "$(field stats.json host_violations)" -eq 0 ]
}

@test "by exits" {
    compare "$RAKIS" run --log error --io exits --
}

@test "where io_uring is forbidden" {
    compare "$BUILD/tests/forbid" "$RAKIS" run --log error --
}

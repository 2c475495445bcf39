#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many TCP connections: all are served, idle ones cost nothing, and nothing of them is left.

load common

setup() {
    cd "$BATS_TEST_TMPDIR"
    AT_ONCE=${CONNECTIONS:-2000} PASSING=${CONNECTIONS_PASSING:-8000}
}

teardown() {
    [ -z "$HOLDER" ] || stop "$HOLDER"
    [ -z "$SERVER" ] || stop "$SERVER"
}

# serve PORT OPTION...: SERVER is its process
serve() {
    local port=$1
    shift
    timeout 120 "$RAKIS" run --log error --stats stats.json "$@" -- "$BUILD/tests/connections" serve "$port" >served 3>&- &
    SERVER=$!
    wait_for "grep -q ready served"
    SERVER_PROCESS=$(pgrep -P $SERVER)
}

# The statistics as they are now; field of them: now FIELD
now() {
    rm -f stats.json
    kill -USR2 "$SERVER_PROCESS"
    wait_for "/usr/bin/python3 -c 'import json; json.load(open(\"stats.json\"))'"
    field stats.json "$1"
}

descriptors() { ls "/proc/$SERVER_PROCESS/fd" | wc -l; }

# How often its threads have been switched to so far
switches() { cat "/proc/$SERVER_PROCESS"/task/*/status | awk '/ctxt_switches/ { sum += $2 } END { print sum }'; }

hold() {
    mkfifo line
    "$BUILD/tests/connections" hold "$1" "$AT_ONCE" <line >held 3>&- &
    HOLDER=$!
    exec 4>line
    wait_for "grep -q . held"
    cat held
    grep -q '^held$' held
}

let_go() {
    exec 4>&-
    wait "$HOLDER"
    HOLDER=
}

check() {
    serve "$@"
    "$BUILD/tests/connections" pass "$1" 640 >/dev/null
    wait_for '[ "$(descriptors)" -lt 30 ]'
    local fds arena before exits
    fds=$(descriptors)
    arena=$(now arena_bytes)
    hold "$1"
    [ "$(descriptors)" -ge "$AT_ONCE" ]
    exits=$(now exits.total)
    sleep 0.3
    before=$(switches)
    sleep 1
    echo "switched to $(($(switches) - before)) times"
    [ "$(switches)" = "$before" ]
    # The question itself wakes a thread.
    [ $(($(now exits.total) - exits)) -le 3 ]
    let_go
    "$BUILD/tests/connections" pass "$1" "$PASSING"
    wait_for '[ "$(descriptors)" -le '"$fds"' ]'
    wait_for '[ "$(now arena_bytes)" -le '"$((arena + 4194304))"' ]'
    "$BUILD/tests/connections" stop "$1"
    wait "$SERVER"
    SERVER=
    cat served
    grep -q "^$((640 + AT_ONCE + PASSING + 1)) connections, " served
    [ "$(field stats.json host_violations)" -eq 0 ]
}

@test "many connections at once, idle ones at no cost, and none leaves anything, over io_uring" {
    check 7421
}

@test "the same by exits" {
    check 7422 --io exits
}

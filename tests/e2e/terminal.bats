#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Programs at a terminal, as natively.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

# The scenario of terminal.py goes as natively: at_terminal SCENARIO
at_terminal() {
    local io
    timeout 100 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$1" >native || { cat native; return 1; }
    grep -q 'status' native
    for io in rings exits; do
        rm -f edited
        timeout 150 /usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" "$1" \
            "$RAKIS" run --log error --io $io -- >enclave || { cat enclave; return 1; }
        diff native enclave
    done
}

@test "python: line editing, window size, interrupts, passwords" { at_terminal python; }

@test "bash: job control, background reads and writes, window size" { at_terminal bash; }

@test "less: search, another window size" { at_terminal pager; }

@test "vi: a file is edited" { at_terminal editor; }

@test "a program under script(1)" { at_terminal recorded; }

@test "redis-cli: editing and history" {
    export PORT=28767
    redis-server --port $PORT --save '' >log 3>&- &
    server=$!
    wait_for "redis-cli -p $PORT ping"
    at_terminal redis || { stop $server; return 1; }
    stop $server
}

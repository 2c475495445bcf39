#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The benchmarks run and say what they could not do; their figures are nobody's business here.

load common

setup() {
    RUN=$(realpath "$BATS_TEST_DIRNAME/../../bench/run")
    cd "$BATS_TEST_TMPDIR"
}

namespaces() { ip netns list | grep -c rakis-bench || true; }

@test "a benchmark measures all modes, and writes what it found" {
    run timeout 100 "$RUN" "$BUILD" --quick --only start --json result.json
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" = *"machine: "* ]]
    [ "$(field result.json results.0.case)" = /bin/true ]
    for mode in native exits rings; do
        [ "$(field result.json "results.0.modes.$mode.values.start to exit.samples.0")" != 0 ]
    done
    [ "$(field result.json results.0.modes.native.exits.0)" = None ]
    [ "$(field result.json results.0.modes.rings.exits.0)" -gt 0 ]
}

@test "datagrams are generated, echoed and counted, and the namespaces go" {
    need_root
    run timeout 100 "$RUN" "$BUILD" --seconds 0.2 --rounds 1 --only udp-echo,udp-transmit --json result.json
    echo "$output"
    [ "$status" = 0 ]
    for result in 0 1 2 3; do
        for mode in native exits rings; do
            [ "$(field result.json "results.$result.modes.$mode.operations.0")" -gt 1000 ]
        done
    done
    [ "$(namespaces)" = 0 ]
}

@test "the cost of a transition is varied" {
    need_root
    type redis-server redis-benchmark >/dev/null || skip "needs redis"
    run timeout 200 "$RUN" "$BUILD" --quick --curve --only redis --json result.json
    echo "$output"
    [ "$status" = 0 ]
    for mode in 'exits 0' 'rings 0' 'exits 12000' 'rings 12000'; do
        [ "$(field result.json "results.0.modes.$mode.operations.0")" -gt 0 ]
    done
}

@test "what is not installed is skipped, not failed" {
    mkdir bin
    run timeout 60 env PATH="$PWD/bin" "$RUN" "$BUILD" --only redis,sockperf
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" = *"redis: skipped: redis-server, redis-benchmark not installed (packages: redis-server redis-tools"* ]]
    [[ "$output" = *"sockperf: skipped:"* ]]
}

@test "time that is over ends it, with what there is" {
    run timeout 100 "$RUN" "$BUILD" --quick --minutes 0.0001 --only start
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" = *"minutes are over"* ]]
}

@test "a name that is none is a usage error" {
    run "$RUN" "$BUILD" --only nonsense
    [ "$status" = 2 ]
    [[ "$output" = *"no benchmark 'nonsense': there are start, "* ]]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What scripts/check counts: a runner that tells less than it planned has failed, whatever it told.

# counted SCRIPT: what comes of a runner that does that
counted() {
    run bash -c 'set -u; . "$1/../../scripts/counting.bash"; taps kind bash -c "$2"; result' - "$BATS_TEST_DIRNAME" "$1"
}

@test "all that was planned has passed" {
    counted 'printf "1..2\nok 1 one\n# a word\nok 2 two\n"'
    [ "$status" = 0 ]
    [ "${lines[-1]}" = "2 passed, 0 failed" ]
}

@test "one fails: it is counted once, by its name" {
    counted 'printf "1..2\nok 1 one\nnot ok 2 two\n"; exit 1'
    [ "$status" = 1 ]
    [ "${lines[-2]}" = "failed: kind: 2 two" ]
    [ "${lines[-1]}" = "1 passed, 1 failed" ]
}

@test "what is skipped is neither" {
    counted 'printf "1..2\nok 1 one # skip not here\nok 2 two\n"'
    [ "$status" = 0 ]
    [ "${lines[-2]}" = "1 skipped" ]
    [ "${lines[-1]}" = "1 passed, 0 failed" ]
}

@test "nothing that is not skipped is a failure" {
    counted 'printf "1..1\nok 1 one # skip not here\n"'
    [ "$status" = 1 ]
    [[ "$output" == *"failed: kind: nothing ran"* ]]
}

@test "a runner that ends half way" {
    for end in 'exit 0' 'exit 3' 'kill -9 $$'; do
        counted 'printf "1..3\nok 1 one\nok 2 two\n"; '"$end"
        [ "$status" = 1 ]
        [[ "$output" == *"failed: kind: 2 results of 3 planned ones"* ]]
        [ "${lines[-1]}" = "2 passed, 1 failed" ]
    done
}

@test "a runner that tells more than it planned, or has no plan" {
    counted 'printf "1..1\nok 1 one\nok 2 two\n"'
    [ "$status" = 1 ]
    counted 'printf "ok 1 one\n"'
    [ "$status" = 1 ]
    [[ "$output" == *"1 results of no planned ones"* ]]
    counted 'exit 0'
    [ "$status" = 1 ]
}

@test "a runner that fails and does not say in what" {
    counted 'printf "1..1\nok 1 one\n"; exit 4'
    [ "$status" = 1 ]
    [[ "$output" == *"failed: kind: status 4, though no result is a failure"* ]]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# rakis doctor: what it finds on this machine, and on one that we make poorer.

load common

setup() {
    cd "$BATS_TEST_TMPDIR"
    NS_A=''
}

teardown() { [ -z "$NS_A" ] || netns_down; }

doctor() { timeout 60 "$RAKIS" doctor "$@"; }

# check FILE NAME KEY: a value of a check in the JSON
check() { /usr/bin/python3 -c 'import json, sys
checks = {c["name"]: c for c in json.load(open(sys.argv[1]))["checks"]}
print(checks.get(sys.argv[2], {}).get(sys.argv[3]))' "$@"; }

@test "a line a finding, and status 0 where programs run" {
    run doctor
    echo "$output"
    [ "$status" = 0 ]
    [ "${lines[-1]}" = "rakis can run here" ]
    unset 'lines[-1]'
    local line
    for line in "${lines[@]}"; do [[ "$line" =~ ^(ok|lack|fail)\ +[^\ ] ]]; done
    for name in kernel cores SGX 'SGX driver' FSGSBASE enclave transition io_uring AF_XDP rakis-xdpd privileges \
        'locked memory' 'huge pages'; do
        [ "$(printf '%s\n' "${lines[@]}" | grep -cE "^(ok|lack|fail) +$name  ")" = 1 ]
    done
}

@test "the same as JSON, with values" {
    doctor --json >found
    [ "$(field found can_run)" = True ]
    [ "$(check found enclave finding)" = ok ]
    [ "$(check found cores count)" = "$(nproc)" ]
    [ "$(check found kernel release)" = "$(uname -r)" ]
    # The emulator takes at least as long as it is told to, and less when told nothing.
    /usr/bin/python3 -c 'import sys
cycles, least = map(float, sys.argv[1:])
assert cycles >= 8200 > 0 < least < cycles' "$(check found transition cycles)" "$(check found transition least_cycles)"
}

@test "an enclave that cannot be made is a failure, status 1" {
    RAKIS_ENCLAVE=$PWD/none run doctor
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" = *"fail  enclave         /bin/true does not run in one: cannot open the enclave image"* ]]
    [ "${lines[-1]}" = "rakis cannot run here" ]
    RAKIS_ENCLAVE=$PWD/none doctor --json >found || [ $? = 1 ]
    [ "$(field found can_run)" = False ]
    [ "$(check found enclave finding)" = fail ]
}

@test "a user without privileges is told what it lacks, and can run" {
    need_root
    # Where this user can read it, whoever built.
    local there
    there=$(mktemp -d)
    chmod 755 "$there"
    cp "$BUILD/rakis" "$BUILD/enclave/rakis-enclave" "$there"
    RAKIS_ENCLAVE=$there/rakis-enclave run timeout 60 prlimit --memlock=65536:65536 setpriv --reuid 65534 --regid 65534 \
        --clear-groups --bounding-set -all --inh-caps -all "$there/rakis" doctor
    rm -r "$there"
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" = *"lack  privileges      no CAP_NET_ADMIN, CAP_BPF, CAP_NET_RAW: "*"--allow-uid"* ]]
    [[ "$output" = *"lack  rakis-xdpd      not beside rakis"* ]]
    [[ "$output" = *"lack  locked memory   64 KiB, and 6144 KiB are used for each queue over AF_XDP: raise it"* ]]
}

@test "io_uring that a filter forbids" {
    run timeout 60 /usr/bin/python3 - "$RAKIS" <<'PYTHON'
import ctypes, os, struct, sys
# Load the number of the call; io_uring_setup: EPERM; all others: allowed.
program = b"".join(struct.pack("HBBI", *i) for i in
                   [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)])
room = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(room)))
libc = ctypes.CDLL(None, use_errno=True)
assert not libc.prctl(38, 1, 0, 0, 0) and not libc.prctl(22, 2, filter)
os.execv(sys.argv[1], [sys.argv[1], "doctor"])
PYTHON
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" = *"lack  io_uring        not allowed (Operation not permitted)"* ]]
}

@test "interfaces: mode, queues, who has them" {
    need_root
    netns_up
    ip -n "$NS_A" link add down0 type veth peer name down1
    # Another namespace has the same names: those of this one are told.
    in_a timeout 60 "$RAKIS" doctor --json >found
    [ "$(check found v0 native)" = True ]
    [ "$(check found v0 queues)" = 1 ]
    [ "$(check found v0 finding)" = ok ]
    [ "$(check found v0 daemon)" = False ]
    [ "$(check found lo finding)" = None ]
    [ "$(check found v1 finding)" = None ]
    [ "$(check found down0 finding)" = lack ]
    [[ "$(check found down0 advice)" = *"ip link set down0 up"* ]]
    # It only looked.
    ! ip -n "$NS_A" -details link show v0 | grep -q prog/xdp
    ip -n "$NS_A" link del down0

    ip netns exec "$NS_A" "$BUILD/xdp/rakis-xdpd" -i v0 2>daemon.err 3>&- &
    local daemon=$!
    wait_for 'grep -q attached daemon.err'
    in_a timeout 60 "$RAKIS" doctor --json >found
    [ "$(check found v0 daemon)" = True ]
    [ "$(check found v0 finding)" = ok ]
    stop $daemon

    # A program that is none of ours.
    mkfifo commands
    ip netns exec "$NS_A" "$BUILD/bench/xdp_counter" v0 9 <commands >counter 3>&- &
    local counter=$!
    exec 7>commands
    wait_for 'grep -q ready counter'
    in_a timeout 60 "$RAKIS" doctor --json >found
    exec 7>&-
    wait $counter
    [ "$(check found v0 finding)" = lack ]
    [[ "$(check found v0 found)" = *"has an XDP program of somebody else"* ]]
}

@test "no interface at all" {
    need_root
    NS_A=rakis-test-$$-a NS_B=rakis-test-$$-b
    ip netns add "$NS_A"
    run in_a timeout 60 "$RAKIS" doctor
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" = *"lack  interfaces      none but loopback"* ]]
}

@test "the command line" {
    run doctor --nonsense
    [ "$status" = 2 ]
    [[ "$output" = *"there is no option --nonsense: try rakis help doctor" ]]
    run doctor v0
    [ "$status" = 2 ]
    run doctor --help
    [ "$status" = 0 ]
    [[ "$output" = "usage: rakis doctor"* ]]
    run "$RAKIS" help doctor
    [ "$status" = 0 ]
    [[ "$output" = "usage: rakis doctor"* ]]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What goes wrong says what, where and what to do: one line, and a status other than zero.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

# fails STATUS PATTERN WORD...: run with these words; the message is one line that matches.
fails() {
    local expected=$1 pattern=$2
    shift 2
    run timeout 30 "$RAKIS" run --log error "$@"
    echo "status $status: $output"
    [ "$status" = "$expected" ]
    [[ "$output" =~ $pattern ]]
    [ "$(echo "$output" | wc -l)" = 1 ]
}

@test "a program that is not there" {
    fails 127 "no-such-program" -- no-such-program
    fails 127 "/no/such/program" -- /no/such/program
}

@test "a program that is not an ELF file" {
    echo 'just text' >text
    chmod +x text
    fails 126 "text" -- ./text
    printf '#!/no/such/shell\necho hi\n' >script
    chmod +x script
    fails 126 "script.*/no/such/shell" -- ./script
}

@test "a program that may not be executed" {
    cp /bin/true plain
    chmod -x plain
    fails 126 "plain" -- ./plain
}

@test "a program for another machine" {
    cp /bin/true foreign
    printf '\xb7' | dd of=foreign bs=1 seek=18 conv=notrunc status=none # e_machine: AArch64
    fails 126 "AArch64|aarch64|architecture|machine" -- ./foreign
}

@test "a truncated program" {
    head -c 100 /bin/true >short
    chmod +x short
    run timeout 30 "$RAKIS" run --log error -- ./short
    echo "$output"
    [ "$status" = 126 ]
    [ -n "$output" ]
}

@test "an enclave too small for the program" {
    fails 1 "too small|--enclave-size" --enclave-size 1M -- /bin/true
    run timeout 30 "$RAKIS" run --log error --enclave-size 16M -- /usr/bin/python3 -c 1
    echo "$output"
    [ "$status" != 0 ]
    [[ "$output" =~ "enclave" ]]
}

@test "a size that is no size" {
    fails 2 "enclave-size" --enclave-size lots -- /bin/true
    fails 2 "enclave-size" --enclave-size 3G -- /bin/true
}

@test "an option that does not exist" {
    run timeout 30 "$RAKIS" run --no-such-option -- /bin/true
    [ "$status" = 2 ]
    [[ "$output" =~ no-such-option ]]
}

@test "no program at all" {
    run timeout 30 "$RAKIS" run
    [ "$status" = 2 ]
}

@test "hardware SGX where there is none" {
    [ ! -e /dev/sgx_enclave ] || skip "this machine has SGX"
    fails 1 "/dev/sgx_enclave" --platform sgx -- /bin/true
}

@test "an interface that does not exist" {
    fails 1 "no-such-if" --iface no-such-if -- /bin/true
}

@test "an interface that is down" {
    need_root
    netns_up
    ip -n "$NS_A" link set v0 down
    run in_a timeout 30 "$RAKIS" run --log error --iface v0 -- /bin/true
    netns_down
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" =~ v0.*down ]]
}

@test "no privilege for XDP: UDP falls back to host sockets, said once" {
    need_root
    netns_up
    run in_a setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
        env HOME=/nonexistent timeout 30 "$RAKIS" run --iface v0 -- /usr/bin/python3 -c '
import socket
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(("127.0.0.1", 0))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
b.sendto(b"x", a.getsockname())
print("received", len(a.recv(10)))'
    netns_down
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" =~ "received 1" ]]
    [ "$(echo "$output" | grep -c 'host sockets')" = 1 ]
}

@test "RLIMIT_MEMLOCK too small for the packet buffers" {
    need_root
    netns_up
    # Without CAP_IPC_LOCK the limit counts; all else that XDP needs is kept.
    run in_a bash -c "ulimit -l 64; exec setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock \
        timeout 30 '$RAKIS' run --iface v0 -- /bin/true"
    netns_down
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" =~ RLIMIT_MEMLOCK ]]
}

@test "statistics to a place that cannot be written" {
    run timeout 30 "$RAKIS" run --log error --stats /no/such/folder/stats.json -- /bin/true
    echo "$output"
    [[ "$output" =~ /no/such/folder ]]
}

# SPDX-License-Identifier: Apache-2.0
# What the end-to-end tests share.

# IO: rings (default) or exits.
rakis() { timeout 60 "$RAKIS" run --log error --io "${IO:-rings}" "$@"; }

# The same output and status as natively: same PROGRAM [ARG...]. What fails natively shows nothing: a run that is ended by
# time or a signal, or by an error of its Python, is refused, unless STATUS says that this is how it ends.
same() {
    local native enclave native_status=0 enclave_status=0
    native=$(timeout 60 "$@" 2>&1 </dev/null) || native_status=$?
    if [ $native_status -ge 124 ] && [ "${STATUS-}" != $native_status ] ||
        [[ $native == *'Traceback (most recent call last)'* ]]; then
        echo "natively it ends with $native_status: $native"
        return 1
    fi
    enclave=$(rakis -- "$@" 2>&1 </dev/null) || enclave_status=$?
    if [ "$native" != "$enclave" ] || [ $native_status != $enclave_status ]; then
        diff <(echo "$native") <(echo "$enclave")
        echo "status native $native_status, enclave $enclave_status"
        return 1
    fi
}

need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

# A folder in which users without privilege can run rakis: $THERE, to be removed by `rm -r`.
public_make() {
    THERE=$(mktemp -d)
    mkdir "$THERE/enclave" "$THERE/home"
    cp "$RAKIS" "$THERE"
    cp "$BUILD/enclave/rakis-enclave" "$THERE/enclave"
    chmod 755 "$THERE"
    chmod 777 "$THERE/home"
}

# Two namespaces joined by a veth pair: $NS_A (v0, 10.78.0.1, fd78::1) and $NS_B (v1, 10.78.0.2, fd78::2).
netns_up() {
    NS_A=rakis-test-$$-a NS_B=rakis-test-$$-b
    ip netns add "$NS_A"
    ip netns add "$NS_B"
    ip -n "$NS_A" link set lo up
    ip -n "$NS_B" link set lo up
    # Errors are told whenever they happen, or tests would see chance.
    local space
    for space in "$NS_A" "$NS_B"; do
        ip netns exec "$space" sysctl -q net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
    done
    veth_add
}

# veth_add [QUEUES]
veth_add() {
    local queues=${1:-1} i
    ip -n "$NS_A" link add v0 numtxqueues "$queues" numrxqueues "$queues" type veth \
        peer name v1 netns "$NS_B" numtxqueues "$queues" numrxqueues "$queues"
    ip -n "$NS_A" address add 10.78.0.1/24 dev v0
    ip -n "$NS_B" address add 10.78.0.2/24 dev v1
    ip -n "$NS_A" address add fd78::1/64 dev v0 nodad
    ip -n "$NS_B" address add fd78::2/64 dev v1 nodad
    ip netns exec "$NS_A" sysctl -q net.ipv6.conf.v0.accept_dad=0
    ip netns exec "$NS_B" sysctl -q net.ipv6.conf.v1.accept_dad=0
    ip -n "$NS_A" link set v0 up
    ip -n "$NS_B" link set v1 up
    for i in $(seq 100); do
        ip -n "$NS_A" link show v0 | grep -q LOWER_UP && return
        sleep 0.02
    done
    return 1
}

netns_down() {
    ip netns del "$NS_A" 2>/dev/null || true
    ip netns del "$NS_B" 2>/dev/null || true
}

in_a() { ip netns exec "$NS_A" "$@"; }
in_b() { ip netns exec "$NS_B" "$@"; }

# Wait until something listens on a TCP port in a namespace: wait_listen NS PORT
# A command that succeeds within five seconds.
wait_for() {
    local i
    for i in $(seq 250); do
        eval "$1" 2>/dev/null && return
        sleep 0.02
    done
    echo "never: $1" >&2
    return 1
}

wait_listen() {
    local i
    for i in $(seq 250); do
        ip netns exec "$1" ss -Hltn "sport = :$2" | grep -q . && return
        sleep 0.02
    done
    echo "nothing listens on port $2" >&2
    return 1
}

# End a background process that we started, by its id, and wait for it.
stop() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# The process of rakis among a process and its first children: rakis_of PID
rakis_of() {
    local p=$1
    while [ "$(readlink "/proc/$p/exe")" != "$RAKIS" ]; do
        p=$(pgrep -P "$p" | head -n 1)
        [ -n "$p" ] || return 1
    done
    echo "$p"
}

# Ticks of CPU that a process takes in two seconds: ticks_of PID
ticks_of() {
    local before after
    before=$(awk '{print $14 + $15}' "/proc/$1/stat")
    sleep 2
    after=$(awk '{print $14 + $15}' "/proc/$1/stat")
    echo $((after - before))
}

field() { /usr/bin/python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    value = value[int(key)] if isinstance(value, list) else value[key]
print(value)' "$1" "$2"; }

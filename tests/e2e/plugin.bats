#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# RAKIS as a client of the AF_XDP device plugin of Kubernetes: tests/programs/afxdp_plugin.c stands in for it.

load common

setup() {
    need_root
    cd "$BATS_TEST_TMPDIR"
    netns_up
    public_make
    SOMEBODY=$((200000 + $$ % 100000)) # locked memory is counted by user, over all of the machine
    PLUGIN_PID='' ECHO_PID='' PLACE=''
    cat >"$THERE/echo.py" <<'PYTHON'
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7777))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000)
    if data == b"end":
        break
    s.sendto(data, peer)
PYTHON
    cat >ask.py <<'PYTHON'
import socket, sys
# ask.py ADDRESS... [end]
for address in sys.argv[1:]:
    if address == "end":
        s.sendto(b"end", (to, 7777))
        break
    to = address
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    for i in range(200):
        s.sendto(b"%d" % i, (to, 7777))
        try:
            answer = s.recv(100)
        except TimeoutError:
            raise SystemExit(f"no answer to {i} from {to}")
        assert answer == b"%d" % i
print("all")
PYTHON
}

teardown() {
    exec 7>&-
    [ -z "$PLUGIN_PID" ] || stop "$PLUGIN_PID"
    [ -z "$ECHO_PID" ] || stop "$ECHO_PID"
    netns_down
    rm -rf "$THERE" ${PLACE:+"$PLACE"}
    rmdir /tmp/afxdp_dp 2>/dev/null || true
}

# plugin_start SOCKET POD INTERFACE...
plugin_start() {
    mkfifo hold
    ip netns exec "$NS_A" timeout 60 "$BUILD/tests/afxdp_plugin" "$@" <hold >plugin.log 3>&- &
    PLUGIN_PID=$!
    exec 7>hold
    wait_for "grep -q ready plugin.log"
    chmod 666 "$1" # the plugin runs where its pod may connect
}

# A server in the enclave, of a user with this privilege only: echo_start CAPABILITIES [OPTION...]
echo_start() {
    local capabilities=$1
    shift
    ip netns exec "$NS_A" setpriv --reuid "$SOMEBODY" --regid "$SOMEBODY" --clear-groups --inh-caps "$capabilities" --ambient-caps "$capabilities" \
        env HOME="$THERE/home" timeout 60 "$THERE/rakis" run --log warning --iface v0 "$@" -- \
        /usr/bin/python3 "$THERE/echo.py" >ready 2>messages 3>&- &
    ECHO_PID=$!
    wait_for "grep -q ready ready" || { cat messages; return 1; }
}

not_said() { ! grep -q "$1" messages; }

@test "it gets the map from the plugin, and finds neighbours by itself where everything comes to the XSK" {
    local host
    host=$(hostname)
    plugin_start "$THERE/plugin.sock" "$host" v0
    echo_start +net_raw --xsk-uds "$THERE/plugin.sock" --stats "$THERE/home/stats.json"
    # Nobody knows anybody yet; the kernel of this side hears nothing.
    in_b ip neighbour flush dev v1
    [ "$(in_b timeout 20 /usr/bin/python3 ask.py 10.78.0.1)" = all ]
    [ "$(in_b timeout 20 /usr/bin/python3 ask.py fd78::1 end)" = all ]
    wait "$ECHO_PID"
    ECHO_PID=''
    diff plugin.log - <<LOG
ready
< /connect,$host
> /host_ok
< /ports
> /nak
< /version
> 0.1
< /xsk_map_fd,v0
> /fd_ack with a descriptor
< /fin
> /fin_ack
closed
LOG
    not_said "UDP goes over host sockets"
    [ "$(field "$THERE/home/stats.json" xsk.0.packets_in)" -ge 400 ]
    [ "$(field "$THERE/home/stats.json" xsk.0.packets_out)" -ge 390 ]
    [ "$(in_a ip neighbour show dev v0 nud reachable | wc -l)" = 0 ]
}


@test "a plugin where it listens in a pod is found, and neighbours are told to the kernel by who may" {
    # The place is the same in all of the machine: an interface of a name of its own.
    local name=v$$
    ip -n "$NS_A" link set v0 down
    ip -n "$NS_A" link set v0 name "$name"
    ip -n "$NS_A" link set "$name" up
    ip -n "$NS_A" address replace fd78::1/64 dev "$name" nodad
    PLACE=/tmp/afxdp_dp/$name
    mkdir -p "$PLACE"
    plugin_start "$PLACE/afxdp.sock" "$(hostname)" "$name"
    # The doctor sees it, and leaves its only connection to others.
    in_a "$RAKIS" doctor --json >doctor.json || true
    [ "$(jq '.checks[] | select(.name == "'$name'") | .plugin' doctor.json)" = true ]
    in_b timeout 20 /usr/bin/python3 "$THERE/echo.py" >ready_b 3>&- &
    ECHO_PID=$!
    wait_for "grep -q ready ready_b"
    # The first datagram to somebody unknown waits in the kernel until the answer has come by the XSK.
    run in_a timeout 30 "$RAKIS" run --log warning --iface "$name" --stats stats.json -- \
        /usr/bin/python3 ask.py 10.78.0.2 fd78::2 end
    echo "$output"
    [[ "$output" = *all ]]
    wait "$ECHO_PID"
    ECHO_PID=''
    [ "$(field stats.json xsk.0.packets_in)" -ge 400 ]
    [ "$(field stats.json xsk.0.packets_out)" -ge 390 ]
    [ "$(in_a ip neighbour show fd78::2 dev "$name" nud reachable | wc -l)" = 1 ]
    [ "$(in_a ip neighbour show 10.78.0.2 dev "$name" nud reachable | wc -l)" = 1 ]
}

@test "one plugin serves several interfaces" {
    ip -n "$NS_A" link add w0 type veth peer name w1 netns "$NS_B"
    ip -n "$NS_A" address add 10.79.0.1/24 dev w0
    ip -n "$NS_B" address add 10.79.0.2/24 dev w1
    ip -n "$NS_A" link set w0 up
    ip -n "$NS_B" link set w1 up
    plugin_start "$THERE/plugin.sock" "$(hostname)" v0 w0
    echo_start +net_raw,+ipc_lock --iface w0 --xsk-uds "$THERE/plugin.sock" --stats "$THERE/home/stats.json"
    [ "$(in_b timeout 20 /usr/bin/python3 ask.py 10.78.0.1)" = all ]
    [ "$(in_b timeout 20 /usr/bin/python3 ask.py 10.79.0.1 end)" = all ]
    wait "$ECHO_PID"
    ECHO_PID=''
    [ "$(field "$THERE/home/stats.json" xsk.0.packets_in)" -ge 200 ]
    [ "$(field "$THERE/home/stats.json" xsk.1.packets_in)" -ge 200 ]
}

# The echo works all the same, by host sockets: said SENTENCE
goes_on_saying() {
    [ "$(in_b timeout 20 /usr/bin/python3 ask.py 10.78.0.1 end)" = all ]
    wait "$ECHO_PID"
    ECHO_PID=''
    cat messages
    [ "$(grep -c "UDP goes over host sockets" messages)" = 1 ]
    grep -q "$1" messages
}

@test "a plugin that does not know the pod" {
    plugin_start "$THERE/plugin.sock" another-pod v0
    echo_start +net_raw --xsk-uds "$THERE/plugin.sock"
    goes_on_saying "who listens at $THERE/plugin.sock does not know this pod by its host name"
}

@test "a plugin without our interface" {
    plugin_start "$THERE/plugin.sock" "$(hostname)" lo
    echo_start +net_raw --xsk-uds "$THERE/plugin.sock"
    goes_on_saying "who listens at $THERE/plugin.sock has no interface v0 for us"
}

@test "no privilege to make an XSK for the plugin's map" {
    plugin_start "$THERE/plugin.sock" "$(hostname)" v0
    echo_start -all --xsk-uds "$THERE/plugin.sock"
    goes_on_saying "with a device plugin rakis needs CAP_NET_RAW"
}

@test "nobody listens" {
    echo_start +net_raw --xsk-uds "$THERE/plugin.sock"
    goes_on_saying "nobody listens at $THERE/plugin.sock"
}

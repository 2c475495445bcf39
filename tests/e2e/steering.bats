#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Steering with enclaves: who may have it, what becomes of it when somebody dies, and when the network changes.

load common

setup() {
    need_root
    cd "$BATS_TEST_TMPDIR"
    netns_up
    public_make
    SOMEBODY=$((200000 + $$ % 100000)) # locked memory is counted by user, over all of the machine
    DAEMON_PID='' ECHO_PIDS=()
    cat >"$THERE/echo.py" <<'PYTHON'
import select, socket, sys
def bind(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", port))
    return s
sockets = [bind(int(sys.argv[1]))]
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0] if len(sockets) > 1 else sockets:
        data, peer = s.recvfrom(10000)
        if data == b"end":
            sys.exit()
        if data.startswith(b"bind "): # another
            sockets.append(bind(int(data[5:])))
        s.sendto(data, peer)
PYTHON
    # ask.py ADDRESS PORT COUNT [SIZE]: asks until all are answered, each within ten seconds. Of different sizes, up to
    # SIZE: datagrams of one size are gathered and leave by another way.
    cat >ask.py <<'PYTHON'
import socket, sys, time
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
size = int(sys.argv[4]) if len(sys.argv) > 4 else 20
for i in range(count): # each by another port, and so perhaps by another queue
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.2)
    question = (b"%d." % i).ljust(size - i % 9, b"x")
    end = time.time() + 10
    while True:
        try:
            s.sendto(question, (host, port))
            if s.recv(10000) == question:
                break
        except OSError:
            time.sleep(0.01)
        if time.time() > end:
            raise SystemExit(f"no answer to {i}")
print("all")
PYTHON
}

teardown() {
    local pid
    for pid in "${ECHO_PIDS[@]}" $DAEMON_PID; do
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    netns_down
    rm -rf "$THERE"
}

daemon_start() {
    ip netns exec "$NS_A" "$BUILD/xdp/rakis-xdpd" "$@" 2>daemon.err 3>&- &
    DAEMON_PID=$!
    wait_for "grep -q ready daemon.err"
}

# An echo in an enclave, which this shell's child becomes: echo_start PORT [OPTION...]. Its messages: messages.PORT
echo_start() {
    local port=$1
    shift
    ip netns exec "$NS_A" "$RAKIS" run --log warning "$@" -- /usr/bin/python3 "$THERE/echo.py" "$port" \
        >"ready.$port" 2>"messages.$port" 3>&- &
    ECHO_PID=$!
    ECHO_PIDS+=("$!")
    wait_for "grep -q ready ready.$port" || { cat "messages.$port"; return 1; }
}

# The same of a user without privilege, with these capabilities: echo_start_as CAPABILITIES PORT [OPTION...]
echo_start_as() {
    local capabilities=$1 port=$2
    shift 2
    ip netns exec "$NS_A" setpriv --reuid "$SOMEBODY" --regid "$SOMEBODY" --clear-groups --inh-caps "$capabilities" \
        --ambient-caps "$capabilities" env HOME="$THERE/home" "$THERE/rakis" run --log warning "$@" -- \
        /usr/bin/python3 "$THERE/echo.py" "$port" >"ready.$port" 2>"messages.$port" 3>&- &
    ECHO_PID=$!
    ECHO_PIDS+=("$!")
    wait_for "grep -q ready ready.$port" || { cat "messages.$port"; return 1; }
}

ask() { [ "$(in_b timeout 60 /usr/bin/python3 ask.py "$@")" = all ]; }

# Its statistics as they are now: now FIELD
now() {
    : >stats.json
    kill -USR2 "$ECHO_PID"
    wait_for "/usr/bin/python3 -c 'import json; json.load(open(\"stats.json\"))'"
    field stats.json "$1"
}

# How many lines of its messages there are with these words: says PORT WORDS
says() { grep -c "$2" "messages.$1" || true; }

has_program() { ip -n "$NS_A" -details link show v0 | grep -q 'prog/xdp'; }
not() { ! "$@"; }

# Ports that the daemon steers.
steered() {
    local id
    for id in $(sed -n 's/^map_id:[[:space:]]*//p' "/proc/$DAEMON_PID"/fdinfo/*); do
        [ "$(bpftool -j map show id "$id" | jq -r .name)" != ports ] || bpftool -j map dump id "$id" | jq length
    done
}

@test "with --busy-poll who waits for an XSK polls the driver" {
    local words
    for words in 0 10001 x; do
        run "$BUILD/xdp/rakis-xdpd" -i v0 --busy-poll $words
        [ "$status" = 2 ]
        [ "${lines[0]}" = "rakis-xdpd: not a number of microseconds, at most 10000: $words" ]
    done
    daemon_start -i v0 --busy-poll 50
    ip netns exec "$NS_A" sh -c 'echo 2 >/sys/class/net/v0/napi_defer_hard_irqs
                                 echo 200000 >/sys/class/net/v0/gro_flush_timeout'
    echo_start 7777 --iface v0 --stats stats.json
    ask 10.78.0.1 7777 200
    [ "$(now xsk.0.packets_in)" -ge 200 ]
    [ "$(now xsk.0.busy_poll_us)" = 50 ]
    [ "$(now xsk.0.busy_polls)" -ge 100 ]
}

@test "an enclave that is killed has no redirects a second later" {
    daemon_start -i v0
    echo_start 7777 --iface v0 --stats stats.json
    ask 10.78.0.1 7777 20
    [ "$(now xsk.0.packets_in)" -ge 20 ]
    [ "$(steered)" = 2 ] # of both families
    kill -9 "$ECHO_PID"
    sleep 1
    [ "$(steered)" = 0 ]
    has_program # the daemon stays
    # The kernel's: a native program on that port.
    ip netns exec "$NS_A" timeout 60 /usr/bin/python3 "$THERE/echo.py" 7777 >native 3>&- &
    ECHO_PIDS+=("$!")
    wait_for "grep -q ready native"
    ask 10.78.0.1 7777 20
    # And the queue is free.
    echo_start 7778 --iface v0 --stats stats.json
    ask 10.78.0.1 7778 20
    [ "$(now xsk.0.packets_in)" -ge 20 ]
    [ "$(says 7778 "host sockets")" = 0 ]
}

# The daemon is killed: goes_on WHO
goes_on() {
    ask 10.78.0.1 7777 20
    [ "$(now xsk.0.packets_in)" -ge 20 ]
    kill -9 "$1"
    # Said at once, though nobody asked it for anything.
    wait_for "grep -q 'the rakis-xdpd of v0 is gone: UDP goes over host sockets' messages.7777"
    wait_for "not has_program"
    ask 10.78.0.1 7777 50
    ask fd78::1 7777 50
    sleep 0.2
    [ "$(says 7777 "host sockets")" = 1 ]
    # New sockets of it work too.
    in_b /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", ("10.78.0.1", 7777))'
    wait "$ECHO_PID"
    [ "$(says 7777 "host sockets")" = 1 ]
}

@test "a daemon that is killed: the enclave goes on over its host sockets, and says so once" {
    daemon_start -i v0
    echo_start 7777 --iface v0 --stats stats.json
    goes_on "$DAEMON_PID"
}

@test "the daemon that rakis started is killed" {
    echo_start 7777 --iface v0 --stats stats.json
    goes_on "$(started_daemon)"
}

@test "a daemon that ends in order says goodbye as one that is killed" {
    daemon_start -i v0
    echo_start 7777 --iface v0
    kill "$DAEMON_PID"
    wait_for "grep -q 'the rakis-xdpd of v0 is gone' messages.7777"
    ask 10.78.0.1 7777 20
}

# Another daemon is started at the place of one that was killed: comes_back OPTION...
comes_back() {
    ask 10.78.0.1 7777 20
    kill -9 "$DAEMON_PID"
    wait "$DAEMON_PID" || true
    wait_for "grep -q 'the rakis-xdpd of v0 is gone: UDP goes over host sockets' messages.7777"
    ask 10.78.0.1 7777 20
    # Meanwhile there is a new socket, and one day its daemon.
    in_b /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(b"bind 7790", ("10.78.0.1", 7777))
s.recv(100)'
    ask 10.78.0.1 7790 20
    rm daemon.err
    daemon_start "$@"
    wait_for "grep -q 'the rakis-xdpd of v0 is back: UDP goes over AF_XDP again' messages.7777"
    [ "$(steered)" = 4 ]
    local before
    before=$(now xsk.0.packets_in)
    ask 10.78.0.1 7777 50
    ask fd78::1 7790 50
    [ "$(now xsk.0.packets_in)" -ge $((before + 100)) ]
    # And a second time.
    kill "$DAEMON_PID"
    wait "$DAEMON_PID" || true
    ask 10.78.0.1 7777 20
    wait_for '[ "$(says 7777 "is gone: UDP goes over host sockets")" = 2 ]'
    rm daemon.err
    daemon_start "$@"
    wait_for '[ "$(says 7777 "is back")" = 2 ]'
    before=$(now xsk.0.packets_in)
    ask 10.78.0.1 7790 50
    [ "$(now xsk.0.packets_in)" -ge $((before + 50)) ]
    kill -9 "$ECHO_PID"
    sleep 1
    [ "$(steered)" = 0 ]
}

@test "a daemon that comes back is told what its predecessor was" {
    daemon_start -i v0
    echo_start 7777 --iface v0 --stats stats.json
    comes_back -i v0
}

@test "a daemon that comes back, of a user without privilege" {
    daemon_start -i v0 --allow-uid "$SOMEBODY"
    echo_start_as -all 7777 --iface v0 --stats "$THERE/home/stats.json"
    ln -s "$THERE/home/stats.json" stats.json
    comes_back -i v0 --allow-uid "$SOMEBODY"
}

@test "the interface goes down and up" {
    echo_start 7777 --iface v0 --stats stats.json
    ask 10.78.0.1 7777 20
    ip -n "$NS_A" link set v0 down
    sleep 0.3
    ip -n "$NS_A" link set v0 up
    ip -n "$NS_A" address replace fd78::1/64 dev v0 nodad # the kernel forgets those of IPv6
    ask 10.78.0.1 7777 20
    ask fd78::1 7777 20
    local before
    before=$(now xsk.0.packets_in)
    sleep 0.6 # what was known of routes is asked for again
    ask 10.78.0.1 7777 50
    ask fd78::1 7777 50
    [ "$(now xsk.0.packets_in)" -ge $((before + 100)) ]
    # The peer's end too, which takes the carrier away.
    ip -n "$NS_B" link set v1 down
    sleep 0.3
    ip -n "$NS_B" link set v1 up
    before=$(now xsk.0.packets_out)
    ask 10.78.0.1 7777 50
    sleep 0.6
    ask 10.78.0.1 7777 50
    [ "$(now xsk.0.packets_out)" -ge $((before + 40)) ]
    [ "$(now host_violations)" = 0 ]
    cat messages.7777
    [ "$(says 7777 "host sockets")" = 0 ]
}

@test "the interface gets another address" {
    echo_start 7777 --iface v0 --stats stats.json
    ask 10.78.0.1 7777 20
    ip -n "$NS_A" address add 10.78.0.77/24 dev v0
    ip -n "$NS_A" address del 10.78.0.1/24 dev v0
    ip -n "$NS_A" address replace 10.78.0.77/24 dev v0 # the second of a network goes with the first
    ip -n "$NS_A" address add fd78::77/64 dev v0 nodad
    ip -n "$NS_A" address del fd78::1/64 dev v0
    ask 10.78.0.77 7777 20
    ask fd78::77 7777 20
    sleep 1.1 # what the enclave knows of its addresses is asked for again
    ask 10.78.0.77 7777 20
    local before
    before=$(now xsk.0.packets_in)
    ask 10.78.0.77 7777 50
    ask fd78::77 7777 50
    [ "$(now xsk.0.packets_in)" -ge $((before + 100)) ]
    [ "$(now xsk.0.packets_out)" -ge 100 ]
}

@test "the interface gets another MTU" {
    echo_start 7777 --iface v0 --stats stats.json
    ask 10.78.0.1 7777 20 1472
    local mtu before
    for mtu in 1300 3000 1500; do
        ip -n "$NS_B" link set v1 mtu "$mtu"
        ip -n "$NS_A" link set v0 mtu "$mtu"
        ask 10.78.0.1 7777 20 200
        # As long as fits now, and more, which is fragmented: each is answered whole.
        ask 10.78.0.1 7777 20 $((mtu - 28))
        ask fd78::1 7777 20 $((mtu - 48))
        ask 10.78.0.1 7777 20 5000
        sleep 0.6
        before=$(now xsk.0.packets_in)
        ask 10.78.0.1 7777 50 1200
        ask 10.78.0.1 7777 20 $((mtu - 28))
        ask 10.78.0.1 7777 20 5000
        [ "$(now xsk.0.packets_in)" -ge $((before + 50)) ]
    done
    [ "$(now host_violations)" = 0 ]
}

@test "the interface gets another MAC address" {
    echo_start 7777 --iface v0 --stats stats.json
    ask 10.78.0.1 7777 20
    ip -n "$NS_A" link set v0 address 02:00:00:00:00:77
    in_b ip neighbour flush dev v1
    ask 10.78.0.1 7777 20
    sleep 0.6
    local before
    before=$(now xsk.0.packets_out)
    ask 10.78.0.1 7777 50
    [ "$(now xsk.0.packets_out)" -ge $((before + 45)) ] # one asks the kernel whether the neighbour is still there
}

@test "the interface is removed" {
    echo_start 7777 --iface v0
    ask 10.78.0.1 7777 20
    ip -n "$NS_A" link del v0
    wait_for "grep -q 'the rakis-xdpd of v0 is gone' messages.7777"
    in_a timeout 20 /usr/bin/python3 ask.py 127.0.0.1 7777 20
}

@test "several interfaces, each with its XSK" {
    ip -n "$NS_A" link add w0 type veth peer name w1 netns "$NS_B"
    ip -n "$NS_A" address add 10.79.0.1/24 dev w0
    ip -n "$NS_B" address add 10.79.0.2/24 dev w1
    ip -n "$NS_A" link set w0 up
    ip -n "$NS_B" link set w1 up
    echo_start 7777 --iface v0 --iface w0 --stats stats.json
    ask 10.78.0.1 7777 50
    ask 10.79.0.1 7777 50
    [ "$(now xsk.0.interface)" = v0 ]
    [ "$(now xsk.1.interface)" = w0 ]
    [ "$(now xsk.0.packets_in)" -ge 50 ]
    [ "$(now xsk.1.packets_in)" -ge 50 ]
    [ "$(now xsk.1.packets_out)" -ge 40 ]
    # Each has a daemon of its own; when one goes, the other interface stays as it was.
    local pid
    for pid in $(ip netns pids "$NS_A"); do
        ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'rakis-xdpd -i v0' || kill -9 "$pid"
    done
    wait_for "grep -q 'the rakis-xdpd of v0 is gone' messages.7777"
    local before
    before=$(now xsk.1.packets_in)
    ask 10.78.0.1 7777 50
    ask 10.79.0.1 7777 50
    [ "$(now xsk.1.packets_in)" -ge $((before + 50)) ]
    [ "$(says 7777 "host sockets")" = 1 ]
}

@test "two enclaves on one interface, each with its ports and its queues" {
    ip -n "$NS_A" link del v0
    veth_add 2
    daemon_start -i v0
    echo_start 7777 --iface v0:0 --stats first.json
    local first=$ECHO_PID
    echo_start 7778 --iface v0:1 --stats second.json
    local second=$ECHO_PID
    ask 10.78.0.1 7777 100
    ask 10.78.0.1 7778 100
    kill -USR2 "$first" "$second"
    wait_for "/usr/bin/python3 -c 'import json; json.load(open(\"first.json\")); json.load(open(\"second.json\"))'"
    [ "$(field first.json xsk.0.queue) $(field second.json xsk.0.queue)" = "0 1" ]
    # By which queue they come is the sender's choice: what came by the own one went by the XSK, the rest by the kernel.
    local file
    for file in first second; do
        [ "$(field $file.json xsk.0.packets_in)" -gt 5 ]
        [ "$(field $file.json xsk.0.packets_in)" -lt 95 ]
    done
    [ "$(says 7777 "host sockets")$(says 7778 "host sockets")" = 00 ]
}

# The rakis-xdpd that rakis started: started_daemon NS
started_daemon() {
    local pid
    for pid in $(ip netns pids "$NS_A"); do
        [ "$(cat "/proc/$pid/comm")" != rakis-xdpd ] || echo "$pid"
    done
}

@test "an enclave joins the daemon that another one started, which ends with the last" {
    ip -n "$NS_A" link del v0
    veth_add 2
    echo_start 7777 --iface v0:0
    local first=$ECHO_PID
    echo_start 7778 --iface v0:1 --stats stats.json
    [ "$(started_daemon | wc -l)" = 1 ]
    kill -9 "$first"
    wait "$first" || true
    ask 10.78.0.1 7778 100
    [ "$(now xsk.0.packets_in)" -gt 0 ]
    has_program
    in_b /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", ("10.78.0.1", 7778))'
    wait "$ECHO_PID"
    not has_program
    wait_for '[ -z "$(started_daemon)" ]'
    [ "$(says 7777 "host sockets")$(says 7778 "host sockets")" = 00 ]
    # Nothing is left where it listened.
    [ ! -e "/run/rakis/$(in_a stat -L -c %i /proc/self/ns/net)" ]
}

@test "an enclave that made processes is killed" {
    daemon_start -i v0
    cat >"$THERE/parent.py" <<'PYTHON'
import os, socket, subprocess, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7777))
if os.fork() == 0:
    time.sleep(30)
child = subprocess.Popen(["sleep", "30"])
print("ready", flush=True)
time.sleep(30)
PYTHON
    ip netns exec "$NS_A" "$RAKIS" run --log error --iface v0 -- /usr/bin/python3 "$THERE/parent.py" >ready 3>&- &
    ECHO_PIDS+=("$!")
    wait_for "grep -q ready ready"
    kill -9 "${ECHO_PIDS[0]}"
    sleep 1
    [ "$(steered)" = 0 ]
    # The queue is free though its children live.
    [ "$(ip netns pids "$NS_A" | wc -l)" -ge 3 ]
    echo_start 7778 --iface v0 --stats stats.json
    ask 10.78.0.1 7778 20
    [ "$(now xsk.0.packets_in)" -ge 20 ]
    ip netns pids "$NS_A" | while read -r pid; do [ "$(ps -o ppid= -p "$pid" | tr -d ' ')" != 1 ] || kill "$pid"; done
}

@test "a daemon that listens elsewhere" {
    daemon_start -i v0 --socket "$PWD/s"
    echo_start 7777 --iface v0 --xsk-uds "$PWD/s" --stats stats.json
    ask 10.78.0.1 7777 20
    [ "$(now xsk.0.packets_in)" -ge 20 ]
    [ "$(steered)" = 2 ]
}

@test "a queue that another enclave has, or that is not there, is said" {
    daemon_start -i v0
    echo_start 7777 --iface v0 --stats stats.json
    local first=$ECHO_PID
    echo_start 7778 --iface v0
    grep -q "queue 0 of v0 is in use: UDP that comes by it goes over host sockets" messages.7778
    ask 10.78.0.1 7778 20
    ask 10.78.0.1 7777 20
    ECHO_PID=$first
    [ "$(now xsk.0.packets_in)" -ge 20 ]
    echo_start 7779 --iface v0:5
    grep -q "cannot use queue 5 of v0" messages.7779
    ask 10.78.0.1 7779 20
}

@test "a user without privilege, by a daemon that allows it" {
    daemon_start -i v0 --allow-uid "$SOMEBODY"
    echo_start_as -all 7777 --iface v0 --stats "$THERE/home/stats.json"
    ask 10.78.0.1 7777 20
    ask fd78::1 7777 20
    cat messages.7777
    [ "$(says 7777 "host sockets")" = 0 ]
    [ "$(steered)" = 2 ]
    kill -USR2 "$ECHO_PID"
    wait_for "[ -s $THERE/home/stats.json ]"
    sleep 0.2
    [ "$(field "$THERE/home/stats.json" xsk.0.packets_in)" -ge 40 ]
    kill -9 "$ECHO_PID"
    sleep 1
    [ "$(steered)" = 0 ]
}

@test "a privileged port is steered for a user who may bind it" {
    daemon_start -i v0 --allow-uid "$SOMEBODY"
    echo_start_as +net_bind_service 53 --iface v0
    ask 10.78.0.1 53 20
    [ "$(steered)" = 2 ]
    [ "$(says 53 "host sockets")" = 0 ]
}

@test "a user whom the daemon does not allow, and one with too little locked memory" {
    daemon_start -i v0
    echo_start_as -all 7777 --iface v0
    ask 10.78.0.1 7777 20
    [ "$(says 7777 "UDP goes over host sockets: the rakis-xdpd of v0 does not allow this user (see its --allow-uid)")" = 1 ]
    kill -9 "$DAEMON_PID"
    wait "$DAEMON_PID" || true
    rm daemon.err
    daemon_start -i v0 --allow-uid "$SOMEBODY"
    ulimit -l 64
    echo_start_as -all 7778 --iface v0
    ask 10.78.0.1 7778 20
    cat messages.7778
    [ "$(says 7778 "RLIMIT_MEMLOCK is 64 KiB; raise it (ulimit -l) or run with CAP_IPC_LOCK; UDP goes over host sockets")" = 1 ]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# rakis-xdpd and the host's side of AF_XDP, without an enclave.

load common

setup() {
    need_root
    cd "$BATS_TEST_TMPDIR"
    netns_up
    PEER_PID='' DAEMON_PID=''
    # Where rakis looks for its daemon: beside itself.
    cp "$BUILD/tests/xsk_peer" "$BUILD/xdp/rakis-xdpd" .
    PEER=$PWD/xsk_peer XDPD=$PWD/rakis-xdpd
}

teardown() {
    [ -z "$PEER_PID" ] || stop "$PEER_PID"
    [ -z "$DAEMON_PID" ] || stop "$DAEMON_PID"
    netns_down
}

# A conversation with xsk_peer: peer_start NS IFACE, then ask COMMAND... EXPECTED
peer_start() {
    mkfifo commands answers
    ip netns exec "$1" timeout 60 "$PEER" "$2" <commands >answers 2>peer.err 3>&- &
    PEER_PID=$!
    exec 7>commands 8<answers
    read -r -t 10 answer <&8
}

ask() {
    echo "$*" >&7
    read -r -t 10 answer <&8
}

peer_end() {
    exec 7>&- 8<&-
    wait "$PEER_PID" || true
    PEER_PID=''
}

# send_from_b PORT [COUNT] [ADDRESS]
send_from_b() {
    in_b /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[2])):
    s.sendto(b"hello", (sys.argv[3], int(sys.argv[1])))' "$1" "${2:-1}" "${3:-10.78.0.1}"
}

# A socket of the kernel that counts: kernel_receives NS PORT COUNT, result in counted.$PORT
kernel_receives() {
    ip netns exec "$1" timeout 20 /usr/bin/python3 -c '
import socket, sys
port, wanted = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 22) # SO_RCVBUFFORCE: room for all, however slow we are
s.bind(("", port))
open(f"bound.{port}", "w").close()
s.settimeout(10)
count = 0
try:
    while count < wanted:
        s.recv(65536)
        count += 1
except TimeoutError:
    pass
open(f"counted.{port}", "w").write(str(count))' "$2" "$3" 3>&- &
    KERNEL_PID=$!
    local i
    for i in $(seq 250); do
        [ -e "bound.$2" ] && return
        sleep 0.02
    done
    return 1
}

has_program() { ip -n "$1" -details link show "$2" | grep -q 'prog/xdp'; }

# Until a condition holds, five seconds at most.
eventually() {
    local i
    for i in $(seq 250); do
        "$@" && return
        sleep 0.02
    done
    return 1
}
not() { ! "$@"; }

daemon_start() {
    ip netns exec "$NS_A" "$XDPD" "$@" 2>daemon.err 3>&- &
    DAEMON_PID=$!
    eventually grep -q . daemon.err
}

# talk SOCKET: sends each line of standard input as a message, prints the answers
talk() {
    in_a timeout 20 /usr/bin/python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
s.connect(sys.argv[1])
for line in sys.stdin.buffer:
    try:
        s.send(line.rstrip(b"\n"))
        answer, fds, _, _ = socket.recv_fds(s, 100, 4)
    except OSError as error:
        print("gone")
        break
    for fd in fds: os.close(fd)
    print(answer.decode() + (" fd" if fds else "") if answer else "closed")
' "$1"
}

@test "datagrams for a port that is steered come to the XSK, others to the kernel" {
    peer_start "$NS_A" v0
    [ "$answer" = "ready 0 0" ]
    ask add 5555
    [ "$answer" = ok ]
    kernel_receives "$NS_A" 5556 3
    send_from_b 5555 20
    send_from_b 5556 3
    ask receive 20 5000
    [ "$answer" = "got 20" ]
    wait $KERNEL_PID
    [ "$(cat counted.5556)" = 3 ]
    # No longer steered: the kernel's again.
    ask del 5555
    [ "$answer" = ok ]
    kernel_receives "$NS_A" 5555 2
    send_from_b 5555 2
    wait $KERNEL_PID
    [ "$(cat counted.5555)" = 2 ]
    ask receive 1 20
    [ "$answer" = "got 0" ]
}

@test "a port of one address is steered for that address only" {
    ip -n "$NS_A" address add 10.78.0.9/24 dev v0
    peer_start "$NS_A" v0
    ask add 10.78.0.9 5555
    [ "$answer" = ok ]
    kernel_receives "$NS_A" 5555 2
    send_from_b 5555 2
    send_from_b 5555 4 10.78.0.9
    wait $KERNEL_PID
    [ "$(cat counted.5555)" = 2 ]
    ask receive 4 5000
    [ "$answer" = "got 4" ]
}

@test "addresses that come and go are followed" {
    peer_start "$NS_A" v0
    ask add 5555
    ip -n "$NS_A" address add 10.78.0.50/24 dev v0
    knows() { in_a bpftool map dump name addresses | grep -q "$1"; }
    eventually knows 838880778 # 10.78.0.50
    send_from_b 5555 3 10.78.0.50
    ask receive 3 5000
    [ "$answer" = "got 3" ]
    ip -n "$NS_A" address del 10.78.0.50/24 dev v0
    eventually not knows 838880778
}

@test "fragments go to the kernel" {
    peer_start "$NS_A" v0
    ask add 5555
    kernel_receives "$NS_A" 5555 1
    in_b /usr/bin/python3 -c '
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * 5000, ("10.78.0.1", 5555))'
    wait $KERNEL_PID
    [ "$(cat counted.5555)" = 1 ]
    ask receive 1 20
    [ "$answer" = "got 0" ]
}

@test "packets are transmitted, also those put into the ring after the last kick" {
    peer_start "$NS_A" v0
    send_from_b 5555 # the neighbours get to know each other
    kernel_receives "$NS_B" 6666 300
    ask send 10.78.0.2 6666 hello 100 1
    [ "$answer" = sent ]
    ask send 10.78.0.2 6666 hello 200 0
    [ "$answer" = sent ]
    ask drained 5000
    [ "$answer" = drained ]
    wait $KERNEL_PID
    echo "$(cat counted.6666) came"
    [ "$(cat counted.6666)" = 300 ]
    # A quiet monitor takes no CPU.
    sleep_ticks() { awk '{print $14 + $15}' /proc/"$1"/stat; }
    local pid before
    pid=$(pgrep -P "$PEER_PID" -x xsk_peer)
    before=$(sleep_ticks "$pid")
    sleep 1
    [ $(($(sleep_ticks "$pid") - before)) -le 1 ]
}

@test "routes, neighbours and interfaces are told" {
    ip -n "$NS_A" route add 10.99.0.0/16 via 10.78.0.2 mtu 1400
    ip -n "$NS_A" route add unreachable 10.98.0.0/16
    ip -n "$NS_A" neighbour replace 10.78.0.2 lladdr 02:00:00:00:00:07 dev v0 nud permanent
    peer_start "$NS_A" v0
    local index
    index=$(in_a cat /sys/class/net/v0/ifindex)
    ask route 10.78.0.2
    [ "$answer" = "route 1 $index 1500 10.78.0.2 020000000007 1 10.78.0.1" ]
    ask route 10.99.1.1
    [ "$answer" = "route 1 $index 1400 10.78.0.2 020000000007 1 10.78.0.1" ]
    ask route 10.78.0.3
    [ "$answer" = "route 1 $index 1500 10.78.0.3 000000000000 0 10.78.0.1" ]
    ask route 10.78.0.1
    [[ "$answer" = "route 2 "* ]]
    ask route 10.78.0.255
    [[ "$answer" = "route 3 "* ]]
    ask route 10.98.1.1
    [[ "$answer" = "route 0 "* ]]
    ask route 11.0.0.1
    [[ "$answer" = "route 0 "* ]]
    ask interfaces
    [[ "$answer" = "interface $index "*" 1500 1 1 10.78.0.1/24" ]]
}

# The rakis-xdpd that a client in the namespace started: it is nobody's child.
daemon_within() {
    local pid
    for pid in $(ip netns pids "$1"); do
        [ "$(cat "/proc/$pid/comm")" != rakis-xdpd ] || echo "$pid"
    done
}

@test "the daemon that was started ends with its client, and the program is detached" {
    peer_start "$NS_A" v0
    has_program "$NS_A" v0
    local daemon
    daemon=$(daemon_within "$NS_A")
    peer_end
    not has_program "$NS_A" v0
    eventually test ! -e "/proc/$daemon"
}

@test "a client that is killed takes its daemon and the program with it" {
    peer_start "$NS_A" v0
    has_program "$NS_A" v0
    kill -9 "$(pgrep -P "$PEER_PID" -x xsk_peer)"
    eventually not has_program "$NS_A" v0
}

@test "a daemon that is killed leaves no program behind; the client is told and lives on" {
    peer_start "$NS_A" v0
    ask add 5555
    local daemon
    daemon=$(daemon_within "$NS_A")
    kill -9 "$daemon"
    eventually not has_program "$NS_A" v0
    kernel_receives "$NS_A" 5555 1
    send_from_b 5555 1
    wait $KERNEL_PID
    [ "$(cat counted.5555)" = 1 ]
    ask add 5557
    [ "$answer" = "error 32" ]
    ask add 5558
    [ "$answer" = "error 32" ]
    [ "$(grep -c 'is gone: UDP goes over host sockets' peer.err)" = 1 ]
    ask send 10.78.0.2 6666 hello 3 1 # the XSK itself still transmits
    [ "$answer" = sent ]
    peer_end
}

@test "a client that goes is forgotten: its ports and its queue are free for the next" {
    daemon_start -i v0
    peer_start "$NS_A" v0
    [ "$answer" = "ready 0 0" ]
    ask add 5555
    ask add 5555
    ask del 5555
    [ "$(in_a bpftool -j map dump name ports | grep -c key)" = 1 ]
    kill -9 "$(pgrep -P "$PEER_PID" -x xsk_peer)"
    empty() { [ "$(in_a bpftool -j map dump name ports)" = "[]" ]; }
    eventually empty
    peer_end
    rm commands answers
    peer_start "$NS_A" v0
    [ "$answer" = "ready 0 0" ]
    peer_end
    has_program "$NS_A" v0 # a daemon that was there stays
    stop "$DAEMON_PID"
    not has_program "$NS_A" v0
}

@test "a second daemon on the interface says what is wrong" {
    daemon_start -i v0
    run in_a "$XDPD" -i v0
    [ "$status" = 1 ]
    [[ "$output" = *"cannot attach to v0: it has an XDP program already"* ]]
    has_program "$NS_A" v0
    stop "$DAEMON_PID"
}

@test "both modes, and what it says about them" {
    daemon_start -i v0 --xdp-mode skb
    grep -q 'attached to v0 in skb mode' daemon.err
    peer_start "$NS_A" v0
    ask add 5555
    send_from_b 5555 5
    ask receive 5 5000
    [ "$answer" = "got 5" ]
    peer_end
    stop "$DAEMON_PID"
    : >daemon.err
    daemon_start -i v0 --xdp-mode native
    grep -q 'attached to v0 in native mode' daemon.err
    stop "$DAEMON_PID"
    run in_a "$XDPD" -i lo --xdp-mode native
    [ "$status" = 1 ]
    [[ "$output" = *"try --xdp-mode skb"* ]]
    run in_a "$XDPD" -i v9
    [ "$status" = 1 ]
    [[ "$output" = *"no interface 'v9'"* ]]
}

@test "it ends when its interface goes" {
    daemon_start -i v0
    ip -n "$NS_A" link del v0
    wait "$DAEMON_PID" || true
    grep -q 'interface v0 is gone' daemon.err
}

@test "the protocol" {
    daemon_start -i v0 --socket "$PWD/s"
    printf '%s\n' /version /connect, /connect,test /version /xsk,0 /xsk,1000 /xsk, /xsk,-1 \
        /bound,0 /bound,7 /port_add,0.0.0.0,5555 /port_del,0.0.0.0,5555 /port_add,1.2.3,5 \
        /port_add,1.2.3.4,65536 /port_add,1.2.3.4,0 /nonsense /fin | talk s >answers
    diff answers - <<'ANSWERS'
/nak
/nak
/host_ok
0.1
/fd_ack fd
/fd_nak,22
/fd_nak,22
/fd_nak,22
/bound_nak,107
/bound_nak,22
/port_nak,107
/port_nak,2
/port_nak,22
/port_nak,22
/port_nak,22
/nak
/fin_ack
ANSWERS
    stop "$DAEMON_PID"
    [ ! -e s ]
}

@test "garbage does not bring it down" {
    daemon_start -i v0 --socket "$PWD/s"
    in_a timeout 20 /usr/bin/python3 -c '
import os, random, socket
random.seed(7)
words = [b"/connect,x", b"/xsk,", b"/bound,", b"/port_add,", b"/port_del,", b"/fin", b"/version"]
for _ in range(300):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("s")
    s.settimeout(5)
    try:
        s.send(b"/connect,x")
        for _ in range(random.randrange(20)):
            m = random.choice(words) + os.urandom(random.randrange(80))
            if random.randrange(4) == 0:
                s.send(m[:random.randrange(1, len(m))])
            elif random.randrange(4) == 0:
                socket.send_fds(s, [m], [0, 1, 2])
            else:
                s.send(m + b"0" * random.randrange(3000))
    except (BrokenPipeError, ConnectionResetError):
        pass
    s.close()'
    # As good as before, and it has kept nothing of theirs.
    printf '/connect,x\n/version\n' | talk s >answers
    [ "$(cat answers)" = "$(printf '/host_ok\n0.1')" ]
    local files
    files=$(ls /proc/"$DAEMON_PID"/fd | wc -l)
    [ "$files" -lt 20 ]
    stop "$DAEMON_PID"
}

@test "who may connect" {
    chmod 755 .
    daemon_start -i v0 --socket "$PWD/s"
    [ "$(stat -c %a s)" = 600 ]
    stop "$DAEMON_PID"
    : >daemon.err
    daemon_start -i v0 --socket "$PWD/s" --allow-uid 4711
    as() { /usr/bin/python3 -c '
import os, socket, sys
directory = os.open(".", os.O_PATH)
os.setgid(4711); os.setuid(int(sys.argv[1]))
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
try:
    s.connect(f"/proc/self/fd/{directory}/s")
    for m in sys.argv[2:]:
        s.send(m.encode())
        answer = s.recv(100).decode()
        print(answer or "closed")
        if not answer: break
except OSError:
    print("refused")' "$@"; }
    [ "$(as 4711 /connect,x /version)" = "$(printf '/host_ok\n0.1')" ]
    [[ "$(as 4712 /connect,x)" =~ closed|refused ]]
    # A port that is not for everybody.
    [ "$(as 4711 /connect,x /port_add,0.0.0.0,53 | tail -1)" = /port_nak,13 ]
    stop "$DAEMON_PID"
}

@test "a user without privilege gets its XSK from a daemon that allows it" {
    daemon_start -i v0 --allow-uid 4711
    local there
    there=$(mktemp -d)
    chmod 755 "$there"
    cp "$PEER" "$there"
    user() { ip netns exec "$NS_A" setpriv --reuid "$1" --regid "$1" --clear-groups "$there/xsk_peer" v0; }
    run user 4711 < <(printf 'add 5555\nadd 53\nquit\n')
    [ "$output" = "$(printf 'ready 0 0\nok\nerror 13')" ]
    run user 4712 </dev/null
    rm -r "$there"
    [[ "$output" = *"UDP goes over host sockets: the rakis-xdpd of v0 does not allow this user"* ]]
}

@test "rakis says why UDP goes over host sockets, and what is wrong with an interface" {
    run in_a "$PEER" v9
    [[ "$output" = *"rakis: no interface 'v9'"* ]]
    ip -n "$NS_A" link set v0 down
    run in_a "$PEER" v0
    [[ "$output" = *"rakis: interface 'v0' is down: bring it up (ip link set v0 up)"* ]]
    ip -n "$NS_A" link set v0 up
    run in_a capsh --drop=cap_net_admin,cap_bpf,cap_sys_admin,cap_net_raw -- -c "$PEER v0"
    [[ "$output" = *"rakis: UDP goes over host sockets: "*"no privilege for XDP"* ]]
    [ "$(grep -c rakis <<<"$output")" = 1 ]
    run in_a bash -c "ulimit -l 64; capsh --drop=cap_ipc_lock -- -c '$PEER v0'"
    [[ "$output" = *"RLIMIT_MEMLOCK"* ]]
}

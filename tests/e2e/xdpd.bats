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
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[3] else socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[2])):
    s.sendto(b"hello", (sys.argv[3], int(sys.argv[1])))' "$1" "${2:-1}" "${3:-10.78.0.1}"
}

# A socket of the kernel that counts: kernel_receives NS PORT COUNT, result in counted.$PORT
kernel_receives() {
    ip netns exec "$1" timeout 20 /usr/bin/python3 -c '
import socket, sys
port, wanted = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) # of both families
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 22) # SO_RCVBUFFORCE: room for all, however slow we are
s.bind(("::", port))
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

# The rakis-xdpd that a client in the namespace started: it is nobody's child.
daemon_within() {
    local pid
    for pid in $(ip netns pids "$1"); do
        [ "$(cat "/proc/$pid/comm")" != rakis-xdpd ] || echo "$pid"
    done
}

# What a daemon's map holds, as JSON: map_dump PID NAME. Others on this machine have maps of that name too.
map_dump() {
    local id
    for id in $(sed -n 's/^map_id:[[:space:]]*//p' "/proc/$1"/fdinfo/*); do
        [ "$(bpftool -j map show id "$id" | jq -r .name)" != "$2" ] || bpftool -j map dump id "$id"
    done
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
    knows() { map_dump "$(daemon_within "$NS_A")" addresses | grep -q "$1"; }
    eventually knows '"0xff","0xff","0x0a","0x4e","0x00","0x32"' # 10.78.0.50
    send_from_b 5555 3 10.78.0.50
    ask receive 3 5000
    [ "$answer" = "got 3" ]
    ip -n "$NS_A" address del 10.78.0.50/24 dev v0
    eventually not knows '"0xff","0xff","0x0a","0x4e","0x00","0x32"'
    ask add :: 5555
    ip -n "$NS_A" address add fd78::50/64 dev v0 nodad
    eventually knows '"0xfd","0x78",\("0x00",\)*"0x50"'
    send_from_b 5555 3 fd78::50
    ask receive 3 5000
    [ "$answer" = "got 3" ]
    ip -n "$NS_A" address del fd78::50/64 dev v0
    eventually not knows '"0xfd","0x78",\("0x00",\)*"0x50"'
}

@test "an IPv6 address is no target before it is known to be nobody else's" {
    peer_start "$NS_A" v0
    in_a sysctl -q net.ipv6.conf.v0.accept_dad=1 net.ipv6.conf.v0.dad_transmits=1
    ip -n "$NS_B" address add fd78::60/64 dev v1 nodad
    ip -n "$NS_A" address add fd78::60/64 dev v0 # another's
    ip -n "$NS_A" address add fd78::61/64 dev v0 # nobody's
    knows() { map_dump "$(daemon_within "$NS_A")" addresses | grep -q "$1"; }
    eventually knows '"0xfd","0x78",\("0x00",\)*"0x61"'
    not knows '"0xfd","0x78",\("0x00",\)*"0x60"'
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

@test "IPv6 is steered by address and port, apart from IPv4" {
    peer_start "$NS_A" v0
    kernel_receives "$NS_A" 5555 4
    ask add :: 5555
    [ "$answer" = ok ]
    send_from_b 5555 2
    send_from_b 5555 5 fd78::1
    ask receive 5 5000
    [ "$answer" = "got 5" ]
    ask del :: 5555
    ask add fd78::1 5555
    send_from_b 5555 3 fd78::1
    ask receive 3 5000
    [ "$answer" = "got 3" ]
    ask del fd78::1 5555
    ask add fd78::9 5555
    send_from_b 5555 2 fd78::1
    wait $KERNEL_PID
    [ "$(cat counted.5555)" = 4 ]
    ask receive 1 20
    [ "$answer" = "got 0" ]
}

# Sends frames from v1: frames_from_b HEX...
frames_from_b() {
    in_b /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("v1", 0))
for frame in sys.argv[1:]:
    s.send(bytes.fromhex(frame))' "$@"
}

mac_of() { ip -n "$1" -j link show "$2" | jq -r '.[0].address' | tr -d :; }

@test "what is not plainly a datagram for this station goes to the kernel" {
    peer_start "$NS_A" v0
    ask add 5555
    ask add :: 5555
    local to udp four six
    to=$(mac_of "$NS_A" v0)020000000001
    udp=115c15b3000a00006869 # 4444 to 5555, 10 bytes, no checksum
    four=4500001e0000000040110000
    four=${four}0a4e00020a4e0001
    six=6000000000%s%s40fd780000000000000000000000000002fd780000000000000000000000000001
    # Untagged, for us: to the XSK. The rest is the kernel's: for another station, to all stations, tagged,
    # with an extension header, a fragment, with options, to a multicast address.
    # shellcheck disable=SC2059
    frames_from_b "${to}0800$four$udp" "${to}86dd$(printf "$six" 0a 11)$udp"
    ask receive 2 5000
    [ "$answer" = "got 2" ]
    # shellcheck disable=SC2059
    frames_from_b "0200000000990200000000010800$four$udp" "ffffffffffff0200000000010800$four$udp" \
        "${to}810000070800$four$udp" "${to}8100000786dd$(printf "$six" 0a 11)$udp" \
        "${to}88a800070800$four$udp" \
        "${to}86dd$(printf "$six" 12 3c)1100010400000000$udp" \
        "${to}86dd$(printf "$six" 12 2c)1100000000000001$udp" \
        "${to}08004600002200000000401100000a4e00020a4e000101010101$udp" \
        "01005e0000fb0200000000010800${four%0a4e0001}e00000fb$udp"
    ask receive 1 100
    [ "$answer" = "got 0" ]
}

@test "a tagged datagram reaches the kernel socket on the VLAN" {
    ip -n "$NS_A" link add link v0 name v0.7 type vlan id 7 || skip "this kernel has no VLANs"
    ip -n "$NS_B" link add link v1 name v1.7 type vlan id 7
    ip -n "$NS_A" address add 10.79.0.1/24 dev v0.7
    ip -n "$NS_B" address add 10.79.0.2/24 dev v1.7
    ip -n "$NS_A" link set v0.7 up
    ip -n "$NS_B" link set v1.7 up
    peer_start "$NS_A" v0
    ask add 5555
    kernel_receives "$NS_A" 5555 3
    send_from_b 5555 3 10.79.0.1
    wait $KERNEL_PID
    [ "$(cat counted.5555)" = 3 ]
    ask receive 1 20
    [ "$answer" = "got 0" ]
}

@test "each client gets its own ports, by its own queue" {
    ip -n "$NS_A" link del v0
    veth_add 2
    daemon_start -i v0
    mkfifo commands2 answers2
    in_a timeout 60 "$PEER" v0 1 <commands2 >answers2 2>peer2.err 3>&- &
    local other=$!
    exec 9>commands2 6<answers2
    read -r -t 10 answer <&6
    [ "$answer" = "ready 0 0" ]
    peer_start "$NS_A" v0
    [ "$answer" = "ready 0 0" ]
    ask add 5555
    kernel_receives "$NS_A" 5555 100 # of which what comes by the other's queue
    in_b /usr/bin/python3 -c '
import socket
for _ in range(100):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.78.0.1", 5555))'
    ask receive 100 500
    local mine=${answer#got }
    echo "receive 1 20" >&9
    read -r -t 10 answer <&6
    [ "$answer" = "got 0" ]
    echo "add 5555" >&9 # which both want now
    read -r -t 10 answer <&6
    [ "$answer" = ok ]
    send_from_b 5555 $((100 - mine))
    local more_mine
    ask receive 100 500
    more_mine=${answer#got }
    echo "receive 100 200" >&9
    read -r -t 10 answer <&6
    echo "$mine by its own queue, then $more_mine and $answer"
    [ "$mine" -gt 0 ] && [ "$mine" -lt 100 ]
    [ $((more_mine + ${answer#got })) = $((100 - mine)) ]
    echo quit >&9
    wait $other
    exec 9>&- 6<&-
    # The kernel got what came by the wrong queue, and the rest after both clients are gone.
    echo quit >&7 # others hold this end of the pipe too
    peer_end
    send_from_b 5555 "$mine"
    wait $KERNEL_PID
    echo "$(cat counted.5555) by the kernel"
    [ "$(cat counted.5555)" = 100 ]
    stop "$DAEMON_PID"
}

@test "a new MAC address of the interface is followed" {
    peer_start "$NS_A" v0
    ask add 5555
    ip -n "$NS_A" link set v0 address 02:00:00:00:00:77
    send_from_b 5555 3
    ask receive 3 5000
    [ "$answer" = "got 3" ]
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
    [[ "$answer" = "interface $index "*" 1500 1 1 10.78.0.1/24 fd78::1/64 fe80::"*"/64" ]]
    ip -n "$NS_A" route add fd99::/64 via fd78::2 mtu 1400
    ip -n "$NS_A" route add unreachable fd98::/64
    ip -n "$NS_A" neighbour replace fd78::2 lladdr 02:00:00:00:00:08 dev v0 nud permanent
    ask route fd78::2
    [ "$answer" = "route 1 $index 1500 fd78::2 020000000008 1 fd78::1" ]
    ask route fd99::5
    [ "$answer" = "route 1 $index 1400 fd78::2 020000000008 1 fd78::1" ]
    ask route fd78::3
    [ "$answer" = "route 1 $index 1500 fd78::3 000000000000 0 fd78::1" ]
    ask route fd78::1
    [[ "$answer" = "route 2 "* ]]
    ask route fd98::1
    [[ "$answer" = "route 0 "* ]]
    ask route fd00::1
    [[ "$answer" = "route 0 "* ]]
    ask route ff02::fb
    [[ "$answer" = "route 4 "* ]]
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
    ask add 5557 # kept for another daemon that may come
    [ "$answer" = ok ]
    ask del 5557
    [ "$answer" = ok ]
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
    [ "$(map_dump "$(daemon_within "$NS_A")" ports | jq length)" = 1 ]
    kill -9 "$(pgrep -P "$PEER_PID" -x xsk_peer)"
    empty() { [ "$(map_dump "$(daemon_within "$NS_A")" ports)" = "[]" ]; }
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
        /port_add,1.2.3.4,65536 /port_add,1.2.3.4,0 /port_add,::,5555 /port_del,fe80::1,5555 \
        /port_add,fe80:::1,5 /nonsense /ports /xsk_map_fd /xsk_map_fd,v9 /xsk_map_fd,v0 '/xsk_map_fd, v0' \
        /port_add,0.0.0.0,5555 /bound,0,x /fin | talk s >answers
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
/port_nak,107
/port_nak,2
/port_nak,22
/nak
/ports_ok
/nak
/fd_nak
/fd_ack fd
/fd_ack fd
/port_ok
/bound_nak,22
/fin_ack
ANSWERS
    stop "$DAEMON_PID"
    [ ! -e s ]
}

@test "garbage does not bring it down" {
    XDPD=$BUILD/tests/rakis-xdpd-sanitized
    export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 # leaks are looked for by what it may not do
    daemon_start -i v0 --socket "$PWD/s"
    in_a timeout 60 /usr/bin/python3 -c '
import os, random, socket
random.seed(7)
words = [b"/connect,x", b"/xsk,", b"/bound,", b"/port_add,", b"/port_del,", b"/fin", b"/version", b"/ports", b"/xsk_map_fd,",
         b"/xsk,0", b"/xsk,255", b"/bound,0,2048", b"/bound,255,4294967295", b"/port_add,0.0.0.0,5555", b"/port_add,::,65535",
         b"/port_del,0.0.0.0,5555", b"/xsk_map_fd,v0"]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 5555))
others = []
for _ in range(300):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("s")
    s.settimeout(5)
    try:
        if random.randrange(10):
            s.send(b"/connect,x")
        for _ in range(random.randrange(40)):
            m = random.choice(words)
            kind = random.randrange(6)
            if kind == 0:
                m = m[:random.randrange(1, len(m))]
            elif kind == 1:
                m += os.urandom(random.randrange(80))
            elif kind == 2:
                m = bytearray(m)
                m[random.randrange(len(m))] = random.randrange(256)
            elif kind == 3:
                m += b"0" * random.randrange(3000)
            fds = random.choice([[], [], [0], [udp.fileno()], [s.fileno()], [0, 1, 2], [udp.fileno()] * 50])
            socket.send_fds(s, [m], fds) if fds else s.send(m)
    except (BrokenPipeError, ConnectionResetError):
        pass
    if random.randrange(8) == 0 and len(others) < 40:
        others.append(s)
    else:
        s.close()'
    # As good as before, and it has kept nothing of theirs.
    printf '/connect,x\n/version\n' | talk s >answers
    cat daemon.err
    [ "$(cat answers)" = "$(printf '/host_ok\n0.1')" ]
    few() { [ "$(ls "/proc/$DAEMON_PID/fd" | wc -l)" -lt 22 ]; }
    eventually few
    [ "$(map_dump "$DAEMON_PID" ports)" = "[]" ]
    [ "$(wc -l <daemon.err)" = 1 ]
    stop "$DAEMON_PID"
}

# The kernel limits how many descriptors of a user may be on their way in messages that nobody has received.
@test "a descriptor that the kernel does not carry now is said, and one that it carries soon is waited for" {
    ip netns exec "$NS_A" bash -c "ulimit -n 64; exec '$XDPD' -i v0 --socket '$PWD/s'" 2>daemon.err 3>&- &
    DAEMON_PID=$!
    eventually grep -q . daemon.err
    in_a timeout 20 /usr/bin/python3 -c '
import os, socket, threading, time
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("s")
def ask(question):
    s.send(question)
    answer, fds, _, _ = socket.recv_fds(s, 100, 4)
    for fd in fds: os.close(fd)
    return answer.decode(), len(fds)
def take():
    for _ in range(4):
        for fd in socket.recv_fds(right, 100, 100)[1]: os.close(fd)
assert ask(b"/connect,x") == ("/host_ok", 0)
for i in range(4):
    socket.send_fds(left, [b"x"], [0] * 50)
print(ask(b"/xsk,0"), ask(b"/xsk_map_fd,v0")[0], ask(b"/version"), flush=True)
threading.Timer(0.05, take).start()
print(ask(b"/xsk,0"), ask(b"/xsk_map_fd,v0"))' >answers
    cat answers
    [ "$(head -1 answers)" = "('/fd_nak,109', 0) /fd_nak ('0.1', 0)" ]
    [ "$(tail -1 answers)" = "('/fd_ack', 1) ('/fd_ack', 1)" ]
    stop "$DAEMON_PID"
}

# status_of PID FIELD
status_of() { awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status"; }

@test "it keeps what it needs and nothing else" {
    # It starts with no more than this.
    ip netns exec "$NS_A" setpriv --bounding-set -all,+net_admin,+bpf,+net_raw "$XDPD" -i v0 2>daemon.err 3>&- &
    DAEMON_PID=$!
    eventually grep -q . daemon.err
    cat daemon.err
    grep -q 'attached to v0' daemon.err
    filtered() { [ "$(status_of "$DAEMON_PID" Seccomp)" = 2 ]; }
    eventually filtered
    [ "$(status_of "$DAEMON_PID" CapEff)" = 0000008000002000 ] # CAP_BPF and CAP_NET_RAW
    [ "$(status_of "$DAEMON_PID" CapPrm)" = 0000008000002000 ]
    [ "$(status_of "$DAEMON_PID" NoNewPrivs)" = 1 ]
    local maker
    maker=$(pgrep -P "$DAEMON_PID")
    [ "$(status_of "$maker" CapEff)" = 0000008000001000 ] # CAP_BPF and CAP_NET_ADMIN
    [ "$(ls "/proc/$maker/fd" | wc -l)" = 4 ]             # the standard ones and its socket
    # All works without the rest.
    peer_start "$NS_A" v0
    [ "$answer" = "ready 0 0" ]
    ask add 5555
    [ "$answer" = ok ]
    send_from_b 5555 5
    ask receive 5 5000
    [ "$answer" = "got 5" ]
    ip -n "$NS_A" address add 10.78.0.50/24 dev v0
    knows() { map_dump "$DAEMON_PID" addresses | grep -q "$1"; }
    eventually knows '"0xff","0xff","0x0a","0x4e","0x00","0x32"'
    ip -n "$NS_A" link set v0 address 02:00:00:00:00:77
    in_b ip neighbour flush dev v1
    send_from_b 5555 3
    ask receive 3 5000
    [ "$answer" = "got 3" ]
    kill -9 "$DAEMON_PID"
    eventually test ! -e "/proc/$maker"
}

@test "who starts it is told when it is ready" {
    in_a /usr/bin/python3 - "$XDPD" <<'PYTHON'
import os, socket, subprocess, sys
for path in ("notify", "\0rakis-test-%d" % os.getpid()):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.settimeout(10)
    s.bind(path)
    name = os.path.abspath(path) if path[0] != "\0" else "@" + path[1:]
    d = subprocess.Popen([sys.argv[1], "-i", "v0", "--socket", "s"],
                         env={**os.environ, "NOTIFY_SOCKET": name})
    assert s.recv(100) == b"READY=1"
    c = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    c.connect("s")
    d.terminate()
    assert d.wait() == 0
PYTHON
}

@test "what is installed, and a unit that systemd understands" {
    DESTDIR=$PWD/there meson install -C "$BUILD" --no-rebuild >/dev/null
    local unit daemon
    unit=$(find there -name 'rakis-xdpd@.service')
    daemon=$(find there -name rakis-xdpd -type f)
    [ -x "$daemon" ]
    grep -q "^ExecStart=${daemon#there} -i %I" "$unit"
    ! command -v scdoc || [ -n "$(find there -name rakis-xdpd.8)" ]
    command -v systemd-analyze || skip "no systemd here"
    sed "s#^ExecStart=[^ ]*#ExecStart=$PWD/$daemon#" "$unit" >rakis-xdpd@v0.service
    run systemd-analyze verify --man=no ./rakis-xdpd@v0.service
    echo "$output"
    [ "$status" = 0 ] && [ -z "$output" ]
}

# As DPDK does with the device plugin: the map by the handshake, an XSK of one's own, entered by oneself.
@test "a client of the device plugin's handshake enters its own XSK, and can reach nobody else's" {
    daemon_start -i v0 --socket "$PWD/s"
    cat >client.py <<'PYTHON'
import ctypes, mmap, os, select, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

class Client:
    def __init__(self):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.connect("s")
        assert self.ask("/connect,dpdk") == ("/host_ok", [])
        assert self.ask("/version") == ("0.1", [])
        answer, fds = self.ask("/xsk_map_fd,v0")
        assert answer == "/fd_ack" and len(fds) == 1, answer
        self.map = fds[0]
    def ask(self, question):
        self.s.send(question.encode())
        answer, fds, _, _ = socket.recv_fds(self.s, 100, 4)
        return answer.decode(), fds
    def enter(self, queue, xsk):
        key, value = ctypes.c_uint32(queue), ctypes.c_uint32(xsk)
        attr = ctypes.create_string_buffer(struct.pack("IIQQQ", self.map, 0, ctypes.addressof(key),
                                                       ctypes.addressof(value), 0))
        check(libc.syscall(321, 2, attr, ctypes.sizeof(attr)))

SOL_XDP, RX_RING, TX_RING, UMEM_REG, FILL, COMPLETION = 283, 2, 3, 4, 5, 6
def xsk_make(index):
    x = socket.socket(44, socket.SOCK_RAW)
    memory = mmap.mmap(-1, 64 * 2048)
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    x.setsockopt(SOL_XDP, UMEM_REG, struct.pack("QQIII", place, len(memory), 2048, 0, 0))
    for ring in (FILL, COMPLETION, RX_RING):
        x.setsockopt(SOL_XDP, ring, 64)
    fill = mmap.mmap(x.fileno(), 4096, offset=0x100000000)
    receive = mmap.mmap(x.fileno(), 4096, offset=0)
    offsets = struct.unpack("16Q", x.getsockopt(SOL_XDP, 1, 128))
    fr, rx = offsets[8:12], offsets[0:4]
    for i in range(32):
        struct.pack_into("Q", fill, fr[2] + 8 * i, i * 2048)
    struct.pack_into("I", fill, fr[0], 32)
    address = ctypes.create_string_buffer(struct.pack("HHIII", 44, 0, index, 0, 0))
    check(libc.bind(x.fileno(), address, 16))
    return x, memory, fill, lambda: struct.unpack_from("I", receive, rx[0])[0]

def send(count):
    print("send", flush=True)
    sys.stdin.readline()

index = socket.if_nametoindex("v0")
first, second = Client(), Client()
xsk = xsk_make(index)
received = xsk[3]
first.enter(0, xsk[0].fileno())
# The other's port: nothing in its own map, and no way to it by the first one's.
assert second.ask("/port_add,0.0.0.0,5555")[0] == "/port_ok"
send(5)
assert received() == 0, received()
assert first.ask("/port_add,0.0.0.0,5555")[0] == "/port_ok"
send(5)
for i in range(100):
    if received() == 5: break
    time.sleep(0.02)
assert received() == 5, received()
# Gone, but it kept its map. Who comes next is not in it.
assert first.ask("/fin")[0] == "/fin_ack"
third = Client()
assert third.ask("/port_add,0.0.0.0,5556")[0] == "/port_ok"
assert third.ask("/port_add,0.0.0.0,5555")[0] == "/port_ok"
first.enter(0, xsk[0].fileno())
send(5)
assert received() == 5, received()
PYTHON
    mkfifo go
    in_a timeout 60 /usr/bin/python3 client.py <go >says 2>client.err 3>&- &
    local client=$! count
    exec 7>go
    for count in 1 2 3; do
        said() { [ "$(grep -c send says)" = "$count" ]; }
        eventually said || { cat client.err; false; }
        send_from_b 5555 5
        sleep 0.2
        echo >&7
    done
    exec 7>&-
    wait $client || { cat client.err; false; }
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
    run user 4711 < <(printf 'own 53\nadd 53\nadd 5555\nown 5555\nadd 5555\nadd 5556\nadd :: 5555\nquit\n')
    [ "$output" = "$(printf '%s\n' 'ready 0 0' 'error 13' 'error 13' 'error 13' ok ok 'error 13' 'error 13')" ]
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

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# UDP over AF_XDP between two namespaces: the distribution's iperf3 and small python programs.

load common

setup() {
    need_root
    cd "$BATS_TEST_TMPDIR"
    netns_up
}

teardown() {
    netns_down
    [ -z "$NS_C" ] || ip netns del "$NS_C"
}

server() { in_a timeout 60 "$RAKIS" run --log error --iface v0 --stats stats.json "$@"; }
client() { in_b timeout 60 "$RAKIS" run --log error --iface v1 --stats stats.json "$@"; }

@test "iperf3 server in the enclave receives over the XSK with few exits" {
    server -- iperf3 -s -1 -J >server.json 3>&- &
    local pid=$!
    wait_listen "$NS_A" 5201
    in_b timeout 30 iperf3 -c 10.78.0.1 -u -b 200M -l 1460 -t 2 -J >client.json
    wait $pid
    [ "$(field server.json end.sum.packets)" -gt 10000 ]
    [ "$(field stats.json xsk.0.packets_in)" -gt 10000 ]
    # Hardly anything went by the host socket.
    [ "$(field server.json end.sum.lost_packets)" -lt 1000 ]
}

@test "iperf3 client in the enclave sends by few exits" {
    in_a timeout 30 iperf3 -s -1 -J >server.json 3>&- &
    local pid=$!
    wait_listen "$NS_A" 5201
    client -- iperf3 -c 10.78.0.1 -u -b 0 -l 1460 -t 2 -J >client.json
    wait $pid
    [ "$(field server.json end.sum.packets)" -gt 10000 ]
    local exits
    exits=$(field stats.json exits.total)
    [ $((exits * 10)) -lt "$(field client.json end.sum.packets)" ]
}

# One size to one place: gathered, segmented by the kernel. Contents, order and boundaries stay. stream_arrives SIZE LAST:
# messages of fifty datagrams of that size and one of the other.
stream_arrives() {
    cat >count.py <<'PYTHON'
import socket, sys
size, last = map(int, sys.argv[1:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
s.bind(("0.0.0.0", 7777))
s.settimeout(10)
print("ready", flush=True)
for message in range(100):
    for part in range(51):
        n = size if part < 50 else last
        data, peer = s.recvfrom(65535)
        want = b"%d.%d." % (message, part)
        assert data == want + b"x" * (n - len(want)), (message, part, data[:20], len(data))
s.sendto(b"good", peer)
PYTHON
    cat >stream.py <<'PYTHON'
import socket, sys
size, last = map(int, sys.argv[1:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
for message in range(100):
    for part in range(51):
        n = size if part < 50 else last
        start = b"%d.%d." % (message, part)
        s.sendto(start + b"x" * (n - len(start)), ("10.78.0.1", 7777))
assert s.recv(100) == b"good"
PYTHON
    in_a timeout 60 /usr/bin/python3 count.py "$@" >ready 3>&- &
    local pid=$!
    wait_for "grep -q ready ready"
    client -- /usr/bin/python3 stream.py "$@"
    wait $pid
    [ "$(field stats.json exits.by_name.segments_send)" -gt 10 ]
}

# Does the kernel of the client's namespace segment datagrams of that size? segments SIZE: its answer.
segments() {
    in_b /usr/bin/python3 -c '
import errno, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(17, 103, int(sys.argv[1])) # UDP_SEGMENT
try:
    s.sendto(bytes(int(sys.argv[1]) * 3), ("10.78.0.1", 7779))
    print("yes")
except OSError as e:
    print(errno.errorcode[e.errno])' "$1"
}

@test "a stream of datagrams arrives whole and in order" {
    [ "$(segments 501)" = yes ]
    stream_arrives 501 33
}

@test "a stream that the kernel does not segment arrives so, too: larger than the MTU, or by a device without checksums" {
    [ "$(segments 2000)" != yes ] # the error depends on the kernel
    stream_arrives 2000 1700
    checksums_by_sender "$NS_B" v1 # older kernels do not segment there, newer ones sum themselves
    stream_arrives 501 33
    stream_arrives 2000 1700
}

@test "a stream to a closed port is refused as natively" {
    cat >refused.py <<'PYTHON'
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("10.78.0.1", 7778))
try:
    for i in range(2000):
        s.send(b"y" * 700)
        if i % 50 == 0:
            time.sleep(0.001)
    raise SystemExit("nobody refused it")
except ConnectionRefusedError:
    pass
PYTHON
    client -- /usr/bin/python3 refused.py
}

@test "iperf3 reverse: the server in the enclave sends" {
    server -- iperf3 -s -1 -J >server.json 3>&- &
    local pid=$!
    wait_listen "$NS_A" 5201
    in_b timeout 30 iperf3 -c 10.78.0.1 -u -R -b 100M -l 512 -t 2 -J >client.json
    wait $pid
    [ "$(field client.json end.sum.packets)" -gt 10000 ]
}

@test "iperf3 TCP both ways" {
    server -- iperf3 -s -J >server.json 3>&- &
    local pid=$!
    wait_listen "$NS_A" 5201
    in_b timeout 30 iperf3 -c 10.78.0.1 -t 1 -J >forward.json
    in_b timeout 30 iperf3 -c 10.78.0.1 -t 1 -R -J >reverse.json
    stop $pid
    /usr/bin/python3 - <<'PYTHON'
import json
for name in ("forward", "reverse"):
    end = json.load(open(name + ".json"))["end"]
    assert end["sum_received"]["bytes"] > 10_000_000, (name, end)
PYTHON
}

# An echo and its client, of the address given.
echo_programs() {
    cat >echo.py <<'PYTHON'
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((host, port))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(65535)
    if data == b"end":
        break
    s.sendto(data, peer)
PYTHON
    cat >ask.py <<'PYTHON'
import os, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((host, port))
sizes = list(range(0, 1473, 7)) + [1452, 1453, 1472, 1473, 2000, 9000, 65507]
for n in sizes:
    data = os.urandom(n)
    s.send(data)
    assert s.recv(65535) == data, n
s.send(b"end")
print("all", len(sizes))
PYTHON
}

# Until the file says so: wait_ready FILE
wait_ready() {
    local i
    for i in $(seq 250); do grep -q ready "$1" && return; sleep 0.02; done
    return 1
}

# Every size once each way, contents compared: the peer is a native echo. both_ways BIND CONNECT
both_ways() {
    echo_programs
    # The enclave answers.
    server -- /usr/bin/python3 echo.py "$1" 7777 >ready 3>&- &
    local pid=$!
    wait_ready ready
    run in_b timeout 30 /usr/bin/python3 ask.py "$2" 7777
    echo "$output"
    [ "$status" = 0 ]
    wait $pid
    [ "$(field stats.json xsk.0.packets_in)" -gt 200 ]
    [ "$(field stats.json xsk.0.packets_out)" -gt 200 ]
    # The enclave asks.
    in_a timeout 30 /usr/bin/python3 echo.py "$1" 7777 >ready2 3>&- &
    pid=$!
    wait_ready ready2
    run client -- /usr/bin/python3 ask.py "$2" 7777
    echo "$output"
    [ "$status" = 0 ]
    wait $pid
    [ "$(field stats.json xsk.0.packets_in)" -gt 200 ]
    [ "$(field stats.json xsk.0.packets_out)" -gt 200 ]
}

@test "datagrams of all sizes, contents compared, both ways" {
    both_ways 0.0.0.0 10.78.0.1
}

@test "IPv6 datagrams of all sizes, contents compared, both ways" {
    both_ways :: fd78::1
}

# The interface leaves no checksum to whoever receives: ethtool -K IFACE tx off
checksums_by_sender() {
    ip netns exec "$1" /usr/bin/python3 -c '
import array, fcntl, socket, struct, sys
value = array.array("B", struct.pack("II", 0x17, 0)) # ETHTOOL_STXCSUM
request = struct.pack("16sP", sys.argv[1].encode(), value.buffer_info()[0])
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, request)' "$2"
}

@test "IPv6 without the kernel filling in checksums" {
    checksums_by_sender "$NS_A" v0
    checksums_by_sender "$NS_B" v1
    both_ways :: fd78::1
}

@test "a dual-stack socket of the enclave serves both families" {
    both_ways :: 10.78.0.1
    both_ways fd78::1 fd78::1
    both_ways ::ffff:10.78.0.1 10.78.0.1
}

@test "IPV6_V6ONLY leaves IPv4 to another socket of the same port" {
    server -- /usr/bin/python3 -c '
import socket
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
six.bind(("::", 7790))
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
four.bind(("0.0.0.0", 7790))
print("ready", flush=True)
for s, name in ((six, "six"), (four, "four")):
    s.settimeout(5)
    for _ in range(2):
        data, peer = s.recvfrom(100)
        print(name, data.decode(), peer[0], flush=True)' >out 3>&- &
    local pid=$!
    wait_ready out
    in_b /usr/bin/python3 -c '
import socket
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for i in range(2):
    four.sendto(b"by four", ("10.78.0.1", 7790))
    six.sendto(b"by six", ("fd78::1", 7790))'
    wait $pid
    cat out
    [ "$(grep -c "six by six fd78::2" out)" = 2 ]
    [ "$(grep -c "four by four 10.78.0.2" out)" = 2 ]
    [ "$(field stats.json xsk.0.packets_in)" -ge 4 ]
}

@test "link-local addresses with their scopes, both ways" {
    local a b
    a=$(ip -n "$NS_A" -6 -o address show dev v0 scope link | awk '{print $4}' | cut -d/ -f1)
    b=$(ip -n "$NS_B" -6 -o address show dev v1 scope link | awk '{print $4}' | cut -d/ -f1)
    cat >local.py <<'PYTHON'
import socket, sys
own, peer, interface = sys.argv[1], sys.argv[2], sys.argv[3]
index = socket.if_nametoindex(interface)
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind((own, 7791, 0, index))
s.settimeout(5)
print("ready", flush=True)
if sys.argv[4] == "answers":
    for _ in range(20):
        data, (host, port, flow, scope) = s.recvfrom(100)
        assert host.split("%")[0] == peer and scope == index, (host, scope)
        s.sendto(data, (host, port, flow, scope))
else:
    for i in range(20):
        s.sendto(b"%d" % i, (peer, 7791, 0, index))
        data, (host, port, flow, scope) = s.recvfrom(100)
        assert data == b"%d" % i and scope == index
print("done", flush=True)
PYTHON
    server -- /usr/bin/python3 local.py "$a" "$b" v0 answers >out 3>&- &
    local pid=$!
    wait_ready out
    in_b timeout 20 /usr/bin/python3 local.py "$b" "$a" v1 asks
    wait $pid
    grep -q done out
    [ "$(field stats.json xsk.0.packets_in)" -ge 18 ]
    [ "$(field stats.json xsk.0.packets_out)" -ge 15 ]
}

# The destination MACs of UDP frames that come to v1 in the next half second.
macs_seen() {
    in_b timeout 10 /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
s.bind(("v1", 0))
s.settimeout(0.1)
seen, end = set(), time.monotonic() + 0.5
while time.monotonic() < end:
    try:
        frame = s.recv(2000)
    except TimeoutError:
        continue
    if frame[12:14] == b"\x08\x00" and frame[23] == 17 or frame[12:14] == b"\x86\xdd" and frame[20] == 17:
        seen.add(frame[:6].hex(":"))
print(*sorted(seen))'
}

# heeds_changes PREFIX DESTINATION GATEWAY1 GATEWAY2
heeds_changes() {
    ip -n "$NS_A" neigh replace "$3" lladdr 02:00:00:00:00:11 dev v0 nud permanent
    ip -n "$NS_A" neigh replace "$4" lladdr 02:00:00:00:00:22 dev v0 nud permanent
    ip -n "$NS_A" route add "$1" via "$3"
    server -- /usr/bin/python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7792))
print("ready", flush=True)
last = None
while True:
    try:
        s.sendto(b"x", (sys.argv[1], 9))
        said = "sent"
    except OSError as e:
        said = e.strerror
    if said != last:
        print(said, flush=True)
    if last == "Network is unreachable" and said == "sent":
        break
    last = said
    time.sleep(0.01)' "$2" >out 3>&- &
    local pid=$!
    wait_ready out
    sleep 0.2
    [ "$(macs_seen)" = 02:00:00:00:00:11 ]
    ip -n "$NS_A" neigh replace "$3" lladdr 02:00:00:00:00:33 dev v0 nud permanent
    sleep 1
    [ "$(macs_seen)" = 02:00:00:00:00:33 ]
    ip -n "$NS_A" route replace "$1" via "$4"
    sleep 1
    [ "$(macs_seen)" = 02:00:00:00:00:22 ]
    ip -n "$NS_A" route del "$1"
    sleep 1
    [ "$(macs_seen)" = "" ]
    ip -n "$NS_A" route add "$1" via "$3"
    wait $pid
    cat out
    [ "$(tail -n 1 out)" = sent ]
    [ "$(field stats.json xsk.0.packets_out)" -gt 100 ]
}

@test "changes of routes and neighbours take effect within a second" {
    heeds_changes 10.99.0.0/24 10.99.0.1 10.78.0.2 10.78.0.3
    heeds_changes fd99::/64 fd99::1 fd78::2 fd78::3
}

# A third namespace behind $NS_B, by a link of an MTU of 1300.
beyond_up() {
    NS_C=rakis-test-$$-c
    ip netns add "$NS_C"
    ip -n "$NS_B" link add w0 type veth peer name w1 netns "$NS_C"
    ip -n "$NS_B" link set w0 mtu 1300 up
    ip -n "$NS_C" link set w1 mtu 1300 up
    ip -n "$NS_C" link set lo up
    in_b sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    ip -n "$NS_B" address add 10.79.0.1/24 dev w0
    ip -n "$NS_C" address add 10.79.0.2/24 dev w1
    ip -n "$NS_B" address add fd79::1/64 dev w0 nodad
    ip -n "$NS_C" address add fd79::2/64 dev w1 nodad
    ip -n "$NS_C" route add default via 10.79.0.1
    ip -n "$NS_C" -6 route add default via fd79::1
    ip -n "$NS_A" route add 10.79.0.0/24 via 10.78.0.2
    ip -n "$NS_A" -6 route add fd79::/64 via fd78::2
}

# As natively: the first is lost on its way, then the path's MTU is known.
path_mtu() {
    cat >path.py <<'PYTHON'
import errno, select, socket, struct, sys
host = sys.argv[1]
six = ":" in host
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
level, discover, receive_errors, mtu = (41, 23, 25, 24) if six else (0, 10, 11, 14)
s.setsockopt(level, discover, 2) # DO
s.setsockopt(level, receive_errors, 1)
s.connect((host, 7000))
s.settimeout(5)
def call(name, f):
    try:
        print(name, f(), flush=True)
    except OSError as e:
        print(name, errno.errorcode[e.errno], flush=True)
for i in range(20): # the neighbours know each other, the ring is in use
    s.send(b"small")
    s.recv(100)
print("mtu", s.getsockopt(level, mtu))
call("big", lambda: s.send(b"x" * 1400))
p = select.poll()
p.register(s, 0)
print("poll", p.poll(3000) != [])
data, control, flags, to = s.recvmsg(2000, 1000, 0x2000)
e = struct.unpack("IBBBBII", control[0][2][:16])
print("queue", len(data) > 0, errno.errorcode[e[0]], e[1:4], e[5], to)
print("mtu", s.getsockopt(level, mtu))
call("error", lambda: s.send(b"y"))
call("echo", lambda: len(s.recv(2000)))
call("big again", lambda: s.send(b"x" * 1400))
call("its receive", lambda: s.recvmsg(10, 1000, 0x2000)[1][0][2][:16].hex())
fits = 1300 - (48 if six else 28)
call("what fits", lambda: s.send(b"z" * fits))
call("echo", lambda: len(s.recv(2000)))
call("a byte more", lambda: s.send(b"z" * (fits + 1)))
s.setsockopt(level, discover, 0)
call("fragments", lambda: s.send(b"z" * 3000))
call("echo", lambda: len(s.recv(4000)))
PYTHON
    in_a timeout 30 /usr/bin/python3 path.py "$1" >native
    cat native
    grep -q EMSGSIZE native
    ip -n "$NS_A" route flush cache 2>/dev/null || true
    ip -n "$NS_A" -6 route flush cache 2>/dev/null || true
    server -- /usr/bin/python3 path.py "$1" >enclave
    diff native enclave
    [ "$(field stats.json xsk.0.packets_out)" -gt 5 ]
}

@test "the path's MTU is found as natively, in both families" {
    beyond_up
    ip netns exec "$NS_C" timeout 60 /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7000))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(65535)
    s.sendto(data, peer)' >ready 3>&- &
    local pid=$!
    wait_ready ready
    path_mtu 10.79.0.2
    path_mtu fd79::2
    stop $pid
}

@test "iperf3 over IPv6, server and client, by few exits" {
    server -- iperf3 -s -1 -J >server.json 3>&- &
    local pid=$!
    wait_listen "$NS_A" 5201
    in_b timeout 30 iperf3 -6 -c fd78::1 -u -b 100M -l 1428 -t 1 -J >client.json
    wait $pid
    [ "$(field stats.json xsk.0.packets_in)" -gt 5000 ]
    in_a timeout 30 iperf3 -s -1 -J >server.json 3>&- &
    pid=$!
    wait_listen "$NS_A" 5201
    client -- iperf3 -6 -c fd78::1 -u -b 0 -l 1428 -t 1 -J >client.json
    wait $pid
    [ "$(field server.json end.sum.packets)" -gt 5000 ]
    [ $(($(field stats.json exits.total) * 4)) -lt "$(field client.json end.sum.packets)" ]
}

@test "epoll and poll mix UDP over the XSK with pipes and TCP" {
    cat >mixed.py <<'PYTHON'
import os, select, socket, sys
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("0.0.0.0", 7778))
t = socket.create_server(("0.0.0.0", 7779))
r, w = os.pipe()
p = select.epoll()
for f in (u.fileno(), t.fileno(), r):
    p.register(f, select.EPOLLIN)
seen = []
print("ready", flush=True)
while len(seen) < 5:
    for fd, event in p.poll(5):
        if fd == u.fileno():
            data, peer = u.recvfrom(100)
            seen.append(data)
            if data == b"two":
                os.write(w, b"p")
        elif fd == t.fileno():
            c, _ = t.accept()
            seen.append(c.recv(10))
        else:
            seen.append(os.read(r, 1))
q = select.poll()
q.register(u, select.POLLIN)
assert q.poll(10) == []
u.setblocking(False)
try:
    u.recv(1)
    sys.exit("should be EAGAIN")
except BlockingIOError:
    pass
print(seen, flush=True)
PYTHON
    server -- /usr/bin/python3 mixed.py >out 3>&- &
    local pid=$!
    for i in $(seq 200); do grep -q ready out && break; sleep 0.02; done
    in_b /usr/bin/python3 -c '
import socket, time
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for m in (b"one", b"two", b"three"):
    u.sendto(m, ("10.78.0.1", 7778))
    time.sleep(0.1)
c = socket.create_connection(("10.78.0.1", 7779))
c.sendall(b"tcp")
time.sleep(0.5)'
    wait $pid
    cat out
    grep -q "b'one', b'two', b'p', b'three', b'tcp'" out
}

@test "loopback and other interfaces reach the same socket" {
    run server -- /usr/bin/python3 -c '
import socket
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(("0.0.0.0", 7780))
a.settimeout(5)
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
b.sendto(b"over loopback", ("127.0.0.1", 7780))
print(a.recvfrom(100)[0])
b.sendto(b"to our own address", ("10.78.0.1", 7780))
print(a.recvfrom(100)[0])'
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" =~ "over loopback" ]]
    [[ "$output" =~ "own address" ]]
}

@test "ports that the enclave has not bound stay the kernel's" {
    server -- /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7781))
print("ready", flush=True)
s.settimeout(10)
s.recv(10)' >ready 3>&- &
    local pid=$!
    for i in $(seq 200); do grep -q ready ready && break; sleep 0.02; done
    # A native socket of the same namespace on another port.
    in_a timeout 10 /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7782))
open("bound", "w").close()
s.settimeout(5)
print(s.recv(10))' >native 3>&- &
    local other=$!
    for i in $(seq 200); do [ -e bound ] && break; sleep 0.02; done
    in_b busybox ping -c 1 -W 2 10.78.0.1
    in_b /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"native", ("10.78.0.1", 7782))
s.sendto(b"end", ("10.78.0.1", 7781))'
    wait $other
    wait $pid
    grep -q native native
}

@test "an idle enclave takes no CPU" {
    server -- /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7783))
print("ready", flush=True)
s.recv(10)' >ready 3>&- &
    local pid=$! ticks
    for i in $(seq 200); do grep -q ready ready && break; sleep 0.02; done
    ticks=$(ticks_of "$(rakis_of $pid)")
    echo "ticks $ticks"
    in_b /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.78.0.1", 7783))'
    wait $pid
    [ "$ticks" -le 2 ]
}

@test "many threads receive on one socket without losing or doubling a datagram" {
    cat >many.py <<'PYTHON'
import socket, threading
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.bind(("0.0.0.0", 7784))
print("ready", flush=True)
seen, lock = [], threading.Lock()
def receive():
    while True:
        data = s.recv(100)
        if data == b"end":
            return
        with lock:
            seen.append(int(data))
threads = [threading.Thread(target=receive) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(len(seen), len(set(seen)), flush=True)
PYTHON
    server -- /usr/bin/python3 many.py >out 3>&- &
    local pid=$!
    for i in $(seq 200); do grep -q ready out && break; sleep 0.02; done
    in_b /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(5000):
    s.sendto(b"%d" % i, ("10.78.0.1", 7784))
    if i % 50 == 0: time.sleep(0.002)
for i in range(4):
    time.sleep(0.1)
    s.sendto(b"end", ("10.78.0.1", 7784))'
    wait $pid
    cat out
    grep -q "5000 5000" out
}

@test "a socket over fork: the child receives and answers, the parent has its XSK again after it" {
    cat >server.py <<'END'
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.78.0.1", 7000))
print("ready", flush=True)
def serve(name):
    data = b""
    while data != b"end of " + name:
        data, peer = s.recvfrom(2000)
        s.sendto(name + data, peer)
serve(b"alone ")
pid = os.fork()
if pid == 0:
    serve(b"child ")
    s.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
serve(b"again ")
END
    cat >client.py <<'END'
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
def ask(what, name):
    answer = None
    for attempt in range(20):
        if answer is None:
            s.sendto(what, ("10.78.0.1", 7000))
        try:
            answer = s.recv(2000)
        except TimeoutError:
            answer = None
            continue
        if answer == name + what:
            return # others answer what was asked once too often
    raise Exception((name, what, answer))
for name in (b"alone ", b"child ", b"again "):
    for i in range(50):
        ask(b"%d" % i, name)
    if name != b"again ":
        ask(b"end of " + name, name)
s.sendto(b"end of again ", ("10.78.0.1", 7000))
print("all")
END
    server -- /usr/bin/python3 server.py >out 3>&- &
    local pid=$! i
    for i in $(seq 100); do grep -q ready out && break; sleep 0.05; done
    [ "$(in_b timeout 30 /usr/bin/python3 client.py)" = all ]
    wait $pid
    [ "$(field stats.json xsk.0.packets_in)" -ge 90 ]
    [ "$(field stats.json xsk.0.packets_in)" -le 110 ]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# UDP over AF_XDP between two namespaces: the distribution's iperf3 and small python programs.

load common

setup() {
    need_root
    cd "$BATS_TEST_TMPDIR"
    netns_up
}

teardown() { netns_down; }

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

@test "iperf3 client in the enclave sends over the XSK" {
    in_a timeout 30 iperf3 -s -1 -J >server.json 3>&- &
    local pid=$!
    wait_listen "$NS_A" 5201
    client -- iperf3 -c 10.78.0.1 -u -b 0 -l 1460 -t 2 -J >client.json
    wait $pid
    [ "$(field stats.json xsk.0.packets_out)" -gt 10000 ]
    [ "$(field server.json end.sum.packets)" -gt 10000 ]
    local exits
    exits=$(field stats.json exits.total)
    [ $((exits * 10)) -lt "$(field stats.json xsk.0.packets_out)" ]
}

@test "iperf3 reverse: the server in the enclave sends" {
    server -- iperf3 -s -1 -J >server.json 3>&- &
    local pid=$!
    wait_listen "$NS_A" 5201
    in_b timeout 30 iperf3 -c 10.78.0.1 -u -R -b 100M -l 512 -t 2 -J >client.json
    wait $pid
    [ "$(field client.json end.sum.packets)" -gt 10000 ]
    [ "$(field stats.json xsk.0.packets_out)" -gt 10000 ]
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

# Every size once each way, contents compared: the peer is a native echo.
@test "datagrams of all sizes, contents compared, both ways" {
    cat >echo.py <<'PYTHON'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7777))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(65535)
    if data == b"end":
        break
    s.sendto(data, peer)
PYTHON
    cat >ask.py <<'PYTHON'
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(("10.78.0.1", 7777))
sizes = list(range(0, 1473, 7)) + [1472, 1473, 2000, 9000, 65507]
for n in sizes:
    data = os.urandom(n)
    s.send(data)
    assert s.recv(65535) == data, n
s.send(b"end")
print("all", len(sizes))
PYTHON
    # The enclave answers.
    server -- /usr/bin/python3 echo.py >ready 3>&- &
    local pid=$!
    for i in $(seq 200); do grep -q ready ready && break; sleep 0.02; done
    run in_b timeout 30 /usr/bin/python3 ask.py
    echo "$output"
    [ "$status" = 0 ]
    wait $pid
    [ "$(field stats.json xsk.0.packets_in)" -gt 200 ]
    # The enclave asks.
    in_a timeout 30 /usr/bin/python3 echo.py >ready2 3>&- &
    pid=$!
    for i in $(seq 200); do grep -q ready ready2 && break; sleep 0.02; done
    run client -- /usr/bin/python3 ask.py
    echo "$output"
    [ "$status" = 0 ]
    wait $pid
    [ "$(field stats.json xsk.0.packets_out)" -gt 200 ]
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
    local pid=$! child
    for i in $(seq 200); do grep -q ready ready && break; sleep 0.02; done
    child=$(pgrep -P $pid | head -n 1)
    child=${child:-$pid}
    local before after
    before=$(awk '{print $14 + $15}' "/proc/$child/stat")
    sleep 2
    after=$(awk '{print $14 + $15}' "/proc/$child/stat")
    echo "ticks $before $after"
    in_b /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.78.0.1", 7783))'
    wait $pid
    [ $((after - before)) -le 2 ]
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
def serve(count, name):
    for _ in range(count):
        data, peer = s.recvfrom(2000)
        s.sendto(name + data, peer)
serve(50, b"alone ")
pid = os.fork()
if pid == 0:
    serve(50, b"child ")
    os._exit(0)
os.waitpid(pid, 0)
serve(50, b"again ")
END
    cat >client.py <<'END'
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
for name in (b"alone ", b"child ", b"again "):
    for i in range(50):
        for attempt in range(20):
            s.sendto(b"%d" % i, ("10.78.0.1", 7000))
            try:
                answer = s.recv(2000)
                break
            except TimeoutError:
                pass
        assert answer == name + b"%d" % i, (name, i, answer)
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

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# UDP over interfaces with several queues, several interfaces, and many threads: each datagram arrives once.

load common

setup() {
    need_root
    cd "$BATS_TEST_TMPDIR"
    netns_up
    ip -n "$NS_A" link del v0
    veth_add 4
    THREADS=$BUILD/tests/udp_threads
}

teardown() { netns_down; }

enclave() { timeout -s KILL 60 "$RAKIS" run --log warning --stats stats.json "$@"; }

# Sum of a number over all queues, or over all sockets: total LIST KEY
total() {
    /usr/bin/python3 -c '
import functools, json, sys
print(sum(functools.reduce(lambda v, k: v[k], sys.argv[2].split("."), e) for e in json.load(open("stats.json"))[sys.argv[1]]))' "$@"
}

# How many queues have more than so many: queues KEY MORE
queues() {
    /usr/bin/python3 -c '
import json, sys
print(sum(x[sys.argv[1]] > int(sys.argv[2]) for x in json.load(open("stats.json"))["xsk"]))' "$@"
}

# receive_all MODE THREADS COUNT [OPTION...]: sixteen senders, so that all queues get something
receive_all() {
    local mode=$1 threads=$2 count=$3 pid
    shift 3
    in_a timeout -s KILL 60 "$RAKIS" run --log warning --stats stats.json --iface v0 "$@" -- \
        "$THREADS" "$mode" 7000 "$threads" "$count" >out 3>&- &
    pid=$!
    wait_for "grep -q ready out"
    in_b timeout 60 "$THREADS" send 10.78.0.1 7000 16 "$count"
    wait $pid
    cat out
    /usr/bin/python3 -c '
import json
for x in json.load(open("stats.json"))["xsk"]:
    print(x["queue"], x["packets_in"], x["wakeups"], x["kernel"], {k: v for k, v in x["drops"].items() if v})'
    ip -n "$NS_B" -s link show v1
    grep -q "got $count doubled 0 " out
    [ "$(total xsk packets_in)" -ge "$count" ]
}

@test "each thread has a socket, the four queues are theirs, none is lost or doubled" {
    receive_all spread 4 40000
    [ "$(queues packets_in 1000)" -ge 3 ]
    # Nobody is woken for what another's queue has received.
    [ "$(field stats.json exits.by_name | /usr/bin/python3 -c 'print(eval(input()).get("interrupt", 0))')" -lt 2000 ]
}

@test "each thread waits by an epoll set of its own" {
    receive_all wait 4 40000
    [ "$(queues packets_in 1000)" -ge 3 ]
}

@test "more threads than queues, and fewer" {
    receive_all spread 7 20000
    receive_all wait 2 20000
}

@test "many threads receive by one socket from all queues" {
    receive_all one 6 40000
    [ "$(queues packets_in 1000)" -ge 3 ]
}

@test "network threads receive for all others, which sleep for nothing else" {
    receive_all spread 4 30000 --net-threads 2
    receive_all wait 4 30000 --net-threads 4
    receive_all one 4 30000 --net-threads 1
    [ "$(field stats.json exits.by_name.xsk_wait)" -gt 10 ]
}

@test "network threads take no CPU when nothing comes, and the program does not see them" {
    cat >idle.py <<'PYTHON'
import os, signal, socket
assert os.listdir("/proc/self/task") == [str(os.getpid())], os.listdir("/proc/self/task")
caught = []
signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7003))
print("ready", flush=True)
assert s.recv(10) == b"x"
print("caught", len(caught), flush=True)
PYTHON
    in_a timeout 60 "$RAKIS" run --log error --iface v0 --net-threads 4 -- /usr/bin/python3 idle.py >out 3>&- &
    local pid=$! child ticks i
    wait_for "grep -q ready out"
    child=$(rakis_of $pid)
    ticks=$(ticks_of "$child")
    echo "ticks $ticks"
    for i in 1 2 3; do
        kill -USR1 "$child"
        sleep 0.1
    done
    in_b /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.78.0.1", 7003))'
    wait $pid
    cat out
    grep -q "caught 3" out
    [ "$ticks" -le 2 ]
}

@test "a process with network threads forks, executes and ends" {
    cat >forks.py <<'PYTHON'
import os, socket, subprocess, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.78.0.1", 7004))
print("ready", flush=True)
for i in range(5):
    data, peer = s.recvfrom(100)
    if os.fork() == 0:
        s.sendto(b"child " + data, peer)
        os._exit(0)
    os.wait()
    assert subprocess.run(["/bin/echo", "made"], stdout=subprocess.PIPE).stdout == b"made\n"
s.close()
os.execv("/usr/bin/python3", ["python3", "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.78.0.1", 7005))
print("again", flush=True)
data, peer = s.recvfrom(100)
s.sendto(b"new " + data, peer)
"""])
PYTHON
    in_a timeout -s KILL 60 "$RAKIS" run --log error --iface v0 --net-threads 2 -- /usr/bin/python3 forks.py >out 3>&- &
    local pid=$!
    wait_for "grep -q ready out"
    in_b timeout 50 /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
def ask(port, what, wanted):
    for attempt in range(30):
        s.sendto(what, ("10.78.0.1", port))
        try:
            if s.recv(100) == wanted:
                return
        except (TimeoutError, ConnectionRefusedError):
            time.sleep(0.1)
    raise Exception(what)
for i in range(5):
    ask(7004, b"%d" % i, b"child %d" % i)
ask(7005, b"x", b"new x")'
    wait $pid
    grep -q again out
}

@test "threads send by rings of their own" {
    in_a timeout -s KILL 60 "$THREADS" one 7000 1 40000 >out 3>&- &
    local pid=$!
    wait_for "grep -q ready out"
    in_b timeout -s KILL 60 "$RAKIS" run --log warning --stats stats.json --iface v1 -- \
        "$THREADS" send 10.78.0.1 7000 4 40000
    wait $pid
    cat out
    grep -q "got 40000 doubled 0 " out
    [ "$(total xsk packets_out)" -gt 1000 ]
    [ "$(queues packets_out 100)" -ge 3 ]
}

@test "two interfaces at once, each answers by its own" {
    ip -n "$NS_A" link add w0 type veth peer name w1 netns "$NS_B"
    ip -n "$NS_A" address add 10.79.0.1/24 dev w0
    ip -n "$NS_B" address add 10.79.0.2/24 dev w1
    ip -n "$NS_A" link set w0 up
    ip -n "$NS_B" link set w1 up
    cat >echo.py <<'PYTHON'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7001))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(data, peer)
    if data == b"end":
        break
PYTHON
    in_a timeout -s KILL 60 "$RAKIS" run --log warning --stats stats.json --iface v0 --iface w0 -- \
        /usr/bin/python3 echo.py >out 3>&- &
    local pid=$!
    wait_for "grep -q ready out"
    in_b timeout 30 /usr/bin/python3 -c '
import socket
for host in ("10.78.0.1", "10.79.0.1", "10.78.0.1", "10.79.0.1"):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((host, 7001))
    for i in range(50):
        s.send(b"%d" % i)
        assert s.recv(100) == b"%d" % i
s.send(b"end")
assert s.recv(100) == b"end"'
    wait $pid
    /usr/bin/python3 - <<'PYTHON'
import json
xsks = json.load(open("stats.json"))["xsk"]
for interface, queues in (("v0", 4), ("w0", 1)):
    mine = [x for x in xsks if x["interface"] == interface]
    assert len(mine) == queues, xsks
    assert sum(x["packets_in"] for x in mine) >= 100, xsks
    assert sum(x["packets_out"] for x in mine) >= 20, xsks
PYTHON
}

# Who does not receive loses what its buffer has no room for, natively and here. Where it went is told.
@test "what is lost is counted with its cause" {
    cat >slow.py <<'PYTHON'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7002))
s.settimeout(1)
print("ready", flush=True)
sys.stdin.readline()
got = 0
while True:
    try:
        s.recv(2000)
        got += 1
    except TimeoutError:
        break
print(got, flush=True)
PYTHON
    mkfifo go
    in_a timeout -s KILL 60 "$RAKIS" run --log warning --stats stats.json --iface v0 -- \
        /usr/bin/python3 slow.py <go >out 3>&- &
    local pid=$!
    exec 9>go
    wait_for "grep -q ready out"
    in_b /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20000):
    s.sendto(b"x" * 100, ("10.78.0.1", 7002))'
    echo >&9
    exec 9>&-
    wait $pid
    cat out
    /usr/bin/python3 - <<'PYTHON'
import json
s = json.load(open("stats.json"))
got = int(open("out").read().split()[-1])
ring = sum(x["packets_in"] for x in s["xsk"])
before = sum(sum(x["kernel"].values()) for x in s["xsk"])
after = sum(sum(x["drops"].values()) for x in s["xsk"])
host = sum(k["host_in"] for k in s["sockets"])
print(got, ring, before, after, host)
assert ring + before + host == 20000, (ring, before, host)
assert got == ring + host - after, (got, ring, after)
assert got > 200 and before + after > 1000
PYTHON
}

@test "sockets come and go while others receive, poll and send on them" {
    in_a timeout -s KILL 60 "$RAKIS" run --log error --iface v0 -- "$THREADS" churn 7000 6 5 >out 3>&- &
    local pid=$! senders
    wait_for "grep -q ready out"
    in_b timeout 5 "$THREADS" send 10.78.0.1 7000 2 1000000 || true
    wait $pid
    cat out
    grep -q "alive after many rounds" out
}

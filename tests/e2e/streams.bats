#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# TCP over io_uring: what a program sees is what it sees natively, and it costs few exits.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

compare() {
    timeout 60 "$BUILD/tests/streams" 7411 >native
    timeout 90 "$@" "$BUILD/tests/streams" 7412 >enclave
    diff native enclave
}

@test "an epoll server and its clients, over io_uring" {
    compare "$RAKIS" run --log error --stats stats.json --
    [ "$(field stats.json exits.by_name.io_uring_enter)" -gt 1000 ]
    [ "$(field stats.json host_violations)" -eq 0 ]
}

@test "an epoll server and its clients, by exits" {
    compare "$RAKIS" run --log error --io exits --
}

@test "where a seccomp filter forbids io_uring it says so, and all works" {
    compare "$BUILD/tests/forbid" "$RAKIS" run --log error -- 2>errors
    grep -q "io_uring is forbidden by a seccomp filter" errors
    [ "$(grep -c io_uring errors)" -eq 1 ]
}

@test "redis over io_uring: less than one exit a request, and the data is there" {
    timeout 60 "$RAKIS" run --log error --stats stats.json -- redis-server --port 7413 --save '' >/dev/null 3>&- &
    local pid=$! i
    for i in $(seq 100); do redis-cli -p 7413 ping >/dev/null 2>&1 && break; sleep 0.05; done
    redis-benchmark -p 7413 -t set,get,lpush,lrange -n 5000 -r 100 -c 20 -d 100 -q >/dev/null
    for i in $(seq 200); do echo "set key:$i value:$((i * 7))"; done | redis-cli -p 7413 >/dev/null
    for i in $(seq 200); do echo "get key:$i"; done | redis-cli -p 7413 >got
    for i in $(seq 200); do echo "value:$((i * 7))"; done | diff - got
    stop $pid
    [ "$(field stats.json exits.by_name.io_uring_enter)" -lt 20000 ]
    [ "$(field stats.json host_violations)" -eq 0 ]
}

@test "a socket that files are sent to stays with the host after a few times" {
    command -v nginx >/dev/null || skip "needs nginx"
    mkdir -p www logs
    seq 3000 >www/a.txt
    sed 's/listen .*/listen 127.0.0.1:7416;/' "$BATS_TEST_DIRNAME/../catalogue/scripts/nginx.conf" >nginx.conf
    timeout 60 "$RAKIS" run --log error --stats stats.json -- nginx -p "$PWD" -c nginx.conf >/dev/null 3>&- &
    local pid=$!
    wait_for "curl -s -o /dev/null http://127.0.0.1:7416/"
    curl -s 'http://127.0.0.1:7416/a.txt?[1-400]' -o 'got#1'
    [ "$(cat got* | cksum)" = "$(for i in $(seq 400); do cat www/a.txt; done | cksum)" ]
    stop $pid
    # It would be taken over, and have to leave, for every few of them.
    [ "$(field stats.json exits.by_name.sendfile)" -ge 400 ]
    [ "$(field stats.json exits.by_name.io_uring_enter)" -lt 100 ]
    [ "$(field stats.json host_violations)" -eq 0 ]
}

# exits_of WAY COUNT: a server of that way answers so many requests, one at a time; its exits
exits_of() {
    timeout 60 "$RAKIS" run --log error --stats stats.json -- "$BUILD/tests/connections" "$1" 7414 >served 3>&- &
    local pid=$!
    wait_for "grep -q ready served"
    "$BUILD/tests/connections" ping 7414 "$2" >/dev/null
    "$BUILD/tests/connections" stop 7414
    wait $pid
    field stats.json exits.total
}

@test "threads that wait in recv, in recvfrom, or in poll, answer a request in one exit" {
    local way
    for way in threads names polls; do
        exits_of $way 5000 >exits
        echo "$way: $(cat exits) exits"
        [ "$(cat exits)" -lt 6000 ]
        [ "$(field stats.json host_violations)" -eq 0 ]
    done
}

@test "a thread of the kernel submits, where that is asked for" {
    timeout 60 "$RAKIS" run --log error --sqpoll --stats stats.json -- redis-server --port 7415 --save '' >/dev/null 3>&- &
    local pid=$! i
    for i in $(seq 100); do redis-cli -p 7415 ping >/dev/null 2>&1 && break; sleep 0.05; done
    redis-benchmark -p 7415 -t set,get -n 2000 -r 100 -c 20 -q >/dev/null
    grep -l '^iou-sqp' /proc/[0-9]*/task/*/comm | grep -q .
    for i in $(seq 200); do echo "set key:$i value:$((i * 7))"; done | redis-cli -p 7415 >/dev/null
    for i in $(seq 200); do echo "get key:$i"; done | redis-cli -p 7415 >got
    for i in $(seq 200); do echo "value:$((i * 7))"; done | diff - got
    stop $pid
    [ "$(field stats.json host_violations)" -eq 0 ]
}

@test "what is ready all the time does not hide what a peer sends" {
    cat >peer.py <<'PYTHON'
import socket, time
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", 7417))
server.listen()
print("ready", flush=True)
s, _ = server.accept()
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while got := s.recv(10):
    s.sendall(got)
    if got == b"now":
        time.sleep(0.05)
        s.sendall(b"later")
PYTHON
    cat >client.py <<'PYTHON'
import os, select, socket, time
s = socket.create_connection(("127.0.0.1", 7417))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
read_end, write_end = os.pipe()
for i in range(50):
    s.sendall(b"question")
    assert s.recv(10) == b"question"
p, e = select.poll(), select.epoll()
for set in p, e:
    set.register(s, select.POLLIN)
    set.register(write_end, select.POLLOUT)
ways = [lambda: s in select.select([s], [write_end], [], 0)[0],
        lambda: any(fd == s.fileno() for fd, _ in p.poll(0)),
        lambda: any(fd == s.fileno() for fd, _ in e.poll(0))]
for way in ways * 3:
    s.sendall(b"now")
    assert s.recv(10) == b"now"
    start = time.monotonic()
    while not way():
        assert time.monotonic() < start + 5, ways.index(way)
    assert s.recv(10) == b"later"
print("heard of all")
PYTHON
    timeout 60 /usr/bin/python3 peer.py >ready 3>&- &
    local pid=$!
    wait_for "grep -q ready ready"
    [ "$(rakis -- /usr/bin/python3 client.py)" = "heard of all" ]
    wait $pid
}

@test "much that arrives is read ahead: half as many exits as there are reads, and every byte is there" {
    cat >receive.py <<'END'
import hashlib, select, socket, sys, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
c = s.accept()[0]
c.setblocking(sys.argv[2] == "wait")
h, n = hashlib.sha256(), 0
while True:
    if sys.argv[2] == "select":
        select.select([s, c], [], [])
    try:
        data = c.recv(32768)
    except BlockingIOError:
        continue
    if not data:
        break
    h.update(data)
    n += len(data)
    if n // 32768 % 8 == 0:
        time.sleep(0.0005)  # slower than who sends
print(n, h.hexdigest())
END
    cat >send.py <<'END'
import hashlib, socket, sys
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
h, block = hashlib.sha256(), bytes(range(251)) * 1045
for i in range(256):
    data = i.to_bytes(4, "big") + block
    c.sendall(data)
    h.update(data)
print(256 * (4 + len(block)), h.hexdigest())
END
    local way
    for way in wait select; do
        timeout 60 "$RAKIS" run --log error --stats stats.json -- python3 receive.py 7419 $way >got 3>&- &
        local pid=$!
        wait_for "grep -q ready got"
        python3 send.py 7419 >sent
        wait $pid
        grep -qxf sent got
        # 67 MB are 2,050 reads of 32 KiB.
        [ "$(field stats.json exits.by_name.recvfrom)" -lt 1000 ]
        [ $way = wait ] || [ "$(field stats.json exits.by_name.ppoll)" -lt 1000 ]
        [ "$(field stats.json host_violations)" -eq 0 ]
    done
}

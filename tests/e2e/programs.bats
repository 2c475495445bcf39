#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The distribution's programs, and programs of ours that print what the kernel does: the same as natively.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

@test "true and false" {
    same /bin/true
    same /bin/false
}

@test "echo with arguments" {
    same echo 'a b' c ''
}

@test "signals as natively" { same "$BUILD/tests/signals"; }
@test "semaphores, message queues and shared memory as natively" {
    same "$BUILD/tests/ipc"
    IO=exits same "$BUILD/tests/ipc"
}

@test "shared memory of another process is refused, and said" {
    local id
    id=$(ipcmk -M 4096 | grep -o '[0-9]*$')
    run timeout 60 "$RAKIS" run -- "$BUILD/tests/ipc" "$id"
    ipcrm -m "$id"
    grep -q 'attach: -1 ENOSYS' <<<"$output"
    grep -q "segment $id was made by another process" <<<"$output"
}

@test "processes that meet in memory, by semaphores, mutexes and atomic words, as natively" {
    same "$BUILD/tests/meeting"
    IO=exits same "$BUILD/tests/meeting"
}

@test "masks of waits as natively" {
    same "$BUILD/tests/masks"
    IO=exits same "$BUILD/tests/masks"
}

@test "threads as natively" { same "$BUILD/tests/threads"; }

@test "mapped files that come when they are touched" { cd "$BATS_TEST_TMPDIR" && same "$BUILD/tests/mapped"; }

@test "exit status of a program killed by a signal" {
    run rakis -- /usr/bin/python3 -c 'import os; os.abort()'
    [ "$status" = 134 ]
}

@test "busybox applets" {
    seq 1000 >numbers
    mkdir -p tree/sub
    cp numbers tree/sub
    same busybox cat numbers
    same busybox sort -rn numbers
    same busybox wc numbers
    same busybox sha256sum numbers
    same busybox find tree
    same busybox grep -c 7 numbers
    same busybox sed -n 10,20p numbers
    same busybox awk '{s += $1} END {print s}' numbers
    same busybox head -n 3 numbers
    same busybox tail -n 3 numbers
    same busybox ls -l tree/sub
    same busybox stat -c %s numbers
    same busybox readlink -f tree/sub
    same busybox uname -s
    same busybox id
    same busybox dd if=numbers bs=100 count=3
}

@test "busybox changes files as natively" {
    rakis -- busybox mkdir made
    echo hello >made/file
    rakis -- busybox cp made/file made/copy
    cmp made/file made/copy
    rakis -- busybox mv made/copy made/moved
    [ "$(cat made/moved)" = hello ]
    rakis -- busybox rm -r made
    [ ! -e made ]
}

@test "python: numbers, imports, files, sockets, select, threads" {
    same /usr/bin/python3 -c 'print(sum(i * i for i in range(100000)))'
    same /usr/bin/python3 -c 'import json, re, hashlib, decimal; print(json.dumps({"a": hashlib.sha256(b"x").hexdigest()}))'
    same /usr/bin/python3 -c '
import os, tempfile
with tempfile.TemporaryDirectory() as d:
    open(d + "/f", "w").write("x" * 100000)
    print(os.listdir(d), os.path.getsize(d + "/f"), len(open(d + "/f").read()))'
    same /usr/bin/python3 -c '
import select, socket, threading
a, b = socket.socketpair()
t = threading.Thread(target=lambda: b.sendall(b"hello"))
t.start()
print(select.select([a], [], [], 5)[0] == [a], a.recv(5))
t.join()
s = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(s.getsockname())
d, peer = s.accept()
print(peer == c.getsockname())
d.sendall(b"y" * 200000)
d.close()
n = 0
while (x := c.recv(65536)): n += len(x)
print(n)'
    same /usr/bin/python3 -c 'import sys; sys.exit(7)'
    same /usr/bin/python3 -c 'import os; print(os.cpu_count(), os.path.realpath("/proc/self/exe"))'
}

@test "standard input and pipes" {
    [ "$(seq 100 | rakis -- busybox tail -n 1)" = 100 ]
    [ "$(rakis -- busybox seq 100000 | tail -n 1)" = 100000 ]
}

@test "the host's name and name servers are told, or are not" {
    same sh -c 'uname -n; cat /etc/hostname /etc/hosts /etc/resolv.conf'
    run timeout 60 "$RAKIS" run --log error --no-host-names -- sh -c '
        uname -n
        cat /etc/hostname
        cat //etc/./hosts | wc -c
        stat -c %s:%F /etc/hosts
        stat -c %s - </etc/hosts
        grep -c nameserver /etc/resolv.conf
        test -r /etc/resolv.conf && echo readable
        (echo "192.0.2.1 mine" >/etc/hosts) 2>/dev/null || echo denied
        getent hosts localhost | grep -c localhost'
    echo "$output"
    [ "$output" = "$(printf '%s\n' localhost localhost 61 '61:regular file' 61 0 readable denied 1)" ]
    same cat /etc/hosts # the host's is as it was
}

@test "SIGTERM and SIGINT end the program as natively" {
    local signal pid
    for signal in TERM INT; do
        # A shell starts background jobs with SIGINT ignored: python undoes that.
        /usr/bin/python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$RAKIS" run --log error -- sleep 30 3>&- &
        pid=$!
        sleep 1
        kill -s $signal $pid
        status=0
        wait $pid || status=$?
        [ $status = $((128 + $(kill -l $signal))) ]
    done
}

@test "a handler for SIGINT runs" {
    "$RAKIS" run --log error -- /usr/bin/python3 -c '
import signal, sys, time
def handler(*_):
    print("caught", flush=True)
    sys.exit(5)
signal.signal(signal.SIGINT, handler)
print("ready", flush=True)
time.sleep(30)' >out 3>&- &
    local pid=$!
    for i in $(seq 200); do grep -q ready out && break; sleep 0.05; done
    kill -s INT $pid
    status=0
    wait $pid || status=$?
    grep -q caught out
    [ $status = 5 ]
}

@test "nearly all system calls come from rewritten sites" {
    rakis --stats stats.json -- busybox dd if=/dev/zero of=/dev/null bs=64 count=20000
    local rewritten trapped
    rewritten=$(field stats.json syscalls.rewritten)
    trapped=$(field stats.json syscalls.trapped)
    [ "$rewritten" -ge 40000 ]
    [ $((trapped * 1000)) -le $((rewritten + trapped)) ]
}

# Resident kilobytes of a process in mappings of files of this name that nobody has written to: resident PID NAME
resident() {
    awk -v name="$2" '/^[0-9a-f]+-[0-9a-f]+ /{ here = index($0, name) > 0; mapped += here }
        here && /^(Shared|Private)_Clean:/{ sum += $2 } END { print mapped ? sum + 0 : "none" }' "/proc/$1/smaps"
}

@test "what only starting needed is not resident: code of libcrypto, symbols of the image" {
    "$RAKIS" run --log error -- /usr/bin/python3 -c 'import time; print("ready", flush=True); time.sleep(30)' >out 3>&- &
    local pid=$! crypto image
    wait_for 'grep -q ready out'
    crypto=$(resident $pid /libcrypto.)
    image=$(resident $pid /rakis-enclave)
    stop $pid
    # Three megabytes are, if they are not given back. One that is not there at all is as good.
    echo "libcrypto: $crypto kB, image: $image kB"
    [ "$crypto" = none ] || [ "$crypto" -le 128 ]
    [ "$image" = none ]
}

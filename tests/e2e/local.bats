#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pipes, event counters and socket pairs: what a program sees is what it sees natively, whether they stay in the
# enclave or become the kernel's; and as long as they stay nothing leaves it but to sleep and to wake.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

# The same natively, by exits and by rings: compare ARG...
compare() {
    local mode
    timeout 60 "$BUILD/tests/local_cases" "$@" >native
    [ -s native ]
    for mode in exits rings; do
        rakis --io $mode -- "$BUILD/tests/local_cases" "$@" >enclave
        diff native enclave
    done
}

@test "each kind, case by case" { compare cases; }

@test "readers, writers, poll, select, epoll: what they wait for, and what interrupts them" { compare waiting; }

@test "what becomes the kernel's goes on with all that was in it" { compare leaving; }

@test "any sequence of operations is told as natively" {
    local seed
    for seed in 11 12 13 14 15 16; do
        compare random $seed
    done
}

# The exits of 3000 rounds between two threads to $exits, but for those by which a thread gives way to who holds a lock
# and does not run: pingpong KIND HOW
pingpong() {
    rakis --stats stats.json -- "$BUILD/tests/local_cases" pingpong "$1" "$2" 3000
    exits=$(($(field stats.json exits.total) - $(field stats.json exits.by_name.sched_yield || echo 0)))
    echo "kind $1 by $2: $exits exits"
}

@test "threads that talk without sleeping make no exit for it" {
    local kind alone exits
    rakis --stats stats.json -- "$BUILD/tests/local_cases" pingpong 0 try 0
    alone=$(field stats.json exits.total)
    for kind in 0 1 2 3 4; do
        rakis --stats stats.json -- "$BUILD/tests/local_cases" alone "$kind" 3000
        exits=$(field stats.json exits.total)
        echo "kind $kind: $exits exits, of which $alone are for nothing"
        [ "$exits" -le $((alone + 5)) ]
    done
    for kind in 0 1 2 3 4; do
        pingpong $kind try
        [ "$exits" -le $((alone + 100)) ] # some of time alone
    done
}

@test "a thread that sleeps costs an exit, and one to wake it" {
    local kind how
    for kind in 0 1 2; do
        for how in read poll epoll; do
            pingpong $kind $how
            [ "$exits" -lt 14500 ]
        done
    done
}

@test "python: asyncio, threads, multiprocessing, and pipes between processes" {
    cat >program.py <<'END'
import asyncio, multiprocessing, os, socket, subprocess, threading

async def ticks(n):
    loop = asyncio.get_running_loop()
    total = 0
    for i in range(n):
        total += await loop.run_in_executor(None, lambda i=i: i * i)
    a, b = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=a)
    other_reader, other_writer = await asyncio.open_connection(sock=b)
    writer.write(b"x" * 300000)
    writer.write_eof()
    got = len(await other_reader.read())
    other_writer.close()
    writer.close()
    process = await asyncio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1)
    out, _ = await process.communicate(b"to and fro")
    return total, got, out

def work(c, n):
    for i in range(n):
        c.send(c.recv() * i)
    c.send({"last": n})
    c.close()

if __name__ == "__main__":
    print(asyncio.run(ticks(200)))
    r, w = os.pipe()
    t = threading.Thread(target=lambda: [os.write(w, b"%d\n" % i) for i in range(2000)] and os.close(w))
    t.start()
    with os.fdopen(r) as f:
        print(sum(int(line) for line in f))
    t.join()
    context = multiprocessing.get_context("fork")
    a, b = context.Pipe()
    a.send(7)
    p = context.Process(target=work, args=(b, 50))
    p.start()
    for i in range(49):
        a.send(a.recv() + 1)
    print(a.recv(), a.recv())
    p.join()
    print(subprocess.run("seq 1000 | sort -r | head -n 3 | tr '\n' ' '", shell=True, capture_output=True).stdout)
    a, b = socket.socketpair()
    r, w = os.pipe()
    socket.send_fds(a, [b"here"], [r])
    os.close(r)
    message, fds, _, _ = socket.recv_fds(b, 10, 1)
    os.write(w, b"through")
    print(message, os.read(fds[0], 100))
END
    same /usr/bin/python3 program.py
}

@test "bash: pipelines that outlive each other, and coprocesses" {
    cat >script <<'END'
seq 100000 | sort -n | tail -n 1
yes | head -n 1000 | wc -l
echo ${PIPESTATUS[@]}
cat <(seq 5) <(seq 3) | paste -sd+
coproc cat
echo there >&${COPROC[1]}
read back <&${COPROC[0]}
echo $back
exec {COPROC[1]}>&-
wait
END
    same /bin/bash script
}

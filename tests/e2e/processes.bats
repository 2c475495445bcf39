#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Programs that execute others, make processes, wait for them and signal them: the same as natively.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

@test "execve: another program takes over, in the same process" {
    same bash -c 'exec /bin/echo one "two three" ""'
    same bash -c 'exec /usr/bin/python3 -c "import sys; print(sys.argv)" a b'
    same bash -c 'a=1 exec /usr/bin/env -i X=1 env'
    same bash -c 'exec -a other /usr/bin/python3 -c "print(open(\"/proc/self/cmdline\").read())"'
    same bash -c 'exec /usr/bin/python3 -c "
import os
print(os.readlink(\"/proc/self/exe\"), open(\"/proc/self/comm\").read())"'
    rakis -- bash -c 'echo $$; exec bash -c "echo \$\$"' >pids
    [ "$(sed -n 1p pids)" = "$(sed -n 2p pids)" ]
}

@test "execve: scripts, with and without an argument, and of scripts" {
    printf '#!/bin/echo an argument \nnothing\n' >first
    printf '#!%s/first\n' "$PWD" >second
    printf '#! /usr/bin/env bash\necho "$0" "$@"\n' >third
    printf 'echo plain "$@"\n' >plain
    chmod +x first second third plain
    same bash -c 'exec ./first 1 2'
    same bash -c 'exec ./second 1 2'
    same bash -c 'exec ./third 1 2'
    same bash -c 'exec ./plain 1 2'
    same bash -c 'PATH=$PWD:$PATH exec third 1 2'
}

@test "a script can be the first program" {
    printf '#!/bin/bash\necho "$0" "$@"; (exit 3)\n' >script
    chmod +x script
    same ./script a 'b c'
}

@test "execve: errors come back, and the caller goes on" {
    mkdir directory
    printf '#!/no/such/interpreter\n' >orphan
    printf '#!\n' >empty
    printf '\177ELF' >short
    printf '#!%s/loop\n' "$PWD" >loop
    echo >plain
    chmod +x orphan empty short loop
    cat >try.py <<'END'
import os, sys
for path in ["/no/such", "directory", "plain", "orphan", "empty", "short", "loop", "", "/bin/true/x"]:
    try:
        os.execv(path, ["x"])
    except OSError as e:
        print(path, e)
for args in [["x" * 131072], ["x" * 100000] * 100]:
    try:
        os.execv("/bin/true", args)
    except OSError as e:
        print(e)
os.execv("/bin/echo", ["echo", "x" * 131071])
END
    same /usr/bin/python3 try.py
}

@test "execve: descriptors close on exec, others stay with their positions" {
    seq 100 >numbers
    cat >fds.py <<'END'
import os
a = os.open("numbers", os.O_RDONLY)
b = os.open("numbers", os.O_RDONLY)
os.set_inheritable(a, True)
os.read(a, 10)
os.execv("/bin/bash", ["bash", "-c", f"read line <&{a}; echo $line; [ -e /proc/self/fd/{b} ] || echo closed"])
END
    same /usr/bin/python3 fds.py
}

@test "execve: other threads end, whatever they wait for" {
    cat >threads.py <<'END'
import os, select, socket, threading, time
r, w = os.pipe()
a, b = socket.socketpair()
lock = threading.Lock()
lock.acquire()
def spin():
    while True: pass
for f in [lambda: os.read(r, 1), lambda: time.sleep(100), lambda: a.recv(1), lock.acquire,
          lambda: select.select([r], [], []), spin]:
    threading.Thread(target=f, daemon=True).start()
def other():
    time.sleep(0.2)
    os.execv("/usr/bin/python3", ["python3", "-c", """
import os, threading
print(os.getpid() == threading.get_native_id(), len(os.listdir("/proc/self/task")))
t = threading.Thread(target=print, args=("a thread",))
t.start()
t.join()
"""])
threading.Thread(target=other).start()
time.sleep(100)
END
    same /usr/bin/python3 threads.py
}

@test "execve: ignored signals and the mask stay, handlers do not" {
    cat >signals.py <<'END'
import os, signal, sys
if len(sys.argv) == 1:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.kill(os.getpid(), signal.SIGTERM)
    os.execv("/usr/bin/python3", ["python3", sys.argv[0], "again"])
print([signal.getsignal(s) for s in (signal.SIGUSR1, signal.SIGUSR2)], signal.sigpending(),
      signal.pthread_sigmask(signal.SIG_BLOCK, []))
END
    same /usr/bin/python3 signals.py
}

@test "execve: by descriptor" {
    same /usr/bin/python3 -c 'import os; os.execve(os.open("/bin/echo", os.O_RDONLY), ["echo", "by descriptor"], {})'
}

@test "bash: pipelines, subshells, substitutions, here-documents, background jobs" {
    same bash -c 'echo a | cat | tr a b; echo $?; false | true; echo ${PIPESTATUS[@]}'
    same bash -c '(cd /; pwd); pwd; (exit 3); echo $?; echo "$(echo in; (echo deeper))"'
    same bash -c 'cat <<END | sort -r
one
two $((1 + 1))
END
cat <<<"a here string"'
    same bash -c 'diff <(seq 5) <(seq 6); echo $?; tee >(wc -l >&2) <<<line >/dev/null; wait'
    same bash -c 'sleep 0.3 & a=$!; (exit 7) & b=$!; wait $b; echo $?; wait $a; echo $?; jobs'
    same bash -c 'trap "echo child gone" CHLD; /bin/true; trap - CHLD; set -m; /bin/false & wait $!; echo $?'
    same bash -c 'i=0; while read -r line; do i=$((i + line)); done < <(seq 100); echo $i'
    same bash -c 'seq 20000 | sort -n | uniq | wc -l; yes | head -n 3'
    same bash -c 'for i in 1 2 3; do for j in a b; do echo $(basename /x/$i$j); done; done | tac'
    same bash -c 'exec 5< <(echo from five); cat <&5; coproc cat; echo through >&${COPROC[1]}; read x <&${COPROC[0]}; echo $x'
}

@test "dash and busybox: their own ways of making processes" {
    same dash -c 'echo a | cat; x=$(echo b); echo $x; (exit 4); echo $?; /no/such; echo $?'
    same dash -c 'set -- $(seq 5); for i; do echo $i; done | while read x; do expr $x + 1; done'
    same dash -c 'cat <<END
here
END
(sleep 0.2; echo late) & wait; echo done'
    same busybox sh -c 'echo a | busybox tr a b; busybox seq 3 | busybox xargs -n 1 busybox echo; (exit 5); echo $?'
    same busybox sh -c 'busybox no-such-applet; echo $?; x=$(busybox date +%Y | busybox wc -l); echo $x'
    same busybox xargs -a /dev/null busybox echo none
}

@test "find -exec, xargs, env, nice, timeout, nohup" {
    mkdir tree
    touch tree/a tree/b tree/c
    same bash -c 'find tree -type f -exec basename {} \; | sort'
    same bash -c 'find tree -type f -exec echo {} + | wc -w; find tree -type f -print0 | xargs -0 -n 1 -P 3 basename | sort'
    STATUS=124 same timeout 0.3 sleep 5
    same timeout 5 bash -c 'exit 9'
    same nice -n 5 bash -c nice
    same bash -c 'seq 5 | xargs -I{} sh -c "echo {}; exit 0"; echo 1 | xargs false; echo $?'
}

@test "statuses: exits, signals, stops and continuations, as a parent sees them" {
    cat >wait.py <<'END'
import os, signal, time, resource
def child(f):
    pid = os.fork()
    if pid == 0:
        f()
        os._exit(0)
    return pid
def told(pid, options=0):
    got, status = os.waitpid(pid, options)
    return got == pid, status
print(told(child(lambda: os._exit(42))))
for s in (signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGPIPE):
    print(s, told(child(lambda: os.kill(os.getpid(), s)))[1] & 0x7f)
p = child(lambda: time.sleep(60))
print(os.waitpid(p, os.WNOHANG))
os.kill(p, signal.SIGSTOP)
print(os.WSTOPSIG(told(p, os.WUNTRACED)[1]))
os.kill(p, signal.SIGCONT)
print(os.WIFCONTINUED(told(p, os.WCONTINUED)[1]))
os.kill(p, signal.SIGTERM)
print(told(p))
p = child(lambda: os._exit(5))
i = os.waitid(os.P_PID, p, os.WEXITED | os.WNOWAIT)
print(i.si_pid == p, i.si_status, i.si_code == os.CLD_EXITED)
i = os.waitid(os.P_ALL, 0, os.WEXITED)
print(i.si_pid == p, i.si_status)
for call in (lambda: os.waitpid(-1, 0), lambda: os.waitpid(p, 0), lambda: os.waitid(os.P_ALL, 0, os.WEXITED),
             lambda: os.wait4(p, 0x40000000 | 0x1000000)):
    try: call()
    except OSError as e: print(e)
pids = {child(lambda n=n: os._exit(n)): n for n in range(10)}
print(all(pids.pop(pid) == status >> 8 for pid, status in (os.wait() for _ in range(10))), pids)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
p = child(lambda: None)
try: os.waitpid(p, 0)
except OSError as e: print(e)
r, w = os.pipe()
p = child(lambda: os.write(w, b"x"))
os.close(w)
print(os.read(r, 10), os.read(r, 10))
END
    same /usr/bin/python3 wait.py
}

@test "ids: parents, groups and sessions" {
    cat >ids.py <<'END'
import os, time
me = os.getpid()
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    print(os.getppid() == me, os.getpgrp() == os.getpgid(me), os.getsid(0) == os.getsid(me), flush=True)
    os.setpgid(0, 0)
    print(os.getpgrp() == os.getpid(), flush=True)
    if os.fork() == 0:
        print(os.getpgrp() == os.getppid(), os.getpgrp() != os.getpid(), flush=True)
        os.setsid()
        print(os.getsid(0) == os.getpid(), flush=True)
        parent = os.getppid()
        os.write(w, b"go")
        while os.getppid() == parent: time.sleep(0.01)
        print("orphan", flush=True)
        os._exit(0)
    os.read(r, 2)
    os._exit(0)
os.close(w)
os.waitpid(pid, 0)
print(os.read(r, 1))
pid = os.fork()
if pid == 0:
    time.sleep(30)
os.setpgid(pid, pid)
print(os.getpgid(pid) == pid)
os.killpg(pid, 15)
print(os.waitpid(pid, 0)[1])
END
    same /usr/bin/python3 ids.py
}

@test "descriptors of processes" {
    cat >pidfd.py <<'END'
import asyncio, os, select, signal, time
pid = os.fork()
if pid == 0: time.sleep(20)
fd = os.pidfd_open(pid)
print(select.select([fd], [], [], 0.1)[0])
signal.pidfd_send_signal(fd, signal.SIGTERM)
print(select.select([fd], [], [], 5)[0] == [fd])
i = os.waitid(os.P_PIDFD, fd, os.WEXITED)
print(i.si_pid == pid, i.si_status)
try: signal.pidfd_send_signal(fd, 0)
except OSError as e: print(e)
async def run():
    p = await asyncio.create_subprocess_exec("echo", "hi", stdout=-1)
    print(await p.communicate(), p.returncode)
asyncio.run(run())
END
    same /usr/bin/python3 pidfd.py
}

@test "the first process of a container is not the program" {
    need_root
    run unshare --pid --fork timeout 20 "$RAKIS" run --log error -- sh -c 'echo $$; exit 3'
    [ "$output" != 1 ]
    [ "$status" = 3 ]
    run unshare --pid --fork "$RAKIS" run --log error -- sh -c '(exit 4) & kill -9 $$'
    [ "$status" = 137 ]
}

@test "signals between processes: kill, handlers, groups, who sent it" {
    cat >kill.py <<'END'
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGCHLD, signal.SIGUSR2])
me = os.getpid()
pid = os.fork()
if pid == 0:
    os.kill(me, signal.SIGUSR1)
    i = signal.sigwaitinfo([signal.SIGUSR2])
    os._exit(17 if i.si_pid == me else 1)
i = signal.sigwaitinfo([signal.SIGUSR1])
print(i.si_pid == pid, i.si_code, i.si_uid == os.getuid())
os.kill(pid, signal.SIGUSR2)
i = signal.sigwaitinfo([signal.SIGCHLD])
print(i.si_pid == pid, i.si_status, i.si_code == os.CLD_EXITED)
print(os.waitpid(pid, 0)[1] >> 8)
os.setpgid(0, 0)
signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True))
children = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(n + 1))
        os.write(1, b"ready\n")
        while True: time.sleep(1)
    children.append(pid)
time.sleep(1)
os.kill(0, signal.SIGTERM)
print(sorted(os.waitpid(p, 0)[1] >> 8 for p in children))
try: os.kill(children[0], 0)
except OSError as e: print(e)
END
    same /usr/bin/python3 kill.py
}

@test "what is inherited: positions, pipes, sockets, timers, event descriptors, memory" {
    seq 1000 >numbers
    cat >inherit.py <<'END'
import ctypes, os, select, socket, struct
libc = ctypes.CDLL(None)
f = os.open("numbers", os.O_RDONLY)
a, b = socket.socketpair()
s = socket.create_server(("127.0.0.1", 0))
event = libc.eventfd(0, 0)
timer = libc.timerfd_create(1, 0)
libc.timerfd_settime(timer, 0, struct.pack("qqqq", 0, 0, 0, 100000000), None)
data = bytearray(b"parent" * 1000)
pid = os.fork()
if pid == 0:
    os.read(f, 10)
    b.sendall(b"over the socket")
    data[:5] = b"child"
    os.write(event, struct.pack("Q", 7))
    c = socket.create_connection(s.getsockname())
    c.sendall(b"hello")
    print(c.recv(10), os.read(timer, 8), flush=True)
    os._exit(0)
d, _ = s.accept()
print(d.recv(5))
d.sendall(b"world")
os.waitpid(pid, 0)
print(os.read(f, 5), a.recv(100), data[:6], struct.unpack("Q", os.read(event, 8)))
# A connection accepted by a child, its descriptor passed back.
pid = os.fork()
if pid == 0:
    c, _ = s.accept()
    socket.send_fds(b, [b"fd"], [c.fileno()])
    os._exit(0)
c = socket.create_connection(s.getsockname())
_, fds, _, _ = socket.recv_fds(a, 10, 1)
d = socket.socket(fileno=fds[0])
c.sendall(b"passed")
print(d.recv(10))
os.waitpid(pid, 0)
END
    same /usr/bin/python3 inherit.py
}

@test "files over fork: what was gathered is written once, positions and mappings are shared" {
    cat >files.py <<'END'
import mmap, os
f = os.open("file", os.O_RDWR | os.O_CREAT)
def write(start):
    for i in range(start, start + 200): os.write(f, b"%04d\n" % i)
write(0)
pid = os.fork()
if pid == 0:
    write(200)
    os._exit(0)
os.waitpid(pid, 0)
write(400)
print(open("file").read() == "".join("%04d\n" % i for i in range(600)))
os.lseek(f, 0, 0)
for i in range(100): os.read(f, 5)
pid = os.fork()
if pid == 0:
    os._exit(0 if all(os.read(f, 5) == b"%04d\n" % i for i in range(100, 200)) else 1)
print(os.waitpid(pid, 0)[1], os.read(f, 5))
m = mmap.mmap(f, 3000)
m[0:5] = b"paren"
pid = os.fork()
if pid == 0:
    before = m[0:5]
    m[10:15] = b"child"
    m.flush()
    os._exit(0 if before == b"paren" else 1)
print(os.waitpid(pid, 0)[1], os.pread(f, 5, 10), os.pread(f, 5, 0))
END
    same /usr/bin/python3 files.py
}

@test "redis: clients go on while it saves, and one that does not read holds nothing up" {
    local port=28767 pid
    "$RAKIS" run --log error -- redis-server --port $port --save '' --dir "$PWD" >log 3>&- &
    pid=$!
    for i in $(seq 100); do redis-cli -p $port ping && break; sleep 0.1; done
    cat >clients.py <<'END'
import socket, sys, threading, time
def connect():
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.settimeout(30)
    return s, s.makefile("rb")
def command(s, *words):
    s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
wrong = []
def count(n):
    s, f = connect()
    for i in range(1, 1001):
        command(s, b"INCR", b"k%d" % n)
        answer = f.readline()
        if answer != b":%d\r\n" % i:
            wrong.append((n, i, answer))
            return
stuck, _ = connect()
command(stuck, b"SET", b"big", b"x" * 200000)
stuck.recv(100)
for i in range(100): command(stuck, b"GET", b"big")
time.sleep(0.3)
threads = [threading.Thread(target=count, args=(n,)) for n in range(4)]
for t in threads: t.start()
s, f = connect()
started = 0
while any(t.is_alive() for t in threads) or not started:
    command(s, b"BGSAVE")
    started += b"started" in f.readline()
    time.sleep(0.05)
for t in threads: t.join()
left = 100 * (200000 + len(b"$200000\r\n\r\n"))
while left > 0 and (data := stuck.recv(1 << 20)): left -= len(data)
print(wrong, left)
END
    [ "$(timeout 60 /usr/bin/python3 clients.py $port)" = "[] 0" ]
    redis-cli -p $port shutdown nosave || true
    wait $pid
}

@test "an epoll set of the parent keeps what a child closes" {
    cat >epoll.py <<'END'
import os, select
r, w = os.pipe()
p = select.epoll()
p.register(r, select.EPOLLIN)
pid = os.fork()
if pid == 0:
    os.close(r)
    os._exit(0)
os.waitpid(pid, 0)
os.write(w, b"x")
print(p.poll(5) == [(r, 1)])
END
    same /usr/bin/python3 epoll.py
}

@test "who has opened all that he may forks all the same, with and without privilege" {
    cat >full.py <<'EOF'
import os, resource, socket
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
print(limits, [line.split()[3:] for line in open("/proc/self/limits") if line.startswith("Max open files")])
pairs, pipes = [], []
try:
    while True:
        pairs.append(socket.socketpair())
        pairs[-1][0].send(b"%d" % len(pairs))
        if len(pairs) % 100 == 0:
            pipes.append(os.pipe())
except OSError as error:
    print(error.strerror)
for i in range(3):
    if not os.fork():
        os._exit([pair[1].recv(9) for pair in pairs[i::3]] != [b"%d" % n for n in range(i + 1, len(pairs) + 1, 3)])
    print("child", i, os.wait()[1])
pairs[-1][1].close()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == limits, socket.socket() and "one more")
for soft, hard in ((100, 600), (600, 600), (700, 600), (50, 500)):
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        print(soft, hard, resource.getrlimit(resource.RLIMIT_NOFILE))
    except (ValueError, OSError) as error:
        print(soft, hard, error)
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, 550))
    print("raised")
except (ValueError, OSError) as error:
    print(error)
EOF
    (ulimit -n 2000; same /usr/bin/python3 full.py)
    [ "$(id -u)" != 0 ] || (ulimit -n 2000; same setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource \
        /usr/bin/python3 full.py)
}

@test "forks from many threads at once, and of large and of changed memory" {
    cat >many.py <<'END'
import os, threading
def work(n):
    for i in range(5):
        pid = os.fork()
        if pid == 0:
            os._exit(n * 5 + i)
        assert os.waitpid(pid, 0)[1] >> 8 == n * 5 + i
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print("all")
big = bytearray(os.urandom(1 << 16) * 512)
pid = os.fork()
if pid == 0:
    os._exit(0 if all(big[i << 16:(i + 1) << 16] == big[:1 << 16] for i in range(512)) else 1)
print(os.waitpid(pid, 0)[1])
def generations(n):
    if n == 0: os._exit(6)
    pid = os.fork()
    if pid == 0: generations(n - 1)
    os._exit(os.waitpid(pid, 0)[1] >> 8)
pid = os.fork()
if pid == 0: generations(5)
print(os.waitpid(pid, 0)[1] >> 8)
END
    same /usr/bin/python3 many.py
}

@test "memory that processes share: locks, semaphores, conditions and atomics between them" { same "$BUILD/tests/common"; }

@test "vfork, posix_spawn, system and popen: what the child leaves in memory arrives" { same "$BUILD/tests/spawn"; }

@test "python subprocess" {
    cat >run.py <<'END'
import os, subprocess, signal
print(subprocess.run(["cat"], input=b"x" * 200000, capture_output=True).stdout == b"x" * 200000)
print(subprocess.run("exit 3", shell=True).returncode, subprocess.run(["kill", "-9", "0"], start_new_session=True).returncode)
for bad in (["/no/such"], ["/etc/passwd"]):
    try: subprocess.run(bad)
    except OSError as e: print(e)
try: subprocess.run(["sleep", "10"], timeout=0.3)
except subprocess.TimeoutExpired as e: print("expired")
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(p.communicate("both ways"))
print(subprocess.run(["pwd"], cwd="/", env={"A": "b"}, stdout=subprocess.PIPE).stdout)
p = subprocess.Popen(["sleep", "10"], preexec_fn=os.setsid)
p.terminate()
print(p.wait())
print(os.popen("echo popen | tr a-z A-Z").read(), os.system("exit 4"))
END
    same /usr/bin/python3 run.py
}

@test "perl: system, backquotes, open to a pipe, SIGCHLD" {
    same perl -e '$| = 1; print system("sh", "-c", "exit 3") >> 8, `echo back`; open(F, "-|", "seq 3"); print <F>; close F;
open(T, "|-", "tr a-z A-Z"); print T "to a pipe\n"; close T;
$SIG{CHLD} = sub { 1 while waitpid(-1, 1) > 0; print "child\n" }; exit 0 unless fork; sleep 5; print "end\n"'
}

@test "make runs gcc on a small program, which runs" {
    printf '#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n' >hello.c
    printf 'all: hello\n\t./hello\nhello: hello.o\n\tgcc -o $@ $^\nhello.o: hello.c\n\tgcc -O1 -c $<\n' >Makefile
    unset MAKELEVEL MAKEFLAGS MFLAGS # of the make that runs these tests
    rakis -- make -j 2 >out 2>&1
    cat out
    [ "$(tail -n 1 out)" = compiled ]
    ./hello
}

@test "git: a repository from nothing to a clone" {
    command -v git || skip "no git"
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=$PWD
    rakis -- git init -q repository
    echo text >repository/file
    rakis -- git -C repository add file
    rakis -- git -C repository commit -q -m one
    rakis -- git -C repository gc -q
    rakis -- git clone -q repository copy
    [ "$(cat copy/file)" = text ]
    git -C copy fsck
    [ "$(git -C copy log --format=%s)" = one ]
}

@test "nginx: a master and two workers, reloaded and ended" {
    command -v nginx || skip "no nginx"
    local port=28765 i pid
    mkdir root
    seq 10000 >root/numbers
    cat >conf <<END
daemon off;
worker_processes 2;
pid $PWD/pid;
error_log $PWD/errors info;
events { }
http {
    access_log off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
    server { listen 127.0.0.1:$port; root $PWD/root; }
}
END
    chmod -R a+rX . "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
    "$RAKIS" run --log error -- nginx -p "$PWD" -c conf 3>&- &
    pid=$!
    for i in $(seq 100); do curl -s -o got http://127.0.0.1:$port/numbers && break; sleep 0.1; done
    cmp got root/numbers
    [ "$(cat pid)" = $pid ]
    [ "$(pgrep -c -P $pid)" = 2 ]
    local before
    before=$(pgrep -P $pid | sort | head -n 1)
    kill -HUP $pid
    for i in $(seq 100); do [ -e /proc/$before ] || break; sleep 0.1; done
    [ ! -e /proc/$before ]
    for i in 1 2 3 4 5 6; do curl -s -o got http://127.0.0.1:$port/numbers; cmp got root/numbers; done
    kill -QUIT $pid
    wait $pid
}

@test "redis: a save in the background, of a process with threads" {
    local port=28766 i pid
    "$RAKIS" run --log error -- redis-server --port $port --save '' --dir "$PWD" --enable-debug-command yes >log 3>&- &
    pid=$!
    for i in $(seq 100); do redis-cli -p $port ping && break; sleep 0.1; done
    redis-cli -p $port debug populate 10000 key 100
    redis-cli -p $port bgsave
    for i in $(seq 100); do
        redis-cli -p $port info persistence | grep -q rdb_bgsave_in_progress:0 && break
        sleep 0.1
    done
    [ "$(redis-cli -p $port get key:77 | head -c 5)" = value ]
    redis-cli -p $port info persistence | grep rdb_last_bgsave_status:ok
    redis-cli -p $port shutdown nosave || true
    wait $pid
    redis-check-rdb dump.rdb | grep '10000 keys read'
}

@test "a terminal: job control in bash as natively" {
    cat >terminal.py <<'END'
import os, pty, re, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
text = ""
def until(pattern, seconds=20):
    global text
    end = time.time() + seconds
    while not re.search(pattern, text):
        if time.time() > end:
            sys.exit(f"no {pattern!r} in {text!r}")
        if select.select([fd], [], [], 0.1)[0]:
            text += os.read(fd, 4096).decode()
    text = text[re.search(pattern, text).end():]
def say(line): os.write(fd, line.encode())
def prompt(): until(r"\nready\$ ")
def foreground():
    end = time.time() + 20
    while os.tcgetpgrp(fd) == pid and time.time() < end: time.sleep(.05)
    time.sleep(1) # it is still to become the program
say("PS1='\\nready$ '; bind 'set enable-bracketed-paste off'\n"); prompt()
say("sleep 100\n"); foreground(); say("\x1a"); until(r"Stopped +sleep 100"); prompt()
say("bg; jobs\n"); until(r"Running +sleep 100"); prompt()
say("fg\n"); foreground(); say("\x03"); prompt()
say("echo status $?\n"); until(r"\nstatus 130"); prompt()
say("cat | sort -r\n"); foreground(); say("a\nb\n\x04"); until(r"b\r\na\r\n"); prompt()
say("sleep 100 | sleep 101 &\n"); prompt()
say("kill %1; wait; echo gone\n"); until(r"\ngone"); prompt()
say("(trap '' TSTP; sleep 1); echo over\n"); time.sleep(.5); say("\x1a"); until(r"over\r\n\r"); prompt()
say("exit 5\n")
try:
    while os.read(fd, 4096): pass
except OSError:
    pass
print(os.waitpid(pid, 0)[1] >> 8)
END
    [ "$(timeout 100 /usr/bin/python3 terminal.py bash --norc -i)" = 5 ]
    [ "$(timeout 100 /usr/bin/python3 terminal.py "$RAKIS" run --log error -- bash --norc -i)" = 5 ]
}

@test "an interpreter in a directory that is named by its descriptor" {
    printf '#!/proc/self/fd/7/env cat\nread\n' >script
    chmod +x script
    same /bin/bash -c 'exec 9</etc; exec 7</usr/bin; ./script'
}

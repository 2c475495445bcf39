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
    same bash -c 'PATH=$PWD exec third 1 2'
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

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Files: their bytes are what they would be natively, at every moment that anybody could look; with few exits.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

teardown() { [ -z "${PID:-}" ] || stop "$PID"; }

# In the background: its process id to $PID.
start() {
    "$RAKIS" run --log error "$@" >out 3>&- &
    PID=$!
}

lines() { seq -f 'line %.0f' 0 $(($1 - 1)); }

@test "any sequence of operations is told as natively" {
    local seed mode
    for seed in 101 102 103 104 105 106; do
        rm -f file
        "$BUILD/tests/files" random $seed file >native
        mv file native.file
        for mode in exits rings; do
            rm -f file
            rakis --io $mode -- "$BUILD/tests/files" random $seed file >enclave
            cmp native enclave
            cmp native.file file
        done
    done
}

@test "small writes and reads take few exits" {
    head -c 10000000 /dev/urandom >from
    rakis --stats stats.json -- dd if=from of=to bs=512
    cmp from to
    [ "$(field stats.json syscalls.by_name.write.rewritten)" -ge 19000 ]
    [ "$(field stats.json exits.total)" -lt 1000 ]
    rakis --io exits --stats stats.json -- dd if=from of=to bs=512
    cmp from to
    [ "$(field stats.json exits.total)" -gt 39000 ]
}

@test "nothing is lost where a program ends without closing" {
    local end
    for end in exit abort fault; do
        rm -f file
        rakis -- "$BUILD/tests/files" lines 1000 file $end || true
        lines 1000 | cmp - file
    done
}

@test "a signal in the midst of writing leaves what was written until then" {
    local signal
    for signal in TERM INT HUP USR1; do
        rm -f file
        /usr/bin/python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$RAKIS" run --log error -- "$BUILD/tests/files" lines 3000000 file wait 3>&- &
        PID=$!
        wait_for '[ "$(wc -l <file)" -gt 100000 ]'
        kill -s $signal $PID
        wait $PID || true
        PID=
        lines 3000000 | head -c "$(stat -c %s file)" | cmp - file
        [ "$(tail -c 1 file | od -An -c | tr -d ' ')" = '\n' ]
    done
}

@test "what a program wrote is there when it says so, even if it is killed then" {
    for i in $(seq 5); do
        rm -f file out
        mkfifo out
        start -- "$BUILD/tests/files" lines 1000 file say
        head -n 1 <out | grep -q written
        kill -KILL $PID
        wait $PID || true
        PID=
        lines 1000 | cmp - file
    done
}

@test "what a program wrote is there soon, whatever it does then" {
    start -- "$BUILD/tests/files" lines 1000 file spin
    wait_for '[ "$(wc -l <file)" = 1000 ]'
    lines 1000 | cmp - file
}

@test "output that the shell redirects" {
    { rakis -- busybox seq 1 5000; echo between; rakis -- busybox seq 1 5000; } >out
    { seq 5000; echo between; seq 5000; } | cmp - out
    rakis -- busybox seq 1 5000 >>out
    { seq 5000; echo between; seq 5000; seq 5000; } | cmp - out
    seq 5000 >in
    { rakis -- busybox head -c 10000 >head; cat >tail; } <in
    cat head tail | cmp - in
}

@test "who reads an inherited file, whoever had it before and has it next" {
    local mode reader='import os, sys
for size, count in zip(*[iter(map(int, sys.argv[1:]))] * 2):
    for i in range(count):
        os.read(0, size)
'
    seq 2000000 >file
    each() { # the same by "$@": what is left of the file for the next
        { "$@" /usr/bin/python3 -c "$reader" 1000 3000 77 500 20000 9; cksum; } <file
        { head -c 100 >/dev/null; "$@" /usr/bin/python3 -c "$reader" 4096 300; head -c 200000 | cksum
            "$@" /usr/bin/python3 -c "$reader" 512 1000; cksum; } <file
        { "$@" bash -c 'read line; echo "$line"; head -c 5000 | cksum; read line; echo "$line"
            dd bs=1000 count=700 status=none | cksum; exec cat' | cksum; cksum; } <file
        { "$@" /usr/bin/python3 -c "$reader"'
import subprocess
print(subprocess.run(["head", "-c", "1000"], capture_output=True).stdout[:30], os.lseek(0, 0, os.SEEK_CUR))
os.lseek(0, 5, os.SEEK_SET)
for i in range(2000): os.read(0, 100)
if not os.fork():
    for i in range(100): os.read(0, 100)
    os._exit(0)
os.wait()
print(os.read(0, 30), open("/proc/self/fdinfo/0").readline())' 1000 300; cksum; } <file
        { "$@" /usr/bin/python3 -c "$reader"'
os.kill(os.getpid(), 15)' 1000 300 || true; cksum; } <file
        { "$@" /usr/bin/python3 -c "$reader"'
import ctypes
ctypes.string_at(0)' 1000 500 || true; cksum; } <file
    }
    each env 2>/dev/null >native
    for mode in rings exits; do
        IO=$mode each rakis -- 2>/dev/null >enclave
        diff native enclave
    done
    rakis --stats stats.json -- dd bs=1000 of=to status=none <file
    cmp file to
    [ "$(field stats.json exits.total)" -lt 1000 ]
}

@test "a full file system is an error where it is one natively" {
    need_root
    mkdir full
    mount -t tmpfs -o size=1m none full
    run rakis -- busybox dd if=/dev/zero of=full/file bs=1000
    echo "$output"
    local size
    size=$(stat -c %s full/file)
    umount full
    [ "$status" = 1 ]
    [[ "$output" == *"No space left on device"* ]]
    [ "$size" = 1048576 ]
}

@test "a limit of the file size is found where it is natively" {
    (ulimit -f 100; trap '' XFSZ; "$BUILD/tests/files" lines 20000 native) || true
    (ulimit -f 100; trap '' XFSZ; rakis -- "$BUILD/tests/files" lines 20000 file) || true
    cmp native file
}

modes() { find "$1" -printf '%M %P\n' | sort; }

@test "cp, tar and dd" {
    mkdir -p tree/sub
    head -c 3000000 /dev/urandom >tree/large
    seq 100000 >tree/sub/numbers
    : >tree/empty
    chmod 2751 tree/sub
    chmod 604 tree/empty
    rakis -- cp tree/large copy
    cmp tree/large copy
    rakis -- tar cf tree.tar tree
    mkdir unpacked
    rakis -- tar xf tree.tar -C unpacked
    diff -r tree unpacked/tree
    diff <(modes tree) <(modes unpacked/tree)
    rakis -- dd if=tree/large of=copy bs=1000 seek=3 skip=5 conv=notrunc
    dd if=tree/large of=native bs=1000 count=0 2>/dev/null
    cp tree/large native
    dd if=tree/large of=native bs=1000 seek=3 skip=5 conv=notrunc 2>/dev/null
    cmp native copy
}

@test "python: buffered, text, positions, many files" {
    cat >program.py <<'END'
import os, random
r = random.Random(7)
with open("text", "w") as f:
    for i in range(20000):
        f.write(f"line {i}\n")
with open("text", "r+b", buffering=0) as f:
    for i in range(2000):
        f.seek(r.randrange(100000))
        (f.write(b"xyz") if i % 3 else f.read(10))
with open("text", "a") as f:
    for i in range(2000):
        print(i, file=f, flush=True)
    print(f.tell())
files = [open(f"many{i}", "w+", buffering=1) for i in range(20)]
for n in range(300):
    for f in files:
        f.write(f"{n}\n")
for f in files:
    f.seek(0)
    print(sum(int(line) for line in f))
print(sum(os.path.getsize(f"many{i}") for i in range(20)), hash(open("text", "rb").read()) and os.path.getsize("text"))
END
    mkdir native enclave
    (cd native && /usr/bin/python3 ../program.py >out)
    (cd enclave && rakis -- /usr/bin/python3 ../program.py >out)
    diff -r native enclave
}

@test "sqlite3: a database that others can read" {
    command -v sqlite3 || skip "needs sqlite3"
    cat >program.sql <<'END'
create table t (a integer primary key, b text);
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) insert into t select i, hex(i * 7919) from n;
commit;
update t set b = b || 'x' where a % 3 = 0;
delete from t where a % 7 = 0;
create index i on t(b);
select count(*), sum(a), sum(length(b)) from t;
pragma integrity_check;
END
    sqlite3 native.db <program.sql >native
    rakis -- sqlite3 enclave.db ".read program.sql" >enclave
    cmp native enclave
    [ "$(sqlite3 enclave.db 'pragma integrity_check; select count(*) from t' | tr '\n' ' ')" = "ok 17143 " ]
}

@test "mcrypt: what one encrypts the other decrypts" {
    command -v mcrypt || skip "needs mcrypt"
    export HOME=$PWD
    head -c 2000000 /dev/urandom >plain
    echo secret >key
    cp plain enclave
    rakis -- mcrypt -q -f key enclave
    rm enclave
    mcrypt -q -f key -d enclave.nc
    cmp plain enclave
    cp plain native
    mcrypt -q -f key native
    rm native
    rakis -- mcrypt -q -f key -d native.nc
    cmp plain native
}

@test "git: objects and the index" {
    command -v git || skip "needs git"
    export HOME=$PWD GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    mkdir tree
    for i in $(seq 50); do seq $i 3000 >tree/file$i; done
    rakis -- git -C tree init -q
    rakis -- git -C tree add .
    git -C tree -c gc.auto=0 commit -qm one
    git -C tree fsck --strict
    seq 100 >tree/file7
    [ "$(rakis -- git -C tree status --porcelain)" = " M tree/file7" ] || [ "$(rakis -- git -C tree status --porcelain)" = " M file7" ]
}

# A server by itself, on a socket in this directory: answers() as redis-cli.
answers() { redis-cli -s "$PWD/socket" "$@"; }

@test "redis: an append-only file survives a kill after the answer" {
    local options="--port 0 --unixsocket $PWD/socket --appendonly yes --appendfsync everysec --dir $PWD"
    start -- redis-server $options
    wait_for 'answers ping | grep -q PONG'
    seq 500 | sed 's/.*/set key& value&/' | answers >/dev/null
    [ "$(answers set last one)" = OK ]
    kill -KILL $PID
    wait $PID || true
    PID=
    redis-server $options >log 3>&- &
    PID=$!
    wait_for 'answers ping | grep -q PONG'
    [ "$(answers get last)" = one ]
    [ "$(answers dbsize)" = 501 ]
}

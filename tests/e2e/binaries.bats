#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Kinds of programs: scripts, static ones, those at fixed addresses, those that make code.

load common

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PATH="/usr/sbin:/usr/bin:/sbin:/bin"
}

# In both ways of I/O.
same_both() {
    same "$@"
    IO=exits same "$@"
}

script() {
    local name=$1
    shift
    printf '%b' "$@" >"$name"
    chmod +x "$name"
}

@test "scripts as the program: interpreters, their argument, env, scripts as interpreters" {
    script plain '#!/bin/sh\necho "$0" "$#" "$@"; exit 4\n'
    same_both ./plain 'an argument' two
    same "$PWD/plain"
    script argument '#!/bin/bash -eu -x \necho hello "$@"\n'
    same ./argument one
    script spaces '#!  /bin/sh   -x\necho spaces\n'
    same ./spaces
    script env '#!/usr/bin/env python3\nimport sys\nprint(sys.argv, __file__)\n'
    same_both ./env a b
    script split '#!/usr/bin/env -S python3 -c print(1)\n'
    same ./split
    script inner '#!/bin/sh\necho inner "$0" "$@"\n'
    script outer "#!$PWD/inner argument\nnever read\n"
    same_both ./outer one two
    script whole '#!/bin/cat'
    same ./whole
    (PATH="$PWD:$PATH" && same plain by path)
    script relative '#!inner\n'
    same ./relative
}

@test "scripts that a shell and others execute" {
    script plain '#!/bin/sh\necho "$0" "$@"\n'
    script none 'echo none "$0" "$@"\n'
    script lost '#!/nowhere/interpreter\n'
    script loop "#!$PWD/loop\n"
    : >empty
    printf '#!/bin/sh\n' >unexecutable
    chmod +x empty
    same bash -c './plain 1; ./none 2; ./lost; echo $?; ./empty; echo $?; ./unexecutable; echo $?; true'
    same /usr/bin/python3 -c 'import os, sys
for name in ("plain", "none", "lost", "loop", "empty", "unexecutable", "missing"):
    sys.stdout.flush()
    if not os.fork():
        try:
            os.execv("./" + name, ["zero", "one"])
        except OSError as error:
            print(name, error.strerror)
            sys.stdout.flush()
        os._exit(9)
    print(name, os.wait()[1])
    sys.stdout.flush()
for inherited in (False, True):
    file = os.open("plain", os.O_RDONLY)
    os.set_inheritable(file, inherited)
    if not os.fork():
        try:
            os.execve(file, ["zero", "by descriptor"], {})
        except OSError as error:
            print("by descriptor", error.strerror)
            sys.stdout.flush()
        os._exit(9)
    print(os.wait()[1])
    sys.stdout.flush()'
}

@test "static, position-independent and fixed: each as the program and executed by another" {
    cat >hello.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static __thread int local = 3;
static int data[1000] = {7};
__attribute__((constructor)) static void early(void) { data[1] = 1; }
int main(int argc, char **argv)
{
    char *memory = malloc(1000000);
    printf("%d %d %d %d %s\n", argc, local, data[0] + data[1] + data[999], memory != NULL, getenv("KEY") ? getenv("KEY") : "none");
    fflush(stdout);
    if (argc > 1) {
        execv(argv[1], argv + 1);
        perror(argv[1]);
    }
    return 6;
}
END
    gcc -O1 -o pie hello.c
    gcc -O1 -no-pie -o fixed hello.c
    gcc -O1 -static -o static hello.c
    gcc -O1 -static-pie -o static-pie hello.c
    gcc -O1 -no-pie -Wl,-Ttext-segment=0x10000000 -o elsewhere hello.c
    local first
    for first in pie fixed static static-pie elsewhere; do
        same_both ./$first
        KEY=value same ./$first ./pie ./fixed ./static ./static-pie ./elsewhere ./$first
    done
    same /bin/busybox echo static busybox
}

@test "a program at addresses that the enclave does not have says so" {
    printf 'int main(void) { return 0; }' >high.c
    gcc -no-pie -mcmodel=large -static -nostdlib -Wl,-Ttext-segment=0x500000000 -Wl,-e,main -o high high.c
    run timeout 60 "$RAKIS" run -- ./high
    [ "$status" = 126 ]
    grep -q 'does not fit' <<<"$output"
    grep -q 'enclave-size' <<<"$output"
}

@test "code that a program makes, with system calls in it" {
    same_both "$BUILD/tests/generated"
}

@test "regular expressions compiled to code: grep -P, git grep -P, php" {
    seq 20000 | sed 's/$/ the quick brown fox/' >text
    same_both grep -cP '(?<=1)7.*(qu|br)\w+\s\bfox$' text
    same_both grep -oP '^\d*?(\d)\1(?= the)' text
    command -v git >/dev/null && same git grep --no-index -cP '(\d)\1\1' text
    command -v php >/dev/null || skip "no php"
    same_both php -r 'preg_match_all("/(\w+) (?=fox)/u", file_get_contents("text"), $m); echo count($m[1]), " ", $m[1][0], "\n";
        echo preg_replace_callback("/\d+/", fn($x) => $x[0] * 2, "1 22 333"), "\n";'
}

@test "luajit: loops compiled to code, calls to C by ffi" {
    cat >loops.lua <<'END'
local ffi = require("ffi")
ffi.cdef [[ int getpid(void); long syscall(long n, ...); int printf(const char *f, ...); ]]
local sum, same = 0, 0
for i = 1, 3000000 do sum = (sum * 31 + i) % 1000003 end
for i = 1, 2000 do if ffi.C.syscall(39) == ffi.C.getpid() then same = same + 1 end end
local callback = ffi.cast("int (*)(int)", function(x) return x + 1 end)
print(sum, same, callback(41), jit.status())
local words = {}
for w in ("the quick brown fox"):gmatch("%a+") do words[#words + 1] = w:upper() end
print(table.concat(words, ","))
coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)()
END
    same_both luajit loops.lua
    same luajit -joff loops.lua
}

# Among the code of a cryptographic library there are tables; a part of one that looks like a system call is none.
@test "the code of libcrypto is in memory as in the file, and its signatures are good" {
    cat >compare.py <<'END'
import ctypes, re
ctypes.CDLL("libcrypto.so.3")
for line in open("/proc/self/maps"):
    m = re.match(r"(\w+)-(\w+) r-xp (\w+) \S+ \S+ +(\S*/libcrypto\S*)", line)
    if m:
        start, end, offset = (int(m[i], 16) for i in (1, 2, 3))
        with open(m[4], "rb") as file:
            file.seek(offset)
            there = file.read(end - start)
        here = ctypes.string_at(start, len(there))
        print("different", [hex(offset + i) for i in range(len(there)) if here[i] != there[i]])
END
    [ "$(rakis -- /usr/bin/python3 compare.py)" = "different []" ]
    openssl ecparam -name prime256v1 -genkey -noout -out key.pem
    openssl ec -in key.pem -pubout -out public.pem 2>/dev/null
    echo words >signed
    rakis -- bash -c 'for i in $(seq 40); do openssl dgst -sha256 -sign key.pem -out s.$i signed; done'
    for i in $(seq 40); do openssl dgst -sha256 -verify public.pem -signature s.$i signed; done
}

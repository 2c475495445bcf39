#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a developer sees: crashes, the trace of system calls, the debugger, the profiler.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

crash() { run timeout 60 "$RAKIS" run -- "$BUILD/tests/crash" "$1"; }

# The output has a frame of this function of this file: frame FUNCTION FILE
frame() {
    grep -qE "#[0-9]+ +[0-9a-f]{16} $1[^ ]*\+0x[0-9a-f]+ \([^)]*$2[^)]*\)" <<<"$output" && return
    echo "no frame of $1 in $2:"
    echo "$output"
    return 1
}

@test "a crash is shown with its address, registers and frames" {
    crash write
    [ "$status" = 139 ]
    grep -q 'SIGSEGV: a write to 0x1234, where nothing is mapped' <<<"$output"
    grep -qE 'rip [0-9a-f]{16}  rsp [0-9a-f]{16}' <<<"$output"
    frame innermost crash
    frame compare crash
    frame qsort_r libc.so.6
    frame main crash
}

@test "a crash in a signal handler shows what it interrupted" {
    crash handler
    frame innermost crash
    frame handler crash
    frame main crash
}

@test "a call to nowhere shows where it came from" {
    crash jump
    grep -q 'a jump to 0x10, where nothing is mapped' <<<"$output"
    frame main crash
}

@test "abort shows who called it" {
    crash abort
    [ "$status" = 134 ]
    frame abort libc.so.6
    frame main crash
}

@test "no word of a crash with --log error" {
    run timeout 60 "$RAKIS" run --log error -- "$BUILD/tests/crash" write
    [ "$status" = 139 ]
    ! grep -q rakis: <<<"$output"
}

@test "--log trace shows calls with their arguments and results" {
    run timeout 60 "$RAKIS" run --log trace -- cat /etc/hostname /nonexistent
    grep -qE 'openat\(AT_FDCWD, "/etc/hostname", O_RDONLY(\|[A-Z_|]+)?\) = [0-9]+|openat\(AT_FDCWD, "/etc/hostname", O_RDONLY, 0\) = [0-9]+' <<<"$output"
    grep -q 'openat(AT_FDCWD, "/nonexistent", O_RDONLY, 0) = -1 ENOENT' <<<"$output"
    grep -q 'exit_group(1)' <<<"$output"
}

# A program that says "ready", in the enclave: start ARG...; its pid in $program.
start() {
    : >ready
    "$RAKIS" run --log error "$@" >ready 2>errors 3>&- &
    program=$!
    wait_for 'grep -q ready ready'
    sleep 0.1 # it is on its way to where it waits
}

need_gdb() { command -v gdb >/dev/null || skip "no gdb"; }

# What gdb says of process $1, by these commands: gdb_says PID COMMAND...
gdb_says() {
    local process=$1 command words=()
    shift
    for command; do words+=(-ex "$command"); done
    timeout -s KILL 60 gdb -q -nx -batch -iex 'set debuginfod enabled off' -iex 'set pagination off' \
        -x "$BATS_TEST_DIRNAME/../../host/rakis-gdb.gdb" "${words[@]}" -p "$process" 2>gdb-errors
}

# The output has these functions in this order, innermost first: calls FUNCTION...
calls() {
    local pattern='' name
    for name; do pattern+="#[0-9]+ +(0x[0-9a-f]+ in )?(_*(GI_*)?(libc_)?)$name \(.*"; done
    tr '\n' ' ' <<<"$output" | grep -qE "$pattern" && return
    echo "no calls of $* in:"
    echo "$output"
    cat gdb-errors
    return 1
}

@test "gdb on a waiting program shows what it waits for: program, LibOS, host" {
    need_gdb
    for io in rings exits; do
        start --io $io -- "$BUILD/tests/debugged" wait
        run gdb_says $program 'thread apply all bt'
        stop $program
        calls exit_serve exit_call exit_checked sys_pause syscall_dispatch pause inner outer main
        grep -q 'inner (argument=argument@entry=42)' <<<"$output"
        grep -q 'outer (argument=argument@entry=21)' <<<"$output"
    done
}

@test "gdb shows the caller of a system call whose site was moved into a trampoline" {
    need_gdb
    mkfifo never
    start -- bash -c 'echo ready; read -r line <>never'
    run gdb_says $program 'thread apply all bt'
    stop $program
    calls exit_call sys_read syscall_dispatch read zread main
}

@test "gdb stops at breakpoints in the program and in the LibOS, and the program goes on" {
    need_gdb
    start -- "$BUILD/tests/debugged" burn
    run gdb_says $program 'break burning' continue bt delete 'break sys_getppid' continue bt 'print process.pid' \
        delete detach
    [ "$status" = 0 ]
    calls burning main
    calls sys_getppid syscall_dispatch getppid main
    grep -q "^\$1 = $program\$" <<<"$output"
    kill -0 $program
    stop $program
}

@test "gdb on a process that was made by fork and execve knows its program and no other" {
    need_gdb
    start -- bash -c "\"$BUILD/tests/debugged\" wait; true"
    run gdb_says "$(pgrep -P $program)" 'info sharedlibrary' 'thread apply all bt'
    pkill -P $program || true
    stop $program
    calls sys_pause pause inner outer main
    grep -q tests/debugged <<<"$output"
    ! grep -qE '^0x.*/bash$' <<<"$output"
}

@test "a library that is unloaded is no longer in the debugger's list" {
    need_gdb
    start -- /usr/bin/python3 -c 'import ctypes, _ctypes, time
library = ctypes.CDLL("libbz2.so.1.0")
_ctypes.dlclose(library._handle)
library = ctypes.CDLL("libexpat.so.1")
print("ready", flush=True)
time.sleep(100)'
    run gdb_says $program 'info sharedlibrary'
    stop $program
    grep -q libexpat <<<"$output"
    ! grep -q libbz2 <<<"$output"
}

@test "perf names the program's and the LibOS's functions with --perf" {
    command -v perf >/dev/null || skip "no perf"
    start --perf -- "$BUILD/tests/debugged" burn
    perf record -q -e cpu-clock -o perf.data -p $program -- sleep 1 2>errors ||
        { stop $program; skip "perf cannot record here: $(head -n 1 errors)"; }
    stop $program
    run perf report -i perf.data --stdio
    grep -qE '[0-9.]+% .* burning$' <<<"$output"
    grep -q ' burning$' "/tmp/perf-$program.map"
    grep -q ' getppid$' "/tmp/perf-$program.map"
    grep -q ' syscall_dispatch$' "/tmp/perf-$program.map"
    rm "/tmp/perf-$program.map"
}

@test "no file for perf unless it is asked for" {
    start -- "$BUILD/tests/debugged" wait
    [ ! -e "/tmp/perf-$program.map" ]
    stop $program
}

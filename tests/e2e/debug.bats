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

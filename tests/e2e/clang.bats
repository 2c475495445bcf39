#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The enclave as clang builds it. Only the image is built anew, with every warning an error.

load common

setup_file() {
    local clang
    clang=$(command -v clang-14 || command -v clang) || skip "needs clang"
    cd "$BATS_TEST_DIRNAME/../.."
    CC=$clang meson setup --werror "$BATS_FILE_TMPDIR/clang" >/dev/null
    ninja -C "$BATS_FILE_TMPDIR/clang" --quiet enclave/rakis-enclave
    export IMAGE="$BATS_FILE_TMPDIR/clang/enclave/rakis-enclave"
}

clang_rakis() { RAKIS_ENCLAVE=$IMAGE rakis -- "$@"; }

@test "clang's enclave has no pointer that is followed before it is relocated" {
    # What BearSSL's objects have of them, as in gcc's image, is followed later.
    got() { readelf -SW "$1" | sed -n 's/.* \.got  *PROGBITS *[0-9a-f]* [0-9a-f]* \([0-9a-f]*\).*/\1/p'; }
    [ "$(got "$IMAGE")" = "$(got "$BUILD/enclave/rakis-enclave")" ]
}

@test "clang's enclave runs programs, threads and signals as natively" {
    local program
    clang_rakis /bin/true
    [ "$(clang_rakis /usr/bin/python3 -c 'print(sum(range(1000)))')" = 499500 ]
    for program in signals threads; do
        diff <("$BUILD/tests/$program") <(clang_rakis "$BUILD/tests/$program")
    done
}

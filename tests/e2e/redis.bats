#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian's redis-server in the enclave, on loopback.

load common

setup() { cd "$BATS_TEST_TMPDIR"; }

@test "redis-server passes all tests of redis-benchmark, in few traps" {
    timeout 120 "$RAKIS" run --log error --io exits --stats stats.json -- redis-server --port 7391 --bind 127.0.0.1 \
        --save '' --appendonly no >log 3>&- &
    local pid=$!
    for i in $(seq 200); do redis-cli -p 7391 ping 2>/dev/null | grep -q PONG && break; sleep 0.05; done
    run timeout 100 redis-benchmark -p 7391 -q -n 2000 -c 20
    echo "$output"
    [ "$status" = 0 ]
    [ "$(redis-cli -p 7391 set key value)" = OK ]
    [ "$(redis-cli -p 7391 get key)" = value ]
    redis-cli -p 7391 shutdown nosave || true
    wait $pid
    local rewritten trapped
    rewritten=$(field stats.json syscalls.rewritten)
    trapped=$(field stats.json syscalls.trapped)
    echo "rewritten $rewritten trapped $trapped"
    [ $((trapped * 1000)) -le $((rewritten + trapped)) ]
}

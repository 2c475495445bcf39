#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# UDP without AF_XDP: sockets by which much comes receive and send by io_uring. What a program sees is what it sees
# natively, and it costs few exits.

load common

setup() {
    need_root
    cd "$BATS_TEST_TMPDIR"
    RING=$BUILD/tests/udp_ring
}

teardown() {
    [ -z "$SERVER" ] || kill "$(rakis_of "$SERVER")" 2>/dev/null || stop "$SERVER"
    [ -z "$NS_A" ] || netns_down
}

# compare CASE...: the same natively, over io_uring and by exits
compare() {
    timeout 60 "$RING" "$@" >native
    [ -s native ]
    timeout 60 "$RAKIS" run --log error --stats stats.json -- "$RING" "$@" >enclave
    diff native enclave
    [ "$(field stats.json host_violations)" -eq 0 ]
    timeout 60 "$RAKIS" run --log error --io exits -- "$RING" "$@" >exits
    diff native exits
}

by_ring() { [ "$(field stats.json exits.by_name.io_uring_enter)" -gt "$1" ]; }

@test "datagrams of any length are what was sent, in order" {
    compare lengths
    by_ring 300
    [ "$(field stats.json exits.by_name.recvmsg 2>/dev/null || echo 0)" -lt 20 ]
}

@test "sockets that are not read keep nobody from what is his" { compare sockets && by_ring 300; }

@test "where nobody reads, memory is bounded and the kernel drops" {
    compare flood
    by_ring 100
    [ "$(field stats.json arena_bytes)" -lt 20000000 ]
}

@test "looking, lengths, short buffers, FIONREAD" { compare asking; }

@test "rows of datagrams are received one by one, also when the socket leaves its ring" { compare rows; }

@test "errors come before what waits, to whichever call is next" { compare errors; }

@test "epoll by levels, by edges, once, and by two descriptors" { compare levels; }

@test "threads share a socket, or inherit one, and nothing is lost" { compare threads heirs; }

@test "threads that sleep on a socket share it, and none gets what is a ring's to take apart" { compare crowd; }

@test "what comes is a sleeping thread's, though another sends much by its socket" { compare sleeps; }

@test "many threads come and go, and their rings: none takes what one before it left" {
    local i
    timeout 60 "$RING" crowd threads heirs >native
    for i in $(seq 12); do
        timeout 60 "$RAKIS" run --log error -- "$RING" crowd threads heirs >enclave
        diff native enclave
    done
}

@test "a child receives what comes after the fork, and so does who gets a socket passed" { compare family passing; }

@test "a port is free when its socket is closed; shutdown leaves what had come" { compare ends; }

@test "connecting lets in nobody else; what had come stays" { compare peers; }

@test "control data, whatever room there is for it" { compare control; }

@test "answers go where they belong, and few of them by exits" {
    compare answers
    [ "$(field stats.json exits.by_name.sendto)" -lt 1500 ]
}

@test "a receive timeout is kept; what one sends to oneself is there at once" { compare limits && by_ring 1000; }

@test "what one thread sends another receives, in order" {
    compare stream
    [ "$(field stats.json exits.by_name.sendto)" -lt 1000 ]
}

@test "nothing wakes up while nothing comes" {
    compare idle
    [ "$(field stats.json exits.total)" -lt 800 ]
}

@test "all that a program can see of UDP sockets, over loopback, without AF_XDP" {
    local way
    netns_up
    in_a timeout 200 "$BUILD/tests/udp_cases" peer lo >peer 3>&- &
    SERVER=$!
    wait_for "grep -q ready peer"
    for way in "four 127.0.0.1 127.0.0.1 lo" "six ::1 ::1 lo" "mapped ::ffff:127.0.0.1 ::ffff:127.0.0.1 lo"; do
        for busy in "" busy; do
            echo "$way $busy"
            in_a timeout 60 "$BUILD/tests/udp_cases" $way $busy >native
            [ "$(wc -l <native)" -gt 400 ]
            in_a timeout 120 "$RAKIS" run --log error --stats stats.json -- "$BUILD/tests/udp_cases" $way $busy >enclave
            diff native enclave
            [ -z "$busy" ] || by_ring 2000
        done
    done
}

# few_exits COUNT: the server's, where so many datagrams have come and gone
few_exits() {
    local count=$1 exits
    exits=$(field stats.json exits.total)
    echo "$exits exits, $count datagrams"
    [ "$count" -gt 1000 ]
    [ $((exits * 10)) -lt $((count * 6 + 10000)) ]
}

# serve PROGRAM...: in the enclave, without AF_XDP
serve() {
    in_a timeout 60 "$RAKIS" run --log error --stats stats.json -- "$@" >served 2>&1 3>&- &
    SERVER=$!
}

finish() {
    kill "$(rakis_of "$SERVER")"
    wait "$SERVER" || true
    SERVER=
}

@test "iperf3's server over loopback: at most 0.6 exits a datagram, of two by exits" {
    netns_up
    serve iperf3 -s -1
    wait_for "in_a ss -lnt | grep -q :5201"
    in_a timeout 30 iperf3 -c 127.0.0.1 -u -b 500M -l 1460 -t 2 >client
    wait "$SERVER"
    SERVER=
    few_exits "$(awk '/receiver/ { split($(NF - 2), n, "/"); print n[2] - n[1] }' client)"
}

@test "memcached over loopback: at most 0.6 exits a datagram, of two by exits" {
    command -v memcaslap >/dev/null || skip "needs memcaslap (package libmemcached-tools)"
    netns_up
    serve memcached -u root -l 10.78.0.1 -p 11300 -U 11300 -t 1
    wait_for "in_a ss -lnu | grep -q :11300"
    in_a timeout 30 memcaslap -s 10.78.0.1:11300 -T 1 -c 16 -X 100 -t 2s -U >client
    finish
    few_exits $((2 * $(sed -n 's/.*Ops: \([0-9]*\).*/\1/p' client)))
}

@test "a name server over loopback: at most 0.6 exits a datagram, of two by exits" {
    command -v dnsperf >/dev/null && command -v unbound >/dev/null || skip "needs unbound and dnsperf"
    netns_up
    cat >unbound.conf <<END
server:
  interface: 127.0.0.1@5300
  access-control: 127.0.0.0/8 allow
  do-daemonize: no
  num-threads: 1
  username: ""
  chroot: ""
  directory: "$PWD"
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  local-zone: "test." static
  local-data: "a.test. A 10.0.0.1"
remote-control:
  control-enable: no
END
    echo "a.test A" >queries
    serve unbound -d -c unbound.conf
    wait_for "in_a ss -lnu | grep -q :5300"
    in_a timeout 30 dnsperf -s 127.0.0.1 -p 5300 -d queries -l 2 -c 4 >client
    finish
    few_exits $((2 * $(sed -n 's/.*Queries completed: *\([0-9]*\).*/\1/p' client)))
}

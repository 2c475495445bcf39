# SPDX-License-Identifier: Apache-2.0
# iperf3 by TCP and UDP, both ways, over IPv4 and IPv6: something arrives, and no more than was sent.
#   iperf3.sh server|client ADDRESS4 ADDRESS6: which is under test. The other is at the far end of the pair if there is one.
received='.end | .sum_received.bytes > 0 and .sum_received.bytes <= .sum_sent.bytes'
other=() far=no
[ -z "${far_pid-}" ] || other=(far) far=yes
case $1 in
server)
    client=("${other[@]}")
    $X iperf3 -s >server.log 2>&1 &
    other=()
    ;;
client)
    client=($X)
    "${other[@]}" iperf3 -s >server.log 2>&1 &
    ;;
esac
server=$!
until "${other[@]}" ss -Hltn 'sport = :5201' | grep -q .; do sleep 0.05; done
for address in "$2" "$3"; do
    for protocol in "-n 4M" "-u -b 100M -l 1000 -n 1M"; do
        for way in "" -R; do
            "${client[@]}" iperf3 -c "$address" $protocol $way -J >result.json
            echo "$address $protocol $way: $?, received: $(jq "$received" result.json)"
            # 1049 datagrams go one way, the other side's first word the other.
            case $1$far$protocol$way in
            clientyes-u*-R) by_xsk 1000 ;;
            clientyes-u*) by_xsk 1 ;;
            esac
        done
    done
done
finish
[ "$1$far" != serveryes ] || by_xsk 2000

# SPDX-License-Identifier: Apache-2.0
# sockperf by UDP and TCP, as server and as client.
for protocol in "" --tcp; do
    serve sockperf server $protocol -i 127.0.0.1 -p 11111
    if [ "$protocol" ]; then tcp 11111; else udp 11111; fi
    # Now and then a client misses its own timer while it waits for an answer, natively too.
    for attempt in 1 2 3; do
        timeout 8 $E sockperf ping-pong $protocol -i 127.0.0.1 -p 11111 -t 1 >said 2>&1 && break
    done
    grep -oE 'dropped messages = [0-9]+; # duplicated messages = [0-9]+' said
    grep -qE 'ReceivedMessages=[1-9]' said && echo "answers came"
    finish INT
done

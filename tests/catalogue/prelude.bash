# SPDX-License-Identifier: Apache-2.0
# What the commands of the catalogue may use. $E is empty natively and starts a program in the enclave else.
set -u

# Start a server, behind $E; its number is in $server. It is stopped at the end.
serve() {
    $E "$@" >server.log 2>&1 &
    server=$!
}

# End the server as a service manager would and print its status; `finish SIGNAL` with another signal.
finish() {
    kill -s "${1:-TERM}" "$server"
    wait "$server"
    echo "server ended: $?"
    rm -f server.log
}

# Wait until something listens on a TCP port, or has a UDP port.
tcp() { await -Hltn "$1"; }
udp() { await -Hlun "$1"; }
await() {
    local i
    for i in $(seq 600); do
        ss "$1" "sport = :$2" | grep -q . && return
        sleep 0.05
    done
    echo "nothing on port $2; the server says:"
    cat server.log
    exit 1
}

ip link set lo up

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

# Another machine at the end of a cable: v0 here is 10.77.0.1 and fd77::1, v1 there is 10.77.0.2 and fd77::2. `far CMD` runs
# a command there; $X starts a program as $E does, with AF_XDP on v0 where I/O goes by rings.
X=$E
pair() {
    unshare --net sleep 1000 &
    far_pid=$!
    until [ "$(readlink /proc/$far_pid/ns/net)" != "$(readlink /proc/$$/ns/net)" ] &&
        [ "$(cat /proc/$far_pid/comm)" = sleep ]; do sleep 0.01; done
    ip link add v0 type veth peer name v1 netns "$far_pid"
    ip address add 10.77.0.1/24 dev v0
    ip address add fd77::1/64 dev v0 nodad
    far ip address add 10.77.0.2/24 dev v1
    far ip address add fd77::2/64 dev v1 nodad
    far ip link set lo up
    far ip link set v1 up
    ip link set v0 up
    case $E in
    *"--io rings"*) X="${E%--}--iface v0 --stats $PWD/stats.json --" ;;
    esac
}

# What $X ran last, and has ended, got so many packets at least by AF_XDP; where it has none there is nothing to tell.
by_xsk() {
    if [ "$X" = "$E" ] || jq -e "[.xsk[].packets_in] | add >= $1" stats.json >/dev/null; then
        echo "by AF_XDP as it should be"
    else
        echo "not by AF_XDP: $1 packets were to come, and there came $(jq -c '[.xsk[].packets_in]' stats.json)"
    fi
    rm -f stats.json
}
far() { nsenter --net --target "$far_pid" "$@"; }

# A certificate authority ca.pem of the test's own, and a certificate c.pem with its key k.pem for the addresses above.
authority() {
    local new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    openssl req -x509 $new -keyout ca.key -out ca.pem -subj /CN=authority 2>/dev/null
    openssl req -x509 $new -CA ca.pem -CAkey ca.key -keyout k.pem -out c.pem -subj /CN=localhost 2>/dev/null \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.77.0.1,IP:10.77.0.2 -addext basicConstraints=CA:FALSE
    chmod a+r k.pem
}

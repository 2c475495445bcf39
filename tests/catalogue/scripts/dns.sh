# SPDX-License-Identifier: Apache-2.0
# A name server on port 53, asked by dnsperf over UDP and over TCP.
#   dns.sh UDP TCP NAME SERVER...: so many queries over each for the addresses of NAME
declare -A number=([udp]=$1 [tcp]=$2)
name=$3
shift 3
serve "$@"
udp 53
tcp 53
printf '%s\n' "$name A" "$name AAAA" "none.$name A" >queries
dig @127.0.0.1 +short "$name" A
dig @127.0.0.1 +tcp +short "$name" A
for mode in udp tcp; do
    dnsperf -m "$mode" -s 127.0.0.1 -d queries -n "$((number[$mode] / 3))" -q 20 -t 10 >said
    echo "$mode: $(grep -E 'Queries (sent|completed|lost)|Response codes' said | tr -s ' ' | tr '\n' ';')"
done
finish

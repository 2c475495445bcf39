# SPDX-License-Identifier: Apache-2.0
# HTTP/3 over AF_XDP, by a curl that is built for it.
#   http3.sh caddy: caddy is the program under test, http3.sh curl: curl is
curl=$BUILT/curl-http3/curl
pair
authority
mkdir www
seq 200000 >www/small
head -c 20000000 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null >www/large
cp "$SCRIPTS/Caddyfile" .
export XDG_DATA_HOME=$PWD/data XDG_CONFIG_HOME=$PWD/config
case $1 in
caddy)
    address=10.77.0.1 client=(far "$curl") server=($X)
    ;;
curl)
    address=10.77.0.2 client=($X "$curl") server=(far)
    ;;
esac
"${server[@]}" caddy run --config Caddyfile --adapter caddyfile >server.log 2>&1 &
server=$!
for i in $(seq 200); do
    far curl -s --cacert ca.pem -o /dev/null "https://$address:8443/small" && break
    sleep 0.05
done
for file in small large; do
    "${client[@]}" -sS --http3-only --cacert ca.pem -o got -w 'HTTP/%{http_version} %{http_code}\n' \
        --resolve "localhost:8443:$address" "https://localhost:8443/$file"
    cmp got "www/$file" && echo "$file: the same"
    [ "$1" != curl ] || by_xsk $(($(stat -c %s "www/$file") / 1500))
done
kill "$server"
wait "$server"
echo "server ended: $?"
[ "$1" != caddy ] || by_xsk 100 # requests, and what confirms the rest

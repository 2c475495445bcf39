# SPDX-License-Identifier: Apache-2.0
# caddy serves HTTP/1.1 and HTTP/2.
authority
mkdir www
seq 20000 >www/a.txt
cp "$SCRIPTS/Caddyfile" .
XDG_DATA_HOME=$PWD/data XDG_CONFIG_HOME=$PWD/config serve caddy run --config Caddyfile --adapter caddyfile
tcp 8443
for version in --http1.1 --http2; do
    curl -sS "$version" --cacert ca.pem -o got -w 'HTTP/%{http_version} %{http_code}\n' https://127.0.0.1:8443/a.txt
    cmp got www/a.txt && echo "the same"
done
curl -sS -Z --cacert ca.pem -o 'got#1' 'https://127.0.0.1:8443/a.txt?[1-20]'
sha256sum got?* | cut -c1-64 | sort | uniq -c
finish

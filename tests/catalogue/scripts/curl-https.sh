# SPDX-License-Identifier: Apache-2.0
# curl downloads 1 MB, 100 MB and 1 GB by HTTPS from nginx, by HTTP/1.1 and by HTTP/2: the checksums are the files'.
#   curl-https.sh SIZE... in MB
mkdir -p www logs
authority
cp "$SCRIPTS/nginx-workers.conf" .
for size; do
    head -c "$((size * 1000000))" /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null >"www/$size"
done
nginx -p "$PWD" -c nginx-workers.conf 2>/dev/null &
nginx=$!
tcp 8443
for size; do
    file=$(sha256sum <"www/$size")
    for version in --http1.1 --http2; do
        fetched=$($E curl -sS "$version" --cacert ca.pem -w '%{stderr}HTTP/%{http_version} %{size_download}\n' \
            "https://127.0.0.1:8443/$size" 2>said | sha256sum)
        cat said
        [ "$fetched" = "$file" ] && echo "$size MB by $version: the same"
    done
done
$E curl -s https://127.0.0.1:8443/1 >/dev/null
echo "without the authority: $?"
kill "$nginx"
wait "$nginx"

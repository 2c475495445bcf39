# SPDX-License-Identifier: Apache-2.0
# nginx with a master and two workers: files by HTTP, HTTPS and HTTP/2, its workers changed by SIGHUP, wrk against it.
mkdir -p www logs
chmod 777 www logs .
authority
seq 3000 >www/a.txt
cp "$SCRIPTS/nginx-workers.conf" .
serve nginx -p "$PWD" -c nginx-workers.conf
tcp 8443
get() { curl -sS --cacert ca.pem -o got -w 'HTTP/%{http_version} %{http_code}\n' "$@" && sha256sum <got; }
get http://127.0.0.1:8080/a.txt
get --http1.1 https://127.0.0.1:8443/a.txt
get --http2 https://127.0.0.1:8443/a.txt
get -r 100-199 https://127.0.0.1:8443/a.txt
get http://127.0.0.1:8080/none
master=$(cat nginx.pid)
workers() { ps -o pid= --ppid "$master" | tr -d ' ' | sort; }
old=$(workers)
echo "$(wc -w <<<"$old") workers"
wrk -t 2 -c 20 -d "${1:-1}s" http://127.0.0.1:8080/a.txt >wrk.txt
grep -cE 'Non-2xx|Socket errors' wrk.txt
grep -oE 'requests in' wrk.txt
kill -HUP "$master"
for i in $(seq 200); do
    new=$(workers)
    [ "$(wc -w <<<"$new")" = 2 ] && [ -z "$(comm -12 <(echo "$old") <(echo "$new"))" ] && break
    sleep 0.05
done
echo "$(comm -12 <(echo "$old") <(echo "$new") | wc -w) of them after SIGHUP, $(wc -w <<<"$new") in all"
get http://127.0.0.1:8080/a.txt
finish QUIT

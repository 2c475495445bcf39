# SPDX-License-Identifier: Apache-2.0
# redis-server: the whole default set of redis-benchmark; an append-only file synced every second, rewritten and
# saved in the background, and the data there after a restart, from either file.
start() {
    serve redis-server --port 6379 --save '' --appendfsync everysec --enable-debug-command yes "$@"
    tcp 6379
    until [ "$(redis-cli ping)" = PONG ]; do sleep 0.05; done
}
info() { redis-cli info persistence | tr -d '\r' | sed -n "s/^$1://p"; }
until_done() { until [ "$(info "$1")" = 0 ]; do sleep 0.05; done; }

start --appendonly yes
redis-benchmark -n "$1" -c 20 --csv 2>/dev/null | tr -d '\r' | cut -d, -f1
for i in $(seq 20); do echo "HSET h$i name n$i value $((i * i))"; done | redis-cli | sort | uniq -c
redis-cli bgrewriteaof
until_done aof_rewrite_in_progress
until_done aof_rewrite_scheduled
echo "rewritten: $(info aof_last_bgrewrite_status)"
redis-cli bgsave
until_done rdb_bgsave_in_progress
echo "saved: $(info rdb_last_bgsave_status)"
redis-cli set after-the-save 1 >/dev/null
digest=$(redis-cli debug digest)
finish
start --appendonly yes
[ "$(redis-cli debug digest)" = "$digest" ] && echo "from the append-only file: the same"
redis-cli get after-the-save
redis-cli hgetall h7
finish
start --appendonly no
redis-cli get after-the-save
redis-cli hget h20 value
finish

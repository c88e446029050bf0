#!/usr/bin/env bash
# From a bare Debian 12 machine to changes flowing: installs what is missing, builds, and shows the main job on a private Postgres.
#   deploy/quickstart.sh           runs the tour, stops all it started and removes its folder
#   deploy/quickstart.sh --keep    leaves Postgres and Tailwater running and prints where
#   deploy/quickstart.sh --binary FILE   uses a binary that is already built
#   deploy/quickstart.sh --kafka         the topic lies in a private Apache Kafka (Java, 43 MB more to download)
#   deploy/quickstart.sh --opensearch    one more sink, a private OpenSearch (Java, 60 MB more to download)
#   deploy/quickstart.sh --mysql         one more source, a private MariaDB, into the same topic and sinks
#   deploy/quickstart.sh --warehouse     two more sinks, a private ClickHouse engine and another Postgres database (160 MB more to download)
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD

keep=false binary= kafka=false opensearch=false mysql=false warehouse=false
while [ $# -gt 0 ]; do
  case $1 in
    --keep) keep=true ;;
    --binary) shift; binary=$(realpath "$1") ;;
    --kafka) kafka=true ;;
    --opensearch) opensearch=true ;;
    --mysql) mysql=true ;;
    --warehouse) warehouse=true ;;
    -h|--help) sed -n '2,9s/^# //p' "$0"; exit 0 ;;
    *) echo "quickstart.sh: unknown option '$1' (there are --keep, --binary FILE, --kafka, --opensearch, --mysql and --warehouse)" >&2; exit 2 ;;
  esac
  shift
done

bold= dim= green= off=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' off=$'\e[0m'; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
say() { printf '  %s\n' "$*"; }
fail() { printf 'quickstart.sh: %s\n' "$*" >&2; exit 1; }
now_ms() { local t=$EPOCHREALTIME; t=${t/./}; echo $((t / 1000)); }

# ---------------------------------------------------------------------------------------------------- install and build
if [ -z "$binary" ]; then
  echo "This installs Debian packages (170 MB to download, 690 MB on disk if none of them is there), builds Tailwater in build/release (some minutes the"
  echo "first time, seconds later, 200 MB) and then runs a tour of about 15 seconds in a folder of its own below /tmp (300 MB, removed)."
  if $kafka || $opensearch || $mysql || $warehouse; then deploy/install-deps.sh --tests; else deploy/install-deps.sh; fi
  cmake --preset release >/dev/null
  cmake --build build/release --target tailwater
  binary=$repository/build/release/tailwater
fi
pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$pg_bin" ] || fail "no Postgres below /usr/lib/postgresql: run deploy/install-deps.sh"

# ---------------------------------------------------------------------------------------------------- a folder, a Postgres
home=$(mktemp -d /tmp/tailwater-quickstart.XXXXXX)
chmod 755 "$home"
daemon_pid= tail_pid= receiver_pid= kafka_pid= opensearch_pid= mysql_pid= clickhouse_pid= postgres_up=false
as_postgres() { if [ "$(id -u)" -eq 0 ]; then su nobody -s /bin/bash -c "$1"; else bash -c "$1"; fi; }
stop_process() { # pid
  [ -n "$1" ] && kill -0 "$1" 2>/dev/null || return 0
  kill "$1" 2>/dev/null || return 0
  for _ in $(seq 100); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done
  kill -9 "$1" 2>/dev/null || return 0
}
clean_up() {
  local code=$?
  trap - EXIT
  stop_process "$tail_pid"; stop_process "$receiver_pid"
  if [ $code -ne 0 ] && [ -s "$home/daemon.log" ]; then
    printf '\nThe last lines of %s/daemon.log:\n' "$home" >&2; tail -n 15 "$home/daemon.log" >&2
  fi
  if $keep && [ $code -eq 0 ]; then exit 0; fi
  stop_process "$daemon_pid"; stop_process "$kafka_pid"; stop_process "$opensearch_pid"; stop_process "$mysql_pid"; stop_process "$clickhouse_pid"
  if $postgres_up; then as_postgres "$pg_bin/pg_ctl -D $home/pg -m immediate -s stop" || true; fi
  if [ $code -eq 0 ]; then rm -rf "$home"; else echo "quickstart.sh: left for a look: $home" >&2; fi
  exit $code
}
trap clean_up EXIT
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
pg_port=$(free_port) http_port=$(free_port) hook_port=$(free_port)

started=$(now_ms)
mkdir "$home/pg" "$home/socket"
if [ "$(id -u)" -eq 0 ]; then chown nobody: "$home/pg" "$home/socket"; fi
as_postgres "$pg_bin/initdb -D $home/pg -U postgres -A trust --no-sync >/dev/null"
as_postgres "$pg_bin/pg_ctl -D $home/pg -w -s -l $home/pg/log -o '-p $pg_port -c listen_addresses=127.0.0.1 -k $home/socket -c wal_level=logical -c max_wal_size=4GB' start"
postgres_up=true
export PGHOST=$home/socket PGPORT=$pg_port PGUSER=postgres PGDATABASE=shop PGOPTIONS=
sql() { psql -XqAt -v ON_ERROR_STOP=1 -c "$1"; }
PGDATABASE=postgres sql "create database shop" >/dev/null
sql "create table orders (id bigint generated always as identity primary key, customer text not null, note text not null,
                          total numeric(12,2) not null, placed_at timestamptz not null default now());
     create table user_plans (user_id int primary key, plan text not null, seats int not null default 1);
     alter table user_plans replica identity full;
     insert into orders (customer, note, total) select 'customer ' || g % 500, 'order of ' || md5(g::text), g / 100.0 from generate_series(1, 20000) g" >/dev/null
say "Postgres $(sql 'show server_version' | cut -d' ' -f1) on 127.0.0.1:$pg_port, ready in $(($(now_ms) - started)) ms"

# Runs a server of tests/servers until its standard input, or this tour, ends; its first line says where it is.
start_server() { # name
  mkfifo "$home/$1.in"
  /usr/bin/python3 "tests/servers/$1.py" run <>"$home/$1.in" >"$home/$1.json" 2>"$home/$1.err" &
  eval "$1_pid=\$!"
  started=$(now_ms)
  until [ -s "$home/$1.json" ]; do
    kill -0 $! 2>/dev/null || { tail -n 5 "$home/$1.err" >&2; fail "$1 did not start"; }
    sleep 0.05
  done
}
from_json() { python3 -c "import json; print(json.loads(open('$1').readline())['$2'])"; }
if $kafka; then
  start_server kafka
  brokers=$(from_json "$home/kafka.json" brokers)
  say "Apache Kafka on $brokers, ready in $(($(now_ms) - started)) ms"
fi
if $opensearch; then
  start_server opensearch
  search_url=$(from_json "$home/opensearch.json" url)
  say "OpenSearch on $search_url, ready in $(($(now_ms) - started)) ms"
fi
if $warehouse; then
  start_server clickhouse
  clickhouse_url=$(from_json "$home/clickhouse.json" url)
  clickhouse() { curl -sSf "$clickhouse_url" --data-binary "$1"; }
  sql "create database reports" >/dev/null
  say "ClickHouse's engine $(clickhouse 'select version()') on $clickhouse_url, ready in $(($(now_ms) - started)) ms; database reports in Postgres"
fi
sources=one
if $mysql; then
  sources=two
  start_server mysql
  mysql_port=$(from_json "$home/mysql.json" port)
  maria() { mariadb --no-defaults -h 127.0.0.1 -P "$mysql_port" -u root -N -B "$@"; }
  maria -e "create database warehouse; create table warehouse.stock (sku varchar(20) primary key, item varchar(100) not null, quantity int unsigned not null, checked timestamp(3) not null default current_timestamp(3));
            insert into warehouse.stock (sku, item, quantity) with recursive g (n) as (select 1 union all select n + 1 from g where n < 900) select concat('sku-', n), concat('kettle number ', n), n from g"
  say "$(maria -e 'select version()') on 127.0.0.1:$mysql_port, ready in $(($(now_ms) - started)) ms"
fi

# ---------------------------------------------------------------------------------------------------- the pipeline
sink_count=3
if $opensearch; then sink_count=$((sink_count + 1)); fi
if $warehouse; then sink_count=$((sink_count + 2)); fi
if $kafka; then
  step "1. The pipeline: sources: $sources, a Kafka topic, $sink_count sinks"
  topic="  type: kafka
  brokers: [$brokers]
  partitions: 4
  replication: 1"
else
  step "1. The pipeline: sources: $sources, the embedded topic, $sink_count sinks"
  topic="  type: local
  path: $home/topic"
fi
catalog=
if $opensearch; then
  catalog="
  catalog:
    type: opensearch
    url: $search_url
    tables:
      - {match: public.orders, index: orders}"
fi
warehouses=
if $warehouse; then
  warehouses="
  analytics:
    type: clickhouse
    url: $clickhouse_url
  reports:
    type: postgres
    url: postgres://postgres@127.0.0.1:$pg_port/reports"
fi
stock_source= stock=
if $mysql; then
  stock_source="
  warehouse:
    type: mysql
    url: mysql://root@127.0.0.1:$mysql_port/warehouse
    tables: [warehouse.stock]"
  stock="
      - {match: warehouse.stock, table: stock, search: [item]}"
fi
cat >"$home/shop.yaml" <<YAML
version: 1
pipeline: shop
sources:
  shop:
    type: postgres
    url: postgres://postgres@127.0.0.1:$pg_port/shop
    tables: [public.orders, public.user_plans]$stock_source
topic:
$topic
sinks:
  search:
    type: sqlite
    path: $home/copy.db
    tables:
      - {match: public.orders, table: orders, search: [customer, note]}
      - {match: public.user_plans, table: user_plans}$stock
  feed:
    type: stdout
  downgrades:
    type: webhook
    url: http://127.0.0.1:$hook_port/downgrades
    secret: \${file:$home/hook.secret}
    allow_addresses: [127.0.0.1]
    tables:
      - match: public.user_plans
        when: op = 'update' AND NEW.plan = 'free' AND OLD.plan <> 'free'$catalog$warehouses
YAML
echo "whsec_$(openssl rand -base64 32)" >"$home/hook.secret"
sed 's/^/  | /' "$home/shop.yaml"
export TAILWATER_URL=http://127.0.0.1:$http_port
start_daemon() {
  "$binary" run "$home/shop.yaml" --listen "127.0.0.1:$http_port" --instance tour >>"$home/feed.jsonl" 2>>"$home/daemon.log" &
  daemon_pid=$!
  disown "$daemon_pid"   # the shell would otherwise announce its end by kill -9
  for _ in $(seq 400); do
    curl -sf -o /dev/null "$TAILWATER_URL/readyz" && return
    kill -0 "$daemon_pid" 2>/dev/null || fail "Tailwater ended at its start"
    sleep 0.025
  done
  fail "Tailwater was not ready within 10 s"
}
"$binary" validate "$home/shop.yaml" | sed 's/^/  /'
started=$(now_ms)
start_daemon
say "ready $(($(now_ms) - started)) ms after its start: publication and slot made, streaming"

copy() { sqlite3 -batch -noheader -cmd ".timeout 2000" "$home/copy.db" "$1"; }
wait_for() { # what, seconds, command...
  local what=$1 limit=$(($(now_ms) + $2 * 1000)); shift 2
  until "$@"; do
    [ "$(now_ms)" -lt "$limit" ] || fail "waited too long for $what"
    sleep 0.005
  done
}

# ---------------------------------------------------------------------------------------------------- what was there before
step "2. The 20,000 orders that were there before: copied in chunks inside the running stream"
wait_for "the copy" 60 bash -c "[ \"\$(sqlite3 '$home/copy.db' 'select count(*) from orders' 2>/dev/null)\" = 20000 ]"
"$binary" sources list | sed 's/^/  /'
say "20000 orders in the copy $(($(now_ms) - started)) ms after the start"

# ---------------------------------------------------------------------------------------------------- one change
step "3. One change, from commit to search hit"
sql "insert into orders (customer, note, total) values ('Ada', 'two blue kettles', 59.80), ('Grace', 'one red kettle', 29.90);
     insert into user_plans values (1, 'pro', 5), (2, 'free', 1);" >/dev/null
hits() { copy "select group_concat(o.customer || ': ' || o.note, '; ') from orders_search s join orders o on o.rowid = s.rowid where orders_search match '$1'" 2>/dev/null || true; }
wait_for "the new rows in the copy" 10 bash -c "[ \"\$(sqlite3 '$home/copy.db' 'select count(*) from orders' 2>/dev/null)\" = 20002 ]"
"$binary" tail "$home/shop.yaml" --from end >"$home/tail.txt" 2>>"$home/tail.err" &
tail_pid=$!
sleep 0.3
say "search for 'teapot' before:  $(hits teapot)(nothing)"
say "UPDATE orders SET note = 'one red teapot', total = 34.50 WHERE customer = 'Grace'"
sql "update orders set note = 'one red teapot', total = 34.50 where customer = 'Grace'" >/dev/null
committed=$(now_ms)
until [ -n "$(hits teapot)" ]; do [ $(($(now_ms) - committed)) -lt 5000 ] || fail "the update did not reach the copy"; done
found=$(($(now_ms) - committed))
say "search for 'teapot' after:   $(hits teapot)   ${green}(at most $found ms after the commit)${off}"
if $opensearch; then
  documents() { curl -sf "$search_url/orders/_search?q=note:$1" | python3 -c "import json, sys
print('; '.join(h['_source']['customer'] + ': ' + h['_source']['note'] for h in json.load(sys.stdin)['hits']['hits']))"; }
  wait_for "the document in OpenSearch" 20 bash -c "curl -sf '$search_url/orders/_search?q=note:teapot' | grep -q teapot"
  say "in OpenSearch:               $(documents teapot)   (its refresh_interval is 1 s)"
fi
wait_for "the change in tailwater tail" 5 grep -q teapot "$home/tail.txt"
say "and as 'tailwater tail' shows it:"
grep -B1 -A3 teapot "$home/tail.txt" | head -n 5 | sed 's/^/    /'
stop_process "$tail_pid"; tail_pid=

if $mysql; then
  step "And one change in MariaDB: the same topic, the same sinks"
  wait_for "the copy of the stock" 20 bash -c "[ \"\$(sqlite3 '$home/copy.db' 'select count(*) from stock' 2>/dev/null)\" = 900 ]"
  say "UPDATE stock SET item = 'the last samovar', quantity = 1 WHERE sku = 'sku-7'"
  maria -e "update warehouse.stock set item = 'the last samovar', quantity = 1 where sku = 'sku-7'"
  committed=$(now_ms)
  samovar() { copy "select group_concat(o.sku || ': ' || o.item, '; ') from stock_search s join stock o on o.rowid = s.rowid where stock_search match 'samovar'" 2>/dev/null || true; }
  until [ -n "$(samovar)" ]; do [ $(($(now_ms) - committed)) -lt 5000 ] || fail "the update did not reach the copy"; done
  say "search for 'samovar' after:   $(samovar)   ${green}(at most $(($(now_ms) - committed)) ms after the commit)${off}"
fi

# ---------------------------------------------------------------------------------------------------- a trigger
step "4. A trigger: whoever falls back to the free plan, an agent is called"
start_receiver() { python3 deploy/receiver.py "$hook_port" "$home/hook.secret" >>"$home/receiver.txt" & receiver_pid=$!; }
calls() { [ "$(grep -c . "$home/receiver.txt")" -ge "$1" ]; }
start_receiver
wait_for "the receiver" 10 bash -c "(exec 3<>/dev/tcp/127.0.0.1/$hook_port) 2>/dev/null"
say "UPDATE user_plans SET seats = 6 WHERE user_id = 1, then SET plan = 'free'"
sql "update user_plans set seats = 6 where user_id = 1" >/dev/null
sql "update user_plans set plan = 'free' where user_id = 1" >/dev/null
wait_for "the call" 10 calls 1
say "the receiver:  ${green}$(tail -n 1 "$home/receiver.txt")${off}"
kill "$receiver_pid"; wait "$receiver_pid" 2>/dev/null || true
sql "update user_plans set plan = 'pro' where user_id = 1; update user_plans set plan = 'free' where user_id = 1" >/dev/null
say "the receiver stops; another downgrade meanwhile. The sink waits, nothing else does:"
sink_says() { "$binary" status -o json | python3 -c "import json, sys
sink = next(s for s in json.load(sys.stdin)['pipelines'][0]['sinks'] if s['name'] == 'downgrades')
print(sink['state'] + ': ' + sink.get('message', ''))"; }
retrying() { sink_says | grep -q '^retrying'; }
wait_for "the sink to notice" 10 retrying
say "downgrades is $(sink_says)"
start_receiver
wait_for "the call after the receiver came back" 60 calls 2
say "the receiver is back:  ${green}$(tail -n 1 "$home/receiver.txt")${off}"

# ---------------------------------------------------------------------------------------------------- load and kill -9
step "5. Load, and kill -9 in the middle of it"
cat >"$home/load.sql" <<'SQL'
\set user random(1, 500)
begin;
insert into orders (customer, note, total) values ('customer ' || :user, 'order of ' || md5(random()::text), random() * 1000);
update orders set total = total + 1 where id = (select max(id) from orders);
insert into user_plans values (:user, 'free') on conflict (user_id) do update set seats = user_plans.seats + 1;
commit;
SQL
"$pg_bin/pgbench" -n -f "$home/load.sql" -c 2 -T 6 >"$home/pgbench.txt" 2>&1 &
load_pid=$!
stock_load_pid=
if $mysql; then
  for number in $(seq 3000); do
    echo "begin; update stock set quantity = quantity + 1 where sku = 'sku-$((RANDOM % 900 + 1))'; insert into stock (sku, item, quantity) values ('new-$number', 'came under load', $number); commit; do sleep(0.001);"
  done | maria warehouse &
  stock_load_pid=$!
fi
sleep 2
kill -9 "$daemon_pid"
while kill -0 "$daemon_pid" 2>/dev/null; do sleep 0.005; done
say "pgbench runs, 3 changes a transaction; after 2 s: kill -9 $daemon_pid"
before=$(copy "select count(*) from orders")
started=$(now_ms)
start_daemon
wait_for "the copy to move on" 20 bash -c "[ \"\$(sqlite3 -cmd '.timeout 2000' '$home/copy.db' 'select count(*) from orders')\" -gt $before ]"
resumed=$(($(now_ms) - started))
wait "$load_pid" $stock_load_pid
say "$(grep -E '^tps|number of transactions actually' "$home/pgbench.txt" | tr '\n' ' ' | sed 's/number of transactions actually processed: //; s/tps = \([0-9]*\).*/transactions, \1 a second/')"
caught_up() { [ "$(copy 'select count(*) from orders')" = "$(sql 'select count(*) from orders')" ]; }
wait_for "the copy to catch up" 30 caught_up
"$binary" tail "$home/shop.yaml" --from beginning --no-follow -o json >"$home/topic.jsonl"
read -r changes twice inserted < <(sqlite3 -batch :memory: <<SQL
create table t(j text);
.mode ascii
.separator "\\037" "\\n"
.import $home/topic.jsonl t
.mode list
.separator " "
select count(*), count(*) - count(distinct json_extract(j, '\$.id')),
       count(distinct case when json_extract(j, '\$.op') in ('insert', 'read') and json_extract(j, '\$.table') = 'public.orders' then json_extract(j, '\$.id') end)
from t where json_extract(j, '\$.op') in ('insert', 'update', 'delete', 'read');
SQL
)
missing=$(($(sql "select count(*) from orders") - inserted))
say "${green}resumed in $resumed ms: $changes changes, $missing missing, $twice twice${off}"
[ "$missing" = 0 ] && [ "$twice" = 0 ] || fail "the topic is not exact"

# ---------------------------------------------------------------------------------------------------- a stopped sink
step "6. A sink that stops: somebody locks the copy for four seconds"
slot_bytes() { sql "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint from pg_replication_slots where slot_name like 'tailwater_%'"; }
feed_lines() { grep -c . "$home/feed.jsonl" || true; }
(echo "begin exclusive;"; sleep 4; echo "commit;") | sqlite3 "$home/copy.db" &
lock_pid=$!
lines=$(feed_lines)
"$pg_bin/pgbench" -n -f "$home/load.sql" -c 1 -T 3 >/dev/null 2>&1
sleep 0.5
"$binary" status -o json >"$home/status.json"
say "after 3 s of load:  search $(sqlite3 -batch :memory: "select 'is ' || json_extract(value, '\$.state') || ', ' || json_extract(value, '\$.lag_records') || ' records behind: ' || json_extract(value, '\$.message')
  from json_each(readfile('$home/status.json'), '\$.pipelines[0].sinks') where json_extract(value, '\$.name') = 'search'")"
say "                    feed is live, $(($(feed_lines) - lines)) changes delivered meanwhile"
say "                    the slot holds $(slot_bytes) bytes of unconfirmed log: capture waits for no sink"
wait "$lock_pid"
started=$(now_ms)
wait_for "the locked sink to catch up" 30 caught_up
say "${green}lock gone: caught up $(($(now_ms) - started)) ms later${off}"

# ---------------------------------------------------------------------------------------------------- the panel
step "7. The slot, as 'tailwater status', the metrics and the server see it"
"$binary" status | sed 's/^/  /'
metric() { curl -sf "$TAILWATER_URL/metrics" | awk -v name="$1" 'index($1, name "{") == 1 || $1 == name {print $2; exit}'; }
say "tailwater_source_retained_log_bytes $(metric tailwater_source_retained_log_bytes)   tailwater_source_lag_bytes $(metric tailwater_source_lag_bytes)   tailwater_source_lag_seconds $(metric tailwater_source_lag_seconds)"
say "pg_replication_slots: $(sql "select slot_name || ', active ' || active || ', wal_status ' || wal_status || ', confirmed ' || confirmed_flush_lsn || ', server at ' || pg_current_wal_lsn() from pg_replication_slots where slot_name like 'tailwater_%'")"

# ---------------------------------------------------------------------------------------------------- equality
step "8. Source and copy, compared row by row"
wait_for "the last updates" 20 bash -c "[ \"\$(psql -XAt -c 'select sum(total) from orders')\" = \"\$(sqlite3 '$home/copy.db' 'select printf(\"%.2f\", sum(total)) from orders')\" ]"
compare() { # table, columns
  local left right
  left=$(sql "select $2 from $1 order by 1" | md5sum | cut -c1-12)
  right=$(copy "select $2 from $1 order by 1" | md5sum | cut -c1-12)
  [ "$left" = "$right" ] || fail "$1 differs: $left at the source, $right in the copy"
  say "$1: $(copy "select count(*) from $1") rows, checksum $left on both sides"
}
compare orders "id, customer, note, total"
compare user_plans "user_id, plan, seats"
if $mysql; then
  stock_rows() { copy "select sku, item, quantity from stock order by sku" | md5sum | cut -c1-12; }
  left=$(maria warehouse -e "select sku, item, quantity from stock order by binary sku" | tr '\t' '|' | md5sum | cut -c1-12)
  wait_for "the stock" 20 bash -c "[ \"\$(sqlite3 '$home/copy.db' 'select count(*) from stock')\" = $(maria warehouse -e 'select count(*) from stock') ]"
  [ "$left" = "$(stock_rows)" ] || fail "stock differs: $left in MariaDB, $(stock_rows) in the copy"
  say "stock: $(copy 'select count(*) from stock') rows, checksum $left in MariaDB and in the copy"
fi
if $opensearch; then
  document_count() { curl -sf -X POST "$search_url/orders/_refresh" >/dev/null; curl -sf "$search_url/orders/_count" | python3 -c "import json, sys; print(json.load(sys.stdin)['count'])"; }
  same_count() { [ "$(document_count)" = "$(sql 'select count(*) from orders')" ]; }
  wait_for "OpenSearch to hold every order" 30 same_count
  left=$(sql "select id, customer, note, total from orders order by id" | md5sum | cut -c1-12)
  right=$(python3 - "$search_url" <<'PYTHON' | md5sum | cut -c1-12
import json, sys, urllib.request
after = None
while True:
    query = {"size": 5000, "sort": [{"id": "asc"}], "_source": ["id", "customer", "note", "total"], **({"search_after": after} if after else {})}
    request = urllib.request.Request(sys.argv[1] + "/orders/_search", json.dumps(query).encode(), {"Content-Type": "application/json"})
    hits = json.load(urllib.request.urlopen(request))["hits"]["hits"]
    if not hits:
        break
    for hit in hits:
        row = hit["_source"]
        print(row["id"], row["customer"], row["note"], row["total"], sep="|")
    after = hits[-1]["sort"]
PYTHON
)
  [ "$left" = "$right" ] || fail "the documents differ: $left at the source, $right in OpenSearch"
  say "OpenSearch: $(document_count) documents, checksum $left on both sides"
fi

if $warehouse; then
  everywhere() { # table, columns: one checksum in ClickHouse, the other Postgres and the source
    left=$(sql "select $2 from $1 order by 1" | md5sum | cut -c1-12)
    analytics=$(clickhouse "select $2 from $1 final order by 1 settings output_format_decimal_trailing_zeros = 1" | tr '\t' '|' | md5sum | cut -c1-12)
    reports=$(PGDATABASE=reports sql "select $2 from $1 order by 1" | md5sum | cut -c1-12)
    [ "$left $left" = "$analytics $reports" ]
  }
  for table in "orders id, customer, note, total" "user_plans user_id, plan, seats"; do
    wait_for "ClickHouse and the other Postgres to hold ${table%% *} as the source does" 30 everywhere ${table%% *} "${table#* }"
    say "${table%% *}: checksum $left in ClickHouse (FINAL) and in the other Postgres too"
  done
fi

# ---------------------------------------------------------------------------------------------------- cost
step "9. What it cost, and how fast it is"
ticks=$(awk '{print $14 + $15}' "/proc/$daemon_pid/stat")
memory=$(awk '/VmHWM/ {print int($2 / 1024)}' "/proc/$daemon_pid/status")
total=$("$binary" tail "$home/shop.yaml" --from beginning --no-follow -o json | wc -l)
say "$total records in the topic; since its restart Tailwater used $((ticks * 1000 / $(getconf CLK_TCK))) ms of CPU and at most $memory MB of memory"
sql "insert into orders (customer, note, total) select 'bulk', 'row ' || g, 1 from generate_series(1, 100000) g" >/dev/null
started=$(now_ms)
wait_for "100,000 rows in the copy" 60 caught_up
say "one transaction of 100,000 rows: in topic, copy, search index and feed $(($(now_ms) - started)) ms after its commit, $((100000 * 1000 / ($(now_ms) - started + 1))) changes a second"

step "Next: your own database"
say "1. cp config/postgres.yaml my.yaml (or config/mysql.yaml), and set url, tables and sinks"
say "2. build/release/tailwater check my.yaml        lists what is missing on the server, with the SQL to run"
say "3. build/release/tailwater run my.yaml"
if $keep; then
  printf '\nStill running: Postgres on 127.0.0.1:%s (psql -h %s -p %s -U postgres shop), Tailwater on %s, files in %s\n' "$pg_port" "$home/socket" "$pg_port" "$TAILWATER_URL" "$home"
  echo "Stop: kill $daemon_pid $kafka_pid $opensearch_pid $mysql_pid $clickhouse_pid; su nobody -s /bin/bash -c '$pg_bin/pg_ctl -D $home/pg stop'; rm -rf $home"
fi

#!/usr/bin/env bash
# Catch-up from a prepared backlog through to the local topic, beside pg_recvlogical to /dev/null, in pairs within one run.
#   bench/run.sh                        1,000,000 inserts at 100 a transaction, TCP, 5 pairs
#   bench/run.sh --rows-per-transaction 1 --changes 200000 --pairs 7
#   bench/run.sh --unix                 over the Unix socket
#   bench/run.sh --snapshot             rows that are there already, beside COPY (binary) to /dev/null
#   bench/run.sh --fan-out              CPU per change at 1, 4 and 16 sinks, and the others' rate beside one that stalls
#   bench/run.sh --kafka                to a topic of a real Apache Kafka in place of the local one
#   bench/run.sh --kafka --debezium     beside Debezium Server too (781 MB to download, once; needs Java 21)
#   bench/run.sh --mariadb              from MariaDB, beside a client that drops its log as it comes; --mysql: from MySQL
#   bench/run.sh --mariadb --maxwell    beside Maxwell too (90 MB to download, once; needs Java)
# Prints changes/s, CPU seconds per million changes (ours and the database's walsender), peak memory, and the ratio of each pair.
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *" -h "*|*" --help "*) sed -n '2,12s/^# //p' "$0"; exit 0 ;; esac
deploy/install-deps.sh --tests
cmake --preset release >/dev/null
cmake --build build/release --target tailwater
case " $* " in
  *" --snapshot "*) for argument; do shift; [ "$argument" = --snapshot ] || set -- "$@" "$argument"; done
                    exec /usr/bin/python3 bench/snapshot.py --binary build/release/tailwater "$@" ;;
  *" --fan-out "*) for argument; do shift; [ "$argument" = --fan-out ] || set -- "$@" "$argument"; done
                   exec /usr/bin/python3 bench/fan_out.py --binary build/release/tailwater "$@" ;;
  *" --mariadb "*|*" --mysql "*)
    flavour=mariadb
    for argument; do shift; case $argument in --mariadb) ;; --mysql) flavour=mysql ;; *) set -- "$@" "$argument" ;; esac; done
    cmake --build build/release --target mysql_dump_client
    exec /usr/bin/python3 bench/catch_up_mysql.py --binary build/release/tailwater --floor build/release/bench/mysql_dump_client --flavour "$flavour" "$@" ;;
  *" --kafka "*) for argument; do shift; [ "$argument" = --kafka ] || set -- "$@" "$argument"; done
                 exec /usr/bin/python3 bench/catch_up_kafka.py --binary build/release/tailwater "$@" ;;
esac
exec /usr/bin/python3 bench/catch_up.py --binary build/release/tailwater "$@"

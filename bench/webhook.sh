#!/usr/bin/env bash
# Webhooks on loopback: milliseconds from commit to receiver, deliveries a second, and what a `when:` costs that discards 99 %.
#   bench/webhook.sh                     all three
#   bench/webhook.sh --only latency      or throughput, or condition
#   bench/webhook.sh --seconds 30 --deliveries 200000 --changes 1000000 --pairs 5
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *" -h "*|*" --help "*) sed -n '2,5s/^# //p' "$0"; exit 0 ;; esac
deploy/install-deps.sh --tests
cmake --preset release >/dev/null
cmake --build build/release --target tailwater webhook_receiver
exec /usr/bin/python3 bench/webhook.py --binary build/release/tailwater --receiver build/release/bench/webhook_receiver "$@"
